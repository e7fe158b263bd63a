//! The sealing thread: frozen memtables become segments, old days are dropped, a quiet store is tidied.
//!
//! Order of a seal: segments in place and synced → manifest names them and the WAL position → readers see them instead of the
//! memtable → the memtable's WAL files are deleted. A failure anywhere leaves memtable and WAL as they are, and it is tried again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::DAY_NS;
use crate::commit::CommitQueue;
use crate::error::StoreError;
use crate::filenames::{self, UNPLACED};
use crate::manifest::{Manifest, SegmentEntry};
use crate::memtable::Memtable;
use crate::metrics::Metrics;
use crate::options::{SEAL_AGE_MAX_NS, SEAL_IDLE_BYTES_MIN, SEAL_IDLE_NS, StoreOptions};
use crate::segment::Segment;
use crate::segment::cache::PageCache;
use crate::segment::source::{SealSource, ordered_rows, rows_by_day};
use crate::segment::write::{SegmentSpec, write_segment};
use crate::tables::Tables;
use crate::wal::list_wal;

/// How often the thread looks whether something is old or idle.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The sealing thread's state.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) options: StoreOptions,
    pub(crate) queue: Arc<CommitQueue>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) manifest: Manifest,
    pub(crate) cache: Arc<PageCache>,
}

impl Sealer {
    /// Seals until the store stops.
    pub(crate) fn run(mut self) {
        loop {
            let generation = self.tables.generation();
            while let Some(frozen) = self.tables.oldest_frozen() {
                if self.tables.stopping() {
                    return;
                }
                if let Err(error) = self.seal(&frozen) {
                    self.metrics.seal_errors.add(1);
                    tracing::error!(%error, "spans could not be sealed; they stay in memory and in the WAL, trying again");
                    break;
                }
            }
            if let Err(error) = self.drop_expired_days() {
                tracing::error!(%error, "expired days could not be dropped; trying again");
            }
            if self.tables.stopping() {
                return;
            }
            self.seal_when_quiet();
            self.tables.wait(generation, LOOK_INTERVAL);
        }
    }

    fn seal(&mut self, memtable: &Arc<Memtable>) -> Result<(), StoreError> {
        let (wal_first, wal_last) = memtable.wal_range();
        let batches: Vec<_> = memtable.batches().iter().map(|held| Arc::clone(&held.batch)).collect();
        let source = SealSource::new(&batches);
        let rows = ordered_rows(&source);
        let dropped = memtable.stats().spans - rows.len();
        let mut segments = Vec::new();
        for (day, rows) in rows_by_day(&source, rows) {
            let id = self.manifest.next_segment_id;
            self.manifest.next_segment_id += 1;
            let created_unix_nano = self.options.clock.now_unix_nano();
            let spec = SegmentSpec { id, day, wal_first, wal_last, created_unix_nano };
            let disk = &*self.options.disk;
            let directory = write_segment(disk, &self.options.directory, &spec, &source, &rows)?;
            let segment = Segment::open(disk, &directory, &self.cache).map_err(|error| StoreError::Corrupt {
                path: directory,
                reason: format!("it was just written and cannot be read: {error}"),
            })?;
            segments.push(Arc::new(segment));
        }
        self.publish(memtable, &segments, wal_last)?;
        self.metrics.duplicates_dropped.add(dropped as u64);
        for segment in &segments {
            self.metrics.segments_sealed.add(1);
            self.metrics.segment_bytes_written.add(segment.meta.bytes());
        }
        Ok(())
    }

    fn publish(&mut self, memtable: &Arc<Memtable>, new: &[Arc<Segment>], wal_last: u64) -> Result<(), StoreError> {
        let mut manifest = self.manifest.clone();
        let entry = |segment: &Arc<Segment>| SegmentEntry { id: segment.meta.id, day: segment.meta.day.clone() };
        manifest.segments.extend(new.iter().map(entry));
        manifest.wal_sealed_through = wal_last;
        let directory = &self.options.directory;
        manifest.save(&*self.options.disk, directory).map_err(StoreError::io(directory.join(filenames::MANIFEST)))?;
        self.manifest = manifest;
        let mut segments = self.tables.live().segments.to_vec();
        segments.extend(new.iter().cloned());
        segments.sort_by_key(|segment| (segment.meta.wal_last, segment.meta.id));
        let freed = self.delete_wal(wal_last);
        self.tables.sealed(memtable, segments, freed);
        Ok(())
    }

