//! The disk refuses single calls, or all of them for a while: nothing is acknowledged that is not on disk, nothing is lost,
//! memory and disk stay bounded, and when the disk is well again the store goes on by itself.

use std::time::{Duration, Instant};

use store::clock::{Clock, DAY_NS};
use store::options::COMMIT_QUEUE_BYTES_MAX;
use store::{AppendError, Durability, Store, StoreOptions};
use testkit::disk::{Call, Fault};

use crate::ledger::{Cases, DATA, LONG, Ledger, Numbered, World, seal, segment_directories, until};

/// Opens; one failure is allowed for, but not a second.
fn open_at_last(world: &World) -> Store {
    world.open().or_else(|_| world.open()).expect("it opens when nothing fails any more")
}

fn open_with(world: &World, change: impl FnOnce(&mut StoreOptions)) -> Store {
    let mut options = world.options();
    change(&mut options);
    Store::open(options, &Numbered).expect("an undamaged directory opens")
}

/// Appends until it is not refused.
fn append_at_last(ledger: &mut Ledger, store: &Store) {
    assert!(until(|| ledger.append(store, 4).is_ok()), "appends are refused for ever");
}

/// What must hold wherever a single call has failed.
fn script(world: &World, ledger: &mut Ledger) {
    for _ in 0..2 {
        let store = open_at_last(world);
        for _ in 0..3 {
            if let Err(refusal) = ledger.append(&store, 4) {
                assert!(matches!(refusal, AppendError::Io(_)), "{refusal}");
            }
        }
        append_at_last(ledger, &store);
        assert!(seal(world, &store), "sealing does not get on");
        ledger.append(&store, 3).ok();
        ledger.assert(&store, "after a fault");
        assert_eq!(store.metrics().segments_quarantined.get(), 0, "a refusal is no damage");
        assert!(until(|| world.is_tidy(&store)), "something was left behind: {:?}", world.disk.files());
    }
}

#[test]
fn every_call_fails_once() {
    // Guarantees that a single failure of any call to the disk loses nothing, doubles nothing and blocks nothing, and that
    // what it interrupted leaves nothing behind.
    let cases = Cases::from_environment();
    let world = World::new(cases.seed);
    script(&world, &mut Ledger::default());
    let calls = world.disk.calls();
    // Even numbers are full disks, odd ones broken disks.
    let numbers = cases.numbers(2 * calls + 1, 120);
    println!("{} of {calls} calls, each with two errors", numbers.len());
    cases.run(&numbers, |number| {
        let world = World::new(cases.seed);
        let mut ledger = Ledger::default();
        world.disk.fail_at(number / 2, if number % 2 == 0 { Fault::NoSpace } else { Fault::Io });
        script(&world, &mut ledger);
        let world = world.power_cut(number);
        let store = world.open().expect("a store opens after a power cut");
        ledger.assert(&store, "after a fault and a power cut");
        assert!(seal(&world, &store));
        assert!(until(|| world.is_tidy(&store)), "{:?}", world.disk.files());
    });
}

#[test]
fn a_failed_sync_is_never_an_ok() {
    // Guarantees that a batch whose sync failed is refused, that what was acknowledged before and after in any file survives
    // every power cut, and that nothing is ever written to the file again.
    let world = World::new(1);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    for round in 0..3 {
        ledger.append(&store, 3).unwrap();
        let before = world.disk.names(format!("{DATA}/wal"));
        world.disk.fail_next(Call::Sync, 1, Fault::Io);
        let refusal = ledger.append(&store, 3).unwrap_err();
        assert!(matches!(refusal, AppendError::Io(_)), "{refusal}");
        ledger.append(&store, 3).unwrap();
        let after = world.disk.names(format!("{DATA}/wal"));
        assert_eq!(after.len(), before.len() + 1, "round {round}: {before:?} {after:?}");
        for seed in 0..20 {
            let cut = world.power_cut(seed);
            ledger.assert(&cut.open().unwrap(), "after a failed sync and a power cut");
        }
    }
    assert_eq!(store.metrics().wal_errors.get(), 3);
}

