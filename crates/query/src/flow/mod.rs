//! Flows: from any span up to its root cause, and down to the last effect.
//!
//! What a flow is, and why this finds the same one from whichever of its spans it is opened, is in `docs/adr/0015`. Going up
//! (`climb`) follows one cause of each span, so that every span has one root. Going down (`descend`) takes everything that the
//! root caused. Traces are loaded as they are needed, within [`FlowLimits`]; what the spans mean is computed by `flow`.
//!
//! | module | what |
//! |---|---|
//! | `load` | traces into the cone, within limits |
//! | `climb` | from a span to its root |
//! | `descend` | from the root to everything it caused |
//! | `repair` | where the context of a message was lost |
//! | `outside` | what the spans of a flow point at beyond it: other messages of a batch, and what has not arrived |
//!
//! Deliberately absent: a range of time. A flow has all spans of any age.

mod climb;
mod descend;
mod load;
mod outside;
mod repair;

use std::collections::HashSet;
use std::sync::Arc;

use flow::Flow;
use flow::cone::{Cone, Node};
use flow::destination::Bindings;
use model::{SpanId, TraceId};

use self::repair::Repairs;
use crate::contract::QueryError;
use crate::source::Source;

/// What a flow may cost; it is cut off there, and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowLimits {
    /// Traces that are loaded.
    pub traces_max: usize,
    /// Spans of loaded traces.
    pub spans_max: usize,
    /// Memory that loaded traces take.
    pub bytes_max: usize,
    /// Values that are looked for because the context was lost.
    pub look_ups_max: usize,
}

impl Default for FlowLimits {
    fn default() -> Self {
        FlowLimits { traces_max: 1_000, spans_max: 200_000, bytes_max: 256 << 20, look_ups_max: 2_000 }
    }
}

/// Which flow.
#[derive(Debug, Clone)]
pub struct FlowQuery {
    /// Of this trace.
    pub trace_id: TraceId,
    /// Of this span; else of the trace's origin.
    pub span_id: Option<SpanId>,
    /// Attribute keys whose values tell that a consumer got what a producer sent.
    pub correlate: Vec<String>,
    /// What is known to be bound to what, besides what the flow itself tells.
    pub bindings: Arc<Bindings>,
    /// What it may cost.
    pub limits: FlowLimits,
}

/// The flow that a span belongs to; nothing if it is not stored.
pub fn flow<S: Source>(source: &S, query: &FlowQuery) -> Result<Option<Flow>, QueryError> {
    let mut run = Run::new(source, query);
    run.load([query.trace_id])?;
    let Some(tree) = run.cone.tree_of(query.trace_id) else { return Ok(None) };
    let row = match query.span_id {
        Some(span_id) => run.cone.trees()[tree as usize].row(span_id),
        None => Some(run.cone.trees()[tree as usize].origin()),
    };
    let Some(row) = row else { return Ok(None) };
    let opened = Node { tree, row };
    let path = run.climb(opened)?;
    let root = path.root;
    run.descend(root)?;
    let mut found = run.outside()?;
    found.causes = path.between(&run.cone, opened);
    found.truncated |= run.truncated;
    found.bindings = Arc::clone(&query.bindings);
    Ok(Some(Flow::new(run.cone, root, found)))
}

/// A flow that is being put together.
struct Run<'s, S> {
    source: &'s S,
    query: &'s FlowQuery,
    cone: Cone,
    /// Traces, spans and bytes loaded so far.
    loaded: (usize, usize, usize),
    /// Traces whose incoming links were asked for.
    asked: HashSet<TraceId>,
    repairs: Repairs,
    truncated: bool,
}

impl<'s, S: Source> Run<'s, S> {
    fn new(source: &'s S, query: &'s FlowQuery) -> Self {
        let cone = Cone::new(query.limits.spans_max);
        Run {
            source,
            query,
            cone,
            loaded: (0, 0, 0),
            asked: HashSet::new(),
            repairs: Repairs::default(),
            truncated: false,
        }
    }
}
