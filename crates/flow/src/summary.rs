//! [`Flow`]: a cone in figures. When the caller had its answer, when the last effect ended, how much of the time was work and how
//! much was waiting in queues, who took part.
//!
//! A flow starts with its root span. It *works* while at least one of its spans is open that does something; spans that only ask
//! for messages do not count. It *waits* while a message waits in a queue and nothing works. What is neither is idle time, and is
//! counted to neither.
//!
//! Deliberately absent: how spans came together ([`crate::cone`]) and what happened to messages ([`crate::hop`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use model::{SpanId, StatusCode, TraceId};

use crate::cone::{Cone, Node};
use crate::critical_path::{Segment, critical_path, end};
use crate::destination::{Bindings, DestinationKey};
use crate::engine::standing::Missing;
use crate::hop::{Hop, Hops, MessageState, destination_of};
use crate::semconv::Messaging;

/// A root span and everything it caused.
#[derive(Debug)]
pub struct Flow {
    /// The spans, and how they hang together.
    pub cone: Cone,
    /// The root.
    pub root: Node,
    /// The start of the root, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// The end of the root: when the caller had its answer.
    pub answered_unix_nano: u64,
    /// The latest end of any span.
    pub last_effect_unix_nano: u64,
    /// How long something was worked on.
    pub working_ns: u64,
    /// How long nothing was worked on while a message waited.
    pub waiting_ns: u64,
    /// The traces that have a part in it, by their start.
    pub traces: Vec<FlowTrace>,
    /// What happened to messages, in the order of sending.
    pub hops: Vec<Hop>,
    /// The services in the order in which they first took part.
    pub services: Vec<FlowService>,
    /// The destinations in the order in which they were first sent to.
    pub destinations: Vec<FlowDestination>,
    /// What the last effect was waiting for.
    pub critical_path: Vec<Segment>,
    /// Spans that were pointed at and have not arrived.
    pub not_received: Vec<(TraceId, SpanId)>,
    /// Messages that were taken together with messages of this flow.
    pub batch_siblings: Vec<BatchSibling>,
    /// Whether something was left out because a limit was reached.
    pub truncated: bool,
}

/// A trace's part in a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowTrace {
    /// Which trace.
    pub trace_id: TraceId,
    /// How it came in.
    pub relation: Relation,
    /// The earliest start of its spans in the flow.
    pub start_unix_nano: u64,
    /// Their latest end.
    pub end_unix_nano: u64,
    /// How many of its spans belong.
    pub span_count: usize,
}

/// How a trace came into a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It has the root.
    Root,
    /// It lies between the root and the span that the flow was opened at.
    Cause,
    /// Only a part of it belongs: it took messages of other flows, too.
    Batch,
    /// Nothing but links without messages lead to it.
    Link,
    /// A message led to it.
    Child,
}

impl Relation {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        ["root", "cause", "batch", "link", "child"][self as usize]
    }
}

/// A service's part in a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowService {
    /// Its name, empty if the sender gave none.
    pub name: String,
    /// Its spans.
    pub spans: usize,
    /// Its spans whose status is an error.
    pub errors: usize,
}

/// A destination's part in a flow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowDestination {
    /// Which.
    pub destination: DestinationKey,
    /// Messages, each once for every consumer group.
    pub messages: usize,
    /// Of these, those that were received and not given up on.
    pub consumed: usize,
    /// Of these, those that became dead letters.
    pub dead_lettered: usize,
    /// Of these, those that are expected to be received, and are not overdue.
    pub pending: usize,
    /// Of these, those that are overdue.
    pub late: usize,
    /// Of these, those that are overdue by so much that they will not come.
    pub lost: usize,
    /// Of these, those nobody is known to have received, nor expected to.
    pub unknown: usize,
    /// Attempts after the first.
    pub retries: usize,
}

/// A message of another flow that was taken together with one of this flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSibling {
    /// The trace that sent it.
    pub trace_id: TraceId,
    /// The span that sent it.
    pub span_id: SpanId,
    /// Where it was sent to.
    pub destination: DestinationKey,
    /// Its id, if anyone said.
    pub message_id: Option<String>,
}

