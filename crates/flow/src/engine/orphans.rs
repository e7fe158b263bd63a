//! Spans that received something nobody is known to have sent: they wait here for its sender, in a ring of fixed size.
//!
//! One may wait under several keys, a slot each. When the ring comes round the oldest is forgotten and counted.

use hashbrown::HashTable;

use super::arrival::Arrival;

/// Where arrivals wait.
#[derive(Debug, Clone)]
pub(super) struct Orphans {
    ring: Vec<Option<(u64, Arrival)>>,
    next: usize,
    waiting: usize,
    by_key: HashTable<u32>,
    max: usize,
    /// How many were forgotten although their sender had not come.
    pub(super) forgotten: u64,
}

impl Orphans {
    pub(super) fn new(max: usize) -> Orphans {
        Orphans { ring: Vec::new(), next: 0, waiting: 0, by_key: HashTable::new(), max: max.max(1), forgotten: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Lets an arrival wait for the sender that has this key.
    pub(super) fn insert(&mut self, key: u64, arrival: Arrival) {
        let at = self.next % self.max;
        self.next = at + 1;
        if at < self.ring.len() {
            if let Some((known, _)) = self.ring[at].take() {
                self.remove_entry(known, at as u32);
                self.forgotten += 1;
            }
            self.ring[at] = Some((key, arrival));
        } else {
            self.ring.push(Some((key, arrival)));
        }
        self.waiting += 1;
        let ring = &self.ring;
        let rehash = |&at: &u32| ring[at as usize].as_ref().map_or(0, |&(key, _)| key);
        self.by_key.insert_unique(key, at as u32, rehash);
    }

    fn remove_entry(&mut self, key: u64, at: u32) {
        if let Ok(entry) = self.by_key.find_entry(key, |&known| known == at) {
            entry.remove();
            self.waiting -= 1;
        }
    }

    /// Takes out one arrival that waits for this key.
    pub(super) fn take(&mut self, key: u64) -> Option<Arrival> {
        if self.waiting == 0 {
            return None;
        }
        let Orphans { ring, by_key, .. } = self;
        let waits = |&at: &u32| ring[at as usize].as_ref().is_some_and(|&(known, _)| known == key);
        let at = *by_key.find(key, waits)?;
        self.remove_entry(key, at);
        self.ring[at as usize].take().map(|(_, arrival)| arrival)
    }

    /// Everything that waits, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(u64, Arrival)> + '_ {
        let split = if self.ring.len() < self.max { 0 } else { self.next % self.max };
        let (younger, older) = self.ring.split_at(split);
        older.iter().chain(younger).flatten()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.ring.capacity() * size_of::<Option<(u64, Arrival)>>() + self.by_key.allocation_size()
    }
}
