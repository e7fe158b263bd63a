//! The messages the engine knows: a bounded slab with tables by sender, by what else identifies a message, and three lists by
//! standing. What is over with is kept for a while and forgotten first, then what is lost, then what is open; only the last is a loss, and counted.

use hashbrown::HashTable;
use model::{SpanId, TraceId};

use super::names::mix;

/// No place in a slab.
pub(super) const NOWHERE: u32 = u32::MAX;
/// Other things that identify a message: its id or its place in a log; what it shares with others.
pub(super) const OTHER_KEYS: usize = 2;
const CHUNK: usize = 4_096;

/// In which list a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Standing {
    /// It may still be received by somebody who is expected to.
    Open,
    /// So, and later than usual.
    Late,
    /// Given up on.
    Lost,
    /// Received by all, dead, or of no interest.
    Over,
}

impl Standing {
    pub(super) const ALL: [Standing; 4] = [Standing::Open, Standing::Late, Standing::Lost, Standing::Over];

    /// Whether time alone may change it.
    pub(super) fn has_timer(self) -> bool {
        matches!(self, Standing::Open | Standing::Late)
    }

    fn list(self) -> usize {
        [0, 0, 1, 2][self as usize]
    }
}

/// The sender does not record everything.
pub(super) const SAMPLED: u8 = 1;
/// It was given up on by a consumer.
pub(super) const DEAD: u8 = 2;
/// The span wraps another that sends the same message.
pub(super) const WRAPPER: u8 = 4;

/// A message: one span that sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    /// End of sending, Unix nanoseconds.
    pub(super) sent_unix_nano: u64,
    /// When the span was received.
    pub(super) heard_unix_nano: u64,
    pub(super) keys: [u64; OTHER_KEYS],
    /// A bit for each group of the lane that received it.
    pub(super) delivered: u64,
    pub(super) lane: u32,
    /// Which message of the lane it is.
    pub(super) ordinal: u32,
    pub(super) service: u32,
    pub(super) partition: u32,
    pub(super) sent: u32,
    /// How long sending took, microseconds.
    pub(super) took_us: u32,
    pub(super) first_delivery: u32,
    pub(super) flags: u8,
    pub(super) standing: Standing,
}

/// A message's way to one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The span that received it first.
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) start_unix_nano: u64,
    pub(super) wait_ns: u64,
    /// The hash of the span that was counted last.
    pub(super) last_span: u32,
    pub(super) group: u32,
    pub(super) service: u32,
    pub(super) destination: u32,
    /// Different spans that processed it.
    pub(super) processed: u16,
    /// The highest number of an attempt that anybody said.
    pub(super) attempt_said: u16,
    pub(super) failed: u16,
    pub(super) evidence: u8,
    pub(super) next: u32,
}

