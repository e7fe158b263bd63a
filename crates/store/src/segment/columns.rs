//! Choosing which attribute keys of a segment get a column of their own.

use model::{Attributes, Level, SpanBatch, TextId, Value};

use crate::catalog::{CATALOG_ENTRIES_MAX, Key};
use crate::options::{ATTRIBUTE_COLUMN_SHARE, ATTRIBUTE_COLUMNS_MAX};
use crate::segment::layout::{AttributeColumn, ColumnType};
use crate::segment::source::{FETCHED_ROWS, RowAt, SealSource};

/// The chosen columns, and how often each key occurs on spans, events and links.
#[derive(Debug)]
pub(crate) struct ColumnPlan {
    pub(crate) columns: Vec<AttributeColumn>,
    pub(crate) keys: Vec<(Key, u64)>,
}

/// How many types a value can have.
const TYPES: usize = 7;
const TYPE_NAMES: [&str; TYPES] = ["empty", "string", "bool", "int", "double", "bytes", "array"];
const COLUMN_TYPES: [Option<ColumnType>; TYPES] = [
    None,
    Some(ColumnType::String),
    Some(ColumnType::Bool),
    Some(ColumnType::Int),
    Some(ColumnType::Double),
    None,
    Some(ColumnType::Json),
];

fn type_number(value: Value) -> usize {
    match value {
        Value::Empty => 0,
        Value::Str(_) => 1,
        Value::Bool(_) => 2,
        Value::Int(_) => 3,
        Value::Double(_) => 4,
        Value::Bytes(_) => 5,
        Value::Json(_) => 6,
    }
}

/// Counts by key and type, at one level.
struct Counts {
    level: Level,
    /// For each common text, its place in `by_key`, plus one.
    places: Vec<u32>,
    by_key: Vec<(TextId, [u64; TYPES])>,
}

impl Counts {
    fn new(level: Level, texts: usize) -> Self {
        Counts { level, places: vec![0; texts], by_key: Vec::new() }
    }

    fn add(&mut self, source: &SealSource<'_>, batch: u32, pool: &Attributes, range: std::ops::Range<usize>) {
        for index in range {
            let key = source.text(batch, pool.keys[index]);
            let place = &mut self.places[key.index()];
            if *place == 0 {
                self.by_key.push((key, [0; TYPES]));
                *place = self.by_key.len() as u32;
            }
            self.by_key[*place as usize - 1].1[type_number(pool.values[index])] += 1;
        }
    }

    fn keys<'a>(&'a self, source: &'a SealSource<'_>) -> impl Iterator<Item = (Key, u64)> + 'a {
        self.by_key.iter().flat_map(move |(key, counts)| {
            let named = counts.iter().zip(TYPE_NAMES).filter(|(count, _)| **count > 0);
            named.map(move |(&count, type_name)| {
                let key = source.texts.str(*key).to_owned();
                (Key { key, level: self.level, type_name: type_name.to_owned() }, count)
            })
        })
    }
}

/// Counts keys and gives the frequent ones a column of their most frequent type.
pub(crate) fn choose_columns(source: &SealSource<'_>, rows: &[RowAt]) -> ColumnPlan {
    let mut levels = [Level::Span, Level::Event, Level::Link].map(|level| Counts::new(level, source.texts.len()));
    for rows in rows.chunks(FETCHED_ROWS) {
        source.fetch(rows);
        for at in rows {
            count_row(source, at, &mut levels);
        }
    }
    let mut keys: Vec<(Key, u64)> = levels.iter().flat_map(|counts| counts.keys(source)).collect();
    keys.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    keys.truncate(CATALOG_ENTRIES_MAX);
    ColumnPlan { columns: frequent(source, &levels[0], rows.len()), keys }
}

fn count_row(source: &SealSource<'_>, at: &RowAt, levels: &mut [Counts; 3]) {
    let batch: &SpanBatch = source.batch(at);
    let row = at.row as usize;
    let [spans, events, links] = levels;
    spans.add(source, at.batch, &batch.attributes, batch.attribute_ranges.get(row));
    for event in batch.event_ranges.get(row) {
        events.add(source, at.batch, &batch.events.attributes, batch.events.attribute_ranges.get(event));
    }
    for link in batch.link_ranges.get(row) {
        links.add(source, at.batch, &batch.links.attributes, batch.links.attribute_ranges.get(link));
    }
}

fn frequent(source: &SealSource<'_>, spans: &Counts, rows: usize) -> Vec<AttributeColumn> {
    let least = (rows / ATTRIBUTE_COLUMN_SHARE).max(1) as u64;
    let mut chosen: Vec<(u64, AttributeColumn)> = Vec::new();
    for (key, counts) in &spans.by_key {
        let best = (0..TYPES).filter(|&number| COLUMN_TYPES[number].is_some()).max_by_key(|&number| counts[number]);
        let (count, column_type) = best.map_or((0, None), |number| (counts[number], COLUMN_TYPES[number]));
        if let (true, Some(column_type)) = (count >= least, column_type) {
            chosen.push((count, AttributeColumn { key: source.texts.str(*key).to_owned(), column_type }));
        }
    }
    chosen.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.key.cmp(&b.1.key)));
    chosen.truncate(ATTRIBUTE_COLUMNS_MAX);
    let mut columns: Vec<AttributeColumn> = chosen.into_iter().map(|(_, column)| column).collect();
    columns.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    columns
}
