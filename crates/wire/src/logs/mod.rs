//! Senders' log records to [`model::LogBatch`]: the step *decode* for logs.
//!
//! Records come as OTLP, as lines of JSON, and in what log shippers send to Elasticsearch. All of them end in [`LogSink`], which
//! is the [`crate::sink::Sink`] of spans with a body beside each row, so that limits and counts are the same.
//!
//! Deliberately absent: clocks (a record without a time gets one from `server`'s *admit*).

mod ids;
mod lines;
mod plain;
mod record;
mod sink;
mod time;

pub use lines::{BulkItem, bulk_items};
use model::{Limits, LogBatch};
pub(crate) use sink::LogSink;

use crate::report::Report;
use crate::{BODY_BYTES_MAX, DecodeError, otlp};

/// What a body of log records is written in. The numbers are in records of the write-ahead log and never change; those of
/// [`crate::Format`] are smaller than [`LogFormat::FIRST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LogFormat {
    /// `ExportLogsServiceRequest` or `LogsData` as protobuf.
    OtlpProtobuf = 64,
    /// The same as JSON.
    OtlpJson = 65,
    /// One JSON object a line, or an array of them.
    JsonLines = 66,
    /// Elasticsearch's `_bulk`: a line that says what to do, a line of JSON.
    Bulk = 67,
    /// Lines of text; those of one message become one record.
    Text = 68,
}

impl LogFormat {
    /// The lowest number of a format of logs.
    pub const FIRST: u8 = 64;

    /// All formats, in the order of their numbers.
    pub const ALL: [LogFormat; 5] =
        [LogFormat::OtlpProtobuf, LogFormat::OtlpJson, LogFormat::JsonLines, LogFormat::Bulk, LogFormat::Text];

    /// The format with this number.
    pub fn from_u8(number: u8) -> Option<LogFormat> {
        LogFormat::ALL.into_iter().find(|&format| format as u8 == number)
    }
}

/// A decoded body: the records, and what was not kept of them.
#[derive(Debug)]
pub struct DecodedLogs {
    /// The records that were kept.
    pub batch: LogBatch,
    /// What was not kept; its spans are log records.
    pub report: Report,
}

/// Decodes a body received at `received_unix_nano` into a batch of about `batch_bytes_max` of memory at the most.
///
/// Records that cannot be kept are counted in the report; only a body that cannot be read at all is an error.
pub fn decode_logs(
    format: LogFormat,
    received_unix_nano: u64,
    body: &[u8],
    limits: &Limits,
    batch_bytes_max: usize,
) -> Result<DecodedLogs, DecodeError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes: body.len() });
    }
    let mut logs = LogSink::new(limits, batch_bytes_max);
    let read = match format {
        LogFormat::OtlpProtobuf => otlp::decode_logs_protobuf(body, &mut logs),
        LogFormat::OtlpJson => otlp::decode_logs_json(body, &mut logs),
        LogFormat::JsonLines => {
            lines::decode_json_lines(body, &mut logs);
            Ok(())
        }
        LogFormat::Bulk => {
            lines::decode_bulk(body, &mut logs);
            Ok(())
        }
        LogFormat::Text => {
            plain::decode_text(body, &mut logs);
            Ok(())
        }
    };
    logs.sink.look();
    if logs.sink.is_overfull() {
        return Err(DecodeError::BatchTooLarge { bytes_max: batch_bytes_max });
    }
    read.map(|()| logs.finish(received_unix_nano))
}
