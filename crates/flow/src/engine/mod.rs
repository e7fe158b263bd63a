//! [`Engine`]: every span that arrives passes here once; what it says of messages and calls is kept as small facts, so that "it
//! never arrived" and "how long do messages wait" are answered without looking at spans.
//!
//! | module | what |
//! |---|---|
//! | `messages` | messages by sender and by what else identifies them, with their deliveries |
//! | `orphans` | spans that received something nobody is known to have sent yet |
//! | `arrival` | what is kept of a span that received |
//! | [`watch`] | time in which nobody watched, and what was received without context |
//! | [`expect`] | who is expected to receive, how soon: learned or declared |
//! | [`promise`] | what is declared to follow on something, over several messages |
//! | [`rule`] | declarations as people write them |
//! | [`rollup`], [`sketch`] | counters and durations by minute and hour |
//! | [`meters`] | the same for monitoring systems: only grows |
//! | [`calls`] | client and server spans, joined |
//! | [`service`] | what services are asked and whom they call: the edges of the service map |
//! | [`exposition`] | what monitoring systems read |
//! | [`report`] | the answers |
//! | [`standing`] | what flows ask of single messages |
//! | [`checkpoint`] | everything as bytes, for restarts |
//! | `names`, `seen`, `keys` | texts as numbers; what was there not long ago; hashes of what identifies |
//!
//! Spans may come in any order, hours apart, twice, or never; once all timers ran the state is the same. Time comes from outside:
//! with every batch, and with [`Engine::advance`]. Everything is bounded; what is forgotten while it still mattered is counted in
//! [`Totals`]. A span that sends several messages is one message here, with its count.
//!
//! In the pipe it stands beside *apply*. Deliberately absent: clocks, files, threads; flows, which are assembled from stored
//! spans when somebody asks.

mod arrival;
pub mod calls;
pub mod checkpoint;
mod deliver;
pub mod expect;
pub mod exposition;
mod keys;
mod messages;
pub mod meters;
mod names;
mod orphans;
pub mod promise;
pub mod report;
pub mod rollup;
pub mod rule;
mod seen;
pub mod service;
pub mod sketch;
pub mod standing;
pub mod watch;

use std::collections::{BTreeMap, HashMap};

use model::text::hash_text;
use model::{LinkRef, SpanBatch, SpanKind, SpanRef, StatusCode, TextId};

use self::arrival::Arrival;
use self::calls::{Calls, Peer, PeerKeys, PeerKind};
use self::expect::{LaneState, Patience};
use self::keys::{is_parent_local, is_sampled, key_hash, sender_hash, several_hash, word_hash, wrapper_hash};
use self::messages::{Message, Messages, NOWHERE, OTHER_KEYS, SAMPLED, Standing, WRAPPER, span_hash};
use self::meters::Meters;
use self::names::{NONE, Places, Tuples, mix};
use self::orphans::Orphans;
use self::promise::Promises;
use self::rollup::{Counter, Rollup};
use self::rule::Rule;
use self::seen::Recent;
use self::watch::Watch;
use crate::cone::Evidence;
use crate::destination::{Bindings, Identity};
use crate::hop::{is_receiver, is_sender};
use crate::semconv::{MessageFacts, Messaging, Role, Word};

/// Series (destination, group, partition) told apart.
pub const SERIES_MAX: usize = 8_192;
/// Edges of the service map told apart.
pub const EDGES_MAX: usize = 8_192;
const SECOND_NS: u64 = 1_000_000_000;
/// Spans that sent or received, remembered at least so that none counts twice.
const SEEN_MAX: usize = 65_536;
/// Spans within which others send, remembered at least: they end soon after those.
const WRAPPERS_MAX: usize = 32_768;
/// Spans within which something was put aside, remembered at least.
const DEATHS_MAX: usize = 4_096;
/// Peers of a batch that are remembered: so few that a list is searched fastest.
const PEERS_KEPT_MAX: usize = 32;
/// Numbers of partitions whose names are remembered.
const SMALL_NUMBERS: usize = 256;

