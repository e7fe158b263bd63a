//! One page of a Parquet column, unpacked as far as random access needs.
//!
//! Covers what [`super::layout`] writes: version 1 pages, plain, dictionary and delta encodings, zstd or nothing. Everything is
//! checked against the bytes that are there; a page that does not add up is damage, never a panic. The general reader of the
//! `parquet` crate sets up two compression contexts and a chain of buffers for each of a hundred columns, which cost more than
//! nine tenths of reading a trace.

use std::cell::RefCell;
use std::ops::Range;

use crate::segment::delta::{joined, unpack_delta};
use crate::segment::levels::{BITS_AT_A_TIME, Hybrid};
use crate::segment::thrift::{PageHeader, PageKind, page_header};

/// Bytes a page may claim to unpack to.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const DELTA_BINARY_PACKED: i64 = 5;
const RLE_DICTIONARY: i64 = 8;
const BYTE_STREAM_SPLIT: i64 = 9;

/// The physical type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Physical {
    Bool,
    /// Fixed width: integers, doubles, ids.
    Fixed(usize),
    Bytes,
}

/// How values of a column nest: the levels that a value which is there has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) physical: Physical,
    pub(crate) definition_max: u8,
    pub(crate) repetition_max: u8,
    pub(crate) is_compressed: bool,
}

/// Which rows have values.
#[derive(Debug)]
pub(crate) enum Levels {
    /// All rows have one.
    Required,
    /// A bit a row says whether it has one.
    Optional(RowBits),
    /// No row has any.
    Nothing,
    /// Some rows have lists.
    Nested(Lists),
}

/// The rows of a page that have a list. The others, mostly by far, have one entry with levels of zero, and take no memory.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Ascending.
    rows: Vec<u32>,
    /// Where each of them begins among the entries and the values; one more than there are rows.
    starts: Vec<ListStart>,
    /// The levels of their entries.
    repetition: Vec<u8>,
    definition: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct ListStart {
    entry: u32,
    value: u32,
}

impl Lists {
    /// How many rows before `row` have a list.
    fn rank(&self, row: usize) -> usize {
        self.rows.partition_point(|&with| (with as usize) < row)
    }

    /// Adds an entry of `row`, before which there are `values` values; `None` if it continues a list that is not there.
    fn push(&mut self, row: usize, repetition: u8, definition: u8, values: u32) -> Option<()> {
        let continues = self.rows.last() == Some(&(row as u32));
        if repetition > 0 && !continues {
            return None;
        }
        if repetition == 0 && definition == 0 {
            return Some(());
        }
        if repetition == 0 {
            self.rows.push(row as u32);
            self.starts.push(ListStart { entry: self.definition.len() as u32, value: values });
        }
        self.repetition.push(repetition);
        self.definition.push(definition);
        Some(())
    }

    /// Hands out the rows of a range that have a list, with the levels of its entries.
    pub(crate) fn each(&self, rows: &Range<usize>, mut list: impl FnMut(usize, &[u8], &[u8])) {
        for number in self.rank(rows.start)..self.rank(rows.end) {
            let entries = self.starts[number].entry as usize..self.starts[number + 1].entry as usize;
            list(self.rows[number] as usize, &self.repetition[entries.clone()], &self.definition[entries]);
        }
    }

    fn heap_bytes(&self) -> usize {
        self.rows.len() * 12 + self.repetition.len() * 2
    }
}

/// The values that are there, in order.
#[derive(Debug)]
pub(crate) enum Values {
    Nothing,
    /// Numbers into the dictionary, as the hybrid stream with this width that begins at this byte.
    Numbers {
        width: usize,
        start: usize,
    },
    /// Values of this width one behind the other, from this byte on.
    Fixed {
        width: usize,
        start: usize,
    },
    /// Where each value lies.
    Bytes(Vec<Range<u32>>),
    /// A bit a value, from this byte on.
    Bits {
        start: usize,
    },
    Unpacked(Vec<i64>),
    /// Streams of the bytes of eight-byte values, from this byte on to the end.
    Streams {
        start: usize,
    },
}

/// An unpacked page.
#[derive(Debug)]
pub(crate) struct Page {
    data: Vec<u8>,
    pub(crate) rows: usize,
    pub(crate) levels: Levels,
    values: Values,
}

/// Why bytes are no page, for a message.
pub(crate) type Damage = &'static str;