    /// Deletes WAL files up to `last`; those that resist are deleted at the next start. Returns the bytes freed.
    fn delete_wal(&self, last: u64) -> u64 {
        let disk = &*self.options.disk;
        let Ok(found) = list_wal(disk, &self.options.directory) else { return 0 };
        let mut freed = 0;
        for (sequence, bytes) in found.files.into_iter().filter(|(sequence, _)| *sequence <= last) {
            match disk.remove_file(&filenames::wal_file(&self.options.directory, sequence)) {
                Ok(()) => freed += bytes,
                Err(error) => tracing::warn!(%error, sequence, "a WAL file that is done with could not be deleted"),
            }
        }
        freed
    }

    fn seal_when_quiet(&self) {
        let active = self.tables.active().stats();
        if active.spans == 0 {
            return;
        }
        let now = self.options.clock.now_unix_nano();
        let idle = now.saturating_sub(active.last_applied_unix_nano) >= SEAL_IDLE_NS;
        let old = now.saturating_sub(active.first_applied_unix_nano) >= SEAL_AGE_MAX_NS;
        if old || (idle && active.bytes >= SEAL_IDLE_BYTES_MIN) {
            self.queue.request_rotation();
        }
    }

    /// Drops whole days that are too old, or too much.
    fn drop_expired_days(&mut self) -> Result<(), StoreError> {
        let segments = self.tables.live().segments;
        let expired = expired_days(&segments, &self.options);
        if expired.is_empty() {
            return Ok(());
        }
        let mut manifest = self.manifest.clone();
        manifest.segments.retain(|entry| !expired.contains(&entry.day));
        let data = self.options.directory.clone();
        let disk = &*self.options.disk;
        manifest.save(disk, &data).map_err(StoreError::io(data.join(filenames::MANIFEST)))?;
        self.manifest = manifest;
        let (gone, kept): (Vec<_>, Vec<_>) =
            segments.iter().cloned().partition(|segment| expired.contains(&segment.meta.day));
        self.tables.set_segments(kept);
        self.metrics.days_dropped.add(expired.len() as u64);
        let directories = gone.into_iter().map(|segment| segment.directory.clone());
        let days = expired.iter().map(|day| filenames::day_directory(&data, day));
        for directory in directories.chain(days).collect::<Vec<PathBuf>>() {
            disk.remove_directory(&directory).map_err(StoreError::io(directory))?;
        }
        tracing::info!(days = ?expired, "dropped days past their retention");
        Ok(())
    }
}

/// The days that retention wants gone. The newest day always stays, however large it is.
fn expired_days(segments: &[Arc<Segment>], options: &StoreOptions) -> Vec<String> {
    let mut days: Vec<Day> = Vec::new();
    for segment in segments {
        let end = if segment.meta.day == UNPLACED {
            segment.meta.created_unix_nano
        } else {
            segment.meta.start_min_unix_nano / DAY_NS * DAY_NS + DAY_NS
        };
        if let Some(day) = days.iter_mut().find(|day| day.name == segment.meta.day) {
            day.bytes += segment.meta.bytes();
            day.end_unix_nano = day.end_unix_nano.max(end);
        } else {
            days.push(Day { name: segment.meta.day.clone(), end_unix_nano: end, bytes: segment.meta.bytes() });
        }
    }
    days.sort_by_key(|day| day.end_unix_nano);
    let oldest_kept = options.retention_age_ns.map_or(0, |age| options.clock.now_unix_nano().saturating_sub(age));
    let mut left: u64 = days.iter().map(|day| day.bytes).sum();
    let mut expired = Vec::new();
    for (number, day) in days.iter().enumerate() {
        let too_much = options.retention_bytes.is_some_and(|most| left > most) && number + 1 < days.len();
        if day.end_unix_nano < oldest_kept || too_much {
            left -= day.bytes;
            expired.push(day.name.clone());
        }
    }
    expired
}

struct Day {
    name: String,
    end_unix_nano: u64,
    bytes: u64,
}
