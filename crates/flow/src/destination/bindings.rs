//! What is bound to what, learned from hops that are certain: queues to exchanges and SNS topics, subscriptions to topics.
//!
//! A set of facts "`queue` gets what is sent to `source`", each with the last time it was seen. Learning is a union that keeps the
//! latest time, so the order of arrival, duplicates and the way in which parts were merged make no difference: any two servers
//! that saw the same hops know the same. When there are more than [`BINDINGS_MAX`], those with the smallest hashes stay, which
//! is the same set for any order, too. Only hops joined by parent or link may be learned from.
//!
//! A message can also turn up where it was not sent: dead-lettered, or sent on. That is never learned as a binding: two names
//! of the same sort (two exchanges, two queues, two Kafka topics) are two destinations.
//!
//! # As bytes
//!
//! [`Bindings::to_bytes`] gives `LSBD`, a version byte (1), then the bindings in order. Each is five fields: the system and the
//! name of the queue, the system and the name of the source (a LEB128 length and UTF-8 bytes each), and the last time as eight
//! bytes, little-endian, Unix nanoseconds.
//!
//! Deliberately absent: when to forget (the caller calls [`Bindings::forget_before`]), and which hops are certain (`hop`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::text::hash_text;
use thiserror::Error;

use super::{DestinationKey, DestinationKind, Identity, dead_letter_of};

/// Most bindings kept. With names of usual length that is about 3 MiB.
pub const BINDINGS_MAX: usize = 16_384;

const MAGIC: &[u8; 4] = b"LSBD";
const VERSION: u8 = 1;

/// Why bytes are not bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BindingsError {
    /// They do not begin as bindings do.
    #[error("these bytes are not bindings of destinations")]
    NotBindings,
    /// A newer program wrote them.
    #[error("bindings of version {0}; this program reads version 1")]
    Version(u8),
    /// They end too early or hold what no text is.
    #[error("bindings are damaged at byte {0}")]
    Damaged(usize),
}

/// What is bound to what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bindings {
    /// The last time seen, Unix nanoseconds.
    bound: BTreeMap<Arc<Binding>, u64>,
    /// The same bindings by the hashes that decide which stay.
    by_rank: BTreeSet<(u64, Arc<Binding>)>,
}

/// What is sent to `source` comes to `queue`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Binding {
    queue: DestinationKey,
    source: DestinationKey,
}

/// How the two ends of a hop belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// Both name one destination.
    Same,
    /// The consumer reads what is bound to where the producer sent.
    Bound,
    /// The message turned up elsewhere: dead-lettered or sent on.
    Rerouted,
}

/// The destination of a hop, or of one end of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resolved {
    /// The destination; of a rerouted message the one it turned up at.
    pub key: DestinationKey,
    /// The queue or subscription beneath it that is read; empty if it is read itself.
    pub subscription: String,
    /// How the ends belong together; `Same` for one end alone.
    pub relation: Relation,
}

impl Bindings {
    /// Learns from the two ends of a hop that is certain. Says whether anything new was learned.
    pub fn learn(&mut self, sent: &Identity<'_>, received: &Identity<'_>, seen_unix_nano: u64) -> bool {
        let own = self.learn_own(received, seen_unix_nano);
        let bound = Relation::of(sent, received) == Relation::Bound && sent.name != received.name;
        let binding = || Binding { queue: received.key(), source: sent.key() };
        let learned = bound && self.insert(binding(), seen_unix_nano);
        own || learned
    }

    /// Learns what a consumer says by itself: it names both the destination and the queue that it reads.
    pub fn learn_own(&mut self, received: &Identity<'_>, seen_unix_nano: u64) -> bool {
        if received.subscription.is_empty() {
            return false;
        }
        let queue =
            DestinationKey { system: received.system.to_owned(), name: received.subscription.clone().into_owned() };
        self.insert(Binding { queue, source: received.key() }, seen_unix_nano)
    }

    fn insert(&mut self, binding: Binding, seen_unix_nano: u64) -> bool {
        if let Some(last) = self.bound.get_mut(&binding) {
            *last = seen_unix_nano.max(*last);
            return false;
        }
        let (rank, binding) = (rank(&binding), Arc::new(binding));
        self.by_rank.insert((rank, Arc::clone(&binding)));
        self.bound.insert(Arc::clone(&binding), seen_unix_nano);
        if self.bound.len() <= BINDINGS_MAX {
            return true;
        }
        let (_, largest) = self.by_rank.pop_last().expect("there are more than none");
        self.bound.remove(&largest);
        largest != binding
    }

    /// Takes over what another part knows.
    pub fn merge(&mut self, other: &Bindings) {
        for (binding, &seen) in &other.bound {
            self.insert(Binding::clone(binding), seen);
        }
    }

    /// Forgets what was last seen before an instant, Unix nanoseconds.
    pub fn forget_before(&mut self, unix_nano: u64) {
        self.bound.retain(|_, &mut seen| seen >= unix_nano);
        self.by_rank.retain(|(_, binding)| self.bound.contains_key(binding));
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.bound.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }

