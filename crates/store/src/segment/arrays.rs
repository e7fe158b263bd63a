//! Turning a chunk of rows into Arrow arrays, and noting on the way which `key = value` pairs the chunk holds.
//!
//! Texts reach Parquet as numbers into one list of distinct texts a chunk, so that no text is compared or hashed here.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeBinaryBuilder, Int32Builder, ListBuilder, MapBuilder, MapFieldNames, StringBuilder, StructBuilder,
    TimestampNanosecondBuilder, UInt32Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampNanosecondArray, UInt32Array,
};
use model::attributes::pair_hash;
use model::nested::NestedWriter;
use model::{Attributes, Level, SpanBatch, SpanKind, StatusCode, TextId, TextTable, Value};

use crate::segment::layout::{AttributeColumn, ColumnType, event_fields, link_fields};
use crate::segment::source::{Intrinsic, RowAt, SealSource};

/// A column number that stands for "no column of its own".
const NO_COLUMN: u32 = u32::MAX;

/// The distinct texts of a chunk and their numbers.
#[derive(Debug)]
struct ChunkTexts {
    /// For each common text, the chunk in which it was last seen.
    stamps: Vec<u32>,
    /// For each common text, its number in that chunk.
    numbers: Vec<i32>,
    chunk: u32,
    distinct: Vec<TextId>,
}

impl ChunkTexts {
    fn number(&mut self, text: TextId) -> i32 {
        let at = text.index();
        if self.stamps[at] != self.chunk {
            self.stamps[at] = self.chunk;
            self.numbers[at] = self.distinct.len() as i32;
            self.distinct.push(text);
        }
        self.numbers[at]
    }
}

/// Values of one attribute column in a chunk.
#[derive(Debug)]
struct Values {
    column_type: ColumnType,
    key_hash: u64,
    /// The row each value belongs to, ascending.
    rows: Vec<u32>,
    /// Numbers of texts, integers, the bits of doubles, or 0 and 1.
    bits: Vec<i64>,
}

/// Builds the arrays of one chunk after another.
#[derive(Debug)]
pub(crate) struct ChunkBuilder<'a> {
    source: &'a SealSource<'a>,
    /// For each common text that is a key, its column.
    column_of: Vec<u32>,
    columns: Vec<Values>,
    texts: ChunkTexts,
    pub(crate) pair_hashes: Vec<u64>,
    seen_scalars: HashSet<(u32, i64)>,
    seen_texts: Vec<u32>,
    json: NestedWriter,
}

