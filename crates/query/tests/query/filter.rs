//! Filters against the plain reading of what they mean.

use std::collections::HashSet;
use std::convert::Infallible;

use model::attributes::{filter_hash, pair_hash};
use model::text::hash_text;
use model::{Level, SpanBatch, SpanRef};
use proptest::collection::vec;
use proptest::prelude::*;
use query::{Filter, parse};
use store::{Fields, Intrinsic, Projection, Wanted, intrinsic_pair_hash};

use crate::{generate, oracle};

/// All pairs that a part which holds these spans would say it may contain.
pub(crate) fn pairs_of(batch: &SpanBatch) -> HashSet<u64> {
    let mut pairs = HashSet::new();
    for span in batch.spans() {
        let mut own = |of: Intrinsic, value: &str| pairs.insert(intrinsic_pair_hash(of, value));
        own(Intrinsic::Name, span.name());
        own(Intrinsic::Kind, &span.kind().to_string());
        own(Intrinsic::Status, &span.status().to_string());
        own(Intrinsic::ScopeName, span.batch.text.str(span.scope().name));
        for event in span.events() {
            own(Intrinsic::EventName, event.name());
        }
        let mut add = |level: Level, key: &str, value: &str| {
            pairs.insert(pair_hash(level, hash_text(key.as_bytes()), filter_hash(key.as_bytes(), value)));
        };
        each_attribute(span, &mut add);
    }
    pairs
}

fn each_attribute(span: SpanRef<'_>, add: &mut dyn FnMut(Level, &str, &str)) {
    let resource = span.batch.attributes_of_resource(span.resource()).map(|pair| (Level::Resource, pair));
    let scope = span.batch.attributes_of_scope(span.scope()).map(|pair| (Level::Scope, pair));
    let own = span.attributes().map(|pair| (Level::Span, pair));
    let events = span.events().flat_map(|event| event.attributes().map(|pair| (Level::Event, pair)));
    let links = span.links().flat_map(|link| link.attributes().map(|pair| (Level::Link, pair)));
    for (level, pair) in resource.chain(scope).chain(own).chain(events).chain(links) {
        add(level, pair.key, &pair.value.comparison_text());
    }
}

/// Whether a part that may contain just these pairs is read.
fn is_possible(filter: &Filter, pairs: &HashSet<u64>) -> bool {
    filter
        .needed()
        .is_possible(None, &|hash| Ok::<_, Infallible>(pairs.contains(&hash)))
        .unwrap_or_else(|never| match never {})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn a_bound_filter_means_what_is_written(spans in vec(generate::span(), 0..8), filter in generate::filter()) {
        // Guarantees that binding, folding and the row loop find exactly the spans of the plain reading.
        let batch = generate::batch(&spans);
        let want: Vec<_> = (0..batch.len()).filter(|&row| oracle::matches(&filter, batch.span(row))).collect();
        let bound = filter.bind(&batch);
        prop_assert_eq!(bound.rows().collect::<Vec<_>>(), want.clone());
        prop_assert!(!bound.is_never() || want.is_empty());
    }

    #[test]
    fn nothing_that_matches_is_skipped(spans in vec(generate::span(), 1..5), filter in generate::filter()) {
        // Guarantees that pairs, duration bounds and trace ids never rule out a part or trace in which a span matches.
        let batch = generate::batch(&spans);
        let pairs = pairs_of(&batch);
        let matching: Vec<_> = batch.spans().filter(|&span| oracle::matches(&filter, span)).collect();
        if !matching.is_empty() {
            prop_assert!(is_possible(&filter, &pairs), "{}", filter);
        }
        for span in matching {
            prop_assert!(filter.duration_bounds().contains(&span.duration_ns()));
            prop_assert!(filter.trace_ids().is_none_or(|ids| ids.contains(&span.trace_id())));
        }
    }
}

#[test]
fn parts_without_a_needed_pair_are_ruled_out() {
    // Guarantees that equality prunes through and, or, bare keys and numbers, and that not, != and exists do not.
    let batch = SpanBatch::default();
    let none = pairs_of(&batch);
    let possible = |query: &str| is_possible(&parse(query).unwrap(), &none);
    for query in
        ["service = a", "x = 5.0", "a = 1 and not b = 2", "a = 1 or link.b = 2", "event_name = x", "scope.a = 1"]
    {
        assert!(!possible(query), "{query}");
    }
    for query in ["", "service != a", "not a = 1", "a = 1 or b > 2", "a exists", "duration > 1ms", "name =~ x"] {
        assert!(possible(query), "{query}");
    }
}

#[test]
fn duration_bounds_follow_the_tree() {
    // Guarantees the exact bounds of durations through and, or and contradictions.
    let bounds = |query: &str| parse(query).unwrap().duration_bounds();
    assert_eq!(bounds("duration > 1us duration <= 1ms"), 1001..=1_000_000);
    assert_eq!(bounds("duration = 5ns or (duration >= 7ns and duration < 9ns)"), 5..=8);
    assert_eq!(bounds("duration = 5ns or service = a"), 0..=u64::MAX);
    assert!(bounds("duration < 5ns duration > 5ns").is_empty());
    assert!(bounds("duration < 0").is_empty());
}

#[test]
fn only_what_is_asked_about_is_read() {
    // Guarantees that conditions on columns, resource and scope read nothing more, and that levels are told apart.
    let read = |query: &str| parse(query).unwrap().projection();
    let nothing = Projection { fields: Fields::NONE, ..Projection::default() };
    assert_eq!(read("service = a resource.x = 1 scope.y = 2"), nothing);
    let fields = Fields { name: true, end: true, ..Fields::NONE };
    assert_eq!(read("name = b duration > 1"), Projection { fields, ..Projection::default() });
    let keys = Wanted::Keys(vec!["x".to_owned()]);
    assert_eq!(read("span.x = 1 not span.x = 2"), Projection { attributes: keys.clone(), ..nothing.clone() });
    assert_eq!(read("x = 1"), Projection { attributes: keys, events: true, links: true, ..nothing.clone() });
    assert_eq!(read("link.x = 1"), Projection { links: true, ..nothing });
    assert!(read("event_name = x").events && read("status_message = x").texts);
}
