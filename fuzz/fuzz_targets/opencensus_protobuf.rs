//! Any bytes as OpenCensus protobuf.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| longspan_fuzz::check(wire::Format::OpenCensusProtobuf, body));
