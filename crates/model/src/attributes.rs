//! Pools of key/value pairs, and the ranges by which spans, events, links, resources and scopes own them.

use crate::text::{TextId, hash_text};
use crate::value::Value;

/// Whose attribute it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// The span itself.
    Span = 0,
    /// What produced the span: a process, a host.
    Resource = 1,
    /// The instrumentation that made the span.
    Scope = 2,
    /// An event of the span.
    Event = 3,
    /// A link of the span.
    Link = 4,
}

impl Level {
    /// All levels, in the order of their numbers.
    pub const ALL: [Level; 5] = [Level::Span, Level::Resource, Level::Scope, Level::Event, Level::Link];

    /// The level's name in queries and answers.
    pub fn name(self) -> &'static str {
        ["span", "resource", "scope", "event", "link"][self as usize]
    }

    /// The level with this name.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// The hash of `key = value` at a level: what the filters on disk hold.
///
/// Takes the hashes of key and comparison text, so that texts hashed once need not be hashed again.
pub fn pair_hash(level: Level, key_hash: u64, value_hash: u64) -> u64 {
    let mixed = key_hash.wrapping_add(level as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ value_hash;
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// What a value counts as in [`pair_hash`], by its comparison text: as itself. But all numbers under a key that names a measure count
/// as one: nobody looks for bodies of exactly 18,231 bytes, and values that hardly ever repeat would be a quarter of a filter.
pub fn filter_hash(key: &[u8], comparison_text: &str) -> u64 {
    if is_measure(key) && comparison_text.parse::<f64>().is_ok() {
        MEASURED
    } else {
        hash_text(comparison_text.as_bytes())
    }
}

/// The hash of every number under the key of a measure; that of no text but by chance.
pub const MEASURED: u64 = 0x6d65_6173_7572_6564;

const MEASURES: [&[u8]; 11] =
    [b"size", b"bytes", b"length", b"duration", b"latency", b"ns", b"us", b"ms", b"seconds", b"millis", b"micros"];

/// Whether the last word of a key names a measure, as in `http.request.body.size` or `wait_ms`.
pub fn is_measure(key: &[u8]) -> bool {
    let word = key.iter().rposition(|byte| matches!(byte, b'.' | b'_')).map_or(0, |place| place + 1);
    MEASURES.contains(&&key[word..])
}

/// A pool of attributes.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// Keys.
    pub keys: Vec<TextId>,
    /// Values, one a key.
    pub values: Vec<Value>,
}

impl Attributes {
    /// Adds one pair.
    #[inline]
    pub fn push(&mut self, key: TextId, value: Value) {
        self.keys.push(key);
        self.values.push(value);
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Drops all pairs from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.keys.truncate(len);
        self.values.truncate(len);
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<TextId>() + self.values.capacity() * size_of::<Value>()
    }

    /// Gives unused memory back.
    pub fn shrink_to_fit(&mut self) {
        self.keys.shrink_to_fit();
        self.values.shrink_to_fit();
    }
}

/// Consecutive ranges of a pool, one an owner, kept as their ends.
#[derive(Debug, Clone, Default)]
pub struct Ranges {
    ends: Vec<u32>,
}

impl Ranges {
    /// The range of owner `index`.
    pub fn get(&self, index: usize) -> std::ops::Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        start..self.ends[index] as usize
    }

    /// Ends the range of the next owner at `end`.
    pub fn close(&mut self, end: usize) {
        self.ends.push(u32::try_from(end).expect("a batch holds fewer than 2^32 attributes"));
    }

    /// Where the last range ends: how much of the pool is owned.
    pub fn end(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }

    /// How many owners there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets the owners from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.ends.capacity() * 4
    }

    /// Gives unused memory back.
    pub fn shrink_to_fit(&mut self) {
        self.ends.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_measures_count_as_one() {
        // Guarantees that whatever reads as a number under the key of a measure has the same hash, however it is written, and that texts
        // under it and numbers under other keys keep their own.
        for number in ["5", "18231", "-0.5", "NaN", "Infinity", "1e300"] {
            assert_eq!(filter_hash(b"http.request.body.size", number), MEASURED);
            assert_eq!(filter_hash(b"wait_ms", number), MEASURED);
            assert_eq!(filter_hash(b"order.id", number), hash_text(number.as_bytes()));
            assert_eq!(filter_hash(b"resize", number), hash_text(number.as_bytes()));
        }
        assert_eq!(filter_hash(b"shoe.size", "large"), hash_text(b"large"));
        assert!(is_measure(b"size") && !is_measure(b"") && !is_measure(b"size."));
    }
}
