//! What there is to ask for: services, operations and attribute keys, with how many spans have each.
//!
//! Counted once per segment at seal time and once per batch of the memtable, and added up for an answer. Counts say how often
//! a thing was stored; a span that arrived twice counts twice until the two are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use model::{Attributes, Level, SpanBatch, TextId, Value};
use serde::{Deserialize, Serialize};

use crate::error::ReadError;

/// An operation of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Operation {
    /// The service.
    pub service: String,
    /// The span's name.
    pub name: String,
    /// The span's kind, as OTLP numbers it.
    pub kind: i32,
}

/// An attribute key as it occurs at a level with a type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The key.
    pub key: String,
    /// Where it occurs.
    pub level: Level,
    /// With values of this type, see [`model::ValueRef::type_name`].
    pub type_name: String,
}

/// Distinct operations or keys that are listed; a sender that makes a new one for every span cannot make the catalog grow.
pub const CATALOG_ENTRIES_MAX: usize = 20_000;

/// What there is to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Spans a service has.
    pub services: BTreeMap<String, u64>,
    /// Spans an operation has.
    #[serde(with = "as_list")]
    pub operations: BTreeMap<Operation, u64>,
    /// Spans that have a key (for resource and scope keys: spans whose resource or scope has it).
    #[serde(with = "as_list")]
    pub keys: BTreeMap<Key, u64>,
}

impl Catalog {
    /// Adds the counts of another catalog.
    pub fn add(&mut self, other: &Catalog) {
        add_counts(&mut self.services, &other.services);
        add_counts(&mut self.operations, &other.operations);
        add_counts(&mut self.keys, &other.keys);
    }

    /// Counts a batch.
    pub fn of_batch(batch: &SpanBatch) -> Catalog {
        let mut counts = CatalogCounts::default();
        for (index, row) in batch.rows.iter().enumerate() {
            let scope = &batch.scopes[row.scope as usize];
            let service = batch.resources[scope.resource as usize].service_name;
            *counts.operations.entry((service, row.name, row.kind)).or_default() += 1;
            *counts.scopes.entry(row.scope).or_default() += 1;
            counts.count(Level::Span, &batch.attributes, batch.attribute_ranges.get(index));
            for event in batch.event_ranges.get(index) {
                counts.count(Level::Event, &batch.events.attributes, batch.events.attribute_ranges.get(event));
            }
            for link in batch.link_ranges.get(index) {
                counts.count(Level::Link, &batch.links.attributes, batch.links.attribute_ranges.get(link));
            }
        }
        counts.into_catalog(batch)
    }
}

/// The sum of the catalogs of sealed segments, kept from answer to answer: reading those of hundreds of segments takes long, and from one
/// answer to the next hardly any segment comes or goes.
#[derive(Debug, Default)]
pub(crate) struct SealedCatalog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Numbers of the segments that are in the sum.
    segments: BTreeSet<u64>,
    sum: Catalog,
}

impl SealedCatalog {
    /// The sum over segments of these numbers; of those that are not in it yet the catalogs are read.
    pub(crate) fn sum<'a, S: 'a>(
        &self,
        segments: impl Iterator<Item = (u64, &'a S)> + Clone,
        read: impl Fn(&S) -> Result<Catalog, ReadError>,
    ) -> Catalog {
        let mut kept = self.0.lock().expect("nothing panics between taking a sum and keeping it");
        let numbers: BTreeSet<u64> = segments.clone().map(|(number, _)| number).collect();
        if !kept.segments.is_subset(&numbers) {
            *kept = Kept::default();
        }
        for (number, segment) in segments {
            if kept.segments.contains(&number) {
                continue;
            }
            match read(segment) {
                Ok(catalog) => {
                    kept.sum.add(&catalog);
                    kept.segments.insert(number);
                }
                Err(error) => tracing::warn!(%error, "what a segment has to offer cannot be read"),
            }
        }
        kept.sum.clone()
    }
}

type BatchOperation = (TextId, TextId, i32);

/// Counts by the numbers of one batch's texts; turned into names once.
#[derive(Debug, Default)]
struct CatalogCounts {
    operations: std::collections::HashMap<BatchOperation, u64>,
    scopes: std::collections::HashMap<u32, u64>,
    keys: std::collections::HashMap<(Level, TextId, &'static str), u64>,
}

impl CatalogCounts {
    fn count(&mut self, level: Level, pool: &Attributes, range: std::ops::Range<usize>) {
        for index in range {
            *self.keys.entry((level, pool.keys[index], stored_type_name(pool.values[index]))).or_default() += 1;
        }
    }

