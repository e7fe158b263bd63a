//! From Arrow arrays back to a [`SpanBatch`], with as much of each span as a projection asks for.

use std::collections::HashMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType, UInt32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, ListArray, MapArray, RecordBatch, StringArray};
use model::{
    Attributes, BatchMerger, Link, Nested, SpanBatch, SpanId, SpanKind, SpanRow, StatusCode, TextId, TextTable,
    TraceId, Value,
};

use crate::error::ReadError;
use crate::segment::layout::{ATTRIBUTE_PREFIX, AttributeColumn, ColumnType};
use crate::snapshot::{Projection, Wanted};

/// Whether a projection needs a top-level column.
pub(crate) fn is_projected(projection: &Projection, column: &str) -> bool {
    match column {
        "service" => false,
        "status_message" | "trace_state" | "flags" => projection.texts,
        "dropped_attributes_count" | "dropped_events_count" | "dropped_links_count" => projection.texts,
        "attributes" => !matches!(projection.attributes, Wanted::None),
        "events" => projection.events,
        "links" => projection.links,
        other => match other.strip_prefix(ATTRIBUTE_PREFIX) {
            Some(key) => projection.attributes.wants(key),
            None => true,
        },
    }
}

/// Collects rows of record batches into a span batch.
#[derive(Debug)]
pub(crate) struct RowReader<'a> {
    path: &'a Path,
    context: &'a SpanBatch,
    columns: &'a [AttributeColumn],
    projection: &'a Projection,
    out: SpanBatch,
    /// For each scope of the context, the scope of `out` it has become.
    scopes: Vec<Option<u32>>,
}

impl<'a> RowReader<'a> {
    /// `context` holds the segment's resources and scopes.
    pub(crate) fn new(
        path: &'a Path,
        context: &'a SpanBatch,
        columns: &'a [AttributeColumn],
        projection: &'a Projection,
    ) -> Self {
        let scopes = vec![None; context.scopes.len()];
        RowReader { path, context, columns, projection, out: SpanBatch::default(), scopes }
    }

    /// Merges the scopes that rows refer to, and all that `batches` hold.
    pub(crate) fn read(mut self, batches: &[RecordBatch]) -> Result<SpanBatch, ReadError> {
        let mut merger = BatchMerger::default();
        let mut source = model::Source::new(self.context);
        for batch in batches {
            for &scope in self.column(batch, "scope_id")?.as_primitive::<UInt32Type>().values() {
                let known = self.scopes.get_mut(scope as usize);
                let known = known.ok_or_else(|| ReadError::corrupt(self.path, "a span has an unknown scope"))?;
                if known.is_none() {
                    *known = Some(merger.scope(&mut source, scope));
                }
            }
        }
        self.out = merger.finish();
        for batch in batches {
            self.append(batch)?;
        }
        Ok(self.out)
    }

