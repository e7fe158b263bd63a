//! Dead letters: which messages were given up on, as far as spans tell.
//!
//! Four things tell it: a span that, while working on a message, sends something to a dead-letter destination; a span that
//! receives, elsewhere, the same message with the headers of its death; one that receives it from a dead-letter destination to
//! which it was not sent; a span that settles a message as dead-lettered.

use std::collections::HashMap;

use super::arrival::{Arrival, Sender};
use super::attempt::Group;
use super::{Views, is_sender};
use crate::cone::{Cone, Node};
use crate::destination::{Identity, dead_letter_of};
use crate::semconv::{Messaging, Role, Settlement, WorkEnds};

/// Spans that a dead letter's sender lies within, at most.
const DEPTH_MAX: usize = 64;

/// Marks the groups whose message was given up on.
pub(super) fn mark(cone: &Cone, views: &Views<'_>, arrivals: &[Arrival<'_>], groups: &mut [Group<'_>]) {
    let mut groups_at: HashMap<Node, Vec<usize>> = HashMap::new();
    let mut groups_of: HashMap<Sender, Vec<usize>> = HashMap::new();
    for (place, group) in groups.iter().enumerate() {
        for arrival in group.attempts.iter().flat_map(|attempt| &attempt.arrivals) {
            groups_at.entry(arrival.to).or_default().push(place);
        }
        groups_of.entry(group.attempts[0].first().from).or_default().push(place);
    }
    let mut dead: Vec<usize> = Vec::new();
    for (&node, view) in views.iter().filter(|(_, view)| tells_death(view)) {
        let places = worked_on(cone, node, &groups_at).and_then(|at| groups_at.get(&at));
        dead.extend(places.and_then(|places| the_one(views, view, groups, places)));
    }
    for arrival in arrivals {
        let Some(died_at) = died_at(views, arrival) else { continue };
        let own = groups_at.get(&arrival.to).map_or(&[][..], Vec::as_slice);
        let others = groups_of.get(&arrival.from).map_or(&[][..], Vec::as_slice);
        let others: Vec<usize> = others.iter().copied().filter(|place| !own.contains(place)).collect();
        let died_there = |&place: &usize| {
            let arrival = groups[place].attempts[0].first();
            let names = [&arrival.destination.name, &arrival.subscription];
            names.into_iter().any(|name| !name.is_empty() && names_same(died_at, name))
        };
        let mut there: Vec<usize> = others.iter().copied().filter(died_there).collect();
        if there.is_empty() {
            there.extend(others.iter().copied().filter(|&place| was_rejected(views, &groups[place])));
        }
        dead.extend(if there.is_empty() && others.len() == 1 { others } else { there });
    }
    for place in dead {
        groups[place].is_dead = true;
    }
    for (&node, view) in views.iter().filter(|(_, view)| gives_back(view)) {
        let at = if groups_at.contains_key(&node) { Some(node) } else { worked_on(cone, node, &groups_at) };
        let places = at.and_then(|at| groups_at.get(&at));
        let Some(place) = places.and_then(|places| the_one(views, view, groups, places)) else { continue };
        let last = groups[place].attempts.last();
        groups[place].is_returned |=
            last.is_some_and(|last| last.arrivals.iter().any(|arrival| Some(arrival.to) == at));
    }
}

/// Whether a span tells the broker that a message was not handled. Where only the handler's failure is known the broker may have been
/// told anything.
fn gives_back(view: &Messaging<'_>) -> bool {
    let tells = view.role == Role::Settle || view.library.work_ends == WorkEnds::WithSettlement;
    tells && matches!(view.settlement, Some(Settlement::Returned | Settlement::Rejected))
}

/// Whether a span puts a message aside for good.
fn tells_death(view: &Messaging<'_>) -> bool {
    let settles = view.role == Role::Settle && view.settlement == Some(Settlement::DeadLettered);
    settles || is_sender(view.role) && Identity::of(view).is_some_and(|identity| identity.is_dead_letter())
}

/// Where the message of an arrival died before, as its headers or the name of the dead-letter destination say; nothing for a
/// message that is not known to have died. The name is empty where it tells nothing.
fn died_at<'a>(views: &Views<'a>, arrival: &'a Arrival<'a>) -> Option<&'a str> {
    if let Some(death) = arrival.facts(views).dead_letter {
        return Some(death.destination);
    }
    let names = [arrival.subscription.as_str(), &arrival.destination.name];
    let of = names.into_iter().find_map(dead_letter_of)?;
    (arrival.sent(views).is_some_and(|sent| !sent.has_key(&arrival.destination))).then_some(of)
}

/// Whether the last who handled a message refused it, or failed.
fn was_rejected(views: &Views<'_>, group: &Group<'_>) -> bool {
    let last = group.attempts.last().map_or(&[][..], |attempt| &attempt.arrivals);
    let settlement = |arrival: &Arrival<'_>| views.get(&arrival.to).and_then(|view| view.settlement);
    last.iter().any(|arrival| matches!(settlement(arrival), Some(Settlement::Rejected | Settlement::Failed)))
}

/// Whether a name, or the ARN that ends in one, is this name.
fn names_same(said: &str, name: &str) -> bool {
    said == name || said.rsplit(':').next() == Some(name)
}

/// The nearest span above a span that received a message: the one it was working on.
fn worked_on(cone: &Cone, node: Node, groups_at: &HashMap<Node, Vec<usize>>) -> Option<Node> {
    let mut above = cone.parent(node);
    for _ in 0..DEPTH_MAX {
        let node = above?;
        if groups_at.contains_key(&node) {
            return Some(node);
        }
        above = cone.parent(node);
    }
    None
}

/// Of messages that were worked on together, the one that a span is about.
fn the_one(views: &Views<'_>, about: &Messaging<'_>, groups: &[Group<'_>], places: &[usize]) -> Option<usize> {
    let facts = about.message;
    let is_it = |place: &usize| {
        let other = groups[*place].attempts[0].first().facts(views);
        let same_id = !facts.id.is_empty() && facts.id == other.id;
        let same_place = facts.dead_letter.is_some_and(|death| death.offset.is_some() && death.offset == other.offset);
        same_id || same_place
    };
    match places {
        [only] => Some(*only),
        several => several.iter().copied().find(is_it),
    }
}
