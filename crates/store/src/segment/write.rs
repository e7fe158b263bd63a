//! Writing a segment: rows in order become Parquet files and an index, aside, synced, renamed.
//!
//! Step *seal*. Everything is written into a directory whose name ends in `.tmp`; `segment.json` comes last, then every file
//! and the directory are synced, and only then the directory gets its real name. A crash before that leaves rubbish that the
//! next start removes, and the WAL still has every span.

pub(crate) mod logs;

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use model::attributes::pair_hash;
use model::nested::NestedWriter;
use model::text::hash_text;
use model::{Attributes, BatchMerger, Level, Source, SpanBatch, StatusCode, TextId};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use xxhash_rust::xxh3::Xxh3;

use crate::catalog::{Catalog, Key, Operation};
use crate::disk::{Disk, WriteFile};
use crate::error::StoreError;
use crate::filenames;
use crate::options::{BLOCK_ROWS, ROW_GROUP_ROWS, ZSTD_LEVEL};
use crate::segment::arrays::{append_pair, map_builder};
use crate::segment::columns::choose_columns;
use crate::segment::encode::Encoder;
use crate::segment::group::GroupBuilder;
use crate::segment::index::{Block, BlockServices, IndexWriter};
use crate::segment::layout::{AttributeColumn, scopes_schema, small_properties, spans_properties, spans_schema};
use crate::segment::meta::{FileMeta, SegmentMeta};
use crate::segment::pieces::PieceHasher;
use crate::segment::row_table::Entry;
use crate::segment::source::{Intrinsic, RowAt, SealSource};
use crate::snapshot::ServiceBounds;

/// What is known of a segment before it is written.
#[derive(Debug, Clone)]
pub(crate) struct SegmentSpec {
    pub(crate) id: u64,
    pub(crate) day: String,
    /// WAL files whose records are in it; a higher number is newer.
    pub(crate) wal_first: u64,
    pub(crate) wal_last: u64,
    pub(crate) created_unix_nano: u64,
    /// About how much memory the spans take as batches.
    pub(crate) memory_bytes: u64,
    /// The segments it is merged from, if it is.
    pub(crate) merged_from: Vec<u64>,
}

/// A file that is hashed while it is written, as a whole and piece by piece.
struct Sink {
    file: Box<dyn WriteFile>,
    hash: Xxh3,
    pieces: PieceHasher,
    bytes: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.pieces.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A directory in which the files of a segment are made.
struct Aside<'a> {
    disk: &'a dyn Disk,
    directory: PathBuf,
    files: Vec<FileMeta>,
    /// For each file, in the order of `files`, the hashes of its pieces.
    pieces: Vec<Vec<u64>>,
}

impl Aside<'_> {
    fn create(&self, name: &str) -> Result<BufWriter<Sink>, StoreError> {
        let path = self.directory.join(name);
        let file = self.disk.create(&path).map_err(StoreError::io(path))?;
        Ok(BufWriter::with_capacity(
            256 << 10,
            Sink { file, hash: Xxh3::new(), pieces: PieceHasher::default(), bytes: 0 },
        ))
    }

    fn finish(&mut self, name: &str, writer: BufWriter<Sink>) -> Result<(), StoreError> {
        let path = self.directory.join(name);
        let mut sink = writer.into_inner().map_err(|error| StoreError::io(path.clone())(error.into_error()))?;
        sink.file.sync_data().map_err(StoreError::io(path))?;
        self.pieces.push(sink.pieces.finish());
        self.files.push(FileMeta {
            name: name.to_owned(),
            bytes: sink.bytes,
            xxh3: format!("{:016x}", sink.hash.digest()),
        });
        Ok(())
    }

    fn write_file(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut writer = self.create(name)?;
        writer.write_all(bytes).map_err(StoreError::io(self.directory.join(name)))?;
        self.finish(name, writer)
    }

    fn parquet(
        &mut self,
        name: &str,
        schema: &Arc<arrow_schema::Schema>,
        properties: WriterProperties,
        mut next: impl FnMut() -> Option<Vec<ArrayRef>>,
    ) -> Result<(), StoreError> {
        let path = self.directory.join(name);
        let failed = |error: parquet::errors::ParquetError| StoreError::io(&path)(io::Error::other(error));
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let sink = self.create(name)?;
        let mut writer = ArrowWriter::try_new_with_options(sink, Arc::clone(schema), options).map_err(failed)?;
        while let Some(arrays) = next() {
            let batch = RecordBatch::try_new(Arc::clone(schema), arrays).expect("the arrays are those of the schema");
            writer.write(&batch).map_err(failed)?;
        }
        let sink = writer.into_inner().map_err(failed)?;
        self.finish(name, sink)
    }
}