/// What is known of a flow besides its spans.
#[derive(Debug, Default)]
pub struct Found {
    /// Traces between the root and the span that the flow was opened at.
    pub causes: HashSet<TraceId>,
    /// Spans that were pointed at and have not arrived.
    pub not_received: Vec<(TraceId, SpanId)>,
    /// Messages that were taken together with messages of this flow.
    pub batch_siblings: Vec<BatchSibling>,
    /// Whether something was left out because a limit was reached.
    pub truncated: bool,
    /// What is bound to what.
    pub bindings: Arc<Bindings>,
}

impl Flow {
    /// Puts a flow together whose spans have all joined.
    pub fn new(cone: Cone, root: Node, found: Found) -> Flow {
        let hops = Hops::of(&cone, &found.not_received.iter().copied().collect(), &found.bindings);
        let start_unix_nano = cone.span(root).start_unix_nano();
        let ends = cone.joined().iter().map(|&node| end(&cone, node));
        let last_effect_unix_nano = ends.max().unwrap_or(start_unix_nano);
        let clip = |(from, to): (u64, u64)| (from.max(start_unix_nano), to.min(last_effect_unix_nano));
        let busy = cone.joined().iter().filter(|node| !hops.causes.polls.contains(node));
        let work = union(busy.map(|&node| clip((cone.span(node).start_unix_nano(), end(&cone, node)))));
        let either = union(work.iter().copied().chain(hops.waits.iter().copied().map(clip)));
        Flow {
            start_unix_nano,
            answered_unix_nano: end(&cone, root),
            last_effect_unix_nano,
            working_ns: length(&work),
            waiting_ns: length(&either) - length(&work),
            traces: traces(&cone, root, &hops, &found.causes),
            services: services(&cone),
            destinations: destinations(&hops.hops),
            critical_path: critical_path(&cone, &hops.causes, start_unix_nano),
            hops: hops.hops,
            not_received: found.not_received,
            batch_siblings: found.batch_siblings,
            truncated: found.truncated || cone.is_truncated(),
            cone,
            root,
        }
    }

    /// The flow's id: the same from whichever of its spans it is opened.
    pub fn id(&self) -> String {
        let root = self.cone.span(self.root);
        format!("{}-{}", root.trace_id(), root.span_id())
    }

    /// Takes in who is expected to have received which message and has not; `missing` tells it of a span that sent, if it is known.
    /// Everybody who is missing is a hop without an end.
    pub fn expect(&mut self, missing: impl Fn(TraceId, SpanId) -> Option<Vec<Missing>>) {
        let mut receivers: HashMap<(TraceId, SpanId), HashSet<String>> = HashMap::new();
        for hop in &self.hops {
            let names = receivers.entry((hop.from.trace_id, hop.from.span_id)).or_default();
            let service = hop.to.as_ref().map(|to| to.service.clone().unwrap_or_default());
            names.extend(service.into_iter().chain(hop.to.as_ref().and(hop.consumer_group.clone())));
        }
        let mut told: HashMap<(TraceId, SpanId), bool> = HashMap::new();
        for hop in std::mem::take(&mut self.hops) {
            let sender = (hop.from.trace_id, hop.from.span_id);
            let is_told = *told.entry(sender).or_insert_with(|| {
                let has = |group: &Option<String>| match group {
                    Some(group) => receivers[&sender].contains(group),
                    None => !receivers[&sender].is_empty(),
                };
                let missing = missing(sender.0, sender.1).unwrap_or_default();
                let missing: Vec<Missing> = missing.into_iter().filter(|missing| !has(&missing.group)).collect();
                self.hops.extend(missing.iter().map(|missing| self.missing_hop(&hop, missing)).collect::<Vec<_>>());
                !missing.is_empty()
            });
            if hop.to.is_some() || !is_told {
                self.hops.push(hop);
            }
        }
        self.destinations = destinations(&self.hops);
    }

    /// A hop to somebody who has not received what another hop tells of.
    fn missing_hop(&self, other: &Hop, missing: &Missing) -> Hop {
        let sender = self.cone.find(other.from.trace_id, other.from.span_id);
        let sent = sender.and_then(|node| Messaging::of(self.cone.span(node))).map(|view| destination_of(&view));
        Hop {
            from: other.from.clone(),
            to: None,
            destination: sent.unwrap_or_else(|| other.destination.clone()),
            consumer_group: missing.group.clone(),
            message_id: other.message_id.clone(),
            evidence: None,
            queue_wait_ns: None,
            wait_source: None,
            attempt: 1,
            is_retry: false,
            state: missing.state,
            clock_skew: false,
        }
    }

