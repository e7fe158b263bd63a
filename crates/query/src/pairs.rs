//! Looking spans up by values: which stored spans carry one of these attributes, each with its exact value.
//!
//! Many values are looked for in one pass: a part is read only if its filter says that it may hold one of them, and of what is
//! read only the keys in question. This is how a flow goes on where the context of a message was lost.
//!
//! Deliberately absent: conditions of any other kind, order and pages (that is [`crate::search`]).

use std::borrow::Cow;
use std::collections::HashMap;

use model::attributes::pair_hash;
use model::text::hash_text;
use model::{Level, SpanBatch, SpanKey, SpanKind, TextId};
use store::{Fields, Projection, Wanted};

use crate::contract::QueryError;
use crate::source::{Part, Source};

/// An attribute of a span, by its key and the comparison text of its value (see [`model::value`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The comparison text of the value.
    pub value: String,
}

/// Spans with a pair: its index among those that were looked for, and which span.
pub type Found = (usize, SpanKey);

/// The spans that send or receive (of kind producer, consumer or client) and carry one of these pairs among their own attributes,
/// in any order, at most `found_max`; a span that was stored again may be found by a value that it no longer has.
pub fn spans_with<S: Source>(source: &S, pairs: &[Pair], found_max: usize) -> Result<Vec<Found>, QueryError> {
    let hashes: Vec<u64> = pairs.iter().map(hash).collect();
    let mut keys: Vec<String> = pairs.iter().map(|pair| pair.key.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    let fields = Fields { ids: true, kind: true, ..Fields::NONE };
    let projection = Projection { fields, attributes: Wanted::Keys(keys), ..Projection::default() };
    let mut found = Vec::new();
    for part in source.parts() {
        let mut possible = Vec::new();
        for (place, &hash) in hashes.iter().enumerate() {
            if part.may_contain(hash)? {
                possible.push(place);
            }
        }
        if !possible.is_empty() {
            look_through(&*part.read(&projection)?, pairs, &possible, &mut found);
        }
        if found.len() >= found_max {
            found.truncate(found_max);
            break;
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn hash(pair: &Pair) -> u64 {
    pair_hash(Level::Span, hash_text(pair.key.as_bytes()), hash_text(pair.value.as_bytes()))
}

fn look_through(batch: &SpanBatch, pairs: &[Pair], possible: &[usize], found: &mut Vec<Found>) {
    let mut wanted: HashMap<TextId, HashMap<&str, Vec<usize>>> = HashMap::new();
    for &place in possible {
        let pair = &pairs[place];
        if let Some(key) = batch.text.find(pair.key.as_bytes()).filter(|_| can_hold(batch, &pair.value)) {
            wanted.entry(key).or_default().entry(&pair.value).or_default().push(place);
        }
    }
    if wanted.is_empty() {
        return;
    }
    let kinds = [SpanKind::PRODUCER, SpanKind::CONSUMER, SpanKind::CLIENT];
    for span in batch.spans().filter(|span| kinds.contains(&span.kind())) {
        for place in batch.attribute_ranges.get(span.index) {
            let Some(values) = wanted.get(&batch.attributes.keys[place]) else { continue };
            let value: Cow<'_, str> = batch.attributes.values[place].resolve(&batch.text).comparison_text();
            let places = values.get(value.as_ref()).into_iter().flatten();
            found.extend(places.map(|&place| (place, span.key())));
        }
    }
}

/// Whether a batch can hold a value: its text, or, as numbers are not texts, something that reads like one.
fn can_hold(batch: &SpanBatch, value: &str) -> bool {
    let is_scalar = value.parse::<f64>().is_ok() || ["true", "false"].contains(&value);
    is_scalar || batch.text.find(value.as_bytes()).is_some()
}
