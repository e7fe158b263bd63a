//! From columns back to a [`SpanBatch`], with as much of each span as a projection asks for.

pub(crate) mod logs;

use std::collections::HashMap;
use std::ops::Range;

use model::{
    Attributes, BatchMerger, Link, Nested, SpanBatch, SpanId, SpanKind, SpanRow, StatusCode, TextId, TextTable,
    TraceId, Value,
};

use crate::error::ReadError;
use crate::segment::layout::{AttributeColumn, ColumnType};
use crate::segment::leaf::{self, NestedLeaf};
use crate::segment::page::Damage;
use crate::segment::parquet_file::ParquetFile;
use crate::snapshot::{Fields, Projection, Wanted};

/// Reads rows of a segment.
#[derive(Debug)]
pub(crate) struct RowReader<'a> {
    pub(crate) spans: &'a ParquetFile,
    /// The segment's resources and scopes.
    pub(crate) context: &'a SpanBatch,
    pub(crate) columns: &'a [AttributeColumn],
    pub(crate) projection: &'a Projection,
    /// Ascending and disjoint.
    pub(crate) ranges: &'a [Range<usize>],
}

const NO_NAME: Damage = "a span without a name";

impl RowReader<'_> {
    /// Reads the rows.
    pub(crate) fn read(&self) -> Result<SpanBatch, ReadError> {
        let (mut out, scopes) = self.scopes()?;
        let rows = self.rows(&mut out.text, &scopes)?;
        let columns = self.attribute_columns(&mut out.text)?;
        let wants_rest = !matches!(self.projection.attributes, Wanted::None);
        let rest = if wants_rest { Some(self.map("attributes", 1)?) } else { None };
        let events = if self.projection.events { self.events()? } else { None };
        let links = if self.projection.links { self.links()? } else { None };
        for (index, row) in rows.into_iter().enumerate() {
            for column in &columns {
                if let Some(value) = column.values[index] {
                    out.attributes.push(column.key, value);
                }
            }
            let lists = Lists { rest: rest.as_ref(), events: events.as_ref(), links: links.as_ref() };
            lists.read_row(index, &mut out).map_err(|damage| self.spans.damaged(damage))?;
            out.push_span(row);
        }
        Ok(out)
    }

    /// A batch with the scopes that the rows refer to, and each row's scope in it.
    fn scopes(&self) -> Result<(SpanBatch, Vec<u32>), ReadError> {
        let ids = self.required_numbers("scope_id")?;
        let count = self.context.scopes.len();
        if ids.iter().any(|&id| id < 0 || id as usize >= count) {
            return Err(self.spans.damaged("a span has an unknown scope"));
        }
        if ids.len() >= count {
            // Many rows use most scopes, and copying all of them as they are is far cheaper than merging each.
            return Ok((self.context.clone(), ids.into_iter().map(|id| id as u32).collect()));
        }
        let mut merger = BatchMerger::default();
        let mut source = model::Source::new(self.context);
        let scopes = ids.into_iter().map(|id| merger.scope(&mut source, id as u32)).collect();
        Ok((merger.finish(), scopes))
    }

    fn rows(&self, text: &mut TextTable, scopes: &[u32]) -> Result<Vec<SpanRow>, ReadError> {
        let trace_ids: Vec<[u8; 16]> = self.ids("trace_id")?;
        let (starts, notes) = (self.required_numbers("start_time")?, self.required_numbers("notes")?);
        let mut rows: Vec<SpanRow> = Vec::with_capacity(scopes.len());
        for (at, &scope) in scopes.iter().enumerate() {
            rows.push(SpanRow {
                trace_id: TraceId(trace_ids[at]),
                start_unix_nano: starts[at] as u64,
                end_unix_nano: starts[at] as u64,
                scope,
                notes: notes[at] as u8,
                ..SpanRow::default()
            });
        }
        self.common_fields(text, &mut rows)?;
        if self.projection.texts {
            self.rare_fields(text, &mut rows)?;
        }
        Ok(rows)
    }

    /// Fields that every span has and a search may not need.
    fn common_fields(&self, text: &mut TextTable, rows: &mut [SpanRow]) -> Result<(), ReadError> {
        let Fields { ids, end, name, kind, status } = self.projection.fields;
        if ids {
            let spans: Vec<[u8; 8]> = self.ids("span_id")?;
            let parents = self.parents(&spans)?;
            for (row, (span, parent)) in rows.iter_mut().zip(spans.into_iter().zip(parents)) {
                (row.span_id, row.parent_span_id) = (SpanId(span), SpanId(parent));
            }
        }
        if end {
            for (row, duration) in rows.iter_mut().zip(self.required_numbers("duration_ns")?) {
                row.end_unix_nano = row.start_unix_nano.wrapping_add(duration as u64);
            }
        }
        if name {
            let names = self.texts("name", text)?.ok_or_else(|| self.spans.damaged(NO_NAME))?;
            for (row, name) in rows.iter_mut().zip(names) {
                row.name = name.unwrap_or_default();
            }
        }
        if kind {
            let kinds = self.named("kind", |name| SpanKind::from_name(name).map(|kind| kind.0))?;
            rows.iter_mut().zip(kinds).for_each(|(row, kind)| row.kind = kind);
        }
        if status {
            let statuses = self.named("status", |name| StatusCode::from_name(name).map(|code| code.0))?;
            rows.iter_mut().zip(statuses).for_each(|(row, code)| row.status_code = code);
        }
        Ok(())
    }

    /// The ids of the rows' parents: of those in the same segment only the distance in rows is stored.
    fn parents(&self, spans: &[[u8; 8]]) -> Result<Vec<[u8; 8]>, ReadError> {
        let mut parents: Vec<[u8; 8]> = self.ids("parent_span_id")?;
        let pages = self.spans.pages("parent_distance", self.ranges)?;
        let distances = leaf::numbers(&pages).map_err(|damage| self.spans.damaged(damage))?;
        let Some(distances) = distances else { return Ok(parents) };
        let rows: Vec<usize> = self.ranges.iter().cloned().flatten().collect();
        let mut elsewhere: Vec<(usize, usize)> = Vec::new();
        for (place, distance) in distances.into_iter().enumerate() {
            // The column has 32 bits with a sign.
            let Some(distance) = distance.map(|distance| distance as u32 as i32 as isize) else { continue };
            let near = place.checked_add_signed(-distance).filter(|&near| near < rows.len());
            let row = rows[place].checked_add_signed(-distance).filter(|&row| row < self.spans.row_count());
            let row = row.ok_or_else(|| self.spans.damaged("a parent outside the file"))?;
            match near.filter(|&near| rows[near] == row) {
                Some(near) => parents[place] = spans[near],
                None => elsewhere.push((row, place)),
            }
        }
        self.parents_elsewhere(elsewhere, &mut parents)?;
        Ok(parents)
    }

    /// Reads the ids of parents that lie in other rows than those that are being read.
    fn parents_elsewhere(&self, mut wanted: Vec<(usize, usize)>, parents: &mut [[u8; 8]]) -> Result<(), ReadError> {
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.sort_unstable();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for &(row, _) in &wanted {
            match ranges.last_mut() {
                Some(last) if row < last.end => {}
                Some(last) if row == last.end => last.end += 1,
                _ => ranges.push(row..row + 1),
            }
        }
        let pages = self.spans.pages("span_id", &ranges)?;
        let ids: Vec<[u8; 8]> = leaf::ids(&pages).map_err(|damage| self.spans.damaged(damage))?;
        let by_row: HashMap<usize, [u8; 8]> = ranges.into_iter().flatten().zip(ids).collect();
        for (row, place) in wanted {
            parents[place] = by_row.get(&row).copied().unwrap_or_default();
        }
        Ok(())
    }

    /// Fields that few spans have, and searches do not look at.
    fn rare_fields(&self, text: &mut TextTable, rows: &mut [SpanRow]) -> Result<(), ReadError> {
        for (name, field) in [
            ("status_message", (|row| &mut row.status_message) as fn(&mut SpanRow) -> &mut TextId),
            ("trace_state", |row| &mut row.trace_state),
        ] {
            for (row, value) in rows.iter_mut().zip(self.texts(name, text)?.into_iter().flatten()) {
                *field(row) = value.unwrap_or_default();
            }
        }
        for (name, field) in [
            ("flags", (|row| &mut row.flags) as fn(&mut SpanRow) -> &mut u32),
            ("dropped_attributes_count", |row| &mut row.dropped_attributes_count),
            ("dropped_events_count", |row| &mut row.dropped_events_count),
            ("dropped_links_count", |row| &mut row.dropped_links_count),
        ] {
            for (row, value) in rows.iter_mut().zip(self.required_numbers(name)?) {
                *field(row) = value as u32;
            }
        }
        Ok(())
    }

    fn texts(&self, name: &str, text: &mut TextTable) -> Result<Option<Vec<Option<TextId>>>, ReadError> {
        let pages = self.spans.pages(name, self.ranges)?;
        leaf::texts(&pages, text).map_err(|damage| self.spans.damaged(damage))
    }

    fn ids<const N: usize>(&self, name: &str) -> Result<Vec<[u8; N]>, ReadError> {
        let pages = self.spans.pages(name, self.ranges)?;
        leaf::ids(&pages).map_err(|damage| self.spans.damaged(damage))
    }

    fn required_numbers(&self, name: &str) -> Result<Vec<i64>, ReadError> {
        let pages = self.spans.pages(name, self.ranges)?;
        leaf::required_numbers(&pages).map_err(|damage| self.spans.damaged(damage))
    }

    /// A column of names as the numbers they stand for.
    fn named(&self, name: &str, parse: impl Fn(&str) -> Option<i32>) -> Result<Vec<i32>, ReadError> {
        let mut names = TextTable::default();
        let texts = self.texts(name, &mut names)?.unwrap_or_default();
        let number = |place: usize| parse(names.str(TextId(place as u32))).unwrap_or_default();
        let numbers: Vec<i32> = (0..names.len()).map(number).collect();
        Ok(texts.into_iter().map(|text| numbers[text.unwrap_or_default().index()]).collect())
    }

    fn attribute_columns(&self, text: &mut TextTable) -> Result<Vec<Column>, ReadError> {
        let mut columns = Vec::new();
        for column in self.columns.iter().filter(|column| self.projection.attributes.wants(&column.key)) {
            let pages = self.spans.pages(&column.name(), self.ranges)?;
            let values = column_values(&pages, column.column_type, text);
            if let Some(values) = values.map_err(|damage| self.spans.damaged(damage))? {
                columns.push(Column { key: text.intern(column.key.as_bytes()), values });
            }
        }
        Ok(columns)
    }

    fn leaf(&self, path: &str, as_numbers: bool) -> Result<NestedLeaf, ReadError> {
        let pages = self.spans.pages(path, self.ranges)?;
        NestedLeaf::read(&pages, as_numbers).map_err(|damage| self.spans.damaged(damage))
    }

    fn map(&self, path: &str, present: u8) -> Result<Map, ReadError> {
        let keys = self.leaf(&format!("{path}.key_value.key"), false)?;
        let values =
            if keys.is_empty() { NestedLeaf::default() } else { self.leaf(&format!("{path}.key_value.value"), false)? };
        Ok(Map::new(keys, values, present))
    }

    fn events(&self) -> Result<Option<Events>, ReadError> {
        let times = self.leaf("events.list.element.time", true)?;
        if times.is_empty() {
            return Ok(None);
        }
        Ok(Some(Events {
            items: Items::new(&times),
            times: times.numbers,
            names: self.leaf("events.list.element.name", false)?,
            dropped: self.leaf("events.list.element.dropped_attributes_count", true)?.numbers,
            attributes: self.map("events.list.element.attributes", 3)?,
        }))
    }

    fn links(&self) -> Result<Option<Links>, ReadError> {
        let trace_ids = self.leaf("links.list.element.trace_id", false)?;
        if trace_ids.is_empty() {
            return Ok(None);
        }
        Ok(Some(Links {
            items: Items::new(&trace_ids),
            trace_ids,
            span_ids: self.leaf("links.list.element.span_id", false)?,
            states: Optional::new(self.leaf("links.list.element.trace_state", false)?, 3),
            flags: self.leaf("links.list.element.flags", true)?.numbers,
            dropped: self.leaf("links.list.element.dropped_attributes_count", true)?.numbers,
            attributes: self.map("links.list.element.attributes", 3)?,
        }))
    }
}

