//! Loading traces into the cone, each once, until the limits are reached.

use flow::tree::Tree;
use model::TraceId;

use super::Run;
use crate::contract::QueryError;
use crate::source::Source;
use crate::trace::Trace;

impl<S: Source> Run<'_, S> {
    /// Loads those traces that are not known yet; of too many, the first.
    pub(super) fn load(&mut self, ids: impl IntoIterator<Item = TraceId>) -> Result<(), QueryError> {
        for id in ids {
            if self.cone.is_known(id) {
                continue;
            }
            if self.is_full() {
                self.truncated = true;
                return Ok(());
            }
            match Trace::merge(id, &self.source.trace(id)?) {
                Some(trace) => {
                    let (traces, spans, bytes) = self.loaded;
                    self.loaded = (traces + 1, spans + trace.spans.len(), bytes + trace.spans.heap_bytes());
                    self.cone.add(Tree::new(id, trace.spans));
                }
                None => self.cone.add_nothing(id),
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let (limits, (traces, spans, bytes)) = (&self.query.limits, self.loaded);
        traces >= limits.traces_max || spans >= limits.spans_max || bytes >= limits.bytes_max
    }
}