    /// What is sent to these comes to `queue`, in order.
    pub fn sources(&self, queue: &DestinationKey) -> impl Iterator<Item = &DestinationKey> {
        let first = Binding { queue: queue.clone(), source: DestinationKey::default() };
        let from = self.bound.range(Arc::new(first)..).map(|(binding, _)| &**binding);
        let queue = queue.clone();
        from.take_while(move |binding| binding.queue == queue).map(|binding| &binding.source)
    }

    /// The source of a queue that has one. With several nobody knows which a message came by; the queue itself is what is certain.
    fn only_source(&self, queue: &DestinationKey) -> Option<&DestinationKey> {
        let mut sources = self.sources(queue);
        let first = sources.next()?;
        sources.next().is_none().then_some(first)
    }

    /// What is sent to `source` comes to these, in order. Looks at every binding.
    pub fn queues(&self, source: &DestinationKey) -> impl Iterator<Item = &DestinationKey> {
        self.bound.keys().filter(move |binding| binding.source == *source).map(|binding| &binding.queue)
    }

    /// The one destination of a hop.
    pub fn resolve_hop(&self, sent: &Identity<'_>, received: &Identity<'_>) -> Resolved {
        let relation = Relation::of(sent, received);
        if relation == Relation::Rerouted {
            return Resolved { relation, ..self.resolve_received(received) };
        }
        let key = sent.key();
        let mut subscription = received.subscription.clone().into_owned();
        if relation == Relation::Bound && sent.name != received.name {
            subscription = received.name.clone().into_owned();
        }
        Resolved { key, subscription, relation }
    }

    /// The destination of a consumer whose producer is not known: what it reads, or the one source of that.
    pub fn resolve_received(&self, received: &Identity<'_>) -> Resolved {
        let own = received.key();
        let bound = self.only_source(&own).filter(|_| received.subscription.is_empty()).cloned();
        let (key, subscription) = match bound {
            Some(source) => (source, own.name),
            None => (own, received.subscription.clone().into_owned()),
        };
        Resolved { key, subscription, relation: Relation::Same }
    }

    /// The destination of a producer: what it names is the destination.
    pub fn resolve_sent(&self, sent: &Identity<'_>) -> Resolved {
        Resolved { key: sent.key(), subscription: String::new(), relation: Relation::Same }
    }

    /// What else a destination is called: the names of the queues and subscriptions beneath it, in order. Looks at every binding.
    pub fn aliases(&self, key: &DestinationKey) -> Vec<&str> {
        let mut aliases: Vec<&str> = self.queues(key).map(|queue| queue.name.as_str()).collect();
        aliases.dedup();
        aliases
    }

    /// The bindings as bytes; the module's head says what every byte is.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = [MAGIC.as_slice(), &[VERSION]].concat();
        for (binding, seen) in &self.bound {
            for text in binding.texts() {
                write_length(&mut out, text.len());
                out.extend_from_slice(text.as_bytes());
            }
            out.extend_from_slice(&seen.to_le_bytes());
        }
        out
    }

    /// Reads what [`Bindings::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Bindings, BindingsError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(BindingsError::NotBindings)?;
        let (&version, mut rest) = rest.split_first().ok_or(BindingsError::NotBindings)?;
        if version != VERSION {
            return Err(BindingsError::Version(version));
        }
        let mut bindings = Bindings::default();
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let (binding, seen) = read_binding(&mut rest).ok_or(BindingsError::Damaged(at))?;
            bindings.insert(binding, seen);
        }
        Ok(bindings)
    }
}

impl Relation {
    /// How the ends of a hop belong together.
    pub fn of(sent: &Identity<'_>, received: &Identity<'_>) -> Relation {
        use DestinationKind::{Exchange, Queue, Subscription, Topic, Unknown};
        if sent.system == received.system && sent.name == received.name {
            return Relation::Same;
        }
        // What a dead-letter destination gives out was not sent there, whatever is bound to it.
        if dead_letter_of(&received.name).is_some() {
            return Relation::Rerouted;
        }
        match (sent.kind, received.kind) {
            (Exchange | Topic | Unknown, Queue | Subscription) => Relation::Bound,
            // Of two unclear names of RabbitMQ each may be an exchange: pika's consumers name the last one.
            (Topic | Unknown, Unknown) if sent.system != "rabbitmq" && sent.system == received.system => {
                Relation::Bound
            }
            _ => Relation::Rerouted,
        }
    }
}

impl Binding {
    fn texts(&self) -> [&str; 4] {
        [&self.queue.system, &self.queue.name, &self.source.system, &self.source.name]
    }
}

fn rank(binding: &Binding) -> u64 {
    hash_text(binding.texts().join("\0").as_bytes())
}

fn write_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn read_binding(rest: &mut &[u8]) -> Option<(Binding, u64)> {
    let mut key = || Some(DestinationKey { system: read_text(rest)?, name: read_text(rest)? });
    let binding = Binding { queue: key()?, source: key()? };
    let (seen, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some((binding, u64::from_le_bytes(*seen)))
}

fn read_text(rest: &mut &[u8]) -> Option<String> {
    let mut length = 0usize;
    for shift in [0, 7, 14, 21] {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let (text, after) = rest.split_at_checked(length)?;
            *rest = after;
            return String::from_utf8(text.to_vec()).ok();
        }
    }
    None
}
