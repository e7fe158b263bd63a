//! A trace in figures: its root, how long the caller waited, when the last effect ended, who took part.
//!
//! Everything is computed in one pass over the spans and one over their parents, whatever shape the trace has: cycles, spans that
//! are their own parents and missing parents cost nothing and hide nothing. Duplicates must be gone already.
//!
//! Deliberately absent: the tree itself, and other traces that this one caused.

use std::collections::HashSet;

use model::{SpanBatch, SpanId, StatusCode};

/// A trace in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The row of the earliest span that has no parent; nothing if no such span has arrived.
    pub root: Option<usize>,
    /// The row that the figures are measured from: the root, or, without one, the earliest span.
    pub origin: usize,
    /// The earliest start.
    pub start_unix_nano: u64,
    /// The latest end.
    pub end_unix_nano: u64,
    /// From the earliest start to the latest end.
    pub duration_ns: u64,
    /// How long the caller waited: the duration of the origin.
    pub answer_ns: u64,
    /// From the start of the origin to the latest end.
    pub last_effect_ns: u64,
    /// Spans.
    pub span_count: usize,
    /// Spans whose status is an error.
    pub error_count: usize,
    /// Spans whose parent has not arrived.
    pub missing_parent_count: usize,
    /// Services in the order in which they first took part.
    pub services: Vec<ServiceOutline<'a>>,
}

/// A service's part in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceOutline<'a> {
    /// Its name, empty if the sender gave none.
    pub name: &'a str,
    /// Its spans.
    pub spans: usize,
    /// Its spans whose status is an error.
    pub errors: usize,
    /// Its earliest start.
    pub start_unix_nano: u64,
}

/// Outlines the one trace whose spans a batch holds, each once, in any order; nothing for no spans.
pub fn outline(spans: &SpanBatch) -> Option<Outline<'_>> {
    let earliest = |rows: &mut dyn Iterator<Item = usize>| rows.min_by_key(|&row| order(spans, row));
    let first = earliest(&mut (0..spans.len()))?;
    let root = earliest(&mut (0..spans.len()).filter(|&row| spans.rows[row].parent_span_id.is_zero()));
    let origin = root.unwrap_or(first);
    let start_unix_nano = spans.rows[first].start_unix_nano;
    let ends = spans.rows.iter().map(|row| row.end_unix_nano.max(row.start_unix_nano));
    let end_unix_nano = ends.max().unwrap_or(start_unix_nano);
    Some(Outline {
        root,
        origin,
        start_unix_nano,
        end_unix_nano,
        duration_ns: end_unix_nano - start_unix_nano,
        answer_ns: spans.span(origin).duration_ns(),
        last_effect_ns: end_unix_nano - spans.rows[origin].start_unix_nano,
        span_count: spans.len(),
        error_count: spans.spans().filter(|span| span.status() == StatusCode::ERROR).count(),
        missing_parent_count: missing_parents(spans),
        services: services(spans),
    })
}

/// Spans that start together are ordered by id, so that the answer does not depend on the order of arrival.
fn order(spans: &SpanBatch, row: usize) -> (u64, SpanId, i32) {
    let row = &spans.rows[row];
    (row.start_unix_nano, row.span_id, row.kind)
}

fn missing_parents(spans: &SpanBatch) -> usize {
    let received: HashSet<SpanId> = spans.rows.iter().map(|row| row.span_id).collect();
    let parents = spans.spans().filter_map(model::SpanRef::parent_span_id);
    parents.filter(|parent| !received.contains(parent)).count()
}

