//! Hops: what happened to messages within a cone. Which span received which message from which, in which attempt, after how long a
//! wait, and what became of it.
//!
//! | module | what |
//! |---|---|
//! | `arrival` | which spans received something, from whom, and why we believe it |
//! | `attempt` | arrivals of one message at one group become its attempts |
//! | `death` | which messages were given up on |
//! | `wait` | how long a message waited, by the best evidence there is |
//!
//! One hop is one attempt of one message at one consumer group, or at one service where no group is known. A message that nobody
//! is known to have received is a hop, too: one without an end. Deliberately absent: which spans belong ([`crate::cone`]), and what
//! is to be expected of a destination.

mod arrival;
mod attempt;
mod death;
mod wait;

use std::collections::{HashMap, HashSet};

use model::{SpanId, SpanKind, TraceId};

use self::arrival::{Arrival, arrivals};
use self::attempt::{Attempt, Group, attempts};
use crate::cone::{Cone, Evidence, Node};
use crate::critical_path::{Causes, end};
use crate::destination::{Bindings, DestinationKey, Identity};
use crate::semconv::{MessageFacts, Messaging, Role};

/// A message's way from the span that sent it to the span that received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The span that sent it.
    pub from: HopEnd,
    /// The span that received it first in this attempt; nothing if nobody is known to have received it.
    pub to: Option<HopEnd>,
    /// Where it was sent to.
    pub destination: DestinationKey,
    /// The consumer group, if anyone said.
    pub consumer_group: Option<String>,
    /// The message's id, if anyone said.
    pub message_id: Option<String>,
    /// Why we believe it; nothing without a receiver.
    pub evidence: Option<Evidence>,
    /// From sending (or the attempt before) to receiving, if clocks agree.
    pub queue_wait_ns: Option<u64>,
    /// What the wait is known from.
    pub wait_source: Option<WaitSource>,
    /// Which delivery of the message to this group it is, from 1.
    pub attempt: u32,
    /// Whether an earlier attempt is a hop of the same flow.
    pub is_retry: bool,
    /// What became of the message in this group.
    pub state: MessageState,
    /// It was received before it was sent.
    pub clock_skew: bool,
}

/// A span at an end of a hop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HopEnd {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Its service, empty if the sender gave none; nothing if the span has not arrived.
    pub service: Option<String>,
}

/// What became of a message in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageState {
    /// It is expected, and not overdue.
    Pending,
    /// It was received, and not given up on.
    Consumed,
    /// It is overdue.
    Late,
    /// It is overdue by so much that it will not come.
    Lost,
    /// It was given up on.
    DeadLettered,
    /// Nobody is known to have received it, or it was given back and nothing is known of what followed.
    Unknown,
}

impl MessageState {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        ["pending", "consumed", "late", "lost", "dead_lettered", "unknown"][self as usize]
    }
}

/// What a queue wait is known from, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitSource {
    /// The broker's clock.
    Broker,
    /// A header of the message.
    Header,
    /// An attribute that the instrumentation computed.
    Attribute,
    /// The times of the spans.
    Spans,
}

impl WaitSource {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        ["broker", "header", "attribute", "spans"][self as usize]
    }
}

/// The hops of a cone, and what follows from them for its times.
#[derive(Debug)]
pub struct Hops {
    /// In the order of sending.
    pub hops: Vec<Hop>,
    /// Where spans got their messages, for the critical path.
    pub causes: Causes,
    /// Stretches of time in which a message waited, Unix nanoseconds.
    pub waits: Vec<(u64, u64)>,
}

/// What the spans of a cone say about messages.
pub(crate) type Views<'a> = HashMap<Node, Messaging<'a>>;

impl Hops {
    /// The hops between the spans that joined a cone. `missing` are spans that were pointed at and have not arrived; `bindings` is what
    /// is known to be bound to what besides what the hops themselves tell.
    pub fn of(cone: &Cone, missing: &HashSet<(TraceId, SpanId)>, bindings: &Bindings) -> Hops {
        let views = views(cone);
        let arrivals = arrivals(cone, &views, missing, bindings);
        let mut groups = attempts(cone, &views, &arrivals);
        death::mark(cone, &views, &arrivals, &mut groups);
        let mut hops = Hops { hops: Vec::new(), causes: Causes::default(), waits: Vec::new() };
        hops.causes.polls =
            views.iter().filter(|(node, view)| only_polls(cone, &views, **node, view)).map(|(&node, _)| node).collect();
        hops.causes.links = links(cone);
        let mut ordered = Vec::new();
        for group in &groups {
            for (number, attempt) in group.attempts.iter().enumerate() {
                let before = number.checked_sub(1).map(|before| &group.attempts[before]);
                ordered.push(hops.add(cone, &views, group, attempt, before));
            }
        }
        ordered.extend(unanswered(cone, &views, &arrivals));
        ordered.sort_by(|(a, hop_a), (b, hop_b)| {
            let key = |(sent, received): (u64, u64), hop: &Hop| {
                (sent, hop.from.clone(), received, hop.to.clone(), hop.message_id.clone())
            };
            key(*a, hop_a).cmp(&key(*b, hop_b))
        });
        hops.hops = ordered.into_iter().map(|(_, hop)| hop).collect();
        mark_retries(&mut hops.hops);
        hops
    }

