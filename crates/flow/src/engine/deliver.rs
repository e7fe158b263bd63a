//! Messages through time: delivered, overdue, given up on, found after all.

use std::borrow::Cow;

use model::{SpanId, TraceId};

use super::arrival::{Arrival, FAILED, PROCESSES, SKEWED};
use super::expect::GROUPS_MAX;
use super::keys::several_hash;
use super::messages::{DEAD, Delivery, Message, SAMPLED, Standing, short_hash, span_hash};
use super::meters::{Connection, Exchange};
use super::names::{NONE, Places};
use super::rollup::{Cell, Counter};
use super::rule::Rule;
use super::{EdgeKind, Engine, SECOND_NS};
use crate::destination::bindings::Relation;
use crate::destination::{Identity, dead_letter_of};
use crate::hop::MessageState;
use crate::semconv::Word;

/// Pairs of names that hops go between, kept so that each is resolved once.
const WAYS_MAX: usize = 65_536;

/// Messages that are over with, and looked at for one that was put aside.
const DEATHS_LOOKED_AT_MAX: usize = 4_096;

/// What became of a message, and who is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) state: MessageState,
    /// A bit for each group of the lane that is expected to have received it and has not.
    pub(super) missing: u64,
    /// When to look again, in nanoseconds after we heard of it.
    pub(super) next_ns: Option<u64>,
}

impl Engine {
    /// Lets time pass up to an instant, Unix nanoseconds: messages become late and lost, minutes become hours.
    pub fn advance(&mut self, now_unix_nano: u64) {
        self.ticked_unix_nano = now_unix_nano;
        self.now_unix_nano = self.now_unix_nano.max(now_unix_nano);
        while let Some(entry) = self.timers.first_entry().filter(|entry| *entry.key() <= self.now_unix_nano / SECOND_NS)
        {
            for (at, version) in entry.remove() {
                if self.messages.version(at) == version {
                    self.look_at(at);
                }
            }
        }
        self.age_calls();
        self.counts.advance(self.now_unix_nano);
        self.edge_counts.advance(self.now_unix_nano);
    }

    /// Sets the timer of a message that is open.
    pub(super) fn set_timer(&mut self, at: u32) {
        let message = self.messages.get(at);
        let verdict = self.verdict(message);
        // Of what nobody is expected to receive yet, somebody may be until then.
        let after_ns = verdict.next_ns.unwrap_or(self.options.patience.late_ns);
        let second = self.watch.due_unix_nano(message.heard_unix_nano, after_ns) / SECOND_NS + 1;
        let second = second.max(self.now_unix_nano / SECOND_NS + 1);
        self.timers.entry(second).or_default().push((at, self.messages.version(at)));
    }

    /// A message's timer has run.
    fn look_at(&mut self, at: u32) {
        let message = *self.messages.get(at);
        if !message.standing.has_timer() {
            return;
        }
        let state = self.verdict(&message).state;
        if matches!(state, MessageState::Late | MessageState::Lost) && message.standing == Standing::Open {
            self.count(&message, Counter::Late, i64::from(message.sent));
            self.meters.fate(self.places.destination_of_lane(message.lane), Counter::Late, message.sent);
            self.totals.late += u64::from(message.sent);
        }
        if state == MessageState::Lost {
            self.count(&message, Counter::Lost, i64::from(message.sent));
            self.meters.fate(self.places.destination_of_lane(message.lane), Counter::Lost, message.sent);
            self.totals.lost += u64::from(message.sent);
        }
        self.stand(at, state);
    }

    /// Puts a message where its state belongs, and looks again when that may change.
    fn stand(&mut self, at: u32, state: MessageState) {
        let standing = match state {
            MessageState::Pending => Standing::Open,
            MessageState::Late => Standing::Late,
            MessageState::Lost => Standing::Lost,
            _ => Standing::Over,
        };
        self.messages.set_standing(at, standing);
        if standing.has_timer() {
            self.set_timer(at);
        }
    }

