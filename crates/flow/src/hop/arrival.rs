//! Arrivals: which spans received something, from whom, and why we believe it.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::{SpanId, TraceId};

use super::{HopEnd, Views, end_of, is_receiver, is_sender};
use crate::cone::{Cone, Edge, Evidence, Node};
use crate::destination::{Bindings, DestinationKey, Identity};
use crate::semconv::{Library, LinkedMessage, MessageFacts, Messaging, Role};

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sender {
    /// A span of the cone.
    Known(Node),
    /// A span that has not arrived.
    Missing(TraceId, SpanId),
}

impl Sender {
    pub(super) fn node(self) -> Option<Node> {
        match self {
            Sender::Known(node) => Some(node),
            Sender::Missing(..) => None,
        }
    }

    pub(super) fn end(self, cone: &Cone) -> HopEnd {
        match self {
            Sender::Known(node) => end_of(cone, node),
            Sender::Missing(trace_id, span_id) => HopEnd { trace_id, span_id, service: None },
        }
    }
}

/// A span that received a message.
#[derive(Debug, Clone)]
pub(super) struct Arrival<'a> {
    pub(super) from: Sender,
    pub(super) to: Node,
    pub(super) evidence: Evidence,
    /// What the link says of the message, if it is one.
    pub(super) linked: Option<LinkedMessage<'a>>,
    /// The one destination that its two ends mean.
    pub(super) destination: DestinationKey,
    /// The queue or subscription beneath it that was read, if anyone said.
    pub(super) subscription: String,
}

impl<'a> Arrival<'a> {
    /// What is known of the message on the receiving side; the link knows it better than the span, which may have several.
    pub(super) fn facts(&self, views: &Views<'a>) -> MessageFacts<'a> {
        let of_span = views.get(&self.to).map(|view| view.message).unwrap_or_default();
        let Some(linked) = &self.linked else { return of_span };
        let of_link = linked.message;
        MessageFacts {
            id: if of_link.id.is_empty() { of_span.id } else { of_link.id },
            conversation_id: if of_link.conversation_id.is_empty() {
                of_span.conversation_id
            } else {
                of_link.conversation_id
            },
            offset: of_link.offset.or(of_span.offset),
            key: if of_link.key.is_empty() { of_span.key } else { of_link.key },
            attempt: of_link.attempt.or(of_span.attempt),
            redelivered: of_link.redelivered.or(of_span.redelivered),
            sent_at: of_link.sent_at.or(of_span.sent_at),
            queue_wait_ns: of_link.queue_wait_ns.or(of_span.queue_wait_ns),
            dead_letter: of_link.dead_letter.or(of_span.dead_letter),
        }
    }

    fn new(from: Sender, to: Node, evidence: Evidence, linked: Option<&LinkedMessage<'a>>) -> Arrival<'a> {
        let linked = linked.copied();
        let (destination, subscription) = (DestinationKey::default(), String::new());
        Arrival { from, to, evidence, linked, destination, subscription }
    }

    /// What the receiver calls the destination.
    fn received(&self, views: &Views<'a>) -> Option<Identity<'a>> {
        let view = views.get(&self.to)?;
        match &self.linked {
            Some(linked) => Identity::of_linked(view, linked),
            None => Identity::of(view),
        }
    }

    /// What the sender calls the destination.
    pub(super) fn sent(&self, views: &Views<'a>) -> Option<Identity<'a>> {
        let view = views.get(&self.from.node()?)?;
        Identity::of(view).filter(|_| is_sender(view.role))
    }
}

/// All arrivals in a cone; each sender, receiver and message once, with the strongest evidence.
pub(super) fn arrivals<'a>(
    cone: &'a Cone,
    views: &Views<'a>,
    missing: &HashSet<(TraceId, SpanId)>,
    bindings: &Bindings,
) -> Vec<Arrival<'a>> {
    let mut found: BTreeMap<(Sender, Node, String), Arrival<'a>> = BTreeMap::new();
    let mut add = |arrival: Arrival<'a>| {
        let message = arrival.linked.map(|linked| identity(&linked)).unwrap_or_default();
        let evidence = arrival.evidence;
        let known = found.entry((arrival.from, arrival.to, message)).or_insert(arrival);
        known.evidence = known.evidence.min(evidence);
    };
    for &node in cone.joined() {
        for arrival in from_parent(cone, views, node).into_iter().chain(from_missing(cone, views, node, missing)) {
            add(arrival);
        }
    }
    let mut linked: HashMap<Node, Vec<LinkedMessage<'a>>> = HashMap::new();
    for edge in cone.edges().iter().filter(|edge| cone.has(edge.to)) {
        let Some(library) = is_way(cone, views, edge) else { continue };
        let links = || LinkedMessage::all(cone.span(edge.to), library).collect();
        let link = edge.link.and_then(|link| linked.entry(edge.to).or_insert_with(links).get(link as usize).copied());
        add(Arrival::new(Sender::Known(edge.from), edge.to, edge.evidence, link.as_ref()));
    }
    let mut list: Vec<Arrival<'a>> = found.into_values().collect();
    // A parent that is linked to as well is one arrival.
    let by_link: HashSet<(Sender, Node)> =
        list.iter().filter(|arrival| arrival.linked.is_some()).map(|arrival| (arrival.from, arrival.to)).collect();
    let by_parent: HashSet<(Sender, Node)> = list
        .iter()
        .filter(|arrival| arrival.evidence == Evidence::Parent)
        .map(|arrival| (arrival.from, arrival.to))
        .collect();
    let reached: HashSet<Node> =
        list.iter().filter(|arrival| arrival.from.node().is_some()).map(|arrival| arrival.to).collect();
    list.retain(|arrival| {
        let is_double = arrival.linked.is_none() && by_link.contains(&(arrival.from, arrival.to));
        // What else a batch took is not of this flow.
        let is_other = arrival.from.node().is_none() && reached.contains(&arrival.to);
        !is_double && !is_other
    });
    resolve(views, &mut list, bindings.clone());
    for arrival in &mut list {
        if by_parent.contains(&(arrival.from, arrival.to)) {
            arrival.evidence = Evidence::Parent;
        }
    }
    list
}

/// Finds the one destination of every arrival; what certain ones tell of exchanges and their queues helps with the others.
fn resolve<'a>(views: &Views<'a>, arrivals: &mut [Arrival<'a>], mut bindings: Bindings) {
    for arrival in arrivals.iter().filter(|arrival| arrival.evidence <= Evidence::Link) {
        if let (Some(sent), Some(received)) = (arrival.sent(views), arrival.received(views)) {
            bindings.learn(&sent, &received, 0);
        }
    }
    for arrival in arrivals {
        let resolved = match (arrival.sent(views), arrival.received(views)) {
            (Some(sent), Some(received)) => bindings.resolve_hop(&sent, &received),
            (Some(sent), None) => bindings.resolve_sent(&sent),
            (None, Some(received)) => bindings.resolve_received(&received),
            (None, None) => continue,
        };
        (arrival.destination, arrival.subscription) = (resolved.key, resolved.subscription);
        // An end that does not name the destination may still name the system.
        let ends = [arrival.from.node(), Some(arrival.to)].into_iter().flatten();
        let mut systems = ends.filter_map(|end| views.get(&end)).map(|view| view.system);
        if arrival.destination.system.is_empty() {
            systems.find(|system| !system.is_empty()).unwrap_or_default().clone_into(&mut arrival.destination.system);
        }
    }
}

/// What tells the messages of one sender apart.
pub(super) fn identity(linked: &LinkedMessage<'_>) -> String {
    identity_of(&linked.message, &linked.destination.partition.to_string())
}

/// What tells a message from others of its sender: its id, or its place; empty if neither is known.
pub(super) fn identity_of(facts: &MessageFacts<'_>, partition: &str) -> String {
    match facts.offset {
        _ if !facts.id.is_empty() => facts.id.to_string(),
        Some(offset) => format!("{partition}/{offset}"),
        None => String::new(),
    }
}

/// A child that received what its parent sent.
fn from_parent<'a>(cone: &Cone, views: &Views<'a>, node: Node) -> Option<Arrival<'a>> {
    let parent = cone.parent(node).filter(|_| cone.tree(node).has_parent(node.row))?;
    if !cone.has(parent) {
        return None;
    }
    let role = |node: Node| views.get(&node).map(|view| view.role);
    let elsewhere = cone.span(parent).service_name() != cone.span(node).service_name();
    let arrives = match (role(parent), role(node)) {
        (Some(sent), Some(received)) if is_receiver(received) => is_sender(sent) || !is_receiver(sent) && elsewhere,
        (None, Some(received)) if is_receiver(received) => elsewhere,
        (Some(sent), None) => is_sender(sent) && elsewhere,
        _ => false,
    };
    arrives.then(|| Arrival::new(Sender::Known(parent), node, Evidence::Parent, None))
}

