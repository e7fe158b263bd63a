//! Copies of a data directory that is being written to.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::SpanKey;
use store::backup::copy_directory;
use store::disk::{Disk, Entry, Lock, ReadFile, RealDisk, WriteFile};
use store::{Store, StoreError, StoreOptions};
use testkit::reference::ReferenceStore;
use testkit::spans::trace_id;

use crate::verify::{check, files};
use crate::{Regenerate, append, open};

const LONG: Duration = Duration::from_mins(1);
const TRACES: u64 = 40;
const COPIES: u64 = 6;
/// Requests between two copies, and how many more may come while one is made.
const REQUESTS: u64 = 20;
const REQUESTS_MEANWHILE: u64 = 40;

fn keys(store: &Store) -> Vec<SpanKey> {
    let snapshot = store.snapshot();
    let batches = (0..TRACES).flat_map(|number| snapshot.trace(trace_id(number)).unwrap());
    let mut keys: Vec<SpanKey> =
        batches.flat_map(|batch| batch.spans().map(model::SpanRef::key).collect::<Vec<_>>()).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn a_copy_under_load_has_all_that_was_acknowledged_before() {
    // Guarantees that a copy taken while spans arrive and segments are sealed and dropped holds every span acknowledged before it
    // began, opens, and is whole; and that copying costs the original nothing.
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { memtable_bytes_max: 400 << 10, ..StoreOptions::new(directory.path().join("data")) };
    let store = Store::open(options, &Regenerate).unwrap();
    let (acknowledged, allowed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seed in 1..=COPIES * REQUESTS + REQUESTS_MEANWHILE {
                while allowed.load(Ordering::SeqCst) < seed {
                    std::thread::yield_now();
                }
                append(&store, seed, 30).unwrap();
                acknowledged.store(seed, Ordering::SeqCst);
            }
        });
        for number in 0..COPIES {
            let enough = (number + 1) * REQUESTS;
            allowed.store(enough + REQUESTS_MEANWHILE, Ordering::SeqCst);
            while acknowledged.load(Ordering::SeqCst) < enough {
                std::thread::yield_now();
            }
            let before = acknowledged.load(Ordering::SeqCst);
            let to = directory.path().join(format!("copies/{number}"));
            let copied = copy_directory(&RealDisk, &directory.path().join("data"), &to).unwrap();
            assert!(check(&to, false).unwrap().findings.is_empty(), "{:?}", check(&to, false));
            let expected: u64 = files(&to).iter().map(|path| path.metadata().unwrap().len()).sum();
            assert_eq!(copied.bytes, expected, "the LOCK of the check is empty");
            let mut reference = ReferenceStore::default();
            (1..=before).for_each(|seed| reference.append(crate::batch(seed, 30)));
            let found = keys(&open(&to));
            let missing = reference.spans().keys().filter(|key| found.binary_search(key).is_err()).count();
            assert_eq!(missing, 0, "of copy {number} after {before} requests");
        }
    });
    assert!(store.metrics().segments_sealed.get() > 0, "nothing was sealed meanwhile");
    assert!(check(&directory.path().join("data"), true).unwrap().is_whole());
}

#[test]
fn segments_are_shared_and_the_log_is_not() {
    // Guarantees that a copy takes no room for what is sealed, and that neither directory changes with the other.
    let directory = tempfile::tempdir().unwrap();
    let (data, to) = (directory.path().join("data"), directory.path().join("copy"));
    let store = open(&data);
    append(&store, 1, 100).unwrap();
    assert!(store.seal(LONG));
    append(&store, 2, 100).unwrap();
    let copied = copy_directory(&RealDisk, &data, &to).unwrap();
    assert!(copied.bytes_copied < copied.bytes / 2, "{copied:?}");
    for path in files(&to) {
        let links = path.metadata().unwrap().nlink();
        let is_shared = path.extension().is_some_and(|end| end == "parquet") || path.ends_with("segment.json");
        assert!(if is_shared { links == 2 } else { links == 1 || !path.ends_with(".wal") }, "{}", path.display());
        assert!(path.extension().is_none_or(|end| end != "wal") || links == 1);
    }
    append(&store, 3, 100).unwrap();
    drop(store);
    let spans = open(&to).stats().spans;
    assert!(spans < open(&data).stats().spans);
    fs::remove_dir_all(&data).unwrap();
    assert_eq!(open(&to).stats().spans, spans);
}

#[test]
fn nothing_is_overwritten() {
    // Guarantees that a copy goes only where nothing is, that its place is named, and that a directory that holds no spans is no source.
    let directory = tempfile::tempdir().unwrap();
    let (data, to) = (directory.path().join("data"), directory.path().join("copy"));
    assert!(matches!(copy_directory(&RealDisk, &data, &to), Err(StoreError::NoData { .. })));
    drop(open(&data));
    fs::create_dir(&to).unwrap();
    copy_directory(&RealDisk, &data, &to).unwrap();
    for taken in [to.clone(), data.clone(), data.join("wal/x"), data.join("FORMAT")] {
        let error = copy_directory(&RealDisk, &data, &taken).unwrap_err();
        assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside the copy");
}

/// The real disk, on which links fail in a certain way.
#[derive(Debug)]
struct NoLinks {
    kind: io::ErrorKind,
    /// Links below this directory work.
    except: Option<std::path::PathBuf>,
}

impl Disk for NoLinks {
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.except.as_ref().is_some_and(|except| to.starts_with(except)) {
            return RealDisk.hard_link(from, to);
        }
        Err(self.kind.into())
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        RealDisk.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        RealDisk.open(path)
    }
    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        RealDisk.truncate(path, bytes)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_directory(path)
    }
    fn create_directories(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directories(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_directory(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        RealDisk.lock(path)
    }
}

#[test]
fn what_cannot_be_linked_is_copied() {
    // Guarantees a whole copy on another file system and on one without links, and that nothing stays behind in the original.
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let store = open(&data);
    append(&store, 1, 100).unwrap();
    assert!(store.seal(LONG));
    append(&store, 2, 100).unwrap();
    let names = |path: &Path| fs::read_dir(path).unwrap().count();
    let before = names(&data);
    let cases = [(io::ErrorKind::CrossesDevices, Some(data.clone())), (io::ErrorKind::Unsupported, None)];
    for (number, (kind, except)) in cases.into_iter().enumerate() {
        let to = directory.path().join(format!("copy{number}"));
        let copied = copy_directory(&NoLinks { kind, except }, &data, &to).unwrap();
        assert_eq!(copied.bytes_copied, copied.bytes);
        assert!(check(&to, false).unwrap().findings.is_empty());
        assert_eq!(keys(&open(&to)), keys(&store));
        assert_eq!(names(&data), before);
    }
}
