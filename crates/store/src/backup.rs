//! An instant, consistent copy of a data directory, taken while a store works in it.
//!
//! Beside the pipe. Segments never change, so the copy gets hard links to their files; the log goes on, so the copy gets its
//! bytes. Nothing is locked: the manifest is read before and after the links are made, and when it has changed in between, a
//! seal or a dropped day may have taken away what was being linked, and everything is linked again. A log file is deleted only
//! after a manifest that says so, so between two equal manifests nothing was missing, and every span that was acknowledged
//! before the first one is in a segment or in the log that was linked.
//!
//! The copy is made beside its place, synced, and renamed: it is there whole or not at all. Deliberately absent: copying on
//! to another machine; any program that copies files can do that.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, Entry, Lock, ReadFile, read_file, replace_file};
use crate::error::StoreError;
use crate::filenames::{self, ASIDE};
use crate::manifest::{Manifest, SegmentEntry};
use crate::wal::{HEADER_BYTES, file_salt, list_wal, record_bytes};

/// How often a copy is begun again because the directory changed meanwhile. Links take milliseconds, seals seconds.
const TRIES_MAX: usize = 100;
/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 20;
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// A finished copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Segments in it.
    pub segments: u64,
    /// Files in it.
    pub files: u64,
    /// Bytes of them all.
    pub bytes: u64,
    /// Bytes that were copied, because they may still change or could not be linked. The rest shares its blocks with the original.
    pub bytes_copied: u64,
}

/// Takes the lock of a data directory at rest; a directory that nobody can write to needs none.
///
/// # Errors
/// When another process uses it, or it is no data directory.
pub fn lock(disk: &dyn Disk, data: &Path) -> Result<Option<Box<dyn Lock>>, StoreError> {
    if !is_there(disk, &data.join(filenames::FORMAT))? {
        return Err(StoreError::NoData { path: data.to_owned() });
    }
    match disk.lock(&data.join(filenames::LOCK)) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(StoreError::Locked { path: data.to_owned() }),
        Err(error) if is_read_only(&error) => Ok(None),
        Err(error) => Err(StoreError::io(data.join(filenames::LOCK))(error)),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Copies the data directory `data` to `to`, which must not be there yet, or be empty.
///
/// # Errors
/// When `data` is no data directory or cannot be read, or `to` is taken or cannot be written. Nothing is left behind then.
pub fn copy_directory(disk: &dyn Disk, data: &Path, to: &Path) -> Result<Copied, StoreError> {
    if !is_there(disk, &data.join(filenames::FORMAT))? {
        return Err(StoreError::NoData { path: data.to_owned() });
    }
    if [filenames::wal_directory(data), filenames::days_directory(data)].iter().any(|within| to.starts_with(within)) {
        return Err(StoreError::Occupied { path: to.to_owned() });
    }
    match disk.list(to) {
        Ok(entries) if entries.is_empty() => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(_) | Err(_) => return Err(StoreError::Occupied { path: to.to_owned() }),
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk.create_directories(parent).map_err(unwritable(parent))?;
    let aside = with_suffix(to);
    let copied = fill(disk, data, &aside).and_then(|copied| {
        disk.rename(&aside, to).map_err(StoreError::io(to))?;
        disk.sync_directory(parent).map_err(StoreError::io(parent))?;
        Ok(copied)
    });
    if copied.is_err() {
        drop(disk.remove_directory(&aside));
    }
    copied
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Unwritable { path, source }
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ASIDE);
    path.with_file_name(name)
}

fn is_there(disk: &dyn Disk, path: &Path) -> Result<bool, StoreError> {
    match disk.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io(path)(error)),
    }
}

/// How files come into the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Link,
    Copy,
}

/// Makes the copy in `aside`.
fn fill(disk: &dyn Disk, data: &Path, aside: &Path) -> Result<Copied, StoreError> {
    empty(disk, aside)?;
    let format = data.join(filenames::FORMAT);
    let mut gathering = Gathering { disk, data, to: aside, way: Way::Link, files: Vec::new() };
    match disk.hard_link(&format, &aside.join(filenames::FORMAT)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            // Linking takes an instant on the file system of the original; copying from there takes as long as it takes.
            let near = with_suffix(&data.join("snapshot"));
            gathering.to = &near;
            let copied = gathering.take().and_then(|_| {
                let mut far = Gathering { disk, data: &near, to: aside, way: Way::Copy, files: Vec::new() };
                far.take()
            });
            let removed = disk.remove_directory(&near).map_err(StoreError::io(&near));
            return copied.and_then(|copied| removed.map(|()| copied));
        }
        Err(_) => gathering.way = Way::Copy,
    }
    gathering.take()
}