/// Writes a segment of `rows`, which are in their final order, and puts it in place. Returns its directory.
pub(crate) fn write_segment(
    disk: &dyn Disk,
    data: &Path,
    spec: &SegmentSpec,
    source: &SealSource<'_>,
    rows: &[RowAt],
) -> Result<PathBuf, StoreError> {
    let place = filenames::segment_directory(data, &spec.day, spec.id);
    in_place(disk, data, &spec.day, place, |aside| fill(aside, spec, source, rows))
}

/// Has a directory filled aside, and puts it in its place below a day, durably. Returns the place.
fn in_place(
    disk: &dyn Disk,
    data: &Path,
    day: &str,
    place: PathBuf,
    fill: impl FnOnce(&mut Aside<'_>) -> Result<(), StoreError>,
) -> Result<PathBuf, StoreError> {
    let directory = place.with_extension(&filenames::ASIDE[1..]);
    if disk.list(&directory).is_ok() {
        disk.remove_directory(&directory).map_err(StoreError::io(&directory))?;
    }
    disk.create_directories(&directory).map_err(StoreError::io(&directory))?;
    let mut aside = Aside { disk, directory: directory.clone(), files: Vec::new(), pieces: Vec::new() };
    let result = fill(&mut aside);
    if let Err(error) = result {
        if let Err(left) = disk.remove_directory(&directory) {
            tracing::warn!(error = %left, "an unfinished segment could not be removed; the next start does it");
        }
        return Err(error);
    }
    disk.sync_directory(&directory).map_err(StoreError::io(&directory))?;
    disk.rename(&directory, &place).map_err(StoreError::io(&place))?;
    let day = filenames::day_directory(data, day);
    let days = filenames::days_directory(data);
    for parent in [&day, &days] {
        disk.sync_directory(parent).map_err(StoreError::io(parent))?;
    }
    Ok(place)
}

fn fill(aside: &mut Aside<'_>, spec: &SegmentSpec, source: &SealSource<'_>, rows: &[RowAt]) -> Result<(), StoreError> {
    let contexts = Contexts::of(source, rows);
    let plan = choose_columns(source, rows);
    let mut index = IndexWriter::default();
    write_spans(aside, source, rows, &contexts, &plan.columns, &mut index)?;
    write_scopes(aside, &contexts.batch)?;
    index.traces = trace_entries(rows);
    index.links = link_entries(source, rows);
    let mut catalog = contexts.catalog(source, rows);
    catalog.keys.extend(plan.keys);
    catalog.bound();
    let traces = index.traces.len() as u64;
    let meta = meta_of(spec, rows, traces, index.blocks(), &plan.columns);
    let pieces = aside.files.iter().map(|file| file.name.as_str()).zip(&aside.pieces);
    let index = index.finish(&catalog, pieces);
    aside.write_file(filenames::INDEX, &index)?;
    let meta = SegmentMeta { files: std::mem::take(&mut aside.files), ..meta };
    aside.write_file(filenames::SEGMENT, &meta.to_bytes())
}

/// Writes `spans.parquet`, and notes the bounds and pairs of each block.
fn write_spans(
    aside: &mut Aside<'_>,
    source: &SealSource<'_>,
    rows: &[RowAt],
    contexts: &Contexts,
    columns: &[AttributeColumn],
    index: &mut IndexWriter,
) -> Result<(), StoreError> {
    let path = aside.directory.join(filenames::SPANS);
    let failed = |error: parquet::errors::ParquetError| StoreError::io(&path)(io::Error::other(error));
    let schema = ArrowSchemaConverter::new().convert(&spans_schema(columns)).map_err(failed)?;
    let sink = aside.create(filenames::SPANS)?;
    let properties = Arc::new(spans_properties());
    let mut writer = SerializedFileWriter::new(sink, schema.root_schema_ptr(), properties).map_err(failed)?;
    let mut builder = GroupBuilder::new(source, columns);
    let mut encoder = Encoder::new(ZSTD_LEVEL).map_err(StoreError::io(&path))?;
    for (rows, scope_ids) in rows.chunks(ROW_GROUP_ROWS).zip(contexts.scope_ids.chunks(ROW_GROUP_ROWS)) {
        let encoded = builder.build(rows, scope_ids, contexts.batch.scopes.len());
        let mut group = writer.next_row_group().map_err(failed)?;
        for (descriptor, column) in schema.columns().iter().zip(encoded) {
            let chunk = encoder.encode(descriptor, rows.len(), &column);
            group.append_column(&chunk.bytes, chunk.close).map_err(failed)?;
        }
        group.close().map_err(failed)?;
        let blocks = rows.chunks(BLOCK_ROWS).zip(scope_ids.chunks(BLOCK_ROWS));
        for ((rows, scope_ids), pair_hashes) in blocks.zip(&mut builder.pair_hashes) {
            contexts.note(scope_ids, pair_hashes);
            index.push_block(block_of(rows), &services_of(contexts, rows, scope_ids), pair_hashes);
        }
    }
    let sink = writer.into_inner().map_err(failed)?;
    aside.finish(filenames::SPANS, sink)
}

fn meta_of(
    spec: &SegmentSpec,
    rows: &[RowAt],
    traces: u64,
    blocks: &[Block],
    columns: &[AttributeColumn],
) -> SegmentMeta {
    SegmentMeta {
        format: crate::options::FORMAT_VERSION,
        id: spec.id,
        day: spec.day.clone(),
        wal_first: spec.wal_first,
        wal_last: spec.wal_last,
        created_unix_nano: spec.created_unix_nano,
        spans: rows.len() as u64,
        traces,
        start_min_unix_nano: blocks.iter().map(|block| block.start_min).min().unwrap_or(0),
        start_max_unix_nano: blocks.iter().map(|block| block.start_max).max().unwrap_or(0),
        memory_bytes: spec.memory_bytes,
        merged_from: spec.merged_from.clone(),
        columns: columns.to_vec(),
        files: Vec::new(),
    }
}

fn block_of(rows: &[RowAt]) -> Block {
    let mut block = Block::default();
    for at in rows {
        let row = &at.span;
        let duration_ns = row.end_unix_nano.saturating_sub(row.start_unix_nano);
        block.add(row.start_unix_nano, duration_ns, StatusCode(row.status_code) == StatusCode::ERROR);
    }
    block
}

/// Bounds of each service's rows.
fn services_of(contexts: &Contexts, rows: &[RowAt], scope_ids: &[u32]) -> BlockServices {
    let mut by_scope: Vec<Option<ServiceBounds>> = vec![None; contexts.services.len()];
    for (at, &scope) in rows.iter().zip(scope_ids) {
        let row = &at.span;
        let duration_ns = row.end_unix_nano.saturating_sub(row.start_unix_nano);
        let is_error = StatusCode(row.status_code) == StatusCode::ERROR;
        by_scope[scope as usize].get_or_insert(ServiceBounds::EMPTY).add(row.start_unix_nano, duration_ns, is_error);
    }
    let named = contexts.services.iter().zip(by_scope);
    let mut sorted: BlockServices =
        named.filter_map(|(&service, bounds)| bounds.map(|bounds| (service, bounds))).collect();
    sorted.sort_unstable_by_key(|(hash, _)| *hash);
    sorted.dedup_by(|other, first| {
        let is_same = other.0 == first.0;
        if is_same {
            first.1.merge(&other.1);
        }
        is_same
    });
    sorted
}

fn trace_entries(rows: &[RowAt]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut row = 0;
    for group in rows.chunk_by(|a, b| a.span.trace_id == b.span.trace_id) {
        let hash = hash_text(&group[0].span.trace_id.0);
        entries.push(Entry { hash, row, rows: group.len() as u32 });
        row += group.len() as u32;
    }
    entries
}

/// Each row that carries links, by the traces it links to.
fn link_entries(source: &SealSource<'_>, rows: &[RowAt]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (row, at) in (0..).zip(rows) {
        let batch = source.batch(at);
        let linked = &batch.links.trace_ids[batch.link_ranges.get(at.row as usize)];
        entries.extend(linked.iter().map(|id| Entry { hash: hash_text(&id.0), row, rows: 1 }));
    }
    entries
}

