//! Lost context: who sent what a span received, when it neither has a parent nor links to anything.
//!
//! What both sides may still say alike is looked for, the most certain first: the message's id, its place in a log, its
//! conversation, a key that a user declared. A match is always made of what both spans say, never of time alone, and it says
//! by its evidence what it is made of. Where several senders are possible and nothing tells them apart there is no match.
//!
//! A declared key is mostly said of the request that a service works on, not of each message that it sends meanwhile: a span that
//! sends has the keys of the spans of its service that it lies within.
//!
//! Deliberately absent: finding the spans that carry a value (that is `query`).

use std::collections::BTreeSet;

use model::ValueRef;

use crate::cone::{Cone, Evidence, Node};
use crate::destination::bindings::Relation;
use crate::destination::{Bindings, Identity};
use crate::hop::{is_receiver, is_sender};
use crate::semconv::{Messaging, Sought};

/// By how much a sender's clock may be ahead of its receiver's: what was sent later than this was not received yet.
pub const CLOCKS_APART_MAX_NS: u64 = 60_000_000_000;

/// Something that a span says of its message and that the other side may say as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// What a match would be made of.
    pub evidence: Evidence,
    /// Key and comparison text of the value, in every spelling; a span that carries one of them is a candidate,
    pub one_of: Vec<(String, String)>,
    /// if it also carries one of these, or there are none.
    pub and_one_of: Vec<(String, String)>,
}

/// Spans of one service that lie within each other, at most so deep, that are asked for a declared key.
const DEPTH_MAX: usize = 32;
/// Spans below one that carries a declared key, at most, that are asked what they send.
const BELOW_MAX: usize = 1_000;

/// What can be looked for to find the other side of a span's message, the most certain first. `declared` are the keys that a user
/// says tell it.
pub fn identifiers(cone: &Cone, node: Node, declared: &[String]) -> Vec<Identifier> {
    let Some(view) = Messaging::of(cone.span(node)) else { return Vec::new() };
    let facts = view.message;
    let spelled =
        |sought: Sought, value: &str| sought.keys().map(|key| (key.to_owned(), value.to_owned())).collect::<Vec<_>>();
    let plain = |evidence, one_of| Identifier { evidence, one_of, and_one_of: Vec::new() };
    let mut found = Vec::new();
    if !facts.id.is_empty() {
        found.push(plain(Evidence::MessageId, spelled(Sought::MessageId, &facts.id.to_string())));
    }
    let place = Identity::of(&view).filter(|identity| !identity.partition.is_empty()).zip(facts.offset);
    if let Some((identity, offset)) = place {
        // Some libraries write the place in the log as if it were an id.
        let as_id = format!("{}.{}.{offset}", identity.spelling, identity.partition);
        let mut one_of = spelled(Sought::Offset, &offset.to_string());
        one_of.extend(spelled(Sought::MessageId, &as_id));
        let and_one_of = spelled(Sought::Destination, identity.spelling);
        found.push(Identifier { evidence: Evidence::Offset, one_of, and_one_of });
    }
    if !facts.conversation_id.is_empty() {
        let value = facts.conversation_id.to_string();
        found.push(plain(Evidence::ConversationId, spelled(Sought::ConversationId, &value)));
    }
    for key in declared {
        if let Some(value) = declared_value(cone, node, is_sender(view.role), key) {
            found.push(plain(Evidence::BusinessKey, vec![(key.clone(), value)]));
        }
    }
    found
}

/// A declared key's value of a span; for one that sends also of what it lies within, in its service, the nearest first.
fn declared_value(cone: &Cone, node: Node, sends: bool, key: &str) -> Option<String> {
    let service = cone.span(node).service_name();
    let own = |node: Node| {
        let value: ValueRef<'_> = cone.span(node).attribute(key)?;
        Some(value.comparison_text().into_owned()).filter(|text| !text.is_empty())
    };
    let above = |&node: &Node| cone.parent(node).filter(|&above| cone.span(above).service_name() == service);
    let depth = if sends { DEPTH_MAX } else { 1 };
    std::iter::successors(Some(node), above).take(depth).find_map(own)
}

/// A span that sends; of one that does not, those below it in its service that do.
fn senders_below(cone: &Cone, node: Node) -> Vec<Node> {
    let service = cone.span(node).service_name();
    let (mut senders, mut waiting, mut asked) = (Vec::new(), vec![node], 0);
    while let Some(node) = waiting.pop().filter(|_| asked < BELOW_MAX) {
        asked += 1;
        let sends = Messaging::of(cone.span(node)).is_some_and(|view| is_sender(view.role));
        if sends {
            senders.push(node);
        }
        waiting.extend(cone.children(node).filter(|&child| cone.span(child).service_name() == service));
    }
    senders
}

