//! Any bytes as the body of X-Ray's PutTraceSegments.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| longspan_fuzz::check(wire::Format::XrayDocuments, body));
