//! A naive store that keeps everything in a list: what the real one is compared with.

use std::collections::BTreeMap;

use model::{SpanBatch, SpanKey, SpanRef, TraceId};

use crate::spans::normal_form;

/// All batches ever appended, in order.
#[derive(Debug, Default)]
pub struct ReferenceStore {
    batches: Vec<SpanBatch>,
}

impl ReferenceStore {
    /// Remembers a batch.
    pub fn append(&mut self, batch: SpanBatch) {
        self.batches.push(batch);
    }

    /// All records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = SpanRef<'_>> {
        self.batches.iter().flat_map(SpanBatch::spans)
    }

    /// Every span by its key; of records of the same span the last one.
    pub fn spans(&self) -> BTreeMap<SpanKey, SpanRef<'_>> {
        self.records().map(|span| (span.key(), span)).collect()
    }

    /// The normal forms of a trace's spans.
    pub fn trace(&self, id: TraceId) -> BTreeMap<SpanKey, String> {
        let spans = self.records().filter(|span| span.trace_id() == id);
        spans.map(|span| (span.key(), normal_form(span))).collect()
    }
}
