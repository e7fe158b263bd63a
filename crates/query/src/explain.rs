//! What a part of a heat map has in common: values that are more frequent among the chosen spans than among the rest.
//!
//! The spans are those of [`crate::spread`], fewer of them, because every attribute of each is looked at. A value's score is how much
//! larger its share of the chosen ones is, less what chance alone would make of it; values of which every span has its own (ids) and
//! measures say nothing and are left out, and so is how long the span took, which is what was chosen.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use model::attributes::{is_measure, pair_hash};
use model::text::hash_text;
use model::{Level, SpanRef};
use store::{Fields, Projection, Wanted};

use crate::contract::{QueryError, TimeRange};
use crate::filter::{Field, Filter};
use crate::source::{Part, Source};
use crate::spread::{Sample, sampled, within};

/// Records that an explanation looks at.
pub const EXPLAINED_MAX: usize = 1 << 18;
/// Different values of one field that are counted; a field with more of them has a value of its own for every span.
const DISTINCT_MAX: u32 = 2_000;
/// Values that are counted in all.
const VALUES_MAX: usize = 100_000;
/// Longer values are not compared.
const VALUE_BYTES_MAX: usize = 256;
/// Differences that chance makes of a sample are smaller than this many standard errors.
const STANDARD_ERRORS: f64 = 2.0;

/// What is to be explained.
#[derive(Debug, Clone)]
pub struct ExplainQuery {
    /// Which spans.
    pub filter: Filter,
    /// When they start.
    pub range: TimeRange,
    /// When the chosen ones of them start.
    pub chosen: TimeRange,
    /// How long the chosen ones took.
    pub chosen_durations_ns: RangeInclusive<u64>,
    /// Fields in the answer.
    pub fields_max: usize,
    /// Values of each.
    pub values_max: usize,
}

/// What the chosen spans have in common.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// Chosen spans.
    pub chosen: u64,
    /// The other matching spans.
    pub rest: u64,
    /// Fields whose values differ, the most telling first.
    pub fields: Vec<FieldShares>,
    /// How much was looked at.
    pub sample: Sample,
}

/// A field whose values are otherwise among the chosen spans.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldShares {
    /// Which.
    pub field: Field,
    /// By how much the share of its first value differs, 0 to 1.
    pub score: f64,
    /// Its values, the most over-represented first.
    pub values: Vec<ValueShare>,
}

/// How often a value occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueShare {
    /// Its comparison text.
    pub value: String,
    /// Chosen spans that have it.
    pub chosen: u64,
    /// Other spans that have it.
    pub rest: u64,
}

/// The values that set the chosen spans apart.
pub fn explain<S: Source>(source: &S, query: &ExplainQuery) -> Result<Explanation, QueryError> {
    explain_within(source, query, EXPLAINED_MAX)
}

/// As [`explain`], looking at about `looked_at_max` records.
pub fn explain_within<S: Source>(
    source: &S,
    query: &ExplainQuery,
    looked_at_max: usize,
) -> Result<Explanation, QueryError> {
    let (parts, sample) = sampled(source, &query.filter, query.range, looked_at_max)?;
    let asked = query.filter.projection();
    let projection = Projection {
        fields: Fields { ids: asked.fields.ids, ..Fields::ALL },
        texts: true,
        attributes: Wanted::All,
        events: true,
        links: asked.links,
    };
    let selection = within(&query.filter, query.range);
    let mut tally = Tally::default();
    for part in parts {
        let batch = part.read_some(&projection, &selection)?;
        let rows = query.filter.bind(&batch);
        let found = rows.rows().map(|row| batch.span(row)).filter(|span| query.range.contains(span.start_unix_nano()));
        for span in found {
            tally.span(span, query.has_chosen(span));
        }
    }
    Ok(Explanation { sample, ..tally.finish(query) })
}

impl ExplainQuery {
    fn has_chosen(&self, span: SpanRef<'_>) -> bool {
        self.chosen.contains(span.start_unix_nano()) && self.chosen_durations_ns.contains(&span.duration_ns())
    }
}

/// How often a value was seen.
struct Seen {
    /// Number of the field.
    field: u32,
    value: String,
    chosen: u64,
    rest: u64,
    /// The span that was counted last: a value that a span has twice counts once.
    last_span: u64,
}

#[derive(Default)]
struct Tally {
    chosen: u64,
    rest: u64,
    fields: Vec<(Field, u32)>,
    numbers: HashMap<u64, u32>,
    values: HashMap<u64, Seen>,
}

