//! Values of a column become the pages of a Parquet column chunk.
//!
//! Texts arrive as numbers that were given out when they were decoded, so a dictionary is made by renumbering, never by hashing
//! or comparing; the general writer of the `parquet` crate spends most of its time on that. Pages are version 1; a chunk is
//! compressed with zstd when its first page shrinks. [`super::page`] is the other direction.

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use crate::segment::delta::{pack_delta, split};
use crate::segment::levels::{put_bits_hybrid, put_hybrid};
use crate::segment::thrift::{PageHeader, PageKind, put_page_header};

/// Which rows, or which entries of their lists, have values.
#[derive(Debug)]
pub(crate) enum Presence {
    /// Every row has one.
    Required,
    /// These rows have one; ascending.
    Rows(Vec<u32>),
    /// The levels of the entries of the rows' lists.
    Nested { repetition: Vec<u8>, definition: Vec<u8> },
}

/// The values that are there, in order, and how they are encoded.
#[derive(Debug)]
pub(crate) enum Values {
    /// Numbers into a list of distinct values, which are encoded plainly.
    Dictionary { numbers: Vec<u32>, distinct: usize, plain: Vec<u8> },
    /// Values of one width, one behind the other.
    Fixed { width: usize, bytes: Vec<u8> },
    /// Texts one behind the other, and where each ends.
    Texts { bytes: Vec<u8>, ends: Vec<u32> },
    /// Integers as differences.
    Delta(Vec<i64>),
    /// Integers or the bits of doubles, as streams of their bytes.
    Split(Vec<i64>),
    /// Booleans.
    Bits(Vec<bool>),
}

impl Values {
    fn encoding(&self) -> Encoding {
        match self {
            Values::Dictionary { .. } => Encoding::RLE_DICTIONARY,
            Values::Fixed { .. } | Values::Texts { .. } | Values::Bits(_) => Encoding::PLAIN,
            Values::Delta(_) => Encoding::DELTA_BINARY_PACKED,
            Values::Split(_) => Encoding::BYTE_STREAM_SPLIT,
        }
    }

    /// How long the streams of a page of so many values are, if they are worth blocks of their own.
    fn stream_bytes(&self, values: usize) -> Option<usize> {
        (matches!(self, Values::Split(_)) && values >= STREAM_BYTES_MIN).then_some(values)
    }

    fn put(&self, range: Range<usize>, out: &mut Vec<u8>) {
        match self {
            Values::Dictionary { numbers, distinct, .. } => {
                let width = number_width(*distinct);
                out.push(width as u8);
                put_hybrid(&numbers[range], width, out);
            }
            Values::Fixed { width, bytes } => out.extend_from_slice(&bytes[range.start * width..range.end * width]),
            Values::Texts { bytes, ends } => {
                for place in range {
                    let start = if place == 0 { 0 } else { ends[place - 1] };
                    put_text(&bytes[start as usize..ends[place] as usize], out);
                }
            }
            Values::Delta(values) => pack_delta(&values[range], out),
            Values::Split(values) => split(&values[range], out),
            Values::Bits(values) => {
                for group in values[range].chunks(8) {
                    out.push(group.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit)));
                }
            }
        }
    }
}

/// Bits of a number into a dictionary. Two to seven become eight: traces that are alike repeat each other's numbers, and zstd finds
/// what is repeated only where it begins at a byte.
fn number_width(distinct: usize) -> usize {
    match (usize::BITS - distinct.saturating_sub(1).leading_zeros()) as usize {
        2..=7 => 8,
        width => width,
    }
}

/// Writes a text as Parquet's plain encoding does: its length, then its bytes.
pub(crate) fn put_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// The number of a Parquet encoding in the files.
fn encoding_number(encoding: Encoding) -> i64 {
    match encoding {
        Encoding::DELTA_BINARY_PACKED => 5,
        Encoding::RLE_DICTIONARY => 8,
        Encoding::BYTE_STREAM_SPLIT => 9,
        _ => 0,
    }
}