    /// What became of a message, as far as is known now.
    pub(super) fn verdict(&self, message: &Message) -> Verdict {
        let mut verdict = Verdict { state: MessageState::Unknown, missing: 0, next_ns: None };
        if message.flags & DEAD != 0 {
            return Verdict { state: MessageState::DeadLettered, ..verdict };
        }
        if message.delivered != 0 {
            verdict.state = MessageState::Consumed;
        }
        if message.flags & SAMPLED != 0 {
            return verdict;
        }
        let mut worst: Option<MessageState> = None;
        let lane = &self.lanes[message.lane as usize];
        for (place, track) in lane.missing(message.delivered, message.sent_unix_nano) {
            let (state, next_ns) = self.overdue(message, track);
            if state == MessageState::Unknown {
                continue;
            }
            worst = Some(worst.map_or(state, |worst| worse(worst, state)));
            verdict.next_ns = [verdict.next_ns, next_ns].into_iter().flatten().min();
            verdict.missing |= place.map_or(0, |place| 1 << place);
        }
        verdict.state = worst.unwrap_or(verdict.state);
        verdict
    }

    /// Counts what became of a message, at the minute in which it was sent.
    fn count(&mut self, message: &Message, counter: Counter, by: i64) {
        let destination = self.places.destination_of_lane(message.lane);
        let series = self.series.intern([destination, NONE, message.partition]);
        self.counts.change(message.sent_unix_nano, series, |cell| cell.change(counter as usize, by));
    }

    /// A message was received.
    pub(super) fn deliver(&mut self, at: u32, arrival: &Arrival) {
        let message = *self.messages.get(at);
        let before = message.standing;
        let (group, is_elsewhere) = self.group_of(&message, arrival);
        let buries = arrival.buries(is_elsewhere, &self.deaths);
        if buries {
            self.bury(at);
        }
        // Who picks up elsewhere what others gave up on does not receive in their place.
        if !(buries && is_elsewhere) {
            self.add_delivery(at, group, arrival);
        }
        if before == Standing::Over {
            return;
        }
        let state = self.verdict(self.messages.get(at)).state;
        let is_over = !matches!(state, MessageState::Pending | MessageState::Late | MessageState::Lost);
        if before == Standing::Lost && state != MessageState::Lost {
            self.count(&message, Counter::Lost, -i64::from(message.sent));
        }
        if is_over {
            self.totals.corrected += u64::from(before != Standing::Open);
            self.messages.set_standing(at, Standing::Over);
        } else if before == Standing::Lost && state != MessageState::Lost {
            self.stand(at, state);
        }
    }

    /// Marks a message as given up on. What is sent to where dead letters go is dead already.
    fn bury(&mut self, at: u32) {
        let message = self.messages.get_mut(at);
        let [destination, _] = self.places.lanes.get(message.lane);
        let name = self.places.names.text(self.places.destinations.get(destination)[1]);
        if message.flags & DEAD != 0 || dead_letter_of(name).is_some() {
            return;
        }
        message.flags |= DEAD;
        let message = *message;
        self.meters.fate(destination, Counter::DeadLettered, 1);
        self.totals.dead_lettered += 1;
        self.count(&message, Counter::DeadLettered, 1);
    }

    /// Something was sent to where dead letters go, within a span. If that span is known to have received one message, it gave it up.
    pub(super) fn died_within(&mut self, trace_id: TraceId, span_id: SpanId) {
        let (span, short) = (span_hash(trace_id, span_id), short_hash(trace_id, span_id));
        if !self.deaths.insert(span) || !self.seen.has(span) || self.seen.has(several_hash(span)) {
            return;
        }
        let is_it = |delivery: &Delivery| {
            delivery.last_span == short || (delivery.trace_id, delivery.span_id) == (trace_id, span_id)
        };
        let has_it = |&at: &u32| self.messages.deliveries(at).any(is_it);
        let found: Vec<u32> = self.messages.newest(DEATHS_LOOKED_AT_MAX).filter(has_it).take(2).collect();
        let [at] = found[..] else { return };
        let message = *self.messages.get(at);
        self.bury(at);
        if message.standing == Standing::Lost {
            self.count(&message, Counter::Lost, -1);
        }
        if message.standing != Standing::Over {
            self.totals.corrected += u64::from(message.standing != Standing::Open);
            self.messages.set_standing(at, Standing::Over);
        }
    }

