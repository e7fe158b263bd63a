//! What a segment is written from: batches whose texts have been merged into one numbering, and rows in their final order.

use std::collections::HashMap;
use std::sync::Arc;

use hashbrown::HashTable;
use model::attributes::pair_hash;
use model::text::hash_text;
use model::{Level, NOTE_TIME_OUT_OF_RANGE, SpanBatch, SpanId, SpanRow, TextId, TextTable, TraceId, Value};

use crate::clock::{DAY_NS, day_name};
use crate::filenames::UNPLACED;
use crate::segment::order::arrange;

/// One row of one batch, with what every span has: many passes go over the rows in their final order, and batches lie all over
/// the memory.
#[derive(Debug, Clone)]
pub(crate) struct RowAt {
    pub(crate) batch: u32,
    pub(crate) row: u32,
    pub(crate) span: SpanRow,
}

/// So many rows are fetched at a time: what they have fits into the cache nearest to the processor.
pub(crate) const FETCHED_ROWS: usize = 32;
const VALUES_OF_CACHE_LINE: usize = 64 / size_of::<Value>();

/// Batches with a common numbering of their texts.
#[derive(Debug)]
pub(crate) struct SealSource<'a> {
    pub(crate) batches: &'a [Arc<SpanBatch>],
    /// All distinct texts of all batches.
    pub(crate) texts: TextTable,
    /// For each batch, the common number of each of its texts.
    maps: Vec<Vec<u32>>,
}

impl<'a> SealSource<'a> {
    pub(crate) fn new(batches: &'a [Arc<SpanBatch>]) -> Self {
        let mut texts = TextTable::default();
        let merge = |batch: &Arc<SpanBatch>| {
            let numbers = (0..batch.text.len() as u32).map(TextId);
            numbers.map(|id| texts.intern_hashed(batch.text.bytes(id), batch.text.hash(id)).0).collect()
        };
        let maps = batches.iter().map(merge).collect();
        SealSource { batches, texts, maps }
    }

    pub(crate) fn batch(&self, at: &RowAt) -> &'a SpanBatch {
        &self.batches[at.batch as usize]
    }

    /// Looks at the attributes of a few rows that are about to be read. They lie all over the memory, and in a loop that does nothing
    /// else the processor waits for all of them at the same time.
    pub(crate) fn fetch(&self, rows: &[RowAt]) {
        let mut seen = 0;
        for at in rows {
            let pool = &self.batch(at).attributes;
            let range = self.batch(at).attribute_ranges.get(at.row as usize);
            seen ^= pool.keys.get(range.start).map_or(0, |key| key.0);
            for value in pool.values[range].iter().step_by(VALUES_OF_CACHE_LINE) {
                seen ^= u32::from(matches!(value, Value::Empty));
            }
        }
        std::hint::black_box(seen);
    }

    /// The common number of a text of a batch.
    pub(crate) fn text(&self, batch: u32, text: TextId) -> TextId {
        TextId(self.maps[batch as usize][text.index()])
    }
}

/// Rows by the partition they belong to, a UTC day or [`UNPLACED`], in the order they had.
pub(crate) fn rows_by_day(rows: Vec<RowAt>) -> Vec<(String, Vec<RowAt>)> {
    let mut days: HashMap<u64, Vec<RowAt>> = HashMap::new();
    // Rows of a day come in long runs.
    let mut last: Option<(u64, Vec<RowAt>)> = None;
    for at in rows {
        let unplaced = at.span.notes & NOTE_TIME_OUT_OF_RANGE != 0;
        let day = if unplaced { u64::MAX } else { at.span.start_unix_nano / DAY_NS };
        if last.as_ref().is_none_or(|(known, _): &(u64, Vec<RowAt>)| *known != day) {
            let rows = days.remove(&day).unwrap_or_default();
            let before = last.replace((day, rows));
            days.extend(before);
        }
        last.as_mut().expect("it was just set").1.push(at);
    }
    days.extend(last);
    let name = |day| if day == u64::MAX { UNPLACED.to_owned() } else { day_name(day * DAY_NS) };
    let mut named: Vec<_> = days.into_iter().map(|(day, rows)| (name(day), rows)).collect();
    named.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    named
}

