//! Looking spans up by values: which stored spans carry one of these attributes, each with its exact value.
//!
//! Many values are looked for in one pass: a part is read only if its filters say that it may hold one of them, and of what is
//! read only the keys in question. This is how a flow goes on where the context of a message was lost.
//!
//! Deliberately absent: conditions of any other kind, order and pages (that is [`crate::search`]).

use std::collections::{BTreeMap, HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::attributes::{filter_hash, pair_hash};
use model::text::hash_text;
use model::{Level, SpanBatch, SpanKey, SpanKind, SpanRef, TextId};
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
    let sought = Sought::of(look_ups);
    let fields = Fields { ids: true, kind: true, ..Fields::NONE };
    let keys = sought.keys.iter().map(|&key| key.to_owned()).collect();
    let projection = Projection { fields, attributes: Wanted::Keys(keys), ..Projection::default() };
    let mut found = HashSet::new();
    for part in source.parts() {
        let possible = sought.possible(&part)?;
        read(&part, &projection, &sought, &possible, |batch| sought.look_through(batch, &possible, &mut found))?;
        if found.len() >= found_max {
            break;
        }
    }
    let mut found: Vec<Found> = found.into_iter().collect();
    found.sort_unstable();
    Ok(found)
}

/// What is looked for, each pair once.
#[derive(Debug)]
struct Sought<'l> {
    look_ups: &'l [LookUp],
    keys: Vec<&'l str>,
    pairs: Vec<SoughtPair<'l>>,
    /// Some look-up means spans of any kind.
    any_kind: bool,
}

#[derive(Debug)]
struct SoughtPair<'l> {
    pair: &'l Pair,
    /// Its key's place among the keys.
    key: usize,
    hash: u64,
    /// The value reads like a number or a truth, which are no texts.
    is_scalar: bool,
    /// The bytes that the value shows, if it shows any.
    bytes: Option<Vec<u8>>,
    /// The look-ups that ask for it; true for those of which one is needed in any case.
    asked_by: Vec<(usize, bool)>,
}

/// What a part may hold.
#[derive(Debug)]
struct Possible {
    /// For each look-up, whether it may mean a span of the part.
    look_ups: Vec<bool>,
    /// The pairs of these of which one is needed in any case.
    pairs: Vec<usize>,
}

