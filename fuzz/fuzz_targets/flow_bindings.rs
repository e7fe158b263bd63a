//! Any bytes as bindings.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longspan_fuzz::files::check_bindings(bytes));
