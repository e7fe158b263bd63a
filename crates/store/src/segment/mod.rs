//! Segments: immutable, sealed file sets of spans.
//!
//! | file | what |
//! |---|---|
//! | [`source`] | batches and rows a segment is written from, their order |
//! | [`columns`] | which attributes get a column of their own |
//! | [`layout`] | names, types and encodings of columns |
//! | [`arrays`] | rows to Arrow arrays |
//! | [`mod@write`] | the files, aside, synced, renamed |
//! | [`index`], [`filter`] | `index.bin` |
//! | [`meta`] | `segment.json` |
//! | [`parquet_file`], [`read`] | reading back |
//!
//! Deliberately absent: which segments are live (that is [`crate::manifest`]) and when to write one ([`crate::seal`]).

pub(crate) mod arrays;
pub(crate) mod columns;
pub(crate) mod filter;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod meta;
pub(crate) mod parquet_file;
pub(crate) mod read;
pub(crate) mod source;
pub(crate) mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use model::text::hash_text;
use model::{SpanBatch, SpanId, TraceId};

use crate::disk::{Disk, Located, read_file};
use crate::error::ReadError;
use crate::filenames;
use crate::options::{BLOCK_ROWS, FORMAT_VERSION};
use crate::segment::index::Index;
use crate::segment::meta::SegmentMeta;
use crate::segment::parquet_file::ParquetFile;
use crate::segment::read::{RowReader, is_projected, read_scopes};
use crate::snapshot::{IncomingLink, Projection};

/// A `segment.json` is never larger than this.
const META_BYTES_MAX: u64 = 16 << 20;

/// An opened segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) directory: PathBuf,
    pub(crate) meta: SegmentMeta,
    pub(crate) index: Index,
    /// Its resources and scopes, without spans.
    context: SpanBatch,
    spans: ParquetFile,
    links: ParquetFile,
    spans_path: PathBuf,
}

impl Segment {
    /// Opens a segment; checks that the files it names are there in their right size.
    pub(crate) fn open(disk: &dyn Disk, directory: &Path) -> Result<Segment, ReadError> {
        let path = |name: &str| directory.join(name);
        let open = |name: &str| Located::open(disk, path(name)).map_err(ReadError::io(path(name)));
        let meta_path = path(filenames::SEGMENT);
        let bytes = read_file(disk, &meta_path, META_BYTES_MAX).map_err(ReadError::io(&meta_path))?;
        let meta: SegmentMeta =
            serde_json::from_slice(&bytes).map_err(|error| ReadError::corrupt(&meta_path, error))?;
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
        let scopes = ParquetFile::open(open(filenames::SCOPES)?)?;
        let scopes = scopes.read_all()?;
        let segment = Segment {
            directory: directory.to_owned(),
            index: Index::open(open(filenames::INDEX)?)?,
            context: read_scopes(&path(filenames::SCOPES), &scopes)?,
            spans: ParquetFile::open(open(filenames::SPANS)?)?,
            links: ParquetFile::open(open(filenames::LINKS)?)?,
            spans_path: path(filenames::SPANS),
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
        let batches = self.spans.read(ranges, |column| is_projected(projection, column))?;
        RowReader::new(&self.spans_path, &self.context, &self.meta.columns, projection).read(&batches)
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
        for place in places {
            let range = place.row as usize..(place.row + place.rows) as usize;
            let batch = self.read(&[range], &Projection::all())?;
            if batch.rows.first().is_some_and(|row| row.trace_id == id) {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Links of this segment's spans that point at spans of a trace.
    pub(crate) fn incoming_links(&self, id: TraceId) -> Result<Vec<IncomingLink>, ReadError> {
        let mut links = Vec::new();
        for place in self.index.link_rows(hash_text(&id.0))? {
            let range = place.row as usize..(place.row + place.rows) as usize;
            for batch in self.links.read(&[range], |_| true)? {
                let id_at = |column: usize, row: usize| batch.column(column).as_fixed_size_binary().value(row);
                let trace_at = |column, row| TraceId::from_slice(id_at(column, row)).unwrap_or_default();
                let span_at = |column, row| SpanId::from_slice(id_at(column, row)).unwrap_or_default();
                let link = |row| IncomingLink {
                    from_trace_id: trace_at(0, row),
                    from_span_id: span_at(1, row),
                    to_trace_id: trace_at(2, row),
                    to_span_id: span_at(3, row),
                };
                links.extend((0..batch.num_rows()).map(link).filter(|link| link.from_trace_id == id));
            }
        }
        Ok(links)
    }
}