impl<'l> Sought<'l> {
    fn of(look_ups: &'l [LookUp]) -> Sought<'l> {
        let mut asked: BTreeMap<&Pair, Vec<(usize, bool)>> = BTreeMap::new();
        for (number, look_up) in look_ups.iter().enumerate() {
            let firsts = look_up.one_of.iter().map(|pair| (pair, true));
            for (pair, is_first) in firsts.chain(look_up.and_one_of.iter().map(|pair| (pair, false))) {
                asked.entry(pair).or_default().push((number, is_first));
            }
        }
        let mut keys: Vec<&str> = asked.keys().map(|pair| pair.key.as_str()).collect();
        keys.dedup();
        let pair = |(pair, asked_by): (&'l Pair, Vec<(usize, bool)>)| SoughtPair {
            pair,
            key: keys.binary_search(&pair.key.as_str()).expect("every key is there, in order"),
            hash: hash(pair),
            is_scalar: pair.value.parse::<f64>().is_ok() || ["true", "false"].contains(&pair.value.as_str()),
            bytes: STANDARD.decode(&pair.value).ok(),
            asked_by,
        };
        let pairs = asked.into_iter().map(pair).collect();
        Sought { look_ups, pairs, any_kind: look_ups.iter().any(|look_up| look_up.any_kind), keys }
    }

    fn possible<P: Part>(&self, part: &P) -> Result<Possible, QueryError> {
        let bounds = part.start_bounds();
        let in_range: Vec<bool> = self.look_ups.iter().map(|look_up| look_up.range.overlaps(bounds)).collect();
        let mut held = vec![false; self.pairs.len()];
        let mut sides = vec![(false, false); self.look_ups.len()];
        for (place, sought) in self.pairs.iter().enumerate() {
            held[place] =
                sought.asked_by.iter().any(|&(number, _)| in_range[number]) && part.may_contain(sought.hash)?;
            for &(number, is_first) in sought.asked_by.iter().filter(|_| held[place]) {
                let (first, second) = &mut sides[number];
                *if is_first { first } else { second } = true;
            }
        }
        let is_possible = |(number, (first, second)): (usize, (bool, bool))| {
            in_range[number] && first && (second || self.look_ups[number].and_one_of.is_empty())
        };
        let look_ups: Vec<bool> = sides.into_iter().enumerate().map(is_possible).collect();
        let is_needed =
            |sought: &SoughtPair<'_>| sought.asked_by.iter().any(|&(number, is_first)| is_first && look_ups[number]);
        let pairs = (0..held.len()).filter(|&place| held[place] && is_needed(&self.pairs[place])).collect();
        Ok(Possible { look_ups, pairs })
    }

    fn look_through(&self, batch: &SpanBatch, possible: &Possible, found: &mut HashSet<Found>) {
        let keys: Vec<Option<TextId>> = self.keys.iter().map(|key| batch.text.find(key.as_bytes())).collect();
        let mut wanted = Keyed::new();
        for sought in &self.pairs {
            let Some(key) = keys[sought.key].filter(|_| sought.can_be_in(batch)) else { continue };
            let asked_by = sought.asked_by.iter().filter(|(number, _)| possible.look_ups[*number]);
            wanted.entry(key).or_default().entry(&sought.pair.value).or_default().extend(asked_by);
        }
        if wanted.is_empty() {
            return;
        }
        let sends_or_receives =
            |span: &SpanRef<'_>| [SpanKind::PRODUCER, SpanKind::CONSUMER, SpanKind::CLIENT].contains(&span.kind());
        for span in batch.spans().filter(|span| self.any_kind || sends_or_receives(span)) {
            let mut held: Vec<(usize, bool)> = Vec::new();
            for place in batch.attribute_ranges.get(span.index) {
                let Some(values) = wanted.get(&batch.attributes.keys[place]) else { continue };
                let value = batch.attributes.values[place].resolve(&batch.text).comparison_text();
                held.extend(values.get(value.as_ref()).into_iter().flatten());
            }
            let is_meant = |number: usize| {
                let look_up = &self.look_ups[number];
                look_up.range.contains(span.start_unix_nano())
                    && (look_up.any_kind || sends_or_receives(&span))
                    && (look_up.and_one_of.is_empty() || held.contains(&(number, false)))
            };
            let firsts = held.iter().filter(|(number, is_first)| *is_first && is_meant(*number));
            found.extend(firsts.map(|&(number, _)| (number, span.key())));
        }
    }
}

impl SoughtPair<'_> {
    /// Whether a batch can hold the value: its text, what is no text, or the bytes that it shows.
    fn can_be_in(&self, batch: &SpanBatch) -> bool {
        let is_known = |text: &[u8]| batch.text.find(text).is_some();
        self.is_scalar || is_known(self.pair.value.as_bytes()) || self.bytes.as_deref().is_some_and(is_known)
    }
}

/// Look-ups by key and value of a batch.
type Keyed<'l> = HashMap<TextId, HashMap<&'l str, Vec<(usize, bool)>>>;

/// Shows what of a part may hold one of the pairs: of few pairs the spans that have one, of many all spans.
fn read<P: Part>(
    part: &P,
    projection: &Projection,
    sought: &Sought<'_>,
    possible: &Possible,
    mut show: impl FnMut(&SpanBatch),
) -> Result<(), QueryError> {
    if possible.pairs.is_empty() {
        return Ok(());
    }
    if possible.pairs.len() > SELECTED_PAIRS_MAX {
        show(&*part.read(projection)?);
        return Ok(());
    }
    for &place in &possible.pairs {
        let Pair { key, value } = sought.pairs[place].pair;
        let attribute = Some((key.clone(), value.clone()));
        let batch = part.read_some(projection, &Selection { attribute, ..Selection::default() })?;
        show(&batch);
        if batch.len() == part.span_count() {
            break;
        }
    }
    Ok(())
}

fn hash(pair: &Pair) -> u64 {
    pair_hash(Level::Span, hash_text(pair.key.as_bytes()), filter_hash(pair.key.as_bytes(), &pair.value))
}