    /// The hop of one attempt, with when it was sent and received.
    fn add(
        &mut self,
        cone: &Cone,
        views: &Views<'_>,
        group: &Group<'_>,
        attempt: &Attempt<'_>,
        before: Option<&Attempt<'_>>,
    ) -> ((u64, u64), Hop) {
        let first = attempt.first();
        let earlier_end = before.map(|before| before.end(cone));
        let wait = wait::wait(cone, views, first, earlier_end);
        self.waits.extend(wait.stretch);
        for arrival in &attempt.arrivals {
            self.cause(cone, arrival, before.map(|before| before.first().to));
        }
        let facts = first.facts(views);
        let received = cone.span(first.to).start_unix_nano();
        let sent = first.from.node().map_or(received, |node| cone.span(node).start_unix_nano());
        let hop = Hop {
            from: first.from.end(cone),
            to: Some(end_of(cone, first.to)),
            destination: first.destination.clone(),
            consumer_group: group_of(views, first),
            message_id: attempt.message_id(views).or_else(|| message_id(&facts)),
            evidence: attempt.arrivals.iter().map(|arrival| arrival.evidence).min(),
            queue_wait_ns: wait.queue_wait_ns,
            wait_source: wait.source,
            attempt: attempt.number,
            is_retry: before.is_some(),
            state: group.state(),
            clock_skew: wait.clock_skew,
        };
        ((sent, received), hop)
    }

    /// Notes where a span got its message: of several messages the one that was sent last, as the span waited for it.
    fn cause(&mut self, cone: &Cone, arrival: &Arrival<'_>, before: Option<Node>) {
        let Some(cause) = before.or_else(|| arrival.from.node()) else { return };
        let known = self.causes.hops.entry(arrival.to).or_insert(cause);
        let order = |node: Node| (end(cone, node), cone.span(node).key());
        if order(cause) > order(*known) {
            *known = cause;
        }
    }
}

/// Marks attempts whose message was sent anew for each (Celery does that): an earlier one of the same id is a hop as well.
fn mark_retries(hops: &mut [Hop]) {
    let key = |hop: &Hop| {
        let service = hop.to.as_ref()?.service.clone();
        Some((hop.message_id.clone()?, hop.destination.clone(), hop.consumer_group.clone(), service))
    };
    let mut first: HashMap<_, u32> = HashMap::new();
    for hop in hops.iter() {
        let Some(key) = key(hop) else { continue };
        let attempt = first.entry(key).or_insert(hop.attempt);
        *attempt = hop.attempt.min(*attempt);
    }
    for hop in hops {
        hop.is_retry |= key(hop).is_some_and(|key| first[&key] < hop.attempt);
    }
}

/// The consumer group; of systems without groups the queue or subscription beneath the destination.
fn group_of(views: &Views<'_>, arrival: &Arrival<'_>) -> Option<String> {
    let group = views.get(&arrival.to).map_or("", |view| view.group);
    [group, &arrival.subscription].into_iter().find(|name| !name.is_empty()).map(str::to_owned)
}

fn end_of(cone: &Cone, node: Node) -> HopEnd {
    let span = cone.span(node);
    HopEnd { trace_id: span.trace_id(), span_id: span.span_id(), service: Some(span.service_name().to_owned()) }
}

fn message_id(facts: &MessageFacts<'_>) -> Option<String> {
    (!facts.id.is_empty()).then(|| facts.id.to_string())
}

/// The destination that a span means.
pub fn destination_of(view: &Messaging<'_>) -> DestinationKey {
    let key = Identity::of(view).map(|identity| identity.key()).unwrap_or_default();
    let system = if key.system.is_empty() { view.system.to_owned() } else { key.system };
    DestinationKey { system, name: key.name }
}

/// Whether a span does nothing but ask for messages.
fn only_polls(cone: &Cone, views: &Views<'_>, node: Node, view: &Messaging<'_>) -> bool {
    let processes = |child: Node| views.get(&child).is_some_and(|child| child.role == Role::Process);
    view.role == Role::Receive && (cone.span(node).kind() == SpanKind::CLIENT || cone.children(node).any(processes))
}

/// For every span that links to spans of the cone, the one of them that ended last.
fn links(cone: &Cone) -> HashMap<Node, Node> {
    let mut links: HashMap<Node, Node> = HashMap::new();
    for edge in cone.edges().iter().filter(|edge| cone.has(edge.to)) {
        let known = links.entry(edge.to).or_insert(edge.from);
        let order = |node: Node| (end(cone, node), cone.span(node).key());
        if order(edge.from) > order(*known) {
            *known = edge.from;
        }
    }
    links
}

