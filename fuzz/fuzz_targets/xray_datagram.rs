//! Any bytes as X-Ray's datagrams.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| longspan_fuzz::check(wire::Format::XrayDatagram, body));
