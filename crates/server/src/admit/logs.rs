//! What is accepted of a request of log records: limits, a time for those that have none, and a look at their clocks.
//!
//! As for spans, one pure function for what has just arrived and for what is replayed.

use std::sync::Arc;

use model::log::NOTE_TIME_ASSUMED;
use model::{Limits, LogBatch, NOTE_TIME_OUT_OF_RANGE};
use wire::DecodeError;
use wire::logs::{DecodedLogs, LogFormat};

/// A request of log records, decoded, bounded and checked.
#[derive(Debug)]
pub struct AdmittedLogs {
    /// What was decoded, and what was not kept.
    pub decoded: DecodedLogs,
    /// Records kept although their time lies far from the time of receipt; each carries a note.
    pub out_of_range: u64,
}

/// Decodes `body` as it was received at `received_unix_nano`, into at most about `batch_bytes_max` of memory.
pub fn admit_logs(
    format: LogFormat,
    received_unix_nano: u64,
    body: &[u8],
    limits: &Limits,
    batch_bytes_max: usize,
) -> Result<AdmittedLogs, DecodeError> {
    let mut decoded = wire::logs::decode_logs(format, received_unix_nano, body, limits, batch_bytes_max)?;
    let out_of_range = settle_times(&mut decoded.batch, received_unix_nano, limits);
    Ok(AdmittedLogs { decoded, out_of_range })
}

/// A record that does not say when it happened has happened when it was observed, or received.
fn settle_times(batch: &mut LogBatch, received_unix_nano: u64, limits: &Limits) -> u64 {
    let mut noted = 0;
    for row in &mut Arc::make_mut(&mut batch.rows).rows {
        if row.end_unix_nano == 0 {
            row.end_unix_nano = received_unix_nano;
        }
        if row.start_unix_nano == 0 {
            row.start_unix_nano = row.end_unix_nano;
            row.notes |= NOTE_TIME_ASSUMED;
        }
        if limits.out_of_range(row.start_unix_nano, received_unix_nano) {
            row.notes |= NOTE_TIME_OUT_OF_RANGE;
            noted += 1;
        }
    }
    noted
}
