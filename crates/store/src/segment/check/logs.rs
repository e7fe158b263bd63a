//! Whether a segment of log records still is what was written: files as in any segment, then rows against the index.

use std::path::Path;
use std::sync::Arc;

use model::text::hash_text;
use model::{LogBatch, LogPlace};

use super::{CACHE_BYTES, Check, Checked};
use crate::disk::Disk;
use crate::filenames;
use crate::logs::words::word_hashes;
use crate::options::BLOCK_ROWS;
use crate::segment::cache::PageCache;
use crate::segment::index::Block;
use crate::segment::logs::LogSegment;

/// Checks the segment of log records `id` of `day`; `read` is told of bytes that were hashed.
pub(crate) fn check_log_segment(
    disk: &dyn Disk,
    data: &Path,
    (day, id): (&str, u64),
    read: &mut dyn FnMut(u64),
) -> Checked {
    let directory = filenames::log_segment_directory(data, day, id);
    let mut check = Check { disk, directory: &directory, out: Checked::default() };
    if let Some(meta) = check.meta(day, id) {
        read(check.out.bytes);
        for file in &meta.files {
            check.file(file, read);
        }
        if check.out.findings.is_empty() {
            check.log_contents();
        }
        check.strangers(&meta);
    }
    check.out
}

impl Check<'_> {
    /// Reads all rows and compares them with what the index says of them.
    fn log_contents(&mut self) {
        let cache = Arc::new(PageCache::new(CACHE_BYTES));
        let segment = match LogSegment::open(self.disk, self.directory, &cache) {
            Ok(segment) => segment,
            Err(error) => return self.unreadable(&error),
        };
        let index = self.directory.join(filenames::INDEX);
        let mut last = LogPlace::default();
        for (number, block) in segment.index.blocks.iter().enumerate() {
            let start = number * BLOCK_ROWS;
            let rows = start..start + block.rows as usize;
            let batch = match segment.read(std::slice::from_ref(&rows)) {
                Ok(batch) => batch,
                Err(error) => return self.unreadable(&error),
            };
            self.out.spans += batch.len() as u64;
            let checked = check_block(block, &batch)
                .and_then(|()| check_order(&batch, &mut last))
                .and_then(|()| check_index(&segment, number, &batch));
            if let Err(what) = checked {
                self.damage(&index, None, format!("block {number}: {what}"));
            }
        }
    }
}

fn check_block(said: &Block, batch: &LogBatch) -> Result<(), String> {
    let mut found = Block::default();
    for log in batch.logs() {
        let severity = log.severity_number();
        found.add(log.time_unix_nano(), severity.max(0) as u64, severity >= crate::segment::write::logs::ERROR);
    }
    let bounds = |block: &Block| (block.start_min, block.start_max, block.duration_min, block.duration_max);
    let same = (said.rows, said.errors, bounds(said)) == (found.rows, found.errors, bounds(&found));
    if same { Ok(()) } else { Err("other counts or bounds than its rows have".to_owned()) }
}

fn check_order(batch: &LogBatch, last: &mut LogPlace) -> Result<(), String> {
    for log in batch.logs() {
        if log.place() < *last {
            return Err("rows that are not in the order of time".to_owned());
        }
        *last = log.place();
    }
    Ok(())
}

/// Whether the index finds every record by its trace and by the words of its body.
fn check_index(segment: &LogSegment, number: usize, batch: &LogBatch) -> Result<(), String> {
    for (row, log) in ((number * BLOCK_ROWS) as u32..).zip(batch.logs()) {
        if let Some(id) = log.trace_id() {
            let places = segment.index.trace_rows(hash_text(&id.0)).map_err(|error| error.to_string())?;
            if !places.iter().any(|place| (place.row..place.row + place.rows).contains(&row)) {
                return Err(format!("trace {id} is not found in row {row}"));
            }
        }
        for hash in word_hashes(&log.body().comparison_text()) {
            if !segment.index.block_may_contain(number, hash).map_err(|error| error.to_string())? {
                return Err(format!("a word of row {row} is not in the filter"));
            }
        }
    }
    Ok(())
}
