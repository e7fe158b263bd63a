//! What monitoring systems read: the meters and how things stand, by name.
//!
//! Destinations that are bound are one here as they are in every other report, so what was counted of several may be added up.

use std::collections::{BTreeMap, HashMap};

use model::{SpanKind, StatusCode};

use super::Engine;
use super::meters::{Connection, PairMeter, SpanHistogram, WaitMeter};
use super::names::NONE;
use super::report::Standings;
use crate::destination::DestinationKey;

/// Spans that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanSeries {
    /// Who sent them.
    pub service: String,
    /// Their name.
    pub name: String,
    /// Their kind.
    pub kind: SpanKind,
    /// Their status.
    pub status: StatusCode,
    /// How many there were, and how long they took.
    pub durations: SpanHistogram,
}

/// A pair of services, or of a service and what it called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSeries {
    /// How they are joined.
    pub connection: Connection,
    /// Who called or sent.
    pub client: String,
    /// Who was called or received.
    pub server: String,
    /// What went on.
    pub meter: PairMeter,
}

/// A destination, or one group of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationMeter {
    /// The destination.
    pub destination: DestinationKey,
    /// The group; nothing for all together.
    pub group: Option<String>,
    /// What was counted.
    pub meter: WaitMeter,
    /// How things stand.
    pub standings: Standings,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exposition {
    /// By service, name, kind and status.
    pub spans: Vec<SpanSeries>,
    /// By connection and ends.
    pub pairs: Vec<PairSeries>,
    /// By destination and group.
    pub destinations: Vec<DestinationMeter>,
}

impl Engine {
    /// What monitoring systems read.
    pub fn exposition(&self) -> Exposition {
        let text = |number| self.places.names.text(number).to_owned();
        let spans = self.meters.spans().map(|(service, name, kind, status, &durations)| SpanSeries {
            service: text(service),
            name: text(name),
            kind,
            status,
            durations,
        });
        let pairs = self.meters.pairs().map(|([connection, client, server], &meter)| {
            let connection = Connection::ALL.into_iter().find(|&known| known as u32 == connection);
            // What no longer fits has no ends.
            let connection = connection.unwrap_or(Connection::Outside);
            PairSeries { connection, client: text(client), server: text(server), meter }
        });
        Exposition { spans: spans.collect(), pairs: pairs.collect(), destinations: self.destination_meters() }
    }

    fn destination_meters(&self) -> Vec<DestinationMeter> {
        let mut known = HashMap::new();
        let mut meters: BTreeMap<(u32, u32), (WaitMeter, Standings)> = BTreeMap::new();
        for ([destination, group], meter) in self.meters.waits() {
            let (destination, reader) = self.resolved(destination, &mut known);
            let group = reader.filter(|_| group != NONE).unwrap_or(group);
            meters.entry((destination, group)).or_default().0.merge(meter);
        }
        for (place, standings) in self.standings() {
            meters.entry(place).or_default().1 = standings;
        }
        let meters = meters.into_iter().filter(|(_, both)| *both != Default::default());
        let report = |((destination, group), (meter, standings))| DestinationMeter {
            destination: self.places.key(destination),
            group: (group != NONE).then(|| self.places.names.text(group).to_owned()),
            meter,
            standings,
        };
        meters.map(report).collect()
    }
}
