//! Search against the plain reading: all spans, filtered one by one.

use std::sync::atomic::Ordering;

use model::{SpanKey, TraceId};
use proptest::collection::vec;
use proptest::prelude::*;
use query::source::Source;
use query::{Filter, QueryError, Search, SearchPage, TimeRange, parse, search};

use crate::generate::{self, Span};
use crate::memory::Memory;

/// A page as what matters of it: traces and their matching spans.
pub(crate) fn outline(page: &SearchPage) -> Vec<(TraceId, Vec<SpanKey>)> {
    let hit = |hit: &query::TraceHit| {
        let mut keys: Vec<_> = hit.matched.iter().map(|&row| hit.trace.spans.span(row).key()).collect();
        keys.sort_unstable();
        (hit.trace.id, keys)
    };
    page.hits.iter().map(hit).collect()
}

/// All pages one after the other; the pages must be full but for the last.
pub(crate) fn all_pages(
    limit: usize,
    mut page_of: impl FnMut(Option<query::Cursor>) -> SearchPage,
) -> Vec<(TraceId, Vec<SpanKey>)> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = page_of(cursor);
        assert!(page.hits.len() == limit || page.next.is_none(), "a page before the last is full");
        found.extend(outline(&page));
        match page.next {
            Some(next) => cursor = Some(next.to_string().parse().expect("a cursor comes back as it went")),
            None => return found,
        }
    }
}

fn pages<S: Source>(source: &S, filter: &Filter, range: TimeRange, limit: usize) -> Vec<(TraceId, Vec<SpanKey>)> {
    all_pages(limit, |cursor| {
        let search = Search { filter: filter.clone(), range, limit, cursor };
        search::search(source, &search).expect("memory can be read")
    })
}

/// Ranges of starts, open or not, empty or not.
pub(crate) fn range() -> impl Strategy<Value = TimeRange> {
    let end = prop_oneof![Just(None), (0..70u64).prop_map(Some)];
    let start = prop_oneof![Just(0), 0..60u64];
    (start, end).prop_map(|(start_unix_nano, end_unix_nano)| TimeRange { start_unix_nano, end_unix_nano })
}

/// Batches of overlapping times in which most spans arrive several times, changed.
pub(crate) fn batches() -> impl Strategy<Value = Vec<Vec<Span>>> {
    vec(vec(generate::span(), 0..8), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_what_a_plain_reading_finds(
        batches in batches(), filter in generate::filter(), range in range(), limit in 1..6usize,
    ) {
        // Guarantees that all pages together are exactly the matching traces, newest first, each once with the matching spans,
        // whatever arrived twice, in whatever order, and however large the pages are.
        let memory = Memory::new(batches.iter().map(|spans| generate::batch(spans)).collect());
        let want = memory.find(&filter, range);
        prop_assert_eq!(pages(&memory, &filter, range, limit), want);
    }
}

/// One span each of traces that start one after the other from `first` on.
fn trace_each(first: u64, count: u64) -> model::SpanBatch {
    let mut batch = model::SpanBatch::default();
    let resource = batch.push_resource(model::Resource::default());
    let scope = batch.push_scope(model::Scope { resource, ..model::Scope::default() });
    let name = batch.text.intern(b"work");
    for start_unix_nano in first..first + count {
        let mut id = [7; 16];
        id[8..].copy_from_slice(&(start_unix_nano * 0x9e37_79b9).to_le_bytes());
        let (trace_id, span_id) = (TraceId(id), model::SpanId([1; 8]));
        batch.push_span(model::SpanRow { trace_id, span_id, start_unix_nano, name, scope, ..Default::default() });
    }
    batch
}

#[test]
fn a_part_with_more_traces_than_are_kept_is_read_again() {
    // Guarantees that paging through parts with thousands of matching traces loses and repeats nothing.
    let memory = Memory::new(vec![trace_each(1, 1500), trace_each(1000, 1500), trace_each(2000, 10)]);
    for limit in [100, 700, 10_000] {
        let found = pages(&memory, &Filter::All, TimeRange::default(), limit);
        assert_eq!(found, memory.find(&Filter::All, TimeRange::default()));
        assert_eq!(found.len(), 2499);
    }
}

#[test]
fn a_search_stops_early() {
    // Guarantees that only parts are read that can hold something newer than the last trace of the page, and none on the pages
    // behind that can hold only traces before it.
    let memory = Memory::new((0..10).map(|part| trace_each(part * 100 + 1, 100)).collect());
    let reads = |limit, query: &str, range, cursor| {
        memory.reads.store(0, Ordering::Relaxed);
        let search = Search { filter: parse(query).unwrap(), range, limit, cursor };
        let page = search::search(&memory, &search).unwrap();
        (memory.reads.load(Ordering::Relaxed), page)
    };
    let all = TimeRange::default();
    let (count, first) = reads(20, "", all, None);
    assert_eq!((count, first.hits.len()), (1, 20));
    assert_eq!(reads(20, "", all, first.next).0, 1);
    assert_eq!(reads(150, "", all, None).0, 2);
    let window = TimeRange { start_unix_nano: 350, end_unix_nano: Some(360) };
    let (count, page) = reads(20, "", window, None);
    assert_eq!((count, page.hits.len(), page.next), (1, 10, None));
    assert_eq!(reads(20, "name = other", all, None).0, 0);
    assert_eq!(reads(20, "duration > 1ms", all, None).0, 0);
    let id = first.hits[0].trace.id;
    let (count, page) = reads(20, &format!("trace_id = {id} and name = work"), all, None);
    assert_eq!((count, page.hits.len(), page.next), (0, 1, None));
}

#[test]
fn limits_are_kept_to() {
    // Guarantees that a page of no traces, or of more than the documented most, is refused.
    let memory = Memory::new(vec![]);
    for limit in [0, 10_001, usize::MAX] {
        let search = Search { filter: Filter::All, range: TimeRange::default(), limit, cursor: None };
        assert!(matches!(search::search(&memory, &search), Err(QueryError::Limit { .. })));
    }
    assert_eq!(pages(&memory, &Filter::All, TimeRange::default(), 10_000), vec![]);
}
