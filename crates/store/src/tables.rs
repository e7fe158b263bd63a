//! What is live now: the active memtable, frozen ones on their way to disk, and the sealed segments.
//!
//! The one place where readers, the committing thread and the sealing thread meet. A reader takes all three together, so that a
//! span on its way from memtable to segment is seen in exactly one of them.

use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use crate::catalog::SealedCatalog;
use crate::memtable::Memtable;
use crate::segment::Segment;
use crate::segment::logs::LogSegment;
use crate::segment::meta::SegmentMeta;

/// The live memtables and segments.
#[derive(Debug)]
pub(crate) struct Tables {
    live: RwLock<Live>,
    /// Told whenever something was frozen, sealed or should stop.
    signal: Mutex<Signal>,
    changed: Condvar,
}

#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) active: Arc<Memtable>,
    /// Oldest first.
    pub(crate) frozen: Vec<Arc<Memtable>>,
    /// By age of their records, oldest first.
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    /// The same, of log records.
    pub(crate) log_segments: Arc<Vec<Arc<LogSegment>>>,
    pub(crate) wal_bytes: u64,
    /// The same for all readers.
    pub(crate) sealed_catalog: Arc<SealedCatalog>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else, in any combination")]
struct Signal {
    stop: bool,
    generation: u64,
    sealing_fails: bool,
    clock_is_ahead: bool,
    unreadable_segments: usize,
    read_only: bool,
}

impl Live {
    /// The descriptions of all segments, of spans and of log records.
    pub(crate) fn metas(&self) -> Vec<&SegmentMeta> {
        let logs = self.log_segments.iter().map(|segment| &segment.meta);
        self.segments.iter().map(|segment| &segment.meta).chain(logs).collect()
    }
}

const POISON: &str = "no thread panics while it holds the live tables";

impl Tables {
    pub(crate) fn new(
        active: Arc<Memtable>,
        frozen: Vec<Arc<Memtable>>,
        segments: Vec<Arc<Segment>>,
        wal_bytes: u64,
    ) -> Self {
        let (segments, log_segments) = (Arc::new(segments), Arc::default());
        let live = Live { active, frozen, segments, log_segments, wal_bytes, sealed_catalog: Arc::default() };
        Tables { live: RwLock::new(live), signal: Mutex::default(), changed: Condvar::new() }
    }

    /// Everything live, at one instant.
    pub(crate) fn live(&self) -> Live {
        self.live.read().expect(POISON).clone()
    }

    pub(crate) fn active(&self) -> Arc<Memtable> {
        Arc::clone(&self.live.read().expect(POISON).active)
    }

    pub(crate) fn frozen_count(&self) -> usize {
        self.live.read().expect(POISON).frozen.len()
    }

    pub(crate) fn oldest_frozen(&self) -> Option<Arc<Memtable>> {
        self.live.read().expect(POISON).frozen.first().cloned()
    }

    pub(crate) fn wal_bytes(&self) -> u64 {
        self.live.read().expect(POISON).wal_bytes
    }

    pub(crate) fn add_wal_bytes(&self, bytes: u64) {
        self.live.write().expect(POISON).wal_bytes += bytes;
    }

    /// Puts a new active memtable in place of the one that is full.
    pub(crate) fn freeze(&self, new_active: Arc<Memtable>) {
        let mut live = self.live.write().expect(POISON);
        let full = std::mem::replace(&mut live.active, new_active);
        live.frozen.push(full);
        drop(live);
        self.notify();
    }

    /// Swaps a frozen memtable for the segments made of it.
    pub(crate) fn sealed(
        &self,
        memtable: &Arc<Memtable>,
        segments: Vec<Arc<Segment>>,
        log_segments: Vec<Arc<LogSegment>>,
        wal_bytes_freed: u64,
    ) {
        let mut live = self.live.write().expect(POISON);
        live.frozen.retain(|frozen| !Arc::ptr_eq(frozen, memtable));
        live.segments = Arc::new(segments);
        live.log_segments = Arc::new(log_segments);
        live.wal_bytes = live.wal_bytes.saturating_sub(wal_bytes_freed);
        drop(live);
        self.notify();
    }

