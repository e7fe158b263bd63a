//! Whether everything in a data directory still is what was written. Writes nothing and mends nothing.
//!
//! Beside the pipe: reads what step *append* and step *seal* left. The directory must be at rest, so its lock is taken; with
//! [`Verify::while_running`] it is not, and only what never changes is read: segments and the manifest that names them.
//!
//! Findings are of two sorts. *Damage* is something that was written and cannot be read as it was written. A *note* is
//! something a person may want to know and the next start deals with by itself, such as a write that a power cut broke off.

mod logs;
mod wal;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::backup::lock;
use crate::disk::{Disk, Entry, read_file};
use crate::error::StoreError;
use crate::filenames::{self, ASIDE, DROPPED};
use crate::manifest::{Manifest, SegmentEntry};
use crate::open::Replay;
use crate::options::FORMAT_VERSION;
use crate::segment::check::check_segment;

/// What is to be verified, and how.
pub struct Verify<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// The data directory.
    pub data: &'a Path,
    /// Decodes requests of the WAL.
    pub replay: &'a dyn Replay,
    /// Leave the lock alone and read only what never changes, so that a server may go on in the directory.
    pub while_running: bool,
    /// Told now and then how far it is.
    pub progress: &'a mut dyn FnMut(Progress),
}

impl std::fmt::Debug for Verify<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verify").field("data", &self.data).field("while_running", &self.while_running).finish()
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far.
    pub bytes: u64,
    /// Bytes to be read in all, as far as is known.
    pub bytes_total: u64,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, if that is known.
    pub offset: Option<u64>,
    /// What it is.
    pub what: String,
    /// Whether something is lost or wrong; else the next start deals with it.
    pub is_damage: bool,
}

impl Finding {
    pub(crate) fn damage(path: &Path, offset: Option<u64>, what: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), offset, what: what.into(), is_damage: true }
    }

    pub(crate) fn note(path: &Path, offset: Option<u64>, what: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), offset, what: what.into(), is_damage: false }
    }
}

/// What was checked, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Spans read from segments and from the WAL.
    pub spans: u64,
    /// Log records read from segments and from the WAL.
    pub logs: u64,
    /// Requests read from the WAL.
    pub wal_records: u64,
    /// What was found, in the order in which it was found.
    pub findings: Vec<Finding>,
}

impl Verified {
    /// Whether nothing is damaged.
    pub fn is_whole(&self) -> bool {
        !self.findings.iter().any(|finding| finding.is_damage)
    }
}

/// Reads everything in a data directory.
///
/// # Errors
/// When it is no data directory, is in use, was written by a later version, or cannot be listed. Damage is no error.
pub fn verify(verify: Verify<'_>) -> Result<Verified, StoreError> {
    let Verify { disk, data, replay, while_running, progress } = verify;
    let mut walk = Walk { disk, data, replay, progress, bytes_total: 0, out: Verified::default() };
    walk.format()?;
    let _lock = if while_running { None } else { lock(disk, data)? };
    let manifest = walk.manifest()?;
    let found = walk.segment_directories()?;
    let sealed_through = manifest.as_ref().map_or(0, |manifest| manifest.wal_sealed_through);
    let mut live_logs = walk.live_logs(manifest.as_ref())?;
    let mut live = manifest.map_or_else(|| found.iter().cloned().collect(), |manifest| manifest.segments);
    let dropped = walk.dropped_days()?;
    live.retain(|entry| found.contains(entry) || !dropped.contains(&entry.day));
    live_logs.retain(|entry| !dropped.contains(&entry.day) || walk.is_there(entry));
    walk.bytes_total = walk.count_bytes(&live, while_running) + walk.count_log_bytes(&live_logs);
    for entry in &live {
        walk.segment(entry, while_running);
    }
    for entry in &live_logs {
        walk.log_segment(entry, while_running);
    }
    if !while_running {
        walk.log_strangers(&live_logs)?;
        for stranger in found.iter().filter(|entry| !live.contains(entry)) {
            let path = filenames::segment_directory(data, &stranger.day, stranger.id);
            walk.note(&path, "a segment that the manifest does not name; the next start removes it");
        }
        walk.wal(sealed_through)?;
        walk.quarantine();
    }
    Ok(walk.out)
}

/// Goes through a data directory and collects.
struct Walk<'a> {
    disk: &'a dyn Disk,
    data: &'a Path,
    replay: &'a dyn Replay,
    progress: &'a mut dyn FnMut(Progress),
    bytes_total: u64,
    out: Verified,
}