#[test]
fn a_refused_batch_does_not_come_back() {
    // Guarantees that a refused batch, however much of it reached the disk, is not found at the next start when the disk let
    // the store cut it off: a sender that gave up, or changed its mind, is right.
    for call in [Call::Write, Call::Sync] {
        let world = World::new(7);
        let mut ledger = Ledger::default();
        let store = world.open().unwrap();
        ledger.append(&store, 3).unwrap();
        world.disk.fail_next(call, 1, Fault::Io);
        ledger.append(&store, 5).unwrap_err();
        drop(store);
        let store = world.open().unwrap();
        assert_eq!(store.stats().spans, 3);
        assert_eq!(store.metrics().wal_torn_bytes.get(), 0);
    }
}

#[test]
fn a_full_disk_empties_itself() {
    // Guarantees that on a full disk appends are refused in a way that can be retried, reads go on, refused requests and
    // seals leave nothing behind, retention can still delete, and then everything goes on by itself.
    let world = World::new(1);
    let mut ledger = Ledger::default();
    let store = open_with(&world, |options| options.retention_age_ns = Some(2 * DAY_NS));
    for _ in 0..5 {
        ledger.append(&store, 40).unwrap();
    }
    assert!(seal(&world, &store));
    world.disk.limit_space(Some(world.disk.used_bytes() + 10_000));
    let mut refusals = 0;
    let mut files = 0;
    for number in 0..300 {
        let sent = ledger.send(&store, 2, 900);
        if let Err(refusal) = ledger.settle(&sent) {
            assert!(matches!(refusal, AppendError::Io(_)), "{refusal}");
            refusals += 1;
        }
        if number == 100 {
            files = world.disk.files().len();
        }
    }
    assert!(refusals > 200);
    assert!(world.disk.files().len() <= files, "refused requests leave files behind");
    assert!(!store.seal(Duration::from_millis(200)), "there is no space for segments");
    assert!(until(|| world.is_tidy(&store)), "unfinished segments stay: {:?}", world.disk.files());
    ledger.assert(&store, "on a full disk");
    let used = world.disk.used_bytes();
    world.clock.advance(2 * DAY_NS);
    ledger.expire(world.clock.now_unix_nano() - 2 * DAY_NS);
    assert!(until(|| store.metrics().days_dropped.get() > 0), "retention needs space to make space");
    assert!(until(|| world.disk.used_bytes() < used));
    append_at_last(&mut ledger, &store);
    world.disk.limit_space(None);
    assert!(seal(&world, &store));
    ledger.assert(&store, "after there was space again");
    let cut = world.power_cut(1);
    ledger.assert(&cut.open().unwrap(), "after a power cut");
    assert!(world.disk.names(format!("{DATA}/days")).iter().all(|name| !name.ends_with(".dropped")));
}

#[test]
fn a_full_disk_that_is_cleared_is_used_again() {
    // Guarantees that space freed by somebody else is enough for appends and seals to go on, without a restart.
    let world = World::new(2);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    world.disk.limit_space(Some(world.disk.used_bytes() + 3000));
    assert!(until(|| ledger.append(&store, 4).is_err()));
    world.disk.limit_space(None);
    ledger.append(&store, 4).unwrap();
    assert!(seal(&world, &store));
    ledger.assert(&store, "after there was space again");
}

#[test]
fn sealing_that_fails_refuses_instead_of_waiting() {
    // Guarantees that when spans cannot be sealed memory stays within its bound, every append is answered, refusals can be
    // retried, and nothing is left behind when sealing works again.
    let world = World::new(3);
    let mut ledger = Ledger::default();
    let memtable_bytes_max = 30_000;
    let store = open_with(&world, |options| options.memtable_bytes_max = memtable_bytes_max);
    world.disk.break_below(format!("{DATA}/days"), Fault::Io);
    let mut refusals = 0;
    for _ in 0..200 {
        if let Err(refusal) = ledger.append(&store, 4) {
            assert!(matches!(refusal, AppendError::Full(_)), "{refusal}");
            refusals += 1;
        }
        assert!(store.stats().memtable_bytes <= 2 * memtable_bytes_max as u64 + 60_000, "{:?}", store.stats());
    }
    assert!(refusals > 0 && store.metrics().seal_errors.get() > 0);
    ledger.assert(&store, "while sealing fails");
    world.disk.mend();
    append_at_last(&mut ledger, &store);
    assert!(seal(&world, &store));
    ledger.assert(&store, "after sealing works again");
    assert!(until(|| world.is_tidy(&store)), "{:?}", world.disk.files());
}