/// The resources and scopes of a segment.
struct Contexts {
    batch: SpanBatch,
    /// The scope of each row.
    scope_ids: Vec<u32>,
    /// For each scope, the hash of its service's name.
    services: Vec<u64>,
    /// For each scope, the `key = value` hashes it and its resource give to every span.
    pair_hashes: Vec<Vec<u64>>,
}

impl Contexts {
    fn of(source: &SealSource<'_>, rows: &[RowAt]) -> Contexts {
        let mut merger = BatchMerger::default();
        let mut sources: Vec<Source<'_>> = source.batches.iter().map(|batch| Source::new(batch)).collect();
        let scope_of = |at: &RowAt| merger.scope(&mut sources[at.batch as usize], at.span.scope);
        let scope_ids = rows.iter().map(scope_of).collect();
        let batch = merger.finish();
        let pair_hashes = batch.scopes.iter().map(|scope| scope_hashes(&batch, scope)).collect();
        let service = |scope: &model::Scope| batch.text.hash(batch.resources[scope.resource as usize].service_name);
        let services = batch.scopes.iter().map(service).collect();
        Contexts { batch, scope_ids, services, pair_hashes }
    }

    /// Notes the pairs that every scope of a chunk brings.
    fn note(&self, scope_ids: &[u32], pair_hashes: &mut Vec<u64>) {
        let mut seen = vec![false; self.pair_hashes.len()];
        for &scope in scope_ids {
            if !std::mem::replace(&mut seen[scope as usize], true) {
                pair_hashes.extend_from_slice(&self.pair_hashes[scope as usize]);
            }
        }
    }