    fn add_delivery(&mut self, at: u32, group: u32, arrival: &Arrival) {
        let message = *self.messages.get(at);
        let sent_unix_nano = message.sent_unix_nano;
        let destination = self.places.destination_of_lane(message.lane);
        let series = self.series.intern([destination, group, message.partition]);
        let place = if arrival.destination == NONE { destination } else { arrival.destination };
        let wait = |delivery: &Delivery| (delivery.start_unix_nano, delivery.wait_ns, delivery.service);
        if let Some(delivery) = self.messages.delivery_mut(at, group) {
            let before = wait(delivery);
            if delivery.add(arrival, sent_unix_nano) {
                let now = wait(delivery);
                self.count_wait(series, place, before, false);
                self.count_wait(series, place, now, true);
            }
            return;
        }
        let delivery = arrival.delivery(group, sent_unix_nano);
        self.count_wait(series, place, wait(&delivery), true);
        self.meter(&message, arrival, destination, &delivery);
        self.messages.add_delivery(at, delivery);
        self.received_in([message.trace_id, arrival.trace_id], destination, group);
        self.learn(at, &message, group, arrival);
    }

    /// Counts a delivery for monitoring systems.
    fn meter(&mut self, message: &Message, arrival: &Arrival, destination: u32, delivery: &Delivery) {
        let wait_ns = Some(delivery.wait_ns).filter(|&wait_ns| wait_ns != SKEWED);
        if let Some(wait_ns) = wait_ns {
            self.meters.wait(destination, delivery.group, wait_ns);
        }
        let works = arrival.has(PROCESSES);
        let exchange = Exchange {
            is_error: arrival.has(FAILED),
            client_ns: u64::from(message.took_us) * 1_000,
            server_ns: works.then(|| arrival.end_unix_nano.saturating_sub(arrival.start_unix_nano)),
            wait_ns,
        };
        self.meters.pair(Connection::Messaging, [message.service, arrival.service], exchange);
    }

    /// Counts the wait of a delivery, or takes it back.
    fn count_wait(&mut self, series: u32, place: u32, (start, wait_ns, service): (u64, u64, u32), is_added: bool) {
        let edge = self.edges.intern([EdgeKind::Receives as u32, place, service]);
        let change = |cell: &mut Cell| match (wait_ns, is_added) {
            (SKEWED, _) => {}
            (_, true) => cell.durations.add(wait_ns),
            (_, false) => cell.durations.remove(wait_ns),
        };
        self.counts.change(start, series, |cell| {
            change(cell);
            if wait_ns == SKEWED {
                cell.change(Counter::Skewed as usize, if is_added { 1 } else { -1 });
            }
        });
        self.edge_counts.change(start, edge, change);
    }

    fn learn(&mut self, at: u32, message: &Message, group: u32, arrival: &Arrival) {
        let lag_ns = self.watch.elapsed_ns(message.heard_unix_nano, arrival.heard_unix_nano);
        let lane = &mut self.lanes[message.lane as usize];
        let place = lane.place(group);
        let heard_unix_nano = arrival.heard_unix_nano;
        if let Some(track) = lane.groups.get_mut(place) {
            track.add(message.ordinal, message.sent_unix_nano, lag_ns);
            track.heard_unix_nano = heard_unix_nano.max(track.heard_unix_nano);
        }
        if message.delivered == 0 {
            lane.any.add(message.ordinal, message.sent_unix_nano, lag_ns);
        }
        self.messages.get_mut(at).delivered |= 1 << place.min(GROUPS_MAX);
    }

