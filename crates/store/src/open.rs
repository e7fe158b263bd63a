//! Opening a data directory: lock, format, manifest, segments, and the replay of the WAL.

use std::io;
use std::path::Path;
use std::sync::Arc;

use model::SpanBatch;

use crate::disk::{Disk, Lock, read_file, replace_file};
use crate::error::{ReadError, StoreError};
use crate::filenames::{self, ASIDE};
use crate::manifest::{Manifest, SegmentEntry};
use crate::memtable::Memtable;
use crate::metrics::Metrics;
use crate::options::{FORMAT_VERSION, StoreOptions};
use crate::segment::Segment;
use crate::segment::cache::PageCache;
use crate::wal::{WalFiles, WalWriter, list_wal, read_wal};

/// Decodes WAL records the way the same bytes were decoded when they arrived.
pub trait Replay: Send + Sync {
    /// The spans that were admitted of a request; or why it cannot be decoded any more.
    fn decode(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<SpanBatch, String>;
}

/// Everything a store begins with.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) manifest: Manifest,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Full memtables of the replay, to be sealed; oldest first.
    pub(crate) frozen: Vec<Arc<Memtable>>,
    pub(crate) active: Arc<Memtable>,
    pub(crate) wal: WalWriter,
    pub(crate) wal_bytes: u64,
}

pub(crate) fn open(
    options: &StoreOptions,
    replay: &dyn Replay,
    metrics: &Metrics,
    cache: &Arc<PageCache>,
) -> Result<Opened, StoreError> {
    let (disk, data) = (&*options.disk, options.directory.as_path());
    let unwritable = |source| StoreError::Unwritable { path: data.to_owned(), source };
    disk.create_directories(data).map_err(unwritable)?;
    let lock = disk.lock(&data.join(filenames::LOCK)).map_err(unwritable)?;
    let lock = lock.ok_or_else(|| StoreError::Locked { path: data.to_owned() })?;
    check_format(disk, data)?;
    for directory in [filenames::wal_directory(data), filenames::days_directory(data)] {
        disk.create_directories(&directory).map_err(unwritable)?;
    }
    let (manifest, segments) = open_segments(disk, data, metrics, cache)?;
    let replayed = replay_wal(options, replay, metrics, manifest.wal_sealed_through)?;
    Ok(Opened { lock, manifest, segments, ..replayed.into_opened(disk, data)? })
}

fn check_format(disk: &dyn Disk, data: &Path) -> Result<(), StoreError> {
    let path = data.join(filenames::FORMAT);
    match read_file(disk, &path, 64) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let found: u64 = text.trim().parse().map_err(|_| StoreError::Corrupt {
                path: path.clone(),
                reason: format!("{:?} is not the number of a format", text.trim()),
            })?;
            if found > FORMAT_VERSION {
                return Err(StoreError::Newer { path: data.to_owned(), found, supported: FORMAT_VERSION });
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("{FORMAT_VERSION}\n");
            replace_file(disk, &path, text.as_bytes())
                .map_err(|source| StoreError::Unwritable { path: data.to_owned(), source })
        }
        Err(error) => Err(StoreError::io(path)(error)),
    }
}

/// Opens the live segments; moves unreadable ones to quarantine and removes what an interrupted seal left.
fn open_segments(
    disk: &dyn Disk,
    data: &Path,
    metrics: &Metrics,
    cache: &Arc<PageCache>,
) -> Result<(Manifest, Vec<Arc<Segment>>), StoreError> {
    let found = find_segments(disk, data)?;
    let manifest = Manifest::load(disk, data).map_err(StoreError::io(data.join(filenames::MANIFEST)))?;
    let mut manifest = manifest.unwrap_or_else(|| Manifest {
        next_segment_id: found.iter().map(|entry| entry.id + 1).max().unwrap_or(1),
        wal_sealed_through: 0,
        segments: found.clone(),
    });
    for orphan in found.iter().filter(|entry| !manifest.segments.contains(entry)) {
        let directory = filenames::segment_directory(data, &orphan.day, orphan.id);
        disk.remove_directory(&directory).map_err(StoreError::io(directory))?;
    }
    let mut segments = Vec::new();
    let mut lost = Vec::new();
    for entry in &manifest.segments {
        let directory = filenames::segment_directory(data, &entry.day, entry.id);
        match Segment::open(disk, &directory, cache) {
            Ok(segment) => segments.push(Arc::new(segment)),
            Err(error) if is_damage(&error) => {
                tracing::error!(%error, segment = entry.id, day = entry.day, "a segment cannot be read; it is put into quarantine");
                metrics.segments_quarantined.add(1);
                quarantine(disk, data, &directory)?;
                lost.push(entry.clone());
            }
            Err(error) => return Err(StoreError::Corrupt { path: directory, reason: error.to_string() }),
        }
    }
    if !lost.is_empty() {
        manifest.segments.retain(|entry| !lost.contains(entry));
        manifest.save(disk, data).map_err(StoreError::io(data.join(filenames::MANIFEST)))?;
    }
    segments.sort_by_key(|segment| (segment.meta.wal_last, segment.meta.id));
    Ok((manifest, segments))
}

fn is_damage(error: &ReadError) -> bool {
    match error {
        ReadError::Corrupt { .. } => true,
        ReadError::Io { source, .. } => {
            matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
        }
    }
}