/// Whether a span received something and neither it nor what it lies within, in its service, says where it came from.
pub fn lost_its_context(cone: &Cone, node: Node) -> bool {
    let span = cone.span(node);
    let role = |node: Node| Messaging::of(cone.span(node)).map(|view| view.role);
    if span.links().next().is_some() || !role(node).is_some_and(is_receiver) {
        return false;
    }
    let mut above = node;
    for _ in 0..DEPTH_MAX {
        if cone.span(above).parent_span_id().is_none() {
            return true;
        }
        let parent = cone.parent(above).filter(|_| cone.tree(above).has_parent(above.row));
        let Some(parent) = parent.filter(|&parent| cone.span(parent).service_name() == span.service_name()) else {
            return false;
        };
        if cone.span(parent).links().next().is_some() || role(parent).is_some_and(is_sender) {
            return false;
        }
        above = parent;
    }
    false
}

/// The one of several candidates that sent what `consumer` received, judged by one identifier of the consumer's; nothing if none
/// did or several may have.
pub fn sender_among(
    cone: &Cone,
    consumer: Node,
    identifier: &Identifier,
    candidates: &[Node],
    bindings: &Bindings,
) -> Option<Node> {
    let received = Messaging::of(cone.span(consumer))?;
    let rank = |node: Node| {
        if node.tree == consumer.tree || !carries(cone, node, identifier) {
            return None;
        }
        let sent = Messaging::of(cone.span(node)).filter(|view| is_sender(view.role))?;
        rank(&sent, &received, identifier.evidence, bindings).map(|rank| (rank, node))
    };
    let candidates: BTreeSet<Node> = match identifier.evidence {
        Evidence::BusinessKey => candidates.iter().flat_map(|&node| senders_below(cone, node)).collect(),
        _ => candidates.iter().copied().collect(),
    };
    let mut senders: Vec<(u8, Node)> = candidates.into_iter().filter_map(rank).collect();
    let best = senders.iter().map(|(rank, _)| *rank).min()?;
    senders.retain(|(rank, _)| *rank == best);
    let wraps = |node: Node| senders.iter().any(|&(_, other)| cone.parent(other) == Some(node));
    let innermost: Vec<Node> = senders.iter().map(|&(_, node)| node).filter(|&node| !wraps(node)).collect();
    choose(cone, consumer, identifier.evidence, &innermost)
}

/// Whether a span that sends carries one of an identifier's values now; it may have been stored again since it was found.
fn carries(cone: &Cone, node: Node, identifier: &Identifier) -> bool {
    if identifier.evidence == Evidence::BusinessKey {
        let mut pairs = identifier.one_of.iter();
        return pairs.any(|(key, value)| declared_value(cone, node, true, key).as_ref() == Some(value));
    }
    let span = cone.span(node);
    let has = |pairs: &[(String, String)]| {
        pairs.iter().any(|(key, value)| span.attribute(key).is_some_and(|found| found.comparison_text() == *value))
    };
    has(&identifier.one_of) && (identifier.and_one_of.is_empty() || has(&identifier.and_one_of))
}

/// How well the destinations of two spans fit, the best first; nothing if they do not. An id is believed across destinations, as
/// brokers move messages; what several messages share is believed only within one, or where one is known to be bound to the other.
fn rank(sent: &Messaging<'_>, received: &Messaging<'_>, evidence: Evidence, bindings: &Bindings) -> Option<u8> {
    let same_system = sent.system == received.system || sent.system.is_empty() || received.system.is_empty();
    let (from, to) = (Identity::of(sent), Identity::of(received));
    let relation = match (&from, &to) {
        (Some(from), Some(to)) => Relation::of(from, to),
        _ => Relation::Rerouted,
    };
    let is_bound = || match (&from, &to) {
        (Some(from), Some(to)) => bindings.sources(&to.key()).any(|source| *source == from.key()),
        _ => false,
    };
    let same_partition = || match (&from, &to) {
        (Some(from), Some(to)) => from.partition.to_string() == to.partition.to_string(),
        _ => false,
    };
    let fits = match evidence {
        Evidence::MessageId => true,
        Evidence::Offset => relation == Relation::Same && same_partition(),
        _ => relation == Relation::Same || relation == Relation::Bound && is_bound(),
    };
    (same_system && fits).then_some(relation as u8)
}

/// Of senders that fit alike: of an id the latest that sent before it was received, as ids are kept when messages are sent on, or, as
/// clocks may be apart, else the one that sent soonest after that; of what several messages share the only one.
fn choose(cone: &Cone, consumer: Node, evidence: Evidence, senders: &[Node]) -> Option<Node> {
    let order = |node: Node| (cone.span(node).start_unix_nano(), cone.span(node).key());
    let received = cone.span(consumer).start_unix_nano();
    let latest = received.saturating_add(CLOCKS_APART_MAX_NS);
    let before: Vec<Node> = senders.iter().copied().filter(|&node| order(node).0 <= latest).collect();
    match evidence {
        Evidence::MessageId | Evidence::Offset => before.into_iter().min_by_key(|&node| {
            let sent = order(node).0;
            (sent > received, sent.abs_diff(received), order(node))
        }),
        _ => match before[..] {
            [only] => Some(only),
            _ => None,
        },
    }
}
