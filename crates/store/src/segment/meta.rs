//! `segment.json`: what a segment is, which files it has, and their checksums. Written last, so its presence means the rest is there.

use serde::{Deserialize, Serialize};

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
    pub(crate) columns: Vec<AttributeColumn>,
    pub(crate) files: Vec<FileMeta>,
}

impl SegmentMeta {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("the description of a segment is always JSON")
    }

    /// Bytes of all files it names.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