/// How an engine is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// Messages known at once; with everything that belongs to one, at most 200 B each while nobody has received it.
    pub messages_max: usize,
    /// Of these, messages that are over with: whoever receives one of them once more is still told apart from a stranger.
    pub over_max: usize,
    /// Spans that wait for a sender at once, 112 B each.
    pub orphans_max: usize,
    /// Figures of a series or an edge within a minute or an hour kept at once, of each sort; about 300 B each.
    pub cells_max: usize,
    /// The least that is waited for anything.
    pub patience: Patience,
    /// Attribute keys whose values tell that a consumer got what a producer sent.
    pub correlate: Vec<String>,
    /// What is expected, whatever else is declared.
    pub expect: Vec<Rule>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            messages_max: 262_144,
            over_max: 32_768,
            orphans_max: 65_536,
            cells_max: 131_072,
            patience: Patience::default(),
            correlate: Vec::new(),
            expect: Vec::new(),
        }
    }
}

/// What was counted since the beginning; it only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Messages that became late.
    pub late: u64,
    /// Messages that became lost.
    pub lost: u64,
    /// Late or lost messages that were received after all.
    pub corrected: u64,
    /// Messages that were given up on.
    pub dead_lettered: u64,
    /// Messages that were forgotten while they were open, because there was no room.
    pub forgotten: u64,
}

/// What an edge of the service map joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub(crate) enum EdgeKind {
    Sends = 2,
    Receives = 3,
    Calls = 4,
    Database = 5,
    Cache = 6,
    Host = 7,
    /// A service by itself: what it was asked.
    Serves = 8,
}

/// The streaming engine.
#[derive(Debug, Clone)]
pub struct Engine {
    options: EngineOptions,
    rules: Vec<Rule>,
    now_unix_nano: u64,
    ticked_unix_nano: u64,
    places: Places,
    /// The names of small numbers.
    small_numbers: Vec<u32>,
    lanes: Vec<LaneState>,
    messages: Messages,
    orphans: Orphans,
    /// Spans that sent or received, so that none counts twice.
    seen: Recent,
    /// Spans that have a sending span of the same service below them.
    wrappers: Recent,
    /// Spans within which something was sent to where dead letters go. Not written down: who worked on it is heard of soon.
    deaths: Recent,
    /// Second → place and version of messages to look at.
    timers: BTreeMap<u64, Vec<(u32, u32)>>,
    series: Tuples<3>,
    edges: Tuples<3>,
    counts: Rollup,
    edge_counts: Rollup,
    meters: Meters,
    watch: Watch,
    promises: Promises,
    calls: Calls,
    bindings: Bindings,
    /// Whether a hop from one destination to another is a message that turned up elsewhere.
    ways: HashMap<(u32, u32), bool>,
    totals: Totals,
}

/// What is the same for all spans of one batch.
struct Batch {
    heard_unix_nano: u64,
    /// The number of each resource's service.
    services: Vec<u32>,
    peer_keys: PeerKeys,
    /// Names of spans after which something is expected, with their rules.
    after: Vec<(TextId, u32)>,
    /// Peers that were named already.
    peers: Vec<(Peer, (u32, PeerKind))>,
}

impl Engine {
    /// An engine that knows nothing.
    pub fn new(options: EngineOptions) -> Engine {
        let mut engine = Engine {
            rules: Vec::new(),
            now_unix_nano: 0,
            ticked_unix_nano: 0,
            places: Places::default(),
            small_numbers: vec![NONE; SMALL_NUMBERS],
            lanes: Vec::new(),
            messages: Messages::new(options.messages_max, options.over_max),
            orphans: Orphans::new(options.orphans_max),
            seen: Recent::new(options.messages_max.min(SEEN_MAX)),
            wrappers: Recent::new(options.messages_max.min(WRAPPERS_MAX)),
            deaths: Recent::new(DEATHS_MAX),
            timers: BTreeMap::new(),
            series: Tuples::new(SERIES_MAX),
            edges: Tuples::new(EDGES_MAX),
            counts: Rollup::new(options.cells_max),
            edge_counts: Rollup::new(options.cells_max),
            meters: Meters::default(),
            watch: Watch::default(),
            promises: Promises::default(),
            calls: Calls::default(),
            bindings: Bindings::default(),
            ways: HashMap::new(),
            totals: Totals::default(),
            options,
        };
        engine.set_rules(Vec::new());
        engine
    }