fn empty(disk: &dyn Disk, directory: &Path) -> Result<(), StoreError> {
    match disk.remove_directory(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(directory)(error)),
        _ => {}
    }
    disk.create_directories(directory).map_err(unwritable(directory))
}

/// What is being put together.
struct Gathering<'a> {
    disk: &'a dyn Disk,
    data: &'a Path,
    to: &'a Path,
    way: Way,
    files: Vec<PathBuf>,
}

/// Why an attempt came to nothing.
enum Failed {
    /// Something went away; the manifest has changed, or is about to.
    Changed,
    For(StoreError),
}

impl Gathering<'_> {
    fn take(&mut self) -> Result<Copied, StoreError> {
        for _ in 0..TRIES_MAX {
            let before = self.manifest_bytes()?;
            let segments = match self.gather(before.as_deref()) {
                Ok(segments) => segments,
                Err(Failed::Changed) => continue,
                Err(Failed::For(error)) => return Err(error),
            };
            if self.manifest_bytes()? == before {
                return self.finish(before.as_deref(), segments);
            }
        }
        let reason = "it changes so fast that no consistent copy could be made".to_owned();
        Err(StoreError::Corrupt { path: self.data.to_owned(), reason })
    }

    fn manifest_bytes(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.data.join(filenames::MANIFEST);
        match read_file(self.disk, &path, MANIFEST_BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(path)(error)),
        }
    }

    /// Links or copies everything that a manifest says is live. Returns how many segments that are.
    fn gather(&mut self, manifest: Option<&[u8]>) -> Result<u64, Failed> {
        self.files.clear();
        let for_good = |error| Failed::For(error);
        empty(self.disk, self.to).map_err(for_good)?;
        let manifest = match manifest {
            None => Manifest::default(),
            Some(bytes) => Manifest::from_bytes(bytes).ok_or_else(|| {
                let path = self.data.join(filenames::MANIFEST);
                Failed::For(StoreError::Corrupt { path, reason: "its checksum is wrong".to_owned() })
            })?,
        };
        self.place(Path::new(filenames::FORMAT))?;
        // Before the log: what an observer has written down covers log files that are in the copy or sealed, never later ones, so that
        // a server on the copy tells it of every request that it has not seen. After the manifest: it has seen all that is sealed.
        self.observer_files()?;
        let wal = filenames::wal_directory(Path::new(""));
        for directory in [wal.clone(), filenames::days_directory(Path::new(""))] {
            let directory = self.to.join(directory);
            self.disk.create_directories(&directory).map_err(|error| Failed::For(unwritable(&directory)(error)))?;
        }
        let found = list_wal(self.disk, self.data).map_err(|error| self.failed(&wal, error))?;
        for (sequence, _) in found.files.into_iter().filter(|(sequence, _)| *sequence > manifest.wal_sealed_through) {
            self.place(&filenames::wal_file(Path::new(""), sequence))?;
        }
        let directory = |entry: &SegmentEntry| filenames::segment_directory(Path::new(""), &entry.day, entry.id);
        manifest.segments.iter().try_for_each(|entry| self.segment(&directory(entry)))?;
        let directory = |entry: &SegmentEntry| filenames::log_segment_directory(Path::new(""), &entry.day, entry.id);
        manifest.log_segments.iter().try_for_each(|entry| self.segment(&directory(entry)))?;
        Ok((manifest.segments.len() + manifest.log_segments.len()) as u64)
    }

    /// What the observer of the log has written down; its files are replaced as a whole, never changed.
    fn observer_files(&mut self) -> Result<(), Failed> {
        let directory = Path::new(filenames::OBSERVER);
        match self.disk.list(&self.data.join(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ => self.segment(directory),
        }
    }

    fn segment(&mut self, directory: &Path) -> Result<(), Failed> {
        let target = self.to.join(directory);
        self.disk.create_directories(&target).map_err(|error| Failed::For(unwritable(&target)(error)))?;
        let files = self.disk.list(&self.data.join(directory)).map_err(|error| self.failed(directory, error))?;
        let is_whole = |file: &&Entry| !file.is_directory && !file.name.ends_with(ASIDE);
        files.iter().filter(is_whole).try_for_each(|file| self.place(&directory.join(&file.name)))
    }

    /// Puts one file into the copy, by its path below the directory.
    fn place(&mut self, file: &Path) -> Result<(), Failed> {
        let (from, to) = (self.data.join(file), self.to.join(file));
        let placed = match self.way {
            Way::Link => self.disk.hard_link(&from, &to),
            Way::Copy => self.disk.open(&from).and_then(|from| copy(self.disk, &*from, &to, u64::MAX)),
        };
        placed.map_err(|error| self.failed(file, error))?;
        self.files.push(file.to_owned());
        Ok(())
    }

    fn failed(&self, file: &Path, error: io::Error) -> Failed {
        match error.kind() {
            io::ErrorKind::NotFound => Failed::Changed,
            _ => Failed::For(StoreError::io(self.data.join(file))(error)),
        }
    }

    /// Gives the copy a log of its own, and makes all of it durable.
    fn finish(&self, manifest: Option<&[u8]>, segments: u64) -> Result<Copied, StoreError> {
        let mut copied = Copied { segments, ..Copied::default() };
        for file in &self.files {
            let path = self.to.join(file);
            let is_log = file.extension().is_some_and(|end| end == "wal");
            let bytes = if is_log {
                own_log(self.disk, &path).map_err(StoreError::io(&path))?
            } else {
                self.disk.open(&path).map_err(StoreError::io(&path))?.len()
            };
            copied.files += 1;
            copied.bytes += bytes;
            copied.bytes_copied += if is_log || self.way == Way::Copy { bytes } else { 0 };
        }
        if let Some(bytes) = manifest {
            let path = self.to.join(filenames::MANIFEST);
            replace_file(self.disk, &path, bytes).map_err(StoreError::io(&path))?;
            copied.files += 1;
            copied.bytes += bytes.len() as u64;
            copied.bytes_copied += bytes.len() as u64;
        }
        self.sync_directories()?;
        Ok(copied)
    }

    fn sync_directories(&self) -> Result<(), StoreError> {
        let mut directories: Vec<PathBuf> = Vec::new();
        for file in &self.files {
            directories.extend(file.ancestors().skip(1).map(|directory| self.to.join(directory)));
        }
        directories.sort();
        directories.dedup();
        for directory in directories.iter().rev() {
            self.disk.sync_directory(directory).map_err(StoreError::io(directory))?;
        }
        Ok(())
    }
}

