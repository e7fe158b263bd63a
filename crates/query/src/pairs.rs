//! Looking spans up by values: which stored spans carry one of these attributes, each with its exact value.
//!
//! Many values are looked for in one pass: a part is read only if its filters say that it may hold one of them, and of what is
//! read only the keys in question. This is how a flow goes on where the context of a message was lost.
//!
//! Deliberately absent: conditions of any other kind, order and pages (that is [`crate::search`]).

use std::collections::{BTreeSet, HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::attributes::{filter_hash, pair_hash};
use model::text::hash_text;
use model::{Level, SpanBatch, SpanKey, SpanKind, TextId};
use store::{Fields, Projection, Selection, Wanted};

use crate::contract::{QueryError, TimeRange};
use crate::source::{Part, Source};

/// An attribute of a span, by its key and the comparison text of its value (see [`model::value`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The comparison text of the value.
    pub value: String,
}

/// Spans that are looked for: those that carry one of some attributes, and, if there are any, one of some others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LookUp {
    /// One of these.
    pub one_of: Vec<Pair>,
    /// And one of these.
    pub and_one_of: Vec<Pair>,
    /// When they start.
    pub range: TimeRange,
    /// Also spans that neither send nor receive by their kind.
    pub any_kind: bool,
}

/// Of a part that may hold one of more pairs all spans are read.
const SELECTED_PAIRS_MAX: usize = 8;

/// A span that was found: by which look-up, and which span.
pub type Found = (usize, SpanKey);

/// The spans that look-ups mean, in order: those that send or receive (of kind producer, consumer or client), or any. Only the spans'
/// own attributes count. Ends early once `found_max` were found. A span that was stored again may be found by a value it no
/// longer has.
pub fn spans_with<S: Source>(source: &S, look_ups: &[LookUp], found_max: usize) -> Result<Vec<Found>, QueryError> {
    let hashes: Vec<[Vec<u64>; 2]> = look_ups
        .iter()
        .map(|look_up| [&look_up.one_of, &look_up.and_one_of].map(|pairs| pairs.iter().map(hash).collect()))
        .collect();
    let fields = Fields { ids: true, kind: true, ..Fields::NONE };
    let projection = Projection { fields, attributes: Wanted::Keys(keys(look_ups)), ..Projection::default() };
    let mut found = HashSet::new();
    for part in source.parts() {
        let mut possible = Possible::default();
        for (number, [one_of, and_one_of]) in hashes.iter().enumerate() {
            let LookUp { one_of: pairs, range, .. } = &look_ups[number];
            if !range.overlaps(part.start_bounds()) || !(and_one_of.is_empty() || may_hold_one(&part, and_one_of)?) {
                continue;
            }
            for (pair, &hash) in pairs.iter().zip(one_of) {
                if part.may_contain(hash)? {
                    possible.look_ups.insert(number);
                    possible.pairs.insert(pair);
                }
            }
        }
        read(&part, &projection, &possible, |batch| look_through(batch, look_ups, &possible, &mut found))?;
        if found.len() >= found_max {
            break;
        }
    }
    let mut found: Vec<Found> = found.into_iter().collect();
    found.sort_unstable();
    Ok(found)
}

/// What a part may hold.
#[derive(Debug, Default)]
struct Possible<'l> {
    look_ups: BTreeSet<usize>,
    pairs: BTreeSet<&'l Pair>,
}

/// Shows what of a part may hold one of the pairs: of few pairs the spans that have one, of many all spans.
fn read<P: Part>(
    part: &P,
    projection: &Projection,
    possible: &Possible<'_>,
    mut show: impl FnMut(&SpanBatch),
) -> Result<(), QueryError> {
    if possible.pairs.is_empty() {
        return Ok(());
    }
    if possible.pairs.len() > SELECTED_PAIRS_MAX {
        show(&*part.read(projection)?);
        return Ok(());
    }
    for pair in &possible.pairs {
        let attribute = Some((pair.key.clone(), pair.value.clone()));
        let batch = part.read_some(projection, &Selection { attribute, ..Selection::default() })?;
        show(&batch);
        if batch.len() == part.span_count() {
            break;
        }
    }
    Ok(())
}

fn keys(look_ups: &[LookUp]) -> Vec<String> {
    let pairs = look_ups.iter().flat_map(|look_up| look_up.one_of.iter().chain(&look_up.and_one_of));
    let keys: HashSet<&str> = pairs.map(|pair| pair.key.as_str()).collect();
    keys.into_iter().map(str::to_owned).collect()
}

fn hash(pair: &Pair) -> u64 {
    pair_hash(Level::Span, hash_text(pair.key.as_bytes()), filter_hash(pair.key.as_bytes(), &pair.value))
}

fn may_hold_one<P: Part>(part: &P, hashes: &[u64]) -> Result<bool, QueryError> {
    for &hash in hashes {
        if part.may_contain(hash)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Look-ups by key and value of a batch; true for the pairs of which one is needed in any case.
type Keyed<'l> = HashMap<TextId, HashMap<&'l str, Vec<(usize, bool)>>>;

fn look_through(batch: &SpanBatch, look_ups: &[LookUp], possible: &Possible<'_>, found: &mut HashSet<Found>) {
    let mut wanted = Keyed::new();
    for &number in &possible.look_ups {
        let LookUp { one_of, and_one_of, .. } = &look_ups[number];
        let sides = one_of.iter().map(|pair| (pair, true)).chain(and_one_of.iter().map(|pair| (pair, false)));
        for (pair, is_first) in sides.filter(|(pair, _)| can_hold(batch, &pair.value)) {
            if let Some(key) = batch.text.find(pair.key.as_bytes()) {
                wanted.entry(key).or_default().entry(&pair.value).or_default().push((number, is_first));
            }
        }
    }
    if wanted.is_empty() {
        return;
    }
    let kinds = [SpanKind::PRODUCER, SpanKind::CONSUMER, SpanKind::CLIENT];
    let any_kind = possible.look_ups.iter().any(|&number| look_ups[number].any_kind);
    for span in batch.spans().filter(|span| any_kind || kinds.contains(&span.kind())) {
        let mut held: Vec<(usize, bool)> = Vec::new();
        for place in batch.attribute_ranges.get(span.index) {
            let Some(values) = wanted.get(&batch.attributes.keys[place]) else { continue };
            let value = batch.attributes.values[place].resolve(&batch.text).comparison_text();
            held.extend(values.get(value.as_ref()).into_iter().flatten());
        }
        let is_meant = |number: usize| {
            let in_range = look_ups[number].range.contains(span.start_unix_nano());
            let is_kind = look_ups[number].any_kind || kinds.contains(&span.kind());
            in_range && is_kind && (look_ups[number].and_one_of.is_empty() || held.contains(&(number, false)))
        };
        let firsts = held.iter().filter(|(number, is_first)| *is_first && is_meant(*number));
        found.extend(firsts.map(|&(number, _)| (number, span.key())));
    }
}

/// Whether a batch can hold a value: its text, what reads like a number or a truth, which are no texts, or the bytes that it shows.
fn can_hold(batch: &SpanBatch, value: &str) -> bool {
    let is_scalar = value.parse::<f64>().is_ok() || ["true", "false"].contains(&value);
    let is_known = |text: &[u8]| batch.text.find(text).is_some();
    is_scalar || is_known(value.as_bytes()) || STANDARD.decode(value).is_ok_and(|bytes| is_known(&bytes))
}
