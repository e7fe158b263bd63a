//! Segments: immutable, sealed file sets of spans.
//!
//! | file | what |
//! |---|---|
//! | [`source`] | batches and rows a segment is written from, their order |
//! | [`order`] | which traces lie next to each other |
//! | [`columns`] | which attributes get a column of their own |
//! | [`layout`] | names, types and encodings of columns |
//! | [`group`], [`lists`], [`numbers`] | rows of a row group as columns |
//! | [`encode`], [`delta`] | columns to the pages of a Parquet file |
//! | [`arrays`] | Arrow arrays for the small file |
//! | [`mod@write`] | the files, aside, synced, renamed |
//! | [`index`], [`filter`], [`row_table`] | `index.bin` |
//! | [`pieces`] | checksums of every 8 KiB |
//! | [`meta`] | `segment.json` |
//! | [`thrift`], [`varint`], [`levels`], [`page`] | one page of a Parquet column, unpacked |
//! | [`cache`], [`leaf`], [`parquet_file`] | pages lately used; values of a column for some rows |
//! | [`read`] | columns back to spans |
//! | [`logs`] | segments of log records, which use nearly all of this |
//! | [`select`], [`find`] | which rows a search needs; several traces at once |
//! | [`check`] | whether all of that still is what was written |
//!
//! Deliberately absent: which segments are live (that is [`crate::manifest`]) and when to write one ([`crate::seal`]).

pub(crate) mod arrays;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod columns;
pub(crate) mod delta;
pub(crate) mod encode;
pub(crate) mod filter;
pub(crate) mod find;
pub(crate) mod group;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod leaf;
pub(crate) mod levels;
pub(crate) mod lists;
pub(crate) mod logs;
pub(crate) mod meta;
pub(crate) mod numbers;
pub(crate) mod order;
pub(crate) mod page;
pub(crate) mod parquet_file;
pub(crate) mod pieces;
pub(crate) mod read;
pub(crate) mod row_table;
pub(crate) mod select;
pub(crate) mod source;
pub(crate) mod thrift;
pub(crate) mod varint;
pub(crate) mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::text::hash_text;
use model::{SpanBatch, TraceId};

use crate::disk::{Disk, Located, read_file};
use crate::error::ReadError;
use crate::filenames;
use crate::options::{BLOCK_ROWS, FORMAT_VERSION};
use crate::segment::cache::PageCache;
use crate::segment::find::ranges_of;
use crate::segment::index::Index;
use crate::segment::meta::SegmentMeta;
use crate::segment::parquet_file::ParquetFile;
use crate::segment::pieces::checked;
use crate::segment::read::{RowReader, read_links, read_scopes};
use crate::snapshot::{IncomingLink, Projection};

/// How many Parquet files a segment has, to number their pages in the cache.
const PARQUET_FILES: u64 = 2;
/// A `segment.json` is never larger than this.
pub(crate) const META_BYTES_MAX: u64 = 16 << 20;

/// An opened segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) directory: PathBuf,
    pub(crate) meta: SegmentMeta,
    pub(crate) index: Index,
    /// Its resources and scopes, without spans.
    context: SpanBatch,
    spans: ParquetFile,
    cache: Arc<PageCache>,
}

impl Segment {
    /// Opens a segment; checks that the files it names are there in their right size.
    pub(crate) fn open(disk: &dyn Disk, directory: &Path, cache: &Arc<PageCache>) -> Result<Segment, ReadError> {
        let path = |name: &str| directory.join(name);
        let open = |name: &str| Located::open(disk, path(name)).map_err(ReadError::io(path(name)));
        let meta_path = path(filenames::SEGMENT);
        let bytes = read_file(disk, &meta_path, META_BYTES_MAX).map_err(ReadError::io(&meta_path))?;
        let meta = SegmentMeta::from_bytes(&bytes).map_err(|reason| ReadError::corrupt(&meta_path, reason))?;
        if meta.format > FORMAT_VERSION {
            return Err(ReadError::corrupt(&meta_path, format!("format {} is newer than this program", meta.format)));
        }
        for file in &meta.files {
            let found = open(&file.name)?.file.len();
            if found != file.bytes {
                let reason = format!("{found} bytes long instead of {}", file.bytes);
                return Err(ReadError::corrupt(path(&file.name), reason));
            }
        }
        let index = Index::open(open(filenames::INDEX)?, meta.id, Arc::clone(cache))?;
        let parquet = |name: &str, number: u64| {
            let file = checked(open(name)?, index.pieces(name));
            let file = file.ok_or_else(|| ReadError::corrupt(path(name), "longer or shorter than its checksums"))?;
            ParquetFile::open(file, meta.id * PARQUET_FILES + number, Arc::clone(cache))
        };
        let segment = Segment {
            directory: directory.to_owned(),
            context: read_scopes(&parquet(filenames::SCOPES, 0)?)?,
            spans: parquet(filenames::SPANS, 1)?,
            cache: Arc::clone(cache),
            index,
            meta,
        };
        let rows: u64 = segment.index.blocks.iter().map(|block| u64::from(block.rows)).sum();
        if rows != segment.meta.spans || segment.spans.row_count() as u64 != rows {
            return Err(ReadError::corrupt(&segment.directory, "its files disagree on how many spans there are"));
        }
        Ok(segment)
    }

    /// Reads rows of ascending, disjoint ranges.
    pub(crate) fn read(&self, ranges: &[Range<usize>], projection: &Projection) -> Result<SpanBatch, ReadError> {
        let (spans, context, columns) = (&self.spans, &self.context, &self.meta.columns);
        RowReader { spans, context, columns, projection, ranges }.read()
    }

    /// Reads a block.
    pub(crate) fn read_block(&self, number: usize, projection: &Projection) -> Result<SpanBatch, ReadError> {
        let start = number * BLOCK_ROWS;
        let rows = start..start + self.index.blocks[number].rows as usize;
        self.read(&[rows], projection)
    }

    /// Reads all rows of a trace, if the segment has any.
    pub(crate) fn trace(&self, id: TraceId) -> Result<Option<SpanBatch>, ReadError> {
        let places = self.index.trace_rows(hash_text(&id.0))?;
        if places.is_empty() { Ok(None) } else { Ok(self.traces(&[id], places)?.pop().flatten()) }
    }

    /// Reads some of all rows of a trace.
    pub(crate) fn trace_with(&self, id: TraceId, projection: &Projection) -> Result<Option<SpanBatch>, ReadError> {
        let places = self.index.trace_rows(hash_text(&id.0))?;
        for place in places {
            let range = place.row as usize..(place.row + place.rows) as usize;
            let batch = self.read(&[range], projection)?;
            if batch.rows.first().is_some_and(|row| row.trace_id == id) {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Links of this segment's spans that point at spans of a trace.
    pub(crate) fn incoming_links(&self, id: TraceId) -> Result<Vec<IncomingLink>, ReadError> {
        let rows = ranges_of(self.index.link_rows(hash_text(&id.0))?);
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let link = |[from, to]: [(TraceId, model::SpanId); 2]| IncomingLink {
            from_trace_id: from.0,
            from_span_id: from.1,
            to_trace_id: to.0,
            to_span_id: to.1,
        };
        let links = read_links(&self.spans, &rows)?.into_iter().map(link);
        Ok(links.filter(|link| link.from_trace_id == id).collect())
    }
}
