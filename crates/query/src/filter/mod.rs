//! Filters: which spans are meant. The one form that the query language, the API's parameters and the compatible APIs become
//! before anything is searched.
//!
//! What a condition means, exactly:
//!
//! * A field has no value, one, or several. Events and links give several, and so does a bare key that is present at several
//!   levels or repeated in one. **A condition holds when it holds for any of the values**, and so never for a field without
//!   one: `!=` and `!~` need the attribute to be there. (`not x = 1` also holds where `x` is absent.)
//! * An empty service, name, status message, scope name, event name or parent id counts as absent.
//! * `=` and `!=` compare the value's comparison text (see [`model::value`]) with the literal's. A number stands for all the
//!   texts that numbers equal to it have: `5.0` is `5.0` and `5`, `1e3` is `1e3` and `1000`.
//! * `>` `>=` `<` `<=` compare numbers; of strings, those that read as a number. A value that is not a number is neither.
//! * `=~` and `!~` look for a regular expression anywhere in the comparison text.
//! * `kind` and `status` compare by the names of the API; numbers that have no name yet are their own name.
//! * Ids compare as full-length lower-case hex.
//!
//! | module | what |
//! |---|---|
//! | this | the types |
//! | [`literal`] | numbers, durations, patterns |
//! | `show` | a filter as text of the language |
//! | `check` | a condition on one value, with its texts looked up in one batch |
//! | [`bind`] | a filter bound to one batch: the row loop |
//! | [`prune`] | what a part of a store must hold, and what must be read of it |

pub mod bind;
mod check;
pub mod literal;
pub mod prune;
mod show;

use model::{Level, SpanId, SpanKind, StatusCode, TraceId};
use thiserror::Error;

pub use bind::Compiled;
pub use literal::{Literal, Number, Pattern};
pub use prune::Needed;

/// Which spans are meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Filter {
    /// All spans.
    #[default]
    All,
    /// Spans that all of these mean; all spans if there are none.
    And(Vec<Filter>),
    /// Spans that any of these means; no span if there are none.
    Or(Vec<Filter>),
    /// The other spans.
    Not(Box<Filter>),
    /// Spans of which a value compares. Pairs of operator and literal that make no sense, which [`Filter::compare`] refuses,
    /// hold for no value.
    Compare {
        /// Whose values.
        field: Field,
        /// How they compare.
        op: Op,
        /// With what.
        value: Literal,
    },
    /// Spans that have a value.
    Exists(Field),
}

/// What of a span a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// The service's name.
    Service,
    /// The operation.
    Name,
    /// The part the span plays.
    Kind,
    /// The status code.
    Status,
    /// What the status says.
    StatusMessage,
    /// From start to end.
    Duration,
    /// The trace's id.
    TraceId,
    /// The span's id.
    SpanId,
    /// The parent's id.
    ParentSpanId,
    /// The name of the instrumentation.
    ScopeName,
    /// The names of its events.
    EventName,
    /// An attribute.
    Attribute {
        /// At this level only, or at any.
        level: Option<Level>,
        /// Its key.
        key: String,
    },
}

/// How values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

/// Why a condition makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} ({hint})")]
pub struct FilterError {
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub hint: String,
}

impl FilterError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        FilterError { message: message.into(), hint: hint.into() }
    }
}

/// The fields that are not attributes, with their names in the language.
const FIELDS: [(&str, Field); 11] = [
    ("service", Field::Service),
    ("name", Field::Name),
    ("kind", Field::Kind),
    ("status", Field::Status),
    ("status_message", Field::StatusMessage),
    ("duration", Field::Duration),
    ("trace_id", Field::TraceId),
    ("span_id", Field::SpanId),
    ("parent_span_id", Field::ParentSpanId),
    ("scope_name", Field::ScopeName),
    ("event_name", Field::EventName),
];

impl Field {
    /// The field that an unquoted name means: one of the span's own fields, a key with its level in front, or a bare key.
    pub fn from_name(name: &str) -> Field {
        if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) {
            return field.clone();
        }
        if let Some((level, key)) = name.split_once('.')
            && let Some(level) = Level::from_name(level)
            && !key.is_empty()
        {
            return Field::Attribute { level: Some(level), key: key.to_owned() };
        }
        Field::attribute(None, name)
    }

    /// An attribute.
    pub fn attribute(level: Option<Level>, key: &str) -> Field {
        Field::Attribute { level, key: key.to_owned() }
    }

    /// The name in the language of a field that is not an attribute.
    fn own_name(&self) -> Option<&'static str> {
        FIELDS.iter().find(|(_, field)| field == self).map(|&(name, _)| name)
    }
}

impl Op {
    /// As the language writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Greater => ">",
            Op::GreaterEqual => ">=",
            Op::Less => "<",
            Op::LessEqual => "<=",
            Op::Matches => "=~",
            Op::NotMatches => "!~",
        }
    }

    fn is_ordering(self) -> bool {
        matches!(self, Op::Greater | Op::GreaterEqual | Op::Less | Op::LessEqual)
    }

    fn is_pattern(self) -> bool {
        matches!(self, Op::Matches | Op::NotMatches)
    }

    /// Whether two values that compare like this satisfy the operator.
    fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Op::Equal => ordering.is_eq(),
            Op::NotEqual => ordering.is_ne(),
            Op::Greater => ordering.is_gt(),
            Op::GreaterEqual => ordering.is_ge(),
            Op::Less => ordering.is_lt(),
            Op::LessEqual => ordering.is_le(),
            Op::Matches | Op::NotMatches => false,
        }
    }
}

