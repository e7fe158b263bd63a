//! Log records of a memtable: batches as they were decoded, found by trace and by time.

use std::sync::Arc;

use model::{LogBatch, NOTE_TIME_OUT_OF_RANGE, TraceId};

use crate::memtable::{INDEX_BYTES_PER_SPAN, RowIndex};

/// A batch with the bounds of what is in it.
#[derive(Debug)]
pub(crate) struct HeldLogs {
    pub(crate) batch: LogBatch,
    /// The earliest and latest time.
    pub(crate) times: (u64, u64),
    /// The lowest and highest number of severity.
    pub(crate) severities: (i32, i32),
}

impl HeldLogs {
    fn new(batch: LogBatch) -> Self {
        let mut held = HeldLogs { times: (u64::MAX, 0), severities: (i32::MAX, i32::MIN), batch };
        for row in &held.batch.rows.rows {
            held.times = (held.times.0.min(row.start_unix_nano), held.times.1.max(row.start_unix_nano));
            held.severities = (held.severities.0.min(row.kind), held.severities.1.max(row.kind));
        }
        held
    }
}

/// The log records of a memtable.
#[derive(Debug, Default)]
pub(crate) struct LogTable {
    pub(crate) batches: Vec<Arc<HeldLogs>>,
    traces: RowIndex,
    pub(crate) records: usize,
    /// The earliest and latest time of records whose time can be right.
    pub(crate) placed_times: Option<(u64, u64)>,
}

impl LogTable {
    /// Makes a batch searchable; says how much memory that takes.
    pub(crate) fn apply(&mut self, batch: LogBatch) -> usize {
        let bytes = batch.heap_bytes() + batch.len() * INDEX_BYTES_PER_SPAN;
        let held = Arc::new(HeldLogs::new(batch));
        let number = self.batches.len() as u32;
        for (index, row) in held.batch.rows.rows.iter().enumerate() {
            if !row.trace_id.is_zero() {
                self.traces.insert(row.trace_id, number, index as u32);
            }
            if row.notes & NOTE_TIME_OUT_OF_RANGE == 0 {
                let (oldest, newest) = self.placed_times.unwrap_or((u64::MAX, 0));
                self.placed_times = Some((oldest.min(row.start_unix_nano), newest.max(row.start_unix_nano)));
            }
        }
        self.records += held.batch.len();
        self.batches.push(held);
        bytes
    }

    /// Records of a trace, by batch and row.
    pub(crate) fn trace(&self, id: TraceId) -> Vec<(Arc<HeldLogs>, u32)> {
        let rows = self.traces.rows(id).into_iter();
        rows.map(|(batch, row)| (Arc::clone(&self.batches[batch as usize]), row)).collect()
    }
}
