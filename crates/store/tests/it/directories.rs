//! Data directories that are in use, too new, broken, or past their time.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use store::clock::{Clock, DAY_NS};
use store::{Projection, Store, StoreError, StoreOptions};
use testkit::clock::SimClock;

use crate::ledger::until;
use crate::{Regenerate, append, open};

const LONG: Duration = Duration::from_mins(1);

fn spans(store: &Store) -> usize {
    let parts = store.snapshot().parts();
    parts.iter().map(|part| part.read(&Projection::default()).unwrap().len()).sum()
}

#[test]
fn one_store_at_a_time() {
    // Guarantees that a directory in use is refused with a sentence that names it, and is free again afterwards.
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let second = Store::open(StoreOptions::new(directory.path()), &Regenerate).unwrap_err();
    assert!(matches!(second, StoreError::Locked { .. }));
    assert!(second.to_string().contains(&directory.path().display().to_string()));
    drop(first);
    open(directory.path());
}

#[test]
fn a_newer_directory_is_left_alone() {
    // Guarantees that a directory of a later format is refused and not touched.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("FORMAT"), "2\n").unwrap();
    let error = Store::open(StoreOptions::new(directory.path()), &Regenerate).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, supported: 1, .. }), "{error}");
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "only FORMAT and LOCK: {names:?}");
}

#[test]
fn a_file_in_the_way_is_named() {
    // Guarantees that a path that cannot be a directory gives an error that names it.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "").unwrap();
    let error = Store::open(StoreOptions::new(&path), &Regenerate).unwrap_err();
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
}

#[test]
fn a_torn_tail_is_cut_once() {
    // Guarantees that an unfinished write at the end of the WAL is cut off and counted, and everything before it is there.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    append(&store, 1, 50).unwrap();
    append(&store, 2, 60).unwrap();
    drop(store);
    let wal = directory.path().join("wal").join(format!("{:020}.wal", 1));
    let bytes = fs::read(&wal).unwrap();
    fs::write(&wal, &bytes[..bytes.len() - 3]).unwrap();
    let store = open(directory.path());
    assert_eq!(spans(&store), 50);
    assert!(store.metrics().wal_torn_bytes.get() > 0);
    drop(store);
    let store = open(directory.path());
    assert_eq!((spans(&store), store.metrics().wal_torn_bytes.get()), (50, 0));
}

#[test]
fn a_lost_manifest_is_made_anew() {
    // Guarantees that without its manifest a store still finds every span, sealed or not.
    for damage in [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| fs::write(path, "{}").unwrap()] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        append(&store, 1, 50).unwrap();
        assert!(store.seal(LONG));
        let sealed = spans(&store);
        append(&store, 2, 60).unwrap();
        drop(store);
        damage(&directory.path().join("manifest.json"));
        assert_eq!(spans(&open(directory.path())), sealed + 60);
    }
}

#[test]
fn leftovers_and_strangers() {
    // Guarantees that what an interrupted seal left is removed, and files of others are left alone.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    append(&store, 1, 50).unwrap();
    drop(store);
    let days = directory.path().join("days/2026-11-20");
    fs::create_dir_all(days.join(format!("{:020}.tmp", 7))).unwrap();
    fs::create_dir_all(days.join(format!("{:020}", 8))).unwrap();
    fs::write(days.join("notes.txt"), "mine").unwrap();
    fs::write(directory.path().join("wal/readme"), "mine").unwrap();
    fs::write(directory.path().join("wal").join(format!("{:020}.wal", 9)), "").unwrap();
    // The manifest must exist for the directory of segment 8 to be known as a leftover.
    let store = open(directory.path());
    assert!(store.seal(LONG));
    drop(store);
    fs::create_dir_all(days.join(format!("{:020}", 800))).unwrap();
    let store = open(directory.path());
    assert!(spans(&store) > 0);
    assert!(!days.join(format!("{:020}.tmp", 7)).exists());
    assert!(!days.join(format!("{:020}", 800)).exists());
    assert!(days.join("notes.txt").exists() && directory.path().join("wal/readme").exists());
}

