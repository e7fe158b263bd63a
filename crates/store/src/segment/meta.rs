//! `segment.json`: what a segment is, which files it has, and their checksums. Written last, so its presence means the rest is there.
//!
//! Its last field, `xxh3`, is the checksum of everything before the comma in front of that field.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::segment::layout::AttributeColumn;

/// A file of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileMeta {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// xxh3-64 of the whole file, hex.
    pub(crate) xxh3: String,
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentMeta {
    pub(crate) format: u64,
    pub(crate) id: u64,
    pub(crate) day: String,
    pub(crate) wal_first: u64,
    pub(crate) wal_last: u64,
    pub(crate) created_unix_nano: u64,
    pub(crate) spans: u64,
    pub(crate) traces: u64,
    pub(crate) start_min_unix_nano: u64,
    pub(crate) start_max_unix_nano: u64,
    /// About how much memory its spans take as batches.
    #[serde(default)]
    pub(crate) memory_bytes: u64,
    /// Numbers of the segments it was merged from; it takes their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) merged_from: Vec<u64>,
    pub(crate) columns: Vec<AttributeColumn>,
    pub(crate) files: Vec<FileMeta>,
}

/// Usual memory of the spans behind a byte of the files.
const MEMORY_PER_FILE_BYTE: u64 = 12;

/// What comes between the checksummed text and its checksum, and what comes after it.
const BEFORE_CHECKSUM: &str = ",\n  \"xxh3\": \"";
const AFTER_CHECKSUM: &str = "\"\n}";
const CHECKSUM_DIGITS: usize = 16;

impl SegmentMeta {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = self.text();
        let head = text.strip_suffix("\n}").expect("a pretty object ends so");
        format!("{head}{BEFORE_CHECKSUM}{:016x}{AFTER_CHECKSUM}", xxh3_64(head.as_bytes())).into_bytes()
    }

    /// Reads the file; says what is wrong with it if anything is.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<SegmentMeta, String> {
        let meta: SegmentMeta = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match split_checksum(bytes) {
            Some((head, digits)) if digits == format!("{:016x}", xxh3_64(head)).as_bytes() => Ok(meta),
            Some(_) => Err("its checksum is wrong".to_owned()),
            // Files of before there was a checksum have just these fields, in this form.
            None if meta.text().as_bytes() == bytes => Ok(meta),
            None => Err("its checksum is missing".to_owned()),
        }
    }

    fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("the description of a segment is always JSON")
    }

    /// About how much memory its spans take as batches; guessed where it is not known.
    pub(crate) fn memory_bytes(&self) -> u64 {
        if self.memory_bytes > 0 { self.memory_bytes } else { self.bytes() * MEMORY_PER_FILE_BYTE }
    }

    /// Up to which WAL file all spans are in segments if this one is there: memtables are sealed in order, and merged once all of
    /// their segments are named in the manifest.
    pub(crate) fn wal_sealed_through(&self) -> u64 {
        if self.merged_from.is_empty() { self.wal_first.saturating_sub(1) } else { self.wal_last }
    }

    /// Bytes of all files it names.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// The text that is checksummed, and the digits of its checksum.
fn split_checksum(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_suffix(AFTER_CHECKSUM.as_bytes())?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(CHECKSUM_DIGITS)?)?;
    Some((rest.strip_suffix(BEFORE_CHECKSUM.as_bytes())?, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_noticed() {
        // Guarantees that a damaged segment.json is never believed, and that one of before checksums still is.
        let file = FileMeta { name: "spans.parquet".into(), bytes: 3, xxh3: "00000000000000ab".into() };
        let meta = SegmentMeta {
            format: 1,
            id: 7,
            day: "2026-11-20".into(),
            wal_first: 1,
            wal_last: 2,
            created_unix_nano: 3,
            spans: 4,
            traces: 2,
            start_min_unix_nano: 5,
            start_max_unix_nano: 6,
            memory_bytes: 7,
            merged_from: vec![1, 2],
            columns: Vec::new(),
            files: vec![file],
        };
        let bytes = meta.to_bytes();
        assert_eq!(SegmentMeta::from_bytes(&bytes), Ok(meta.clone()));
        assert_eq!(SegmentMeta::from_bytes(meta.text().as_bytes()), Ok(meta));
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                assert!(SegmentMeta::from_bytes(&damaged).is_err(), "byte {place} bit {bit}");
            }
        }
    }
}