    /// Who received a message, and whether that is somewhere else than where it was sent. Learns what is bound to what.
    fn group_of(&mut self, message: &Message, arrival: &Arrival) -> (u32, bool) {
        let destination = self.places.destination_of_lane(message.lane);
        let label = if arrival.label == NONE { arrival.service } else { arrival.label };
        if arrival.destination == NONE || arrival.destination == destination {
            return (label, false);
        }
        let ends = (destination, arrival.destination);
        let is_elsewhere = match self.ways.get(&ends) {
            Some(&is_elsewhere) => is_elsewhere,
            None => self.learn_way(ends, arrival.start_unix_nano),
        };
        // What is read beneath the destination is the group.
        (self.places.destinations.get(arrival.destination)[1], is_elsewhere)
    }

    /// Learns from a hop between two names that has not been seen before.
    fn learn_way(&mut self, ends: (u32, u32), seen_unix_nano: u64) -> bool {
        let (sent, received) = (identity(&self.places, ends.0), identity(&self.places, ends.1));
        self.bindings.learn(&sent, &received, seen_unix_nano);
        let is_elsewhere = self.bindings.resolve_hop(&sent, &received).relation == Relation::Rerouted;
        if self.ways.len() >= WAYS_MAX {
            self.ways.clear();
        }
        self.ways.insert(ends, is_elsewhere);
        is_elsewhere
    }

    /// Replaces what is declared, beside what the options say.
    pub fn set_rules(&mut self, rules: Vec<Rule>) {
        self.rules = rules;
        let all = self.options.expect.iter().chain(&self.rules);
        let follows = all.filter_map(|rule| if let Rule::Follows(rule) = rule { Some(rule.clone()) } else { None });
        let mut follows: Vec<_> = follows.collect();
        follows.sort();
        follows.dedup();
        self.promises.set_rules(follows);
        for lane in 0..self.lanes.len() as u32 {
            self.lanes[lane as usize].groups.iter_mut().for_each(|track| track.declared_ns = 0);
            self.lanes[lane as usize].is_known = false;
            self.lane_state(lane);
        }
    }

    /// What is declared in the options.
    pub fn configured_rules(&self) -> &[Rule] {
        &self.options.expect
    }

    /// What is declared.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn declare(&mut self, lane: u32) {
        self.lanes[lane as usize].is_known = true;
        let key = self.places.key(self.places.destination_of_lane(lane));
        let all = self.options.expect.iter().chain(&self.rules);
        let consumes = all.filter_map(|rule| if let Rule::Consumes(rule) = rule { Some(rule) } else { None });
        for rule in consumes.filter(|rule| rule.is_about(&key)) {
            let group = self.places.names.intern(&rule.group);
            let state = &mut self.lanes[lane as usize];
            let place = state.place(group);
            if let Some(track) = state.groups.get_mut(place) {
                track.declared_ns = rule.within_ns;
            }
        }
    }
}

/// A destination as far as its key tells.
pub(super) fn identity(places: &Places, destination: u32) -> Identity<'_> {
    let [system, name] = places.destinations.get(destination);
    let name = places.names.text(name);
    Identity {
        system: places.names.text(system),
        name: Cow::Borrowed(name),
        kind: places.kind(destination),
        subscription: Cow::Borrowed(""),
        route: Cow::Borrowed(""),
        partition: Word::default(),
        group: "",
        spelling: name,
    }
}

/// The worse of pending, late and lost.
fn worse(a: MessageState, b: MessageState) -> MessageState {
    let rank = |state| [MessageState::Pending, MessageState::Late, MessageState::Lost].iter().position(|&s| s == state);
    if rank(a) >= rank(b) { a } else { b }
}
