//! The sealing thread: frozen memtables become segments, old days are dropped, a quiet store is tidied.
//!
//! Order of a seal: segments in place and synced → manifest names them and the WAL position → the memtable's WAL files are
//! deleted → readers see the segments instead of the memtable. A failure anywhere leaves memtable and WAL as they are, and it is
//! tried again; segments that are finished are kept for the next try.
//!
//! Order of dropping a day: its directory is moved aside, synced → readers see it no more → the manifest does not name it any
//! more → its files are removed → the empty directory is removed. A full disk has no space for the manifest; then the files go
//! first. The directory that was moved aside tells a start in between what was meant.

mod logs;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::commit::CommitQueue;
use crate::compact::Compactor;
use crate::compact::handover::Handover;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::filenames;
use crate::manifest::{Manifest, SegmentEntry};
use crate::memtable::Memtable;
use crate::metrics::Metrics;
use crate::options::{SEAL_AGE_MAX_NS, SEAL_IDLE_BYTES_MIN, SEAL_IDLE_NS, StoreOptions};
use crate::retention::{TrustedClock, expired_days, newest_start};
use crate::segment::Segment;
use crate::segment::cache::PageCache;
use crate::segment::logs::LogSegment;
use crate::segment::source::{RowAt, SealSource, ordered_rows, rows_by_day};
use crate::segment::write::{SegmentSpec, write_segment};
use crate::tables::Tables;
use crate::wal::list_wal;

/// How often the thread looks whether something is old or idle.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long it waits after a first failure; doubled each time, up to [`LOOK_INTERVAL`].
const RETRY_INTERVAL_MIN: Duration = Duration::from_millis(20);

/// The sealing thread's state.
#[derive(Debug)]
pub(crate) struct Sealer {
    options: StoreOptions,
    queue: Arc<CommitQueue>,
    tables: Arc<Tables>,
    metrics: Arc<Metrics>,
    manifest: Manifest,
    cache: Arc<PageCache>,
    /// Segments of the oldest frozen memtable that are finished, although no manifest names them yet.
    unpublished: Vec<Arc<Segment>>,
    /// The same, of log records.
    unpublished_logs: Vec<Arc<LogSegment>>,
    /// Days that are moved aside and not yet gone.
    dropping: Vec<String>,
    /// WAL files are there that are done with.
    wal_remains: bool,
    compactor: Compactor,
    trusted_clock: TrustedClock,
    /// Live segments that could not be opened yet.
    unreadable: Vec<SegmentEntry>,
    /// The same, of log records.
    unreadable_logs: Vec<SegmentEntry>,
    tried_to_open: Instant,
}

impl Sealer {
    pub(crate) fn new(
        options: StoreOptions,
        queue: Arc<CommitQueue>,
        tables: Arc<Tables>,
        metrics: Arc<Metrics>,
        manifest: Manifest,
        cache: Arc<PageCache>,
    ) -> Self {
        let (unpublished, dropping) = (Vec::new(), Vec::new());
        let wal_remains = false;
        let compactor = Compactor::new(options.clone(), Arc::clone(&tables), Arc::clone(&metrics));
        // Looked at now, so that what passes from now on is known to have passed.
        let mut trusted_clock = TrustedClock::default();
        let age_ns = options.retention_age_ns.unwrap_or(u64::MAX);
        trusted_clock.now(&*options.clock, age_ns, newest_start(&tables.live().metas()));
        Sealer {
            options,
            queue,
            tables,
            metrics,
            manifest,
            cache,
            unpublished,
            unpublished_logs: Vec::new(),
            dropping,
            wal_remains,
            compactor,
            trusted_clock,
            unreadable: Vec::new(),
            unreadable_logs: Vec::new(),
            tried_to_open: Instant::now(),
        }
    }

    /// Where the merging thread finds what to do.
    pub(crate) fn handover(&self) -> Arc<Handover> {
        self.compactor.handover()
    }

