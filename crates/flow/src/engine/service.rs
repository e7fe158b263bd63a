//! What services are asked and whom they call, counted by minute; and what is answered about services.
//!
//! A service is asked by spans that serve, by spans that work on a message, and by itself where a trace begins. Deliberately absent:
//! spans within a service, and where messages go, which `deliver` counts.

use std::collections::BTreeMap;

use model::{SpanBatch, SpanKind, SpanRef, StatusCode};

use super::calls::{Callee, Joined, Peer, PeerKind};
use super::meters::{Connection, Exchange};
use super::names::NONE;
use super::rollup::{Cell, EdgeCounter};
use super::sketch::Sketch;
use super::{Batch, EdgeKind, Engine, PEERS_KEPT_MAX};
use crate::semconv::Role;

/// What a service was asked within some time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceFigures {
    /// How often.
    pub requests: u64,
    /// How often it failed.
    pub errors: u64,
    /// How long it took.
    pub durations: Sketch,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceReport {
    /// Its name; empty for senders that gave none.
    pub name: String,
    /// What it was asked in all.
    pub figures: ServiceFigures,
    /// The same in steps: their beginnings in Unix nanoseconds, in the order of time, without those in which it was not asked.
    pub series: Vec<(u64, ServiceFigures)>,
}

impl ServiceFigures {
    fn add(&mut self, cell: &Cell) {
        self.requests += u64::from(cell.counts[EdgeCounter::Count as usize]);
        self.errors += u64::from(cell.counts[EdgeCounter::Errors as usize]);
        self.durations.merge(&cell.durations);
    }
}

impl Engine {
    /// Services that were asked anything from one instant to another, Unix nanoseconds, by name.
    pub fn services(&self, start: u64, end: u64, step_ns: u64) -> Vec<ServiceReport> {
        let mut services: BTreeMap<&str, BTreeMap<u64, ServiceFigures>> = BTreeMap::new();
        for (at, edge, cell) in self.edge_counts.between(start, end) {
            let [kind, service, _] = self.edges.get(edge);
            if kind == EdgeKind::Serves as u32 {
                let steps = services.entry(self.places.names.text(service)).or_default();
                steps.entry(at / step_ns.max(1) * step_ns.max(1)).or_default().add(cell);
            }
        }
        let report = |(name, steps): (&str, BTreeMap<u64, ServiceFigures>)| {
            let mut figures = ServiceFigures::default();
            for step in steps.values() {
                figures.requests += step.requests;
                figures.errors += step.errors;
                figures.durations.merge(&step.durations);
            }
            ServiceReport { name: name.to_owned(), figures, series: steps.into_iter().collect() }
        };
        services.into_iter().map(report).collect()
    }

    /// Counts what a service was asked: calls and messages that it works on, and what it begins by itself.
    pub(super) fn serve(&mut self, span: SpanRef<'_>, service: u32, role: Option<Role>) {
        let kind = span.kind();
        let is_asked = kind == SpanKind::SERVER || kind == SpanKind::CONSUMER || span.parent_span_id().is_none();
        if is_asked && role != Some(Role::Receive) {
            let is_error = span.status() == StatusCode::ERROR;
            let took_ns = Some(span.duration_ns());
            self.count_edge(EdgeKind::Serves, [service, NONE], span.start_unix_nano(), is_error, took_ns);
        }
    }

    pub(super) fn count_edge(
        &mut self,
        kind: EdgeKind,
        [from, to]: [u32; 2],
        at_unix_nano: u64,
        is_error: bool,
        took_ns: Option<u64>,
    ) {
        let edge = self.edges.intern([kind as u32, from, to]);
        self.edge_counts.change(at_unix_nano, edge, |cell| {
            cell.change(EdgeCounter::Count as usize, 1);
            cell.change(EdgeCounter::Errors as usize, i64::from(is_error));
            if let Some(took_ns) = took_ns {
                cell.durations.add(took_ns);
            }
        });
    }

    pub(super) fn call(&mut self, context: &mut Batch, span: SpanRef<'_>, service: u32) {
        let peer = if span.kind() == SpanKind::CLIENT { context.peer_keys.peer(span) } else { None };
        let peer = peer.map(|peer| self.peer(context, span.batch, peer));
        if let Some(joined) = self.calls.add(span, service, peer) {
            self.count_call(joined);
        }
    }

    /// The name and kind of a peer.
    fn peer(&mut self, context: &mut Batch, batch: &SpanBatch, peer: Peer) -> (u32, PeerKind) {
        if let Some((_, named)) = context.peers.iter().find(|(known, _)| *known == peer) {
            return *named;
        }
        let (system, address) = (batch.text.str(peer.system), batch.text.str(peer.address));
        let name = match (system, address) {
            ("", name) | (name, "") => self.places.names.intern(name),
            (system, address) => self.places.names.intern(&format!("{system}@{address}")),
        };
        let named = (name, PeerKind::of_system(system));
        if context.peers.len() < PEERS_KEPT_MAX {
            context.peers.push((peer, named));
        }
        named
    }

    fn count_call(&mut self, joined: Joined) {
        let Joined { client, to, start_unix_nano, client_ns, server_ns, is_error } = joined;
        let (kind, connection, to) = match to {
            Callee::Service(server) if client == server => return,
            Callee::Service(server) => (EdgeKind::Calls, Connection::Call, server),
            Callee::Peer(PeerKind::Database, peer) => (EdgeKind::Database, Connection::Database, peer),
            Callee::Peer(PeerKind::Cache, peer) => (EdgeKind::Cache, Connection::Database, peer),
            Callee::Peer(PeerKind::Host, peer) => (EdgeKind::Host, Connection::Outside, peer),
        };
        let exchange = Exchange { is_error, client_ns, server_ns, wait_ns: None };
        self.meters.pair(connection, [client, to], exchange);
        self.count_edge(kind, [client, to], start_unix_nano, is_error, Some(server_ns.unwrap_or(client_ns)));
    }

    pub(super) fn age_calls(&mut self) {
        for joined in self.calls.advance(self.now_unix_nano) {
            self.count_call(joined);
        }
    }
}
