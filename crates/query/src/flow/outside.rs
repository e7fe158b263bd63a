//! What the spans of a flow point at beyond it: messages that were taken together with messages of this flow, and spans that have
//! not arrived.
//!
//! Traces that are only pointed at are looked at and forgotten, so that memory holds one of them at a time.

use std::collections::{BTreeMap, BTreeSet};

use flow::cone::Node;
use flow::destination::DestinationKey;
use flow::hop::destination_of;
use flow::semconv::{LinkedMessage, Messaging, Role};
use flow::summary::{BatchSibling, Found};
use model::{SpanId, TraceId};

use super::Run;
use crate::contract::QueryError;
use crate::source::Source;
use crate::trace::Trace;

/// Traces that are looked at to find out whether what was pointed at has arrived. Beyond these it is taken to have arrived.
const TRACES_LOOKED_AT_MAX: usize = 200;
/// Messages of other flows that are named.
const SIBLINGS_MAX: usize = 1_000;

/// Spans pointed at, by trace, with what is said of the message.
type Targets = BTreeMap<TraceId, BTreeMap<SpanId, BatchSibling>>;

impl<S: Source> Run<'_, S> {
    /// What lies outside.
    pub(super) fn outside(&mut self) -> Result<Found, QueryError> {
        let mut missing: BTreeSet<(TraceId, SpanId)> = self.missing_parents();
        let mut siblings = Vec::new();
        for (number, (trace_id, mut targets)) in self.targets().into_iter().enumerate() {
            if number < TRACES_LOOKED_AT_MAX {
                missing.extend(self.take_missing(trace_id, &mut targets)?);
            }
            siblings.extend(targets.into_values());
        }
        let truncated = siblings.len() > SIBLINGS_MAX;
        siblings.truncate(SIBLINGS_MAX);
        let not_received = missing.into_iter().collect();
        Ok(Found { not_received, batch_siblings: siblings, truncated, ..Found::default() })
    }

    /// Parents of receiving spans that have not arrived: the context of a message named them.
    fn missing_parents(&self) -> BTreeSet<(TraceId, SpanId)> {
        let receives = |node: Node| {
            let role = Messaging::of(self.cone.span(node)).map(|view| view.role);
            matches!(role, Some(Role::Receive | Role::Process))
        };
        let missing = |&node: &Node| {
            let tree = self.cone.tree(node);
            let parent = tree.missing_parent(node.row).filter(|_| receives(node))?;
            Some((tree.id, parent))
        };
        self.cone.joined().iter().filter_map(missing).collect()
    }

    /// Spans that links of the flow point at and that do not belong to it. Of several links to one span the first that says anything of the
    /// message counts, in the order of time.
    fn targets(&self) -> Targets {
        let mut targets = Targets::new();
        let mut nodes: Vec<Node> = self.cone.joined().to_vec();
        nodes.retain(|&node| self.cone.span(node).links().next().is_some());
        nodes.sort_by_key(|&node| self.order(node));
        for node in nodes {
            for sibling in self.linked_outside(node) {
                let known = targets.entry(sibling.trace_id).or_default().entry(sibling.span_id);
                let known = known.or_insert_with(|| sibling.clone());
                if known.destination.name.is_empty() {
                    *known = sibling;
                }
            }
        }
        targets
    }

    /// The spans beyond the flow that the links of a span point at.
    fn linked_outside(&self, node: Node) -> Vec<BatchSibling> {
        let span = self.cone.span(node);
        let is_outside = |trace_id, span_id| !self.cone.find(trace_id, span_id).is_some_and(|node| self.cone.has(node));
        let sibling = |trace_id, span_id, destination, message_id| {
            is_outside(trace_id, span_id).then_some(BatchSibling { trace_id, span_id, destination, message_id })
        };
        let Some(view) = Messaging::of(span) else {
            let links = span.links();
            return links
                .filter_map(|link| sibling(link.trace_id(), link.span_id(), DestinationKey::default(), None))
                .collect();
        };
        let links = LinkedMessage::all(span, view.library);
        let named = links.filter_map(|link| {
            let message_id = (!link.message.id.is_empty()).then(|| link.message.id.to_string());
            sibling(link.trace_id, link.span_id, destination_of(&view), message_id)
        });
        named.collect()
    }

    /// Takes out those spans of a trace that have not arrived; of the others the message's id is filled in.
    fn take_missing(
        &self,
        trace_id: TraceId,
        targets: &mut BTreeMap<SpanId, BatchSibling>,
    ) -> Result<Vec<(TraceId, SpanId)>, QueryError> {
        let loaded;
        let spans = match self.cone.tree_of(trace_id) {
            Some(tree) => Some(&self.cone.trees()[tree as usize].spans),
            None if self.cone.is_known(trace_id) => None,
            None => {
                loaded = Trace::merge(trace_id, &self.source.trace(trace_id)?);
                loaded.as_ref().map(|trace| &trace.spans)
            }
        };
        let mut arrived = BTreeSet::new();
        for span in spans.into_iter().flat_map(model::SpanBatch::spans) {
            let Some(sibling) = targets.get_mut(&span.span_id()) else { continue };
            arrived.insert(span.span_id());
            let Some(view) = Messaging::of(span) else { continue };
            if sibling.message_id.is_none() && !view.message.id.is_empty() {
                sibling.message_id = Some(view.message.id.to_string());
            }
            if sibling.destination.name.is_empty() {
                sibling.destination = destination_of(&view);
            }
        }
        let missing: Vec<SpanId> = targets.keys().copied().filter(|id| !arrived.contains(id)).collect();
        for id in &missing {
            targets.remove(id);
        }
        Ok(missing.into_iter().map(|span_id| (trace_id, span_id)).collect())
    }
}
