//! Writing a segment of log records: as a segment of spans is written, with columns, order and index of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::LogBatch;
use model::text::hash_text;
use parquet::arrow::ArrowSchemaConverter;
use parquet::file::writer::SerializedFileWriter;

use super::{Aside, Contexts, SegmentSpec, meta_of, write_scopes};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::filenames;
use crate::options::{BLOCK_ROWS, ROW_GROUP_ROWS, ZSTD_LEVEL};
use crate::segment::columns::choose_columns;
use crate::segment::encode::Encoder;
use crate::segment::group::GroupBuilder;
use crate::segment::index::{Block, BlockServices, IndexWriter};
use crate::segment::layout::{AttributeColumn, logs_schema, spans_properties};
use crate::segment::meta::SegmentMeta;
use crate::segment::row_table::Entry;
use crate::segment::source::{RowAt, SealSource};
use crate::snapshot::ServiceBounds;

/// The lowest number of severity that counts as an error.
pub(crate) const ERROR: i32 = 17;

/// Batches of log records, as rows to be sorted and as what lies beside the rows.
#[derive(Debug)]
pub(crate) struct LogSource<'a> {
    pub(crate) rows: &'a SealSource<'a>,
    pub(crate) logs: &'a [Arc<LogBatch>],
}

/// Writes a segment of `rows`, which are in their final order, and puts it in place. Returns its directory.
pub(crate) fn write_log_segment(
    disk: &dyn Disk,
    data: &Path,
    spec: &SegmentSpec,
    source: &LogSource<'_>,
    rows: &[RowAt],
) -> Result<PathBuf, StoreError> {
    let place = filenames::log_segment_directory(data, &spec.day, spec.id);
    super::in_place(disk, data, &spec.day, place, |aside| fill(aside, spec, source, rows))
}

fn fill(aside: &mut Aside<'_>, spec: &SegmentSpec, source: &LogSource<'_>, rows: &[RowAt]) -> Result<(), StoreError> {
    let contexts = Contexts::of(source.rows, rows);
    let plan = choose_columns(source.rows, rows);
    let mut index = IndexWriter::default();
    write_logs(aside, source, rows, &contexts, &plan.columns, &mut index)?;
    write_scopes(aside, &contexts.batch)?;
    index.traces = trace_entries(rows);
    let mut catalog = contexts.catalog(source.rows, rows);
    // What spans have as operations are names of events here, of which there is nothing to ask.
    catalog.operations.clear();
    catalog.keys.extend(plan.keys);
    catalog.bound();
    let mut traces: Vec<u64> = index.traces.iter().map(|entry| entry.hash).collect();
    traces.sort_unstable();
    traces.dedup();
    let meta = meta_of(spec, rows, traces.len() as u64, index.blocks(), &plan.columns);
    let pieces = aside.files.iter().map(|file| file.name.as_str()).zip(&aside.pieces);
    let index = index.finish(&catalog, pieces);
    aside.write_file(filenames::INDEX, &index)?;
    let meta = SegmentMeta { files: std::mem::take(&mut aside.files), ..meta };
    aside.write_file(filenames::SEGMENT, &meta.to_bytes())
}

fn write_logs(
    aside: &mut Aside<'_>,
    source: &LogSource<'_>,
    rows: &[RowAt],
    contexts: &Contexts,
    columns: &[AttributeColumn],
    index: &mut IndexWriter,
) -> Result<(), StoreError> {
    let path = aside.directory.join(filenames::LOGS);
    let failed = |error: parquet::errors::ParquetError| StoreError::io(&path)(std::io::Error::other(error));
    let schema = ArrowSchemaConverter::new().convert(&logs_schema(columns)).map_err(failed)?;
    let sink = aside.create(filenames::LOGS)?;
    let properties = Arc::new(spans_properties());
    let mut writer = SerializedFileWriter::new(sink, schema.root_schema_ptr(), properties).map_err(failed)?;
    let mut builder = GroupBuilder::new(source.rows, columns);
    let mut encoder = Encoder::new(ZSTD_LEVEL).map_err(StoreError::io(&path))?;
    for (rows, scope_ids) in rows.chunks(ROW_GROUP_ROWS).zip(contexts.scope_ids.chunks(ROW_GROUP_ROWS)) {
        let encoded = builder.build_logs(source.logs, rows, scope_ids, contexts.batch.scopes.len());
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
    aside.finish(filenames::LOGS, sink)
}

/// Bounds of severity where those of durations of spans are.
fn bounds_of(at: &RowAt) -> (u64, u64, bool) {
    (at.span.start_unix_nano, at.span.kind.max(0) as u64, at.span.kind >= ERROR)
}

fn block_of(rows: &[RowAt]) -> Block {
    let mut block = Block::default();
    for (time, severity, is_error) in rows.iter().map(bounds_of) {
        block.add(time, severity, is_error);
    }
    block
}

fn services_of(contexts: &Contexts, rows: &[RowAt], scope_ids: &[u32]) -> BlockServices {
    let mut by_service: std::collections::BTreeMap<u64, ServiceBounds> = std::collections::BTreeMap::new();
    for ((time, severity, is_error), &scope) in rows.iter().map(bounds_of).zip(scope_ids) {
        let bounds = by_service.entry(contexts.services[scope as usize]).or_insert(ServiceBounds::EMPTY);
        bounds.add(time, severity, is_error);
    }
    by_service.into_iter().collect()
}

/// Each run of rows of a trace.
fn trace_entries(rows: &[RowAt]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut row = 0;
    for run in rows.chunk_by(|a, b| a.span.trace_id == b.span.trace_id) {
        let id = run[0].span.trace_id;
        if !id.is_zero() {
            entries.push(Entry { hash: hash_text(&id.0), row, rows: run.len() as u32 });
        }
        row += run.len() as u32;
    }
    entries
}
