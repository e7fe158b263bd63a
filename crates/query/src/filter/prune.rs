//! What a part of a store must hold for a filter to match in it, and what must be read of it to find out.
//!
//! Everything here errs on one side only: a part that is skipped holds no matching span.

use std::ops::RangeInclusive;

use model::attributes::{filter_hash, pair_hash};
use model::text::hash_text;
use model::{Level, SpanKind, StatusCode, TraceId};
use store::{Fields, Intrinsic, Projection, Selection, Wanted, intrinsic_pair_hash};

use super::check::equal_texts;
use super::{Field, Filter, Literal, Op};

/// The resource attribute that is the service's name.
const SERVICE_KEY: &str = "service.name";

/// What pairs (see [`pair_hash`]) a part must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// None in particular.
    Nothing,
    /// This one.
    Pair(u64),
    /// This one, which says that a span has an error status.
    Error(u64),
    /// All of these.
    All(Vec<Needed>),
    /// At least one of these; none: nothing can match.
    Any(Vec<Needed>),
}

impl Needed {
    /// Whether a part can hold a match, if `may_contain` tells which pairs it may hold. `has_errors` says whether spans with an
    /// error status are among those that can match, where that is known.
    ///
    /// An error of `may_contain` is passed on.
    pub fn is_possible<E>(
        &self,
        has_errors: Option<bool>,
        may_contain: &dyn Fn(u64) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let (parts, decisive) = match self {
            Needed::Nothing => return Ok(true),
            Needed::Pair(hash) => return may_contain(*hash),
            Needed::Error(hash) => return has_errors.map_or_else(|| may_contain(*hash), Ok),
            Needed::All(parts) => (parts, false),
            Needed::Any(parts) => (parts, true),
        };
        for part in parts {
            if part.is_possible(has_errors, may_contain)? == decisive {
                return Ok(decisive);
            }
        }
        Ok(!decisive)
    }
}

impl Filter {
    /// What pairs a part must hold for any of its spans to match.
    pub fn needed(&self) -> Needed {
        match self {
            Filter::All | Filter::Not(_) | Filter::Exists(_) => Needed::Nothing,
            Filter::And(parts) => all_of(parts.iter().map(Filter::needed)),
            Filter::Or(parts) => any_of(parts.iter().map(Filter::needed)),
            Filter::Compare { field, op: Op::Equal, value } => equality(field, value),
            Filter::Compare { .. } => Needed::Nothing,
        }
    }

    /// A filter that means the same spans of a part, without what no span of it has, by `has_errors` and `may_contain` as in
    /// [`Needed::is_possible`], and by the keys that `may_have_key` denies: a filter over pairs says yes wrongly once in 256 times, and a tag
    /// at any level asks for five. Nothing if it means none.
    pub fn narrowed<E>(
        &self,
        has_errors: Option<bool>,
        may_contain: &dyn Fn(u64) -> Result<bool, E>,
        may_have_key: &dyn Fn(Level, &str) -> bool,
    ) -> Result<Option<Filter>, E> {
        let narrow = |part: &Filter| part.narrowed(has_errors, may_contain, may_have_key);
        Ok(match self {
            Filter::All | Filter::Exists(_) => Some(self.clone()),
            Filter::Not(inner) => Some(narrow(inner)?.map_or(Filter::All, Filter::negate)),
            Filter::And(parts) => {
                let parts: Option<Vec<Filter>> = parts.iter().map(narrow).collect::<Result<_, E>>()?;
                parts.map(Filter::and)
            }
            Filter::Or(parts) => {
                let parts: Vec<Option<Filter>> = parts.iter().map(narrow).collect::<Result<_, E>>()?;
                any_left(parts.into_iter().flatten().collect())
            }
            Filter::Compare { field: Field::Attribute { level: None, key }, op: Op::Equal, value } => {
                let mut left = Vec::new();
                for level in Level::ALL {
                    let field = Field::attribute(Some(level), key);
                    if may_have_key(level, key) && equality(&field, value).is_possible(has_errors, may_contain)? {
                        left.push(Filter::Compare { field, op: Op::Equal, value: value.clone() });
                    }
                }
                if left.len() == Level::ALL.len() { Some(self.clone()) } else { any_left(left) }
            }
            Filter::Compare { field, op: Op::Equal, value } => {
                let possible = equality(field, value).is_possible(has_errors, may_contain)?;
                possible.then(|| self.clone())
            }
            Filter::Compare { .. } => Some(self.clone()),
        })
    }

