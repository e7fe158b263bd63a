//! [`Recent`]: a set of hashes that forgets the oldest, by generations: a full one becomes the old one, and the old one goes.
//!
//! Of each hash [`BITS`] bits are kept: with a hundred thousand of them, one in ten million that are new is taken for one that was
//! there, and what is written down is half as long.

use std::cell::OnceCell;

use hashbrown::HashTable;

use super::checkpoint::bytes::{Read, Reader, Writer};

/// Bits of a hash that are kept.
const BITS: u32 = 40;

/// Hashes that were there not long ago.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    young: HashTable<u64>,
    old: HashTable<u64>,
    generation_max: usize,
    /// The old generation as it is written down: it does not change.
    old_bytes: OnceCell<Box<[u8]>>,
}

/// The high bits of a hash, and below them again the highest: tables want both ends of it. It is a hash of which the same is kept.
pub(super) fn kept(hash: u64) -> u64 {
    spread(hash >> (u64::BITS - BITS))
}

fn spread(bits: u64) -> u64 {
    bits << (u64::BITS - BITS) | bits >> (2 * BITS - u64::BITS)
}

fn bits(kept: u64) -> u64 {
    kept >> (u64::BITS - BITS)
}

impl Recent {
    /// Remembers at least so many, at most twice as many.
    pub(super) fn new(generation_max: usize) -> Recent {
        Recent { generation_max: generation_max.max(1), ..Recent::default() }
    }

    /// Whether it is remembered.
    pub(super) fn has(&self, hash: u64) -> bool {
        self.has_kept(kept(hash))
    }

    /// Whether it is remembered, for a hash of which [`kept`] gave the bits.
    pub(super) fn has_kept(&self, kept: u64) -> bool {
        let same = |&known: &u64| known == kept;
        self.young.find(kept, same).is_some() || self.old.find(kept, same).is_some()
    }

    /// Remembers a hash; says whether it is new.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        self.insert_kept(kept(hash))
    }

    /// Remembers a hash of which [`kept`] gave the bits.
    pub(super) fn insert_kept(&mut self, kept: u64) -> bool {
        let is_new = !self.has_kept(kept);
        if is_new {
            self.insert_new(kept);
        }
        is_new
    }

    /// Remembers what [`kept`] gave of a hash that is known to be new.
    pub(super) fn insert_new(&mut self, kept: u64) {
        if self.young.len() >= self.generation_max {
            self.turn();
        }
        self.young.insert_unique(kept, kept, |&known| known);
    }

    fn turn(&mut self) {
        // The table that becomes free has the right size already.
        std::mem::swap(&mut self.old, &mut self.young);
        self.young.clear();
        self.old_bytes = OnceCell::new();
    }

    /// Everything remembered.
    pub(super) fn write(&self, out: &mut Writer) {
        let old = self.old_bytes.get_or_init(|| {
            let mut out = Writer::default();
            write_sorted(&mut out, self.old.iter().copied(), |_, _| {});
            out.0.into()
        });
        out.raw(old);
        write_sorted(out, self.young.iter().copied(), |_, _| {});
    }

    /// Takes back what [`Recent::write`] wrote.
    pub(super) fn read(&mut self, from: &mut Reader<'_>) -> Read<()> {
        self.read_sorted(from)?;
        self.turn();
        self.read_sorted(from)
    }

    fn read_sorted(&mut self, from: &mut Reader<'_>) -> Read<()> {
        read_sorted(from, |kept, _| {
            self.insert_kept(kept);
            Ok(())
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.young.allocation_size() + self.old.allocation_size() + self.old_bytes.get().map_or(0, |bytes| bytes.len())
    }
}

/// Things in the order of their hashes, of which [`kept`] gave all bits; each hash is written as its distance from the one before.
pub(super) fn write_sorted<T: Sorted>(
    out: &mut Writer,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Writer, T),
) {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable_by_key(T::kept);
    let mut before = 0;
    out.list(items.into_iter(), |out, item| {
        let bits = bits(item.kept());
        out.number(bits - before);
        before = bits;
        write(out, item);
    });
}

/// Gives hashes back, with the rest of each thing to be read.
pub(super) fn read_sorted<'a>(
    from: &mut Reader<'a>,
    mut read: impl FnMut(u64, &mut Reader<'a>) -> Read<()>,
) -> Read<()> {
    let mut bits = 0u64;
    from.list(|from| {
        bits = bits.wrapping_add(from.number()?) & ((1 << BITS) - 1);
        read(spread(bits), from)
    })
}

/// Something with a hash of which some bits are kept.
pub(super) trait Sorted {
    fn kept(&self) -> u64;
}

impl Sorted for u64 {
    fn kept(&self) -> u64 {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        // Guarantees that what is within the bound is told from what is new, and that memory is bounded.
        let mut recent = Recent::new(100);
        for hash in 0..1_000u64 {
            let hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert!(recent.insert(hash));
            assert!(!recent.insert(hash));
        }
        assert!(recent.young.len() + recent.old.len() <= 200);
        assert!((900..1_000u64).all(|hash| recent.has(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    }

    #[test]
    fn what_is_written_down_comes_back() {
        // Guarantees that both generations survive being written down, whenever that is, and that the next one forgets the same.
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut recent = Recent::new(100);
        for number in 0..550u64 {
            recent.insert(hash(number));
            let mut out = Writer::default();
            recent.write(&mut out);
            let mut read = Recent::new(100);
            read.read(&mut Reader(&out.0)).unwrap();
            assert!((0..=number).all(|number| read.has(hash(number)) == recent.has(hash(number))), "after {number}");
            recent = read;
        }
        assert!(recent.young.len() == 50 && recent.old.len() == 100);
    }
}
