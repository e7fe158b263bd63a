//! One Jaeger span as it was sent, whatever it was written in, borrowed from the body. One record is filled again and again.

use model::{SpanId, TraceId};

/// A span in Jaeger's words.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    /// Zero if absent or not an id.
    pub(super) trace_id: TraceId,
    /// Zero if absent or not an id.
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    pub(super) name: &'a [u8],
    pub(super) references: Vec<Reference>,
    pub(super) flags: u32,
    pub(super) start_unix_nano: u64,
    pub(super) duration_ns: u64,
    pub(super) tags: Vec<Tag<'a>>,
    pub(super) logs: Vec<Log>,
    /// The fields of all logs.
    pub(super) log_fields: Vec<Tag<'a>>,
    pub(super) warnings: Vec<&'a [u8]>,
}

/// Something that happened. Its fields end where they say, and begin where those of the log before end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Log {
    pub(super) time_unix_nano: u64,
    pub(super) fields_end: usize,
}

/// Another span.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reference {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) ref_type: i64,
}

/// The number of `CHILD_OF` among types of references.
pub(super) const CHILD_OF: i64 = 0;
/// The number of `FOLLOWS_FROM`.
pub(super) const FOLLOWS_FROM: i64 = 1;

/// A key with its value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tag<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: TagValue<'a>,
}

/// A tag's value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum TagValue<'a> {
    #[default]
    Absent,
    Str(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
}

/// What is said of a batch's spans together.
#[derive(Debug, Default)]
pub(super) struct Process<'a> {
    pub(super) service_name: &'a [u8],
    pub(super) tags: Vec<Tag<'a>>,
}

impl<'a> Record<'a> {
    /// Forgets everything but the memory it took.
    pub(super) fn clear(&mut self) {
        let Record { references, tags, logs, log_fields, warnings, .. } = std::mem::take(self);
        *self = Record { references, tags, logs, log_fields, warnings, ..Record::default() };
        self.references.clear();
        self.tags.clear();
        self.logs.clear();
        self.log_fields.clear();
        self.warnings.clear();
    }

    /// Ends a log whose fields were pushed.
    pub(super) fn push_log(&mut self, time_unix_nano: u64) {
        self.logs.push(Log { time_unix_nano, fields_end: self.log_fields.len() });
    }

    /// The logs with their fields.
    pub(super) fn each_log(&self) -> impl Iterator<Item = (u64, &[Tag<'a>])> {
        let mut start = 0;
        self.logs.iter().map(move |log| {
            let fields = &self.log_fields[start..log.fields_end];
            start = log.fields_end;
            (log.time_unix_nano, fields)
        })
    }

    /// The span that caused this one: what the sender says, else the first reference within the trace.
    pub(super) fn parent(&self) -> SpanId {
        if !self.parent_id.is_zero() {
            return self.parent_id;
        }
        let first = |ref_type| {
            let fits = |found: &&Reference| found.ref_type == ref_type && found.trace_id == self.trace_id;
            self.references.iter().find(fits).map(|reference| reference.span_id)
        };
        first(CHILD_OF).or_else(|| first(FOLLOWS_FROM)).unwrap_or_default()
    }
}

impl Tag<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        match self.value {
            TagValue::Str(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self.value, TagValue::Bool(true) | TagValue::Str(b"true"))
    }
}
