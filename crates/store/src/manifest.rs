//! `manifest.json`: which segments are live and up to which WAL file everything is in them.
//!
//! The manifest is the one place that decides: a segment directory it does not name is rubbish of an interrupted seal (the WAL
//! still has its spans), a WAL file at or below `wal_sealed_through` is done with. It is replaced as a whole and carries its
//! own checksum. If it is lost or
//! damaged it is made anew from the segments that are there, and every WAL file that may not be sealed is replayed: spans that
//! are then there twice are told apart by their keys when they are read.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::disk::{Disk, read_file, replace_file};
use crate::filenames::MANIFEST;

const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// A live segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SegmentEntry {
    pub(crate) id: u64,
    pub(crate) day: String,
}

/// Which segments are live.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) next_segment_id: u64,
    pub(crate) wal_sealed_through: u64,
    pub(crate) segments: Vec<SegmentEntry>,
    /// Segments of log records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) log_segments: Vec<SegmentEntry>,
}

impl Manifest {
    /// Reads the manifest; `None` if there is none, or none that can be trusted.
    pub(crate) fn load(disk: &dyn Disk, data: &Path) -> io::Result<Option<Manifest>> {
        let bytes = match read_file(disk, &data.join(MANIFEST), MANIFEST_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let manifest = Manifest::from_bytes(&bytes);
        if manifest.is_none() {
            tracing::error!(
                "manifest.json is damaged; it is made anew from the segments, and the whole WAL is replayed"
            );
        }
        Ok(manifest)
    }

    /// Puts the manifest in place, durably.
    pub(crate) fn save(&self, disk: &dyn Disk, data: &Path) -> io::Result<()> {
        replace_file(disk, &data.join(MANIFEST), &self.to_bytes())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a manifest is always JSON");
        let hash = xxh3_64(&bytes);
        bytes.extend_from_slice(format!("\n{hash:016x}\n").as_bytes());
        bytes
    }

    /// Reads what [`Manifest::load`] reads; `None` if it cannot be trusted.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Manifest> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (json, hash) = text.split_once('\n')?;
        let hash = u64::from_str_radix(hash.strip_suffix('\n')?, 16).ok()?;
        (hash == xxh3_64(json.as_bytes())).then(|| serde_json::from_str(json).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_noticed() {
        // Guarantees that a damaged manifest is never believed.
        let manifest = Manifest {
            next_segment_id: 3,
            wal_sealed_through: 2,
            segments: vec![SegmentEntry { id: 1, day: "2026-11-20".into() }],
            log_segments: vec![SegmentEntry { id: 2, day: "2026-11-20".into() }],
        };
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::from_bytes(&bytes), Some(manifest));
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                let found = Manifest::from_bytes(&damaged);
                assert!(found.is_none() || found == Manifest::from_bytes(&bytes), "byte {place} bit {bit}");
            }
        }
    }
}
