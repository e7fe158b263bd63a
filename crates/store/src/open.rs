//! Opening a data directory: lock, format, manifest, segments, and the replay of the WAL.

mod logs;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use model::{LogBatch, SpanBatch};

pub(crate) use self::logs::SealedLogs;
use crate::disk::{Disk, Lock, read_file, replace_file, sync_parents};
use crate::error::{ReadError, StoreError};
use crate::filenames::{self, ASIDE, DROPPED};
use crate::logs::LOG_FORMATS_FROM;
use crate::manifest::{Manifest, SegmentEntry};
use crate::memtable::Memtable;
use crate::metrics::Metrics;
use crate::options::{FORMAT_VERSION, StoreOptions};
use crate::seal::remove_dropped_day;
use crate::segment::Segment;
use crate::segment::cache::PageCache;
use crate::wal::{WalContents, WalFiles, WalWriter, list_wal, read_wal};

/// Decodes WAL records the way the same bytes were decoded when they arrived.
pub trait Replay: Send + Sync {
    /// The spans that were admitted of a request; or why it cannot be decoded any more.
    fn decode(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<SpanBatch, String>;

    /// The same of log records, for formats from [`crate::LOG_FORMATS_FROM`] on.
    fn decode_logs(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<LogBatch, String> {
        let _ = (received_unix_nano, body);
        Err(format!("format {format} is unknown"))
    }
}

/// Everything a store begins with.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) manifest: Manifest,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Live segments that the system refuses to read.
    pub(crate) unreadable: Vec<SegmentEntry>,
    /// Full memtables of the replay, to be sealed; oldest first.
    pub(crate) frozen: Vec<Arc<Memtable>>,
    pub(crate) active: Arc<Memtable>,
    pub(crate) wal: WalWriter,
    pub(crate) wal_bytes: u64,
    pub(crate) logs: SealedLogs,
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
    let has_format = check_format(disk, data)?;
    for directory in [filenames::wal_directory(data), filenames::days_directory(data)] {
        disk.create_directories(&directory).map_err(unwritable)?;
    }
    disk.sync_directory(data).map_err(unwritable)?;
    let Sealed { manifest, segments, unreadable, logs } = open_segments(disk, data, metrics, cache)?;
    if !has_format {
        // Written last, so that a directory with it is whole: its name is durable and it has a manifest.
        sync_parents(disk, data).map_err(unwritable)?;
        replace_file(disk, &data.join(filenames::FORMAT), format!("{FORMAT_VERSION}\n").as_bytes())
            .map_err(unwritable)?;
    }
    let of_logs = logs.segments.iter().map(|segment| segment.meta.wal_last);
    let sequence_used = segments.iter().map(|segment| segment.meta.wal_last).chain(of_logs).max().unwrap_or(0);
    let replayed = replay_wal(options, replay, metrics, manifest.wal_sealed_through, sequence_used)?;
    Ok(Opened { lock, manifest, segments, unreadable, logs, ..replayed.into_opened(disk, data)? })
}

/// Whether the directory has a format; one that this program does not know is an error.
fn check_format(disk: &dyn Disk, data: &Path) -> Result<bool, StoreError> {
    let path = data.join(filenames::FORMAT);
    let bytes = match read_file(disk, &path, 64) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        read => read.map_err(StoreError::io(&path))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    match text.parse() {
        Ok(found) if found > FORMAT_VERSION => {
            Err(StoreError::Newer { path: data.to_owned(), found, supported: FORMAT_VERSION })
        }
        Ok(1..) => Ok(true),
        _ => Err(StoreError::Corrupt { path, reason: format!("{text:?} is not the number of a format") }),
    }
}

/// Opens the live segments; moves unreadable ones to quarantine, removes what an interrupted seal left, and ends what
/// retention began.
fn open_segments(
    disk: &dyn Disk,
    data: &Path,
    metrics: &Metrics,
    cache: &Arc<PageCache>,
) -> Result<Sealed, StoreError> {
    let Found { places, log_places, dropped_days } = find_segments(disk, data)?;
    let loaded = Manifest::load(disk, data).map_err(StoreError::io(data.join(filenames::MANIFEST)))?;
    let known = loaded.is_some();
    let mut manifest = loaded.unwrap_or_else(|| made_anew(&places));
    let there = |entry: &SegmentEntry| places.contains(&(entry.day.clone(), entry.id));
    manifest.segments.retain(|entry| there(entry) || !dropped_days.contains(&entry.day));
    for (day, id) in &places {
        if manifest.segments.iter().all(|entry| (&entry.day, &entry.id) != (day, id)) {
            let directory = filenames::segment_directory(data, day, *id);
            if let Err(error) = disk.remove_directory(&directory) {
                tracing::warn!(%error, path = %directory.display(), "what an interrupted seal left cannot be removed");
                manifest.next_segment_id = manifest.next_segment_id.max(id + 1);
            }
        }
    }
    if !known {
        logs::name_all(&mut manifest, &log_places);
    }
    logs::remove_strangers(disk, data, &mut manifest, &log_places, &dropped_days);
    let entries_before = manifest.segments.len() + manifest.log_segments.len();
    let (mut segments, unreadable) = open_or_quarantine(disk, data, metrics, cache, &mut manifest);
    let logs = logs::open_or_quarantine(disk, data, metrics, cache, &mut manifest);
    segments.sort_by_key(|segment| (segment.meta.wal_last, segment.meta.id));
    if !known {
        let of_logs = logs.segments.iter().map(|segment| segment.meta.wal_sealed_through());
        let sealed_through = segments.iter().map(|segment| segment.meta.wal_sealed_through()).chain(of_logs).max();
        manifest.wal_sealed_through = sealed_through.unwrap_or(0);
    }
    let save = || manifest.save(disk, data);
    for day in &dropped_days {
        remove_dropped_day(disk, data, day, save)?;
    }
    if !known || entries_before != manifest.segments.len() + manifest.log_segments.len() {
        save().map_err(StoreError::io(data.join(filenames::MANIFEST)))?;
    }
    Ok(Sealed { manifest, segments, unreadable, logs })
}

/// What is sealed.
struct Sealed {
    manifest: Manifest,
    segments: Vec<Arc<Segment>>,
    unreadable: Vec<SegmentEntry>,
    logs: SealedLogs,
}

/// A manifest that names all segments that are there.
fn made_anew(places: &[(String, u64)]) -> Manifest {
    Manifest {
        next_segment_id: places.iter().map(|(_, id)| id + 1).max().unwrap_or(1),
        wal_sealed_through: 0,
        segments: places.iter().map(|(day, id)| SegmentEntry { id: *id, day: day.clone() }).collect(),
        log_segments: Vec::new(),
    }
}

fn open_or_quarantine(
    disk: &dyn Disk,
    data: &Path,
    metrics: &Metrics,
    cache: &Arc<PageCache>,
    manifest: &mut Manifest,
) -> (Vec<Arc<Segment>>, Vec<SegmentEntry>) {
    let (mut segments, mut unreadable) = (Vec::new(), Vec::new());
    let mut kept = Vec::new();
    // Merged segments have higher numbers than those they were made of. When the manifest is lost, these may be here as well.
    let mut replaced: BTreeSet<u64> = BTreeSet::new();
    let mut entries = std::mem::take(&mut manifest.segments);
    entries.sort_unstable_by_key(|entry| Reverse(entry.id));
    for entry in entries {
        let directory = filenames::segment_directory(data, &entry.day, entry.id);
        if replaced.contains(&entry.id) {
            if let Err(error) = disk.remove_directory(&directory) {
                tracing::warn!(%error, path = %directory.display(), "a segment that was merged cannot be removed");
            }
            continue;
        }
        // A disk that refuses once may do so for a moment only.
        let opened = Segment::open(disk, &directory, cache);
        match opened
            .or_else(|error| if is_damage(&error) { Err(error) } else { Segment::open(disk, &directory, cache) })
        {
            Ok(segment) => {
                replaced.extend(&segment.meta.merged_from);
                segments.push(Arc::new(segment));
                kept.push(entry);
            }
            Err(error) if is_damage(&error) => {
                tracing::error!(%error, segment = entry.id, day = entry.day, "a segment cannot be read; it is put into quarantine");
                match quarantine(disk, data, &directory) {
                    Ok(()) => metrics.segments_quarantined.add(1),
                    Err(error) => {
                        tracing::error!(%error, "it cannot be moved out of the way and stays where it is");
                        unreadable.push(entry.clone());
                        kept.push(entry);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, segment = entry.id, day = entry.day, "a segment cannot be read; the others are served, and it is when it can be read");
                unreadable.push(entry.clone());
                kept.push(entry);
            }
        }
    }
    manifest.segments = kept;
    (segments, unreadable)
}

fn is_damage(error: &ReadError) -> bool {
    match error {
        ReadError::Corrupt { .. } => true,
        ReadError::Io { source, .. } => {
            matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
        }
    }
}

/// Moves something out of the way, durably, under a name that is still free.
fn quarantine(disk: &dyn Disk, data: &Path, path: &Path) -> Result<(), StoreError> {
    let directory = filenames::quarantine_directory(data);
    disk.create_directories(&directory).map_err(StoreError::io(&directory))?;
    let taken = disk.list(&directory).map_err(StoreError::io(&directory))?;
    let number = |name: &str| name.split_once('-').and_then(|(number, _)| number.parse::<u64>().ok());
    let next = taken.iter().filter_map(|entry| number(&entry.name)).max().map_or(0, |last| last.saturating_add(1));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match disk.rename(path, &directory.join(format!("{next:04}-{name}"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        moved => moved.map_err(StoreError::io(path))?,
    }
    for directory in [directory.as_path(), data] {
        disk.sync_directory(directory).map_err(StoreError::io(directory))?;
    }
    Ok(())
}

/// What lies in the days' directories.
#[derive(Debug, Default)]
struct Found {
    /// Day and id of each segment.
    places: Vec<(String, u64)>,
    /// The same of segments of log records.
    log_places: Vec<(String, u64)>,
    /// Days that retention has moved aside.
    dropped_days: Vec<String>,
}

/// Looks for segment directories; removes those that were never finished.
fn find_segments(disk: &dyn Disk, data: &Path) -> Result<Found, StoreError> {
    let days = filenames::days_directory(data);
    let mut found = Found::default();
    for day in disk.list(&days).map_err(StoreError::io(&days))? {
        match day.name.strip_suffix(DROPPED) {
            Some(dropped) if day.is_directory && filenames::is_day(dropped) => {
                found.dropped_days.push(dropped.to_owned());
            }
            _ if day.is_directory && filenames::is_day(&day.name) => {
                find_segments_of_day(disk, data, &day.name, &mut found)?;
            }
            _ => tracing::warn!(path = %days.join(&day.name).display(), "not a day; left alone"),
        }
    }
    Ok(found)
}

fn find_segments_of_day(disk: &dyn Disk, data: &Path, day: &str, found: &mut Found) -> Result<(), StoreError> {
    let directory = filenames::day_directory(data, day);
    for entry in disk.list(&directory).map_err(StoreError::io(&directory))? {
        let path = directory.join(&entry.name);
        let unfinished = entry.name.strip_suffix(ASIDE);
        let unfinished = unfinished.and_then(|name| filenames::segment_id(name).or(filenames::log_segment_id(name)));
        if let Some(id) = filenames::log_segment_id(&entry.name).filter(|_| entry.is_directory) {
            found.log_places.push((day.to_owned(), id));
            continue;
        }
        match (filenames::segment_id(&entry.name), unfinished) {
            (Some(id), _) if entry.is_directory => found.places.push((day.to_owned(), id)),
            (_, Some(_)) if entry.is_directory => disk.remove_directory(&path).map_err(StoreError::io(path))?,
            _ => tracing::warn!(path = %path.display(), "not a segment; left alone"),
        }
    }
    Ok(())
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
        let wal_bytes = self.wal_bytes + wal.bytes;
        let active = self.current.unwrap_or_else(|| Memtable::new(sequence));
        active.extend_wal(sequence);
        Ok(Opened {
            lock: Box::new(NoLock),
            manifest: Manifest::default(),
            segments: Vec::new(),
            unreadable: Vec::new(),
            frozen: self.full,
            active: Arc::new(active),
            wal,
            wal_bytes,
            logs: SealedLogs::default(),
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
    sequence_used: u64,
) -> Result<Replayed, StoreError> {
    let (disk, data) = (&*options.disk, options.directory.as_path());
    let WalFiles { files, strangers } = list_wal(disk, data).map_err(StoreError::io(filenames::wal_directory(data)))?;
    for path in strangers {
        tracing::warn!(path = %path.display(), "not a WAL file; left alone");
    }
    let last = files.last().map_or(0, |(sequence, _)| *sequence);
    // Newer than everything there is, segments included: of two records of a span the one with the higher number counts.
    let next_sequence = last.max(sealed_through).max(sequence_used) + 1;
    let mut replayed = Replayed { full: Vec::new(), current: None, next_sequence, wal_bytes: 0 };
    for (sequence, _) in files {
        let path = filenames::wal_file(data, sequence);
        let contents = if sequence <= sealed_through { None } else { read_file_of_wal(disk, data, metrics, sequence)? };
        let Some(contents) = contents else {
            disk.remove_file(&path).map_err(StoreError::io(path))?;
            continue;
        };
        if contents.unreadable {
            quarantine(disk, data, &path)?;
            continue;
        }
        replayed.wal_bytes += contents.valid_bytes;
        let memtable = replayed.current.take().unwrap_or_else(|| Memtable::new(sequence));
        memtable.extend_wal(sequence);
        apply_records(options, replay, metrics, (sequence, contents), &memtable);
        if memtable.stats().bytes >= options.memtable_bytes_max {
            options.observer.closed(sequence);
            replayed.full.push(Arc::new(memtable));
        } else {
            replayed.current = Some(memtable);
        }
    }
    Ok(replayed)
}

/// Reads a WAL file, reports what is wrong with it, and cuts off a write that never finished. `None` if nothing ever was in it.
fn read_file_of_wal(
    disk: &dyn Disk,
    data: &Path,
    metrics: &Metrics,
    sequence: u64,
) -> Result<Option<WalContents>, StoreError> {
    let path = filenames::wal_file(data, sequence);
    let contents = read_wal(disk, &path).map_err(StoreError::io(&path))?;
    if contents.damaged_places > 0 {
        metrics.wal_damaged_places.add(contents.damaged_places);
        tracing::error!(
            sequence,
            places = contents.damaged_places,
            unreadable = contents.unreadable,
            "the WAL is damaged; requests at these places are lost"
        );
    }
    if contents.torn_bytes > 0 {
        metrics.wal_torn_bytes.add(contents.torn_bytes);
        tracing::warn!(sequence, bytes = contents.torn_bytes, "cutting off a write that never finished");
    }
    if contents.records.is_empty() && contents.damaged_places == 0 {
        return Ok(None);
    }
    if contents.torn_bytes > 0 {
        disk.truncate(&path, contents.valid_bytes).map_err(StoreError::io(&path))?;
    }
    Ok(Some(contents))
}

fn apply_records(
    options: &StoreOptions,
    replay: &dyn Replay,
    metrics: &Metrics,
    (sequence, contents): (u64, WalContents),
    memtable: &Memtable,
) {
    let now = options.clock.now_unix_nano();
    for record in contents.records {
        if record.format >= LOG_FORMATS_FROM {
            logs::apply_record(&record, replay, metrics, memtable, now);
            continue;
        }
        match replay.decode(record.format, record.received_unix_nano, &record.body) {
            Ok(mut batch) if !batch.is_empty() => {
                batch.shrink_to_fit();
                metrics.spans_applied.add(batch.len() as u64);
                let batch = memtable.apply(batch, now);
                options.observer.applied(&batch, record.received_unix_nano, sequence);
            }
            Ok(_) => {}
            Err(error) => {
                metrics.wal_damaged_places.add(1);
                tracing::error!(error, "a request in the WAL cannot be decoded any more");
            }
        }
    }
}
