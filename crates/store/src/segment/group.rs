//! The rows of a row group, as columns ready to be encoded; and the `key = value` pairs each of its blocks has.

mod logs;

use hashbrown::HashTable;
use model::attributes::{MEASURED, filter_hash, is_measure, pair_hash};
use model::{Attributes, Level, SpanBatch, SpanKind, SpanRow, StatusCode, TextId, TextTable, Value};

use crate::options::{BLOCK_ROWS, PAGE_ROWS_MAX};
use crate::segment::encode::{Column, Presence, Values, put_text};
use crate::segment::layout::{AttributeColumn, ColumnType};
use crate::segment::lists::{Blobs, Levels, MapColumn};
use crate::segment::numbers::{Distinct, integers};
use crate::segment::source::{FETCHED_ROWS, Intrinsic, RowAt, SealSource, intrinsic_pair_hash};

/// A column number that stands for "no column of its own".
const NO_COLUMN: u32 = u32::MAX;
/// Rows of a page at the most, for columns that few rows have a value in.
const SPARSE_PAGE_ROWS: usize = 8 * BLOCK_ROWS;
/// Texts whose dictionary would be larger are stored one behind the other: a look-up would have to unpack all of it, and spans of
/// a trace, which repeat each other's texts, lie in one page anyway.
const DICTIONARY_BYTES_MAX: usize = 48 << 10;
/// Rows of a page of texts without a dictionary.
const TEXT_PAGE_ROWS: usize = PAGE_ROWS_MAX / 4;

/// Stands for any key that is known to name a measure.
const A_MEASURE: &[u8] = b"size";

/// Gives texts numbers of their own, column by column, without clearing anything between two columns.
#[derive(Debug)]
struct Renumbering {
    stamps: Vec<u32>,
    numbers: Vec<u32>,
    epoch: u32,
}

impl Renumbering {
    fn new(texts: usize) -> Self {
        Renumbering { stamps: vec![0; texts], numbers: vec![0; texts], epoch: 0 }
    }

    fn begin(&mut self) {
        self.epoch += 1;
    }

    /// Whether a text is seen for the first time since [`Renumbering::begin`].
    fn is_new(&mut self, text: TextId) -> bool {
        std::mem::replace(&mut self.stamps[text.index()], self.epoch) != self.epoch
    }
}

/// Values of one attribute's own column, with the rows they belong to.
#[derive(Debug)]
struct AttributeValues {
    column_type: ColumnType,
    key_hash: u64,
    /// Whether the key names a measure, see [`model::attributes::filter_hash`].
    is_measure: bool,
    rows: Vec<u32>,
    /// Common numbers of texts, integers, the bits of doubles, or 0 and 1.
    bits: Vec<i64>,
}

/// Turns row groups into columns.
#[derive(Debug)]
pub(crate) struct GroupBuilder<'a> {
    source: &'a SealSource<'a>,
    /// For each common text that is a key, its column.
    column_of: Vec<u32>,
    attributes: Vec<AttributeValues>,
    renumbering: Renumbering,
    /// For each block of the group, the hashes of its pairs; repeated ones too.
    pub(crate) pair_hashes: Vec<Vec<u64>>,
}

