//! What a filter means, said a second time as plainly as possible and as slowly as need be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cmp::Ordering;

use model::{Level, SpanRef, ValueRef};
use query::{Field, Filter, Literal, Op};
use regex::Regex;

/// A value of a field.
struct One {
    text: String,
    number: Option<f64>,
    integer: Option<i64>,
}

impl One {
    fn text(text: &str) -> Self {
        One { text: text.to_owned(), number: None, integer: None }
    }

    fn value(value: ValueRef<'_>) -> Self {
        let integer = if let ValueRef::Int(value) = value { Some(value) } else { None };
        One { text: value.comparison_text().into_owned(), number: value.as_number(), integer }
    }
}

/// Whether a span matches.
pub(crate) fn matches(filter: &Filter, span: SpanRef<'_>) -> bool {
    match filter {
        Filter::All => true,
        Filter::And(parts) => parts.iter().all(|part| matches(part, span)),
        Filter::Or(parts) => parts.iter().any(|part| matches(part, span)),
        Filter::Not(inner) => !matches(inner, span),
        Filter::Exists(field) => !values(field, span).is_empty(),
        Filter::Compare { field, op, value } => values(field, span).iter().any(|one| holds(one, *op, value)),
    }
}

fn values(field: &Field, span: SpanRef<'_>) -> Vec<One> {
    let present = |text: &str| if text.is_empty() { Vec::new() } else { vec![One::text(text)] };
    match field {
        Field::Service => present(span.service_name()),
        Field::Name => present(span.name()),
        Field::Kind => present(&span.kind().to_string()),
        Field::Status => present(&span.status().to_string()),
        Field::StatusMessage => present(span.status_message()),
        Field::Duration => present(&span.duration_ns().to_string()),
        Field::TraceId => present(&span.trace_id().to_string()),
        Field::SpanId => present(&span.span_id().to_string()),
        Field::ParentSpanId => present(&span.parent_span_id().map(|id| id.to_string()).unwrap_or_default()),
        Field::ScopeName => present(span.batch.text.str(span.scope().name)),
        Field::EventName => span.events().flat_map(|event| present(event.name())).collect(),
        Field::Attribute { level, key } => {
            let mut found = Vec::new();
            for at in Level::ALL.into_iter().filter(|at| level.is_none_or(|level| level == *at)) {
                span.any_value_at(at, key, |value| {
                    found.push(One::value(value));
                    false
                });
            }
            found
        }
    }
}

fn holds(one: &One, op: Op, literal: &Literal) -> bool {
    match (op, literal) {
        (Op::Equal, literal) => equal(one, literal),
        (Op::NotEqual, literal) => !equal(one, literal),
        (Op::Matches, Literal::Pattern(pattern)) => Regex::new(pattern.source()).unwrap().is_match(&one.text),
        (Op::NotMatches, Literal::Pattern(pattern)) => !Regex::new(pattern.source()).unwrap().is_match(&one.text),
        (op, Literal::DurationNs(limit)) => ordered(op, one.text.parse::<u64>().unwrap().cmp(limit)),
        (op, Literal::Number(number)) => {
            let integers = one.integer.zip(number.text().parse::<i64>().ok());
            let ordering = match integers {
                Some((value, limit)) => Some(value.cmp(&limit)),
                None => one.number.and_then(|value| value.partial_cmp(&number.text().parse().unwrap())),
            };
            ordering.is_some_and(|ordering| ordered(op, ordering))
        }
        other => panic!("no constructor makes {other:?}"),
    }
}

fn ordered(op: Op, ordering: Ordering) -> bool {
    match op {
        Op::Greater => ordering.is_gt(),
        Op::GreaterEqual => ordering.is_ge(),
        Op::Less => ordering.is_lt(),
        Op::LessEqual => ordering.is_le(),
        other => panic!("{other:?} does not order"),
    }
}

fn equal(one: &One, literal: &Literal) -> bool {
    match literal {
        Literal::Text(text) => one.text == *text,
        Literal::DurationNs(limit) => one.text == limit.to_string(),
        Literal::Number(number) => {
            let written = number.text();
            let value: f64 = written.parse().unwrap();
            let integer = written.parse::<i64>().ok();
            let exact = integer.is_none_or(|integer| integer as f64 as i128 == i128::from(integer));
            one.text == written
                || integer.is_some_and(|integer| one.text == integer.to_string())
                || exact && one.text == ValueRef::Double(value).comparison_text()
                || exact && value.fract() == 0.0 && value.abs() < 1e18 && one.text == (value as i64).to_string()
        }
        Literal::Pattern(_) => panic!("no constructor compares with a pattern"),
    }
}
