//! Calls between services: client spans and the server spans below them, joined in whatever order they come, and what client
//! spans say of databases, caches and hosts that send no spans.
//!
//! A call waits for its other end in a table of two generations. A client that names a database or cache waits for nobody; one
//! whose server never came was a call to something outside, if it names what it called. What was counted is remembered by its hash
//! alone, so that it does not count twice. Deliberately absent: messages, which are not calls.

use hashbrown::HashTable;
use model::{SpanBatch, SpanKind, SpanRef, StatusCode, TextId, Value};

use super::messages::span_hash;
use super::names::{NONE, mix};
use super::rollup::MINUTE_NS;
use super::seen::{Recent, Sorted, kept};

/// Calls of one generation, at the most.
pub const CALLS_MAX: usize = 65_536;
/// Calls that were counted, remembered at least so that none counts twice.
const COUNTED_MAX: usize = 65_536;
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

/// One end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// As [`kept`].
    pub(super) hash: u64,
    pub(super) duration_ns: u64,
    /// The minute since 1970 in which it began.
    pub(super) minute: u32,
    pub(super) service: u32,
    /// The number of the name of what a client called, if it said.
    pub(super) peer: u32,
    pub(super) is_client: bool,
    pub(super) is_error: bool,
}

/// Who was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callee {
    /// A service that sends spans.
    Service(u32),
    /// Something that sends none.
    Peer(PeerKind, u32),
}

/// A call that can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) client: u32,
    pub(super) to: Callee,
    /// When it began, to the minute.
    pub(super) start_unix_nano: u64,
    /// How long the client waited.
    pub(super) client_ns: u64,
    /// How long the server took, if it says.
    pub(super) server_ns: Option<u64>,
    pub(super) is_error: bool,
}

/// Calls that wait, and which were counted.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    young: HashTable<Call>,
    old: HashTable<Call>,
    young_since_unix_nano: u64,
    pub(super) counted: Recent,
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

impl Sorted for &Call {
    fn kept(&self) -> u64 {
        self.hash
    }
}

impl Call {
    fn start_unix_nano(&self) -> u64 {
        u64::from(self.minute) * MINUTE_NS
    }

    fn outside(&self, kind: PeerKind) -> Joined {
        Joined {
            client: self.service,
            to: Callee::Peer(kind, self.peer),
            start_unix_nano: self.start_unix_nano(),
            client_ns: self.duration_ns,
            server_ns: None,
            is_error: self.is_error,
        }
    }
}

impl Default for Calls {
    fn default() -> Calls {
        let (young, old) = (HashTable::new(), HashTable::new());
        Calls { young, old, young_since_unix_nano: 0, counted: Recent::new(COUNTED_MAX) }
    }
}

impl Calls {
    /// Takes in a client or server span; gives a call that can be counted now.
    pub(super) fn add(&mut self, span: SpanRef<'_>, service: u32, peer: Option<(u32, PeerKind)>) -> Option<Joined> {
        let is_client = span.kind() == SpanKind::CLIENT;
        let key = if is_client { span.span_id() } else { span.parent_span_id()? };
        let hash = kept(mix(span_hash(span.trace_id(), key)));
        let end = Call {
            hash,
            duration_ns: span.duration_ns(),
            minute: (span.start_unix_nano() / MINUTE_NS) as u32,
            service,
            peer: peer.map_or(NONE, |(name, _)| name),
            is_client,
            is_error: span.status() == StatusCode::ERROR,
        };
        if let Some((_, kind @ (PeerKind::Database | PeerKind::Cache))) = peer {
            return self.counted.insert_kept(hash).then(|| end.outside(kind));
        }
        let Calls { young, old, counted, .. } = self;
        let same = |call: &Call| call.hash == hash;
        let waiting = [young, old].into_iter().find_map(|table| table.find_entry(hash, same).ok());
        match waiting {
            Some(waiting) if waiting.get().is_client != is_client => {
                let (other, _) = waiting.remove();
                counted.insert_new(hash);
                let (client, server) = if is_client { (end, other) } else { (other, end) };
                Some(Joined {
                    client: client.service,
                    to: Callee::Service(server.service),
                    start_unix_nano: server.start_unix_nano(),
                    client_ns: client.duration_ns,
                    server_ns: Some(server.duration_ns),
                    is_error: client.is_error || server.is_error,
                })
            }
            Some(_) => None,
            None if self.counted.has_kept(hash) => None,
            None => {
                self.young.insert_unique(hash, end, |call| call.hash);
                None
            }
        }
    }

    /// Lets the old generation go when it is time; gives what turned out to be calls to the outside.
    pub(super) fn advance(&mut self, now_unix_nano: u64) -> Vec<Joined> {
        let is_old = now_unix_nano.saturating_sub(self.young_since_unix_nano) >= GENERATION_NS;
        if !(is_old || self.is_full()) {
            return Vec::new();
        }
        self.young_since_unix_nano = now_unix_nano;
        let Calls { young, old, counted, .. } = self;
        let outside = old.drain().filter(|call| call.is_client && call.peer != NONE);
        let outside =
            outside.filter(|call| counted.insert_kept(call.hash)).map(|call| call.outside(PeerKind::Host)).collect();
        std::mem::swap(young, old);
        outside
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
        self.young.allocation_size() + self.old.allocation_size() + self.counted.heap_bytes()
    }
}
