//! [`LogBatch`]: log records as columns, with the same parts as spans.
//!
//! A log record has a time, a resource, a scope and attributes, as a span has; so its row is a row of a [`SpanBatch`], and what
//! decodes, keeps and stores spans does the same for logs. What each field of that row means for a log is said here and
//! nowhere else: read logs through [`LogRef`], make them with [`LogRow`].
//!
//! Beside the rows a log has a body, and a place: the instant its request was received and its number in the request. The
//! place never changes, and tells two records of the same instant apart.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::batch::{SpanBatch, SpanRow};
use crate::id::{SpanId, TraceId};
use crate::merge::{BatchMerger, Source};
use crate::span::{AttributeRef, SpanRef};
use crate::text::{TextId, TextTable};
use crate::value::{Value, ValueRef};

/// Set in [`SpanRow::notes`] of a log whose sender gave no time: it has the time of observation or receipt.
pub const NOTE_TIME_ASSUMED: u8 = 2;
/// Set when the trace id was found in a field, because the sender did not fill in the record's own.
pub const NOTE_IDS_FROM_FIELD: u8 = 4;
/// Set when the trace id was found in the text of the message.
pub const NOTE_IDS_FROM_TEXT: u8 = 8;

/// What every log record has exactly one of.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogRow {
    /// When it happened, Unix nanoseconds; 0 if the sender does not say.
    pub time_unix_nano: u64,
    /// When it was collected, Unix nanoseconds; 0 if the sender does not say.
    pub observed_unix_nano: u64,
    /// The trace it belongs to; zero for none.
    pub trace_id: TraceId,
    /// The span it belongs to; zero for none.
    pub span_id: SpanId,
    /// OTLP's number of the severity, 1 to 24; 0 for none. Numbers nobody has defined are kept.
    pub severity_number: i32,
    /// The severity as its sender calls it.
    pub severity_text: TextId,
    /// The name of the event that it is, if it is one.
    pub event_name: TextId,
    /// What it says.
    pub body: Value,
    /// W3C trace flags.
    pub flags: u32,
    /// Attributes the sender, or a limit, dropped.
    pub dropped_attributes_count: u32,
    /// Its scope, in [`SpanBatch::scopes`].
    pub scope: u32,
}

/// Where a record is among all others: newer ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPlace {
    /// When it happened, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// When its request was received, Unix nanoseconds.
    pub received_unix_nano: u64,
    /// Its number in the request.
    pub number: u32,
}

/// Log records as columns.
#[derive(Debug, Clone, Default)]
pub struct LogBatch {
    /// Texts, resources, scopes, attributes and one row a log; see the module's head.
    pub rows: Arc<SpanBatch>,
    /// One a row.
    pub bodies: Vec<Value>,
    /// When the request of each row was received, Unix nanoseconds.
    pub received_unix_nano: Vec<u64>,
    /// The number of each row in its request.
    pub numbers: Vec<u32>,
}

impl LogRow {
    /// The row of a batch that says the same, but for the body.
    pub fn to_span_row(self) -> SpanRow {
        SpanRow {
            trace_id: self.trace_id,
            span_id: self.span_id,
            start_unix_nano: self.time_unix_nano,
            end_unix_nano: self.observed_unix_nano,
            name: self.event_name,
            kind: self.severity_number,
            status_message: self.severity_text,
            flags: self.flags,
            dropped_attributes_count: self.dropped_attributes_count,
            scope: self.scope,
            ..SpanRow::default()
        }
    }
}

impl LogBatch {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let places = self.received_unix_nano.capacity() * 8 + self.numbers.capacity() * 4;
        self.rows.heap_bytes() + self.bodies.capacity() * size_of::<Value>() + places
    }

    /// Gives unused memory back; for batches that are kept.
    pub fn shrink_to_fit(&mut self) {
        if let Some(rows) = Arc::get_mut(&mut self.rows) {
            rows.shrink_to_fit();
        }
        self.bodies.shrink_to_fit();
    }

    /// One record.
    pub fn log(&self, index: usize) -> LogRef<'_> {
        LogRef { batch: self, index }
    }

    /// All records.
    pub fn logs(&self) -> impl Iterator<Item = LogRef<'_>> {
        (0..self.len()).map(|index| self.log(index))
    }
}

/// One record of a batch.
#[derive(Clone, Copy)]
pub struct LogRef<'a> {
    /// Its batch.
    pub batch: &'a LogBatch,
    /// Its row.
    pub index: usize,
}