/// All rows in the order they are stored in: traces by their earliest start and then as [`arrange`] puts them, spans of a trace by
/// start. Of spans that are there more than once only the record that came last is kept, even if an older one belongs to another day.
pub(crate) fn ordered_rows(source: &SealSource<'_>) -> Vec<RowAt> {
    let starts = TraceStarts::of(source);
    let mut keys: Vec<SortKey> = Vec::with_capacity(source.batches.iter().map(|batch| batch.len()).sum());
    let mut links = Vec::new();
    for (batch, spans) in source.batches.iter().enumerate() {
        for (row, span) in spans.rows.iter().enumerate() {
            keys.push(SortKey {
                trace_start: starts.get(span.trace_id),
                trace_id: span.trace_id,
                start: span.start_unix_nano,
                span_id: span.span_id,
                kind: span.kind,
                batch: batch as u32,
                row: row as u32,
                operation: source.text(batch as u32, span.name).0 << 3 | span.kind as u32 & 7,
            });
            let linked = &spans.links.trace_ids[spans.link_ranges.get(row)];
            links.extend(linked.iter().map(|&other| [span.trace_id, other]));
        }
    }
    keys.sort_unstable();
    let links = links.into_iter().map(|pair| pair.map(|id| (starts.get(id), id)));
    let mut rows = Vec::with_capacity(keys.len());
    let mut by_span: Vec<&SortKey> = Vec::new();
    for trace in arrange(&keys, links) {
        let trace = &keys[trace];
        by_span.clear();
        by_span.extend(trace);
        by_span.sort_unstable_by_key(|key| (key.span_id, key.kind, key.batch, key.row));
        let has_duplicates = by_span.windows(2).any(|pair| pair[0].is_same_span(pair[1]));
        let is_last = |key: &&SortKey| {
            let next = by_span.partition_point(|other| {
                (other.span_id, other.kind, other.batch, other.row) <= (key.span_id, key.kind, key.batch, key.row)
            });
            by_span.get(next).is_none_or(|next| !next.is_same_span(key))
        };
        let kept = trace.iter().filter(|key| !has_duplicates || is_last(key));
        rows.extend(kept.map(|key| key.row_of(source)));
    }
    rows
}

/// What rows are sorted by, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    pub(super) trace_start: u64,
    pub(super) trace_id: TraceId,
    start: u64,
    span_id: SpanId,
    kind: i32,
    batch: u32,
    row: u32,
    /// The name and kind, as a number.
    pub(super) operation: u32,
}

impl SortKey {
    #[cfg(test)]
    pub(super) fn of_trace(trace_id: TraceId, trace_start: u64, operation: u32) -> Self {
        let (span_id, start) = (SpanId::default(), trace_start);
        SortKey { trace_start, trace_id, start, span_id, kind: 0, batch: 0, row: 0, operation }
    }

    fn is_same_span(&self, other: &SortKey) -> bool {
        (self.span_id, self.kind) == (other.span_id, other.kind)
    }

    fn row_of(&self, source: &SealSource<'_>) -> RowAt {
        let span = source.batches[self.batch as usize].rows[self.row as usize];
        RowAt { batch: self.batch, row: self.row, span }
    }
}

/// The earliest start of each trace.
#[derive(Debug, Default)]
struct TraceStarts {
    table: HashTable<(TraceId, u64)>,
}

impl TraceStarts {
    fn of(source: &SealSource<'_>) -> Self {
        let mut starts = TraceStarts::default();
        for span in source.batches.iter().flat_map(|batch| &batch.rows) {
            let id = span.trace_id;
            let entry =
                starts.table.entry(hash_text(&id.0), |(known, _)| *known == id, |(known, _)| hash_text(&known.0));
            let start = &mut entry.or_insert((id, span.start_unix_nano)).into_mut().1;
            *start = (*start).min(span.start_unix_nano);
        }
        starts
    }

    fn get(&self, id: TraceId) -> u64 {
        self.table.find(hash_text(&id.0), |(known, _)| *known == id).map_or(0, |(_, start)| *start)
    }
}

/// Key under which the filters know a field that is not an attribute; see [`intrinsic_pair_hash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intrinsic {
    /// The span's name.
    Name,
    /// Its kind, by name.
    Kind,
    /// Its status, by name.
    Status,
    /// The scope's name.
    ScopeName,
    /// The name of one of its events.
    EventName,
}

impl Intrinsic {
    fn key(self) -> &'static [u8] {
        match self {
            Intrinsic::Name => b"\0name",
            Intrinsic::Kind => b"\0kind",
            Intrinsic::Status => b"\0status",
            Intrinsic::ScopeName => b"\0scope",
            Intrinsic::EventName => b"\0event",
        }
    }

    /// The hash of the key, to be computed once.
    pub(crate) fn key_hash(self) -> u64 {
        hash_text(self.key())
    }
}

/// The hash by which the filters know that a span's intrinsic field has a value.
pub fn intrinsic_pair_hash(field: Intrinsic, value: &str) -> u64 {
    pair_hash(Level::Span, field.key_hash(), hash_text(value.as_bytes()))
}