    /// What was counted since the beginning.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The latest instant that the engine was told of, Unix nanoseconds.
    pub fn now_unix_nano(&self) -> u64 {
        self.now_unix_nano
    }

    /// The instant of the last [`Engine::advance`], Unix nanoseconds; 0 before the first.
    pub fn ticked_unix_nano(&self) -> u64 {
        self.ticked_unix_nano
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.places.heap_bytes()
            + self.lanes.iter().map(|lane| size_of::<LaneState>() + lane.heap_bytes()).sum::<usize>()
            + self.messages.heap_bytes()
            + self.orphans.heap_bytes()
            + self.seen.heap_bytes()
            + self.wrappers.heap_bytes()
            + self.deaths.heap_bytes()
            + self.timers.values().map(|timers| 48 + timers.capacity() * 8).sum::<usize>()
            + self.series.heap_bytes()
            + self.edges.heap_bytes()
            + self.counts.heap_bytes()
            + self.edge_counts.heap_bytes()
            + self.meters.heap_bytes()
            + self.promises.heap_bytes()
            + self.calls.heap_bytes()
    }

    /// Takes in a batch that was received at an instant, Unix nanoseconds.
    pub fn apply(&mut self, batch: &SpanBatch, heard_unix_nano: u64) {
        if heard_unix_nano > self.now_unix_nano {
            self.now_unix_nano = heard_unix_nano;
            self.counts.advance(heard_unix_nano);
            self.edge_counts.advance(heard_unix_nano);
        }
        let service = |resource: &model::Resource| batch.text.str(resource.service_name);
        let services = batch.resources.iter().map(|resource| self.places.names.intern(service(resource))).collect();
        let peer_keys = PeerKeys::of(batch);
        self.meters.begin_batch();
        let named = |(rule, follows): (u32, &rule::Follows)| Some((batch.text.find(follows.after.as_bytes())?, rule));
        let after = self.promises.rules().filter_map(named).collect();
        let mut context = Batch { heard_unix_nano, services, peer_keys, after, peers: Vec::new() };
        for span in batch.spans() {
            self.span(&mut context, span);
        }
        if self.calls.is_full() {
            self.age_calls();
        }
    }

    fn span(&mut self, context: &mut Batch, span: SpanRef<'_>) {
        let service = context.services[span.scope().resource as usize];
        let view = Messaging::of(span);
        self.meters.span(span, service, &mut self.places.names);
        self.serve(span, service, view.as_ref().map(|view| view.role));
        self.promise(context, span);
        match view.as_ref().map(|view| view.role) {
            Some(role) if is_sender(role) => self.sender(context, span, service, view.as_ref()),
            Some(role) if is_receiver(role) => self.receiver(context, span, service, view.as_ref()),
            Some(_) => {}
            None if span.kind() == SpanKind::CONSUMER || span.links().next().is_some() => {
                self.receiver(context, span, service, None);
            }
            None => {}
        }
        if view.is_none() && matches!(span.kind(), SpanKind::CLIENT | SpanKind::SERVER) {
            self.call(context, span, service);
        }
    }