    /// Takes over live segments that the disk refuses to read; they are tried again.
    pub(crate) fn open_later(&mut self, unreadable: Vec<SegmentEntry>, unreadable_logs: Vec<SegmentEntry>) {
        (self.unreadable, self.unreadable_logs) = (unreadable, unreadable_logs);
        self.tell_unreadable();
    }

    fn tell_unreadable(&self) {
        self.tables.set_unreadable_segments(self.unreadable.len() + self.unreadable_logs.len());
    }

    /// Tries again to open what could not be read.
    fn open_unreadable(&mut self) {
        self.open_unreadable_logs();
        if self.unreadable.is_empty() || self.tried_to_open.elapsed() < LOOK_INTERVAL {
            return;
        }
        let mut segments = self.tables.live().segments.to_vec();
        let (disk, data, cache) = (&*self.options.disk, &self.options.directory, &self.cache);
        self.unreadable.retain(|entry| {
            let directory = filenames::segment_directory(data, &entry.day, entry.id);
            let opened = Segment::open(disk, &directory, cache);
            opened.map(|segment| segments.push(Arc::new(segment))).is_err()
        });
        self.tried_to_open = Instant::now();
        if segments.len() > self.tables.live().segments.len() {
            segments.sort_by_key(|segment| (segment.meta.wal_last, segment.meta.id));
            self.tables.set_segments(segments);
            self.tell_unreadable();
            tracing::info!(left = self.unreadable.len(), "segments that could not be read are served again");
        }
    }

    /// Seals until the store stops.
    pub(crate) fn run(mut self) {
        let mut retry_interval = RETRY_INTERVAL_MIN;
        loop {
            let generation = self.tables.generation();
            let sealed = self.seal_frozen();
            self.tables.set_sealing_fails(!sealed);
            if let Err(error) = self.drop_expired_days() {
                tracing::error!(%error, "expired days could not be dropped; trying again");
            }
            if self.wal_remains {
                let freed = self.delete_wal(self.manifest.wal_sealed_through);
                self.tables.free_wal_bytes(freed);
            }
            if self.tables.stopping() {
                return;
            }
            self.open_unreadable();
            let may_begin = self.unpublished.is_empty() && self.unreadable.is_empty();
            self.compactor.step(&mut self.manifest, may_begin);
            self.seal_when_quiet();
            if sealed {
                retry_interval = RETRY_INTERVAL_MIN;
                let merging = self.compactor.look_again().unwrap_or(LOOK_INTERVAL).max(RETRY_INTERVAL_MIN);
                self.tables.wait(generation, merging.min(LOOK_INTERVAL));
            } else {
                // Not woken by what is frozen meanwhile: that waits behind what has just failed.
                self.tables.wait(self.tables.generation(), retry_interval);
                retry_interval = (2 * retry_interval).min(LOOK_INTERVAL);
            }
        }
    }

    /// Seals all frozen memtables; says whether none has failed.
    fn seal_frozen(&mut self) -> bool {
        while let Some(frozen) = self.tables.oldest_frozen() {
            if self.tables.stopping() {
                return true;
            }
            if let Err(error) = self.seal(&frozen) {
                self.metrics.seal_errors.add(1);
                tracing::error!(%error, "spans could not be sealed; they stay in memory and in the WAL, trying again");
                return false;
            }
        }
        true
    }

    fn seal(&mut self, memtable: &Arc<Memtable>) -> Result<(), StoreError> {
        let wal_range = memtable.wal_range();
        let batches: Vec<_> = memtable.batches().iter().map(|held| Arc::clone(&held.batch)).collect();
        let source = SealSource::new(&batches);
        let rows = ordered_rows(&source);
        let stats = memtable.stats();
        let dropped = stats.spans - rows.len();
        for (day, rows) in rows_by_day(rows) {
            if self.unpublished.iter().all(|segment| segment.meta.day != day) {
                let memory_bytes = stats.bytes as u64 * rows.len() as u64 / stats.spans.max(1) as u64;
                let finished = self.write(day, wal_range, memory_bytes, &source, &rows)?;
                self.unpublished.push(finished);
            }
        }
        self.write_logs(memtable, wal_range)?;
        self.publish(memtable, wal_range.1)?;
        self.metrics.duplicates_dropped.add(dropped as u64);
        Ok(())
    }

