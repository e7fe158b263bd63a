//! Any bytes as Zipkin v1 JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| longspan_fuzz::check(wire::Format::ZipkinV1Json, body));
