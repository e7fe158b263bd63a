//! Going on where the context of a message was lost: senders and receivers are found by what both say of the message.
//!
//! Both directions ask the same question, who sent what this span received, and remember the answer, so that a flow is the same
//! whether it is opened above or below the place where the context was lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flow::cone::{Edge, Evidence, Node};
use flow::correlate::{CLOCKS_APART_MAX_NS, Identifier, identifiers, lost_its_context, sender_among};
use flow::hop::senders;
use model::TraceId;

use super::Run;
use crate::contract::{QueryError, TimeRange};
use crate::pairs::{Found, LookUp, Pair, spans_with};
use crate::source::Source;

/// Spans that one pass of look-ups may find.
const FOUND_MAX: usize = 20_000;
/// A value that spans of more traces carry tells no message from another.
const TRACES_OF_VALUE_MAX: usize = 50;

/// What was found out so far.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// Who sent what a span received.
    senders: HashMap<Node, Option<(Node, Evidence)>>,
    /// Senders whose receivers were looked for.
    looked_for: BTreeSet<Node>,
    /// Edges that are part of the cone, or wait until their sender is.
    edges: BTreeMap<Node, Edge>,
    connected: BTreeSet<Node>,
    look_ups: usize,
}

impl<S: Source> Run<'_, S> {
    /// Who sent what a span received, if the span lost its context and one sender fits.
    pub(super) fn sender(&mut self, consumer: Node) -> Result<Option<Node>, QueryError> {
        if let Some(known) = self.repairs.senders.get(&consumer) {
            return Ok(known.map(|(node, _)| node));
        }
        let mut sender = None;
        if lost_its_context(&self.cone, consumer) {
            let latest = self.cone.span(consumer).start_unix_nano().saturating_add(CLOCKS_APART_MAX_NS);
            let range = TimeRange { start_unix_nano: 0, end_unix_nano: latest.checked_add(1) };
            for identifier in identifiers(&self.cone, consumer, &self.query.correlate) {
                let candidates = self.candidates(&[(identifier.clone(), range)])?.pop().unwrap_or_default();
                sender = sender_among(&self.cone, consumer, &identifier, &candidates, &self.query.bindings)
                    .map(|node| (node, identifier.evidence));
                if sender.is_some() {
                    break;
                }
            }
        }
        self.repairs.senders.insert(consumer, sender);
        if let Some((from, evidence)) = sender {
            self.repairs.edges.insert(consumer, Edge { from, to: consumer, evidence, link: None });
        }
        Ok(sender.map(|(node, _)| node))
    }

    /// Looks for receivers of what the cone sent, whether somebody is known to have received it or not: another group may have lost the
    /// context. Whether anything joined.
    pub(super) fn repair(&mut self) -> Result<bool, QueryError> {
        let senders = senders(&self.cone);
        let mut sought = Vec::new();
        for (node, is_open) in senders {
            if !self.repairs.looked_for.insert(node) {
                continue;
            }
            let sent = self.cone.span(node).start_unix_nano();
            let range = TimeRange { start_unix_nano: sent.saturating_sub(CLOCKS_APART_MAX_NS), end_unix_nano: None };
            let identifiers = identifiers(&self.cone, node, &self.query.correlate).into_iter();
            // A conversation has many messages: who is known to have received one is not the answer to another.
            let wanted = identifiers.filter(|identifier| is_open || identifier.evidence != Evidence::ConversationId);
            sought.extend(wanted.map(|identifier| (identifier, range)));
        }
        let consumers: BTreeSet<Node> = self.candidates(&sought)?.into_iter().flatten().collect();
        for consumer in consumers {
            self.sender(consumer)?;
        }
        Ok(self.connect_repaired())
    }

    /// Lets the receivers join whose senders are in the cone.
    fn connect_repaired(&mut self) -> bool {
        let mut grown = false;
        let edges: Vec<Edge> = self.repairs.edges.values().copied().collect();
        for edge in edges {
            if self.cone.has(edge.from) && self.repairs.connected.insert(edge.to) {
                self.cone.connect(edge);
                grown = true;
            }
        }
        grown
    }

    /// For each identifier the spans that carry it, their traces loaded.
    fn candidates(&mut self, identifiers: &[(Identifier, TimeRange)]) -> Result<Vec<Vec<Node>>, QueryError> {
        let room = self.query.limits.look_ups_max.saturating_sub(self.repairs.look_ups);
        self.truncated |= identifiers.len() > room;
        let sought = &identifiers[..identifiers.len().min(room)];
        self.repairs.look_ups += sought.len();
        let look_ups: Vec<LookUp> = sought.iter().map(look_up).collect();
        let mut candidates = vec![Vec::new(); identifiers.len()];
        if look_ups.is_empty() {
            return Ok(candidates);
        }
        let found = spans_with(self.source, &look_ups, FOUND_MAX)?;
        for of_one in found.chunk_by(|a, b| a.0 == b.0) {
            let traces: BTreeSet<TraceId> = of_one.iter().map(|(_, (trace_id, ..))| *trace_id).collect();
            if traces.len() > TRACES_OF_VALUE_MAX {
                continue;
            }
            self.load(traces)?;
            let node = |(_, (trace_id, span_id, kind)): &Found| {
                self.cone.find(*trace_id, *span_id).filter(|&node| self.cone.span(node).kind().0 == *kind)
            };
            candidates[of_one[0].0] = of_one.iter().filter_map(node).collect();
        }
        Ok(candidates)
    }
}

fn look_up((identifier, range): &(Identifier, TimeRange)) -> LookUp {
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(key, value)| Pair { key: key.clone(), value: value.clone() }).collect()
    };
    LookUp {
        one_of: pairs(&identifier.one_of),
        and_one_of: pairs(&identifier.and_one_of),
        range: *range,
        // What is declared is said of requests rather than of messages.
        any_kind: identifier.evidence == Evidence::BusinessKey,
    }
}
