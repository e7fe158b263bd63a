//! [`Store`]: the whole of it, behind a handful of calls.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::commit::{CommitQueue, Committer, Done, LogRequest, Request, read_only};
use crate::compact::merge::Merger;
use crate::disk::Lock;
use crate::error::{AppendError, StoreError};
use crate::metrics::Metrics;
use crate::open::{Opened, Replay, open};
use crate::options::StoreOptions;
use crate::seal::Sealer;
use crate::segment::cache::PageCache;
use crate::snapshot::Snapshot;
use crate::tables::Tables;

/// Spans on disk.
///
/// Three threads belong to it: one that commits, one that seals and one that merges. Dropping the store stops both; everything acknowledged is
/// on disk at any time, so nothing special has to happen before.
#[derive(Debug)]
pub struct Store {
    options: StoreOptions,
    queue: Arc<CommitQueue>,
    tables: Arc<Tables>,
    metrics: Arc<Metrics>,
    threads: Vec<JoinHandle<()>>,
    _lock: Box<dyn Lock>,
}

/// What a store holds, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Spans stored; one that arrived again counts again until the two meet.
    pub spans: u64,
    /// Traces, counted once a segment and memtable they have spans in.
    pub traces: u64,
    /// Log records stored.
    pub logs: u64,
    /// Segments of spans.
    pub segments: u64,
    /// Segments of log records.
    pub log_segments: u64,
    /// Bytes of all segments.
    pub segment_bytes: u64,
    /// Bytes of the WAL.
    pub wal_bytes: u64,
    /// Bytes of the memtables.
    pub memtable_bytes: u64,
    /// Bytes of requests that wait for the disk, encoded and decoded.
    pub queued_bytes: u64,
    /// The earliest start in the segments and memtables; spans with impossible times apart.
    pub oldest_unix_nano: Option<u64>,
    /// The latest start.
    pub newest_unix_nano: Option<u64>,
    /// Live segments that the disk refuses to read; they are tried again.
    pub unreadable_segments: u64,
    /// The disk refuses again and again what is written to the log: nothing is taken until it does not any more.
    pub read_only: bool,
    /// The clock is too far ahead for days to be dropped by it; believed when it stays so for a day.
    pub clock_is_ahead: bool,
}

impl Store {
    /// Opens a data directory, or makes a new one. Replays the WAL, which can take a while: `replay` decodes it.
    pub fn open(options: StoreOptions, replay: &dyn Replay) -> Result<Store, StoreError> {
        let metrics = Arc::new(Metrics::default());
        let cache = Arc::new(PageCache::with_sections(options.page_cache_bytes, options.index_cache_bytes));
        let opened = open(&options, replay, &metrics, &cache)?;
        let Opened { lock, manifest, segments, unreadable, frozen, active, wal, wal_bytes, logs } = opened;
        let tables = Arc::new(Tables::new(active, frozen, segments, wal_bytes));
        tables.set_log_segments(logs.segments);
        let queue = Arc::new(CommitQueue::default());
        let committer =
            Committer::new(options.clone(), Arc::clone(&queue), Arc::clone(&tables), Arc::clone(&metrics), wal);
        let (for_queue, for_tables, for_metrics) = (Arc::clone(&queue), Arc::clone(&tables), Arc::clone(&metrics));
        let for_merging = Arc::clone(&cache);
        let mut sealer = Sealer::new(options.clone(), for_queue, for_tables, for_metrics, manifest, cache);
        sealer.open_later(unreadable, logs.unreadable);
        let merger = Merger {
            options: options.clone(),
            tables: Arc::clone(&tables),
            metrics: Arc::clone(&metrics),
            cache: for_merging,
            handover: sealer.handover(),
        };
        // From here on the store's own drop ends what was begun.
        let mut store = Store { options, queue, tables, metrics, threads: Vec::new(), _lock: lock };
        store.spawn("commit", || committer.run())?;
        store.spawn_in_background("seal", || sealer.run())?;
        store.spawn_in_background("merge", || merger.run())?;
        Ok(store)
    }

