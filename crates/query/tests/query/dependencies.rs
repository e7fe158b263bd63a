//! Calls between services against the plain reading.

use std::collections::BTreeMap;

use model::{SpanBatch, SpanKind, SpanRef};
use proptest::prelude::*;
use query::dependencies::{PASSES_MAX, dependencies_within};
use query::{Dependency, QueryError, TimeRange};

use crate::memory::Memory;
use crate::{generate, search};

fn plain(spans: &SpanBatch, range: TimeRange) -> Vec<Dependency> {
    let mut pairs: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for child in spans.spans().filter(|span| range.contains(span.start_unix_nano())) {
        let Some(parent) = caller(spans, child) else { continue };
        if parent != child.service_name() {
            let (calls, errors) = pairs.entry((parent, child.service_name().to_owned())).or_default();
            *calls += 1;
            *errors += u64::from(child.status().0 == 2);
        }
    }
    let named = pairs.into_iter();
    named.map(|((parent, child), (calls, errors))| Dependency { parent, child, calls, errors }).collect()
}

/// The service of the client with the same id, else of the parent: rather not of a client's record, rather of a higher kind.
fn caller(spans: &SpanBatch, child: SpanRef<'_>) -> Option<String> {
    let of = |id| spans.spans().filter(move |span| span.trace_id() == child.trace_id() && span.span_id() == id);
    let shared = of(child.span_id()).find(|span| span.kind() == SpanKind::CLIENT);
    if let Some(client) = shared.filter(|_| child.kind() == SpanKind::SERVER) {
        return Some(client.service_name().to_owned());
    }
    let parents = of(child.parent_span_id()?);
    let caller = parents.max_by_key(|span| (span.kind() != SpanKind::CLIENT, span.kind()));
    caller.map(|span| span.service_name().to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn each_span_is_one_call(batches in search::batches(), held_max in 8..60usize) {
        // Guarantees that the last record of each span counts once, whatever part its parent lies in and however many passes
        // are made.
        let batches: Vec<_> = batches.iter().map(|spans| generate::batch(spans)).collect();
        let memory = Memory::new(batches);
        let range = TimeRange::default();
        prop_assert_eq!(dependencies_within(&memory, range, held_max).unwrap(), plain(&memory.spans(), range));
    }

    #[test]
    fn parents_of_any_age_are_found(batches in search::batches(), range in search::range()) {
        // Guarantees that calls count by the start of the child alone, and parents in parts outside of the range are found.
        let mut seen = std::collections::HashSet::new();
        let first = |spans: &Vec<generate::Span>| {
            let spans: Vec<_> = spans.iter().filter(|span| seen.insert((span.trace, span.id))).cloned().collect();
            generate::batch(&spans)
        };
        let memory = Memory::new(batches.iter().map(first).collect());
        prop_assert_eq!(dependencies_within(&memory, range, 1000).unwrap(), plain(&memory.spans(), range));
    }
}

#[test]
fn too_large_a_range_is_refused() {
    // Guarantees a typed error instead of unbounded memory or passes.
    let spans: Vec<_> = (0..=PASSES_MAX).map(|_| generate::any_span()).collect();
    let memory = Memory::new(vec![generate::batch(&spans)]);
    let refused = dependencies_within(&memory, TimeRange::default(), 1);
    assert!(matches!(refused, Err(QueryError::TooLarge { .. })));
}
