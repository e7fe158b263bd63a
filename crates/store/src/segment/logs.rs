//! A segment of log records, opened: `logs.parquet`, with scopes, index and description as a segment of spans has them.
//!
//! Rows lie in the order of time. What an index says of durations of spans it says here of numbers of severity, and what of errors of
//! records from "error" on; its filters know words of bodies as well; it has a row of each record with a trace.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::text::hash_text;
use model::{LogBatch, SpanBatch, TraceId};

use crate::disk::{Disk, Located, read_file};
use crate::error::ReadError;
use crate::filenames;
use crate::logs::part::LogSelection;
use crate::options::FORMAT_VERSION;
use crate::segment::cache::PageCache;
use crate::segment::find::ranges_of;
use crate::segment::index::Index;
use crate::segment::meta::SegmentMeta;
use crate::segment::parquet_file::ParquetFile;
use crate::segment::pieces::checked;
use crate::segment::read::logs::LogReader;
use crate::segment::read::read_scopes;
use crate::segment::{META_BYTES_MAX, PARQUET_FILES};

/// An opened segment of log records.
#[derive(Debug)]
pub(crate) struct LogSegment {
    pub(crate) directory: PathBuf,
    pub(crate) meta: SegmentMeta,
    pub(crate) index: Index,
    /// Its resources and scopes.
    context: SpanBatch,
    pub(super) logs: ParquetFile,
}

impl LogSegment {
    /// Opens a segment; checks that the files it names are there in their right size.
    pub(crate) fn open(disk: &dyn Disk, directory: &Path, cache: &Arc<PageCache>) -> Result<LogSegment, ReadError> {
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
        let context = read_scopes(&parquet(filenames::SCOPES, 0)?)?;
        let logs = parquet(filenames::LOGS, 1)?;
        let segment = LogSegment { directory: directory.to_owned(), context, logs, index, meta };
        let rows: u64 = segment.index.blocks.iter().map(|block| u64::from(block.rows)).sum();
        if rows != segment.meta.spans || segment.logs.row_count() as u64 != rows {
            return Err(ReadError::corrupt(&segment.directory, "its files disagree on how many records there are"));
        }
        Ok(segment)
    }

    fn reader<'a>(&'a self, ranges: &'a [Range<usize>]) -> LogReader<'a> {
        LogReader { logs: &self.logs, context: &self.context, columns: &self.meta.columns, ranges }
    }

    /// Reads rows of ascending, disjoint ranges.
    pub(crate) fn read(&self, ranges: &[Range<usize>]) -> Result<LogBatch, ReadError> {
        self.reader(ranges).read(&LogSelection::default(), true)
    }

    /// Reads those of the rows that `selection` may mean; see [`crate::LogPart::read`].
    pub(crate) fn select(
        &self,
        ranges: &[Range<usize>],
        selection: &LogSelection,
        fields: bool,
    ) -> Result<LogBatch, ReadError> {
        let left = self.reader(ranges).select(selection)?;
        if left.is_empty() { Ok(LogBatch::default()) } else { self.reader(&left).read(selection, fields) }
    }

    /// Time and number of severity of the rows that `selection`, which asks for no attributes, means.
    pub(crate) fn times_and_severities(
        &self,
        ranges: &[Range<usize>],
        selection: &LogSelection,
    ) -> Result<Vec<(u64, i32)>, ReadError> {
        let left = self.reader(ranges).select(selection)?;
        self.reader(&left).times_and_severities()
    }

    /// Reads the records of a trace; there may be some of other traces among them.
    pub(crate) fn trace(&self, id: TraceId, selection: &LogSelection) -> Result<LogBatch, ReadError> {
        let rows = ranges_of(self.index.trace_rows(hash_text(&id.0))?);
        if rows.is_empty() { Ok(LogBatch::default()) } else { self.select(&rows, selection, true) }
    }
}
