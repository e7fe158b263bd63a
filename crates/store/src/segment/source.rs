//! What a segment is written from: batches whose texts have been merged into one numbering, and rows in their final order.

use std::collections::HashMap;
use std::sync::Arc;

use model::attributes::pair_hash;
use model::text::hash_text;
use model::{Level, NOTE_TIME_OUT_OF_RANGE, SpanBatch, SpanId, SpanRow, TextId, TextTable, TraceId};

use crate::clock::{DAY_NS, day_name};
use crate::filenames::UNPLACED;

/// One row of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowAt {
    pub(crate) batch: u32,
    pub(crate) row: u32,
}

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

    pub(crate) fn batch(&self, at: RowAt) -> &'a SpanBatch {
        &self.batches[at.batch as usize]
    }

    pub(crate) fn row(&self, at: RowAt) -> &'a SpanRow {
        &self.batch(at).rows[at.row as usize]
    }

    /// The common number of a text of a batch.
    pub(crate) fn text(&self, batch: u32, text: TextId) -> TextId {
        TextId(self.maps[batch as usize][text.index()])
    }
}

/// Rows by the partition they belong to, a UTC day or [`UNPLACED`], in the order they had.
pub(crate) fn rows_by_day(source: &SealSource<'_>, rows: Vec<RowAt>) -> Vec<(String, Vec<RowAt>)> {
    let mut days: HashMap<u64, Vec<RowAt>> = HashMap::new();
    for at in rows {
        let row = source.row(at);
        let unplaced = row.notes & NOTE_TIME_OUT_OF_RANGE != 0;
        let day = if unplaced { u64::MAX } else { row.start_unix_nano / DAY_NS };
        days.entry(day).or_default().push(at);
    }
    let name = |day| if day == u64::MAX { UNPLACED.to_owned() } else { day_name(day * DAY_NS) };
    let mut named: Vec<_> = days.into_iter().map(|(day, rows)| (name(day), rows)).collect();
    named.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    named
}

/// All rows in the order they are stored in: traces by their earliest start, spans of a trace by start. Of spans that are
/// there more than once only the record that came last is kept, even if an older one belongs to another day.
pub(crate) fn ordered_rows(source: &SealSource<'_>) -> Vec<RowAt> {
    let number = |(batch, spans): (usize, &Arc<SpanBatch>)| {
        (0..spans.len() as u32).map(move |row| RowAt { batch: batch as u32, row })
    };
    let mut rows: Vec<RowAt> = source.batches.iter().enumerate().flat_map(number).collect();
    let mut starts: HashMap<TraceId, u64> = HashMap::with_capacity(rows.len() / 4);
    for &at in &rows {
        let row = source.row(at);
        let start = starts.entry(row.trace_id).or_insert(row.start_unix_nano);
        *start = (*start).min(row.start_unix_nano);
    }
    let mut sorted: Vec<(u64, TraceId, u64, SpanId, RowAt)> = rows
        .iter()
        .map(|&at| {
            let row = source.row(at);
            (starts[&row.trace_id], row.trace_id, row.start_unix_nano, row.span_id, at)
        })
        .collect();
    sorted.sort_unstable_by_key(|&(trace_start, trace, start, span, at)| {
        (trace_start, trace, start, span, at.batch, at.row)
    });
    rows.clear();
    let mut seen: HashMap<(SpanId, i32), usize> = HashMap::new();
    for group in sorted.chunk_by(|a, b| a.1 == b.1) {
        push_last_records(source, group.iter().map(|item| item.4), &mut rows, &mut seen);
    }
    rows
}

fn push_last_records(
    source: &SealSource<'_>,
    group: impl Iterator<Item = RowAt> + Clone,
    rows: &mut Vec<RowAt>,
    last: &mut HashMap<(SpanId, i32), usize>,
) {
    last.clear();
    let recency = |at: RowAt| (at.batch as usize) << 32 | at.row as usize;
    let key = |at: RowAt| (source.row(at).span_id, source.row(at).kind);
    for at in group.clone() {
        let newest = last.entry(key(at)).or_insert(recency(at));
        *newest = (*newest).max(recency(at));
    }
    rows.extend(group.filter(|&at| last[&key(at)] == recency(at)));
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