    fn column<'b>(&self, batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, ReadError> {
        batch.column_by_name(name).ok_or_else(|| ReadError::corrupt(self.path, format!("no column {name}")))
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<(), ReadError> {
        let rows = self.rows(batch)?;
        let columns = self.attribute_columns(batch)?;
        let rest = optional::<MapArray>(batch, "attributes");
        let events = optional::<ListArray>(batch, "events");
        let links = optional::<ListArray>(batch, "links");
        for (index, row) in rows.into_iter().enumerate() {
            for column in &columns {
                if let Some(value) = column.value(index) {
                    self.out.attributes.push(column.key, value);
                }
            }
            if let Some(map) = rest {
                read_map(self.path, map, index, &mut self.out.text, &mut self.out.attributes)?;
            }
            if let Some(list) = events {
                read_events(self.path, list, index, &mut self.out)?;
            }
            if let Some(list) = links {
                read_links(self.path, list, index, &mut self.out)?;
            }
            self.out.push_span(row);
        }
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<Vec<SpanRow>, ReadError> {
        let ids = |name| self.column(batch, name).map(AsArray::as_fixed_size_binary);
        let (trace_ids, span_ids, parents) = (ids("trace_id")?, ids("span_id")?, ids("parent_span_id")?);
        let starts = self.column(batch, "start_time")?.as_primitive::<TimestampNanosecondType>().values();
        let durations = self.column(batch, "duration_ns")?.as_primitive::<Int64Type>().values();
        let scopes = self.column(batch, "scope_id")?.as_primitive::<UInt32Type>().values();
        let notes = self.column(batch, "notes")?.as_primitive::<UInt32Type>().values();
        let names = texts(&mut self.out.text, batch, "name");
        let kinds = numbers(batch, "kind", |name| SpanKind::from_name(name).map(|kind| kind.0));
        let statuses = numbers(batch, "status", |name| StatusCode::from_name(name).map(|code| code.0));
        let messages = texts(&mut self.out.text, batch, "status_message");
        let states = texts(&mut self.out.text, batch, "trace_state");
        let counts = |name| batch.column_by_name(name).map(|column| column.as_primitive::<UInt32Type>().values());
        let [flags, attributes, events, links] =
            ["flags", "dropped_attributes_count", "dropped_events_count", "dropped_links_count"].map(counts);
        let row = |at: usize| SpanRow {
            trace_id: TraceId(id_at(trace_ids, at)),
            span_id: SpanId(id_at(span_ids, at)),
            parent_span_id: SpanId(id_at(parents, at)),
            start_unix_nano: starts[at] as u64,
            end_unix_nano: (starts[at] as u64).wrapping_add(durations[at] as u64),
            name: names.get(at).copied().unwrap_or_default(),
            kind: kinds.get(at).copied().unwrap_or_default(),
            status_code: statuses.get(at).copied().unwrap_or_default(),
            status_message: messages.get(at).copied().unwrap_or_default(),
            trace_state: states.get(at).copied().unwrap_or_default(),
            flags: flags.map_or(0, |values| values[at]),
            dropped_attributes_count: attributes.map_or(0, |values| values[at]),
            dropped_events_count: events.map_or(0, |values| values[at]),
            dropped_links_count: links.map_or(0, |values| values[at]),
            scope: self.scopes[scopes[at] as usize].unwrap_or_default(),
            notes: notes[at] as u8,
        };
        Ok((0..batch.num_rows()).map(row).collect())
    }

    fn attribute_columns(&mut self, batch: &RecordBatch) -> Result<Vec<Column>, ReadError> {
        let mut columns = Vec::new();
        for column in self.columns.iter().filter(|column| self.projection.attributes.wants(&column.key)) {
            let array = self.column(batch, &column.name())?;
            if array.null_count() == array.len() {
                continue;
            }
            let key = self.out.text.intern(column.key.as_bytes());
            columns.push(Column { key, values: column_values(&mut self.out.text, column.column_type, array) });
        }
        Ok(columns)
    }
}

/// The values of one attribute column of a record batch.
#[derive(Debug)]
struct Column {
    key: TextId,
    values: Vec<Option<Value>>,
}

impl Column {
    fn value(&self, row: usize) -> Option<Value> {
        self.values[row]
    }
}

fn column_values(text: &mut TextTable, column_type: ColumnType, array: &ArrayRef) -> Vec<Option<Value>> {
    let strings = |text: &mut TextTable, wrap: fn(TextId) -> Value| {
        let texts = array.as_string::<i32>().iter();
        texts.map(|value| value.map(|value| wrap(text.intern(value.as_bytes())))).collect()
    };
    match column_type {
        ColumnType::String => strings(text, Value::Str),
        ColumnType::Json => strings(text, Value::Json),
        ColumnType::Int => array.as_primitive::<Int64Type>().iter().map(|value| value.map(Value::Int)).collect(),
        ColumnType::Double => {
            array.as_primitive::<Float64Type>().iter().map(|value| value.map(Value::Double)).collect()
        }
        ColumnType::Bool => {
            let array: &BooleanArray = array.as_boolean();
            array.iter().map(|value| value.map(Value::Bool)).collect()
        }
    }
}

fn id_at<const N: usize>(ids: &FixedSizeBinaryArray, at: usize) -> [u8; N] {
    if ids.is_null(at) { [0; N] } else { ids.value(at).try_into().unwrap_or([0; N]) }
}

/// A text column as numbers into `text`; nothing if the column was not projected.
fn texts(text: &mut TextTable, batch: &RecordBatch, name: &str) -> Vec<TextId> {
    let Some(column) = optional::<StringArray>(batch, name) else { return Vec::new() };
    column.iter().map(|value| text.intern(value.unwrap_or_default().as_bytes())).collect()
}

/// A column of names as the numbers they stand for.
fn numbers(batch: &RecordBatch, name: &str, parse: impl Fn(&str) -> Option<i32>) -> Vec<i32> {
    let Some(column) = optional::<StringArray>(batch, name) else { return Vec::new() };
    let mut last = ("", 0);
    let number = |value| {
        if value != last.0 {
            last = (value, parse(value).unwrap_or_default());
        }
        last.1
    };
    column.iter().map(Option::unwrap_or_default).map(number).collect()
}

fn optional<'a, A: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Option<&'a A> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

/// Reads one row of a map column into a pool.
fn read_map(
    path: &Path,
    map: &MapArray,
    row: usize,
    text: &mut TextTable,
    pool: &mut Attributes,
) -> Result<(), ReadError> {
    let offsets = map.value_offsets();
    let (keys, values) = (map.keys().as_string::<i32>(), map.values().as_string::<i32>());
    for entry in offsets[row] as usize..offsets[row + 1] as usize {
        let key = text.intern(keys.value(entry).as_bytes());
        let value = parse_value(text, values.value(entry)).map_err(|error| ReadError::corrupt(path, error))?;
        pool.push(key, value);
    }
    Ok(())
}

/// Reads the JSON text of a value of the map column.
fn parse_value(text: &mut TextTable, json: &str) -> Result<Value, model::nested::NestedError> {
    Ok(match Nested::parse(json)? {
        Nested::Empty => Value::Empty,
        Nested::Bool(value) => Value::Bool(value),
        Nested::Int(value) => Value::Int(value),
        Nested::Double(value) => Value::Double(value),
        Nested::Str(value) => Value::Str(text.intern(value.as_bytes())),
        Nested::Bytes(value) => Value::Bytes(text.intern(&value)),
        Nested::Array(_) | Nested::Map(_) => Value::Json(text.intern(json.as_bytes())),
    })
}

fn read_events(path: &Path, list: &ListArray, row: usize, out: &mut SpanBatch) -> Result<(), ReadError> {
    let offsets = list.value_offsets();
    let events = list.values().as_struct();
    let times = events.column(0).as_primitive::<TimestampNanosecondType>();
    let names = events.column(1).as_string::<i32>();
    let maps = events.column(2).as_map();
    let dropped = events.column(3).as_primitive::<UInt32Type>();
    for event in offsets[row] as usize..offsets[row + 1] as usize {
        read_map(path, maps, event, &mut out.text, &mut out.events.attributes)?;
        let name = out.text.intern(names.value(event).as_bytes());
        out.events.push(times.value(event) as u64, name, dropped.value(event));
    }
    Ok(())
}

fn read_links(path: &Path, list: &ListArray, row: usize, out: &mut SpanBatch) -> Result<(), ReadError> {
    let offsets = list.value_offsets();
    let links = list.values().as_struct();
    let (trace_ids, span_ids) = (links.column(0).as_fixed_size_binary(), links.column(1).as_fixed_size_binary());
    let states = links.column(2).as_string::<i32>();
    let flags = links.column(3).as_primitive::<UInt32Type>();
    let maps = links.column(4).as_map();
    let dropped = links.column(5).as_primitive::<UInt32Type>();
    for link in offsets[row] as usize..offsets[row + 1] as usize {
        read_map(path, maps, link, &mut out.text, &mut out.links.attributes)?;
        let state = if states.is_null(link) { "" } else { states.value(link) };
        out.links.push(Link {
            trace_id: TraceId(id_at(trace_ids, link)),
            span_id: SpanId(id_at(span_ids, link)),
            trace_state: out.text.intern(state.as_bytes()),
            flags: flags.value(link),
            dropped_attributes_count: dropped.value(link),
        });
    }
    Ok(())
}

/// Reads `scopes.parquet` into a batch without spans.
pub(crate) fn read_scopes(path: &Path, batches: &[RecordBatch]) -> Result<SpanBatch, ReadError> {
    let mut out = SpanBatch::default();
    let mut resources: HashMap<u32, u32> = HashMap::new();
    for batch in batches {
        let missing = || ReadError::corrupt(path, "a column is missing");
        let strings = |name| optional::<StringArray>(batch, name).ok_or_else(missing);
        let maps = |name| optional::<MapArray>(batch, name).ok_or_else(missing);
        let counts = |name| {
            batch.column_by_name(name).map(|column| column.as_primitive::<UInt32Type>().values()).ok_or_else(missing)
        };
        let (names, versions, urls) = (strings("scope_name")?, strings("scope_version")?, strings("scope_schema_url")?);
        let (services, resource_urls) = (strings("service")?, strings("resource_schema_url")?);
        let (scope_maps, resource_maps) = (maps("scope_attributes")?, maps("resource_attributes")?);
        let (resource_ids, dropped) = (counts("resource_id")?, counts("scope_dropped_attributes_count")?);
        let resource_dropped = counts("resource_dropped_attributes_count")?;
        for row in 0..batch.num_rows() {
            let resource = if let Some(&known) = resources.get(&resource_ids[row]) {
                known
            } else {
                read_map(path, resource_maps, row, &mut out.text, &mut out.resource_attributes)?;
                let resource = model::Resource {
                    service_name: out.text.intern(services.value(row).as_bytes()),
                    attributes: 0..0,
                    dropped_attributes_count: resource_dropped[row],
                    schema_url: out.text.intern(resource_urls.value(row).as_bytes()),
                };
                let number = out.push_resource(resource);
                resources.insert(resource_ids[row], number);
                number
            };
            read_map(path, scope_maps, row, &mut out.text, &mut out.scope_attributes)?;
            let scope = model::Scope {
                resource,
                name: out.text.intern(names.value(row).as_bytes()),
                version: out.text.intern(versions.value(row).as_bytes()),
                attributes: 0..0,
                dropped_attributes_count: dropped[row],
                schema_url: out.text.intern(urls.value(row).as_bytes()),
            };
            out.push_scope(scope);
        }
    }
    Ok(out)
}