    /// A span that sends.
    fn sender(&mut self, context: &Batch, span: SpanRef<'_>, service: u32, view: Option<&Messaging<'_>>) {
        let Some((view, identity)) = view.and_then(|view| Some((view, Identity::of(view)?))) else { return };
        let (trace_id, span_id) = (span.trace_id(), span.span_id());
        if self.messages.find(trace_id, span_id).is_some() || self.sends_what_others_made(span, service) {
            return;
        }
        if let Some(parent) = span.parent_span_id() {
            self.wrappers.insert(wrapper_hash(span_hash(trace_id, parent), service));
            self.unwrap_parent(span, parent, service);
        }
        let hash = span_hash(trace_id, span_id);
        // A message that is over with may be forgotten before a repeated request tells of it again.
        if self.wrappers.has(wrapper_hash(hash, service)) || !self.seen.insert(sender_hash(hash)) {
            return;
        }
        if let Some(parent) = span.parent_span_id().filter(|_| identity.is_dead_letter()) {
            self.died_within(trace_id, parent);
        }
        let destination = self.places.destination(&identity);
        let lane = self.places.lane(destination, &identity.route);
        let partition = self.word(identity.partition);
        let keys = self.other_keys(span, view, &identity);
        let sent = view.batch_size.unwrap_or(1).max(1);
        self.count_sent(span, [destination, NONE, partition], service, sent);
        if span.status() == StatusCode::ERROR {
            return;
        }
        self.sent_in(trace_id, destination);
        let state = self.lane_state(lane);
        let ordinal = state.ordinals;
        state.ordinals = ordinal.wrapping_add(1);
        let message = Message {
            trace_id,
            span_id,
            sent_unix_nano: span.end_unix_nano(),
            heard_unix_nano: context.heard_unix_nano,
            keys: keys.map(|key| key.map_or(0, |(key, _)| key)),
            delivered: 0,
            lane,
            ordinal,
            service,
            partition,
            sent,
            took_us: u32::try_from(span.duration_ns() / 1_000).unwrap_or(u32::MAX),
            first_delivery: NOWHERE,
            flags: if is_sampled(span) { SAMPLED } else { 0 },
            standing: Standing::Open,
        };
        self.insert(message);
    }

    fn insert(&mut self, message: Message) {
        self.messages.forget_over();
        if self.messages.is_full()
            && let Some(forgotten) = self.messages.forget_one()
        {
            self.totals.forgotten += u64::from(forgotten.standing.has_timer());
        }
        let at = self.messages.insert(message);
        let first = [span_hash(message.trace_id, message.span_id)];
        for key in first.into_iter().chain(message.keys).filter(|&key| key != 0) {
            while let Some(arrival) = self.orphans.take(key) {
                self.deliver(at, &arrival);
            }
        }
        if self.messages.get(at).standing == Standing::Open {
            self.set_timer(at);
        }
    }