    /// Services, operations, and the keys of resources and scopes.
    fn catalog(&self, source: &SealSource<'_>, rows: &[RowAt]) -> Catalog {
        let mut operations: HashMap<(u32, TextId, i32), u64> = HashMap::new();
        let mut scopes = vec![0; self.batch.scopes.len()];
        for (at, &scope) in rows.iter().zip(&self.scope_ids) {
            let row = &at.span;
            *operations.entry((scope, source.text(at.batch, row.name), row.kind)).or_default() += 1;
            scopes[scope as usize] += 1;
        }
        let mut catalog = Catalog::default();
        for ((scope, name, kind), spans) in operations {
            let resource = &self.batch.resources[self.batch.scopes[scope as usize].resource as usize];
            let service = self.batch.text.str(resource.service_name).to_owned();
            *catalog.services.entry(service.clone()).or_default() += spans;
            let name = source.texts.str(name).to_owned();
            *catalog.operations.entry(Operation { service, name, kind }).or_default() += spans;
        }
        for (scope, spans) in self.batch.scopes.iter().zip(scopes) {
            let resource = &self.batch.resources[scope.resource as usize];
            let at_scope = self.batch.attributes_of_scope(scope).map(|attribute| (Level::Scope, attribute));
            let at_resource = self.batch.attributes_of_resource(resource).map(|attribute| (Level::Resource, attribute));
            for (level, attribute) in at_scope.chain(at_resource) {
                let type_name = attribute.value.type_name().to_owned();
                *catalog.keys.entry(Key { key: attribute.key.to_owned(), level, type_name }).or_default() += spans;
            }
        }
        catalog
    }
}

fn scope_hashes(batch: &SpanBatch, scope: &model::Scope) -> Vec<u64> {
    let resource = &batch.resources[scope.resource as usize];
    let pairs = |level: Level, pool: &Attributes, range: &std::ops::Range<u32>| {
        let pair = |index: u32| {
            let (key, value) = (pool.keys[index as usize], pool.values[index as usize]);
            pair_hash(level, batch.text.hash(key), value.filter_hash(&batch.text, key))
        };
        range.clone().map(pair).collect::<Vec<_>>()
    };
    let mut hashes = pairs(Level::Resource, &batch.resource_attributes, &resource.attributes);
    hashes.extend(pairs(Level::Scope, &batch.scope_attributes, &scope.attributes));
    hashes.push(pair_hash(Level::Span, Intrinsic::ScopeName.key_hash(), batch.text.hash(scope.name)));
    hashes
}

fn write_scopes(aside: &mut Aside<'_>, batch: &SpanBatch) -> Result<(), StoreError> {
    let mut json = NestedWriter::default();
    let mut maps = |pool: &Attributes, ranges: Vec<std::ops::Range<u32>>| -> ArrayRef {
        let mut map = map_builder();
        for range in ranges {
            for index in range.clone() {
                let (key, value) = (pool.keys[index as usize], pool.values[index as usize]);
                append_pair(&mut map, &mut json, &batch.text, key, value);
            }
            map.append(!range.is_empty()).expect("as many keys as values were appended");
        }
        Arc::new(map.finish())
    };
    let resource = |scope: &model::Scope| &batch.resources[scope.resource as usize];
    let scope_maps = maps(&batch.scope_attributes, batch.scopes.iter().map(|scope| scope.attributes.clone()).collect());
    let resource_ranges = batch.scopes.iter().map(|scope| resource(scope).attributes.clone()).collect();
    let resource_maps = maps(&batch.resource_attributes, resource_ranges);
    let texts = |pick: &dyn Fn(&model::Scope) -> TextId| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(batch.scopes.iter().map(|scope| batch.text.str(pick(scope)))))
    };
    let numbers = |pick: &dyn Fn(&model::Scope) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(batch.scopes.iter().map(pick)))
    };
    let arrays = vec![
        Arc::new(UInt32Array::from_iter_values(0..batch.scopes.len() as u32)),
        texts(&|scope| scope.name),
        texts(&|scope| scope.version),
        scope_maps,
        numbers(&|scope| scope.dropped_attributes_count),
        texts(&|scope| scope.schema_url),
        numbers(&|scope| scope.resource),
        texts(&|scope| resource(scope).service_name),
        resource_maps,
        numbers(&|scope| resource(scope).dropped_attributes_count),
        texts(&|scope| resource(scope).schema_url),
    ];
    let mut once = Some(arrays);
    aside.parquet(filenames::SCOPES, &scopes_schema(), small_properties(), || once.take())
}