/// A column chunk, ready to be put into a file.
#[derive(Debug)]
pub(crate) struct EncodedChunk {
    pub(crate) bytes: Bytes,
    pub(crate) close: ColumnCloseResult,
}

/// What is to be encoded.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) presence: Presence,
    pub(crate) values: Values,
    /// Rows of a page.
    pub(crate) page_rows: usize,
    /// The smallest and largest value, for readers that skip by it.
    pub(crate) bounds: Option<(i64, i64)>,
}

/// Encodes columns; keeps its compressor and buffers.
pub(crate) struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    /// Compresses what is better off in blocks of its own.
    in_blocks: zstd::stream::raw::Encoder<'static>,
    /// Data of the pages of a chunk.
    raw: Vec<u8>,
    /// The same, compressed.
    packed: Vec<u8>,
    levels: Vec<u32>,
    bits: Vec<u8>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

/// Chunks that do not get at least this much smaller are stored as they are, which makes reading them cheaper.
const WORTHWHILE: f64 = 0.92;

/// Streams of so many bytes and more get blocks of zstd of their own: what the first bytes of numbers are like says nothing of
/// their last, and one table of code lengths for both fits neither.
const STREAM_BYTES_MIN: usize = 512;
/// How many streams the bytes of 64-bit numbers are.
const STREAMS: usize = 8;
/// What blocks of their own may add to a page that cannot be compressed.
const BLOCK_HEADERS_BYTES: usize = 64;

/// A page before it is compressed.
struct RawPage {
    kind: PageKind,
    /// Where its data lies among that of all pages.
    data: Range<usize>,
    /// The length of each of the [`STREAMS`] it ends with, if there are any and they are worth blocks of their own.
    stream_bytes: Option<usize>,
    values: usize,
    rows: usize,
    encoding: Encoding,
}

/// A chunk that is done.
struct Chunk {
    bytes: Vec<u8>,
    uncompressed_bytes: usize,
    is_compressed: bool,
    /// Bytes of the dictionary page, 0 if there is none.
    dictionary_bytes: usize,
    index: OffsetIndexBuilder,
}

