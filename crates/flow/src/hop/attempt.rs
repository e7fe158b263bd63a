//! Attempts: the arrivals of one message at one consumer group, in order.
//!
//! A span that receives and the span that then processes are one attempt; so are spans of one service within each other. Every
//! further arrival is a further attempt, unless the spans say themselves which delivery they are. Two instrumentations of one
//! service that each make a span of one delivery (a client and the framework around it) are one attempt as well. Messages of one
//! sender are told apart by id or offset; where one span sent several and nobody says which is which, no arrival counts as a
//! retry of another.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::arrival::{Arrival, Sender, identity_of};
use super::{MessageState, Views, is_receiver, is_sender};
use crate::cone::{Cone, Node};
use crate::critical_path::end;
use crate::semconv::{Messaging, Role};

/// One message at one consumer group.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// In order; at least one.
    pub(super) attempts: Vec<Attempt<'a>>,
    /// Whether the message was given up on here.
    pub(super) is_dead: bool,
    /// Whether the last attempt gave it back, and no further one is known.
    pub(super) is_returned: bool,
}

impl Group<'_> {
    /// What became of the message here.
    pub(super) fn state(&self) -> MessageState {
        match (self.is_dead, self.is_returned) {
            (true, _) => MessageState::DeadLettered,
            (false, true) => MessageState::Unknown,
            (false, false) => MessageState::Consumed,
        }
    }
}

/// One delivery.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    /// Which it is, from 1.
    pub(super) number: u32,
    /// The spans that are part of it, the earliest first; at least one.
    pub(super) arrivals: Vec<Arrival<'a>>,
}

impl<'a> Attempt<'a> {
    pub(super) fn first(&self) -> &Arrival<'a> {
        &self.arrivals[0]
    }

    /// When the last of its spans ended.
    pub(super) fn end(&self, cone: &Cone) -> u64 {
        self.arrivals.iter().map(|arrival| end(cone, arrival.to)).max().unwrap_or_default()
    }

    /// The message's id, from whichever side knows it.
    pub(super) fn message_id(&self, views: &Views<'a>) -> Option<String> {
        let sender = self.first().from.node().and_then(|node| views.get(&node)).map(|view| view.message);
        let sides = self.arrivals.iter().map(|arrival| arrival.facts(views)).chain(sender);
        sides.map(|facts| facts.id).find(|id| !id.is_empty()).map(|id| id.to_string())
    }
}

/// Sorts arrivals into groups, and each group into attempts.
pub(super) fn attempts<'a>(cone: &'a Cone, views: &Views<'a>, arrivals: &[Arrival<'a>]) -> Vec<Group<'a>> {
    let several = senders_of_several(views, arrivals);
    let mut groups: BTreeMap<(Sender, String, String), Vec<&Arrival<'a>>> = BTreeMap::new();
    for (number, arrival) in arrivals.iter().enumerate() {
        let message = if several.contains(&arrival.from) { message(views, arrival, number) } else { String::new() };
        groups.entry((arrival.from, message, consumer(cone, views, arrival))).or_default().push(arrival);
    }
    let sorted = |mut arrivals: Vec<&Arrival<'a>>| {
        arrivals.sort_by_key(|arrival| (cone.span(arrival.to).start_unix_nano(), cone.span(arrival.to).key()));
        Group { attempts: in_order(cone, views, &arrivals), is_dead: false, is_returned: false }
    };
    groups.into_values().map(sorted).collect()
}

/// Senders of more than one message: by their own account, because they are no senders (a workflow that many things link to), or
/// because what was received from them has different ids or places at one destination.
fn senders_of_several(views: &Views<'_>, arrivals: &[Arrival<'_>]) -> HashSet<Sender> {
    let mut several = HashSet::new();
    let mut known: HashMap<(Sender, &str), String> = HashMap::new();
    for arrival in arrivals {
        let sender = arrival.from.node().map(|node| views.get(&node));
        let says_one = |view: &Messaging<'_>| is_sender(view.role) && view.batch_size.is_none_or(|size| size <= 1);
        if sender.is_some_and(|view| !view.is_some_and(says_one)) {
            several.insert(arrival.from);
            continue;
        }
        let identity = identity_at(views, arrival);
        let known = known.entry((arrival.from, &arrival.destination.name)).or_default();
        if known.is_empty() {
            *known = identity;
        } else if !identity.is_empty() && *known != identity {
            several.insert(arrival.from);
        }
    }
    several
}

