//! The memtable: batches that are in the WAL but not yet in a segment, searchable at once.
//!
//! Step *apply*. Batches are kept as they were decoded and never changed; an index from trace to rows finds a trace, another
//! the links that point at one. A search goes through the batches one by one: each batch's table of texts tells at once
//! whether a searched text is in it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard};

use hashbrown::HashTable;
use model::text::hash_text;
use model::{LogBatch, NOTE_TIME_OUT_OF_RANGE, SpanBatch, SpanRow, StatusCode, TextId, TraceId};

use crate::catalog::Catalog;
use crate::logs::table::{HeldLogs, LogTable};
use crate::snapshot::ServiceBounds;

/// A batch in memory, with what a search wants to know before it looks inside.
#[derive(Debug)]
pub(crate) struct HeldBatch {
    pub(crate) batch: Arc<SpanBatch>,
    /// Bounds of all spans.
    pub(crate) bounds: ServiceBounds,
    /// Bounds of each service, of a batch with several; made when first asked for.
    services: OnceLock<HashMap<TextId, ServiceBounds>>,
    catalog: OnceLock<Catalog>,
}

impl HeldBatch {
    fn new(batch: SpanBatch) -> Self {
        let mut bounds = ServiceBounds::EMPTY;
        for row in &batch.rows {
            add_row(&mut bounds, row);
        }
        if batch.is_empty() {
            (bounds.starts, bounds.durations) = ((0, 0), (0, 0));
        }
        HeldBatch { batch: Arc::new(batch), bounds, services: OnceLock::new(), catalog: OnceLock::new() }
    }

    /// Bounds of the spans of one service; `None` if it has none.
    pub(crate) fn service_bounds(&self, service: &str) -> Option<ServiceBounds> {
        let service = self.batch.text.find(service.as_bytes())?;
        let resources = &self.batch.resources;
        if resources.iter().all(|resource| resource.service_name == service) {
            return (!self.batch.is_empty()).then_some(self.bounds);
        }
        if resources.iter().all(|resource| resource.service_name != service) {
            return None;
        }
        self.services.get_or_init(|| services_of(&self.batch)).get(&service).copied()
    }

    /// What the batch has to offer; counted when first asked for.
    pub(crate) fn catalog(&self) -> &Catalog {
        self.catalog.get_or_init(|| Catalog::of_batch(&self.batch))
    }
}

fn add_row(bounds: &mut ServiceBounds, row: &SpanRow) {
    let duration_ns = row.end_unix_nano.saturating_sub(row.start_unix_nano);
    bounds.add(row.start_unix_nano, duration_ns, StatusCode(row.status_code) == StatusCode::ERROR);
}

fn services_of(batch: &SpanBatch) -> HashMap<TextId, ServiceBounds> {
    let mut services = HashMap::new();
    for row in &batch.rows {
        let resource = batch.scopes[row.scope as usize].resource;
        let service = batch.resources[resource as usize].service_name;
        add_row(services.entry(service).or_insert(ServiceBounds::EMPTY), row);
    }
    services
}

/// Batches of one stretch of the WAL.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    batches: Vec<Arc<HeldBatch>>,
    traces: RowIndex,
    link_targets: RowIndex,
    logs: LogTable,
    spans: usize,
    bytes: usize,
    wal_first: u64,
    wal_last: u64,
    first_applied_unix_nano: u64,
    last_applied_unix_nano: u64,
    placed_starts: Option<(u64, u64)>,
}

/// What a memtable holds, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MemtableStats {
    pub(crate) spans: usize,
    pub(crate) traces: usize,
    pub(crate) logs: usize,
    pub(crate) bytes: usize,
    pub(crate) first_applied_unix_nano: u64,
    pub(crate) last_applied_unix_nano: u64,
    /// The earliest and latest start of spans whose time can be right.
    pub(crate) placed_starts: Option<(u64, u64)>,
    /// The same of log records.
    pub(crate) placed_log_times: Option<(u64, u64)>,
}

