//! What the engine answers: destinations, their figures over time, messages, the service map, what is expected.
//!
//! Names that are bound are put together here and not before: a queue is shown as a group of the exchange it gets its messages
//! from, whether that was learned before or after they came.

use std::collections::{BTreeMap, HashMap};

use model::{SpanId, TraceId};

use super::calls::PeerKind;
use super::deliver::identity;
use super::keys::{key_hash, word_hash};
use super::messages::{Message, SAMPLED, WRAPPER};
use super::names::NONE;
use super::rollup::{Cell, Counter, EdgeCounter};
use super::sketch::Sketch;
use super::{EdgeKind, Engine, arrival};
use crate::cone::Evidence;
use crate::destination::{DestinationKey, DestinationKind};
use crate::hop::MessageState;
use crate::semconv::Word;

/// What happened somewhere within some time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Messages sent.
    pub sent: u64,
    /// Messages taken.
    pub received: u64,
    /// Messages worked on, each time again.
    pub processed: u64,
    /// Times that failed.
    pub failed: u64,
    /// Messages given up on.
    pub dead_lettered: u64,
    /// Messages that became late.
    pub late: u64,
    /// Messages that are lost.
    pub lost: u64,
    /// Messages that were received before they were sent.
    pub skewed: u64,
    /// How long messages waited.
    pub waits: Sketch,
}

/// What happened at a destination, for one group, within a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The beginning of the stretch, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// The group; empty for what is about all.
    pub group: String,
    /// The partition, if there is one.
    pub partition: String,
    /// What happened.
    pub figures: Figures,
}

/// How things stand now with the messages that are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standings {
    /// Messages that are expected to be received.
    pub pending: u64,
    /// So, and overdue.
    pub late: u64,
    /// So, and given up on.
    pub lost: u64,
    /// When the oldest message that is pending or late was sent, Unix nanoseconds.
    pub oldest_unix_nano: Option<u64>,
}

/// A consumer group of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReport {
    /// Its name.
    pub name: String,
    /// What happened.
    pub figures: Figures,
    /// What it misses now.
    pub standings: Standings,
}

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationReport {
    /// What it is.
    pub key: DestinationKey,
    /// What sort of thing it is.
    pub kind: DestinationKind,
    /// What happened.
    pub figures: Figures,
    /// Its messages now.
    pub standings: Standings,
    /// Who receives from it, by name.
    pub groups: Vec<GroupReport>,
}

/// A message's way to one group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryReport {
    /// The group.
    pub group: String,
    /// The service that received it.
    pub service: String,
    /// The span that received it first.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// When, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// How long it waited, if clocks agree.
    pub queue_wait_ns: Option<u64>,
    /// How often it was delivered.
    pub attempts: u32,
    /// How many of them failed.
    pub failed: u32,
    /// Why we believe it.
    pub evidence: &'static str,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageReport {
    /// The span that sent it.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// The service that sent it.
    pub service: String,
    /// Where to.
    pub destination: DestinationKey,
    /// The partition, if there is one.
    pub partition: String,
    /// When sending ended, Unix nanoseconds.
    pub sent_unix_nano: u64,
    /// How many messages were sent at once.
    pub count: u32,
    /// What became of it.
    pub state: MessageState,
    /// Who is expected to have received it and has not.
    pub missing: Vec<String>,
    /// The sender does not record everything.
    pub sampled: bool,
    /// Who received it.
    pub deliveries: Vec<DeliveryReport>,
}

/// The place of a message in a list: by the time of sending, the newest first.
pub type MessagePlace = (u64, TraceId, SpanId);

/// Which messages are wanted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessageQuery {
    /// Sent there.
    pub destination: Option<DestinationKey>,
    /// Received by this group, or missed by it.
    pub group: Option<String>,
    /// In this state.
    pub state: Option<MessageState>,
    /// With this id.
    pub message_id: Option<String>,
    /// With this value of a declared key.
    pub business_key: Option<(String, String)>,
    /// Sent at or after, Unix nanoseconds.
    pub start_unix_nano: Option<u64>,
    /// Sent before.
    pub end_unix_nano: Option<u64>,
    /// Those that come after this one.
    pub after: Option<MessagePlace>,
    /// At most so many.
    pub limit: usize,
}

