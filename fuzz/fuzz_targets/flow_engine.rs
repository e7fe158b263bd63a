//! Any bytes as `flow/engine.bin`, behind a right checksum.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longspan_fuzz::files::check_engine(bytes));
