//! The write-ahead log: requests as they were received, checksummed, appended, synced.
//!
//! Part of step *append*. One file belongs to one memtable and is deleted when that memtable's segments are synced. This module
//! knows bytes and files; who writes when, and group commit, is [`crate::commit`].
//!
//! File: a header of 32 bytes, then records. All numbers are little-endian.
//!
//! ```text
//! file    magic "LSPANWAL" · version u32 · 0 u32 · sequence u64 · salt u32 · crc32 of the 28 bytes before
//! record  magic "LREC" · stored bytes u32 · raw bytes u32 · kind u8 · format u8 · compression u8 · 0 u8
//!         · received, Unix ns u64 · crc32 of the stored bytes · crc32 of salt and the 28 bytes before · stored bytes
//! ```
//!
//! The salt keeps bytes that a sender put inside a request from ever looking like a record when a reader searches for the
//! next one behind a damaged place.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, WriteFile, read_file, remove_if_there};
use crate::filenames::{wal_directory, wal_file};

const FILE_MAGIC: &[u8; 8] = b"LSPANWAL";
const RECORD_MAGIC: &[u8; 4] = b"LREC";
const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 32;
const KIND_REQUEST: u8 = 1;
const COMPRESSION_NONE: u8 = 0;
const COMPRESSION_LZ4: u8 = 1;
/// No request is larger than this, so a record that says it is is damaged.
const RAW_BYTES_MAX: usize = 1 << 30;
/// A WAL file is never larger than this; bounds what a reader takes into memory.
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 30;

/// A request as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The sender's format, as `wire` numbers it.
    pub format: u8,
    /// When it was received.
    pub received_unix_nano: u64,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// A record ready to be written, but for the salt of the file it goes to.
#[derive(Debug)]
pub(crate) struct Encoded {
    header: [u8; HEADER_BYTES],
    stored: Vec<u8>,
}