impl MemtableStats {
    /// Whether there is nothing to be sealed.
    pub(crate) fn is_empty(&self) -> bool {
        self.spans == 0 && self.logs == 0
    }
}

impl Memtable {
    /// An empty memtable whose batches will be in WAL files from `wal_first` on.
    pub(crate) fn new(wal_first: u64) -> Self {
        let inner = Inner { wal_first, wal_last: wal_first, ..Inner::default() };
        Memtable { inner: RwLock::new(inner) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().expect("no thread panics while it holds a memtable")
    }

    /// Makes a batch searchable; gives it back for whoever wants to look at it as well.
    pub(crate) fn apply(&self, batch: SpanBatch, now_unix_nano: u64) -> Arc<SpanBatch> {
        let held = Arc::new(HeldBatch::new(batch));
        let batch = &held.batch;
        let bytes = batch.heap_bytes();
        let mut inner = self.inner.write().expect("no thread panics while it holds a memtable");
        let number = inner.batches.len() as u32;
        for (row, span) in batch.rows.iter().enumerate() {
            inner.traces.insert(span.trace_id, number, row as u32);
            if span.notes & NOTE_TIME_OUT_OF_RANGE == 0 {
                let (oldest, newest) = inner.placed_starts.unwrap_or((u64::MAX, 0));
                inner.placed_starts = Some((oldest.min(span.start_unix_nano), newest.max(span.start_unix_nano)));
            }
        }
        if !batch.links.is_empty() {
            for row in 0..batch.len() {
                for link in batch.link_ranges.get(row) {
                    inner.link_targets.insert(batch.links.trace_ids[link], number, row as u32);
                }
            }
        }
        if inner.is_empty() {
            inner.first_applied_unix_nano = now_unix_nano;
        }
        inner.last_applied_unix_nano = now_unix_nano;
        inner.spans += batch.len();
        inner.bytes += bytes + batch.len() * INDEX_BYTES_PER_SPAN;
        inner.batches.push(Arc::clone(&held));
        Arc::clone(batch)
    }

    /// Makes a batch of log records searchable.
    pub(crate) fn apply_logs(&self, batch: LogBatch, now_unix_nano: u64) {
        let mut inner = self.inner.write().expect("no thread panics while it holds a memtable");
        if inner.is_empty() {
            inner.first_applied_unix_nano = now_unix_nano;
        }
        inner.last_applied_unix_nano = now_unix_nano;
        inner.bytes += inner.logs.apply(batch);
    }

    /// The batches of log records applied so far, oldest first.
    pub(crate) fn log_batches(&self) -> Vec<Arc<HeldLogs>> {
        self.read().logs.batches.clone()
    }

    /// Log records of a trace.
    pub(crate) fn logs_of_trace(&self, id: TraceId) -> Vec<(Arc<HeldLogs>, u32)> {
        self.read().logs.trace(id)
    }

    /// Says that WAL files up to `sequence` belong to this memtable.
    pub(crate) fn extend_wal(&self, sequence: u64) {
        self.inner.write().expect("no thread panics while it holds a memtable").wal_last = sequence;
    }

    /// The first and last WAL file whose records are here.
    pub(crate) fn wal_range(&self) -> (u64, u64) {
        let inner = self.read();
        (inner.wal_first, inner.wal_last)
    }

    pub(crate) fn stats(&self) -> MemtableStats {
        let inner = self.read();
        MemtableStats {
            spans: inner.spans,
            traces: inner.traces.keys(),
            logs: inner.logs.records,
            bytes: inner.bytes,
            first_applied_unix_nano: inner.first_applied_unix_nano,
            last_applied_unix_nano: inner.last_applied_unix_nano,
            placed_starts: inner.placed_starts,
            placed_log_times: inner.logs.placed_times,
        }
    }

    /// The batches applied so far, oldest first.
    pub(crate) fn batches(&self) -> Vec<Arc<HeldBatch>> {
        self.read().batches.clone()
    }

    /// Rows of a trace, oldest record first.
    pub(crate) fn trace(&self, id: TraceId) -> Vec<(Arc<SpanBatch>, u32)> {
        let inner = self.read();
        inner.resolve(inner.traces.rows(id))
    }

    /// Rows that carry a link to a span of a trace; a row with several is there several times.
    pub(crate) fn linking_to(&self, id: TraceId) -> Vec<(Arc<SpanBatch>, u32)> {
        let inner = self.read();
        inner.resolve(inner.link_targets.rows(id))
    }
}

impl Inner {
    fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.logs.batches.is_empty()
    }