impl<'a> LogRef<'a> {
    fn row(self) -> &'a SpanRow {
        &self.batch.rows.rows[self.index]
    }

    /// The row as what is common to spans and logs: attributes, scope and resource.
    pub fn span(self) -> SpanRef<'a> {
        self.batch.rows.span(self.index)
    }

    /// Where it is among all others.
    pub fn place(self) -> LogPlace {
        LogPlace {
            time_unix_nano: self.row().start_unix_nano,
            received_unix_nano: self.batch.received_unix_nano[self.index],
            number: self.batch.numbers[self.index],
        }
    }

    /// When it happened, Unix nanoseconds.
    pub fn time_unix_nano(self) -> u64 {
        self.row().start_unix_nano
    }

    /// When it was collected, Unix nanoseconds.
    pub fn observed_unix_nano(self) -> u64 {
        self.row().end_unix_nano
    }

    /// The trace it belongs to, if that is known.
    pub fn trace_id(self) -> Option<TraceId> {
        Some(self.row().trace_id).filter(|id| !id.is_zero())
    }

    /// The span it belongs to, if that is known.
    pub fn span_id(self) -> Option<SpanId> {
        Some(self.row().span_id).filter(|id| !id.is_zero())
    }

    /// OTLP's number of the severity, 0 for none.
    pub fn severity_number(self) -> i32 {
        self.row().kind
    }

    /// The severity as its sender calls it.
    pub fn severity_text(self) -> &'a str {
        self.batch.rows.text.str(self.row().status_message)
    }

    /// The name of the event that it is, empty if it is none.
    pub fn event_name(self) -> &'a str {
        self.batch.rows.text.str(self.row().name)
    }

    /// What it says.
    pub fn body(self) -> ValueRef<'a> {
        self.batch.bodies[self.index].resolve(&self.batch.rows.text)
    }

    /// W3C trace flags.
    pub fn flags(self) -> u32 {
        self.row().flags
    }

    /// Attributes the sender, or a limit, dropped.
    pub fn dropped_attributes_count(self) -> u32 {
        self.row().dropped_attributes_count
    }

    /// What was noticed about it.
    pub fn notes(self) -> u8 {
        self.row().notes
    }

    /// The service's name, empty if the sender gave none.
    pub fn service_name(self) -> &'a str {
        self.span().service_name()
    }

    /// Its own attributes.
    pub fn attributes(self) -> impl Iterator<Item = AttributeRef<'a>> + Clone {
        self.span().attributes()
    }
}

impl fmt::Debug for LogRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("place", &self.place())
            .field("service", &self.service_name())
            .field("severity", &self.severity_number())
            .field("body", &self.body())
            .field("attributes", &self.attributes().collect::<Vec<_>>())
            .finish()
    }
}

/// The body of a type that has this comparison text: the other direction of [`ValueRef::comparison_text`].
pub fn body_of(type_name: &str, body: TextId, text: &mut TextTable) -> Option<Value> {
    match type_name {
        "string" => Some(Value::Str(body)),
        "json" => Some(Value::Json(body)),
        "bool" => text.str(body).parse().ok().map(Value::Bool),
        "int" => text.str(body).parse().ok().map(Value::Int),
        "double" => text.str(body).parse().ok().map(Value::Double),
        "bytes" => {
            let bytes = STANDARD.decode(text.bytes(body)).ok()?;
            Some(Value::Bytes(text.intern(&bytes)))
        }
        _ => None,
    }
}

/// Collects records of other batches into one.
#[derive(Debug, Default)]
pub struct LogMerger {
    rows: BatchMerger,
    out: LogBatch,
}

impl LogMerger {
    /// A batch to copy from.
    pub fn source(batch: &LogBatch) -> Source<'_> {
        Source::new(&batch.rows)
    }

    /// Copies record `index` of `batch`, of which `source` was made.
    pub fn push(&mut self, source: &mut Source<'_>, batch: &LogBatch, index: usize) {
        self.rows.push(source, index);
        self.out.bodies.push(self.rows.value(source, batch.bodies[index]));
        self.out.received_unix_nano.push(batch.received_unix_nano[index]);
        self.out.numbers.push(batch.numbers[index]);
    }

    /// The merged batch.
    pub fn finish(self) -> LogBatch {
        LogBatch { rows: Arc::new(self.rows.finish()), ..self.out }
    }
}

/// The severities that OTLP's numbers fall into, each with its lowest number.
pub const SEVERITIES: [(&str, i32); 7] =
    [("unset", 0), ("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("fatal", 21)];

/// The name of the severity that a number falls into.
pub fn severity_name(number: i32) -> &'static str {
    let place = SEVERITIES.iter().rposition(|(_, lowest)| number >= *lowest).unwrap_or(0);
    SEVERITIES[place].0
}

/// The number that a severity begins at, by any of the names that loggers have for it; or a number itself.
pub fn severity_number(name: &str) -> Option<i32> {
    let lowest = |name| SEVERITIES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let upper = name.trim().to_ascii_uppercase();
    match upper.as_str() {
        "UNSET" | "UNSPECIFIED" | "NOTSET" => lowest("unset"),
        "TRACE" | "FINEST" | "FINER" | "VERBOSE" | "SILLY" => lowest("trace"),
        "DEBUG" | "FINE" | "DBG" | "D" => lowest("debug"),
        "INFO" | "INFORMATION" | "INFORMATIONAL" | "NOTICE" | "LOG" | "CONFIG" | "HTTP" | "I" => lowest("info"),
        "WARN" | "WARNING" | "W" => lowest("warn"),
        "ERROR" | "ERR" | "SEVERE" | "E" => lowest("error"),
        "FATAL" | "CRITICAL" | "CRIT" | "ALERT" | "EMERG" | "EMERGENCY" | "PANIC" | "DPANIC" | "F" => lowest("fatal"),
        digits => digits.parse().ok().filter(|number| (0..=24).contains(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_by_any_name() {
        // Guarantees that the names of common loggers and OTLP's numbers fall into one order of severities.
        for (name, number) in [("WARNING", 13), ("err", 17), ("CRITICAL", 21), ("10", 10), ("Notice", 9), ("finest", 1)]
        {
            assert_eq!(severity_number(name), Some(number), "{name}");
        }
        assert_eq!(severity_number("loud"), None);
        assert_eq!(severity_number("25"), None);
        let names = [0, 1, 4, 5, 12, 13, 20, 24, 99].map(severity_name);
        assert_eq!(names, ["unset", "trace", "trace", "debug", "info", "warn", "error", "fatal", "fatal"]);
    }
}
