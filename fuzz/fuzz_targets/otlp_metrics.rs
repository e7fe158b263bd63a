//! Any bytes as OTLP's metrics, in either encoding.
#![no_main]

use wire::Format;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    for format in [Format::OtlpProtobuf, Format::OtlpJson] {
        let _ = wire::otlp::count_metric_points(format, body);
    }
});
