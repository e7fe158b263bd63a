//! What the store counts about itself, as plain numbers; `server` gives them names and shows them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the buckets of [`Durations`], in seconds; a last bucket has no bound.
pub const DURATION_BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// How long something took, in buckets.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; DURATION_BUCKETS_S.len() + 1],
    sum_ns: AtomicU64,
}

impl Durations {
    pub(crate) fn record(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let place = DURATION_BUCKETS_S.iter().position(|&bound| seconds <= bound).unwrap_or(DURATION_BUCKETS_S.len());
        self.buckets[place].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(duration.as_nanos() as u64, Relaxed);
    }

    /// Counts a bucket, not cumulative, and the sum in seconds.
    pub fn get(&self) -> ([u64; DURATION_BUCKETS_S.len() + 1], f64) {
        (std::array::from_fn(|i| self.buckets[i].load(Relaxed)), self.sum_ns.load(Relaxed) as f64 / 1e9)
    }
}

/// Everything the store counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Spans made searchable, replayed ones included.
    pub spans_applied: Counter,
    /// Log records made searchable, replayed ones included.
    pub logs_applied: Counter,
    /// Bytes written to the WAL.
    pub wal_bytes_written: Counter,
    /// Writes or syncs of the WAL that failed.
    pub wal_errors: Counter,
    /// Bytes of unfinished writes cut off at start.
    pub wal_torn_bytes: Counter,
    /// Records lost in the middle of WAL files at start.
    pub wal_damaged_places: Counter,
    /// Syncs of the WAL.
    pub syncs: Durations,
    /// Segments written.
    pub segments_sealed: Counter,
    /// Bytes of segments written.
    pub segment_bytes_written: Counter,
    /// Spans that were in a memtable twice and are stored once.
    pub duplicates_dropped: Counter,
    /// Merges of segments.
    pub merges: Durations,
    /// Segments that were merged into others.
    pub merged_segments: Counter,
    /// Bytes of segments read to be merged.
    pub merge_bytes_read: Counter,
    /// Bytes of merged segments.
    pub merge_bytes_written: Counter,
    /// Spans of merged segments.
    pub merge_spans_written: Counter,
    /// Records of spans that were left out in a merge, as there was a later one.
    pub merge_duplicates_dropped: Counter,
    /// Merges that failed.
    pub merge_errors: Counter,
    /// Tries to seal that failed.
    pub seal_errors: Counter,
    /// Segments moved to quarantine.
    pub segments_quarantined: Counter,
    /// Days dropped by retention.
    pub days_dropped: Counter,
}

impl Metrics {
    /// Bytes written for each byte of a sealed segment since the start: to the log, to the segment, and again by merging. 0 before
    /// anything is sealed.
    pub fn write_amplification(&self) -> f64 {
        let (log, sealed, merged) =
            (self.wal_bytes_written.get(), self.segment_bytes_written.get(), self.merge_bytes_written.get());
        if sealed == 0 { 0.0 } else { (log + sealed + merged) as f64 / sealed as f64 }
    }
}
