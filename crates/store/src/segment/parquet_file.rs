//! Reading ranges of rows and chosen columns of a Parquet file through [`crate::disk::ReadFile`].

use std::io::{self, Read};
use std::ops::Range;

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::{ChunkReader, Length};

use crate::disk::Located;
use crate::error::ReadError;

/// An opened Parquet file, its metadata read.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    file: Chunks,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    pub(crate) fn open(file: Located) -> Result<ParquetFile, ReadError> {
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Optional);
        let file = Chunks(file);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(|error| file.error(error))?;
        Ok(ParquetFile { file, metadata })
    }

    pub(crate) fn row_count(&self) -> usize {
        self.metadata.metadata().file_metadata().num_rows() as usize
    }

    /// Reads everything.
    pub(crate) fn read_all(&self) -> Result<Vec<RecordBatch>, ReadError> {
        let rows = 0..self.row_count();
        self.read(std::slice::from_ref(&rows), |_| true)
    }

    /// Reads the rows of ascending, disjoint ranges; `keep` says which top-level columns.
    pub(crate) fn read(
        &self,
        ranges: &[Range<usize>],
        keep: impl Fn(&str) -> bool,
    ) -> Result<Vec<RecordBatch>, ReadError> {
        let rows: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        if rows == 0 {
            return Ok(Vec::new());
        }
        let (row_groups, selection) = self.select(ranges);
        let schema = self.metadata.parquet_schema();
        let roots = schema.root_schema().get_fields().iter().enumerate();
        let kept = roots.filter(|(_, field)| keep(field.name())).map(|(number, _)| number);
        let mask = ProjectionMask::roots(schema, kept);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
            .with_row_groups(row_groups)
            .with_row_selection(selection)
            .with_projection(mask)
            .with_batch_size(rows.min(crate::options::BLOCK_ROWS))
            .build()
            .map_err(|error| self.file.error(error))?;
        reader.map(|batch| batch.map_err(|error| ReadError::corrupt(&self.file.0.path, error))).collect()
    }

    /// The row groups that hold some of the rows, and which of their rows those are.
    fn select(&self, ranges: &[Range<usize>]) -> (Vec<usize>, RowSelection) {
        let (mut row_groups, mut selectors) = (Vec::new(), Vec::new());
        let mut start = 0;
        for (number, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let end = start + group.num_rows() as usize;
            let inside = ranges.iter().filter(|range| range.start < end && range.end > start);
            let mut at = start;
            for range in inside {
                let wanted = range.start.max(start)..range.end.min(end);
                selectors.push(RowSelector::skip(wanted.start - at));
                selectors.push(RowSelector::select(wanted.len()));
                at = wanted.end;
            }
            if at > start {
                selectors.push(RowSelector::skip(end - at));
                row_groups.push(number);
            }
            start = end;
        }
        (row_groups, RowSelection::from(selectors))
    }
}

#[derive(Debug, Clone)]
struct Chunks(Located);

impl Chunks {
    fn error(&self, error: ParquetError) -> ReadError {
        match error {
            ParquetError::External(source) if source.is::<io::Error>() => {
                let source = source.downcast::<io::Error>().expect("it was just seen to be one");
                ReadError::Io { path: self.0.path.clone(), source: *source }
            }
            other => ReadError::corrupt(&self.0.path, other),
        }
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.file.len()
    }
}

impl ChunkReader for Chunks {
    type T = FileFrom;

    fn get_read(&self, start: u64) -> Result<FileFrom, ParquetError> {
        Ok(FileFrom { file: self.0.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let inside = start.checked_add(length as u64).is_some_and(|end| end <= self.len());
        if !inside {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} lie outside the file")));
        }
        let mut bytes = vec![0; length];
        self.0.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A file read from an offset on.
#[derive(Debug)]
struct FileFrom {
    file: Located,
    at: u64,
}

impl Read for FileFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.file.len().saturating_sub(self.at);
        let count = (buffer.len() as u64).min(left) as usize;
        self.file.file.read_exact_at(&mut buffer[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