impl Filter {
    /// All of these; nested conjunctions are merged and [`Filter::All`] is left out.
    pub fn and(filters: impl IntoIterator<Item = Filter>) -> Filter {
        let mut parts = Vec::new();
        for filter in filters {
            match filter {
                Filter::All => {}
                Filter::And(inner) => parts.extend(inner),
                other => parts.push(other),
            }
        }
        match parts.len() {
            0 => Filter::All,
            1 => parts.remove(0),
            _ => Filter::And(parts),
        }
    }

    /// Any of these; nested disjunctions are merged.
    pub fn or(filters: impl IntoIterator<Item = Filter>) -> Filter {
        let mut parts = Vec::new();
        for filter in filters {
            match filter {
                Filter::Or(inner) => parts.extend(inner),
                other => parts.push(other),
            }
        }
        if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) }
    }

    /// The spans that `filter` does not mean.
    pub fn negate(filter: Filter) -> Filter {
        Filter::Not(Box::new(filter))
    }

    /// `field = text`, taken literally, as if it were quoted.
    pub fn equals(field: Field, text: &str) -> Result<Filter, FilterError> {
        Filter::compare(field, Op::Equal, text, true)
    }

    /// Spans that took at least so long.
    pub fn min_duration(duration_ns: u64) -> Filter {
        Filter::Compare { field: Field::Duration, op: Op::GreaterEqual, value: Literal::DurationNs(duration_ns) }
    }

    /// Spans that took at most so long.
    pub fn max_duration(duration_ns: u64) -> Filter {
        Filter::Compare { field: Field::Duration, op: Op::LessEqual, value: Literal::DurationNs(duration_ns) }
    }

    /// A condition on a field, its literal read as the field and the operator ask for. Text that was not `quoted` may be a
    /// number.
    pub fn compare(field: Field, op: Op, text: &str, quoted: bool) -> Result<Filter, FilterError> {
        let value = read_literal(&field, op, text, quoted)?;
        Ok(Filter::Compare { field, op, value })
    }
}

fn read_literal(field: &Field, op: Op, text: &str, quoted: bool) -> Result<Literal, FilterError> {
    if *field == Field::Duration {
        return read_duration(op, text);
    }
    if op.is_pattern() {
        return Pattern::new(text).map(Literal::Pattern);
    }
    if let Field::Attribute { .. } = field {
        return match Number::parse(text) {
            Some(number) if !quoted || op.is_ordering() => Ok(Literal::Number(number)),
            None if op.is_ordering() => {
                let message = format!("`{}` compares numbers, and `{text}` is not one", op.symbol());
                Err(FilterError::new(message, "compare texts with =, !=, =~ or !~"))
            }
            _ => Ok(Literal::Text(text.to_owned())),
        };
    }
    let name = field.own_name().expect("a field is an attribute or has a name");
    if op.is_ordering() {
        let message = format!("`{name}` cannot be ordered with `{}`", op.symbol());
        return Err(FilterError::new(message, "use =, !=, =~ or !~"));
    }
    read_own(field, name, text).map(Literal::Text)
}

fn read_duration(op: Op, text: &str) -> Result<Literal, FilterError> {
    const HINT: &str = "a duration is a number with a unit: 120ns, 35us, 10ms, 1.5s, 2m or 1h30m";
    if op.is_pattern() {
        return Err(FilterError::new("a duration has no text to match", "use =, !=, >, >=, < or <="));
    }
    let duration_ns = literal::parse_duration_ns(text);
    let error = || FilterError::new(format!("`{text}` is not a duration"), HINT);
    duration_ns.map(Literal::DurationNs).ok_or_else(error)
}

/// The one spelling of a value of a span's own field.
fn read_own(field: &Field, name: &str, text: &str) -> Result<String, FilterError> {
    let unknown = |hint: &str| FilterError::new(format!("`{text}` is not a {name}"), hint);
    let lower = || text.to_ascii_lowercase();
    match field {
        Field::Kind => SpanKind::from_name(&lower())
            .map(|kind| kind.to_string())
            .ok_or_else(|| unknown("a kind is internal, server, client, producer, consumer or unspecified")),
        Field::Status => StatusCode::from_name(&lower())
            .map(|status| status.to_string())
            .ok_or_else(|| unknown("a status is unset, ok or error")),
        Field::TraceId => text.parse().map(|id: TraceId| id.to_string()).map_err(|error| unknown(&error.to_string())),
        Field::SpanId | Field::ParentSpanId => {
            text.parse().map(|id: SpanId| id.to_string()).map_err(|error| unknown(&error.to_string()))
        }
        _ => Ok(text.to_owned()),
    }
}
