//! Opening the segments of log records, and replaying requests of them.

use std::path::Path;
use std::sync::Arc;

use super::{Replay, is_damage, quarantine};
use crate::disk::Disk;
use crate::filenames;
use crate::manifest::{Manifest, SegmentEntry};
use crate::memtable::Memtable;
use crate::metrics::Metrics;
use crate::segment::cache::PageCache;
use crate::segment::logs::LogSegment;
use crate::wal::Record;

/// The segments of log records that a store begins with.
#[derive(Debug, Default)]
pub(crate) struct SealedLogs {
    pub(crate) segments: Vec<Arc<LogSegment>>,
    /// Live ones that the system refuses to read.
    pub(crate) unreadable: Vec<SegmentEntry>,
}

/// Has a manifest that is made anew name all segments that are there.
pub(super) fn name_all(manifest: &mut Manifest, places: &[(String, u64)]) {
    manifest.log_segments = places.iter().map(|(day, id)| SegmentEntry { id: *id, day: day.clone() }).collect();
    let next = places.iter().map(|(_, id)| id + 1).max().unwrap_or(1);
    manifest.next_segment_id = manifest.next_segment_id.max(next);
}

/// Forgets segments that retention was dropping, and removes those that no manifest names.
pub(super) fn remove_strangers(
    disk: &dyn Disk,
    data: &Path,
    manifest: &mut Manifest,
    places: &[(String, u64)],
    dropped_days: &[String],
) {
    let there = |entry: &SegmentEntry| places.contains(&(entry.day.clone(), entry.id));
    manifest.log_segments.retain(|entry| there(entry) || !dropped_days.contains(&entry.day));
    for (day, id) in places {
        if manifest.log_segments.iter().any(|entry| (&entry.day, &entry.id) == (day, id)) {
            continue;
        }
        let directory = filenames::log_segment_directory(data, day, *id);
        if let Err(error) = disk.remove_directory(&directory) {
            tracing::warn!(%error, path = %directory.display(), "what an interrupted seal left cannot be removed");
            manifest.next_segment_id = manifest.next_segment_id.max(id + 1);
        }
    }
}

/// Opens the live segments; moves damaged ones out of the way.
pub(super) fn open_or_quarantine(
    disk: &dyn Disk,
    data: &Path,
    metrics: &Metrics,
    cache: &Arc<PageCache>,
    manifest: &mut Manifest,
) -> SealedLogs {
    let mut sealed = SealedLogs::default();
    let mut kept = Vec::new();
    for entry in std::mem::take(&mut manifest.log_segments) {
        let directory = filenames::log_segment_directory(data, &entry.day, entry.id);
        let open = || LogSegment::open(disk, &directory, cache);
        // A disk that refuses once may do so for a moment only.
        match open().or_else(|error| if is_damage(&error) { Err(error) } else { open() }) {
            Ok(segment) => {
                sealed.segments.push(Arc::new(segment));
                kept.push(entry);
            }
            Err(error) => {
                tracing::error!(%error, segment = entry.id, day = entry.day, "a segment of log records cannot be read");
                if is_damage(&error) && quarantine(disk, data, &directory).is_ok() {
                    metrics.segments_quarantined.add(1);
                    continue;
                }
                sealed.unreadable.push(entry.clone());
                kept.push(entry);
            }
        }
    }
    manifest.log_segments = kept;
    sealed
}

/// Applies a request of log records.
pub(super) fn apply_record(record: &Record, replay: &dyn Replay, metrics: &Metrics, memtable: &Memtable, now: u64) {
    match replay.decode_logs(record.format, record.received_unix_nano, &record.body) {
        Ok(mut batch) if !batch.is_empty() => {
            batch.shrink_to_fit();
            metrics.logs_applied.add(batch.len() as u64);
            memtable.apply_logs(batch, now);
        }
        Ok(_) => {}
        Err(error) => {
            metrics.wal_damaged_places.add(1);
            tracing::error!(error, "a request of log records in the WAL cannot be decoded any more");
        }
    }
}
