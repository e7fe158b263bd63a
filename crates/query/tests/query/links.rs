//! Links in both directions against the plain reading.

use std::collections::BTreeSet;

use model::{Link, SpanBatch, SpanId, SpanRow, TraceId};
use proptest::prelude::*;
use query::links::{LINKED_TRACES_MAX, links};
use query::{LinkEnd, TraceLinks};

use crate::memory::Memory;
use crate::{generate, search};

/// A link as what matters of it.
type Plain = (LinkEnd2, LinkEnd2, String);
type LinkEnd2 = (String, bool);

fn plain(links: &TraceLinks, of: &[query::TraceLink]) -> BTreeSet<Plain> {
    let end = |end: &LinkEnd| (format!("{}/{}", end.trace_id, end.span_id), end.span.is_some());
    let attributes = |link| links.attributes(link).map(|pair| format!("{pair:?}")).collect::<Vec<_>>().join(",");
    of.iter().map(|link| (end(&link.from), end(&link.to), attributes(link))).collect()
}

/// All links that `wanted` says, as (from, to).
fn all_links(spans: &SpanBatch, wanted: impl Fn(TraceId, TraceId) -> bool) -> BTreeSet<Plain> {
    let mut found = BTreeSet::new();
    for carrier in spans.spans() {
        for link in carrier.links().filter(|link| wanted(link.trace_id(), carrier.trace_id())) {
            let same =
                |span: &model::SpanRef<'_>| span.trace_id() == link.trace_id() && span.span_id() == link.span_id();
            let from = (format!("{}/{}", link.trace_id(), link.span_id()), spans.spans().any(|span| same(&span)));
            let to = (format!("{}/{}", carrier.trace_id(), carrier.span_id()), true);
            let attributes = link.attributes().map(|pair| format!("{pair:?}")).collect::<Vec<_>>().join(",");
            found.insert((from, to, attributes));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn links_lead_both_ways(batches in search::batches(), trace in 0..6u8) {
        // Guarantees that the links of the last records are found from cause and effect, with attributes, and that an end
        // that has not arrived is said to be missing.
        let memory = Memory::new(batches.iter().map(|spans| generate::batch(spans)).collect());
        let (spans, id) = (memory.spans(), generate::trace_id(trace));
        let found = links(&memory, id).unwrap();
        prop_assert!(!found.truncated);
        prop_assert_eq!(plain(&found, &found.outgoing), all_links(&spans, |_, to| to == id));
        prop_assert_eq!(plain(&found, &found.incoming), all_links(&spans, |from, _| from == id));
    }
}

#[test]
fn a_trace_linked_to_everything_is_bounded() {
    // Guarantees that no more than the documented number of other traces is looked at, and that the answer says so.
    let mut batch = generate::batch(&[generate::any_span()]);
    let row = batch.rows[0];
    for number in 0..=LINKED_TRACES_MAX as u128 {
        let trace_id = TraceId((number + 1000).to_be_bytes());
        batch.links.push(Link { trace_id, span_id: row.span_id, ..Link::default() });
    }
    batch.push_span(SpanRow { span_id: SpanId([9; 8]), ..row });
    let found = links(&Memory::new(vec![batch]), row.trace_id).unwrap();
    assert_eq!((found.outgoing.len(), found.incoming.len(), found.truncated), (LINKED_TRACES_MAX + 1, 0, true));
}