impl<'a> GroupBuilder<'a> {
    pub(crate) fn new(source: &'a SealSource<'a>, columns: &[AttributeColumn]) -> Self {
        let mut column_of = vec![NO_COLUMN; source.texts.len()];
        let mut attributes = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            let key = source.texts.find(column.key.as_bytes()).expect("columns are chosen among the texts");
            column_of[key.index()] = number as u32;
            let (rows, bits) = (Vec::new(), Vec::new());
            let (key_hash, is_measure) = (source.texts.hash(key), is_measure(column.key.as_bytes()));
            attributes.push(AttributeValues { column_type: column.column_type, key_hash, is_measure, rows, bits });
        }
        let renumbering = Renumbering::new(source.texts.len());
        GroupBuilder { source, column_of, attributes, renumbering, pair_hashes: Vec::new() }
    }

    /// The columns of a row group, in the order of the leaves of [`super::layout::spans_schema`]. `scope_ids` are the rows' scopes
    /// among the `scopes` scopes of the segment.
    pub(crate) fn build(&mut self, rows: &[RowAt], scope_ids: &[u32], scopes: usize) -> Vec<Column> {
        self.pair_hashes.clear();
        self.pair_hashes.resize(rows.len().div_ceil(BLOCK_ROWS), Vec::new());
        let rest = self.collect_attributes(rows);
        let mut columns = Self::ids(rows);
        columns.extend(Self::times(rows));
        columns.extend(self.common(rows, scope_ids, scopes));
        for number in 0..self.attributes.len() {
            columns.push(self.attribute(number, rows.len()));
        }
        columns.extend(self.map(rest));
        columns.extend(self.events(rows));
        columns.extend(self.links(rows));
        columns
    }

    fn ids(rows: &[RowAt]) -> Vec<Column> {
        let mut traces = Vec::with_capacity(rows.len() * 16);
        let (mut distances, mut strangers) = (Sparse::default(), (Vec::new(), Vec::new()));
        let mut spans = Vec::with_capacity(rows.len() * 8);
        let mut first = 0;
        for group in rows.chunk_by(|a, b| a.span.trace_id == b.span.trace_id) {
            let family = Family::new(group);
            for (place, at) in group.iter().enumerate() {
                let (row, number) = (&at.span, (first + place) as u32);
                traces.extend_from_slice(&row.trace_id.0);
                spans.extend_from_slice(&row.span_id.0);
                if row.parent_span_id.is_zero() {
                    continue;
                }
                if let Some(parent) = family.place_of(row.parent_span_id, place) {
                    distances.push(number, place as i64 - parent as i64);
                } else {
                    strangers.0.push(number);
                    strangers.1.extend_from_slice(&row.parent_span_id.0);
                }
            }
            first += group.len();
        }
        vec![
            required(Values::Fixed { width: 16, bytes: traces }, PAGE_ROWS_MAX),
            required(Values::Fixed { width: 8, bytes: spans }, PAGE_ROWS_MAX),
            optional(distances.rows, integers(distances.values, 4), rows.len()),
            optional(strangers.0, Values::Fixed { width: 8, bytes: strangers.1 }, rows.len()),
        ]
    }

    fn times(rows: &[RowAt]) -> [Column; 2] {
        let spans = || rows.iter().map(|at| &at.span);
        let starts: Vec<i64> = spans().map(|row| row.start_unix_nano as i64).collect();
        let durations = spans().map(|row| row.end_unix_nano.wrapping_sub(row.start_unix_nano) as i64).collect();
        let bounds = starts.iter().min().zip(starts.iter().max()).map(|(&least, &most)| (least, most));
        let starts = Column { bounds, ..required(Values::Split(starts), PAGE_ROWS_MAX) };
        [starts, required(Values::Split(durations), PAGE_ROWS_MAX)]
    }

    /// Service to notes.
    fn common(&mut self, rows: &[RowAt], scope_ids: &[u32], scopes: usize) -> Vec<Column> {
        let text = |pick: fn(&SpanBatch, &SpanRow) -> TextId| {
            let source = self.source;
            let pick = move |at: &RowAt| source.text(at.batch, pick(source.batch(at), &at.span));
            rows.iter().map(pick).collect::<Vec<TextId>>()
        };
        let services =
            text(|batch, row| batch.resources[batch.scopes[row.scope as usize].resource as usize].service_name);
        let (names, messages) = (text(|_, row| row.name), text(|_, row| row.status_message));
        let states = text(|_, row| row.trace_state);
        self.note_texts(Intrinsic::Name.key_hash(), None, &names, TextTable::hash);
        let kinds: Vec<i32> = rows.iter().map(|at| &at.span).map(|row| row.kind).collect();
        let statuses: Vec<i32> = rows.iter().map(|at| &at.span).map(|row| row.status_code).collect();
        let number = |pick: fn(&SpanRow) -> u32| {
            let values = rows.iter().map(|at| i64::from(pick(&at.span))).collect();
            required(integers(values, 4), BLOCK_ROWS)
        };
        let numbers = [
            number(|row| row.flags),
            number(|row| row.dropped_attributes_count),
            number(|row| row.dropped_events_count),
            number(|row| row.dropped_links_count),
            number(|row| u32::from(row.notes)),
        ];
        let plain = (0..scopes as u32).flat_map(u32::to_le_bytes).collect();
        let scope_ids = Values::Dictionary { numbers: scope_ids.to_vec(), distinct: scopes, plain };
        let mut columns = vec![
            self.required_texts(&services),
            self.required_texts(&names),
            self.named(&kinds, Intrinsic::Kind, |kind| SpanKind(kind).to_string()),
            self.named(&statuses, Intrinsic::Status, |code| StatusCode(code).to_string()),
            self.optional_texts(&messages),
            required(scope_ids, BLOCK_ROWS),
            self.optional_texts(&states),
        ];
        columns.extend(numbers);
        columns
    }

    fn required_texts(&mut self, texts: &[TextId]) -> Column {
        let (values, page_rows) = self.text_values(texts);
        required(values, page_rows)
    }

    /// A column in which the empty text means none.
    fn optional_texts(&mut self, texts: &[TextId]) -> Column {
        let present = texts.iter().enumerate().filter(|(_, text)| **text != TextId::EMPTY);
        let (rows, values): (Vec<u32>, Vec<TextId>) = present.map(|(row, &text)| (row as u32, text)).unzip();
        let (values, _) = self.text_values(&values);
        optional(rows, values, texts.len())
    }

    /// Texts by a dictionary where values repeat, else one behind the other; and the rows of a page if every row has one.
    fn text_values(&mut self, texts: &[TextId]) -> (Values, usize) {
        let table = &self.source.texts;
        self.renumbering.begin();
        let mut distinct = Vec::new();
        for &text in texts {
            if self.renumbering.is_new(text) {
                self.renumbering.numbers[text.index()] = distinct.len() as u32;
                distinct.push(text);
            }
        }
        let dictionary_bytes: usize = distinct.iter().map(|&text| table.bytes(text).len() + 4).sum();
        let repeats = distinct.len() * 2 <= texts.len() || distinct.len() <= 64;
        if !repeats || dictionary_bytes > DICTIONARY_BYTES_MAX {
            let mut blobs = Blobs::default();
            for &text in texts {
                blobs.push(table.bytes(text));
            }
            return (blobs.into_values(), TEXT_PAGE_ROWS);
        }
        let mut plain = Vec::new();
        for &text in &distinct {
            put_text(table.bytes(text), &mut plain);
        }
        let numbers = texts.iter().map(|text| self.renumbering.numbers[text.index()]).collect();
        (Values::Dictionary { numbers, distinct: distinct.len(), plain }, BLOCK_ROWS)
    }

    /// A column of few distinct numbers as their names.
    fn named(&mut self, numbers: &[i32], field: Intrinsic, name: impl Fn(i32) -> String) -> Column {
        let mut distinct: Vec<(i32, u64)> = Vec::new();
        let (mut plain, mut places) = (Vec::new(), Vec::with_capacity(numbers.len()));
        for (block, numbers) in numbers.chunks(BLOCK_ROWS).enumerate() {
            let mut noted = Vec::new();
            for &number in numbers {
                let place = distinct.iter().position(|&(known, _)| known == number).unwrap_or_else(|| {
                    let name = name(number);
                    put_text(name.as_bytes(), &mut plain);
                    distinct.push((number, intrinsic_pair_hash(field, &name)));
                    distinct.len() - 1
                });
                noted.resize(distinct.len(), false);
                if !std::mem::replace(&mut noted[place], true) {
                    self.pair_hashes[block].push(distinct[place].1);
                }
                places.push(place as u32);
            }
        }
        required(Values::Dictionary { numbers: places, distinct: distinct.len(), plain }, BLOCK_ROWS)
    }

    /// Notes the pairs that the texts of a column make with its key; `rows` are those of the values if not every row has one.
    fn note_texts(
        &mut self,
        key_hash: u64,
        rows: Option<&[u32]>,
        texts: &[TextId],
        value_hash: impl Fn(&TextTable, TextId) -> u64,
    ) {
        let mut block = usize::MAX;
        for (place, &text) in texts.iter().enumerate() {
            let row = rows.map_or(place, |rows| rows[place] as usize);
            if row / BLOCK_ROWS != block {
                block = row / BLOCK_ROWS;
                self.renumbering.begin();
            }
            if self.renumbering.is_new(text) {
                let value_hash = value_hash(&self.source.texts, text);
                self.pair_hashes[block].push(pair_hash(Level::Span, key_hash, value_hash));
            }
        }
    }

    /// Sorts the rows' attributes into their columns; those without a column are returned.
    fn collect_attributes(&mut self, rows: &[RowAt]) -> MapColumn {
        for column in &mut self.attributes {
            column.rows.clear();
            column.bits.clear();
        }
        let mut rest = MapColumn::of_rows();
        for (number, at) in rows.iter().enumerate() {
            if number.is_multiple_of(FETCHED_ROWS) {
                self.source.fetch(&rows[number..rows.len().min(number + FETCHED_ROWS)]);
            }
            let batch = self.source.batch(at);
            let mut first = Some(0);
            for index in batch.attribute_ranges.get(at.row as usize) {
                let (key, value) = (batch.attributes.keys[index], batch.attributes.values[index]);
                let common_key = self.source.text(at.batch, key);
                if !self.put_in_column(at.batch, number as u32, common_key, value) {
                    let hash = pair_hash(Level::Span, batch.text.hash(key), value.filter_hash(&batch.text, key));
                    self.pair_hashes[number / BLOCK_ROWS].push(hash);
                    rest.push_pair(first.take(), common_key, &batch.text, value);
                }
            }
            if first.is_some() {
                rest.push_no_list();
            }
        }
        rest
    }

    fn put_in_column(&mut self, batch: u32, row: u32, key: TextId, value: Value) -> bool {
        let number = self.column_of[key.index()];
        if number == NO_COLUMN {
            return false;
        }
        let column = &mut self.attributes[number as usize];
        if ColumnType::of(value) != Some(column.column_type) || column.rows.last() == Some(&row) {
            return false;
        }
        column.rows.push(row);
        column.bits.push(match value {
            Value::Str(text) | Value::Json(text) => self.source.text(batch, text).0.into(),
            Value::Int(value) => value,
            Value::Double(value) => value.to_bits() as i64,
            Value::Bool(value) => value.into(),
            Value::Bytes(_) | Value::Empty => unreachable!("no column holds bytes or nothing"),
        });
        true
    }

    /// The column of an attribute; its pairs are noted.
    fn attribute(&mut self, number: usize, row_count: usize) -> Column {
        let column = &mut self.attributes[number];
        let (rows, bits) = (std::mem::take(&mut column.rows), std::mem::take(&mut column.bits));
        let (column_type, key_hash, is_measure) = (column.column_type, column.key_hash, column.is_measure);
        let values = match column_type {
            ColumnType::String | ColumnType::Json => {
                let texts: Vec<TextId> = bits.iter().map(|&text| TextId(text as u32)).collect();
                self.note_texts(key_hash, Some(&rows), &texts, |table, text| {
                    if is_measure { filter_hash(A_MEASURE, table.str(text)) } else { table.hash(text) }
                });
                self.text_values(&texts).0
            }
            ColumnType::Int | ColumnType::Double if is_measure => {
                self.note_measures(key_hash, &rows);
                if column_type == ColumnType::Int { integers(bits, 8) } else { Values::Split(bits) }
            }
            ColumnType::Int => {
                self.note_scalars(key_hash, &rows, &bits, Value::Int);
                integers(bits, 8)
            }
            ColumnType::Double => {
                self.note_scalars(key_hash, &rows, &bits, |bits| Value::Double(f64::from_bits(bits as u64)));
                Values::Split(bits)
            }
            ColumnType::Bool => {
                self.note_scalars(key_hash, &rows, &bits, |bit| Value::Bool(bit != 0));
                Values::Bits(bits.into_iter().map(|bit| bit != 0).collect())
            }
        };
        optional(rows, values, row_count)
    }

    /// Notes the pairs that scalar values make with their key; each distinct value is written out and hashed once a group.
    fn note_scalars(&mut self, key_hash: u64, rows: &[u32], bits: &[i64], wrap: impl Fn(i64) -> Value) {
        let mut known: Distinct<(u64, usize)> = Distinct::default();
        for (&row, &value) in rows.iter().zip(bits) {
            let block = row as usize / BLOCK_ROWS;
            let (hash, noted) = known.entry(value, || {
                let hash = wrap(value).comparison_hash(&self.source.texts);
                (pair_hash(Level::Span, key_hash, hash), usize::MAX)
            });
            if *noted != block {
                *noted = block;
                self.pair_hashes[block].push(*hash);
            }
        }
    }

    /// Notes that blocks have numbers under the key of a measure.
    fn note_measures(&mut self, key_hash: u64, rows: &[u32]) {
        for rows in rows.chunk_by(|a, b| *a as usize / BLOCK_ROWS == *b as usize / BLOCK_ROWS) {
            self.pair_hashes[rows[0] as usize / BLOCK_ROWS].push(pair_hash(Level::Span, key_hash, MEASURED));
        }
    }

    /// The two columns of a map.
    fn map(&mut self, map: MapColumn) -> [Column; 2] {
        let (keys, _) = self.text_values(&map.keys);
        let MapColumn { key_levels, value_levels, values, .. } = map;
        [key_levels.into_column(keys, BLOCK_ROWS), value_levels.into_column(values.into_values(), PAGE_ROWS_MAX)]
    }

    /// Adds the attributes of an item that begins at `repetition`, and notes their pairs.
    fn put_item(&mut self, item: Item<'_>, repetition: u8, map: &mut MapColumn) {
        let Item { level, at, block, pool, range } = item;
        if range.is_empty() {
            return map.push_nothing(repetition);
        }
        let batch = self.source.batch(at);
        let mut first = Some(repetition);
        for index in range {
            let (key, value) = (pool.keys[index], pool.values[index]);
            let hash = pair_hash(level, batch.text.hash(key), value.filter_hash(&batch.text, key));
            self.pair_hashes[block].push(hash);
            map.push_pair(first.take(), self.source.text(at.batch, key), &batch.text, value);
        }
    }

    fn events(&mut self, rows: &[RowAt]) -> Vec<Column> {
        let source = self.source;
        // Fields that every item has share their levels.
        let mut levels = Levels::default();
        let (mut times, mut names, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        let mut map = MapColumn::of_items();
        for (number, at) in rows.iter().enumerate() {
            let (batch, block) = (source.batch(at), number / BLOCK_ROWS);
            let events = batch.event_ranges.get(at.row as usize);
            if events.is_empty() {
                levels.push(0, 0);
                map.push_no_list();
            }
            for (place, event) in events.enumerate() {
                let repetition = u8::from(place > 0);
                levels.push(repetition, 2);
                times.push(batch.events.time_unix_nano[event] as i64);
                let name = batch.events.names[event];
                let hash = pair_hash(Level::Span, Intrinsic::EventName.key_hash(), batch.text.hash(name));
                self.pair_hashes[block].push(hash);
                names.push(source.text(at.batch, name));
                dropped.push(batch.events.dropped_attributes_counts[event].into());
                let (pool, range) = (&batch.events.attributes, batch.events.attribute_ranges.get(event));
                self.put_item(Item { level: Level::Event, at, block, pool, range }, repetition, &mut map);
            }
        }
        let (names, _) = self.text_values(&names);
        let [keys, values] = self.map(map);
        vec![
            levels.clone().into_column(Values::Delta(times), BLOCK_ROWS),
            levels.clone().into_column(names, BLOCK_ROWS),
            keys,
            values,
            levels.into_column(integers(dropped, 4), BLOCK_ROWS),
        ]
    }

    fn links(&mut self, rows: &[RowAt]) -> Vec<Column> {
        let source = self.source;
        // Fields that every item has share their levels.
        let (mut levels, mut state_levels) = (Levels::default(), Levels::default());
        let (mut traces, mut spans, mut states) = (Vec::new(), Vec::new(), Vec::new());
        let (mut flags, mut dropped) = (Vec::new(), Vec::new());
        let mut map = MapColumn::of_items();
        for (number, at) in rows.iter().enumerate() {
            let (batch, block) = (source.batch(at), number / BLOCK_ROWS);
            let links = batch.link_ranges.get(at.row as usize);
            if links.is_empty() {
                levels.push(0, 0);
                state_levels.push(0, 0);
                map.push_no_list();
            }
            for (place, link) in links.enumerate() {
                let repetition = u8::from(place > 0);
                levels.push(repetition, 2);
                let state = batch.links.trace_states[link];
                state_levels.push(repetition, if state == TextId::EMPTY { 2 } else { 3 });
                if state != TextId::EMPTY {
                    states.push(source.text(at.batch, state));
                }
                traces.extend_from_slice(&batch.links.trace_ids[link].0);
                spans.extend_from_slice(&batch.links.span_ids[link].0);
                flags.push(batch.links.flags[link].into());
                dropped.push(batch.links.dropped_attributes_counts[link].into());
                let (pool, range) = (&batch.links.attributes, batch.links.attribute_ranges.get(link));
                self.put_item(Item { level: Level::Link, at, block, pool, range }, repetition, &mut map);
            }
        }
        let (states, _) = self.text_values(&states);
        let [keys, values] = self.map(map);
        vec![
            levels.clone().into_column(Values::Fixed { width: 16, bytes: traces }, PAGE_ROWS_MAX),
            levels.clone().into_column(Values::Fixed { width: 8, bytes: spans }, PAGE_ROWS_MAX),
            state_levels.into_column(states, BLOCK_ROWS),
            levels.clone().into_column(integers(flags, 4), BLOCK_ROWS),
            keys,
            values,
            levels.into_column(integers(dropped, 4), BLOCK_ROWS),
        ]
    }
}