#[test]
fn a_damaged_segment_is_put_aside() {
    // Guarantees that a segment that cannot be read is quarantined, counted, and the rest is served.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    append(&store, 1, 200).unwrap();
    assert!(store.seal(LONG));
    let all = spans(&store);
    drop(store);
    let days = directory.path().join("days");
    let day = fs::read_dir(&days).unwrap().next().unwrap().unwrap().path();
    let segment = fs::read_dir(&day).unwrap().next().unwrap().unwrap().path();
    let spans_file = segment.join("spans.parquet");
    let bytes = fs::read(&spans_file).unwrap();
    fs::write(&spans_file, &bytes[..bytes.len() / 2]).unwrap();
    let store = open(directory.path());
    assert_eq!(store.metrics().segments_quarantined.get(), 1);
    let left = spans(&store);
    assert!(left > 0 && left < all, "{left} of {all}");
    assert_eq!(fs::read_dir(directory.path().join("quarantine")).unwrap().count(), 1);
}

/// A clock that tests set.
#[derive(Debug, Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now_unix_nano(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn old_days_are_dropped_whole() {
    // Guarantees that retention drops days past their age, durably, and nothing younger.
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let start = testkit::spans::Shape::default().start_unix_nano;
    clock.0.store(start, Ordering::Relaxed);
    let options = StoreOptions {
        retention_age_ns: Some(DAY_NS),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..StoreOptions::new(directory.path())
    };
    let store = Store::open(options, &Regenerate).unwrap();
    append(&store, 1, 2000).unwrap();
    assert!(store.seal(LONG));
    let before = store.stats();
    clock.0.store(start + 3 * DAY_NS, Ordering::Relaxed);
    let deadline = std::time::Instant::now() + LONG;
    while store.metrics().days_dropped.get() == 0 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    let after = store.stats();
    assert!(after.spans > 0 && after.spans < before.spans, "{after:?} after {before:?}");
    assert!(after.oldest_unix_nano.unwrap() >= (start + DAY_NS) / DAY_NS * DAY_NS);
    drop(store);
    assert_eq!(open(directory.path()).stats().spans, after.spans);
}

#[test]
fn a_clock_that_is_set_ahead_drops_nothing() {
    // Guarantees that neither a store at work nor one that is opened again drops days by a clock that was set ahead by a year, that
    // it says so, that a clock set back drops nothing, and that a clock that stays ahead for a day is believed.
    let directory = tempfile::tempdir().unwrap();
    let start = testkit::spans::Shape::default().start_unix_nano;
    let clock = Arc::new(SimClock::new(start + 3 * DAY_NS));
    let open = || {
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let options =
            StoreOptions { retention_age_ns: Some(30 * DAY_NS), clock, ..StoreOptions::new(directory.path()) };
        Store::open(options, &Regenerate).unwrap()
    };
    let mut store = open();
    append(&store, 1, 500).unwrap();
    assert!(store.seal(LONG));
    let before = store.stats().spans;
    clock.step_back(300 * DAY_NS);
    clock.step_forward(665 * DAY_NS);
    for seed in 2..4 {
        // Sealing makes the thread look at the clock.
        append(&store, seed, 1).unwrap();
        assert!(store.seal(LONG));
        append(&store, seed + 10, 1).unwrap();
        assert!(store.seal(LONG));
        assert!(store.stats().clock_is_ahead);
        assert_eq!((store.metrics().days_dropped.get(), store.stats().spans >= before), (0, true));
        drop(store);
        store = open();
    }
    clock.advance(DAY_NS / 2);
    append(&store, 20, 1).unwrap();
    assert!(store.seal(LONG));
    assert_eq!(store.metrics().days_dropped.get(), 0);
    clock.advance(DAY_NS);
    assert!(until(|| store.metrics().days_dropped.get() > 0));
    assert!(!store.stats().clock_is_ahead);
}

#[test]
fn the_newest_day_stays_within_a_byte_budget() {
    // Guarantees that a byte budget drops the oldest days first and never the newest.
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { retention_bytes: Some(1), ..StoreOptions::new(directory.path()) };
    let store = Store::open(options, &Regenerate).unwrap();
    append(&store, 1, 2000).unwrap();
    assert!(store.seal(LONG));
    let deadline = std::time::Instant::now() + LONG;
    while store.stats().segments > 1 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(store.stats().segments, 1);
    assert!(store.stats().spans > 0);
}