    /// Its spans in the order of time.
    pub fn spans(&self) -> Vec<Node> {
        let mut nodes = self.cone.joined().to_vec();
        nodes.sort_by_key(|&node| {
            let span = self.cone.span(node);
            (span.start_unix_nano(), span.key())
        });
        nodes
    }
}

/// Stretches of time without overlaps, in order; empty and backward ones left out.
fn union(stretches: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut sorted: Vec<(u64, u64)> = stretches.filter(|(from, to)| from < to).collect();
    sorted.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in sorted {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

fn length(stretches: &[(u64, u64)]) -> u64 {
    stretches.iter().map(|(from, to)| to - from).sum()
}

fn traces(cone: &Cone, root: Node, hops: &Hops, causes: &HashSet<TraceId>) -> Vec<FlowTrace> {
    let mut traces: BTreeMap<u32, FlowTrace> = BTreeMap::new();
    for &node in cone.joined() {
        let (span, end_unix_nano) = (cone.span(node), end(cone, node));
        let trace = traces.entry(node.tree).or_insert_with(|| FlowTrace {
            trace_id: span.trace_id(),
            relation: Relation::Link,
            start_unix_nano: span.start_unix_nano(),
            end_unix_nano,
            span_count: 0,
        });
        trace.start_unix_nano = trace.start_unix_nano.min(span.start_unix_nano());
        trace.end_unix_nano = trace.end_unix_nano.max(end_unix_nano);
        trace.span_count += 1;
    }
    let reached: HashSet<u32> = hops.causes.hops.keys().map(|node| node.tree).collect();
    for (&tree, trace) in &mut traces {
        let is_whole = trace.span_count == cone.trees()[tree as usize].spans.len();
        trace.relation = match tree {
            tree if tree == root.tree => Relation::Root,
            _ if causes.contains(&trace.trace_id) => Relation::Cause,
            _ if !is_whole => Relation::Batch,
            tree if reached.contains(&tree) => Relation::Child,
            _ => Relation::Link,
        };
    }
    let mut traces: Vec<FlowTrace> = traces.into_values().collect();
    traces.sort_by_key(|trace| (trace.start_unix_nano, trace.trace_id));
    traces
}

fn services(cone: &Cone) -> Vec<FlowService> {
    let mut services: BTreeMap<&str, (u64, FlowService)> = BTreeMap::new();
    for &node in cone.joined() {
        let span = cone.span(node);
        let name = span.service_name();
        let (start, service) = services
            .entry(name)
            .or_insert_with(|| (u64::MAX, FlowService { name: name.to_owned(), spans: 0, errors: 0 }));
        *start = span.start_unix_nano().min(*start);
        service.spans += 1;
        service.errors += usize::from(span.status() == StatusCode::ERROR);
    }
    let mut services: Vec<(u64, FlowService)> = services.into_values().collect();
    services.sort_by_key(|(start, _)| *start);
    services.into_iter().map(|(_, service)| service).collect()
}

fn destinations(hops: &[Hop]) -> Vec<FlowDestination> {
    let mut places: BTreeMap<&DestinationKey, usize> = BTreeMap::new();
    let mut list: Vec<FlowDestination> = Vec::new();
    for hop in hops.iter().filter(|hop| !hop.destination.name.is_empty()) {
        let place = *places.entry(&hop.destination).or_insert(list.len());
        if place == list.len() {
            let destination = hop.destination.clone();
            list.push(FlowDestination { destination, ..FlowDestination::default() });
        }
        let entry = &mut list[place];
        if hop.is_retry {
            entry.retries += 1;
            continue;
        }
        entry.messages += 1;
        match hop.state {
            MessageState::Consumed => entry.consumed += 1,
            MessageState::DeadLettered => entry.dead_lettered += 1,
            MessageState::Pending => entry.pending += 1,
            MessageState::Late => entry.late += 1,
            MessageState::Lost => entry.lost += 1,
            MessageState::Unknown => entry.unknown += 1,
        }
    }
    list
}