    /// Whether a sending span only sends messages that spans it links to have made.
    fn sends_what_others_made(&self, span: SpanRef<'_>, service: u32) -> bool {
        let is_known = |link: LinkRef<'_>| {
            let made = self.messages.find(link.trace_id(), link.span_id());
            made.is_some_and(|at| self.messages.get(at).service == service)
        };
        span.links().any(is_known)
    }

    /// Of spans of one service within each other that send, the innermost stands for the message.
    fn unwrap_parent(&mut self, span: SpanRef<'_>, parent: model::SpanId, service: u32) {
        let Some(at) = self.messages.find(span.trace_id(), parent) else { return };
        let message = *self.messages.get(at);
        if message.service != service || message.flags & WRAPPER != 0 {
            return;
        }
        self.messages.get_mut(at).flags |= WRAPPER;
        self.messages.set_standing(at, Standing::Over);
        self.lane_state(message.lane).skipped += 1;
        let destination = self.places.destination_of_lane(message.lane);
        let series = self.series.intern([destination, NONE, message.partition]);
        let count = -i64::from(message.sent);
        self.counts.change(message.sent_unix_nano, series, |cell| cell.change(Counter::Sent as usize, count));
    }

    fn count_sent(&mut self, span: SpanRef<'_>, series: [u32; 3], service: u32, sent: u32) {
        let number = self.series.intern(series);
        // By its end, as the message itself.
        let at = span.end_unix_nano();
        self.counts.change(at, number, |cell| cell.change(Counter::Sent as usize, i64::from(sent)));
        let is_error = span.status() == StatusCode::ERROR;
        self.count_edge(EdgeKind::Sends, [service, series[0]], at, is_error, Some(span.duration_ns()));
    }

    /// A span that receives, by what it says or because it points at what a sender made.
    fn receiver(&mut self, context: &Batch, span: SpanRef<'_>, service: u32, view: Option<&Messaging<'_>>) {
        if !self.seen.insert(span_hash(span.trace_id(), span.span_id())) {
            return;
        }
        let identity = view.and_then(Identity::of);
        let mut arrival = Arrival::of(span, view, context.heard_unix_nano);
        arrival.service = service;
        if arrival.has(arrival::SEVERAL) {
            self.seen.insert(several_hash(span_hash(span.trace_id(), span.span_id())));
        }
        if let Some(identity) = &identity {
            arrival.destination = self.places.destination(identity);
            let label = if identity.group.is_empty() { &identity.subscription } else { identity.group };
            arrival.label = self.places.names.intern(label);
            arrival.partition = self.word(identity.partition);
            let is_dead = identity.is_dead_letter();
            arrival.flags |= if is_dead { arrival::DIES } else { 0 };
            self.count_received(span, &arrival, view);
            self.learn_own(identity, &arrival);
        }
        self.find_senders(span, arrival, view, identity.as_ref());
    }

    /// Learns what a receiving span says by itself: what it reads, and beneath what.
    fn learn_own(&mut self, identity: &Identity<'_>, arrival: &Arrival) {
        if !identity.subscription.is_empty() {
            let ends = (arrival.destination, !arrival.label);
            if self.ways.insert(ends, false).is_none() {
                self.bindings.learn_own(identity, arrival.start_unix_nano);
            }
        }
    }

    fn count_received(&mut self, span: SpanRef<'_>, arrival: &Arrival, view: Option<&Messaging<'_>>) {
        let Some(view) = view else { return };
        let is_idle = view.role == Role::Receive && view.batch_size.unwrap_or(1) == 0;
        if is_idle {
            return;
        }
        let group = if arrival.label == NONE { arrival.service } else { arrival.label };
        let series = self.series.intern([arrival.destination, group, arrival.partition]);
        let messages = i64::from(view.batch_size.unwrap_or(1).max(1));
        let (processes, fails) = (arrival.has(arrival::PROCESSES), arrival.has(arrival::FAILED));
        self.counts.change(arrival.start_unix_nano, series, |cell| {
            let counter = if processes { Counter::Processed } else { Counter::Received };
            cell.change(counter as usize, messages);
            cell.change(Counter::Failed as usize, i64::from(fails));
        });
        let (kind, ends) = (EdgeKind::Receives, [arrival.destination, arrival.service]);
        if processes || view.role == Role::Receive && span.kind() == SpanKind::CONSUMER {
            self.count_edge(kind, ends, arrival.start_unix_nano, fails, None);
        }
    }

    /// Delivers to the messages that a receiving span got, or lets it wait for their senders.
    fn find_senders(
        &mut self,
        span: SpanRef<'_>,
        mut arrival: Arrival,
        view: Option<&Messaging<'_>>,
        identity: Option<&Identity<'_>>,
    ) {
        let mut has_links = false;
        for link in span.links() {
            has_links = true;
            arrival.evidence = Evidence::Link as u8;
            match self.messages.find(link.trace_id(), link.span_id()) {
                Some(at) => self.deliver(at, &arrival),
                None => self.orphans.insert(span_hash(link.trace_id(), link.span_id()), arrival),
            }
        }
        let Some(view) = view.filter(|_| !has_links) else { return };
        if let Some(parent) = span.parent_span_id() {
            arrival.evidence = Evidence::Parent as u8;
            match self.messages.find(span.trace_id(), parent) {
                Some(at) => return self.deliver(at, &arrival),
                // A poll's parent is whoever polls.
                None if span.kind() == SpanKind::CLIENT => {}
                // A message's context is never of the own process.
                None if is_parent_local(span) => self.orphans.insert(span_hash(span.trace_id(), parent), arrival),
                // It has its context: what it is called besides may be somebody else's name, too.
                None => return self.orphans.insert(span_hash(span.trace_id(), parent), arrival),
            }
        }
        let Some(identity) = identity else { return };
        let keys = self.other_keys(span, view, identity);
        // Who only asks for messages may get none.
        let has_message = arrival.has(arrival::PROCESSES) || view.batch_size.is_some_and(|messages| messages > 0);
        if has_message && span.parent_span_id().is_none() && keys.iter().all(Option::is_none) {
            self.note_stray(&arrival);
        }
        for (key, evidence) in keys.into_iter().flatten() {
            arrival.evidence = evidence as u8;
            match self.sender_with(key, evidence, arrival.start_unix_nano) {
                Some(at) => return self.deliver(at, &arrival),
                None => self.orphans.insert(key, arrival),
            }
        }
    }

    /// The message with a key: of an id the one sent last before it was received, of what several share the only one.
    fn sender_with(&self, key: u64, evidence: Evidence, received_unix_nano: u64) -> Option<u32> {
        const CLOCKS_APART_MAX_NS: u64 = 60 * SECOND_NS;
        let latest = received_unix_nano.saturating_add(CLOCKS_APART_MAX_NS);
        let before = self.messages.with_key(key).filter(|&at| self.messages.get(at).sent_unix_nano <= latest);
        if matches!(evidence, Evidence::MessageId | Evidence::Offset) {
            // Sent before it was received, or else as soon as possible after that: clocks may be apart.
            return before.min_by_key(|&at| {
                let message = self.messages.get(at);
                let sent = message.sent_unix_nano;
                (sent > received_unix_nano, sent.abs_diff(received_unix_nano), message.trace_id, message.span_id)
            });
        }
        let mut before = before;
        let only = before.next()?;
        before.next().is_none().then_some(only)
    }

    /// What identifies a message beside its sender, the most certain first: its id or its place in a log; what was declared, or
    /// its conversation.
    fn other_keys(
        &self,
        span: SpanRef<'_>,
        view: &Messaging<'_>,
        identity: &Identity<'_>,
    ) -> [Option<(u64, Evidence)>; OTHER_KEYS] {
        let MessageFacts { id, offset, conversation_id, .. } = view.message;
        let system = hash_text(identity.system.as_bytes());
        let name = || hash_text(identity.name.as_bytes());
        let by_id =
            (!id.is_empty()).then(|| (key_hash(Evidence::MessageId, [system, word_hash(id), 0]), Evidence::MessageId));
        let by_offset = || {
            let place = word_hash(identity.partition) ^ mix(offset? as u64);
            let is_placed = !identity.partition.is_empty();
            is_placed.then(|| (key_hash(Evidence::Offset, [system, name(), place]), Evidence::Offset))
        };
        let declared = || {
            self.options.correlate.iter().find_map(|key| {
                let value = span.attribute(key)?;
                let hashes = [hash_text(key.as_bytes()), hash_text(value.comparison_text().as_bytes()), name()];
                Some((key_hash(Evidence::BusinessKey, hashes), Evidence::BusinessKey))
            })
        };
        let by_conversation = || {
            let evidence = Evidence::ConversationId;
            let hash = || key_hash(evidence, [system, name(), word_hash(conversation_id)]);
            (!conversation_id.is_empty()).then(|| (hash(), evidence))
        };
        [by_id.or_else(by_offset), declared().or_else(by_conversation)]
    }

    fn word(&mut self, word: Word<'_>) -> u32 {
        match word {
            Word::Text(text) => self.places.names.intern(text),
            Word::Number(number) => {
                let small = usize::try_from(number).ok().filter(|&number| number < SMALL_NUMBERS);
                if let Some(&known) =
                    small.and_then(|number| self.small_numbers.get(number)).filter(|&&known| known != NONE)
                {
                    return known;
                }
                let name = self.places.names.intern(&number.to_string());
                if let Some(place) = small.and_then(|number| self.small_numbers.get_mut(number)) {
                    *place = name;
                }
                name
            }
        }
    }

    /// What is known of a lane; declarations are looked up when it is first seen.
    fn lane_state(&mut self, lane: u32) -> &mut LaneState {
        if self.lanes.len() <= lane as usize {
            self.lanes.resize_with(lane as usize + 1, LaneState::default);
        }
        if !self.lanes[lane as usize].is_known {
            self.declare(lane);
        }
        &mut self.lanes[lane as usize]
    }
}
