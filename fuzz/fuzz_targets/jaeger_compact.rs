//! Any bytes as a compact call of Jaeger's agent.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| longspan_fuzz::check(wire::Format::JaegerCompactCall, body));