/// The columns that are lists or maps, as far as they were projected and are not empty.
struct Lists<'a> {
    rest: Option<&'a Map>,
    events: Option<&'a Events>,
    links: Option<&'a Links>,
}

impl Lists<'_> {
    fn read_row(&self, row: usize, out: &mut SpanBatch) -> Result<(), Damage> {
        if let Some(map) = self.rest {
            map.read_row(row, &mut out.text, &mut out.attributes)?;
        }
        if let Some(events) = self.events {
            events.read_row(row, out)?;
        }
        self.links.map_or(Ok(()), |links| links.read_row(row, out))
    }
}

/// The values of one attribute column.
#[derive(Debug)]
struct Column {
    key: TextId,
    values: Vec<Option<Value>>,
}

fn column_values(
    pages: &[leaf::PageRows],
    column_type: ColumnType,
    text: &mut TextTable,
) -> Result<Option<Vec<Option<Value>>>, Damage> {
    let texts = |wrap: fn(TextId) -> Value, text: &mut TextTable| {
        let texts = leaf::texts(pages, text)?;
        Ok(texts.map(|texts| texts.into_iter().map(|text| text.map(wrap)).collect()))
    };
    let wrap: fn(i64) -> Value = match column_type {
        ColumnType::String => return texts(Value::Str, text),
        ColumnType::Json => return texts(Value::Json, text),
        ColumnType::Int => Value::Int,
        ColumnType::Double => |bits| Value::Double(f64::from_bits(bits as u64)),
        ColumnType::Bool => |bit| Value::Bool(bit != 0),
    };
    let numbers = leaf::numbers(pages)?;
    Ok(numbers.map(|numbers| numbers.into_iter().map(|number| number.map(wrap)).collect()))
}