/// What tells the message of an arrival from others of its sender, whichever of link and span knows it; empty if neither does.
fn identity_at(views: &Views<'_>, arrival: &Arrival<'_>) -> String {
    let of_link = arrival.linked.map(|linked| linked.destination.partition);
    let of_span = views.get(&arrival.to).map(|view| view.destination.partition);
    let partition = of_link.filter(|word| !word.is_empty()).or(of_span).unwrap_or_default();
    identity_of(&arrival.facts(views), &partition.to_string())
}

/// Tells the messages of a sender of several apart.
fn message(views: &Views<'_>, arrival: &Arrival<'_>, number: usize) -> String {
    match identity_at(views, arrival) {
        unknown if unknown.is_empty() => format!("\0{number}"),
        known => known,
    }
}

/// Who received: the group, or the service where no group is known, at this destination.
fn consumer(cone: &Cone, views: &Views<'_>, arrival: &Arrival<'_>) -> String {
    let group = views.get(&arrival.to).map_or("", |view| view.group);
    let service = cone.span(arrival.to).service_name();
    let (destination, queue) = (&arrival.destination.name, &arrival.subscription);
    match group {
        "" => format!("{destination}\0{queue}\0{service}"),
        group => format!("{destination}\0\0\0{group}"),
    }
}

fn in_order<'a>(cone: &'a Cone, views: &Views<'a>, arrivals: &[&Arrival<'a>]) -> Vec<Attempt<'a>> {
    let mut attempts: Vec<Attempt<'a>> = Vec::new();
    let mut places: HashMap<Node, usize> = HashMap::new();
    for &arrival in arrivals {
        let said = arrival.facts(views).attempt;
        let place = part_of(cone, views, arrival, &places).or_else(|| {
            let last = attempts.len().checked_sub(1)?;
            goes_on(views, &attempts[last], arrival, said).then_some(last)
        });
        let place = place.unwrap_or_else(|| {
            let next = attempts.last().map_or(1, |last| last.number.saturating_add(1));
            attempts.push(Attempt { number: said.unwrap_or(next), arrivals: Vec::new() });
            attempts.len() - 1
        });
        let attempt = &mut attempts[place];
        attempt.number = said.unwrap_or(attempt.number);
        attempt.arrivals.push(arrival.clone());
        places.insert(arrival.to, place);
    }
    attempts
}

/// The attempt of the receiving span that a span lies within, if it is one of these.
fn part_of(cone: &Cone, views: &Views<'_>, arrival: &Arrival<'_>, places: &HashMap<Node, usize>) -> Option<usize> {
    let service = cone.span(arrival.to).service_name();
    let mut above = cone.parent(arrival.to);
    // As deep as instrumentations lie within each other.
    for _ in 0..8 {
        let node = above.filter(|&node| cone.span(node).service_name() == service)?;
        if let Some(&place) = places.get(&node) {
            return Some(place);
        }
        if views.get(&node).is_some_and(|view| is_receiver(view.role)) && node == arrival.to {
            return None;
        }
        above = cone.parent(node);
    }
    None
}

/// Whether an arrival belongs to an attempt that has begun: the processing of what was only received so far, the same delivery
/// by the spans' own account, or as another instrumentation of the service tells it.
fn goes_on(views: &Views<'_>, attempt: &Attempt<'_>, arrival: &Arrival<'_>, said: Option<u32>) -> bool {
    let role = |arrival: &Arrival<'_>| views.get(&arrival.to).map(|view| view.role);
    let only_received = attempt.arrivals.iter().all(|known| role(known) == Some(Role::Receive));
    let processes = role(arrival) == Some(Role::Process);
    if said.is_some_and(|said| said != attempt.number && attempt.number != 1) {
        return false;
    }
    let library = |arrival: &Arrival<'_>| views.get(&arrival.to).map_or("", |view| view.library.name);
    let is_told_anew = !library(arrival).is_empty()
        && attempt.arrivals.iter().all(|known| !library(known).is_empty() && library(known) != library(arrival));
    processes && (only_received || is_told_anew)
}