    fn resolve(&self, rows: Vec<(u32, u32)>) -> Vec<(Arc<SpanBatch>, u32)> {
        rows.into_iter().map(|(batch, row)| (Arc::clone(&self.batches[batch as usize].batch), row)).collect()
    }
}

/// About what the two indexes cost, for the memory budget.
pub(crate) const INDEX_BYTES_PER_SPAN: usize = 24;

/// From a trace id to rows: a hash table of list heads, and lists threaded through one vector.
#[derive(Debug, Default)]
pub(crate) struct RowIndex {
    heads: HashTable<(TraceId, u32)>,
    entries: Vec<RowEntry>,
}

#[derive(Debug, Clone, Copy)]
struct RowEntry {
    batch: u32,
    row: u32,
    /// The entry before this one of the same trace; its own number ends the list.
    previous: u32,
}

impl RowIndex {
    pub(crate) fn insert(&mut self, id: TraceId, batch: u32, row: u32) {
        let number = self.entries.len() as u32;
        let hash = hash_text(&id.0);
        let mut previous = number;
        if let Some((_, head)) = self.heads.find_mut(hash, |(known, _)| *known == id) {
            previous = std::mem::replace(head, number);
        } else {
            self.heads.insert_unique(hash, (id, number), |(known, _)| hash_text(&known.0));
        }
        self.entries.push(RowEntry { batch, row, previous });
    }

    pub(crate) fn rows(&self, id: TraceId) -> Vec<(u32, u32)> {
        let mut rows = Vec::new();
        let head = self.heads.find(hash_text(&id.0), |(known, _)| *known == id);
        let mut at = head.map(|&(_, entry)| entry);
        while let Some(number) = at {
            let entry = self.entries[number as usize];
            rows.push((entry.batch, entry.row));
            at = (entry.previous != number).then_some(entry.previous);
        }
        rows.reverse();
        rows
    }

    fn keys(&self) -> usize {
        self.heads.len()
    }
}

#[cfg(test)]
mod tests {
    use model::{Resource, Scope, SpanId, SpanRow};

    use super::*;

    #[test]
    fn a_trace_is_found_oldest_first() {
        // Guarantees that all rows of a trace are found over several batches, in the order they arrived, and no others.
        let memtable = Memtable::new(1);
        for number in 1..=3u8 {
            let mut batch = SpanBatch::default();
            let resource = batch.push_resource(Resource::default());
            let scope = batch.push_scope(Scope { resource, ..Scope::default() });
            for trace in [7, number] {
                let (trace_id, span_id) = (TraceId([trace; 16]), SpanId([number; 8]));
                batch.push_span(SpanRow { trace_id, span_id, scope, ..SpanRow::default() });
            }
            memtable.apply(batch, 5);
        }
        let rows = memtable.trace(TraceId([7; 16]));
        let ids: Vec<u8> = rows.iter().map(|(batch, row)| batch.rows[*row as usize].span_id.0[0]).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(memtable.trace(TraceId([2; 16])).len(), 1);
        assert!(memtable.trace(TraceId([9; 16])).is_empty());
        assert_eq!(memtable.stats().traces, 4);
    }
}