    fn write(
        &mut self,
        day: String,
        (wal_first, wal_last): (u64, u64),
        memory_bytes: u64,
        source: &SealSource<'_>,
        rows: &[RowAt],
    ) -> Result<Arc<Segment>, StoreError> {
        let id = self.manifest.next_segment_id;
        self.manifest.next_segment_id += 1;
        let created_unix_nano = self.options.clock.now_unix_nano();
        let merged_from = Vec::new();
        let spec = SegmentSpec { id, day, wal_first, wal_last, created_unix_nano, memory_bytes, merged_from };
        write_and_open(&*self.options.disk, &self.options.directory, &self.cache, &spec, source, rows)
    }

    fn publish(&mut self, memtable: &Arc<Memtable>, wal_last: u64) -> Result<(), StoreError> {
        self.options.observer.sealing(wal_last);
        let mut manifest = self.manifest.clone();
        let entry = |segment: &Arc<Segment>| SegmentEntry { id: segment.meta.id, day: segment.meta.day.clone() };
        manifest.segments.extend(self.unpublished.iter().map(entry));
        let entry = |segment: &Arc<LogSegment>| SegmentEntry { id: segment.meta.id, day: segment.meta.day.clone() };
        manifest.log_segments.extend(self.unpublished_logs.iter().map(entry));
        manifest.wal_sealed_through = wal_last;
        let directory = &self.options.directory;
        manifest.save(&*self.options.disk, directory).map_err(StoreError::io(directory.join(filenames::MANIFEST)))?;
        self.manifest = manifest;
        let mut segments = self.tables.live().segments.to_vec();
        for segment in self.unpublished.drain(..) {
            self.metrics.segments_sealed.add(1);
            self.metrics.segment_bytes_written.add(segment.meta.bytes());
            segments.push(segment);
        }
        segments.sort_by_key(|segment| (segment.meta.wal_last, segment.meta.id));
        let freed = self.delete_wal(wal_last);
        let log_segments = self.published_logs();
        self.tables.sealed(memtable, segments, log_segments, freed);
        Ok(())
    }

    /// Deletes WAL files up to `last`; those that resist are tried again. Returns the bytes freed.
    fn delete_wal(&mut self, last: u64) -> u64 {
        let disk = &*self.options.disk;
        let found = list_wal(disk, &self.options.directory);
        self.wal_remains = found.is_err();
        let mut freed = 0;
        for (sequence, bytes) in found.unwrap_or_default().files.into_iter().filter(|(sequence, _)| *sequence <= last) {
            match disk.remove_file(&filenames::wal_file(&self.options.directory, sequence)) {
                Ok(()) => freed += bytes,
                Err(error) => {
                    self.wal_remains = true;
                    tracing::warn!(%error, sequence, "a WAL file that is done with could not be deleted; trying again");
                }
            }
        }
        freed
    }

    fn seal_when_quiet(&self) {
        let active = self.tables.active();
        let stats = active.stats();
        if stats.is_empty() {
            return;
        }
        let now = self.options.clock.now_unix_nano();
        let idle = now.saturating_sub(stats.last_applied_unix_nano) >= SEAL_IDLE_NS;
        let old = now.saturating_sub(stats.first_applied_unix_nano) >= SEAL_AGE_MAX_NS;
        if old || (idle && stats.bytes >= SEAL_IDLE_BYTES_MIN) {
            self.queue.request_rotation(active);
        }
    }

