//! [`lineage`]: one message and everything it became: attempts with what they failed of, dead letters, what was sent again from there.
//!
//! A broker moves a dead letter as it is: that is an attempt elsewhere. A consumer that puts a message aside sends another one, within the
//! span that works on it, to a destination for dead letters: that is the next step of the lineage. So is what is sent within a span that
//! received a dead letter, if it has the dead letter's id or goes back to where the lineage has been.
//!
//! In the pipe it stands behind [`crate::summary`]. Deliberately absent: guesses by time or by content.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use model::{SpanId, StatusCode, TraceId};

use crate::cone::Node;
use crate::destination::{DestinationKey, dead_letter_of};
use crate::hop::{Hop, HopEnd};
use crate::summary::Flow;

/// Messages of a lineage, at most.
const STEPS_MAX: usize = 100;
/// Spans below an attempt that are looked at, at most.
const BELOW_MAX: usize = 10_000;

/// The span that sent a message.
type Sender = (TraceId, SpanId);

/// How a message came into a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is where the lineage begins.
    Sent,
    /// A consumer put what it had received aside.
    DeadLetter,
    /// A dead letter was sent once more.
    SentAgain,
}

impl How {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        ["sent", "dead_letter", "sent_again"][self as usize]
    }
}

/// A message of a lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Who sent it.
    pub from: HopEnd,
    /// How it came into the lineage.
    pub how: How,
    /// The message that it was made of.
    pub of: Option<Sender>,
    /// Where it was sent to.
    pub destination: DestinationKey,
    /// Its id, if anyone said.
    pub message_id: Option<String>,
    /// Its deliveries, in order; those that a broker moved it to as well.
    pub attempts: Vec<Attempt>,
}

/// A delivery of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The way to whoever received it.
    pub hop: Hop,
    /// When, Unix nanoseconds.
    pub received_unix_nano: u64,
    /// The span that received, or one below it in its service, says that it failed.
    pub failed: bool,
    /// The last exception of these spans.
    pub exception: Option<Exception>,
}

/// An exception that a span recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The span.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// When, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// The exception's type, empty if nobody said.
    pub kind: String,
    /// What it says, empty if nobody said.
    pub message: String,
}

/// The lineage of a message, which a span of the flow sent: its steps in the order of sending. Nothing if it sent none.
pub fn lineage(flow: &Flow, sender: Sender) -> Vec<Step> {
    let mut hops: HashMap<Sender, Vec<&Hop>> = HashMap::new();
    for hop in &flow.hops {
        hops.entry((hop.from.trace_id, hop.from.span_id)).or_default().push(hop);
    }
    let made = successors(flow, &hops);
    let before: HashMap<Sender, Sender> =
        made.iter().flat_map(|(&of, next)| next.iter().map(move |&(sender, _)| (sender, of))).collect();
    let mut origin = sender;
    let mut passed = BTreeSet::from([origin]);
    while let Some(&of) = before.get(&origin).filter(|&&of| passed.insert(of)) {
        origin = of;
    }
    let mut steps = Vec::new();
    let mut waiting = VecDeque::from([(origin, How::Sent, None)]);
    let mut known = BTreeSet::from([origin]);
    while let Some((sender, how, of)) = waiting.pop_front().filter(|_| steps.len() < STEPS_MAX) {
        let Some(of_sender) = hops.get(&sender) else { continue };
        steps.push(step(flow, of_sender, &hops, how, of));
        let next = made.get(&sender).into_iter().flatten();
        waiting.extend(next.filter(|(next, _)| known.insert(*next)).map(|&(next, how)| (next, how, Some(sender))));
    }
    steps
}

/// What was made of each message while it was worked on.
fn successors(flow: &Flow, hops: &HashMap<Sender, Vec<&Hop>>) -> BTreeMap<Sender, Vec<(Sender, How)>> {
    let mut made: BTreeMap<Sender, Vec<(Sender, How)>> = BTreeMap::new();
    for hop in flow.hops.iter().filter(|hop| hop.to.is_some()) {
        let of = (hop.from.trace_id, hop.from.span_id);
        for sender in sent_within(flow, hop, hops) {
            let next = hops[&sender][0];
            let how = if is_dead(&next.destination.name) {
                How::DeadLetter
            } else if is_dead_letter(hop) && goes_back(hop, next, &hops[&of]) {
                How::SentAgain
            } else {
                continue;
            };
            let list = made.entry(of).or_default();
            if !list.contains(&(sender, how)) {
                list.push((sender, how));
            }
        }
    }
    made
}

fn is_dead(name: &str) -> bool {
    dead_letter_of(name).is_some()
}