/// Puts a copy of a log file, up to its last whole record, in the place of a link to it or of a longer copy. Returns its bytes;
/// a file without a head holds nothing that was acknowledged, and goes.
fn own_log(disk: &dyn Disk, path: &Path) -> io::Result<u64> {
    let file = disk.open(path)?;
    let Some(bytes) = whole_bytes(&*file)? else {
        disk.remove_file(path)?;
        return Ok(0);
    };
    let aside = path.with_extension("tmp");
    copy(disk, &*file, &aside, bytes)?;
    disk.rename(&aside, path)?;
    Ok(bytes)
}

/// Where the last whole record of a log file ends. All of the file if there is damage in it: its end may be behind that.
fn whole_bytes(file: &dyn ReadFile) -> io::Result<Option<u64>> {
    if file.len() < HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    let Some(salt) = file_salt(&header) else { return Ok(Some(file.len())) };
    let mut at = HEADER_BYTES as u64;
    while at + HEADER_BYTES as u64 <= file.len() {
        file.read_exact_at(&mut header, at)?;
        match record_bytes(&header, salt) {
            Some(bytes) if at + bytes <= file.len() => at += bytes,
            Some(_) => break,
            None if header == [0; HEADER_BYTES] => break,
            None => return Ok(Some(file.len())),
        }
    }
    Ok(Some(at))
}

/// Copies at most `bytes_max` bytes into a new file, durably.
fn copy(disk: &dyn Disk, from: &dyn ReadFile, to: &Path, bytes_max: u64) -> io::Result<()> {
    let mut file = disk.create(to)?;
    let mut piece = vec![0; PIECE_BYTES];
    let (mut at, end) = (0, from.len().min(bytes_max));
    while at < end {
        let piece = &mut piece[..(end - at).min(PIECE_BYTES as u64) as usize];
        from.read_exact_at(piece, at)?;
        file.write_all(piece)?;
        at += piece.len() as u64;
    }
    file.sync_data()
}
