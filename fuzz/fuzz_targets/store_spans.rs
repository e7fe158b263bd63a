//! Any bytes as `spans.parquet`, behind right checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longspan_fuzz::files::check("spans.parquet", bytes));