    /// Notes that WAL files were deleted.
    pub(crate) fn free_wal_bytes(&self, bytes: u64) {
        let mut live = self.live.write().expect(POISON);
        live.wal_bytes = live.wal_bytes.saturating_sub(bytes);
    }

    /// Notes whether the last try to seal has failed.
    pub(crate) fn set_sealing_fails(&self, fails: bool) {
        let mut signal = self.signal.lock().expect(POISON);
        if signal.sealing_fails != fails {
            signal.sealing_fails = fails;
            signal.generation += 1;
            self.changed.notify_all();
        }
    }

    /// Whether the last try to seal has failed.
    pub(crate) fn sealing_fails(&self) -> bool {
        self.signal.lock().expect(POISON).sealing_fails
    }

    /// Notes whether the clock is ahead of what retention believes.
    pub(crate) fn set_clock_is_ahead(&self, is_ahead: bool) {
        self.signal.lock().expect(POISON).clock_is_ahead = is_ahead;
    }

    /// Whether the clock is ahead of what retention believes.
    pub(crate) fn clock_is_ahead(&self) -> bool {
        self.signal.lock().expect(POISON).clock_is_ahead
    }

    /// Notes how many live segments cannot be read.
    pub(crate) fn set_unreadable_segments(&self, count: usize) {
        self.signal.lock().expect(POISON).unreadable_segments = count;
    }

    /// How many live segments cannot be read.
    pub(crate) fn unreadable_segments(&self) -> usize {
        self.signal.lock().expect(POISON).unreadable_segments
    }

    /// Notes whether the disk refuses again and again what is written to the log.
    pub(crate) fn set_read_only(&self, read_only: bool) {
        self.signal.lock().expect(POISON).read_only = read_only;
    }

    /// Whether the disk refuses again and again what is written to the log.
    pub(crate) fn read_only(&self) -> bool {
        self.signal.lock().expect(POISON).read_only
    }

    /// Whether a memtable is still in memory only.
    pub(crate) fn is_unsealed(&self, memtable: &Arc<Memtable>) -> bool {
        let live = self.live.read().expect(POISON);
        live.frozen.iter().chain([&live.active]).any(|unsealed| Arc::ptr_eq(unsealed, memtable))
    }

    /// Replaces the list of segments.
    pub(crate) fn set_segments(&self, segments: Vec<Arc<Segment>>) {
        self.live.write().expect(POISON).segments = Arc::new(segments);
        self.notify();
    }

    /// Replaces the list of segments of log records.
    pub(crate) fn set_log_segments(&self, segments: Vec<Arc<LogSegment>>) {
        self.live.write().expect(POISON).log_segments = Arc::new(segments);
        self.notify();
    }

    /// Wakes whoever waits for something to change.
    pub(crate) fn notify(&self) {
        self.signal.lock().expect(POISON).generation += 1;
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.signal.lock().expect(POISON).stop = true;
        self.changed.notify_all();
    }

    pub(crate) fn stopping(&self) -> bool {
        self.signal.lock().expect(POISON).stop
    }

    /// How often something has changed so far.
    pub(crate) fn generation(&self) -> u64 {
        self.signal.lock().expect(POISON).generation
    }

    /// Waits until something has changed since `generation`, the store stops, or the time is up.
    pub(crate) fn wait(&self, generation: u64, timeout: Duration) {
        let signal = self.signal.lock().expect(POISON);
        let unchanged = |signal: &mut Signal| !signal.stop && signal.generation == generation;
        drop(self.changed.wait_timeout_while(signal, timeout, unchanged).expect(POISON));
    }
}