    /// Drops whole days that are too old, or too much.
    fn drop_expired_days(&mut self) -> Result<(), StoreError> {
        self.finish_dropping()?;
        let live = self.tables.live();
        let age_ns = self.options.retention_age_ns.unwrap_or(u64::MAX);
        let now_unix_nano = self.trusted_clock.now(&*self.options.clock, age_ns, newest_start(&live.metas()));
        self.tables.set_clock_is_ahead(self.trusted_clock.is_ahead());
        let expired = expired_days(&live.metas(), &self.options, now_unix_nano);
        if expired.is_empty() {
            return Ok(());
        }
        self.move_aside(&expired)?;
        let kept = |day: &String| !expired.contains(day);
        self.tables.set_segments(live.segments.iter().filter(|segment| kept(&segment.meta.day)).cloned().collect());
        self.unpublished.retain(|segment| kept(&segment.meta.day));
        self.unreadable.retain(|entry| kept(&entry.day));
        self.forget_logs(&live, &kept);
        self.tell_unreadable();
        self.manifest.segments.retain(|entry| kept(&entry.day));
        self.metrics.days_dropped.add(expired.len() as u64);
        tracing::info!(days = ?expired, "dropping days past their retention");
        self.dropping.extend(expired);
        self.finish_dropping()
    }

    fn move_aside(&self, days: &[String]) -> Result<(), StoreError> {
        use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotFound};
        let (disk, data) = (&*self.options.disk, &self.options.directory);
        for day in days {
            let (place, aside) = (filenames::day_directory(data, day), filenames::dropped_day_directory(data, day));
            match disk.rename(&place, &aside) {
                // It was moved at an earlier try that failed later on.
                Err(error) if matches!(error.kind(), NotFound | AlreadyExists | DirectoryNotEmpty) => {}
                moved => moved.map_err(StoreError::io(place))?,
            }
        }
        let parent = filenames::days_directory(data);
        disk.sync_directory(&parent).map_err(StoreError::io(parent))
    }

    fn finish_dropping(&mut self) -> Result<(), StoreError> {
        while let Some(day) = self.dropping.last() {
            let (disk, data) = (&*self.options.disk, &self.options.directory);
            remove_dropped_day(disk, data, day, || self.manifest.save(disk, data))?;
            self.dropping.pop();
        }
        Ok(())
    }
}

/// Writes a segment and opens it. What of it fails is removed at once: it would take space that may be what is missing.
pub(crate) fn write_and_open(
    disk: &dyn Disk,
    data: &Path,
    cache: &Arc<PageCache>,
    spec: &SegmentSpec,
    source: &SealSource<'_>,
    rows: &[RowAt],
) -> Result<Arc<Segment>, StoreError> {
    let place = filenames::segment_directory(data, &spec.day, spec.id);
    let written = write_segment(disk, data, spec, source, rows).and_then(|directory| {
        let opened = Segment::open(disk, &directory, cache).map(Arc::new);
        opened.map_err(|error| StoreError::Corrupt {
            path: directory,
            reason: format!("it was just written and cannot be read: {error}"),
        })
    });
    if written.is_err() {
        for left in [place.with_extension(&filenames::ASIDE[1..]), place] {
            if let Err(error) = remove_directory_if_there(disk, &left) {
                tracing::warn!(%error, "an unfinished segment could not be removed; the next start does it");
            }
        }
    }
    written
}

pub(crate) fn remove_directory_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_directory(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a day that was moved aside. If there is no space to save the manifest, removing the files makes some.
pub(crate) fn remove_dropped_day(
    disk: &dyn Disk,
    data: &Path,
    day: &str,
    save_manifest: impl Fn() -> io::Result<()>,
) -> Result<(), StoreError> {
    let aside = filenames::dropped_day_directory(data, day);
    let saved = save_manifest();
    for entry in disk.list(&aside).map_err(StoreError::io(&aside))? {
        let path = aside.join(&entry.name);
        let removed = if entry.is_directory { disk.remove_directory(&path) } else { disk.remove_file(&path) };
        removed.map_err(StoreError::io(path))?;
    }
    saved.or_else(|_| save_manifest()).map_err(StoreError::io(data.join(filenames::MANIFEST)))?;
    disk.remove_directory(&aside).map_err(StoreError::io(aside))
}
