//! Any bytes as `wal`, behind right checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longspan_fuzz::files::check("wal", bytes));
