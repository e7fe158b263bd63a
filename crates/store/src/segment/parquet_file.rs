//! A Parquet file opened for reading columns of chosen rows; metadata is the `parquet` crate's business, pages are ours.

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

/// An opened Parquet file. Of its footer and page index only what finding pages needs is kept: they are four times as large in
/// memory, and a directory has hundreds of such files.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    pub(super) file: Located,
    /// Part of the key of its pages in the cache.
    number: u64,
    cache: Arc<PageCache>,
    /// By path.
    leaves: Box<[Leaf]>,
    /// Rows of each row group.
    groups: Box<[u32]>,
    /// Column by column within group by group.
    chunks: Box<[ChunkPlace]>,
    pages: Box<[PagePlace]>,
}

#[derive(Debug)]
struct Leaf {
    path: Box<str>,
    /// Its place in a row group.
    column: u32,
    shape: Shape,
}

/// Where a column of one row group lies.
#[derive(Debug)]
struct ChunkPlace {
    shape: Shape,
    /// Where the dictionary begins; 0 if there is none.
    dictionary_offset: u64,
    /// The first of its pages.
    first_page: u32,
}

/// Where a page lies, and the first row of the group in it.
#[derive(Debug, Clone, Copy)]
struct PagePlace {
    offset: u64,
    bytes: u32,
    first_row: u32,
}

impl ParquetFile {
    /// Opens a file whose pages are cached under `number`.
    pub(crate) fn open(file: Located, number: u64, cache: Arc<PageCache>) -> Result<ParquetFile, ReadError> {
        let metadata = read_metadata(&file)?;
        let corrupt = |reason: String| ReadError::corrupt(&file.path, reason);
        let columns = metadata.file_metadata().schema_descr().columns();
        let shapes: Vec<Shape> =
            columns.iter().map(|column| shape_of(column)).collect::<Result<_, _>>().map_err(corrupt)?;
        let leaf = |(column, descriptor): (u32, &Arc<ColumnDescriptor>)| Leaf {
            path: descriptor.path().string().into(),
            column,
            shape: shapes[column as usize],
        };
        let mut leaves: Box<[Leaf]> = (0..).zip(columns).map(leaf).collect();
        leaves.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let (mut groups, mut chunks, mut pages) = (Vec::new(), Vec::new(), Vec::new());
        for (number, group) in metadata.row_groups().iter().enumerate() {
            groups
                .push(u32::try_from(group.num_rows()).map_err(|_| corrupt("a row group of too many rows".to_owned()))?);
            for (column, chunk) in group.columns().iter().enumerate() {
                let locations = metadata.page_index().and_then(|index| index.page_locations(number, column));
                let locations = locations.ok_or_else(|| corrupt("no page index".to_owned()))?;
                let shape = chunk_shape(shapes[column], chunk.compression()).map_err(corrupt)?;
                let dictionary_offset = u64::try_from(chunk.dictionary_page_offset().unwrap_or(0));
                let dictionary_offset = dictionary_offset.map_err(|_| corrupt(OUTSIDE.to_owned()))?;
                chunks.push(ChunkPlace { shape, dictionary_offset, first_page: pages.len() as u32 });
                for location in locations {
                    pages.push(place_of(location).ok_or_else(|| corrupt(OUTSIDE.to_owned()))?);
                }
            }
        }
        let (groups, chunks, pages) = (groups.into(), chunks.into(), pages.into());
        Ok(ParquetFile { file, number, cache, leaves, groups, chunks, pages })
    }

    pub(crate) fn row_count(&self) -> usize {
        self.groups.iter().map(|&rows| rows as usize).sum()
    }