#[test]
fn memory_is_bounded_without_a_new_log_file() {
    // Guarantees that where no new log file can be made, for want of file descriptors for example, what memory holds stays bounded: spans
    // are refused in a way that can be retried, those in memory are read, and taken again by itself when a file can be made.
    let world = World::new(12);
    let mut ledger = Ledger::default();
    let memtable_bytes_max = 30_000;
    let store = open_with(&world, |options| options.memtable_bytes_max = memtable_bytes_max);
    ledger.append(&store, 4).unwrap();
    world.disk.break_calls(Call::Create, format!("{DATA}/wal"), Fault::Io);
    let mut refusals = 0;
    for _ in 0..200 {
        if let Err(refusal) = ledger.append(&store, 4) {
            assert!(matches!(refusal, AppendError::Full(_)), "{refusal}");
            refusals += 1;
        }
        assert!(store.stats().memtable_bytes <= 2 * memtable_bytes_max as u64, "{:?}", store.stats());
    }
    assert!(refusals > 100, "{refusals}");
    ledger.assert(&store, "without a new log file");
    world.disk.mend();
    append_at_last(&mut ledger, &store);
    assert!(seal(&world, &store));
    ledger.assert(&store, "after a log file could be made");
    ledger.assert(&world.power_cut(1).open().unwrap(), "after a power cut");
}

#[test]
fn a_manifest_that_cannot_be_written_piles_nothing_up() {
    // Guarantees that finished segments are kept for the next try when the manifest cannot be replaced, instead of being
    // written again and again.
    let world = World::new(4);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    ledger.append(&store, 40).unwrap();
    world.disk.break_below(format!("{DATA}/manifest.tmp"), Fault::NoSpace);
    assert!(!store.seal(Duration::from_millis(10)));
    assert!(until(|| store.metrics().seal_errors.get() >= 4));
    let directories = segment_directories(&world.disk);
    assert!(directories.len() <= 4, "one a day: {directories:?}");
    ledger.assert(&store, "while the manifest cannot be written");
    world.disk.mend();
    assert!(seal(&world, &store));
    assert_eq!(segment_directories(&world.disk), directories);
    drop(store);
    let store = world.open().unwrap();
    ledger.assert(&store, "after the manifest could be written");
    assert_eq!(segment_directories(&world.disk), directories);
}

#[test]
fn wal_files_that_resist_are_deleted_later() {
    // Guarantees that the WAL's budget is given back even when deleting its files fails at first.
    let world = World::new(5);
    let mut ledger = Ledger::default();
    let store = open_with(&world, |options| options.wal_bytes_max = 20_000);
    ledger.append(&store, 4).unwrap();
    world.disk.break_calls(Call::RemoveFile, format!("{DATA}/wal"), Fault::Io);
    assert!(until(|| {
        let sent = ledger.send(&store, 1, 2000);
        matches!(ledger.settle(&sent), Err(AppendError::Full(_)))
    }));
    ledger.assert(&store, "while the WAL cannot be deleted");
    world.disk.mend();
    append_at_last(&mut ledger, &store);
    assert!(seal(&world, &store));
    assert!(until(|| world.disk.names(format!("{DATA}/wal")).len() == 1), "{:?}", world.disk.files());
    assert!(store.stats().wal_bytes <= 64, "{:?}", store.stats());
    ledger.assert(&store, "after the WAL was deleted");
}

#[test]
fn wal_files_that_stay_do_not_split_the_segments() {
    // Guarantees that WAL files that cannot be deleted are counted, up to refusing, without every request being sealed alone.
    let world = World::new(11);
    let mut ledger = Ledger::default();
    let store = open_with(&world, |options| options.wal_bytes_max = 20_000);
    world.disk.break_calls(Call::RemoveFile, format!("{DATA}/wal/{:020}.wal", 1), Fault::Io);
    for _ in 0..6 {
        let sent = ledger.send(&store, 1, 2000);
        ledger.settle(&sent).unwrap();
    }
    assert!(until(|| store.metrics().segments_sealed.get() > 0));
    assert!(store.stats().wal_bytes > 10_000, "{:?}", store.stats());
    for _ in 0..30 {
        let sent = ledger.send(&store, 1, 10);
        ledger.settle(&sent).unwrap();
    }
    let logs = world.disk.names(format!("{DATA}/wal"));
    assert_eq!(logs.len(), 2, "the one that stays and the active one: {logs:?}");
    world.disk.mend();
    assert!(seal(&world, &store));
    ledger.assert(&store, "after the WAL was deleted");
}

