//! The write-ahead log, record by record, each request decoded as a replay would.
//!
//! Part of [`crate::verify`]. A write that never finished is told from damage: it is the beginning of a record whose rest is
//! missing, or zeros. Everything else that is no record once was one.

use std::path::Path;

use crate::disk::read_file;
use crate::error::StoreError;
use crate::filenames;
use crate::logs::LOG_FORMATS_FROM;
use crate::verify::{Finding, Walk};
use crate::wal::{FILE_BYTES_MAX, HEADER_BYTES, file_salt, list_wal, next_magic, record_at, record_bytes};

impl Walk<'_> {
    pub(super) fn wal(&mut self, sealed_through: u64) -> Result<(), StoreError> {
        let directory = filenames::wal_directory(self.data);
        if !self.disk.list(self.data).map_err(StoreError::io(self.data))?.iter().any(|entry| entry.name == "wal") {
            return Ok(());
        }
        let found = list_wal(self.disk, self.data).map_err(StoreError::io(&directory))?;
        for path in &found.strangers {
            self.note(path, "not a WAL file; left alone");
        }
        for (sequence, _) in found.files {
            let path = filenames::wal_file(self.data, sequence);
            if sequence <= sealed_through {
                self.note(&path, "everything in it is in segments; the next start removes it");
                continue;
            }
            match read_file(self.disk, &path, FILE_BYTES_MAX) {
                Ok(bytes) => {
                    self.wal_file(&path, sequence, &bytes);
                    self.read(bytes.len() as u64);
                }
                Err(error) => self.damage(&path, None, format!("it cannot be read: {error}")),
            }
        }
        Ok(())
    }

    fn wal_file(&mut self, path: &Path, sequence: u64, bytes: &[u8]) {
        let Some(salt) = file_salt(bytes) else {
            if bytes.len() < HEADER_BYTES || is_zero(bytes) {
                return self.note(path, "it was being made when the server ended; nothing was in it yet");
            }
            return self.damage(path, Some(0), "the head of the file is damaged, so none of its requests can be read");
        };
        let numbered = u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"));
        if numbered != sequence {
            self.damage(path, Some(16), format!("it is file {numbered} under the name of file {sequence}"));
        }
        let mut at = HEADER_BYTES;
        while at < bytes.len() {
            let Some((record, next)) = record_at(bytes, at, salt) else {
                at = self.gap(path, bytes, at, salt);
                continue;
            };
            self.out.wal_records += 1;
            if record.format >= LOG_FORMATS_FROM {
                self.request_of_logs(path, at, &record);
                at = next;
                continue;
            }
            match self.replay.decode(record.format, record.received_unix_nano, &record.body) {
                Ok(batch) => self.out.spans += batch.len() as u64,
                Err(error) => {
                    self.damage(path, Some(at as u64), format!("a request that cannot be decoded any more: {error}"));
                }
            }
            at = next;
        }
    }

    /// Says what it is that begins at `at` and is no record; returns where the next record begins.
    fn gap(&mut self, path: &Path, bytes: &[u8], at: usize, salt: u32) -> usize {
        let mut next = next_magic(bytes, at + 1);
        while next < bytes.len() && record_at(bytes, next, salt).is_none() {
            next = next_magic(bytes, next + 1);
        }
        let length = next - at;
        let finding = if next == bytes.len() && is_unfinished(&bytes[at..], salt) {
            let what = format!("{length} bytes of a write that never finished; the next start cuts them off");
            Finding::note(path, Some(at as u64), what)
        } else {
            let what = format!("{length} bytes are no whole record; the requests in them are lost");
            Finding::damage(path, Some(at as u64), what)
        };
        self.out.findings.push(finding);
        next
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Whether the end of a file is the beginning of a record, or room that nothing was written to.
fn is_unfinished(rest: &[u8], salt: u32) -> bool {
    if rest.len() < HEADER_BYTES {
        return b"LREC".starts_with(&rest[..rest.len().min(4)]) || is_zero(rest);
    }
    is_zero(rest) || record_bytes(rest, salt).is_some_and(|bytes| bytes > rest.len() as u64)
}
