//! The log records of a frozen memtable become segments of their own, beside those of its spans.

use std::sync::Arc;

use model::{LogBatch, LogPlace, SpanBatch};

use super::{LOOK_INTERVAL, Sealer, remove_directory_if_there};
use crate::error::StoreError;
use crate::filenames::{self, ASIDE};
use crate::memtable::Memtable;
use crate::segment::logs::LogSegment;
use crate::segment::source::{RowAt, SealSource, rows_by_day};
use crate::segment::write::SegmentSpec;
use crate::segment::write::logs::{LogSource, write_log_segment};
use crate::tables::Live;

impl Sealer {
    /// Writes the log records of a memtable, day by day; what is finished already is kept.
    pub(super) fn write_logs(
        &mut self,
        memtable: &Arc<Memtable>,
        (wal_first, wal_last): (u64, u64),
    ) -> Result<(), StoreError> {
        let logs: Vec<Arc<LogBatch>> = memtable.log_batches().iter().map(|held| Arc::new(held.batch.clone())).collect();
        if logs.is_empty() {
            return Ok(());
        }
        let batches: Vec<Arc<SpanBatch>> = logs.iter().map(|logs| Arc::clone(&logs.rows)).collect();
        let rows = SealSource::new(&batches);
        let source = LogSource { rows: &rows, logs: &logs };
        let memory_bytes = logs.iter().map(|batch| batch.heap_bytes() as u64).sum();
        for (day, rows) in rows_by_day(by_place(&logs)) {
            if self.unpublished_logs.iter().any(|segment| segment.meta.day == day) {
                continue;
            }
            let id = self.manifest.next_segment_id;
            self.manifest.next_segment_id += 1;
            let created_unix_nano = self.options.clock.now_unix_nano();
            let merged_from = Vec::new();
            let spec = SegmentSpec { id, day, wal_first, wal_last, created_unix_nano, memory_bytes, merged_from };
            self.unpublished_logs.push(self.write_and_open_logs(&spec, &source, &rows)?);
        }
        Ok(())
    }

    fn write_and_open_logs(
        &self,
        spec: &SegmentSpec,
        source: &LogSource<'_>,
        rows: &[RowAt],
    ) -> Result<Arc<LogSegment>, StoreError> {
        let (disk, data) = (&*self.options.disk, &self.options.directory);
        let place = filenames::log_segment_directory(data, &spec.day, spec.id);
        let written = write_log_segment(disk, data, spec, source, rows).and_then(|directory| {
            let opened = LogSegment::open(disk, &directory, &self.cache).map(Arc::new);
            opened.map_err(|error| StoreError::Corrupt {
                path: directory,
                reason: format!("it was just written and cannot be read: {error}"),
            })
        });
        if written.is_err() {
            for left in [place.with_extension(&ASIDE[1..]), place] {
                if let Err(error) = remove_directory_if_there(disk, &left) {
                    tracing::warn!(%error, "an unfinished segment could not be removed; the next start does it");
                }
            }
        }
        written
    }

    /// All segments of log records, those that were just published among them.
    pub(super) fn published_logs(&mut self) -> Vec<Arc<LogSegment>> {
        let mut segments = self.tables.live().log_segments.to_vec();
        for segment in self.unpublished_logs.drain(..) {
            self.metrics.segments_sealed.add(1);
            self.metrics.segment_bytes_written.add(segment.meta.bytes());
            segments.push(segment);
        }
        segments
    }

    /// Forgets segments of days that are dropped.
    pub(super) fn forget_logs(&mut self, live: &Live, kept: &impl Fn(&String) -> bool) {
        let segments = live.log_segments.iter().filter(|segment| kept(&segment.meta.day));
        self.tables.set_log_segments(segments.cloned().collect());
        self.unpublished_logs.retain(|segment| kept(&segment.meta.day));
        self.unreadable_logs.retain(|entry| kept(&entry.day));
        self.manifest.log_segments.retain(|entry| kept(&entry.day));
    }

    /// Tries again to open what could not be read.
    pub(super) fn open_unreadable_logs(&mut self) {
        if self.unreadable_logs.is_empty() || self.tried_to_open.elapsed() < LOOK_INTERVAL {
            return;
        }
        let mut segments = self.tables.live().log_segments.to_vec();
        let (disk, data, cache, before) = (&*self.options.disk, &self.options.directory, &self.cache, segments.len());
        self.unreadable_logs.retain(|entry| {
            let directory = filenames::log_segment_directory(data, &entry.day, entry.id);
            let opened = LogSegment::open(disk, &directory, cache);
            opened.map(|segment| segments.push(Arc::new(segment))).is_err()
        });
        if segments.len() > before {
            self.tables.set_log_segments(segments);
            self.tell_unreadable();
        }
        if self.unreadable.is_empty() {
            self.tried_to_open = std::time::Instant::now();
        }
    }
}

/// All rows, oldest first.
fn by_place(logs: &[Arc<LogBatch>]) -> Vec<RowAt> {
    let mut places: Vec<(LogPlace, u32, u32)> = Vec::with_capacity(logs.iter().map(|batch| batch.len()).sum());
    for (number, batch) in (0..).zip(logs) {
        places.extend(batch.logs().map(|log| (log.place(), number, log.index as u32)));
    }
    places.sort_unstable();
    let row = |(_, batch, row): (LogPlace, u32, u32)| RowAt {
        batch,
        row,
        span: logs[batch as usize].rows.rows[row as usize],
    };
    places.into_iter().map(row).collect()
}