/// An event or a link: whose attributes they are, and where.
struct Item<'a> {
    level: Level,
    at: &'a RowAt,
    block: usize,
    pool: &'a Attributes,
    range: std::ops::Range<usize>,
}

/// Numbers with the rows that have one.
#[derive(Debug, Default)]
struct Sparse {
    rows: Vec<u32>,
    values: Vec<i64>,
}

impl Sparse {
    fn push(&mut self, row: u32, value: i64) {
        self.rows.push(row);
        self.values.push(value);
    }
}

/// Finds a span of a trace by its id: by looking back a little, else in a table.
struct Family<'a> {
    group: &'a [RowAt],
    places: HashTable<u32>,
}

/// So many rows before a span are looked at one by one.
const NEAR: usize = 16;

impl<'a> Family<'a> {
    fn new(group: &'a [RowAt]) -> Self {
        let mut places = HashTable::new();
        if group.len() > NEAR {
            for place in 0..group.len() as u32 {
                let id = group[place as usize].span.span_id;
                places.insert_unique(id_hash(id), place, |&other| id_hash(group[other as usize].span.span_id));
            }
        }
        Family { group, places }
    }

    fn place_of(&self, id: model::SpanId, from: usize) -> Option<usize> {
        let is = |place: usize| self.group[place].span.span_id == id;
        let near = (from.saturating_sub(NEAR)..from).rev().find(|&place| is(place));
        if near.is_some() || self.group.len() <= NEAR {
            return near.or_else(|| (0..self.group.len()).find(|&place| is(place)));
        }
        self.places.find(id_hash(id), |&place| is(place as usize)).map(|&place| place as usize)
    }
}

fn id_hash(id: model::SpanId) -> u64 {
    u64::from_le_bytes(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

fn required(values: Values, page_rows: usize) -> Column {
    Column { presence: Presence::Required, values, page_rows, bounds: None }
}

/// A column that not every row has a value in: the fewer, the more rows a page has.
fn optional(present: Vec<u32>, values: Values, rows: usize) -> Column {
    let dense = match values {
        Values::Dictionary { .. } => BLOCK_ROWS,
        Values::Texts { .. } => TEXT_PAGE_ROWS,
        _ => PAGE_ROWS_MAX,
    };
    let sparseness = (rows / present.len().max(1)).next_power_of_two();
    let page_rows = (dense * sparseness).clamp(dense, SPARSE_PAGE_ROWS);
    Column { presence: Presence::Rows(present), values, page_rows, bounds: None }
}