/// Where the items of each row's list lie among all items.
#[derive(Debug)]
struct Items {
    starts: Vec<usize>,
}

/// The definition level of a field of a list's item: the list is there, and so is the item.
const ITEM: u8 = 2;

impl Items {
    /// From a field that every item has.
    fn new(field: &NestedLeaf) -> Self {
        let mut starts = vec![0];
        for row in field.entry_starts.windows(2) {
            let entries = &field.definition[row[0] as usize..row[1] as usize];
            let items: usize = entries.iter().map(|&level| usize::from(level == ITEM)).sum();
            starts.push(starts[starts.len() - 1] + items);
        }
        Items { starts }
    }

    fn of_row(&self, row: usize) -> Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }
}

/// A field that not every item has.
#[derive(Debug)]
struct Optional {
    leaf: NestedLeaf,
    /// For each item, the number of its value.
    places: Vec<Option<u32>>,
}

impl Optional {
    fn new(leaf: NestedLeaf, present: u8) -> Self {
        let mut values = 0;
        let mut places = Vec::new();
        for &level in leaf.definition.iter().filter(|&&level| level >= ITEM) {
            places.push((level == present).then_some(values));
            values += u32::from(level == present);
        }
        Optional { leaf, places }
    }

    fn value(&self, item: usize) -> Option<&[u8]> {
        self.leaf.value(self.places.get(item).copied().flatten()? as usize)
    }
}

