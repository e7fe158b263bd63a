//! Any bytes as Zipkin v1 in Thrift.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| longspan_fuzz::check(wire::Format::ZipkinV1Thrift, body));