    /// What every span that the filter means is known to have.
    pub fn selection(&self) -> Selection {
        let mut selection = Selection { durations: self.duration_bounds(), ..Selection::default() };
        self.select(&mut selection);
        selection
    }

    fn select(&self, selection: &mut Selection) {
        let (field, value) = match self {
            Filter::And(parts) => return parts.iter().for_each(|part| part.select(selection)),
            Filter::Compare { field, op: Op::Equal, value: Literal::Text(value) } => (field, value),
            _ => return,
        };
        match field {
            Field::Service => selection.service = Some(value.clone()),
            Field::Name => selection.name = Some(value.clone()),
            Field::Kind => selection.kind = SpanKind::from_name(value).map(|kind| kind.0),
            Field::Status => selection.status = StatusCode::from_name(value).map(|status| status.0),
            Field::Attribute { level: Some(Level::Span), key } => {
                selection.attribute = Some((key.clone(), value.clone()));
            }
            _ => {}
        }
    }

    /// What must be read of spans to evaluate the filter.
    pub fn projection(&self) -> Projection {
        let mut projection = Projection { fields: Fields::NONE, ..Projection::default() };
        self.each_field(&mut |field| field.project(&mut projection));
        projection
    }

    /// The durations that matching spans have; empty if none can match.
    pub fn duration_bounds(&self) -> RangeInclusive<u64> {
        const FULL: RangeInclusive<u64> = 0..=u64::MAX;
        match self {
            Filter::And(parts) => {
                let bounds = parts.iter().map(Filter::duration_bounds);
                bounds.fold(FULL, |a, b| *a.start().max(b.start())..=*a.end().min(b.end()))
            }
            Filter::Or(parts) => {
                let bounds = parts.iter().map(Filter::duration_bounds).filter(|bounds| !bounds.is_empty());
                let hull = bounds.reduce(|a, b| *a.start().min(b.start())..=*a.end().max(b.end()));
                hull.unwrap_or(NONE)
            }
            Filter::Compare { field: Field::Duration, op, value: Literal::DurationNs(limit) } => match op {
                Op::Equal => *limit..=*limit,
                Op::Greater => limit.checked_add(1).map_or(NONE, |start| start..=u64::MAX),
                Op::GreaterEqual => *limit..=u64::MAX,
                Op::Less => limit.checked_sub(1).map_or(NONE, |end| 0..=end),
                Op::LessEqual => 0..=*limit,
                Op::NotEqual | Op::Matches | Op::NotMatches => FULL,
            },
            _ => FULL,
        }
    }

    /// The only traces whose spans can match, if the filter names them: then nothing need be searched.
    pub fn trace_ids(&self) -> Option<Vec<TraceId>> {
        match self {
            Filter::Compare { field: Field::TraceId, op: Op::Equal, value: Literal::Text(text) } => {
                Some(text.parse().into_iter().collect())
            }
            Filter::And(parts) => parts.iter().filter_map(Filter::trace_ids).min_by_key(Vec::len),
            Filter::Or(parts) => {
                let ids: Option<Vec<_>> = parts.iter().map(Filter::trace_ids).collect();
                ids.map(|ids| ids.into_iter().flatten().collect())
            }
            _ => None,
        }
    }

    /// The service that every matching span is of, if the filter says so.
    pub fn required_service(&self) -> Option<&str> {
        match self {
            Filter::Compare { field: Field::Service, op: Op::Equal, value: Literal::Text(service) } => Some(service),
            Filter::And(parts) => parts.iter().find_map(Filter::required_service),
            _ => None,
        }
    }

