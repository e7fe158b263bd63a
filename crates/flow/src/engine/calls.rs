//! Calls between services: client spans and the server spans below them, joined in whatever order they come, and what client
//! spans say of databases, caches and hosts that send no spans.
//!
//! A call waits for its other end in a table of two generations. A client whose server never came was a call to something
//! outside, if it names what it called. Deliberately absent: messages, which are not calls.

use hashbrown::HashTable;
use model::{SpanBatch, SpanKind, SpanRef, StatusCode, TextId, Value};

use super::messages::span_hash;
use super::names::{NONE, mix};

/// Calls of one generation, at the most.
pub const CALLS_MAX: usize = 65_536;
/// A generation is at least this old when it goes.
const GENERATION_NS: u64 = 60_000_000_000;

/// What is at the other end of a call that sends no spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKind {
    /// A database.
    Database,
    /// A cache.
    Cache,
    /// Anything else with an address.
    Host,
}

/// What a client span says of what it called, in the texts of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) system: TextId,
    pub(super) address: TextId,
}

/// One end of a call, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) hash: u64,
    pub(super) start_unix_nano: u64,
    pub(super) duration_ns: u64,
    pub(super) client: u32,
    pub(super) server: u32,
    /// The number of the peer's name.
    pub(super) peer: u32,
    pub(super) peer_kind: PeerKind,
    pub(super) is_error: bool,
    pub(super) is_counted: bool,
}

/// A call that can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// Between services.
    Services(Call),
    /// To something that sends no spans.
    Outside(Call),
}

/// Calls that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    young: HashTable<Call>,
    old: HashTable<Call>,
    young_since_unix_nano: u64,
}

/// The keys that tell of a peer, as a batch numbers them.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerKeys {
    systems: [Option<TextId>; 2],
    addresses: [Option<TextId>; 3],
    service: Option<TextId>,
}

impl PeerKeys {
    pub(super) fn of(batch: &SpanBatch) -> PeerKeys {
        let find = |key: &str| batch.text.find(key.as_bytes());
        PeerKeys {
            systems: ["db.system.name", "db.system"].map(find),
            addresses: ["server.address", "net.peer.name", "http.host"].map(find),
            service: find("peer.service"),
        }
    }

    /// What a client span called, as it says itself.
    pub(super) fn peer(&self, span: SpanRef<'_>) -> Option<Peer> {
        let (mut system, mut address, mut service) = (TextId::EMPTY, TextId::EMPTY, TextId::EMPTY);
        let pool = &span.batch.attributes;
        for place in span.batch.attribute_ranges.get(span.index) {
            let (key, Value::Str(text)) = (Some(pool.keys[place]), &pool.values[place]) else { continue };
            if self.systems.contains(&key) {
                system = *text;
            } else if self.addresses.contains(&key) {
                address = *text;
            } else if self.service == key {
                service = *text;
            }
        }
        let address = if service == TextId::EMPTY { address } else { service };
        (system != TextId::EMPTY || address != TextId::EMPTY).then_some(Peer { system, address })
    }
}

impl PeerKind {
    /// The kind of what has this for a database's system.
    pub(super) fn of_system(system: &str) -> PeerKind {
        match system {
            "" => PeerKind::Host,
            "redis" | "memcached" | "valkey" => PeerKind::Cache,
            _ => PeerKind::Database,
        }
    }
}

impl Calls {
    /// Takes in a client or server span; gives a call that can be counted now.
    pub(super) fn add(&mut self, span: SpanRef<'_>, service: u32, peer: Option<(u32, PeerKind)>) -> Option<Joined> {
        let is_client = span.kind() == SpanKind::CLIENT;
        let key = if is_client { span.span_id() } else { span.parent_span_id()? };
        let hash = mix(span_hash(span.trace_id(), key));
        let (peer, peer_kind) = peer.unwrap_or((NONE, PeerKind::Host));
        let end = Call {
            hash,
            start_unix_nano: span.start_unix_nano(),
            duration_ns: span.duration_ns(),
            client: if is_client { service } else { NONE },
            server: if is_client { NONE } else { service },
            peer,
            peer_kind,
            is_error: span.status() == StatusCode::ERROR,
            is_counted: false,
        };
        let same = |call: &Call| call.hash == hash;
        let known = self.young.find_mut(hash, same).or_else(|| self.old.find_mut(hash, same));
        let Some(known) = known else {
            self.young.insert_unique(hash, end, |call| call.hash);
            return None;
        };
        let completes = (known.client == NONE && is_client) || (known.server == NONE && !is_client);
        if known.is_counted || !completes {
            return None;
        }
        if is_client {
            known.client = service;
        } else {
            let Call { start_unix_nano, duration_ns, is_error, .. } = end;
            *known = Call { server: service, start_unix_nano, duration_ns, is_error, ..*known };
        }
        known.is_counted = true;
        Some(Joined::Services(*known))
    }

    /// Lets the old generation go when it is time; gives what turned out to be calls to the outside.
    pub(super) fn advance(&mut self, now_unix_nano: u64) -> impl Iterator<Item = Joined> + use<> {
        let is_old = now_unix_nano.saturating_sub(self.young_since_unix_nano) >= GENERATION_NS;
        let gone = if is_old || self.young.len() >= CALLS_MAX {
            self.young_since_unix_nano = now_unix_nano;
            std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
        } else {
            HashTable::new()
        };
        gone.into_iter()
            .filter(|call| !call.is_counted && call.client != NONE && call.peer != NONE)
            .map(Joined::Outside)
    }

    pub(super) fn is_full(&self) -> bool {
        self.young.len() >= CALLS_MAX
    }

    /// Everything that waits, and since when the younger ones do.
    pub(super) fn all(&self) -> (u64, impl Iterator<Item = &Call> + '_) {
        (self.young_since_unix_nano, self.old.iter().chain(self.young.iter()))
    }

    /// Takes back what [`Calls::all`] gave.
    pub(super) fn put(&mut self, since_unix_nano: u64, calls: impl Iterator<Item = Call>) {
        self.young_since_unix_nano = since_unix_nano;
        calls.for_each(|call| {
            self.young.insert_unique(call.hash, call, |call| call.hash);
        });
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.young.allocation_size() + self.old.allocation_size()
    }
}
