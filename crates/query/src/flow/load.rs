//! Loading traces into the cone, each once, until the limits are reached.

use std::collections::HashSet;

use flow::tree::Tree;
use model::{SpanBatch, TraceId};

use super::Run;
use crate::contract::QueryError;
use crate::source::Source;
use crate::trace::Trace;

/// Traces that are asked for at once.
const TOGETHER_MAX: usize = 64;

impl<S: Source> Run<'_, S> {
    /// Loads those traces that are not known yet; of too many, the first.
    pub(super) fn load(&mut self, ids: impl IntoIterator<Item = TraceId>) -> Result<(), QueryError> {
        let mut ids: Vec<TraceId> = ids.into_iter().filter(|&id| !self.cone.is_known(id)).collect();
        let mut seen = HashSet::new();
        ids.retain(|&id| seen.insert(id));
        let mut rest = &ids[..];
        while !rest.is_empty() {
            if self.is_full() {
                self.truncated = true;
                return Ok(());
            }
            let room = self.query.limits.traces_max - self.loaded.0;
            let records = self.source.traces(&rest[..rest.len().min(TOGETHER_MAX).min(room)])?;
            for (&id, records) in rest.iter().zip(&records) {
                self.add(id, records);
            }
            rest = &rest[records.len()..];
        }
        Ok(())
    }

    fn add(&mut self, id: TraceId, records: &[SpanBatch]) {
        match Trace::merge(id, records) {
            Some(_) if self.is_full() => self.truncated = true,
            Some(trace) => {
                let (traces, spans, bytes) = self.loaded;
                self.loaded = (traces + 1, spans + trace.spans.len(), bytes + trace.spans.heap_bytes());
                self.cone.add(Tree::new(id, trace.spans));
            }
            None => self.cone.add_nothing(id),
        }
    }

    fn is_full(&self) -> bool {
        let (limits, (traces, spans, bytes)) = (&self.query.limits, self.loaded);
        traces >= limits.traces_max || spans >= limits.spans_max || bytes >= limits.bytes_max
    }
}