fn services(spans: &SpanBatch) -> Vec<ServiceOutline<'_>> {
    let mut place_of_text = vec![None; spans.text.len()];
    let mut services: Vec<ServiceOutline<'_>> = Vec::new();
    for span in spans.spans() {
        let place = *place_of_text[span.resource().service_name.index()].get_or_insert_with(|| {
            let start_unix_nano = span.start_unix_nano();
            services.push(ServiceOutline { name: span.service_name(), spans: 0, errors: 0, start_unix_nano });
            services.len() - 1
        });
        let service = &mut services[place];
        service.spans += 1;
        service.errors += usize::from(span.status() == StatusCode::ERROR);
        service.start_unix_nano = service.start_unix_nano.min(span.start_unix_nano());
    }
    services.sort_by_key(|service| (service.start_unix_nano, service.name));
    services
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Resource, Scope, SpanRow};

    /// Spans as (id, parent, start, end, service, error).
    fn batch(spans: &[(u8, u8, u64, u64, &str, bool)]) -> SpanBatch {
        let mut batch = SpanBatch::default();
        for &(id, parent, start_unix_nano, end_unix_nano, service, error) in spans {
            let service_name = batch.text.intern(service.as_bytes());
            let resource = batch.push_resource(Resource { service_name, ..Resource::default() });
            let scope = batch.push_scope(Scope { resource, ..Scope::default() });
            batch.push_span(SpanRow {
                span_id: SpanId([id; 8]),
                parent_span_id: SpanId([parent; 8]),
                start_unix_nano,
                end_unix_nano,
                status_code: if error { 2 } else { 0 },
                scope,
                ..SpanRow::default()
            });
        }
        batch
    }

    #[test]
    fn the_answer_and_the_last_effect_are_different_things() {
        // Guarantees the figures of a request that is answered long before its last effect, spans in any order.
        let spans = batch(&[
            (3, 2, 5_000, 9_000, "mail", true),
            (1, 0, 100, 120, "shop", false),
            (2, 1, 110, 115, "shop", false),
            (4, 1, 112, 400, "stock", false),
        ]);
        let outline = outline(&spans).unwrap();
        assert_eq!((outline.root, outline.origin), (Some(1), 1));
        assert_eq!((outline.start_unix_nano, outline.end_unix_nano), (100, 9_000));
        assert_eq!((outline.duration_ns, outline.answer_ns, outline.last_effect_ns), (8_900, 20, 8_900));
        assert_eq!((outline.span_count, outline.error_count, outline.missing_parent_count), (4, 1, 0));
        let services: Vec<_> =
            outline.services.iter().map(|service| (service.name, service.spans, service.errors)).collect();
        assert_eq!(services, [("shop", 2, 0), ("stock", 1, 0), ("mail", 1, 1)]);
    }

    #[test]
    fn a_missing_root_is_not_invented() {
        // Guarantees that without a span without parent there is no root, and that figures are measured from the earliest span.
        let spans = batch(&[(2, 1, 110, 115, "shop", false), (3, 2, 90, 95, "mail", false)]);
        let outline = outline(&spans).unwrap();
        assert_eq!((outline.root, outline.origin, outline.answer_ns, outline.last_effect_ns), (None, 1, 5, 25));
        assert_eq!(outline.missing_parent_count, 1);
    }

    #[test]
    fn an_early_orphan_does_not_replace_the_root() {
        // Guarantees that a span that starts before the root (a skewed clock) moves the trace's start, not the caller's wait.
        let spans = batch(&[(1, 0, 100, 150, "shop", false), (2, 9, 50, 300, "mail", false)]);
        let outline = outline(&spans).unwrap();
        assert_eq!(
            (outline.root, outline.duration_ns, outline.answer_ns, outline.last_effect_ns),
            (Some(0), 250, 50, 200)
        );
    }

    #[test]
    fn cycles_and_backward_clocks_are_harmless() {
        // Guarantees figures without overflow for self-parented and cyclic spans, and for spans that end before they start.
        let spans = batch(&[(1, 1, 100, 40, "a", false), (2, 3, 110, 0, "a", false), (3, 2, 120, 121, "a", false)]);
        let outline = outline(&spans).unwrap();
        assert_eq!((outline.root, outline.origin, outline.missing_parent_count), (None, 0, 0));
        assert_eq!((outline.duration_ns, outline.answer_ns, outline.last_effect_ns), (21, 0, 21));
    }

    #[test]
    fn no_spans_have_no_outline() {
        // Guarantees that an empty batch is not an error.
        assert_eq!(outline(&SpanBatch::default()), None);
    }

    #[test]
    fn a_deep_trace_is_outlined() {
        // Guarantees that a chain of 100,000 spans neither overflows the stack nor takes more than one pass.
        let mut batch = batch(&[(1, 0, 0, 0, "deep", false)]);
        for depth in 1..100_000u64 {
            let id = |depth: u64| SpanId(depth.to_be_bytes());
            let (span_id, parent_span_id) = (id(depth + 1), id(depth));
            batch.push_span(SpanRow { span_id, parent_span_id, end_unix_nano: depth, ..SpanRow::default() });
        }
        let outline = outline(&batch).unwrap();
        assert_eq!((outline.span_count, outline.last_effect_ns, outline.missing_parent_count), (100_000, 99_999, 1));
    }
}