/// Spans of a cone that sent a message, in the order of time, and whether nobody in it is known to have received it.
pub fn senders(cone: &Cone) -> Vec<(Node, bool)> {
    let views = views(cone);
    let answered = answered(&arrivals(cone, &views, &HashSet::new(), &Bindings::default()));
    let open: HashSet<Node> = unanswered_senders(cone, &views, &answered).into_iter().collect();
    let sends = |node: &Node| answered.contains(node) && views.get(node).is_some_and(|view| is_sender(view.role));
    let mut senders: Vec<(Node, bool)> = open.iter().map(|&node| (node, true)).collect();
    senders.extend(cone.joined().iter().copied().filter(sends).map(|node| (node, false)));
    senders.sort_by_key(|&(node, _)| (cone.span(node).start_unix_nano(), cone.span(node).key()));
    senders
}

fn views(cone: &Cone) -> Views<'_> {
    cone.joined().iter().filter_map(|&node| Some((node, Messaging::of(cone.span(node))?))).collect()
}

fn answered(arrivals: &[Arrival<'_>]) -> HashSet<Node> {
    arrivals.iter().filter_map(|arrival| arrival.from.node()).collect()
}

/// Messages that nobody is known to have received.
fn unanswered(cone: &Cone, views: &Views<'_>, arrivals: &[Arrival<'_>]) -> Vec<((u64, u64), Hop)> {
    let answered = answered(arrivals);
    let mut hops = Vec::new();
    for node in unanswered_senders(cone, views, &answered) {
        let (span, view) = (cone.span(node), &views[&node]);
        let hop = Hop {
            from: end_of(cone, node),
            to: None,
            destination: destination_of(view),
            consumer_group: None,
            message_id: message_id(&view.message),
            evidence: None,
            queue_wait_ns: None,
            wait_source: None,
            attempt: 1,
            is_retry: false,
            state: MessageState::Unknown,
            clock_skew: false,
        };
        hops.push(((span.start_unix_nano(), 0), hop));
    }
    hops
}

/// Spans that sent a message which nobody is known to have received. Of several spans that send one message (one within the
/// other, or one that makes it and one that sends it) the innermost stands for it.
fn unanswered_senders(cone: &Cone, views: &Views<'_>, answered: &HashSet<Node>) -> Vec<Node> {
    let sends = |node: Node| views.get(&node).is_some_and(|view| is_sender(view.role));
    let same_service = |a: Node, b: Node| cone.span(a).service_name() == cone.span(b).service_name();
    let makers: HashSet<Node> =
        cone.edges().iter().filter(|edge| sends(edge.to) && sends(edge.from)).map(|edge| edge.to).collect();
    let told = told_by_producers(cone, views);
    let is_open = |&node: &Node| {
        let wraps = cone.children(node).any(|child| sends(child) && same_service(node, child));
        let parent = cone.parent(node).filter(|&parent| sends(parent) && same_service(parent, node));
        sends(node)
            && !answered.contains(&node)
            && !wraps
            && !makers.contains(&node)
            && !is_call_of(cone, views, node, &told)
            && !parent.is_some_and(|parent| answered.contains(&parent))
    };
    let mut open: Vec<Node> = cone.joined().iter().copied().filter(is_open).collect();
    open.sort_by_key(|&node| (cone.span(node).start_unix_nano(), cone.span(node).key()));
    open
}

/// What producer spans sent, by the span above them and the destination.
fn told_by_producers(cone: &Cone, views: &Views<'_>) -> HashMap<(Option<Node>, DestinationKey), &'static str> {
    let producers = views.iter().filter(|(node, view)| {
        is_sender(view.role) && cone.span(**node).kind() == SpanKind::PRODUCER && cone.parent(**node).is_some()
    });
    producers.map(|(&node, view)| ((cone.parent(node), destination_of(view)), view.library.name)).collect()
}

/// Whether a span is the API call by which messages were sent that spans of another instrumentation beside it stand for: botocore
/// beside boto3sqs.
fn is_call_of(
    cone: &Cone,
    views: &Views<'_>,
    node: Node,
    told: &HashMap<(Option<Node>, DestinationKey), &'static str>,
) -> bool {
    let Some(view) = views.get(&node).filter(|_| cone.span(node).kind() == SpanKind::CLIENT) else { return false };
    told.get(&(cone.parent(node), destination_of(view))).is_some_and(|&library| library != view.library.name)
}

pub(crate) fn is_sender(role: Role) -> bool {
    matches!(role, Role::Create | Role::Send)
}

pub(crate) fn is_receiver(role: Role) -> bool {
    matches!(role, Role::Receive | Role::Process)
}
