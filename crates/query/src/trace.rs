//! A trace as it is stored becomes a trace as it happened: every span once, in the order of time.
//!
//! Deliberately absent: the tree and what it means (that is `flow`).

use std::collections::HashMap;

use model::{BatchMerger, Source, SpanBatch, SpanId, TraceId};

use crate::contract::TimeRange;
use crate::filter::Filter;

/// A trace: every span once, ordered by start, then span id, then kind.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// Its spans; at least one.
    pub spans: SpanBatch,
    /// Whether something stored is damaged, so that spans of it may be missing here.
    pub is_partial: bool,
}

impl Trace {
    /// Merges all records of a trace, oldest first. Of records of the same span and kind the last one wins; rows of other
    /// traces are left out. Nothing if there are no records.
    pub fn merge(id: TraceId, records: &[SpanBatch]) -> Option<Trace> {
        let mut last: HashMap<(SpanId, i32), (usize, usize)> = HashMap::new();
        for (number, batch) in records.iter().enumerate() {
            let rows = batch.rows.iter().enumerate().filter(|(_, row)| row.trace_id == id);
            last.extend(rows.map(|(index, row)| ((row.span_id, row.kind), (number, index))));
        }
        let mut order: Vec<_> = last
            .into_iter()
            .map(|((span_id, kind), (number, index))| {
                (records[number].rows[index].start_unix_nano, span_id, kind, number, index)
            })
            .collect();
        order.sort_unstable();
        let mut sources: Vec<_> = records.iter().map(Source::new).collect();
        let mut merger = BatchMerger::default();
        for (.., number, index) in order {
            merger.push(&mut sources[number], index);
        }
        (!merger.is_empty()).then(|| Trace { id, spans: merger.finish(), is_partial: false })
    }

    /// As [`Trace::merge`]. Records of one place that are in order already, each span once, stay as they are.
    pub fn of(id: TraceId, mut records: Vec<SpanBatch>) -> Option<Trace> {
        match records.as_slice() {
            [batch] if is_trace(batch, id) => records.pop().map(|spans| Trace { id, spans, is_partial: false }),
            _ => Trace::merge(id, &records),
        }
    }

    /// Rows of the spans that a filter means and that start within a range, in order.
    pub fn matching(&self, filter: &Filter, range: TimeRange) -> Vec<usize> {
        let bound = filter.bind(&self.spans);
        bound.rows().filter(|&row| range.contains(self.spans.rows[row].start_unix_nano)).collect()
    }
}

/// Whether a batch is what merging it would give: rows of one trace in order, each span once, and no scope or resource of others.
fn is_trace(batch: &SpanBatch, id: TraceId) -> bool {
    let rows = &batch.rows;
    let is_ordered = rows.is_sorted_by_key(|row| (row.start_unix_nano, row.span_id, row.kind));
    if rows.is_empty() || !is_ordered || rows.iter().any(|row| row.trace_id != id) {
        return false;
    }
    let mut spans: Vec<(SpanId, i32)> = rows.iter().map(|row| (row.span_id, row.kind)).collect();
    spans.sort_unstable();
    let (mut scopes, mut resources) = (vec![false; batch.scopes.len()], vec![false; batch.resources.len()]);
    for row in rows {
        scopes[row.scope as usize] = true;
        resources[batch.scopes[row.scope as usize].resource as usize] = true;
    }
    let is_tight = !scopes.contains(&false) && !resources.contains(&false);
    is_tight && spans.windows(2).all(|pair| pair[0] != pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Resource, Scope, SpanRow};

    fn records(spans: &[(u8, u8, i32, u64, u64)]) -> SpanBatch {
        let mut batch = SpanBatch::default();
        let resource = batch.push_resource(Resource::default());
        let scope = batch.push_scope(Scope { resource, ..Scope::default() });
        for &(trace, span, kind, start_unix_nano, end_unix_nano) in spans {
            let (trace_id, span_id) = (TraceId([trace; 16]), SpanId([span; 8]));
            batch.push_span(SpanRow {
                trace_id,
                span_id,
                kind,
                start_unix_nano,
                end_unix_nano,
                scope,
                ..SpanRow::default()
            });
        }
        batch
    }

    #[test]
    fn the_last_record_of_a_span_wins() {
        // Guarantees one row a span and kind, the newest record, ordered by start and id, without rows of other traces.
        let id = TraceId([1; 16]);
        let older = records(&[(1, 5, 2, 30, 31), (1, 3, 2, 10, 11), (2, 9, 2, 1, 2)]);
        let newer = records(&[(1, 5, 2, 20, 25), (1, 5, 3, 20, 29), (1, 4, 2, 20, 21)]);
        let trace = Trace::merge(id, &[older, newer]).unwrap();
        let rows: Vec<_> = trace.spans.rows.iter().map(|row| (row.span_id.0[0], row.kind, row.end_unix_nano)).collect();
        assert_eq!(rows, [(3, 2, 11), (4, 2, 21), (5, 2, 25), (5, 3, 29)]);
        assert!(Trace::merge(id, &[records(&[(2, 1, 0, 0, 0)])]).is_none());
    }

    #[test]
    fn records_that_are_a_trace_are_told_from_those_that_are_not() {
        // Guarantees that only records are taken as they are that merging would not change: not those out of order, with a span
        // twice, with rows of other traces, or with scopes or resources that no span is of.
        let id = TraceId([1; 16]);
        let whole = records(&[(1, 3, 2, 10, 11), (1, 5, 2, 20, 25), (1, 5, 3, 20, 25)]);
        assert!(is_trace(&whole, id));
        assert_eq!(Trace::of(id, vec![whole.clone()]).unwrap().spans.len(), 3);
        for spans in [
            &[(1, 5, 2, 20, 25), (1, 3, 2, 10, 11)][..],
            &[(1, 3, 2, 10, 11), (1, 3, 2, 20, 21)],
            &[],
            &[(2, 3, 2, 1, 1)],
        ] {
            assert!(!is_trace(&records(spans), id), "{spans:?}");
        }
        let (mut scope, mut resource) = (whole.clone(), whole);
        scope.push_scope(Scope::default());
        resource.push_resource(Resource::default());
        assert!(!is_trace(&scope, id) && !is_trace(&resource, id));
        assert_eq!(Trace::of(id, vec![scope]).unwrap().spans.scopes.len(), 1);
        assert!(Trace::of(id, vec![]).is_none());
    }
}
