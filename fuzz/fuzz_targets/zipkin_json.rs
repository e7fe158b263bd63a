//! Any bytes as Zipkin JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| longspan_fuzz::check(wire::Format::ZipkinJson, body));