/// Whether a hop is a dead letter's.
fn is_dead_letter(hop: &Hop) -> bool {
    is_dead(&hop.destination.name) || hop.consumer_group.as_deref().is_some_and(is_dead)
}

/// Whether what was sent while a dead letter was worked on is that message once more: it has its id, or goes to where it died.
fn goes_back(dead: &Hop, next: &Hop, all: &[&Hop]) -> bool {
    let same_id = next.message_id.is_some() && next.message_id == dead.message_id;
    let name = next.destination.name.as_str();
    let died_at = dead_letter_of(&dead.destination.name).is_some_and(|died_at| died_at == name);
    let was_at = all.iter().any(|hop| hop.destination.name == name || hop.consumer_group.as_deref() == Some(name));
    same_id || died_at || was_at
}

/// The spans that sent something within the span that received a message.
fn sent_within(flow: &Flow, hop: &Hop, hops: &HashMap<Sender, Vec<&Hop>>) -> Vec<Sender> {
    let mut senders = Vec::new();
    own_spans(flow, hop, hops, |node| {
        let span = flow.cone.span(node);
        let sender = (span.trace_id(), span.span_id());
        senders.extend(hops.contains_key(&sender).then_some(sender));
    });
    senders
}

/// Visits the span that received a message and those below it in its service, as far as they are not below a further message.
fn own_spans(flow: &Flow, hop: &Hop, hops: &HashMap<Sender, Vec<&Hop>>, mut visit: impl FnMut(Node)) {
    let Some(to) = &hop.to else { return };
    let mut waiting: Vec<Node> = flow.cone.find(to.trace_id, to.span_id).into_iter().collect();
    for _ in 0..BELOW_MAX {
        let Some(node) = waiting.pop() else { return };
        visit(node);
        let span = flow.cone.span(node);
        if !hops.contains_key(&(span.trace_id(), span.span_id())) {
            let is_own = |&child: &Node| flow.cone.span(child).service_name() == span.service_name();
            waiting.extend(flow.cone.children(node).filter(is_own));
        }
    }
}

fn step(flow: &Flow, own: &[&Hop], hops: &HashMap<Sender, Vec<&Hop>>, how: How, of: Option<Sender>) -> Step {
    let first = own.iter().find(|hop| !is_dead(&hop.destination.name)).unwrap_or(&own[0]);
    let received = own.iter().filter(|hop| hop.to.is_some());
    let mut attempts: Vec<Attempt> = received.map(|hop| attempt(flow, hop, hops)).collect();
    attempts.sort_by_key(|attempt| attempt.received_unix_nano);
    Step {
        from: first.from.clone(),
        how,
        of,
        destination: first.destination.clone(),
        message_id: own.iter().find_map(|hop| hop.message_id.clone()),
        attempts,
    }
}

fn attempt(flow: &Flow, hop: &Hop, hops: &HashMap<Sender, Vec<&Hop>>) -> Attempt {
    let (mut failed, mut exception): (bool, Option<Exception>) = (false, None);
    let mut received_unix_nano = 0;
    own_spans(flow, hop, hops, |node| {
        let span = flow.cone.span(node);
        if received_unix_nano == 0 {
            received_unix_nano = span.start_unix_nano();
        }
        failed |= span.status() == StatusCode::ERROR;
        for found in exceptions(flow, node) {
            if exception.as_ref().is_none_or(|known| known.time_unix_nano <= found.time_unix_nano) {
                exception = Some(found);
            }
        }
    });
    Attempt { hop: hop.clone(), received_unix_nano, failed, exception }
}

/// What a span recorded of exceptions; of a failed one without any what its status says.
fn exceptions(flow: &Flow, node: Node) -> Vec<Exception> {
    let span = flow.cone.span(node);
    let exception = |time_unix_nano, kind: String, message: String| Exception {
        trace_id: span.trace_id(),
        span_id: span.span_id(),
        time_unix_nano,
        kind,
        message,
    };
    let mut found: Vec<Exception> = Vec::new();
    for event in span.events().filter(|event| event.name() == "exception") {
        let text = |key: &str| {
            let value = event.attributes().find(|attribute| attribute.key == key);
            value.map(|attribute| attribute.value.comparison_text().into_owned()).unwrap_or_default()
        };
        found.push(exception(event.time_unix_nano(), text("exception.type"), text("exception.message")));
    }
    if found.is_empty() && span.status() == StatusCode::ERROR && !span.status_message().is_empty() {
        let kind = span.attribute("error.type").map(|kind| kind.comparison_text().into_owned()).unwrap_or_default();
        found.push(exception(span.end_unix_nano(), kind, span.status_message().to_owned()));
    }
    found
}