thread_local! {
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn unpack(packed: &[u8], header: &PageHeader, is_compressed: bool) -> Result<Vec<u8>, Damage> {
    if header.uncompressed_bytes > UNPACKED_BYTES_MAX {
        return Err("a page claims to be larger than any page is");
    }
    if !is_compressed {
        return Ok(packed.to_vec());
    }
    UNPACKER.with_borrow_mut(|unpacker| {
        if unpacker.is_none() {
            *unpacker = zstd::bulk::Decompressor::new().ok();
        }
        let unpacker = unpacker.as_mut().ok_or("no memory to unpack a page")?;
        let bytes = unpacker.decompress(packed, header.uncompressed_bytes).map_err(|_| "a page does not unpack")?;
        if bytes.len() == header.uncompressed_bytes { Ok(bytes) } else { Err("a page unpacks to a wrong length") }
    })
}

impl Page {
    /// Unpacks a page; `bytes` begins with its header.
    pub(crate) fn new(bytes: &[u8], shape: Shape, is_dictionary: bool) -> Result<Page, Damage> {
        let header = page_header(bytes).ok_or("no page header")?;
        let wanted = if is_dictionary { PageKind::Dictionary } else { PageKind::Data };
        if header.kind != wanted {
            return Err("a page of another kind");
        }
        let end = header.header_bytes.checked_add(header.compressed_bytes).ok_or("a page too long")?;
        let packed = bytes.get(header.header_bytes..end).ok_or("a page that is cut off")?;
        let data = unpack(packed, &header, shape.is_compressed)?;
        if is_dictionary {
            let values = Page::plain(&data, 0, shape.physical, header.values)?;
            return Ok(Page { data, rows: header.values, levels: Levels::Required, values });
        }
        let (levels, rows, present, start) = read_levels(&data, shape, header.values)?;
        let values = match (present, header.encoding) {
            (0, _) => Values::Nothing,
            (_, PLAIN) => Page::plain(&data, start, shape.physical, present)?,
            (_, PLAIN_DICTIONARY | RLE_DICTIONARY) => {
                let width = usize::from(*data.get(start).ok_or("a page without its bit width")?);
                if width > 32 {
                    return Err("a bit width over 32");
                }
                Values::Numbers { width, start: start + 1 }
            }
            (_, DELTA_BINARY_PACKED) => Values::Unpacked(unpack_delta(&data[start..], present).ok_or("bad deltas")?),
            (_, BYTE_STREAM_SPLIT) if present.checked_mul(8) == Some(data.len() - start) => Values::Streams { start },
            (_, BYTE_STREAM_SPLIT) => return Err("bad streams"),
            _ => return Err("an encoding that is never written"),
        };
        Ok(Page { data, rows, levels, values })
    }

    fn plain(data: &[u8], start: usize, physical: Physical, count: usize) -> Result<Values, Damage> {
        match physical {
            Physical::Bool => {
                let bytes = data.len().saturating_sub(start);
                if bytes < count.div_ceil(8) { Err("too few bits") } else { Ok(Values::Bits { start }) }
            }
            Physical::Fixed(width) => {
                let bytes = count.checked_mul(width).and_then(|bytes| bytes.checked_add(start));
                if bytes.is_some_and(|end| end <= data.len()) {
                    Ok(Values::Fixed { width, start })
                } else {
                    Err("too few values")
                }
            }
            Physical::Bytes => {
                let mut places = Vec::with_capacity(count.min(data.len() / 4));
                let mut at = start;
                for _ in 0..count {
                    let length = data.get(at..at + 4).ok_or("a text without its length")?;
                    let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
                    let end = (at + 4).checked_add(length).filter(|&end| end <= data.len()).ok_or("a text cut off")?;
                    places.push(at as u32 + 4..end as u32);
                    at = end;
                }
                Ok(Values::Bytes(places))
            }
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let levels = match &self.levels {
            Levels::Required | Levels::Nothing => 0,
            Levels::Optional(bits) => bits.heap_bytes(),
            Levels::Nested(lists) => lists.heap_bytes(),
        };
        let values = match &self.values {
            Values::Bytes(places) => places.len() * 8,
            Values::Unpacked(values) => values.len() * 8,
            _ => 0,
        };
        self.data.len() + levels + values + size_of::<Page>()
    }

    /// How many values come before the one of `row`.
    fn rank(&self, row: usize) -> usize {
        match &self.levels {
            Levels::Required => row,
            Levels::Nothing => 0,
            Levels::Optional(bits) => bits.rank(row),
            Levels::Nested(lists) => lists.starts[lists.rank(row)].value as usize,
        }
    }

    /// Which values belong to `rows`.
    pub(crate) fn values_of(&self, rows: &Range<usize>) -> Range<usize> {
        self.rank(rows.start)..self.rank(rows.end)
    }

    /// Whether an optional or required column has a value in `row`.
    pub(crate) fn is_present(&self, row: usize) -> bool {
        match &self.levels {
            Levels::Required => true,
            Levels::Optional(bits) => bits.get(row),
            Levels::Nothing | Levels::Nested(_) => false,
        }
    }

    /// Whether any of these rows has a value.
    pub(crate) fn has_values(&self, rows: &[Range<usize>]) -> bool {
        !matches!(self.levels, Levels::Nothing) && rows.iter().any(|rows| !self.values_of(rows).is_empty())
    }

    /// Whether values of these rows are numbers in the dictionary.
    pub(crate) fn needs_dictionary(&self, rows: &[Range<usize>]) -> bool {
        matches!(self.values, Values::Numbers { .. }) && self.has_values(rows)
    }

    /// Values of ascending rows that are numbers in the dictionary: hands out the numbers. `None` if they are no such numbers.
    pub(crate) fn numbers(&self, rows: &[Range<usize>], mut out: impl FnMut(u32)) -> Option<Result<(), Damage>> {
        let Values::Numbers { width, start } = self.values else { return None };
        let mut hybrid = Hybrid::new(&self.data[start..], width);
        let mut at = 0;
        let mut read = |values: Range<usize>| {
            hybrid.skip(values.start - at)?;
            at = values.end;
            hybrid.take(values.len(), &mut out)
        };
        let done: Option<()> = rows.iter().map(|rows| self.values_of(rows)).try_for_each(&mut read);
        Some(done.ok_or("too few dictionary numbers"))
    }

    /// The bytes of a value that is stored as they are.
    pub(crate) fn bytes(&self, value: usize) -> Option<&[u8]> {
        match &self.values {
            Values::Fixed { width, start } => self.data.get(start + value * width..start + (value + 1) * width),
            Values::Bytes(places) => {
                let place = places.get(value)?;
                self.data.get(place.start as usize..place.end as usize)
            }
            _ => None,
        }
    }

    /// A value that is stored as an integer, a double's bits, or a bit.
    pub(crate) fn number(&self, value: usize) -> Option<i64> {
        match &self.values {
            Values::Unpacked(values) => values.get(value).copied(),
            Values::Streams { start } => joined(self.data.get(*start..)?, value),
            Values::Bits { start } => Some(i64::from(self.data.get(start + value / 8)? >> (value % 8) & 1)),
            Values::Fixed { width: 8, .. } => Some(i64::from_le_bytes(self.bytes(value)?.try_into().ok()?)),
            Values::Fixed { width: 4, .. } => Some(i64::from(u32::from_le_bytes(self.bytes(value)?.try_into().ok()?))),
            _ => None,
        }
    }
}

type ReadLevels = (Levels, usize, usize, usize);

/// Reads the levels of a page: which rows have values, how many rows, how many values are there, and where they begin.
fn read_levels(data: &[u8], shape: Shape, count: usize) -> Result<ReadLevels, Damage> {
    if shape.definition_max == 0 {
        return Ok((Levels::Required, count, count, 0));
    }
    let width = |max: u8| (u8::BITS - max.leading_zeros()) as usize;
    if shape.repetition_max == 0 {
        let (bytes, start) = level_bytes(data, 0)?;
        let (bits, present) = read_bits(bytes, count).ok_or("bad definition levels")?;
        let levels = if present == 0 { Levels::Nothing } else { Levels::Optional(bits) };
        return Ok((levels, count, present, start));
    }
    let (repetition, start) = level_bytes(data, 0)?;
    let (definition, start) = level_bytes(data, start)?;
    let mut definitions = Hybrid::new(definition, width(shape.definition_max));
    if definitions.run() == Some((count, Some(0))) {
        return Ok((Levels::Nothing, count, 0, start));
    }
    let (levels, rows, present) =
        read_nested(Hybrid::new(repetition, width(shape.repetition_max)), definitions, shape.definition_max, count)
            .ok_or("bad levels")?;
    Ok((levels, rows, present, start))
}

/// Levels are preceded by their length. Returns them and where what follows begins.
fn level_bytes(data: &[u8], at: usize) -> Result<(&[u8], usize), Damage> {
    let length = data.get(at..at + 4).ok_or("levels without their length")?;
    let end = at + 4 + u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
    Ok((data.get(at + 4..end).ok_or("levels cut off")?, end))
}

/// Levels of one bit as a bit a row, and how many are set.
fn read_bits(bytes: &[u8], count: usize) -> Option<(RowBits, usize)> {
    if count > UNPACKED_BYTES_MAX {
        return None;
    }
    let mut hybrid = Hybrid::new(bytes, 1);
    let mut words = vec![0u64; count.div_ceil(64)];
    let mut put = |row: usize, bits: u64, count: usize| {
        let place = row % 64;
        words[row / 64] |= bits << place;
        if place + count > 64 {
            words[row / 64 + 1] |= bits >> (64 - place);
        }
    };
    let mut row = 0;
    while row < count {
        let (length, repeated) = hybrid.run()?;
        let length = length.min(count - row);
        match repeated {
            Some(0) => hybrid.skip(length)?,
            Some(_) => {
                for start in (0..length).step_by(BITS_AT_A_TIME) {
                    let ones = (length - start).min(BITS_AT_A_TIME);
                    put(row + start, (1 << ones) - 1, ones);
                }
                hybrid.skip(length)?;
            }
            None => {
                let mut at = row;
                hybrid.take_bits(length, |bits, count| {
                    put(at, bits, count);
                    at += count;
                })?;
            }
        }
        row += length;
    }
    let bits = RowBits::new(words);
    let present = bits.rank(count);
    Some((bits, present))
}

/// A bit a row, and how many are set before every [`RANK_WORDS`].
#[derive(Debug)]
pub(crate) struct RowBits {
    words: Vec<u64>,
    ranks: Vec<u32>,
}

const RANK_WORDS: usize = 4;

impl RowBits {
    fn new(words: Vec<u64>) -> Self {
        let mut set = 0;
        let mut ranks = Vec::with_capacity(words.len() / RANK_WORDS + 1);
        for chunk in words.chunks(RANK_WORDS) {
            ranks.push(set);
            set += count_ones(chunk);
        }
        ranks.push(set);
        RowBits { words, ranks }
    }

    fn get(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// How many of the rows before `row` are set.
    fn rank(&self, row: usize) -> usize {
        let (word, chunk) = (row / 64, row / 64 / RANK_WORDS);
        let whole = self.ranks[chunk] + count_ones(&self.words[chunk * RANK_WORDS..word]);
        let rest = if row.is_multiple_of(64) { 0 } else { (self.words[word] & ((1 << (row % 64)) - 1)).count_ones() };
        (whole + rest) as usize
    }

    fn heap_bytes(&self) -> usize {
        self.words.len() * 8 + self.ranks.len() * 4
    }
}

fn count_ones(words: &[u64]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

/// Reads the levels of lists. Rows without one come in long runs, of which only the length is looked at.
fn read_nested(
    mut repetition: Hybrid<'_>,
    mut definition: Hybrid<'_>,
    definition_max: u8,
    count: usize,
) -> Option<(Levels, usize, usize)> {
    if count > UNPACKED_BYTES_MAX {
        return None;
    }
    let mut lists = Lists::default();
    let (mut rows, mut values, mut entry) = (0, 0, 0);
    let (mut repetitions, mut definitions) = (Vec::new(), Vec::new());
    while entry < count {
        let (repetition_run, repeated) = repetition.run()?;
        let (definition_run, defined) = definition.run()?;
        let run = repetition_run.min(definition_run).min(count - entry);
        entry += run;
        if (repeated, defined) == (Some(0), Some(0)) {
            repetition.skip(run)?;
            definition.skip(run)?;
            rows += run;
            continue;
        }
        repetitions.clear();
        definitions.clear();
        repetition.take(run, |level| repetitions.push(level as u8))?;
        definition.take(run, |level| definitions.push(level as u8))?;
        for (&repetition, &definition) in repetitions.iter().zip(&definitions) {
            rows += usize::from(repetition == 0);
            lists.push(rows.checked_sub(1)?, repetition, definition, values)?;
            values += u32::from(definition == definition_max);
        }
    }
    lists.starts.push(ListStart { entry: lists.definition.len() as u32, value: values });
    Some((Levels::Nested(lists), rows, values as usize))
}
