//! A store that holds batches as they came: each is a part, and everything is found by looking at everything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{BatchMerger, Source as MergeSource, SpanBatch, SpanKey, SpanRef, StatusCode, TraceId};
use query::source::{Part, Source};
use query::{Filter, QueryError, Stop, TimeRange};
use store::{Projection, Selection, ServiceBounds};

use crate::filter::pairs_of;
use crate::oracle;

/// Batches in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    parts: Vec<MemoryPart>,
    /// How often a part was read.
    pub(crate) reads: Arc<AtomicUsize>,
    /// Set at the reading of this number.
    pub(crate) stop_at: Option<(usize, Stop)>,
}

#[derive(Debug, Clone)]
pub(crate) struct MemoryPart {
    batch: Arc<SpanBatch>,
    pairs: Arc<HashSet<u64>>,
    reads: Arc<AtomicUsize>,
    stop_at: Option<(usize, Stop)>,
}

impl Memory {
    /// Batches in the order of their arrival; empty ones are no parts.
    pub(crate) fn new(batches: Vec<SpanBatch>) -> Self {
        let reads = Arc::new(AtomicUsize::new(0));
        let part = |batch: SpanBatch| {
            let pairs = Arc::new(pairs_of(&batch));
            MemoryPart { batch: Arc::new(batch), pairs, reads: Arc::clone(&reads), stop_at: None }
        };
        let parts = batches.into_iter().filter(|batch| !batch.is_empty()).map(part).collect();
        Memory { parts, reads, stop_at: None }
    }

    /// The last record of every span, in any order.
    pub(crate) fn spans(&self) -> SpanBatch {
        let mut last: HashMap<SpanKey, (usize, usize)> = HashMap::new();
        for (number, part) in self.parts.iter().enumerate() {
            last.extend(part.batch.spans().map(|span| (span.key(), (number, span.index))));
        }
        let mut merger = BatchMerger::default();
        for (number, index) in last.into_values() {
            merger.push(&mut MergeSource::new(&self.parts[number].batch), index);
        }
        merger.finish()
    }

    /// What a search over all pages has to find: traces with the span ids and kinds that match, newest first.
    pub(crate) fn find(&self, filter: &Filter, range: TimeRange) -> Vec<(TraceId, Vec<SpanKey>)> {
        let spans = self.spans();
        let mut found: HashMap<TraceId, (u64, Vec<SpanKey>)> = HashMap::new();
        for span in spans.spans().filter(|&span| oracle::matches(filter, span)) {
            let start = span.start_unix_nano();
            let in_range = start >= range.start_unix_nano && range.end_unix_nano.is_none_or(|end| start < end);
            if in_range {
                let (newest, keys) = found.entry(span.trace_id()).or_default();
                *newest = start.max(*newest);
                keys.push(span.key());
            }
        }
        let mut ordered: Vec<_> = found.into_iter().map(|(id, (newest, keys))| (newest, id, keys)).collect();
        ordered.sort_by_key(|&(newest, id, _)| std::cmp::Reverse((newest, id)));
        let sorted = |mut keys: Vec<SpanKey>| {
            keys.sort_unstable();
            keys
        };
        ordered.into_iter().map(|(_, id, keys)| (id, sorted(keys))).collect()
    }
}

impl Source for Memory {
    type Part = MemoryPart;

    fn parts(&self) -> Vec<MemoryPart> {
        let with_stop = |part: &MemoryPart| MemoryPart { stop_at: self.stop_at.clone(), ..part.clone() };
        self.parts.iter().map(with_stop).collect()
    }

    fn trace(&self, id: TraceId) -> Result<Vec<SpanBatch>, QueryError> {
        let records = self.parts.iter().map(|part| {
            let mut merger = BatchMerger::default();
            let mut source = MergeSource::new(&part.batch);
            let rows = part.batch.spans().filter(|span| span.trace_id() == id);
            rows.for_each(|span| merger.push(&mut source, span.index));
            merger.finish()
        });
        Ok(records.filter(|batch| !batch.is_empty()).collect())
    }

    /// Three at once, so that some are left over.
    fn traces(&self, ids: &[TraceId]) -> Result<Vec<Vec<SpanBatch>>, QueryError> {
        ids.iter().take(3).map(|&id| self.trace(id)).collect()
    }

    fn linking_traces(&self, id: TraceId) -> Result<Vec<TraceId>, QueryError> {
        let spans = self.parts.iter().flat_map(|part| part.batch.spans());
        let carriers = spans.filter(|span| span.links().any(|link| link.trace_id() == id));
        Ok(carriers.map(SpanRef::trace_id).collect())
    }
}

impl Part for MemoryPart {
    fn start_bounds(&self) -> (u64, u64) {
        self.batch.start_bounds().expect("a part has spans")
    }

    fn duration_bounds(&self) -> (u64, u64) {
        let durations = || self.batch.spans().map(SpanRef::duration_ns);
        (durations().min().expect("a part has spans"), durations().max().expect("a part has spans"))
    }

    fn service_bounds(&self, service: &str) -> Option<ServiceBounds> {
        let spans = || self.batch.spans().filter(|span| span.service_name() == service);
        let starts = || spans().map(SpanRef::start_unix_nano);
        let durations = || spans().map(SpanRef::duration_ns);
        Some(ServiceBounds {
            errors: spans().filter(|span| span.status() == StatusCode::ERROR).count() as u32,
            starts: (starts().min()?, starts().max()?),
            durations: (durations().min()?, durations().max()?),
        })
    }

    fn span_count(&self) -> usize {
        self.batch.len()
    }

    fn may_contain(&self, pair_hash: u64) -> Result<bool, QueryError> {
        Ok(self.pairs.contains(&pair_hash))
    }

    fn read(&self, _projection: &Projection) -> Result<Arc<SpanBatch>, QueryError> {
        let number = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((_, stop)) = self.stop_at.as_ref().filter(|(at, _)| *at == number) {
            stop.set();
        }
        Ok(Arc::clone(&self.batch))
    }

    /// Leaves out everything that it may leave out.
    fn read_some(&self, projection: &Projection, selection: &Selection) -> Result<Arc<SpanBatch>, QueryError> {
        let batch = self.read(projection)?;
        let mut merger = BatchMerger::default();
        let mut source = MergeSource::new(&batch);
        batch
            .spans()
            .filter(|&span| is_selected(span, selection))
            .for_each(|span| merger.push(&mut source, span.index));
        Ok(Arc::new(merger.finish()))
    }
}

fn is_selected(span: SpanRef<'_>, selection: &Selection) -> bool {
    let has_pair = |(key, text): &(String, String)| {
        span.attributes().any(|attribute| attribute.key == key && attribute.value.comparison_text() == *text)
    };
    selection.service.as_deref().is_none_or(|service| span.service_name() == service)
        && selection.name.as_deref().is_none_or(|name| span.name() == name)
        && selection.kind.is_none_or(|kind| span.kind().0 == kind)
        && selection.status.is_none_or(|status| span.status().0 == status)
        && selection.starts.contains(&span.start_unix_nano())
        && selection.durations.contains(&span.duration_ns())
        && selection.attribute.as_ref().is_none_or(has_pair)
}
