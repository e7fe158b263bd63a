//! A Parquet file opened for reading columns of chosen rows; metadata is the `parquet` crate's business, pages are ours.

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescriptor;

use crate::disk::Located;
use crate::error::ReadError;
use crate::segment::cache::PageCache;
use crate::segment::leaf::PageRows;
use crate::segment::page::{Page, Physical, Shape};
use crate::segment::pieces::with_scratch;

/// An opened Parquet file.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    pub(super) file: Located,
    /// Part of the key of its pages in the cache.
    number: u64,
    cache: Arc<PageCache>,
    pub(super) metadata: ParquetMetaData,
    pub(super) leaves: HashMap<String, (usize, Shape)>,
}

impl ParquetFile {
    /// Opens a file whose pages are cached under `number`.
    pub(crate) fn open(file: Located, number: u64, cache: Arc<PageCache>) -> Result<ParquetFile, ReadError> {
        let chunks = Chunks(file);
        let metadata = ParquetMetaDataReader::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required)
            .parse_and_finish(&chunks)
            .map_err(|error| chunks.error(error))?;
        let file = chunks.0;
        let columns = metadata.file_metadata().schema_descr().columns();
        let mut leaves = HashMap::new();
        for (number, column) in columns.iter().enumerate() {
            let shape = shape_of(column).map_err(|reason| ReadError::corrupt(&file.path, reason))?;
            leaves.insert(column.path().string(), (number, shape));
        }
        Ok(ParquetFile { file, number, cache, metadata, leaves })
    }

    pub(crate) fn row_count(&self) -> usize {
        self.metadata.file_metadata().num_rows() as usize
    }

    /// Pages of a column that hold rows of ascending, disjoint ranges.
    pub(crate) fn pages(&self, path: &str, ranges: &[Range<usize>]) -> Result<Vec<PageRows>, ReadError> {
        let missing = || ReadError::corrupt(&self.file.path, format!("no column {path}"));
        let &(column, shape) = self.leaves.get(path).ok_or_else(missing)?;
        let mut pages = Vec::new();
        let (mut start, mut rest) = (0, ranges);
        for (number, group) in self.metadata.row_groups().iter().enumerate() {
            let end = start + group.num_rows() as usize;
            let inside = rest.partition_point(|range| range.start < end);
            if inside > 0 {
                let chunk = Chunk::of(self, number, column, shape)?;
                chunk.pages(start, &rest[..inside], &mut pages)?;
            }
            // The last range may go on in the next group.
            let done = rest.partition_point(|range| range.end <= end);
            (start, rest) = (end, &rest[done..]);
            if rest.is_empty() {
                break;
            }
        }
        Ok(pages)
    }

    fn page(&self, offset: i64, bytes: i64, shape: Shape, is_dictionary: bool) -> Result<Arc<Page>, ReadError> {
        self.cache.get((self.number, offset as u64), || {
            let inside = offset.checked_add(bytes).is_some_and(|end| end as u64 <= self.file.file.len());
            if offset < 0 || bytes < 0 || !inside {
                return Err(ReadError::corrupt(&self.file.path, "a page lies outside the file"));
            }
            with_scratch(bytes as usize, |buffer| {
                self.file.file.read_exact_at(buffer, offset as u64).map_err(ReadError::io(&self.file.path))?;
                Page::new(buffer, shape, is_dictionary)
                    .map_err(|damage| ReadError::corrupt(&self.file.path, format!("{damage} (page at byte {offset})")))
            })
        })
    }

    /// The error of a page that does not add up.
    pub(crate) fn damaged(&self, damage: &str) -> ReadError {
        ReadError::corrupt(&self.file.path, damage)
    }
}

/// A column of one row group.
struct Chunk<'f> {
    file: &'f ParquetFile,
    shape: Shape,
    rows: usize,
    locations: &'f [PageLocation],
    dictionary_offset: Option<i64>,
    dictionary: Option<Arc<Page>>,
}

impl<'f> Chunk<'f> {
    fn of(file: &'f ParquetFile, group: usize, column: usize, shape: Shape) -> Result<Self, ReadError> {
        let rows = file.metadata.row_group(group).num_rows() as usize;
        let chunk = file.metadata.row_group(group).column(column);
        let shape = chunk_shape(shape, chunk.compression()).map_err(|reason| file.damaged(&reason))?;
        let locations = file.metadata.page_index().and_then(|index| index.page_locations(group, column));
        let locations = locations.ok_or_else(|| file.damaged("no page index"))?;
        let dictionary_offset = chunk.dictionary_page_offset();
        Ok(Chunk { file, shape, rows, locations, dictionary_offset, dictionary: None })
    }