#[test]
fn small_spans_in_large_requests_do_not_fill_the_wal() {
    // Guarantees that the WAL stays within its budget and takes requests again within seconds, however little of each request
    // is kept, and that requests of which nothing is kept take nothing at all.
    let world = World::new(6);
    let mut ledger = Ledger::default();
    let wal_bytes_max = 100_000;
    // Merging would free space at a moment of its own.
    let store = open_with(&world, |options| (options.wal_bytes_max, options.merge_segments_min) = (wal_bytes_max, 0));
    for _ in 0..150 {
        let sent = ledger.send(&store, 1, 4000);
        match ledger.settle(&sent) {
            Ok(()) => {}
            Err(AppendError::Full(_)) => append_at_last(&mut ledger, &store),
            Err(other) => panic!("{other}"),
        }
        assert!(store.stats().wal_bytes <= wal_bytes_max + 5000);
    }
    assert!(seal(&world, &store));
    let used = world.disk.used_bytes();
    for _ in 0..100 {
        let sent = ledger.send(&store, 0, 4000);
        ledger.settle(&sent).unwrap();
    }
    assert_eq!(world.disk.used_bytes(), used);
    ledger.assert(&store, "after the WAL was full");
}

#[test]
fn a_slow_disk_bounds_what_waits() {
    // Guarantees that requests waiting for a stalled disk, with all that was decoded of them, stay within the queue's bound;
    // that what is beyond is refused at once and can be retried; and that what waits is stored when the disk wakes up.
    let world = World::new(7);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    let held = world.disk.hold_syncs();
    let mut waiting = vec![ledger.send(&store, 1, 0)];
    world.disk.await_held_sync();
    let mut largest = 0;
    while store.stats().queued_bytes <= COMMIT_QUEUE_BYTES_MAX as u64 {
        assert!(waiting.len() < 400, "the queue does not count what was decoded: {:?}", store.stats());
        let before = store.stats().queued_bytes;
        waiting.push(ledger.send(&store, 1000, 2_000_000));
        largest = largest.max(store.stats().queued_bytes - before);
    }
    assert!(largest > 2_200_000, "encoded and decoded bytes count: {largest}");
    let refused = ledger.send(&store, 1, 0);
    assert!(matches!(ledger.settle(&refused), Err(AppendError::Full(_))));
    assert!(store.stats().queued_bytes <= COMMIT_QUEUE_BYTES_MAX as u64 + largest);
    drop(held);
    for sent in &waiting {
        ledger.settle(sent).unwrap();
    }
    assert_eq!(store.stats().spans as usize, ledger.stored_spans());
}

#[test]
fn sealing_is_done_when_it_is_said_to_be() {
    // Guarantees that waiting for a seal does not end before everything is sealed, even if the disk is slow to begin.
    let world = World::new(8);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    ledger.append(&store, 10).unwrap();
    let held = world.disk.hold_syncs();
    assert!(!store.seal(Duration::from_millis(300)));
    drop(held);
    assert!(store.seal(LONG));
    assert_eq!(store.stats().memtable_bytes, 0);
}

#[test]
fn flushed_spans_are_synced_within_a_second_or_two() {
    // Guarantees that with the weaker durability a power cut costs at most what was acknowledged in the last seconds, also
    // while requests never cease.
    let world = World::new(9);
    let mut ledger = Ledger::default();
    let store = open_with(&world, |options| options.durability = Durability::Flush);
    ledger.append(&store, 3).unwrap();
    let mut later = Ledger::default();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2100) {
        later.send(&store, 0, 0);
        ledger.append(&store, 1).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    for seed in 0..10 {
        let store = world.power_cut(seed).open().unwrap();
        assert!(store.stats().spans >= 3, "what was acknowledged two seconds ago is lost");
    }
}

#[test]
fn what_waits_when_the_store_is_dropped_is_answered() {
    // Guarantees that requests in the queue at shutdown are stored and answered, and that what is acknowledged then lasts.
    let world = World::new(10);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    let held = world.disk.hold_syncs();
    let waiting: Vec<_> = (0..20).map(|_| ledger.send(&store, 2, 100)).collect();
    world.disk.await_held_sync();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(store));
        drop(held);
    });
    for sent in &waiting {
        ledger.settle(sent).unwrap();
    }
    ledger.assert(&world.power_cut(1).open().unwrap(), "after a shutdown and a power cut");
}
