//! Any bytes as `manifest.json`, behind right checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longspan_fuzz::files::check("manifest.json", bytes));