impl Tally {
    fn span(&mut self, span: SpanRef<'_>, is_chosen: bool) {
        *(if is_chosen { &mut self.chosen } else { &mut self.rest }) += 1;
        let (kind, status) = (span.kind().to_string(), span.status().to_string());
        let own = [
            (Field::Service, span.service_name()),
            (Field::Name, span.name()),
            (Field::Kind, kind.as_str()),
            (Field::Status, status.as_str()),
            (Field::StatusMessage, span.status_message()),
            (Field::ScopeName, span.batch.text.str(span.scope().name)),
        ];
        for (number, (field, text)) in own.iter().enumerate() {
            if !text.is_empty() {
                self.value(number as u64, is_chosen, text, || field.clone());
            }
        }
        for event in span.events() {
            self.value(own.len() as u64, is_chosen, event.name(), || Field::EventName);
            let exception = event.attributes().filter(|attribute| attribute.key == "exception.type");
            exception.for_each(|attribute| self.attribute(Level::Event, is_chosen, attribute));
        }
        span.attributes().for_each(|attribute| self.attribute(Level::Span, is_chosen, attribute));
        let resource = span.batch.attributes_of_resource(span.resource());
        // The service has been counted as a field of its own.
        let others = resource.filter(|attribute| attribute.key != "service.name");
        others.for_each(|attribute| self.attribute(Level::Resource, is_chosen, attribute));
    }

    fn attribute(&mut self, level: Level, is_chosen: bool, attribute: model::AttributeRef<'_>) {
        if is_measure(attribute.key.as_bytes()) {
            return;
        }
        let text = attribute.value.comparison_text();
        let field = pair_hash(level, hash_text(attribute.key.as_bytes()), 0);
        self.value(field, is_chosen, &text, || Field::attribute(Some(level), attribute.key));
    }

    fn value(&mut self, field_hash: u64, is_chosen: bool, text: &str, field: impl FnOnce() -> Field) {
        if text.len() > VALUE_BYTES_MAX {
            return;
        }
        let span = self.chosen + self.rest;
        let hash = pair_hash(Level::Span, field_hash, hash_text(text.as_bytes()));
        if let Some(seen) = self.values.get_mut(&hash) {
            if seen.last_span != span {
                seen.last_span = span;
                *(if is_chosen { &mut seen.chosen } else { &mut seen.rest }) += 1;
            }
            return;
        }
        let number = *self.numbers.entry(field_hash).or_insert_with(|| {
            self.fields.push((field(), 0));
            self.fields.len() as u32 - 1
        });
        let (_, distinct) = &mut self.fields[number as usize];
        *distinct += 1;
        if *distinct > DISTINCT_MAX || self.values.len() >= VALUES_MAX {
            return;
        }
        let (chosen, rest) = (u64::from(is_chosen), u64::from(!is_chosen));
        self.values.insert(hash, Seen { field: number, value: text.to_owned(), chosen, rest, last_span: span });
    }

    fn finish(self, query: &ExplainQuery) -> Explanation {
        let Tally { chosen, rest, fields, values, .. } = self;
        let counted = Explanation { chosen, rest, ..Explanation::default() };
        if chosen == 0 || rest == 0 {
            return counted;
        }
        let difference = |seen: &Seen| seen.chosen as f64 / chosen as f64 - seen.rest as f64 / rest as f64;
        let mut by_field: HashMap<u32, Vec<Seen>> = HashMap::new();
        for seen in values.into_values() {
            by_field.entry(seen.field).or_default().push(seen);
        }
        let mut found: Vec<FieldShares> = Vec::new();
        let has_few_values = |(number, _): &(u32, Vec<Seen>)| fields[*number as usize].1 <= DISTINCT_MAX;
        for (number, mut list) in by_field.into_iter().filter(has_few_values) {
            list.sort_by(|a, b| difference(b).total_cmp(&difference(a)).then_with(|| a.value.cmp(&b.value)));
            let score = list.first().map_or(0.0, |first| difference(first) - chance(first, chosen, rest));
            if score <= 0.0 {
                continue;
            }
            list.truncate(query.values_max);
            let share = |seen: Seen| ValueShare { value: seen.value, chosen: seen.chosen, rest: seen.rest };
            let values = list.into_iter().map(share).collect();
            found.push(FieldShares { field: fields[number as usize].0.clone(), score, values });
        }
        let rank = |field: &Field| (matches!(field, Field::Attribute { .. }), field.to_string());
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| rank(&a.field).cmp(&rank(&b.field))));
        // A service's version and host say what its name has said: of fields whose first values are those of the same spans, by their
        // counts, one is enough.
        found.dedup_by_key(|shares| shares.values.first().map(|first| (first.chosen, first.rest)));
        found.truncate(query.fields_max);
        Explanation { fields: found, ..counted }
    }
}

/// How large a difference of shares chance alone makes between groups of these sizes.
fn chance(seen: &Seen, chosen: u64, rest: u64) -> f64 {
    let share = (seen.chosen + seen.rest) as f64 / (chosen + rest) as f64;
    let variance = share * (1.0 - share) * (1.0 / chosen as f64 + 1.0 / rest as f64);
    STANDARD_ERRORS * variance.sqrt()
}
