//! How much is tried: enough to notice in the normal run, the full counts of docs/reliability.md where `LONGSPAN_ALL` is set.

/// Whether full counts are asked for.
pub(crate) fn is_full() -> bool {
    std::env::var_os("LONGSPAN_ALL").is_some()
}

/// How often, or for how long.
pub(crate) fn times(usual: u64, full: u64) -> u64 {
    if is_full() { full } else { usual }
}
