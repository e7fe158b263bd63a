//! Names as numbers: texts, destinations, lanes. Each table is bounded; what no longer fits is counted under [`OTHER`].
//!
//! A **lane** is a destination with a routing key: what goes to one exchange under two keys is for different consumers, so
//! expectations are learned a lane. Everything that is shown is shown by destination.

use hashbrown::HashTable;
use model::text::hash_text;

use crate::destination::{DestinationKey, DestinationKind, Identity};

/// The number of the empty text.
pub(super) const NONE: u32 = 0;
/// The number of everything that no longer fits; shown as `(other)`.
pub(super) const OTHER: u32 = 1;

/// Distinct texts.
#[derive(Debug, Clone)]
pub(super) struct Names {
    texts: Vec<Box<str>>,
    table: HashTable<u32>,
    max: usize,
}

impl Names {
    pub(super) fn new(max: usize) -> Names {
        let mut names = Names { texts: Vec::new(), table: HashTable::new(), max: max.max(2) };
        for text in ["", "(other)"] {
            names.intern(text);
        }
        names
    }

    /// The number of a text, which is added if there is room.
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        let hash = hash_text(text.as_bytes());
        if let Some(&number) = self.table.find(hash, |&number| &*self.texts[number as usize] == text) {
            return number;
        }
        if self.texts.len() >= self.max {
            return OTHER;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.into());
        self.table.insert_unique(hash, number, |&number| hash_text(self.texts[number as usize].as_bytes()));
        number
    }

    /// The number of a text that is known.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.table.find(hash_text(text.as_bytes()), |&number| &*self.texts[number as usize] == text).copied()
    }

    pub(super) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", |text| text)
    }

    pub(super) fn texts(&self) -> &[Box<str>] {
        &self.texts
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.table.allocation_size() + self.texts.iter().map(|text| text.len() + 16).sum::<usize>()
    }
}

/// Tuples of numbers as one number; number 0 stands for nothing, [`OTHER`] for what does not fit.
#[derive(Debug, Clone)]
pub(super) struct Tuples<const N: usize> {
    all: Vec<[u32; N]>,
    table: HashTable<u32>,
    max: usize,
}

fn hash_tuple<const N: usize>(tuple: [u32; N]) -> u64 {
    tuple.iter().fold(0x51_7c_c1_b7_27_22_0a_95, |hash: u64, &number| mix(hash ^ u64::from(number)))
}

/// Spreads the bits of a number over all 64.
pub(super) fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

impl<const N: usize> Tuples<N> {
    pub(super) fn new(max: usize) -> Tuples<N> {
        let mut tuples = Tuples { all: Vec::new(), table: HashTable::new(), max: max.max(2) };
        tuples.intern([NONE; N]);
        tuples.intern([OTHER; N]);
        tuples
    }

    pub(super) fn intern(&mut self, tuple: [u32; N]) -> u32 {
        let hash = hash_tuple(tuple);
        if let Some(&number) = self.table.find(hash, |&number| self.all[number as usize] == tuple) {
            return number;
        }
        if self.all.len() >= self.max {
            return OTHER;
        }
        let number = self.all.len() as u32;
        self.all.push(tuple);
        self.table.insert_unique(hash, number, |&number| hash_tuple(self.all[number as usize]));
        number
    }

    pub(super) fn find(&self, tuple: [u32; N]) -> Option<u32> {
        self.table.find(hash_tuple(tuple), |&number| self.all[number as usize] == tuple).copied()
    }

    pub(super) fn get(&self, number: u32) -> [u32; N] {
        self.all.get(number as usize).copied().unwrap_or([NONE; N])
    }

    pub(super) fn all(&self) -> &[[u32; N]] {
        &self.all
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.table.allocation_size() + self.all.capacity() * size_of::<[u32; N]>()
    }
}

/// Most destinations told apart.
pub(super) const DESTINATIONS_MAX: usize = 4_096;
/// Most destinations with routing key told apart.
pub(super) const LANES_MAX: usize = 16_384;
/// Most texts kept: names of services, destinations, groups, partitions, hosts.
pub(super) const NAMES_MAX: usize = 65_536;

/// Where spans send to and receive from.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) names: Names,
    /// System and name.
    pub(super) destinations: Tuples<2>,
    /// Destination and routing key.
    pub(super) lanes: Tuples<2>,
    /// What sort of thing each destination is.
    pub(super) kinds: Vec<DestinationKind>,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            names: Names::new(NAMES_MAX),
            destinations: Tuples::new(DESTINATIONS_MAX),
            lanes: Tuples::new(LANES_MAX),
            kinds: Vec::new(),
        }
    }
}

impl Places {
    pub(super) fn destination(&mut self, identity: &Identity<'_>) -> u32 {
        let tuple = [self.names.intern(identity.system), self.names.intern(&identity.name)];
        let destination = self.destinations.intern(tuple);
        if identity.kind != self.kind(destination) {
            self.set_kind(destination, identity.kind);
        }
        destination
    }

    /// Of several things that are said the one that says most.
    pub(super) fn set_kind(&mut self, destination: u32, kind: DestinationKind) {
        let place = destination as usize;
        if self.kinds.len() <= place {
            self.kinds.resize(place + 1, DestinationKind::Unknown);
        }
        self.kinds[place] = self.kinds[place].max(kind);
    }

    /// What sort of thing a destination is, as far as anybody said.
    pub(super) fn kind(&self, destination: u32) -> DestinationKind {
        self.kinds.get(destination as usize).copied().unwrap_or_default()
    }

    pub(super) fn lane(&mut self, destination: u32, route: &str) -> u32 {
        let route = self.names.intern(route);
        self.lanes.intern([destination, route])
    }

    pub(super) fn destination_of_lane(&self, lane: u32) -> u32 {
        self.lanes.get(lane)[0]
    }

    pub(super) fn key(&self, destination: u32) -> DestinationKey {
        let [system, name] = self.destinations.get(destination);
        DestinationKey { system: self.names.text(system).to_owned(), name: self.names.text(name).to_owned() }
    }

    pub(super) fn find(&self, key: &DestinationKey) -> Option<u32> {
        self.destinations.find([self.names.find(&key.system)?, self.names.find(&key.name)?])
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.names.heap_bytes() + self.destinations.heap_bytes() + self.lanes.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_counts_under_other() {
        // Guarantees that the number of names is bounded, and that known ones keep their number when it is reached.
        let mut names = Names::new(4);
        let orders = names.intern("orders");
        names.intern("payments");
        assert_eq!(names.intern("one more"), OTHER);
        assert_eq!((names.intern("orders"), names.text(orders), names.text(OTHER)), (orders, "orders", "(other)"));
    }
}