    fn into_catalog(self, batch: &SpanBatch) -> Catalog {
        let mut catalog = Catalog::default();
        for ((service, name, kind), spans) in self.operations {
            let (service, name) = (batch.text.str(service).to_owned(), batch.text.str(name).to_owned());
            *catalog.services.entry(service.clone()).or_default() += spans;
            catalog.operations.insert(Operation { service, name, kind }, spans);
        }
        for (scope, spans) in self.scopes {
            let scope = &batch.scopes[scope as usize];
            let resource = &batch.resources[scope.resource as usize];
            let at_scope = batch.attributes_of_scope(scope).map(|attribute| (Level::Scope, attribute));
            let at_resource = batch.attributes_of_resource(resource).map(|attribute| (Level::Resource, attribute));
            for (level, attribute) in at_scope.chain(at_resource) {
                let type_name = attribute.value.type_name().to_owned();
                let key = Key { key: attribute.key.to_owned(), level, type_name };
                *catalog.keys.entry(key).or_default() += spans;
            }
        }
        for ((level, key, type_name), spans) in self.keys {
            let key = Key { key: batch.text.str(key).to_owned(), level, type_name: type_name.to_owned() };
            *catalog.keys.entry(key).or_default() += spans;
        }
        catalog.bound();
        catalog
    }
}

/// The type's name as far as the stored value tells it: arrays and maps are told apart only when they are read.
fn stored_type_name(value: Value) -> &'static str {
    match value {
        Value::Empty => "empty",
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Double(_) => "double",
        Value::Bytes(_) => "bytes",
        Value::Json(_) => "array",
    }
}

impl Catalog {
    /// Drops the rarest entries beyond [`CATALOG_ENTRIES_MAX`].
    pub(crate) fn bound(&mut self) {
        keep_most_frequent(&mut self.services);
        keep_most_frequent(&mut self.operations);
        keep_most_frequent(&mut self.keys);
    }
}

fn keep_most_frequent<K: Ord + Clone>(counts: &mut BTreeMap<K, u64>) {
    if counts.len() <= CATALOG_ENTRIES_MAX {
        return;
    }
    let mut by_count: Vec<(u64, K)> = counts.iter().map(|(key, &count)| (count, key.clone())).collect();
    by_count.sort_unstable_by(|a, b| b.cmp(a));
    for (_, key) in by_count.drain(CATALOG_ENTRIES_MAX..) {
        counts.remove(&key);
    }
}

fn add_counts<K: Ord + Clone>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        if let Some(sum) = to.get_mut(key) {
            *sum += count;
        } else if to.len() < CATALOG_ENTRIES_MAX {
            to.insert(key.clone(), *count);
        }
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.key, self.level as u8, &self.type_name).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (key, level, type_name) = <(String, usize, String)>::deserialize(deserializer)?;
        let level = Level::ALL.get(level).ok_or_else(|| serde::de::Error::custom("no such level"))?;
        Ok(Key { key, level: *level, type_name })
    }
}

/// JSON objects have only strings for keys, so counts by anything else are lists of pairs.
mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, S: Serializer>(map: &BTreeMap<K, u64>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K: Deserialize<'de> + Ord, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<K, u64>, D::Error> {
        Ok(Vec::<(K, u64)>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_catalog_is_read_once_as_long_as_its_segment_is_there() {
        // Guarantees that a sum is that of just the segments there are, whichever came or went, and that what is still in it is not read again.
        let (sealed, reads) = (SealedCatalog::default(), Cell::new(0));
        let of =
            |number: u64| Catalog { services: BTreeMap::from([(format!("s{number}"), number)]), ..Catalog::default() };
        let sum = |numbers: &[u64]| {
            reads.set(0);
            let read = |&number: &u64| {
                reads.set(reads.get() + 1);
                Ok(of(number))
            };
            sealed.sum(numbers.iter().map(|number| (*number, number)), read).services
        };
        let expected = |numbers: &[u64]| numbers.iter().map(|number| (format!("s{number}"), *number)).collect();
        for (numbers, read) in [(&[1, 2][..], 2), (&[1, 2, 3], 1), (&[1, 2, 3], 0), (&[2, 3, 4], 3), (&[4, 3, 2], 0)] {
            let services: BTreeMap<String, u64> = expected(numbers);
            assert_eq!((sum(numbers), reads.get()), (services, read), "{numbers:?}");
        }
    }
}
