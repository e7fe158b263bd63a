//! [`Recent`]: a set of hashes that forgets the oldest, by generations: a full one becomes the old one, and the old one goes.

use hashbrown::HashTable;

/// Hashes that were there not long ago.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    young: HashTable<u64>,
    old: HashTable<u64>,
    generation_max: usize,
}

impl Recent {
    /// Remembers at least so many, at most twice as many.
    pub(super) fn new(generation_max: usize) -> Recent {
        Recent { generation_max: generation_max.max(1), ..Recent::default() }
    }

    /// Whether it is remembered.
    pub(super) fn has(&self, hash: u64) -> bool {
        let same = |&known: &u64| known == hash;
        self.young.find(hash, same).is_some() || self.old.find(hash, same).is_some()
    }

    /// Remembers a hash; says whether it is new.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        if self.has(hash) {
            return false;
        }
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert_unique(hash, hash, |&known| known);
        true
    }

    /// Everything remembered, the older ones first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.old.iter().chain(self.young.iter()).copied()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.young.allocation_size() + self.old.allocation_size()
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
        assert!(recent.iter().count() <= 200);
        assert!((900..1_000u64).all(|hash| recent.has(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    }
}