/// A vector that never moves what it holds, with places that are used again.
#[derive(Debug, Clone)]
struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slab<T> {
    fn new() -> Slab<T> {
        Slab { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }

    fn get(&self, at: u32) -> &T {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    fn get_mut(&mut self, at: u32) -> &mut T {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(at) = self.free.pop() {
            *self.get_mut(at) = value;
            return at;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunks = self.chunks.len();
        let last = self.chunks.last_mut().expect("one was just added");
        last.push(value);
        ((chunks - 1) * CHUNK + last.len() - 1) as u32
    }

    fn remove(&mut self, at: u32) {
        self.len -= 1;
        self.free.push(at);
    }

    fn heap_bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + self.free.capacity() * 4
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    message: Message,
    before: u32,
    after: u32,
    /// Told to timers, which outlive what they were set for.
    version: u32,
}

#[derive(Debug, Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
    len: usize,
}

/// All messages.
#[derive(Debug, Clone)]
pub(super) struct Messages {
    slots: Slab<Slot>,
    deliveries: Slab<Delivery>,
    by_sender: HashTable<u32>,
    by_key: HashTable<(u32, u32)>,
    lists: [List; 3],
    max: usize,
    over_max: usize,
}

/// The hash of a span's ids. Root spans of some senders have their trace's id, so one is not mixed into the other.
pub(super) fn span_hash(trace_id: TraceId, span_id: SpanId) -> u64 {
    let [high, low] = [0, 8].map(|at| u64::from_le_bytes(trace_id.0[at..at + 8].try_into().expect("eight bytes")));
    mix(mix(mix(high).wrapping_add(low)).wrapping_add(u64::from_le_bytes(span_id.0)))
}

/// Enough of a span's hash to tell it from the one before.
pub(super) fn short_hash(trace_id: TraceId, span_id: SpanId) -> u32 {
    span_hash(trace_id, span_id) as u32
}

impl Messages {
    pub(super) fn new(max: usize, over_max: usize) -> Messages {
        let empty = List { oldest: NOWHERE, newest: NOWHERE, len: 0 };
        Messages {
            slots: Slab::new(),
            deliveries: Slab::new(),
            by_sender: HashTable::new(),
            by_key: HashTable::new(),
            lists: [empty; 3],
            max: max.max(1),
            over_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len
    }

    pub(super) fn get(&self, at: u32) -> &Message {
        &self.slots.get(at).message
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Message {
        &mut self.slots.get_mut(at).message
    }

    /// What a timer must know to see whether the place still has the message it was set for.
    pub(super) fn version(&self, at: u32) -> u32 {
        self.slots.get(at).version
    }

    pub(super) fn find(&self, trace_id: TraceId, span_id: SpanId) -> Option<u32> {
        let same = |&at: &u32| {
            let message = self.get(at);
            message.span_id == span_id && message.trace_id == trace_id
        };
        self.by_sender.find(span_hash(trace_id, span_id), same).copied()
    }

    /// Messages with one of their other keys.
    pub(super) fn with_key(&self, key: u64) -> impl Iterator<Item = u32> + '_ {
        let has = move |&(at, _): &(u32, u32)| self.get(at).keys.contains(&key).then_some(at);
        self.by_key.iter_hash(key).filter(move |&&(_, bits)| bits == key as u32).filter_map(has)
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len >= self.max
    }

    /// Forgets what matters least; says whether it was still open.
    pub(super) fn forget_one(&mut self) -> Option<Message> {
        let oldest = [2, 1, 0].into_iter().map(|list| self.lists[list].oldest).find(|&at| at != NOWHERE)?;
        Some(self.remove(oldest))
    }

    /// Forgets the oldest of those that are over with, down to their bound. Not done as soon as one more is, because whoever makes it
    /// so may hold the places of others.
    pub(super) fn forget_over(&mut self) {
        let list = Standing::Over.list();
        while self.lists[list].len > self.over_max {
            self.remove(self.lists[list].oldest);
        }
    }

    pub(super) fn insert(&mut self, message: Message) -> u32 {
        let version = self.slots.free.last().map_or(0, |&at| self.slots.get(at).version.wrapping_add(1));
        let at = self.slots.insert(Slot { message, before: NOWHERE, after: NOWHERE, version });
        let Messages { slots, by_sender, by_key, .. } = self;
        let sender = |&at: &u32| {
            let message = &slots.get(at).message;
            span_hash(message.trace_id, message.span_id)
        };
        by_sender.insert_unique(span_hash(message.trace_id, message.span_id), at, sender);
        for key in message.keys.into_iter().filter(|&key| key != 0) {
            let rehash = |&(at, bits): &(u32, u32)| {
                slots.get(at).message.keys.into_iter().find(|&key| key as u32 == bits).unwrap_or(0)
            };
            by_key.insert_unique(key, (at, key as u32), rehash);
        }
        self.link(at);
        at
    }

    fn remove(&mut self, at: u32) -> Message {
        self.unlink(at);
        let message = *self.get(at);
        if let Ok(entry) = self.by_sender.find_entry(span_hash(message.trace_id, message.span_id), |&known| known == at)
        {
            entry.remove();
        }
        for key in message.keys.into_iter().filter(|&key| key != 0) {
            if let Ok(entry) = self.by_key.find_entry(key, |&known| known == (at, key as u32)) {
                entry.remove();
            }
        }
        let mut delivery = message.first_delivery;
        while delivery != NOWHERE {
            let next = self.deliveries.get(delivery).next;
            self.deliveries.remove(delivery);
            delivery = next;
        }
        self.slots.remove(at);
        message
    }

    fn link(&mut self, at: u32) {
        let list = self.get(at).standing.list();
        let newest = std::mem::replace(&mut self.lists[list].newest, at);
        let slot = self.slots.get_mut(at);
        (slot.before, slot.after) = (newest, NOWHERE);
        match newest {
            NOWHERE => self.lists[list].oldest = at,
            _ => self.slots.get_mut(newest).after = at,
        }
        self.lists[list].len += 1;
    }

    fn unlink(&mut self, at: u32) {
        let Slot { before, after, message, .. } = *self.slots.get(at);
        let list = &mut self.lists[message.standing.list()];
        list.len -= 1;
        match before {
            NOWHERE => list.oldest = after,
            _ => self.slots.get_mut(before).after = after,
        }
        let list = &mut self.lists[message.standing.list()];
        match after {
            NOWHERE => list.newest = before,
            _ => self.slots.get_mut(after).before = before,
        }
    }

    pub(super) fn set_standing(&mut self, at: u32, standing: Standing) {
        let known = self.get(at).standing;
        if known == standing {
            return;
        }
        if known.list() == standing.list() {
            self.get_mut(at).standing = standing;
            return;
        }
        self.unlink(at);
        self.get_mut(at).standing = standing;
        self.link(at);
    }

    /// A message's deliveries.
    pub(super) fn deliveries(&self, at: u32) -> impl Iterator<Item = &Delivery> + '_ {
        let mut next = self.get(at).first_delivery;
        std::iter::from_fn(move || {
            let delivery = (next != NOWHERE).then(|| self.deliveries.get(next))?;
            next = delivery.next;
            Some(delivery)
        })
    }

    pub(super) fn delivery_mut(&mut self, at: u32, group: u32) -> Option<&mut Delivery> {
        let mut next = self.get(at).first_delivery;
        while next != NOWHERE {
            let delivery = self.deliveries.get(next);
            if delivery.group == group {
                return Some(self.deliveries.get_mut(next));
            }
            next = delivery.next;
        }
        None
    }

    pub(super) fn add_delivery(&mut self, at: u32, delivery: Delivery) {
        let next = self.get(at).first_delivery;
        let first = self.deliveries.insert(Delivery { next, ..delivery });
        self.get_mut(at).first_delivery = first;
    }

    /// All messages, oldest first within each standing; what is over with first.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        self.newest(usize::MAX)
    }

    /// The same, but of what is over with only so many.
    pub(super) fn newest(&self, over_max: usize) -> impl Iterator<Item = u32> + '_ {
        let over = self.lists[Standing::Over.list()];
        let mut first = if over.len > over_max { over.newest } else { over.oldest };
        if over.len > over_max {
            (1..over_max).for_each(|_| first = self.slots.get(first).before);
        }
        [first, self.lists[1].oldest, self.lists[0].oldest].into_iter().flat_map(move |first| {
            let mut next = first;
            std::iter::from_fn(move || {
                let at = (next != NOWHERE).then_some(next)?;
                next = self.slots.get(at).after;
                Some(at)
            })
        })
    }

    /// Messages that are open or late.
    pub(super) fn open(&self) -> impl Iterator<Item = u32> + '_ {
        let mut next = self.lists[Standing::Open.list()].oldest;
        std::iter::from_fn(move || {
            let at = (next != NOWHERE).then_some(next)?;
            next = self.slots.get(at).after;
            Some(at)
        })
    }

    /// Memory held, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes()
            + self.deliveries.heap_bytes()
            + self.by_sender.allocation_size()
            + self.by_key.allocation_size()
    }
}
