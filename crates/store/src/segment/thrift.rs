//! The few fields of a Parquet page header that a reader needs, out of Thrift's compact encoding.
//!
//! Format: `parquet.thrift`, `PageHeader`, and Thrift's compact protocol. Unknown fields are skipped. Reads at most
//! [`HEADER_BYTES_MAX`] bytes and nests at most [`DEPTH_MAX`] deep, so damaged bytes cannot do harm.

use crate::segment::varint::{put_zigzag, varint, zigzag};

/// A page header is far smaller than this.
pub(crate) const HEADER_BYTES_MAX: usize = 4096;
const DEPTH_MAX: usize = 8;

/// What a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    Data,
    Dictionary,
}

/// A page header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub(crate) kind: PageKind,
    pub(crate) uncompressed_bytes: usize,
    pub(crate) compressed_bytes: usize,
    pub(crate) values: usize,
    /// The number of the encoding of the values.
    pub(crate) encoding: i64,
    /// Where the page's data begins, from the header's first byte.
    pub(crate) header_bytes: usize,
}

/// Reads a header from the start of `bytes`; `None` if there is no header of a kind we know.
pub(crate) fn page_header(bytes: &[u8]) -> Option<PageHeader> {
    let mut reader = Reader { bytes: &bytes[..bytes.len().min(HEADER_BYTES_MAX)], at: 0 };
    let (mut kind, mut sizes) = (None, [None, None]);
    let (mut values, mut encoding) = (None, None);
    let mut field = 0;
    while let Some((id, wire_type)) = reader.field(field)? {
        field = id;
        match (id, wire_type) {
            (1, I32) => kind = Some(reader.zigzag()?),
            (2 | 3, I32) => sizes[id as usize - 2] = Some(reader.zigzag()?),
            (5 | 7, STRUCT) => (values, encoding) = reader.count_and_encoding()?,
            _ => reader.skip(wire_type, DEPTH_MAX)?,
        }
    }
    let kind = match kind? {
        0 => PageKind::Data,
        2 => PageKind::Dictionary,
        _ => return None,
    };
    Some(PageHeader {
        kind,
        uncompressed_bytes: usize::try_from(sizes[0]?).ok()?,
        compressed_bytes: usize::try_from(sizes[1]?).ok()?,
        values: usize::try_from(values?).ok()?,
        encoding: encoding?,
        header_bytes: reader.at,
    })
}

const I32: u8 = 5;
const STRUCT: u8 = 12;
/// The number of the encoding of levels.
const RLE: i64 = 3;

/// Writes a header as [`page_header`] reads it.
pub(crate) fn put_page_header(header: &PageHeader, out: &mut Vec<u8>) {
    let mut number = |field_delta: u8, value: i64| {
        out.push(field_delta << 4 | I32);
        put_zigzag(value, out);
    };
    let is_data = header.kind == PageKind::Data;
    number(1, if is_data { 0 } else { 2 });
    number(1, header.uncompressed_bytes as i64);
    number(1, header.compressed_bytes as i64);
    // Field 5 is the header of a data page, field 7 that of a dictionary.
    out.push((if is_data { 2 } else { 4 }) << 4 | STRUCT);
    let mut number = |value: i64| {
        out.push(1 << 4 | I32);
        put_zigzag(value, out);
    };
    number(header.values as i64);
    number(header.encoding);
    if is_data {
        number(RLE);
        number(RLE);
    }
    out.extend_from_slice(&[0, 0]);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        varint(self.bytes, &mut self.at)
    }

    fn zigzag(&mut self) -> Option<i64> {
        zigzag(self.bytes, &mut self.at)
    }

    /// The next field's id and type; the inner `None` ends a struct.
    #[expect(clippy::option_option, reason = "the outer is damage, the inner the end of the struct")]
    fn field(&mut self, last: i64) -> Option<Option<(i64, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        let delta = i64::from(byte >> 4);
        let id = if delta == 0 { self.zigzag()? } else { last + delta };
        Some(Some((id, byte & 15)))
    }

    /// Fields 1 and 2 of a data or dictionary page's own header.
    fn count_and_encoding(&mut self) -> Option<(Option<i64>, Option<i64>)> {
        let (mut values, mut encoding, mut field) = (None, None, 0);
        while let Some((id, wire_type)) = self.field(field)? {
            field = id;
            match (id, wire_type) {
                (1, I32) => values = Some(self.zigzag()?),
                (2, I32) => encoding = Some(self.zigzag()?),
                _ => self.skip(wire_type, DEPTH_MAX)?,
            }
        }
        Some((values, encoding))
    }

    fn skip(&mut self, wire_type: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match wire_type {
            1 | 2 => {}
            3 => self.at += 1,
            4..=6 => drop(self.varint()?),
            7 => self.at += 8,
            8 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.at = self.at.checked_add(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                for _ in 0..count.min(HEADER_BYTES_MAX as u64) {
                    self.skip(head & 15, depth)?;
                }
            }
            STRUCT => {
                let mut field = 0;
                while let Some((id, wire_type)) = self.field(field)? {
                    field = id;
                    self.skip(wire_type, depth)?;
                }
            }
            _ => return None,
        }
        (self.at <= self.bytes.len()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_round_trip() {
        // Guarantees that both kinds of headers are read as they were written, whatever follows.
        for kind in [PageKind::Data, PageKind::Dictionary] {
            let mut bytes = Vec::new();
            let sizes = PageHeader {
                kind,
                uncompressed_bytes: 70_000,
                compressed_bytes: 3,
                values: 8192,
                encoding: 8,
                header_bytes: 0,
            };
            put_page_header(&sizes, &mut bytes);
            let header_bytes = bytes.len();
            bytes.extend_from_slice(b"data");
            assert_eq!(page_header(&bytes), Some(PageHeader { header_bytes, ..sizes }));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Guarantees that bytes which are no header neither panic nor hang.
            let _ = page_header(&bytes);
        }
    }
}