    /// Adds the pages that hold rows of these ranges of the file, whose row `start` is the group's first.
    fn pages(mut self, start: usize, ranges: &[Range<usize>], out: &mut Vec<PageRows>) -> Result<(), ReadError> {
        let end = self.rows;
        let mut ranges = ranges.iter().map(|range| range.start.max(start) - start..(range.end - start).min(end));
        let mut next = ranges.next();
        while let Some(range) = next.clone() {
            let after = self.locations.partition_point(|place| place.first_row_index as usize <= range.start);
            let number = after
                .checked_sub(1)
                .ok_or_else(|| self.file.damaged("the first page does not begin at the first row"))?;
            let (page, page_rows) = self.page(number)?;
            let mut rows = Vec::with_capacity(1);
            while let Some(range) = next.clone().filter(|range| range.start < page_rows.end) {
                rows.push(range.start - page_rows.start..range.end.min(page_rows.end) - page_rows.start);
                if range.end > page_rows.end {
                    next = Some(page_rows.end..range.end);
                    break;
                }
                next = ranges.next();
            }
            let dictionary = if page.needs_dictionary(&rows) { self.dictionary()? } else { None };
            out.push(PageRows { page, dictionary, rows });
        }
        Ok(())
    }

    /// A page and the rows of the group that it holds.
    fn page(&self, number: usize) -> Result<(Arc<Page>, Range<usize>), ReadError> {
        let place = self.locations.get(number).ok_or_else(|| self.file.damaged("no pages"))?;
        let start = place.first_row_index as usize;
        let end = self.locations.get(number + 1).map_or(self.rows, |next| next.first_row_index as usize);
        let page = self.file.page(place.offset, place.compressed_page_size.into(), self.shape, false)?;
        if start + page.rows == end {
            Ok((page, start..end))
        } else {
            Err(self.file.damaged("a page has another number of rows than the page index says"))
        }
    }

    /// The dictionary; read only once a value is looked up in it, as it is often larger than the page.
    fn dictionary(&mut self) -> Result<Option<Arc<Page>>, ReadError> {
        if let (None, Some(offset)) = (&self.dictionary, self.dictionary_offset) {
            self.dictionary = Some(self.file.page(offset, self.locations[0].offset - offset, self.shape, true)?);
        }
        Ok(self.dictionary.clone())
    }
}

/// The shape of a column; whether it is compressed is each chunk's own business.
fn shape_of(column: &ColumnDescriptor) -> Result<Shape, String> {
    let physical = match column.physical_type() {
        Type::BOOLEAN => Physical::Bool,
        Type::INT32 | Type::FLOAT => Physical::Fixed(4),
        Type::INT64 | Type::DOUBLE => Physical::Fixed(8),
        Type::FIXED_LEN_BYTE_ARRAY => Physical::Fixed(usize::try_from(column.type_length()).unwrap_or(0)),
        Type::BYTE_ARRAY => Physical::Bytes,
        Type::INT96 => return Err("a column of INT96".to_owned()),
    };
    let level = |level: i16| u8::try_from(level).map_err(|_| "a column nested too deep".to_owned());
    Ok(Shape {
        physical,
        definition_max: level(column.max_def_level())?,
        repetition_max: level(column.max_rep_level())?,
        is_compressed: false,
    })
}

/// The shape of a column in a chunk with this compression.
pub(crate) fn chunk_shape(shape: Shape, compression: Compression) -> Result<Shape, String> {
    let is_compressed = match compression {
        Compression::UNCOMPRESSED => false,
        Compression::ZSTD(_) => true,
        other => return Err(format!("a column compressed with {other}")),
    };
    Ok(Shape { is_compressed, ..shape })
}

/// A file as the `parquet` crate wants to read it, for the metadata at its end.
#[derive(Debug)]
struct Chunks(Located);

impl Chunks {
    fn error(&self, error: ParquetError) -> ReadError {
        match error {
            ParquetError::External(source) if source.is::<io::Error>() => {
                let source = source.downcast::<io::Error>().expect("it was just seen to be one");
                ReadError::io(&self.0.path)(*source)
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