/// What stands in the service map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapNode {
    /// A service.
    Service(String),
    /// A destination.
    Destination(DestinationKey),
    /// Something that sends no spans.
    Peer(PeerKind, String),
}

/// What goes on between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEdge {
    /// Who begins.
    pub from: MapNode,
    /// With whom.
    pub to: MapNode,
    /// How often.
    pub count: u64,
    /// How often it failed.
    pub errors: u64,
    /// How long it took; from a destination to a service, how long messages waited.
    pub durations: Sketch,
}

/// What is expected of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectationReport {
    /// The destination.
    pub destination: DestinationKey,
    /// The routing key that it is about; empty for all.
    pub route: String,
    /// The group; nothing for anyone.
    pub group: Option<String>,
    /// Somebody declared it.
    pub declared: bool,
    /// Whether it is expected to get each message.
    pub expected: bool,
    /// The messages that taught it.
    pub messages: u32,
    /// The share of messages that it gets.
    pub share: f64,
    /// From hearing of the sending to hearing of the receiving, 99th percentile.
    pub p99_ns: u64,
    /// A message is late after so long.
    pub late_ns: u64,
    /// A message is lost after so long.
    pub lost_ns: u64,
}

impl Figures {
    fn add(&mut self, cell: &Cell) {
        self.sent += cell.count(Counter::Sent);
        self.received += cell.count(Counter::Received);
        self.processed += cell.count(Counter::Processed);
        self.failed += cell.count(Counter::Failed);
        self.dead_lettered += cell.count(Counter::DeadLettered);
        self.late += cell.count(Counter::Late);
        self.lost += cell.count(Counter::Lost);
        self.skewed += cell.count(Counter::Skewed);
        self.waits.merge(&cell.durations);
    }
}

impl Standings {
    fn add(&mut self, state: MessageState, sent_unix_nano: u64, count: u64) {
        match state {
            MessageState::Pending => self.pending += count,
            MessageState::Late => self.late += count,
            MessageState::Lost => self.lost += count,
            _ => return,
        }
        if state != MessageState::Lost {
            self.oldest_unix_nano = Some(self.oldest_unix_nano.map_or(sent_unix_nano, |at| at.min(sent_unix_nano)));
        }
    }
}

/// What belongs to a name, with who reads it.
pub(super) type Ends = (u32, Option<u32>);

impl Engine {
    /// What a destination is part of: the one source that is bound to it, with itself as the group.
    pub(super) fn resolved(&self, destination: u32, known: &mut HashMap<u32, Ends>) -> Ends {
        *known.entry(destination).or_insert_with(|| {
            let own = identity(&self.places, destination);
            let source = self.bindings.resolve_received(&own).key;
            match self.places.find(&source) {
                Some(source) if source != destination => (source, Some(self.places.destinations.get(destination)[1])),
                _ => (destination, None),
            }
        })
    }

    /// Destinations where something happened from one instant to another, Unix nanoseconds, or that have messages under way.
    pub fn destinations(&self, start: u64, end: u64) -> Vec<DestinationReport> {
        let mut known = HashMap::new();
        let mut figures: BTreeMap<u32, BTreeMap<u32, Figures>> = BTreeMap::new();
        for (_, series, cell) in self.counts.between(start, end) {
            let [destination, group, _] = self.series.get(series);
            let (destination, reader) = self.resolved(destination, &mut known);
            let group = reader.filter(|_| group != NONE).unwrap_or(group);
            figures.entry(destination).or_default().entry(group).or_default().add(cell);
        }
        let standings = self.standings();
        for &(destination, group) in standings.keys() {
            figures.entry(destination).or_default().entry(group).or_default();
        }
        figures
            .into_iter()
            .map(|(destination, groups)| self.destination_report(destination, groups, &standings))
            .collect()
    }

