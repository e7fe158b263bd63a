//! Segments of log records, and their requests in the write-ahead log.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Progress, Walk, list_or_nothing};
use crate::error::StoreError;
use crate::filenames::{self, DROPPED};
use crate::manifest::{Manifest, SegmentEntry};
use crate::segment::check::logs::check_log_segment;
use crate::verify::Finding;
use crate::wal::Record;

impl Walk<'_> {
    /// Segments of log records that are there, live or not.
    fn log_directories(&self) -> Result<BTreeSet<SegmentEntry>, StoreError> {
        let days = filenames::days_directory(self.data);
        let mut found = BTreeSet::new();
        let days_there = list_or_nothing(self.disk, &days)?;
        for day in days_there.into_iter().filter(|day| day.is_directory && !day.name.ends_with(DROPPED)) {
            for entry in list_or_nothing(self.disk, &days.join(&day.name))?.iter().filter(|entry| entry.is_directory) {
                found.extend(
                    filenames::log_segment_id(&entry.name).map(|id| SegmentEntry { id, day: day.name.clone() }),
                );
            }
        }
        Ok(found)
    }

    /// Segments of log records that are live: those the manifest names, or all without one.
    pub(super) fn live_logs(&self, manifest: Option<&Manifest>) -> Result<Vec<SegmentEntry>, StoreError> {
        match manifest {
            Some(manifest) => Ok(manifest.log_segments.clone()),
            None => Ok(self.log_directories()?.into_iter().collect()),
        }
    }

    pub(super) fn is_there(&self, entry: &SegmentEntry) -> bool {
        self.disk.list(&filenames::log_segment_directory(self.data, &entry.day, entry.id)).is_ok()
    }

    pub(super) fn count_log_bytes(&self, live: &[SegmentEntry]) -> u64 {
        let bytes = |entry: &SegmentEntry| -> u64 {
            let directory = filenames::log_segment_directory(self.data, &entry.day, entry.id);
            self.disk.list(&directory).unwrap_or_default().iter().map(|file| file.bytes).sum()
        };
        live.iter().map(bytes).sum()
    }

    pub(super) fn log_segment(&mut self, entry: &SegmentEntry, while_running: bool) {
        let (mut read, total, before) = (0, self.bytes_total, self.out.bytes);
        let progress = &mut *self.progress;
        let checked = check_log_segment(self.disk, self.data, (&entry.day, entry.id), &mut |bytes| {
            read += bytes;
            progress(Progress { bytes: before + read, bytes_total: total });
        });
        let now = Manifest::load(self.disk, self.data);
        let is_gone = matches!(now, Ok(Some(manifest)) if !manifest.log_segments.contains(entry));
        if while_running && !checked.findings.is_empty() && is_gone {
            let path = filenames::log_segment_directory(self.data, &entry.day, entry.id);
            return self.note(&path, "dropped while it was read");
        }
        self.out.segments += 1;
        self.out.files += checked.files;
        self.out.bytes += checked.bytes;
        self.out.logs += checked.spans;
        self.out.findings.extend(checked.findings);
    }

    pub(super) fn log_strangers(&mut self, live: &[SegmentEntry]) -> Result<(), StoreError> {
        for stranger in self.log_directories()?.iter().filter(|entry| !live.contains(entry)) {
            let path = filenames::log_segment_directory(self.data, &stranger.day, stranger.id);
            self.note(&path, "a segment that the manifest does not name; the next start removes it");
        }
        Ok(())
    }

    pub(super) fn request_of_logs(&mut self, path: &Path, at: usize, record: &Record) {
        match self.replay.decode_logs(record.format, record.received_unix_nano, &record.body) {
            Ok(batch) => self.out.logs += batch.len() as u64,
            Err(error) => {
                let what = format!("a request that cannot be decoded any more: {error}");
                self.out.findings.push(Finding::damage(path, Some(at as u64), what));
            }
        }
    }
}
