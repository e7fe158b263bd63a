//! What is accepted of a request: limits, and a look at its clock.
//!
//! One pure function for a request that has just arrived and for the same request replayed from the WAL, so that both give
//! the same spans. What is refused is counted in the [`wire::Report`], which goes to the sender and into the metrics.

pub mod logs;

use model::{Limits, LogBatch, NOTE_TIME_OUT_OF_RANGE, SpanBatch};
use wire::logs::LogFormat;
use wire::{DecodeError, Decoded, Format};

/// A request decoded, bounded and checked.
#[derive(Debug)]
pub struct Admitted {
    /// What was decoded, and what was not kept.
    pub decoded: Decoded,
    /// Spans kept although their times lie far from the time of receipt; each carries a note.
    pub out_of_range_spans: u64,
}

/// Decodes `body` as it was received at `received_unix_nano`, into at most about `batch_bytes_max` of memory.
pub fn admit(
    format: Format,
    received_unix_nano: u64,
    body: &[u8],
    limits: &Limits,
    batch_bytes_max: usize,
) -> Result<Admitted, DecodeError> {
    let mut decoded = wire::decode_within(format, body, limits, batch_bytes_max)?;
    let out_of_range_spans = note_odd_times(&mut decoded.batch, received_unix_nano, limits);
    Ok(Admitted { decoded, out_of_range_spans })
}

fn note_odd_times(batch: &mut SpanBatch, received_unix_nano: u64, limits: &Limits) -> u64 {
    let mut noted = 0;
    for row in &mut batch.rows {
        let odd = |unix_nano| limits.out_of_range(unix_nano, received_unix_nano);
        if odd(row.start_unix_nano) || odd(row.end_unix_nano) {
            row.notes |= NOTE_TIME_OUT_OF_RANGE;
            noted += 1;
        }
    }
    noted
}

/// Admits WAL records the way they were admitted when they arrived.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAgain {
    /// The limits requests are held to.
    pub limits: Limits,
}

impl store::Replay for AdmitAgain {
    fn decode(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<SpanBatch, String> {
        let format = Format::from_u8(format).ok_or_else(|| format!("format {format} is unknown"))?;
        // It was taken once, perhaps with more memory than there is now.
        let admitted = admit(format, received_unix_nano, body, &self.limits, usize::MAX);
        Ok(admitted.map_err(|error| error.to_string())?.decoded.batch)
    }

    fn decode_logs(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<LogBatch, String> {
        let format = LogFormat::from_u8(format).ok_or_else(|| format!("format {format} is unknown"))?;
        let admitted = logs::admit_logs(format, received_unix_nano, body, &self.limits, usize::MAX);
        Ok(admitted.map_err(|error| error.to_string())?.decoded.batch)
    }
}