/// Moves something out of the way, under a name that is still free.
fn quarantine(disk: &dyn Disk, data: &Path, path: &Path) -> Result<(), StoreError> {
    let directory = filenames::quarantine_directory(data);
    disk.create_directories(&directory).map_err(StoreError::io(&directory))?;
    let taken = disk.list(&directory).map_err(StoreError::io(&directory))?.len();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let target = directory.join(format!("{taken:04}-{name}"));
    match disk.rename(path, &target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Segment directories that are there; removes those that were never finished.
fn find_segments(disk: &dyn Disk, data: &Path) -> Result<Vec<SegmentEntry>, StoreError> {
    let days = filenames::days_directory(data);
    let mut found = Vec::new();
    for day in disk.list(&days).map_err(StoreError::io(&days))?.into_iter().filter(|day| day.is_directory) {
        let directory = days.join(&day.name);
        for entry in disk.list(&directory).map_err(StoreError::io(&directory))? {
            let path = directory.join(&entry.name);
            if entry.name.ends_with(ASIDE) && entry.is_directory {
                disk.remove_directory(&path).map_err(StoreError::io(path))?;
            } else if let (true, Ok(id)) = (entry.is_directory && entry.name.len() == 20, entry.name.parse()) {
                found.push(SegmentEntry { id, day: day.name.clone() });
            } else {
                tracing::warn!(path = %path.display(), "not a segment; left alone");
            }
        }
    }
    Ok(found)
}

struct Replayed {
    full: Vec<Arc<Memtable>>,
    current: Option<Memtable>,
    next_sequence: u64,
    wal_bytes: u64,
}

impl Replayed {
    fn into_opened(self, disk: &dyn Disk, data: &Path) -> Result<Opened, StoreError> {
        let sequence = self.next_sequence;
        let path = filenames::wal_file(data, sequence);
        let wal = WalWriter::create(disk, data, sequence).map_err(|source| StoreError::Unwritable { path, source })?;
        let active = self.current.unwrap_or_else(|| Memtable::new(sequence));
        active.extend_wal(sequence);
        Ok(Opened {
            lock: Box::new(NoLock),
            manifest: Manifest::default(),
            segments: Vec::new(),
            frozen: self.full,
            active: Arc::new(active),
            wal,
            wal_bytes: self.wal_bytes,
        })
    }
}

/// Holds the place of the real lock until it is filled in.
#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

fn replay_wal(
    options: &StoreOptions,
    replay: &dyn Replay,
    metrics: &Metrics,
    sealed_through: u64,
) -> Result<Replayed, StoreError> {
    let (disk, data) = (&*options.disk, options.directory.as_path());
    let WalFiles { files, strangers } = list_wal(disk, data).map_err(StoreError::io(filenames::wal_directory(data)))?;
    for path in strangers {
        tracing::warn!(path = %path.display(), "not a WAL file; left alone");
    }
    let last = files.last().map_or(0, |(sequence, _)| *sequence);
    let next_sequence = last.max(sealed_through) + 1;
    let mut replayed = Replayed { full: Vec::new(), current: None, next_sequence, wal_bytes: 0 };
    for (sequence, bytes) in files {
        let path = filenames::wal_file(data, sequence);
        if sequence <= sealed_through {
            disk.remove_file(&path).map_err(StoreError::io(path))?;
            continue;
        }
        replayed.wal_bytes += bytes;
        let memtable = replayed.current.take().unwrap_or_else(|| Memtable::new(sequence));
        memtable.extend_wal(sequence);
        replay_file(options, replay, metrics, sequence, &memtable)?;
        if memtable.stats().bytes >= options.memtable_bytes_max {
            replayed.full.push(Arc::new(memtable));
        } else {
            replayed.current = Some(memtable);
        }
    }
    Ok(replayed)
}

fn replay_file(
    options: &StoreOptions,
    replay: &dyn Replay,
    metrics: &Metrics,
    sequence: u64,
    memtable: &Memtable,
) -> Result<(), StoreError> {
    let disk = &*options.disk;
    let path = filenames::wal_file(&options.directory, sequence);
    let contents = read_wal(disk, &path).map_err(StoreError::io(&path))?;
    if contents.damaged_places > 0 {
        metrics.wal_damaged_places.add(contents.damaged_places);
        tracing::error!(
            sequence,
            places = contents.damaged_places,
            "the WAL is damaged; requests at these places are lost"
        );
    }
    if contents.torn_bytes > 0 {
        metrics.wal_torn_bytes.add(contents.torn_bytes);
        tracing::warn!(sequence, bytes = contents.torn_bytes, "cutting off a write that never finished");
        disk.truncate(&path, contents.valid_bytes).map_err(StoreError::io(&path))?;
    }
    let now = options.clock.now_unix_nano();
    for record in contents.records {
        match replay.decode(record.format, record.received_unix_nano, &record.body) {
            Ok(mut batch) if !batch.is_empty() => {
                batch.shrink_to_fit();
                metrics.spans_applied.add(batch.len() as u64);
                memtable.apply(batch, now);
            }
            Ok(_) => {}
            Err(error) => {
                metrics.wal_damaged_places.add(1);
                tracing::error!(sequence, error, "a request in the WAL cannot be decoded any more");
            }
        }
    }
    Ok(())
}