    fn destination_report(
        &self,
        destination: u32,
        groups: BTreeMap<u32, Figures>,
        standings: &HashMap<(u32, u32), Standings>,
    ) -> DestinationReport {
        let mut all = Figures::default();
        let mut reports = Vec::new();
        let standings = |group| standings.get(&(destination, group)).copied().unwrap_or_default();
        for (group, figures) in groups {
            all.merge(&figures);
            if group != NONE {
                let name = self.places.names.text(group).to_owned();
                reports.push(GroupReport { name, figures, standings: standings(group) });
            }
        }
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        DestinationReport {
            key: self.places.key(destination),
            kind: self.places.kind(destination),
            figures: all,
            standings: standings(NONE),
            groups: reports,
        }
    }

    /// How messages stand now, by destination and by the group that misses them; under [`NONE`] each message once.
    pub(super) fn standings(&self) -> HashMap<(u32, u32), Standings> {
        let mut standings: HashMap<(u32, u32), Standings> = HashMap::new();
        for at in self.messages.all() {
            let message = self.messages.get(at);
            if message.flags & WRAPPER != 0 {
                continue;
            }
            let verdict = self.verdict(message);
            if matches!(verdict.state, MessageState::Pending | MessageState::Late | MessageState::Lost) {
                let destination = self.places.destination_of_lane(message.lane);
                for group in self.missing(message, verdict.missing).chain([NONE]) {
                    let entry = standings.entry((destination, group)).or_default();
                    entry.add(verdict.state, message.sent_unix_nano, u64::from(message.sent));
                }
            }
        }
        standings
    }