impl Encoder {
    pub(crate) fn new(level: i32) -> std::io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(level)?;
        let in_blocks = zstd::stream::raw::Encoder::new(level)?;
        let (raw, packed, levels, bits) = Default::default();
        Ok(Encoder { compressor, in_blocks, raw, packed, levels, bits })
    }

    /// Encodes the `rows` rows of a column.
    pub(crate) fn encode(&mut self, descriptor: &ColumnDescPtr, rows: usize, column: &Column) -> EncodedChunk {
        self.raw.clear();
        let mut pages = Vec::new();
        if let Values::Dictionary { plain, distinct, .. } = &column.values {
            self.raw.extend_from_slice(plain);
            let data = 0..plain.len();
            pages.push(RawPage {
                kind: PageKind::Dictionary,
                data,
                stream_bytes: None,
                values: *distinct,
                rows: 0,
                encoding: Encoding::PLAIN,
            });
        }
        let (mut place, mut entries) = (Place::default(), 0);
        for start in (0..rows).step_by(column.page_rows) {
            let end = (start + column.page_rows).min(rows);
            let part = place.advance(&column.presence, start..end, descriptor.max_def_level() as u8);
            let from = self.raw.len();
            self.put_levels(&column.presence, &part, start..end, descriptor);
            let values = part.values.len();
            column.values.put(part.values, &mut self.raw);
            entries += part.entries.len();
            pages.push(RawPage {
                kind: PageKind::Data,
                data: from..self.raw.len(),
                stream_bytes: column.values.stream_bytes(values),
                values: part.entries.len(),
                rows: end - start,
                encoding: column.values.encoding(),
            });
        }
        let chunk = self.assemble(&pages);
        let metadata = chunk_metadata(descriptor, column, &chunk, entries);
        let close = ColumnCloseResult {
            bytes_written: chunk.bytes.len() as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(chunk.index.build()),
        };
        EncodedChunk { bytes: chunk.bytes.into(), close }
    }

    /// Compresses the pages, all or none, and puts them behind their headers.
    fn assemble(&mut self, pages: &[RawPage]) -> Chunk {
        let ends = self.pack(pages);
        let is_compressed = ends.is_some();
        let mut chunk = Chunk {
            bytes: Vec::with_capacity(
                if is_compressed { self.packed.len() } else { self.raw.len() } + pages.len() * 40,
            ),
            uncompressed_bytes: 0,
            is_compressed,
            dictionary_bytes: 0,
            index: OffsetIndexBuilder::new(),
        };
        let mut packed_from = 0;
        for (number, page) in pages.iter().enumerate() {
            let stored = match &ends {
                Some(ends) => &self.packed[std::mem::replace(&mut packed_from, ends[number])..ends[number]],
                None => &self.raw[page.data.clone()],
            };
            put_page(&mut chunk, page, stored);
        }
        chunk
    }

    /// Compresses all pages into `packed`, and says where each ends there; `None` if it is not worth it.
    fn pack(&mut self, pages: &[RawPage]) -> Option<Vec<usize>> {
        self.packed.clear();
        let mut ends = Vec::with_capacity(pages.len());
        for page in pages {
            let data = &self.raw[page.data.clone()];
            let start = self.packed.len();
            let bound = zstd::zstd_safe::compress_bound(data.len()) + BLOCK_HEADERS_BYTES;
            self.packed.resize(start + bound, 0);
            let out = &mut self.packed[start..];
            let bytes = match page.stream_bytes {
                Some(stream_bytes) => pack_streams(&mut self.in_blocks, data, stream_bytes, out),
                None => self.compressor.compress_to_buffer(data, out),
            };
            self.packed.truncate(start + bytes.ok()?);
            ends.push(self.packed.len());
        }
        ((self.packed.len() as f64) < self.raw.len() as f64 * WORTHWHILE).then_some(ends)
    }

    fn put_levels(&mut self, presence: &Presence, part: &Part, rows: Range<usize>, descriptor: &ColumnDescPtr) {
        match presence {
            Presence::Required => {}
            Presence::Rows(present) => {
                self.bits.clear();
                self.bits.resize(rows.len().div_ceil(8), 0);
                for &row in &present[part.values.clone()] {
                    let place = row as usize - rows.start;
                    self.bits[place / 8] |= 1 << (place % 8);
                }
                let (bits, count) = (&self.bits, rows.len());
                put_with_length(&mut self.raw, |page| put_bits_hybrid(bits, count, page));
            }
            Presence::Nested { repetition, definition } => {
                let maxima = [descriptor.max_rep_level(), descriptor.max_def_level()];
                for (levels, max) in [repetition, definition].into_iter().zip(maxima) {
                    self.levels.clear();
                    self.levels.extend(levels[part.entries.clone()].iter().map(|&level| u32::from(level)));
                    let width = (u16::BITS - (max as u16).leading_zeros()) as usize;
                    let levels = &self.levels;
                    put_with_length(&mut self.raw, |page| put_hybrid(levels, width, page));
                }
            }
        }
    }
}

/// Compresses data that ends with streams, each into a block of its own of one frame; what is in front of them too.
fn pack_streams(
    encoder: &mut zstd::stream::raw::Encoder<'_>,
    data: &[u8],
    stream_bytes: usize,
    out: &mut [u8],
) -> std::io::Result<usize> {
    use zstd::stream::raw::{InBuffer, Operation, OutBuffer};
    encoder.reinit()?;
    encoder.set_pledged_src_size(Some(data.len() as u64))?;
    let mut out = OutBuffer::around(out);
    let (front, streams) = data.split_at(data.len() - STREAMS * stream_bytes);
    for block in std::iter::once(front).chain(streams.chunks(stream_bytes)) {
        let mut block = InBuffer::around(block);
        while block.pos() < block.src.len() {
            encoder.run(&mut block, &mut out)?;
        }
        complete(encoder.flush(&mut out)?)?;
    }
    complete(encoder.finish(&mut out, true)?)?;
    Ok(out.pos())
}