impl Encoded {
    pub(crate) fn new(format: u8, received_unix_nano: u64, body: &[u8]) -> Self {
        // Made for the worst case, which is not to be kept while the record waits.
        let mut packed = lz4_flex::block::compress(body);
        packed.shrink_to_fit();
        let (compression, stored) =
            if packed.len() < body.len() { (COMPRESSION_LZ4, packed) } else { (COMPRESSION_NONE, body.to_vec()) };
        let mut header = [0; HEADER_BYTES];
        header[0..4].copy_from_slice(RECORD_MAGIC);
        header[4..8].copy_from_slice(&(stored.len() as u32).to_le_bytes());
        header[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
        header[12..16].copy_from_slice(&[KIND_REQUEST, format, compression, 0]);
        header[16..24].copy_from_slice(&received_unix_nano.to_le_bytes());
        header[24..28].copy_from_slice(&crc32fast::hash(&stored).to_le_bytes());
        Encoded { header, stored }
    }

    /// Bytes it takes in the file.
    pub(crate) fn len(&self) -> usize {
        HEADER_BYTES + self.stored.len()
    }
}

fn salted_crc(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// A WAL file being written.
#[derive(Debug)]
pub(crate) struct WalWriter {
    file: Box<dyn WriteFile>,
    salt: u32,
    pub(crate) sequence: u64,
    /// Bytes in the file.
    pub(crate) bytes: u64,
    /// Of these, the bytes up to the end of the last request that was not refused.
    kept_bytes: u64,
    buffer: Vec<u8>,
}

impl WalWriter {
    /// Creates the file of that number, durably.
    pub(crate) fn create(disk: &dyn Disk, data: &Path, sequence: u64) -> io::Result<Self> {
        let salt = RandomState::new().build_hasher().finish() as u32;
        let mut header = [0; HEADER_BYTES];
        header[0..8].copy_from_slice(FILE_MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[16..24].copy_from_slice(&sequence.to_le_bytes());
        header[24..28].copy_from_slice(&salt.to_le_bytes());
        let crc = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        let path = wal_file(data, sequence);
        let mut file = disk.create(&path)?;
        let begun = file.write_all(&header).and_then(|()| file.sync_data());
        if let Err(error) = begun.and_then(|()| disk.sync_directory(&wal_directory(data))) {
            // Tried again and again on a full disk, the beginnings would pile up.
            let _ = remove_if_there(disk, &path);
            return Err(error);
        }
        let bytes = HEADER_BYTES as u64;
        Ok(WalWriter { file, salt, sequence, bytes, kept_bytes: bytes, buffer: Vec::new() })
    }

    /// Hands records to the operating system in one call.
    pub(crate) fn write<'a>(&mut self, records: impl Iterator<Item = &'a Encoded>) -> io::Result<()> {
        self.buffer.clear();
        for record in records {
            let crc = salted_crc(self.salt, &record.header[..28]);
            self.buffer.extend_from_slice(&record.header[..28]);
            self.buffer.extend_from_slice(&crc.to_le_bytes());
            self.buffer.extend_from_slice(&record.stored);
        }
        self.file.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    /// Returns when everything written is on disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Says that what was written so far will not be refused.
    pub(crate) fn keep(&mut self) {
        self.kept_bytes = self.bytes;
    }

    /// Gives the file up after a write or sync has failed: what the system says about it cannot be trusted any more. Cuts off
    /// what was refused, so that the next start does not find it; a file of which nothing is left is removed.
    pub(crate) fn abandon(self, disk: &dyn Disk, data: &Path) {
        let path = wal_file(data, self.sequence);
        let nothing_kept = self.kept_bytes <= HEADER_BYTES as u64;
        let cut = if nothing_kept { remove_if_there(disk, &path) } else { disk.truncate(&path, self.kept_bytes) };
        if let Err(error) = cut {
            tracing::warn!(%error, sequence = self.sequence, "refused requests could not be cut off; the next start may find them");
        }
    }
}

/// What a WAL file held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WalContents {
    /// Whole records, in order.
    pub records: Vec<Record>,
    /// Where the last whole record ends; what lies behind is a write that never finished.
    pub valid_bytes: u64,
    /// Bytes behind `valid_bytes`.
    pub torn_bytes: u64,
    /// Damaged places with whole records behind them, and a damaged header: these are not unfinished writes.
    pub damaged_places: u64,
    /// Nothing can be read, although there is something: the header is lost.
    pub unreadable: bool,
}

/// Reads a WAL file, as much of it as is whole.
pub fn read_wal(disk: &dyn Disk, path: &Path) -> io::Result<WalContents> {
    let bytes = read_file(disk, path, FILE_BYTES_MAX)?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> WalContents {
    let mut contents = WalContents::default();
    let salt = match (file_salt(bytes), bytes.len() > HEADER_BYTES) {
        (Some(salt), _) => salt,
        (None, false) => {
            contents.torn_bytes = bytes.len() as u64;
            return contents;
        }
        // The header is synced before the first record is written, so this is damage and no unfinished write.
        (None, true) => {
            contents.damaged_places = 1;
            let Some(salt) = guess_salt(bytes) else {
                contents.valid_bytes = bytes.len() as u64;
                contents.unreadable = true;
                return contents;
            };
            salt
        }
    };
    let mut at = HEADER_BYTES;
    contents.valid_bytes = at as u64;
    let mut skipped = false;
    while at < bytes.len() {
        if let Some((record, next)) = record_at(bytes, at, salt) {
            contents.damaged_places += u64::from(std::mem::take(&mut skipped));
            contents.records.push(record);
            contents.valid_bytes = next as u64;
            at = next;
        } else {
            skipped = true;
            at = next_magic(bytes, at + 1);
        }
    }
    contents.torn_bytes = bytes.len() as u64 - contents.valid_bytes;
    contents
}

/// The salt in the head of a file, if the head is whole.
pub(crate) fn file_salt(bytes: &[u8]) -> Option<u32> {
    let header = bytes.get(..HEADER_BYTES)?;
    let whole = &header[..8] == FILE_MAGIC && u32_at(header, 28) == crc32fast::hash(&header[..28]);
    (whole && u32_at(header, 8) == VERSION).then(|| u32_at(header, 24))
}

/// The salt of a file with a damaged header: as it is there or with one bit flipped, if the first record agrees. The first
/// record is at a known place, so no sender can have made it up.
fn guess_salt(bytes: &[u8]) -> Option<u32> {
    let there = u32_at(bytes, 24);
    let flipped = (0..32).map(|bit| there ^ 1 << bit);
    std::iter::once(there).chain(flipped).find(|&salt| record_at(bytes, HEADER_BYTES, salt).is_some())
}

/// Bytes of the record that begins with this header, header included; nothing if the header is not whole.
pub(crate) fn record_bytes(header: &[u8], salt: u32) -> Option<u64> {
    let header = header.get(..HEADER_BYTES)?;
    let whole = &header[..4] == RECORD_MAGIC && u32_at(header, 28) == salted_crc(salt, &header[..28]);
    whole.then(|| HEADER_BYTES as u64 + u64::from(u32_at(header, 4)))
}

/// The record that begins at `at`, if it is whole, and where the next one begins.
pub(crate) fn record_at(bytes: &[u8], at: usize, salt: u32) -> Option<(Record, usize)> {
    let header = bytes.get(at..at + HEADER_BYTES)?;
    if &header[..4] != RECORD_MAGIC || u32_at(header, 28) != salted_crc(salt, &header[..28]) {
        return None;
    }
    let (stored_bytes, raw_bytes) = (u32_at(header, 4) as usize, u32_at(header, 8) as usize);
    let start = at + HEADER_BYTES;
    let stored = bytes.get(start..start.checked_add(stored_bytes)?)?;
    if raw_bytes > RAW_BYTES_MAX || header[12] != KIND_REQUEST || crc32fast::hash(stored) != u32_at(header, 24) {
        return None;
    }
    let body = match header[14] {
        COMPRESSION_NONE => stored.to_vec(),
        COMPRESSION_LZ4 => lz4_flex::block::decompress(stored, raw_bytes).ok()?,
        _ => return None,
    };
    let received_unix_nano = u64::from_le_bytes(header[16..24].try_into().expect("eight bytes"));
    let record = Record { format: header[13], received_unix_nano, body };
    (record.body.len() == raw_bytes).then_some((record, start + stored_bytes))
}

/// Where a record may begin next, from `from` on.
pub(crate) fn next_magic(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(4).position(|window| window == RECORD_MAGIC).map_or(bytes.len(), |place| from + place)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// What lies in a WAL directory.
#[derive(Debug, Default)]
pub(crate) struct WalFiles {
    /// Sequence and bytes of each WAL file, by sequence.
    pub(crate) files: Vec<(u64, u64)>,
    /// What is no WAL file.
    pub(crate) strangers: Vec<PathBuf>,
}

pub(crate) fn list_wal(disk: &dyn Disk, data: &Path) -> io::Result<WalFiles> {
    let directory = wal_directory(data);
    let mut found = WalFiles::default();
    for entry in disk.list(&directory)? {
        match crate::filenames::wal_sequence(&entry.name) {
            Some(sequence) if !entry.is_directory => found.files.push((sequence, entry.bytes)),
            _ => found.strangers.push(directory.join(entry.name)),
        }
    }
    found.files.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::RealDisk;

    fn written(bodies: &[Vec<u8>]) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(wal_directory(directory.path())).unwrap();
        let mut writer = WalWriter::create(&RealDisk, directory.path(), 1).unwrap();
        for (index, body) in bodies.iter().enumerate() {
            writer.write([Encoded::new(1, index as u64, body)].iter()).unwrap();
        }
        writer.sync().unwrap();
        std::fs::read(wal_file(directory.path(), 1)).unwrap()
    }

    fn bodies() -> Vec<Vec<u8>> {
        vec![b"first".to_vec(), vec![], b"LREC".repeat(40), (0..=255).collect()]
    }

    #[test]
    fn cut_at_every_byte() {
        // Guarantees that a file cut anywhere gives all records before the cut and says what is torn.
        let bytes = written(&bodies());
        let whole = parse(&bytes);
        assert_eq!(whole.records.iter().map(|record| record.body.clone()).collect::<Vec<_>>(), bodies());
        assert_eq!((whole.torn_bytes, whole.damaged_places), (0, 0));
        for cut in 0..bytes.len() {
            let got = parse(&bytes[..cut]);
            assert!(whole.records.starts_with(&got.records));
            assert!(got.valid_bytes <= cut as u64 && got.damaged_places == 0);
            let next = whole.records.get(got.records.len()).expect("a cut file misses a record");
            assert!(
                (cut as u64) < got.valid_bytes + HEADER_BYTES as u64 + 2 + next.body.len() as u64 || cut < HEADER_BYTES
            );
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_costs_one_record(place in any::<prop::sample::Index>(), bit in 0u8..8) {
            // Guarantees that a flipped bit is found, costs at most the record it hits, and never invents one.
            let mut bytes = written(&bodies());
            let whole = parse(&bytes);
            let place = HEADER_BYTES + place.index(bytes.len() - HEADER_BYTES);
            bytes[place] ^= 1 << bit;
            let got = parse(&bytes);
            prop_assert_eq!(got.records.len(), whole.records.len() - 1);
            prop_assert!(got.records.iter().all(|record| whole.records.contains(record)));
            prop_assert!(got.damaged_places == 1 || got.torn_bytes > 0);
        }
    }

    #[test]
    fn a_damaged_header_is_told_from_an_unfinished_one() {
        // Guarantees that a flipped bit in the file's header costs no record, that a header that is gone is said to be so, and
        // that neither passes for a write that never finished, which would be cut off.
        let bytes = written(&bodies());
        let whole = parse(&bytes);
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let got = parse(&bytes);
            assert_eq!((got.records, got.damaged_places, got.torn_bytes), (whole.records.clone(), 1, 0), "bit {bit}");
        }
        let mut bytes = bytes;
        bytes[..HEADER_BYTES].fill(0);
        let got = parse(&bytes);
        assert!(got.unreadable && got.records.is_empty() && got.torn_bytes == 0 && got.damaged_places == 1);
    }

    #[test]
    fn a_record_inside_a_record_is_not_read() {
        // Guarantees that bytes a sender chose never become a record, even when the record around them is damaged.
        let inner = written(&[b"inner".to_vec()]);
        let mut outer = written(&[inner[HEADER_BYTES..].to_vec()]);
        outer[HEADER_BYTES + 5] ^= 1;
        assert_eq!(parse(&outer).records, vec![]);
    }
}