    /// The groups of a message's lane that have a bit set.
    fn missing(&self, message: &Message, bits: u64) -> impl Iterator<Item = u32> + '_ {
        let groups = self.lanes[message.lane as usize].groups.iter().enumerate();
        groups.filter(move |(place, _)| bits >> place & 1 == 1).map(|(_, track)| track.group)
    }

    /// What happened at a destination over time, in steps of so many nanoseconds.
    pub fn series(&self, key: &DestinationKey, start: u64, end: u64, step_ns: u64) -> Vec<Point> {
        let Some(wanted) = self.places.find(key) else { return Vec::new() };
        let mut known = HashMap::new();
        let mut points: BTreeMap<(u64, u32, u32), Figures> = BTreeMap::new();
        for (at, series, cell) in self.counts.between(start, end) {
            let [destination, group, partition] = self.series.get(series);
            let (destination, reader) = self.resolved(destination, &mut known);
            if destination == wanted {
                let group = reader.filter(|_| group != NONE).unwrap_or(group);
                let step = at / step_ns.max(1) * step_ns.max(1);
                points.entry((step, group, partition)).or_default().add(cell);
            }
        }
        let text = |number| self.places.names.text(number).to_owned();
        let point = |((start_unix_nano, group, partition), figures)| Point {
            start_unix_nano,
            group: text(group),
            partition: text(partition),
            figures,
        };
        points.into_iter().map(point).collect()
    }

    /// Messages in memory, the last sent first.
    pub fn messages(&self, query: &MessageQuery) -> Vec<MessageReport> {
        let mut found: Vec<(MessagePlace, u32)> = Vec::new();
        let Some(destination) =
            query.destination.as_ref().map(|key| self.places.find(key)).map_or(Some(None), |found| found.map(Some))
        else {
            return Vec::new();
        };
        let keys = self.wanted_keys(query, destination);
        for at in self.messages.all() {
            let message = self.messages.get(at);
            let place = (message.sent_unix_nano, message.trace_id, message.span_id);
            let wanted = message.flags & WRAPPER == 0
                && destination.is_none_or(|wanted| self.places.destination_of_lane(message.lane) == wanted)
                && keys.as_ref().is_none_or(|keys| message.keys.iter().any(|key| *key != 0 && keys.contains(key)))
                && query.start_unix_nano.is_none_or(|start| message.sent_unix_nano >= start)
                && query.end_unix_nano.is_none_or(|end| message.sent_unix_nano < end)
                && query.after.is_none_or(|after| place < after);
            if wanted && self.is_in_state(at, message, query) {
                found.push((place, at));
            }
        }
        found.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        found.into_iter().take(query.limit).map(|(_, at)| self.message_report(at)).collect()
    }

    fn is_in_state(&self, at: u32, message: &Message, query: &MessageQuery) -> bool {
        if query.state.is_none() && query.group.is_none() {
            return true;
        }
        let verdict = self.verdict(message);
        let named = |name: &str| self.places.names.find(name);
        let group = query.group.as_deref().map(named);
        let is_of_group = group.is_none_or(|group| {
            let received = || self.messages.deliveries(at).any(|delivery| Some(delivery.group) == group);
            group.is_some_and(|group| self.missing(message, verdict.missing).any(|missing| missing == group))
                || received()
        });
        is_of_group && query.state.is_none_or(|state| state == verdict.state)
    }

    /// The keys one of which a wanted message has; nothing if any will do.
    fn wanted_keys(&self, query: &MessageQuery, destination: Option<u32>) -> Option<Vec<u64>> {
        use model::text::hash_text;
        let hash = |number: u32| hash_text(self.places.names.text(number).as_bytes());
        let pairs = |destination: Option<u32>| match destination {
            Some(destination) => vec![self.places.destinations.get(destination)],
            None => self.places.destinations.all().to_vec(),
        };
        let by_id = query.message_id.as_ref().map(|id| {
            let key =
                |[system, _]: [u32; 2]| key_hash(Evidence::MessageId, [hash(system), word_hash(Word::Text(id)), 0]);
            pairs(destination).into_iter().map(key).collect::<Vec<_>>()
        });
        let by_key = query.business_key.as_ref().map(|(name, value)| {
            let hashes = [hash_text(name.as_bytes()), hash_text(value.as_bytes())];
            let key = |[_, place]: [u32; 2]| key_hash(Evidence::BusinessKey, [hashes[0], hashes[1], hash(place)]);
            pairs(destination).into_iter().map(key).collect::<Vec<_>>()
        });
        by_id.or(by_key)
    }

    /// One message, if it is in memory.
    pub fn message(&self, trace_id: TraceId, span_id: SpanId) -> Option<MessageReport> {
        self.messages.find(trace_id, span_id).map(|at| self.message_report(at))
    }

    fn message_report(&self, at: u32) -> MessageReport {
        let message = self.messages.get(at);
        let text = |number| self.places.names.text(number).to_owned();
        let verdict = self.verdict(message);
        let mut deliveries: Vec<DeliveryReport> = Vec::new();
        for delivery in self.messages.deliveries(at) {
            deliveries.push(DeliveryReport {
                group: text(delivery.group),
                service: text(delivery.service),
                trace_id: delivery.trace_id,
                span_id: delivery.span_id,
                start_unix_nano: delivery.start_unix_nano,
                queue_wait_ns: (delivery.wait_ns != arrival::SKEWED).then_some(delivery.wait_ns),
                attempts: delivery.attempts(),
                failed: u32::from(delivery.failed),
                evidence: EVIDENCE[usize::from(delivery.evidence).min(EVIDENCE.len() - 1)].name(),
            });
        }
        deliveries.sort();
        let mut missing: Vec<String> = self.missing(message, verdict.missing).map(text).collect();
        missing.sort();
        MessageReport {
            trace_id: message.trace_id,
            span_id: message.span_id,
            service: text(message.service),
            destination: self.places.key(self.places.destination_of_lane(message.lane)),
            partition: text(message.partition),
            sent_unix_nano: message.sent_unix_nano,
            count: message.sent,
            state: verdict.state,
            missing,
            sampled: message.flags & SAMPLED != 0,
            deliveries,
        }
    }

    /// The service map from one instant to another, Unix nanoseconds.
    pub fn map(&self, start: u64, end: u64) -> Vec<MapEdge> {
        let mut known = HashMap::new();
        let mut edges: BTreeMap<(MapNode, MapNode), MapEdge> = BTreeMap::new();
        for (_, edge, cell) in self.edge_counts.between(start, end) {
            let Some((from, to)) = self.map_nodes(self.edges.get(edge), &mut known) else { continue };
            let entry = edges.entry((from.clone(), to.clone()));
            let entry =
                entry.or_insert_with(|| MapEdge { from, to, count: 0, errors: 0, durations: Sketch::default() });
            let counted = u64::from(cell.counts[EdgeCounter::Count as usize]);
            entry.count += counted.max(cell.durations.count());
            entry.errors += u64::from(cell.counts[EdgeCounter::Errors as usize]);
            entry.durations.merge(&cell.durations);
        }
        edges.into_values().collect()
    }

    fn map_nodes(&self, [kind, from, to]: [u32; 3], known: &mut HashMap<u32, Ends>) -> Option<(MapNode, MapNode)> {
        let text = |number| self.places.names.text(number).to_owned();
        let kind = EDGE_KINDS.into_iter().find(|&known| known as u32 == kind)?;
        let mut destination = |number| MapNode::Destination(self.places.key(self.resolved(number, known).0));
        Some(match kind {
            EdgeKind::Serves => return None,
            EdgeKind::Sends => (MapNode::Service(text(from)), destination(to)),
            EdgeKind::Receives => (destination(from), MapNode::Service(text(to))),
            EdgeKind::Calls => (MapNode::Service(text(from)), MapNode::Service(text(to))),
            EdgeKind::Database => (MapNode::Service(text(from)), MapNode::Peer(PeerKind::Database, text(to))),
            EdgeKind::Cache => (MapNode::Service(text(from)), MapNode::Peer(PeerKind::Cache, text(to))),
            EdgeKind::Host => (MapNode::Service(text(from)), MapNode::Peer(PeerKind::Host, text(to))),
        })
    }

    /// What is expected, learned and declared.
    pub fn expectations(&self) -> Vec<ExpectationReport> {
        let mut reports = Vec::new();
        for (lane, state) in self.lanes.iter().enumerate() {
            let [destination, route] = self.places.lanes.get(lane as u32);
            let tracks = state.groups.iter().map(|track| (Some(track.group), track)).chain([(None, &state.any)]);
            for (group, track) in tracks.filter(|(_, track)| track.matched > 0 || track.declared_ns > 0) {
                let (late_ns, lost_ns) = track.deadlines_ns(self.options.patience);
                reports.push(ExpectationReport {
                    destination: self.places.key(destination),
                    route: self.places.names.text(route).to_owned(),
                    group: group.map(|group| self.places.names.text(group).to_owned()),
                    declared: track.declared_ns > 0,
                    expected: track.is_expected(state.skipped),
                    messages: track.matched,
                    share: if track.matched == 0 { 0.0 } else { track.share(state.skipped) },
                    p99_ns: track.p99_ns,
                    late_ns,
                    lost_ns,
                });
            }
        }
        reports.sort_by(|a, b| (&a.destination, &a.route, &a.group).cmp(&(&b.destination, &b.route, &b.group)));
        reports
    }

    /// How many messages are in memory, and how many spans wait for a sender.
    pub fn held(&self) -> (usize, usize) {
        (self.messages.len(), self.orphans.len())
    }
}

impl Figures {
    fn merge(&mut self, other: &Figures) {
        self.sent += other.sent;
        self.received += other.received;
        self.processed += other.processed;
        self.failed += other.failed;
        self.dead_lettered += other.dead_lettered;
        self.late += other.late;
        self.lost += other.lost;
        self.skewed += other.skewed;
        self.waits.merge(&other.waits);
    }
}

const EDGE_KINDS: [EdgeKind; 6] =
    [EdgeKind::Sends, EdgeKind::Receives, EdgeKind::Calls, EdgeKind::Database, EdgeKind::Cache, EdgeKind::Host];

const EVIDENCE: [Evidence; 7] = [
    Evidence::Parent,
    Evidence::Link,
    Evidence::Broker,
    Evidence::MessageId,
    Evidence::Offset,
    Evidence::ConversationId,
    Evidence::BusinessKey,
];
