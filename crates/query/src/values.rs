//! Values of a field for completion: counted over the newest parts, within bounds of time and memory.

use std::borrow::Cow;
use std::collections::HashMap;

use model::{Level, SpanRef, ValueRef};
use store::Projection;

use crate::contract::{COMPLETION_LIMIT_MAX, QueryError, ValueCount, ValueQuery};
use crate::filter::Field;
use crate::source::{Part, Source};

/// Parts are read, newest first, until they hold so many spans.
pub const VALUE_SPANS_MAX: usize = 200_000;

/// Distinct values that are counted; values first seen later are left out.
pub const DISTINCT_VALUES_MAX: usize = 20_000;

/// The most used values of a field among recent spans, most used first, then by their text.
pub fn values<S: Source>(source: &S, query: &ValueQuery) -> Result<Vec<ValueCount>, QueryError> {
    let mut projection = Projection::default();
    query.field.project(&mut projection);
    let mut parts = source.parts();
    parts.sort_by_key(|part| std::cmp::Reverse(part.start_bounds().1));
    let mut counts: HashMap<String, (&'static str, u64)> = HashMap::new();
    let mut spans = 0;
    for part in parts {
        if spans >= VALUE_SPANS_MAX {
            break;
        }
        spans += part.span_count();
        for span in part.read(&projection)?.spans() {
            count(span, query, &mut counts);
        }
    }
    let named = counts.into_iter().map(|(value, (type_name, spans))| ValueCount { value, type_name, spans });
    let mut list: Vec<_> = named.collect();
    list.sort_unstable_by(|a, b| b.spans.cmp(&a.spans).then_with(|| a.value.cmp(&b.value)));
    list.truncate(query.limit.min(COMPLETION_LIMIT_MAX));
    Ok(list)
}

/// Counts each value that a span has once.
fn count(span: SpanRef<'_>, query: &ValueQuery, counts: &mut HashMap<String, (&'static str, u64)>) {
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    each_value(&query.field, span, &mut |value| {
        let text = value.comparison_text();
        if !text.starts_with(&query.prefix) || seen.contains(&text) {
            return;
        }
        if let Some((_, spans)) = counts.get_mut(text.as_ref()) {
            *spans += 1;
        } else if counts.len() < DISTINCT_VALUES_MAX {
            counts.insert(text.clone().into_owned(), (value.type_name(), 1));
        }
        seen.push(text);
    });
}

fn each_value<'a>(field: &Field, span: SpanRef<'a>, visit: &mut dyn FnMut(ValueRef<'a>)) {
    let mut text = |text: &'a str| {
        if !text.is_empty() {
            visit(ValueRef::Str(text));
        }
    };
    match field {
        Field::Service => text(span.service_name()),
        Field::Name => text(span.name()),
        Field::StatusMessage => text(span.status_message()),
        Field::ScopeName => text(span.batch.text.str(span.scope().name)),
        Field::EventName => span.events().for_each(|event| text(event.name())),
        Field::Attribute { level, key } => {
            let levels = Level::ALL.into_iter().filter(|at| level.is_none_or(|level| level == *at));
            for at in levels {
                span.any_value_at(at, key, |value| {
                    visit(value);
                    false
                });
            }
        }
        // A closed list, or different for every span: nothing to complete.
        Field::Kind | Field::Status | Field::Duration | Field::TraceId | Field::SpanId | Field::ParentSpanId => {}
    }
}