/// Maps from keys to JSON texts, one an owner: a row, or an item of a list.
#[derive(Debug)]
struct Map {
    keys: NestedLeaf,
    values: NestedLeaf,
    /// Where each owner's pairs begin; one more than there are owners.
    starts: Vec<usize>,
}

impl Map {
    /// `present` is the definition level of a map that is there, which is one less than that of a key. Owners are rows when
    /// the map is a column, and items of a list when it lies within one.
    fn new(keys: NestedLeaf, values: NestedLeaf, present: u8) -> Self {
        let within_list = present > 1;
        let (mut starts, mut pairs) = (Vec::new(), 0);
        for (&repetition, &definition) in keys.repetition.iter().zip(&keys.definition) {
            let begins_owner = if within_list { repetition <= 1 && definition >= ITEM } else { repetition == 0 };
            if begins_owner {
                starts.push(pairs);
            }
            pairs += usize::from(definition > present);
        }
        starts.push(pairs);
        Map { keys, values, starts }
    }

    fn read_row(&self, owner: usize, text: &mut TextTable, pool: &mut Attributes) -> Result<(), Damage> {
        let (Some(&start), Some(&end)) = (self.starts.get(owner), self.starts.get(owner + 1)) else {
            return Err("fewer maps than rows");
        };
        for pair in start..end {
            let key = text.intern(self.keys.value(pair).ok_or("a pair without its key")?);
            let json = std::str::from_utf8(self.values.value(pair).ok_or("a key without its value")?);
            pool.push(key, parse_value(text, json.map_err(|_| "a value that is not UTF-8")?)?);
        }
        Ok(())
    }
}