impl Walk<'_> {
    fn damage(&mut self, path: &Path, offset: Option<u64>, what: impl Into<String>) {
        self.out.findings.push(Finding::damage(path, offset, what));
    }

    fn note(&mut self, path: &Path, what: impl Into<String>) {
        self.out.findings.push(Finding::note(path, None, what));
    }

    fn read(&mut self, bytes: u64) {
        self.out.files += 1;
        self.out.bytes += bytes;
        (self.progress)(Progress { bytes: self.out.bytes, bytes_total: self.bytes_total });
    }

    fn format(&mut self) -> Result<(), StoreError> {
        let path = self.data.join(filenames::FORMAT);
        let bytes = match read_file(self.disk, &path, 64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NoData { path: self.data.to_owned() });
            }
            Err(error) => return Err(StoreError::io(path)(error)),
        };
        self.read(bytes.len() as u64);
        let text = String::from_utf8_lossy(&bytes);
        let whole: Option<u64> = text.strip_suffix('\n').and_then(|digits| digits.parse().ok());
        match whole {
            Some(found) if found > FORMAT_VERSION => {
                Err(StoreError::Newer { path: self.data.to_owned(), found, supported: FORMAT_VERSION })
            }
            Some(1..) => Ok(()),
            _ => {
                self.damage(&path, Some(0), format!("{:?} is not the number of a format", text.trim_end()));
                Ok(())
            }
        }
    }

    fn manifest(&mut self) -> Result<Option<Manifest>, StoreError> {
        let path = self.data.join(filenames::MANIFEST);
        let manifest = Manifest::load(self.disk, self.data).map_err(StoreError::io(&path))?;
        let entries = self.disk.list(self.data).map_err(StoreError::io(self.data))?;
        let file = entries.iter().find(|entry| entry.name == filenames::MANIFEST);
        if let Some(file) = file {
            self.read(file.bytes);
        }
        match (&manifest, file) {
            (None, Some(_)) => {
                let what = "the manifest's checksum is wrong; all segments that are there are taken to be live";
                self.damage(&path, None, what);
            }
            (None, None) if !self.segment_directories()?.is_empty() => {
                self.damage(&path, None, "there are segments and no manifest; all of them are taken to be live");
            }
            _ => {}
        }
        Ok(manifest)
    }

    /// Segments that are there, live or not.
    fn segment_directories(&mut self) -> Result<BTreeSet<SegmentEntry>, StoreError> {
        let days = filenames::days_directory(self.data);
        let mut found = BTreeSet::new();
        let is_day = |day: &Entry| day.is_directory && !day.name.ends_with(DROPPED);
        for day in list_or_nothing(self.disk, &days)?.into_iter().filter(is_day) {
            for entry in list_or_nothing(self.disk, &days.join(&day.name))? {
                let is_segment = entry.is_directory && entry.name.len() == 20 && !entry.name.ends_with(ASIDE);
                if let (true, Ok(id)) = (is_segment, entry.name.parse()) {
                    found.insert(SegmentEntry { id, day: day.name.clone() });
                }
            }
        }
        Ok(found)
    }

    /// Days that retention has begun to remove: what is missing of them is meant to be.
    fn dropped_days(&mut self) -> Result<BTreeSet<String>, StoreError> {
        let days = filenames::days_directory(self.data);
        let mut dropped = BTreeSet::new();
        for entry in list_or_nothing(self.disk, &days)? {
            let day = entry.name.strip_suffix(DROPPED).filter(|day| entry.is_directory && filenames::is_day(day));
            let Some(day) = day else { continue };
            self.note(&days.join(&entry.name), "a day that retention is removing; the next start ends that");
            dropped.insert(day.to_owned());
        }
        Ok(dropped)
    }

    fn count_bytes(&self, live: &[SegmentEntry], while_running: bool) -> u64 {
        let bytes_in = |directory: &Path| -> u64 {
            self.disk.list(directory).unwrap_or_default().iter().map(|entry| entry.bytes).sum()
        };
        let segment = |entry: &SegmentEntry| bytes_in(&filenames::segment_directory(self.data, &entry.day, entry.id));
        let wal = if while_running { 0 } else { bytes_in(&filenames::wal_directory(self.data)) };
        self.out.bytes + wal + live.iter().map(segment).sum::<u64>()
    }

    fn segment(&mut self, entry: &SegmentEntry, while_running: bool) {
        let (mut read, total, before) = (0, self.bytes_total, self.out.bytes);
        let progress = &mut *self.progress;
        let checked = check_segment(self.disk, self.data, (&entry.day, entry.id), &mut |bytes| {
            read += bytes;
            progress(Progress { bytes: before + read, bytes_total: total });
        });
        if while_running && !checked.findings.is_empty() && self.is_gone(entry) {
            let path = filenames::segment_directory(self.data, &entry.day, entry.id);
            return self.note(&path, "merged or dropped while it was read");
        }
        self.out.segments += 1;
        self.out.files += checked.files;
        self.out.bytes += checked.bytes;
        self.out.spans += checked.spans;
        self.out.findings.extend(checked.findings);
    }

    /// Whether the manifest of this moment does not name the segment any more.
    fn is_gone(&self, entry: &SegmentEntry) -> bool {
        let manifest = Manifest::load(self.disk, self.data);
        matches!(manifest, Ok(Some(manifest)) if !manifest.segments.contains(entry))
    }

    fn quarantine(&mut self) {
        let directory = filenames::quarantine_directory(self.data);
        for entry in self.disk.list(&directory).unwrap_or_default() {
            let path = directory.join(entry.name);
            self.note(&path, "was found damaged at an earlier start and moved out of the way; it is not read");
        }
    }
}

fn list_or_nothing(disk: &dyn Disk, directory: &Path) -> Result<Vec<Entry>, StoreError> {
    match disk.list(directory) {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io(directory)(error)),
    }
}
