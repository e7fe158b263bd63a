//! Any bytes as a Jaeger batch in Thrift.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| longspan_fuzz::check(wire::Format::JaegerThrift, body));