/// Reads the JSON text of a value of a map column.
fn parse_value(text: &mut TextTable, json: &str) -> Result<Value, Damage> {
    Ok(match Nested::parse(json).map_err(|_| "a value that is not JSON")? {
        Nested::Empty => Value::Empty,
        Nested::Bool(value) => Value::Bool(value),
        Nested::Int(value) => Value::Int(value),
        Nested::Double(value) => Value::Double(value),
        Nested::Str(value) => Value::Str(text.intern(value.as_bytes())),
        Nested::Bytes(value) => Value::Bytes(text.intern(&value)),
        Nested::Array(_) | Nested::Map(_) => Value::Json(text.intern(json.as_bytes())),
    })
}

#[derive(Debug)]
struct Events {
    items: Items,
    times: Vec<i64>,
    names: NestedLeaf,
    dropped: Vec<i64>,
    attributes: Map,
}

const SHORT: Damage = "a list with fewer values than items";

impl Events {
    fn read_row(&self, row: usize, out: &mut SpanBatch) -> Result<(), Damage> {
        for item in self.items.of_row(row) {
            self.attributes.read_row(item, &mut out.text, &mut out.events.attributes)?;
            let name = out.text.intern(self.names.value(item).ok_or(SHORT)?);
            let (time, dropped) = (self.times.get(item).ok_or(SHORT)?, self.dropped.get(item).ok_or(SHORT)?);
            out.events.push(*time as u64, name, *dropped as u32);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Links {
    items: Items,
    trace_ids: NestedLeaf,
    span_ids: NestedLeaf,
    states: Optional,
    flags: Vec<i64>,
    dropped: Vec<i64>,
    attributes: Map,
}

impl Links {
    fn read_row(&self, row: usize, out: &mut SpanBatch) -> Result<(), Damage> {
        for item in self.items.of_row(row) {
            self.attributes.read_row(item, &mut out.text, &mut out.links.attributes)?;
            let link = Link {
                trace_id: self.trace_ids.value(item).and_then(TraceId::from_slice).ok_or(SHORT)?,
                span_id: self.span_ids.value(item).and_then(SpanId::from_slice).ok_or(SHORT)?,
                trace_state: out.text.intern(self.states.value(item).unwrap_or_default()),
                flags: *self.flags.get(item).ok_or(SHORT)? as u32,
                dropped_attributes_count: *self.dropped.get(item).ok_or(SHORT)? as u32,
            };
            out.links.push(link);
        }
        Ok(())
    }
}

/// Reads `scopes.parquet` into a batch without spans.
pub(crate) fn read_scopes(file: &ParquetFile) -> Result<SpanBatch, ReadError> {
    let mut out = SpanBatch::default();
    let all = 0..file.row_count();
    if all.is_empty() {
        return Ok(out);
    }
    let projection = Projection::default();
    let context = SpanBatch::default();
    let ranges = std::slice::from_ref(&all);
    let reader = RowReader { spans: file, context: &context, columns: &[], projection: &projection, ranges };
    let texts = |name: &str, text: &mut TextTable| {
        reader.texts(name, text).map(|texts| texts.unwrap_or_else(|| vec![None; all.len()]))
    };
    let names = texts("scope_name", &mut out.text)?;
    let versions = texts("scope_version", &mut out.text)?;
    let urls = texts("scope_schema_url", &mut out.text)?;
    let services = texts("service", &mut out.text)?;
    let resource_urls = texts("resource_schema_url", &mut out.text)?;
    let (scope_maps, resource_maps) = (reader.map("scope_attributes", 1)?, reader.map("resource_attributes", 1)?);
    let resource_ids = reader.required_numbers("resource_id")?;
    let dropped = reader.required_numbers("scope_dropped_attributes_count")?;
    let resource_dropped = reader.required_numbers("resource_dropped_attributes_count")?;
    let mut resources: HashMap<i64, u32> = HashMap::new();
    for row in all.clone() {
        let damaged = |damage| file.damaged(damage);
        let resource = if let Some(&known) = resources.get(&resource_ids[row]) {
            known
        } else {
            resource_maps.read_row(row, &mut out.text, &mut out.resource_attributes).map_err(damaged)?;
            let number = out.push_resource(model::Resource {
                service_name: services[row].unwrap_or_default(),
                attributes: 0..0,
                dropped_attributes_count: resource_dropped[row] as u32,
                schema_url: resource_urls[row].unwrap_or_default(),
            });
            resources.insert(resource_ids[row], number);
            number
        };
        scope_maps.read_row(row, &mut out.text, &mut out.scope_attributes).map_err(damaged)?;
        out.push_scope(model::Scope {
            resource,
            name: names[row].unwrap_or_default(),
            version: versions[row].unwrap_or_default(),
            attributes: 0..0,
            dropped_attributes_count: dropped[row] as u32,
            schema_url: urls[row].unwrap_or_default(),
        });
    }
    Ok(out)
}

/// Reads the links that rows carry: the trace and span linked to, and the trace and span that carry the link.
pub(crate) fn read_links(
    spans: &ParquetFile,
    ranges: &[Range<usize>],
) -> Result<Vec<[(TraceId, SpanId); 2]>, ReadError> {
    let (projection, context) = (Projection::default(), SpanBatch::default());
    let reader = RowReader { spans, context: &context, columns: &[], projection: &projection, ranges };
    let carriers: (Vec<[u8; 16]>, Vec<[u8; 8]>) = (reader.ids("trace_id")?, reader.ids("span_id")?);
    let linked =
        (reader.leaf("links.list.element.trace_id", false)?, reader.leaf("links.list.element.span_id", false)?);
    let items = Items::new(&linked.0);
    let id =
        |item| Some((TraceId(linked.0.value(item)?.try_into().ok()?), SpanId(linked.1.value(item)?.try_into().ok()?)));
    let mut links = Vec::new();
    for (row, (&trace, &span)) in carriers.0.iter().zip(&carriers.1).enumerate() {
        for item in items.of_row(row) {
            let linked = id(item).ok_or_else(|| spans.damaged("a link without its ids"))?;
            links.push([linked, (TraceId(trace), SpanId(span))]);
        }
    }
    Ok(links)
}
