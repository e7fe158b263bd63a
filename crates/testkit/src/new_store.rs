//! A store in a new directory, for benches and tests that never open it again.

use std::path::PathBuf;

use model::SpanBatch;
use store::{Replay, Store, StoreOptions};

/// For directories that have no log yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReplay;

impl Replay for NoReplay {
    fn decode(&self, _format: u8, _received_unix_nano: u64, _body: &[u8]) -> Result<SpanBatch, String> {
        Err("every directory is new".to_owned())
    }
}

/// A store in a new directory. Everything stays in memory until it is told to go.
///
/// # Panics
/// If the directory cannot be opened.
pub fn open_in_memory(directory: impl Into<PathBuf>) -> Store {
    let mut options = StoreOptions::new(directory);
    options.memtable_bytes_max = 4 << 30;
    Store::open(options, &NoReplay).expect("a new directory opens")
}