    fn spawn_in_background(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let begin = self.options.begin_background;
        self.spawn(name, move || {
            begin();
            run();
        })
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.push(thread.map_err(StoreError::io(&self.options.directory))?);
        Ok(())
    }

    /// Stores a batch. Returns at once; `done` is called when the batch is durable and searchable, or with why it is not
    /// stored. It is called on a thread of the store, or on the caller's if the batch is empty or refused at once; it must not block.
    pub fn append(&self, request: Request, done: Done) {
        if let Some(refusal) = self.refusal() {
            return done(Err(refusal));
        }
        self.queue.push(request, done);
    }

    /// As [`Store::append`], for log records.
    pub fn append_logs(&self, request: LogRequest, done: Done) {
        if let Some(refusal) = self.refusal() {
            return done(Err(refusal));
        }
        self.queue.push_logs(request, done);
    }

    fn refusal(&self) -> Option<AppendError> {
        if self.tables.read_only() {
            return Some(read_only());
        }
        let full = self.tables.wal_bytes() > self.options.wal_bytes_max;
        full.then_some(AppendError::Full("the write-ahead log has reached its budget"))
    }

    /// Whether the disk refuses again and again what is written to the log, so that nothing is taken.
    pub fn is_read_only(&self) -> bool {
        self.tables.read_only()
    }

    /// Everything live now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.tables.live())
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What is held.
    pub fn stats(&self) -> Stats {
        let live = self.tables.live();
        let mut stats =
            Stats { wal_bytes: live.wal_bytes, queued_bytes: self.queue.bytes() as u64, ..Stats::default() };
        stats.clock_is_ahead = self.tables.clock_is_ahead();
        stats.unreadable_segments = self.tables.unreadable_segments() as u64;
        stats.read_only = self.tables.read_only();
        let mut bounds: Vec<(u64, u64)> = Vec::new();
        for segment in live.segments.iter() {
            stats.segments += 1;
            stats.segment_bytes += segment.meta.bytes();
            stats.spans += segment.meta.spans;
            stats.traces += segment.meta.traces;
            if segment.meta.day != crate::filenames::UNPLACED {
                bounds.push((segment.meta.start_min_unix_nano, segment.meta.start_max_unix_nano));
            }
        }
        for segment in live.log_segments.iter() {
            stats.log_segments += 1;
            stats.segment_bytes += segment.meta.bytes();
            stats.logs += segment.meta.spans;
            if segment.meta.day != crate::filenames::UNPLACED {
                bounds.push((segment.meta.start_min_unix_nano, segment.meta.start_max_unix_nano));
            }
        }
        for memtable in live.frozen.iter().chain([&live.active]) {
            let held = memtable.stats();
            stats.spans += held.spans as u64;
            stats.logs += held.logs as u64;
            stats.traces += held.traces as u64;
            stats.memtable_bytes += held.bytes as u64;
            bounds.extend(held.placed_starts);
            bounds.extend(held.placed_log_times);
        }
        stats.oldest_unix_nano = bounds.iter().map(|bounds| bounds.0).min();
        stats.newest_unix_nano = bounds.iter().map(|bounds| bounds.1).max();
        stats
    }

    /// Has everything that is in memory now sealed, and waits for it at most `timeout`. Returns whether it is done.
    pub fn seal(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let live = self.tables.live();
        let (active, mut unsealed) = (live.active, live.frozen);
        if !active.stats().is_empty() {
            unsealed.push(Arc::clone(&active));
        }
        loop {
            let generation = self.tables.generation();
            unsealed.retain(|memtable| self.tables.is_unsealed(memtable));
            if unsealed.is_empty() {
                return true;
            }
            // Asked for again and again: the disk may refuse the new WAL file that freezing takes.
            if Arc::ptr_eq(&self.tables.active(), &active) {
                self.queue.request_rotation(Arc::clone(&active));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.tables.wait(generation, left.min(Duration::from_millis(100)));
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue.close();
        self.tables.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked");
            }
        }
    }
}