impl<'a> ChunkBuilder<'a> {
    pub(crate) fn new(source: &'a SealSource<'a>, columns: &[AttributeColumn]) -> Self {
        let mut column_of = vec![NO_COLUMN; source.texts.len()];
        let mut values = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            let key = source.texts.find(column.key.as_bytes()).expect("columns are chosen among the texts");
            column_of[key.index()] = number as u32;
            values.push(Values {
                column_type: column.column_type,
                key_hash: source.texts.hash(key),
                rows: Vec::new(),
                bits: Vec::new(),
            });
        }
        let count = source.texts.len();
        let texts = ChunkTexts { stamps: vec![0; count], numbers: vec![0; count], chunk: 0, distinct: Vec::new() };
        ChunkBuilder {
            source,
            column_of,
            columns: values,
            texts,
            pair_hashes: Vec::new(),
            seen_scalars: HashSet::new(),
            seen_texts: Vec::new(),
            json: NestedWriter::default(),
        }
    }

    /// The arrays of a chunk, in the order of [`crate::segment::layout::spans_schema`]. `scope_ids` are the rows' scopes in the segment.
    pub(crate) fn build(&mut self, rows: &[RowAt], scope_ids: &[u32]) -> Vec<ArrayRef> {
        self.texts.chunk += 1;
        self.texts.distinct.clear();
        self.pair_hashes.clear();
        let mut texts = Vec::new();
        texts.push(self.text_column(rows, |batch, row| {
            Some(batch.resources[batch.scopes[batch.rows[row].scope as usize].resource as usize].service_name)
        }));
        texts.push(self.text_column(rows, |batch, row| Some(batch.rows[row].name)));
        texts.push(self.text_column(rows, |batch, row| non_empty(batch.rows[row].status_message)));
        texts.push(self.text_column(rows, |batch, row| non_empty(batch.rows[row].trace_state)));
        self.note_texts(Intrinsic::Name.key_hash(), &texts[1]);
        let rest = self.attribute_columns(rows);
        let (events, links) = (self.events(rows), self.links(rows));
        let (kinds, statuses) = (self.kinds(rows), self.statuses(rows));
        let values = self.chunk_texts();
        let dictionary = |keys: Vec<Option<i32>>| -> ArrayRef {
            let keys = Int32Array::from(keys);
            Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(&values)))
        };
        let mut texts = texts.into_iter().map(dictionary);
        let mut next_text = || texts.next().expect("four text columns were built");
        let (service, name, message, state) = (next_text(), next_text(), next_text(), next_text());
        let mut arrays = self.fixed_arrays(rows);
        arrays.extend([service, name, kinds, statuses, message]);
        arrays.push(Arc::new(UInt32Array::from(scope_ids.to_vec())));
        arrays.push(state);
        arrays.extend(self.number_arrays(rows));
        for number in 0..self.columns.len() {
            arrays.push(self.attribute_array(number, rows.len(), &values));
        }
        arrays.extend([rest, events, links]);
        arrays
    }

    fn fixed_arrays(&self, rows: &[RowAt]) -> Vec<ArrayRef> {
        let spans = || rows.iter().map(|&at| self.source.row(at));
        let mut trace_ids = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
        let mut span_ids = FixedSizeBinaryBuilder::with_capacity(rows.len(), 8);
        let mut parents = FixedSizeBinaryBuilder::with_capacity(rows.len(), 8);
        for span in spans() {
            trace_ids.append_value(span.trace_id.0).expect("trace ids have 16 bytes");
            span_ids.append_value(span.span_id.0).expect("span ids have 8 bytes");
            if span.parent_span_id.is_zero() {
                parents.append_null();
            } else {
                parents.append_value(span.parent_span_id.0).expect("span ids have 8 bytes");
            }
        }
        let starts = TimestampNanosecondArray::from_iter_values(spans().map(|span| span.start_unix_nano as i64));
        let durations = spans().map(|span| span.end_unix_nano.wrapping_sub(span.start_unix_nano) as i64);
        vec![
            Arc::new(trace_ids.finish()),
            Arc::new(span_ids.finish()),
            Arc::new(parents.finish()),
            Arc::new(starts.with_timezone("UTC")),
            Arc::new(Int64Array::from_iter_values(durations)),
        ]
    }

    fn number_arrays(&self, rows: &[RowAt]) -> Vec<ArrayRef> {
        let column = |pick: fn(&model::SpanRow) -> u32| -> ArrayRef {
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|&at| pick(self.source.row(at)))))
        };
        vec![
            column(|row| row.flags),
            column(|row| row.dropped_attributes_count),
            column(|row| row.dropped_events_count),
            column(|row| row.dropped_links_count),
            column(|row| u32::from(row.notes)),
        ]
    }

    fn kinds(&mut self, rows: &[RowAt]) -> ArrayRef {
        let numbers: Vec<i32> = rows.iter().map(|&at| self.source.row(at).kind).collect();
        self.named(&numbers, Intrinsic::Kind, |kind| SpanKind(kind).to_string())
    }

    fn statuses(&mut self, rows: &[RowAt]) -> ArrayRef {
        let numbers: Vec<i32> = rows.iter().map(|&at| self.source.row(at).status_code).collect();
        self.named(&numbers, Intrinsic::Status, |code| StatusCode(code).to_string())
    }

    /// A column of few distinct numbers as their names.
    fn named(&mut self, numbers: &[i32], field: Intrinsic, name: impl Fn(i32) -> String) -> ArrayRef {
        let mut distinct: Vec<i32> = Vec::new();
        let mut keys = Int32Builder::with_capacity(numbers.len());
        for &number in numbers {
            let place = distinct.iter().position(|&known| known == number).unwrap_or_else(|| {
                distinct.push(number);
                distinct.len() - 1
            });
            keys.append_value(place as i32);
        }
        let names: Vec<String> = distinct.into_iter().map(name).collect();
        let hashes = names.iter().map(|name| crate::segment::source::intrinsic_pair_hash(field, name));
        self.pair_hashes.extend(hashes);
        Arc::new(DictionaryArray::<Int32Type>::new(keys.finish(), Arc::new(StringArray::from(names))))
    }

    fn text_column(&mut self, rows: &[RowAt], pick: impl Fn(&SpanBatch, usize) -> Option<TextId>) -> Vec<Option<i32>> {
        let number = |&at: &RowAt| {
            let text = pick(self.source.batch(at), at.row as usize)?;
            Some(self.texts.number(self.source.text(at.batch, text)))
        };
        rows.iter().map(number).collect()
    }

    /// Notes the pairs that the distinct texts of a column make with its key.
    fn note_texts(&mut self, key_hash: u64, numbers: &[Option<i32>]) {
        self.seen_texts.clear();
        self.seen_texts.resize(self.texts.distinct.len(), 0);
        for &number in numbers.iter().flatten() {
            let seen = &mut self.seen_texts[number as usize];
            if *seen == 0 {
                *seen = 1;
                let hash = self.source.texts.hash(self.texts.distinct[number as usize]);
                self.pair_hashes.push(pair_hash(Level::Span, key_hash, hash));
            }
        }
    }

    /// Sorts the rows' attributes into their columns; the array of those without a column is returned.
    fn attribute_columns(&mut self, rows: &[RowAt]) -> ArrayRef {
        for column in &mut self.columns {
            column.rows.clear();
            column.bits.clear();
        }
        let mut rest = map_builder();
        for (number, &at) in rows.iter().enumerate() {
            let batch = self.source.batch(at);
            let mut others = false;
            for index in batch.attribute_ranges.get(at.row as usize) {
                let (key, value) = (batch.attributes.keys[index], batch.attributes.values[index]);
                if !self.put_in_column(at.batch, number as u32, key, value) {
                    self.put_in_map(Level::Span, &batch.text, (key, value), &mut rest);
                    others = true;
                }
            }
            rest.append(others).expect("as many keys as values were appended");
        }
        self.note_columns();
        Arc::new(rest.finish())
    }

    fn put_in_column(&mut self, batch: u32, row: u32, key: TextId, value: Value) -> bool {
        let number = self.column_of[self.source.text(batch, key).index()];
        if number == NO_COLUMN {
            return false;
        }
        let column = &mut self.columns[number as usize];
        if ColumnType::of(value) != Some(column.column_type) || column.rows.last() == Some(&row) {
            return false;
        }
        column.rows.push(row);
        column.bits.push(match value {
            Value::Str(text) | Value::Json(text) => self.texts.number(self.source.text(batch, text)).into(),
            Value::Int(value) => value,
            Value::Double(value) => value.to_bits() as i64,
            Value::Bool(value) => value.into(),
            Value::Bytes(_) | Value::Empty => unreachable!("no column holds bytes or nothing"),
        });
        true
    }

    /// Notes the pairs of all attribute columns.
    fn note_columns(&mut self) {
        let columns = std::mem::take(&mut self.columns);
        for (number, column) in columns.iter().enumerate() {
            match column.column_type {
                ColumnType::String | ColumnType::Json => {
                    let numbers: Vec<Option<i32>> = column.bits.iter().map(|&value| Some(value as i32)).collect();
                    self.note_texts(column.key_hash, &numbers);
                }
                scalar => self.note_scalars(number as u32, column, scalar),
            }
        }
        self.columns = columns;
    }

    fn note_scalars(&mut self, number: u32, column: &Values, scalar: ColumnType) {
        self.seen_scalars.clear();
        for &bits in &column.bits {
            if self.seen_scalars.insert((number, bits)) {
                let value = match scalar {
                    ColumnType::Int => Value::Int(bits),
                    ColumnType::Double => Value::Double(f64::from_bits(bits as u64)),
                    _ => Value::Bool(bits != 0),
                };
                let hash = value.comparison_hash(&self.source.texts);
                self.pair_hashes.push(pair_hash(Level::Span, column.key_hash, hash));
            }
        }
    }

    fn put_in_map(&mut self, level: Level, texts: &TextTable, pair: (TextId, Value), map: &mut AttributeMap) {
        let (key, value) = pair;
        self.pair_hashes.push(pair_hash(level, texts.hash(key), value.comparison_hash(texts)));
        append_pair(map, &mut self.json, texts, key, value);
    }

    fn attribute_array(&self, number: usize, rows: usize, texts: &ArrayRef) -> ArrayRef {
        let column = &self.columns[number];
        let spread = || {
            let mut dense: Vec<Option<i64>> = vec![None; rows];
            for (&row, &value) in column.rows.iter().zip(&column.bits) {
                dense[row as usize] = Some(value);
            }
            dense.into_iter()
        };
        match column.column_type {
            ColumnType::String | ColumnType::Json => {
                let keys: Int32Array = spread().map(|value| value.map(|value| value as i32)).collect();
                Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(texts)))
            }
            ColumnType::Int => Arc::new(spread().collect::<Int64Array>()),
            ColumnType::Double => {
                let values = spread().map(|value| value.map(|bits| f64::from_bits(bits as u64)));
                Arc::new(values.collect::<Float64Array>())
            }
            ColumnType::Bool => Arc::new(spread().map(|value| value.map(|bit| bit != 0)).collect::<BooleanArray>()),
        }
    }

    fn chunk_texts(&self) -> ArrayRef {
        let texts = self.texts.distinct.iter().map(|&text| self.source.texts.str(text));
        Arc::new(StringArray::from_iter_values(texts))
    }

    fn events(&mut self, rows: &[RowAt]) -> ArrayRef {
        let builders: Vec<Box<dyn arrow_array::builder::ArrayBuilder>> = vec![
            Box::new(TimestampNanosecondBuilder::new().with_timezone("UTC")),
            Box::new(StringBuilder::new()),
            Box::new(map_builder()),
            Box::new(UInt32Builder::new()),
        ];
        let mut list =
            ListBuilder::new(StructBuilder::new(event_fields(), builders)).with_field(element(event_fields()));
        for &at in rows {
            let batch = self.source.batch(at);
            let range = batch.event_ranges.get(at.row as usize);
            let any = !range.is_empty();
            for event in range {
                self.event(batch, event, list.values());
            }
            list.append(any);
        }
        Arc::new(list.finish())
    }

    fn event(&mut self, batch: &SpanBatch, event: usize, out: &mut StructBuilder) {
        const FIELDS: &str = "the builders are those of the fields";
        let events = &batch.events;
        let times: &mut TimestampNanosecondBuilder = out.field_builder(0).expect(FIELDS);
        times.append_value(events.time_unix_nano[event] as i64);
        let name = events.names[event];
        self.pair_hashes.push(pair_hash(Level::Span, Intrinsic::EventName.key_hash(), batch.text.hash(name)));
        out.field_builder::<StringBuilder>(1).expect(FIELDS).append_value(batch.text.str(name));
        let map = out.field_builder(2).expect(FIELDS);
        self.owned_map(Level::Event, batch, &events.attributes, events.attribute_ranges.get(event), map);
        out.field_builder::<UInt32Builder>(3).expect(FIELDS).append_value(events.dropped_attributes_counts[event]);
        out.append(true);
    }

    fn links(&mut self, rows: &[RowAt]) -> ArrayRef {
        let builders: Vec<Box<dyn arrow_array::builder::ArrayBuilder>> = vec![
            Box::new(FixedSizeBinaryBuilder::new(16)),
            Box::new(FixedSizeBinaryBuilder::new(8)),
            Box::new(StringBuilder::new()),
            Box::new(UInt32Builder::new()),
            Box::new(map_builder()),
            Box::new(UInt32Builder::new()),
        ];
        let mut list = ListBuilder::new(StructBuilder::new(link_fields(), builders)).with_field(element(link_fields()));
        for &at in rows {
            let batch = self.source.batch(at);
            let range = batch.link_ranges.get(at.row as usize);
            let any = !range.is_empty();
            for link in range {
                self.link(batch, link, list.values());
            }
            list.append(any);
        }
        Arc::new(list.finish())
    }

    fn link(&mut self, batch: &SpanBatch, link: usize, out: &mut StructBuilder) {
        const FIELDS: &str = "the builders are those of the fields";
        const WIDTH: &str = "ids have the width of their columns";
        let links = &batch.links;
        let trace_ids: &mut FixedSizeBinaryBuilder = out.field_builder(0).expect(FIELDS);
        trace_ids.append_value(links.trace_ids[link].0).expect(WIDTH);
        let span_ids: &mut FixedSizeBinaryBuilder = out.field_builder(1).expect(FIELDS);
        span_ids.append_value(links.span_ids[link].0).expect(WIDTH);
        let state = non_empty(links.trace_states[link]).map(|state| batch.text.str(state));
        out.field_builder::<StringBuilder>(2).expect(FIELDS).append_option(state);
        out.field_builder::<UInt32Builder>(3).expect(FIELDS).append_value(links.flags[link]);
        let map = out.field_builder(4).expect(FIELDS);
        self.owned_map(Level::Link, batch, &links.attributes, links.attribute_ranges.get(link), map);
        out.field_builder::<UInt32Builder>(5).expect(FIELDS).append_value(links.dropped_attributes_counts[link]);
        out.append(true);
    }

    fn owned_map(
        &mut self,
        level: Level,
        batch: &SpanBatch,
        pool: &Attributes,
        range: std::ops::Range<usize>,
        map: &mut AttributeMap,
    ) {
        let any = !range.is_empty();
        for index in range {
            self.put_in_map(level, &batch.text, (pool.keys[index], pool.values[index]), map);
        }
        map.append(any).expect("as many keys as values were appended");
    }
}