    /// Path, number and shape of each column.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (&str, usize, Shape)> {
        self.leaves.iter().map(|leaf| (&*leaf.path, leaf.column as usize, leaf.shape))
    }

    /// Pages of a column that hold rows of ascending, disjoint ranges.
    pub(crate) fn pages(&self, path: &str, ranges: &[Range<usize>]) -> Result<Vec<PageRows>, ReadError> {
        let missing = || ReadError::corrupt(&self.file.path, format!("no column {path}"));
        let place = self.leaves.binary_search_by(|leaf| (*leaf.path).cmp(path)).map_err(|_| missing())?;
        let column = self.leaves[place].column as usize;
        let mut pages = Vec::new();
        let (mut start, mut rest) = (0, ranges);
        for (number, &rows) in self.groups.iter().enumerate() {
            let end = start + rows as usize;
            let inside = rest.partition_point(|range| range.start < end);
            if inside > 0 {
                let chunk = Chunk::of(self, number, column);
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

    fn page(&self, offset: u64, bytes: u64, shape: Shape, is_dictionary: bool) -> Result<Arc<Page>, ReadError> {
        self.cache.get((self.number, offset), || {
            if offset.checked_add(bytes).is_none_or(|end| end > self.file.file.len()) {
                return Err(ReadError::corrupt(&self.file.path, OUTSIDE));
            }
            with_scratch(bytes as usize, |buffer| {
                self.file.file.read_exact_at(buffer, offset).map_err(ReadError::io(&self.file.path))?;
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

const OUTSIDE: &str = "a page lies outside the file";

fn place_of(location: &PageLocation) -> Option<PagePlace> {
    Some(PagePlace {
        offset: location.offset.try_into().ok()?,
        bytes: location.compressed_page_size.try_into().ok()?,
        first_row: location.first_row_index.try_into().ok()?,
    })
}

/// The footer and the page index.
pub(super) fn read_metadata(file: &Located) -> Result<ParquetMetaData, ReadError> {
    let chunks = Chunks(file.clone());
    ParquetMetaDataReader::new()
        .with_column_index_policy(PageIndexPolicy::Skip)
        .with_offset_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&chunks)
        .map_err(|error| chunks.error(error))
}

/// A column of one row group.
struct Chunk<'f> {
    file: &'f ParquetFile,
    place: &'f ChunkPlace,
    rows: usize,
    pages: &'f [PagePlace],
    dictionary: Option<Arc<Page>>,
}

impl<'f> Chunk<'f> {
    fn of(file: &'f ParquetFile, group: usize, column: usize) -> Self {
        let number = group * file.leaves.len() + column;
        let place = &file.chunks[number];
        let end = file.chunks.get(number + 1).map_or(file.pages.len(), |next| next.first_page as usize);
        let pages = &file.pages[place.first_page as usize..end];
        Chunk { file, place, rows: file.groups[group] as usize, pages, dictionary: None }
    }

    /// Adds the pages that hold rows of these ranges of the file, whose row `start` is the group's first.
    fn pages(mut self, start: usize, ranges: &[Range<usize>], out: &mut Vec<PageRows>) -> Result<(), ReadError> {
        let end = self.rows;
        let mut ranges = ranges.iter().map(|range| range.start.max(start) - start..(range.end - start).min(end));
        let mut next = ranges.next();
        while let Some(range) = next.clone() {
            let after = self.pages.partition_point(|place| place.first_row as usize <= range.start);
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
        let place = self.pages.get(number).ok_or_else(|| self.file.damaged("no pages"))?;
        let start = place.first_row as usize;
        let end = self.pages.get(number + 1).map_or(self.rows, |next| next.first_row as usize);
        let page = self.file.page(place.offset, place.bytes.into(), self.place.shape, false)?;
        if start + page.rows == end {
            Ok((page, start..end))
        } else {
            Err(self.file.damaged("a page has another number of rows than the page index says"))
        }
    }

    /// The dictionary; read only once a value is looked up in it, as it is often larger than the page.
    fn dictionary(&mut self) -> Result<Option<Arc<Page>>, ReadError> {
        let offset = self.place.dictionary_offset;
        if self.dictionary.is_none() && offset > 0 {
            let first = self.pages.first().ok_or_else(|| self.file.damaged("no pages"))?;
            let bytes = first.offset.checked_sub(offset).ok_or_else(|| self.file.damaged(OUTSIDE))?;
            self.dictionary = Some(self.file.page(offset, bytes, self.place.shape, true)?);
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
