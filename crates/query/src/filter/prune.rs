//! What a part of a store must hold for a filter to match in it, and what must be read of it to find out.
//!
//! Everything here errs on one side only: a part that is skipped holds no matching span.

use std::ops::RangeInclusive;

use model::attributes::pair_hash;
use model::text::hash_text;
use model::{Level, TraceId};

use super::check::equal_texts;
use super::{Field, Filter, Literal, Op};

/// The key under which a part's filter holds span names, at the level of spans.
pub const NAME_KEY: &str = "\0name";
/// The key of the names of kinds.
pub const KIND_KEY: &str = "\0kind";
/// The key of the names of status codes.
pub const STATUS_KEY: &str = "\0status";
/// The key of scope names.
pub const SCOPE_KEY: &str = "\0scope";
/// The key of event names.
pub const EVENT_KEY: &str = "\0event";
/// The resource attribute that is the service's name.
pub const SERVICE_KEY: &str = "service.name";

/// What pairs (see [`pair_hash`]) a part must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// None in particular.
    Nothing,
    /// This one.
    Pair(u64),
    /// All of these.
    All(Vec<Needed>),
    /// At least one of these; none: nothing can match.
    Any(Vec<Needed>),
}

impl Needed {
    /// Whether a part can hold a match, if `may_contain` tells which pairs it may hold.
    pub fn is_possible(&self, may_contain: &dyn Fn(u64) -> bool) -> bool {
        match self {
            Needed::Nothing => true,
            Needed::Pair(hash) => may_contain(*hash),
            Needed::All(parts) => parts.iter().all(|part| part.is_possible(may_contain)),
            Needed::Any(parts) => parts.iter().any(|part| part.is_possible(may_contain)),
        }
    }
}

/// What must be read of spans beyond ids, times, name, kind, status code, scope and resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reads {
    /// Status message and trace state.
    pub texts: bool,
    /// Keys of attributes of spans, events and links.
    pub keys: Vec<String>,
    /// Events.
    pub events: bool,
    /// Links.
    pub links: bool,
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

    /// What must be read of spans to evaluate the filter.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        self.each_field(&mut |field| reads.add(field));
        reads
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

impl Reads {
    /// Adds what must be read for a field.
    pub fn add(&mut self, field: &Field) {
        match field {
            Field::StatusMessage => self.texts = true,
            Field::EventName => self.events = true,
            Field::Attribute { level, key } => {
                let at = |other: Level| level.is_none_or(|level| level == other);
                if !at(Level::Span) && !at(Level::Event) && !at(Level::Link) {
                    return;
                }
                self.events |= at(Level::Event);
                self.links |= at(Level::Link);
                if !self.keys.contains(key) {
                    self.keys.push(key.clone());
                }
            }
            _ => {}
        }
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
    let own = |key: &'static str| (vec![Level::Span], key);
    let (levels, key) = match field {
        Field::Service => (vec![Level::Resource], SERVICE_KEY),
        Field::Name => own(NAME_KEY),
        Field::Kind => own(KIND_KEY),
        Field::Status => own(STATUS_KEY),
        Field::ScopeName => own(SCOPE_KEY),
        Field::EventName => own(EVENT_KEY),
        Field::Attribute { level, key } => (level.map_or(Level::ALL.to_vec(), |level| vec![level]), key.as_str()),
        Field::StatusMessage | Field::Duration | Field::TraceId | Field::SpanId | Field::ParentSpanId => {
            return Needed::Nothing;
        }
    };
    let key = hash_text(key.as_bytes());
    let values: Vec<u64> = equal_texts(literal).iter().map(|text| hash_text(text.as_bytes())).collect();
    let pair = |level: Level| values.iter().map(move |&value| Needed::Pair(pair_hash(level, key, value)));
    any_of(levels.into_iter().flat_map(pair))
}