/// What zstd still has when the room for it was reckoned too small.
fn complete(left: usize) -> std::io::Result<()> {
    if left > 0 { Err(std::io::ErrorKind::WriteZero.into()) } else { Ok(()) }
}

fn put_page(chunk: &mut Chunk, page: &RawPage, stored: &[u8]) {
    let start = chunk.bytes.len();
    let header = PageHeader {
        kind: page.kind,
        uncompressed_bytes: page.data.len(),
        compressed_bytes: stored.len(),
        values: page.values,
        encoding: encoding_number(page.encoding),
        header_bytes: 0,
    };
    put_page_header(&header, &mut chunk.bytes);
    chunk.uncompressed_bytes += chunk.bytes.len() - start + page.data.len();
    chunk.bytes.extend_from_slice(stored);
    let bytes = chunk.bytes.len() - start;
    if page.kind == PageKind::Dictionary {
        chunk.dictionary_bytes = bytes;
    } else {
        chunk.index.append_row_count(page.rows as i64);
        chunk.index.append_offset_and_size(start as i64, bytes as i32);
    }
}

/// Levels with their length in front.
fn put_with_length(page: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let start = page.len();
    page.extend_from_slice(&[0; 4]);
    put(page);
    let length = (page.len() - start - 4) as u32;
    page[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Where in the entries and values the next page begins.
#[derive(Debug, Default)]
struct Place {
    entry: usize,
    value: usize,
}

/// Entries and values of a page.
struct Part {
    entries: Range<usize>,
    values: Range<usize>,
}

impl Place {
    /// Moves behind the rows of a page.
    fn advance(&mut self, presence: &Presence, rows: Range<usize>, definition_max: u8) -> Part {
        let (entry, value) = (self.entry, self.value);
        match presence {
            Presence::Required => (self.entry, self.value) = (rows.end, rows.end),
            Presence::Rows(present) => {
                self.entry = rows.end;
                self.value += present[value..].partition_point(|&row| (row as usize) < rows.end);
            }
            Presence::Nested { repetition, definition } => {
                let mut seen = 0;
                while self.entry < repetition.len() {
                    seen += usize::from(repetition[self.entry] == 0);
                    if seen > rows.len() {
                        break;
                    }
                    self.value += usize::from(definition[self.entry] == definition_max);
                    self.entry += 1;
                }
            }
        }
        Part { entries: entry..self.entry, values: value..self.value }
    }
}

fn chunk_metadata(descriptor: &ColumnDescPtr, column: &Column, chunk: &Chunk, entries: usize) -> ColumnChunkMetaData {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).expect("zstd has a level 1"));
    let mut encodings = vec![column.values.encoding(), Encoding::RLE];
    if chunk.dictionary_bytes > 0 {
        encodings.push(Encoding::PLAIN);
    }
    let mut metadata = ColumnChunkMetaData::builder(descriptor.clone())
        .set_encodings(encodings)
        .set_compression(if chunk.is_compressed { zstd } else { Compression::UNCOMPRESSED })
        .set_num_values(entries as i64)
        .set_total_compressed_size(chunk.bytes.len() as i64)
        .set_total_uncompressed_size(chunk.uncompressed_bytes as i64)
        .set_data_page_offset(chunk.dictionary_bytes as i64);
    if chunk.dictionary_bytes > 0 {
        metadata = metadata.set_dictionary_page_offset(Some(0));
    }
    if let Some((least, most)) = column.bounds {
        metadata = metadata.set_statistics(Statistics::int64(Some(least), Some(most), None, Some(0), false));
    }
    metadata.build().expect("a column chunk has all that its metadata needs")
}