/// Who wrote what an edge says, if it is a message's way.
fn is_way(cone: &Cone, views: &Views<'_>, edge: &Edge) -> Option<&'static Library> {
    let (from, to) = (views.get(&edge.from), views.get(&edge.to));
    let role = |view: Option<&Messaging<'_>>| view.map(|view| view.role);
    let same_service = cone.span(edge.from).service_name() == cone.span(edge.to).service_name();
    let is_way = match (role(from), role(to)) {
        (None, None) | (_, Some(Role::Create | Role::Send | Role::Settle)) => false,
        (Some(sent), Some(_)) => is_sender(sent) || !same_service,
        (Some(sent), None) => is_sender(sent),
        (None, Some(_)) => true,
    };
    to.or(from).filter(|_| is_way).map(|view| view.library)
}

/// What a receiver points at, by link or as its parent, and has not arrived.
fn from_missing<'a>(
    cone: &'a Cone,
    views: &Views<'a>,
    node: Node,
    missing: &HashSet<(TraceId, SpanId)>,
) -> Vec<Arrival<'a>> {
    let Some(view) = views.get(&node).filter(|view| is_receiver(view.role)) else { return Vec::new() };
    let span = cone.span(node);
    let links = LinkedMessage::all(span, view.library).filter(|link| missing.contains(&(link.trace_id, link.span_id)));
    let arrival = |link: LinkedMessage<'a>| {
        Arrival::new(Sender::Missing(link.trace_id, link.span_id), node, Evidence::Link, Some(&link))
    };
    let mut found: Vec<Arrival<'a>> = links.map(arrival).collect();
    if span.links().next().is_none()
        && let Some(parent) = cone.tree(node).missing_parent(node.row)
    {
        let from = Sender::Missing(span.trace_id(), parent);
        found.push(Arrival::new(from, node, Evidence::Parent, None));
    }
    found
}
