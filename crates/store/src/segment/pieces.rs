//! Checksums of every 8 KiB of a file, looked at whenever something of the file is read.
//!
//! Pages, the footer and everything between are covered alike, so that a flipped bit is noticed before what it hit is believed.
//! The hashes lie in `index.bin`, whose sections have checksums of their own.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::disk::{Located, ReadFile};

/// Bytes of a piece; the last of a file may be shorter.
pub(crate) const PIECE_BYTES: usize = 8 << 10;

/// Hashes a file piece by piece while it is written.
#[derive(Default)]
pub(crate) struct PieceHasher {
    hash: Xxh3,
    /// Bytes of the piece so far.
    bytes: usize,
    hashes: Vec<u64>,
}

impl PieceHasher {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.bytes));
            self.hash.update(now);
            self.bytes += now.len();
            if self.bytes == PIECE_BYTES {
                self.end_piece();
            }
            bytes = rest;
        }
    }

    fn end_piece(&mut self) {
        self.hashes.push(self.hash.digest());
        self.hash.reset();
        self.bytes = 0;
    }

    pub(crate) fn finish(mut self) -> Vec<u64> {
        if self.bytes > 0 {
            self.end_piece();
        }
        self.hashes
    }
}

/// A file that checks what it reads.
#[derive(Debug)]
struct CheckedFile {
    file: Arc<dyn ReadFile>,
    hashes: Arc<[u64]>,
}

/// Has a file check what is read of it. `None` if there are not as many hashes as pieces.
pub(crate) fn checked(file: Located, hashes: Arc<[u64]>) -> Option<Located> {
    let pieces = file.file.len().div_ceil(PIECE_BYTES as u64);
    let is_complete = pieces == hashes.len() as u64;
    is_complete.then(|| Located { path: file.path, file: Arc::new(CheckedFile { file: file.file, hashes }) })
}

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Larger buffers are not kept for a thread's next read.
const SCRATCH_BYTES_MAX: usize = 256 << 10;
/// Buffers that a thread keeps: one for the pieces, one for what is wanted of them.
const SCRATCH_BUFFERS: usize = 2;

/// Lends bytes to read into, which need not be made, nor made zero, for every read.
pub(crate) fn with_scratch<T>(length: usize, read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if scratch.len() < length {
        scratch.resize(length, 0);
    }
    let answer = read(&mut scratch[..length]);
    SCRATCH.with_borrow_mut(|kept| {
        if scratch.len() <= SCRATCH_BYTES_MAX && kept.len() < SCRATCH_BUFFERS {
            kept.push(scratch);
        }
    });
    answer
}

impl CheckedFile {
    /// Checks whole pieces, the first of which begins at `start`.
    fn check(&self, bytes: &[u8], start: u64) -> io::Result<()> {
        let first = start as usize / PIECE_BYTES;
        for (number, bytes) in bytes.chunks(PIECE_BYTES).enumerate() {
            if self.hashes.get(first + number) != Some(&xxh3_64(bytes)) {
                let at = start + (number * PIECE_BYTES) as u64;
                let what = format!("wrong checksum of the {} bytes at {at}", bytes.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        Ok(())
    }
}

impl ReadFile for CheckedFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|&end| end <= self.len());
        let end = end.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the file"))?;
        let piece = PIECE_BYTES as u64;
        let start = offset / piece * piece;
        let length = (end.div_ceil(piece) * piece).min(self.len()).saturating_sub(start) as usize;
        let from = (offset - start) as usize;
        with_scratch(length, |bytes| {
            self.file.read_exact_at(bytes, start)?;
            self.check(bytes, start)?;
            buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
            Ok(())
        })
    }

    fn len(&self) -> u64 {
        self.file.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Memory(Vec<u8>);

    impl ReadFile for Memory {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            buffer.copy_from_slice(&self.0[offset as usize..offset as usize + buffer.len()]);
            Ok(())
        }

        fn len(&self) -> u64 {
            self.0.len() as u64
        }
    }

    #[test]
    fn every_read_is_checked() {
        // Guarantees that any range is read right, and that a flipped bit fails exactly the reads of its piece.
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 100).map(|place| (place % 251) as u8).collect();
        let mut hasher = PieceHasher::default();
        bytes.chunks(777).for_each(|bytes| hasher.update(bytes));
        let hashes: Arc<[u64]> = hasher.finish().into();
        let open = |bytes: Vec<u8>| {
            let file = Located { path: "file".into(), file: Arc::new(Memory(bytes)) };
            checked(file, Arc::clone(&hashes)).unwrap().file
        };
        let mut damaged = bytes.clone();
        damaged[PIECE_BYTES + 5] ^= 4;
        let (whole, damaged) = (open(bytes.clone()), open(damaged));
        for (offset, length) in [(0, 1), (100, PIECE_BYTES), (PIECE_BYTES * 2, PIECE_BYTES + 100), (0, bytes.len())] {
            let mut buffer = vec![0; length];
            whole.read_exact_at(&mut buffer, offset as u64).unwrap();
            assert_eq!(buffer, bytes[offset..offset + length]);
            let hit = offset < 2 * PIECE_BYTES && offset + length > PIECE_BYTES;
            assert_eq!(damaged.read_exact_at(&mut buffer, offset as u64).is_err(), hit);
        }
        assert!(whole.read_exact_at(&mut [0], bytes.len() as u64).is_err());
    }
}