    fn each_field(&self, visit: &mut dyn FnMut(&Field)) {
        match self {
            Filter::All => {}
            Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|part| part.each_field(visit)),
            Filter::Not(inner) => inner.each_field(visit),
            Filter::Compare { field, .. } | Filter::Exists(field) => visit(field),
        }
    }
}

#[expect(clippy::reversed_empty_ranges, reason = "the empty range is meant")]
const NONE: RangeInclusive<u64> = 1..=0;

impl Field {
    /// Adds to a projection what must be read to know the field's values.
    pub(crate) fn project(&self, projection: &mut Projection) {
        match self {
            Field::Name => projection.fields.name = true,
            Field::Kind => projection.fields.kind = true,
            Field::Status => projection.fields.status = true,
            Field::Duration => projection.fields.end = true,
            Field::SpanId | Field::ParentSpanId => projection.fields.ids = true,
            Field::StatusMessage => projection.texts = true,
            Field::EventName => projection.events = true,
            Field::Attribute { level, key } => {
                let at = |other: Level| level.is_none_or(|level| level == other);
                projection.events |= at(Level::Event);
                projection.links |= at(Level::Link);
                if at(Level::Span) {
                    add_key(&mut projection.attributes, key);
                }
            }
            Field::Service | Field::ScopeName | Field::TraceId => {}
        }
    }
}

fn add_key(wanted: &mut Wanted, key: &str) {
    match wanted {
        Wanted::All => {}
        Wanted::None => *wanted = Wanted::Keys(vec![key.to_owned()]),
        Wanted::Keys(keys) if keys.iter().any(|known| known == key) => {}
        Wanted::Keys(keys) => keys.push(key.to_owned()),
    }
}

fn all_of(parts: impl Iterator<Item = Needed>) -> Needed {
    let mut parts: Vec<_> = parts.filter(|part| *part != Needed::Nothing).collect();
    match parts.len() {
        0 => Needed::Nothing,
        1 => parts.remove(0),
        _ => Needed::All(parts),
    }
}

fn any_of(parts: impl Iterator<Item = Needed>) -> Needed {
    let parts: Vec<_> = parts.collect();
    if parts.contains(&Needed::Nothing) { Needed::Nothing } else { Needed::Any(parts) }
}

fn equality(field: &Field, literal: &Literal) -> Needed {
    let texts = equal_texts(literal);
    let own = |of: Intrinsic| any_of(texts.iter().map(|text| Needed::Pair(intrinsic_pair_hash(of, text))));
    match field {
        Field::Service => attribute(&[Level::Resource], SERVICE_KEY, &texts),
        Field::Name => own(Intrinsic::Name),
        Field::Kind => own(Intrinsic::Kind),
        Field::Status => any_of(texts.iter().map(|text| {
            let hash = intrinsic_pair_hash(Intrinsic::Status, text);
            let is_error = StatusCode::from_name(text) == Some(StatusCode::ERROR);
            if is_error { Needed::Error(hash) } else { Needed::Pair(hash) }
        })),
        Field::ScopeName => own(Intrinsic::ScopeName),
        Field::EventName => own(Intrinsic::EventName),
        Field::Attribute { level: Some(level), key } => attribute(&[*level], key, &texts),
        Field::Attribute { level: None, key } => attribute(&Level::ALL, key, &texts),
        Field::StatusMessage | Field::Duration | Field::TraceId | Field::SpanId | Field::ParentSpanId => {
            Needed::Nothing
        }
    }
}

/// Any of some filters; nothing if there are none.
fn any_left(mut parts: Vec<Filter>) -> Option<Filter> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Filter::or(parts)),
    }
}

fn attribute(levels: &[Level], key: &str, texts: &[String]) -> Needed {
    let values: Vec<u64> = texts.iter().map(|text| filter_hash(key.as_bytes(), text)).collect();
    let key = hash_text(key.as_bytes());
    let pairs = |level: &Level| {
        let level = *level;
        values.iter().map(move |&value| Needed::Pair(pair_hash(level, key, value)))
    };
    any_of(levels.iter().flat_map(pairs))
}