/// Builds a map from keys to JSON texts.
pub(crate) type AttributeMap = MapBuilder<StringBuilder, StringBuilder>;

pub(crate) fn map_builder() -> AttributeMap {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
}

/// Appends one attribute to the map that is being built.
pub(crate) fn append_pair(
    map: &mut AttributeMap,
    json: &mut NestedWriter,
    texts: &TextTable,
    key: TextId,
    value: Value,
) {
    map.keys().append_value(texts.str(key));
    if let Value::Json(text) = value {
        map.values().append_value(texts.str(text));
        return;
    }
    json.clear();
    match value.resolve(texts) {
        model::ValueRef::Empty | model::ValueRef::Json(_) => json.empty(),
        model::ValueRef::Str(value) => json.str(value),
        model::ValueRef::Bool(value) => json.bool(value),
        model::ValueRef::Int(value) => json.int(value),
        model::ValueRef::Double(value) => json.double(value),
        model::ValueRef::Bytes(value) => json.bytes(value),
    }
    map.values().append_value(json.text());
}

fn element(fields: arrow_schema::Fields) -> Arc<arrow_schema::Field> {
    Arc::new(arrow_schema::Field::new("element", arrow_schema::DataType::Struct(fields), false))
}

fn non_empty(text: TextId) -> Option<TextId> {
    (text != TextId::EMPTY).then_some(text)
}

/// Fixed-width ids as an array.
pub(crate) fn id_array<const N: usize>(ids: impl Iterator<Item = [u8; N]>) -> ArrayRef {
    let mut builder = FixedSizeBinaryBuilder::new(N as i32);
    for id in ids {
        builder.append_value(id).expect("the ids have the width of the array");
    }
    let array: FixedSizeBinaryArray = builder.finish();
    Arc::new(array)
}
