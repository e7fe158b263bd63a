//! [`LogSink`]: the sink of spans with a body beside each row.

use std::sync::Arc;

use model::{Level, Limits, LogBatch, LogRow, SpanId, TraceId, Value};

use super::DecodedLogs;
use super::ids::IdFinder;
use crate::context::{OpenResource, OpenScope};
use crate::report::Reason;
use crate::sink::Sink;

/// Collects a batch of log records.
#[derive(Debug)]
pub(crate) struct LogSink<'l> {
    pub(crate) sink: Sink<'l>,
    bodies: Vec<Value>,
    ids: IdFinder,
    /// The service whose records are being read, for formats that have no resources.
    service: Option<(Vec<u8>, OpenResource, OpenScope)>,
}

impl<'l> LogSink<'l> {
    pub(crate) fn new(limits: &'l Limits, batch_bytes_max: usize) -> Self {
        LogSink {
            sink: Sink::new(limits, batch_bytes_max),
            bodies: Vec::new(),
            ids: IdFinder::default(),
            service: None,
        }
    }

    /// Takes over the ids of a record. Absent ones are none; those of a wrong length are counted and none.
    pub(crate) fn set_ids(&mut self, row: &mut LogRow, trace_id: &[u8], span_id: &[u8]) {
        row.trace_id = TraceId::from_slice(trace_id).unwrap_or_default();
        row.span_id = SpanId::from_slice(span_id).unwrap_or_default();
        let is_wrong = |id: &[u8], length: usize| !id.is_empty() && id.len() != length;
        if is_wrong(trace_id, 16) || is_wrong(span_id, 8) {
            self.sink.report.add(Reason::InvalidIdOfLog);
        }
    }

    /// Adds a record which owns the attributes pushed since the one before it.
    pub(crate) fn push(&mut self, row: LogRow) {
        let mut span = row.to_span_row();
        let batch = &mut self.sink.batch;
        let from = batch.attribute_ranges.end();
        let pairs = (&batch.attributes.keys[from..], &batch.attributes.values[from..]);
        self.ids.fill(&mut span, &batch.text, pairs, row.body);
        batch.push_span(span);
        self.bodies.push(row.body);
    }

    /// Says of which service the next record is; for formats that have no resources.
    pub(super) fn of_service(&mut self, name: &[u8]) {
        if self.service.as_ref().is_some_and(|(known, ..)| known == name) {
            return;
        }
        self.close_service();
        let mut open = self.sink.open_resource();
        if !name.is_empty()
            && let Some(key) = self.sink.key(&mut open.attributes, b"service.name")
        {
            let value = Value::Str(self.sink.text(name));
            self.sink.push(Level::Resource, key, value);
        }
        let scope = self.sink.open_scope();
        self.service = Some((name.to_vec(), open, scope));
    }

    fn close_service(&mut self) {
        if let Some((_, resource, scope)) = self.service.take() {
            self.sink.close_scope(&scope);
            self.sink.close_resource(&resource);
        }
    }

    pub(crate) fn finish(mut self, received_unix_nano: u64) -> DecodedLogs {
        self.close_service();
        let mut decoded = self.sink.finish();
        if let Some(problem) = &mut decoded.report.first_problem
            && let Some(rest) = problem.strip_prefix("span ")
        {
            *problem = format!("record {rest}");
        }
        let count = self.bodies.len();
        let batch = LogBatch {
            rows: Arc::new(decoded.batch),
            bodies: self.bodies,
            received_unix_nano: vec![received_unix_nano; count],
            numbers: (0..count as u32).collect(),
        };
        DecodedLogs { batch, report: decoded.report }
    }
}
