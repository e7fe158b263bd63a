//! Merging of small segments: nothing is lost, doubled or overtaken, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use model::{SpanBatch, SpanKey};
use store::clock::{Clock, DAY_NS};
use store::{Projection, Store, StoreOptions};
use testkit::disk::{Call, Fault};
use testkit::reference::ReferenceStore;
use testkit::spans::{normal_form, trace_id};

use crate::ledger::{Cases, DATA, Ledger, Numbered, World, seal, until};
use crate::{Regenerate, append};

const LONG: Duration = Duration::from_mins(1);

fn options(directory: &std::path::Path, merge_segments_min: usize) -> StoreOptions {
    StoreOptions { merge_segments_min, ..StoreOptions::new(directory) }
}

/// Spans of all traces; of records of the same span the last one.
fn spans(store: &Store) -> BTreeMap<SpanKey, String> {
    let snapshot = store.snapshot();
    let batches: Vec<SpanBatch> = (0..40).flat_map(|number| snapshot.trace(trace_id(number)).unwrap()).collect();
    batches.iter().flat_map(SpanBatch::spans).map(|span| (span.key(), normal_form(span))).collect()
}

/// How many records of spans lie in the parts.
fn records(store: &Store) -> u64 {
    let parts = store.snapshot().parts();
    parts.iter().map(|part| part.read(&Projection::default()).unwrap().len() as u64).sum()
}

/// Whether few segments are left: five partitions, a few tiers each.
fn is_merged(store: &Store) -> bool {
    store.stats().segments <= 24
}

#[test]
fn the_last_record_wins_over_merges() {
    // Guarantees that spans that come again and again, on the same day and on another, are there in their last record however their
    // segments are merged, that older records go when they meet, and that a restart changes nothing.
    let directory = tempfile::tempdir().unwrap();
    let mut reference = ReferenceStore::default();
    let store = Store::open(options(directory.path(), 2), &Regenerate).unwrap();
    let mut appended = 0;
    for seed in 1..=24 {
        reference.append(append(&store, seed, 100 + seed % 7 * 60).unwrap());
        appended += 100 + seed % 7 * 60;
        assert!(store.seal(LONG));
        if seed % 6 == 0 {
            let last = reference.spans().into_iter().map(|(key, span)| (key, normal_form(span)));
            assert!(spans(&store) == last.collect(), "other spans than those that were sent last, after batch {seed}");
        }
    }
    assert!(until(|| is_merged(&store)), "{:?}", store.stats());
    let metrics = store.metrics();
    assert!(metrics.merged_segments.get() > 20, "{}", metrics.merged_segments.get());
    assert!(metrics.merge_duplicates_dropped.get() > 0);
    assert!(metrics.merge_bytes_read.get() > 0 && metrics.merge_bytes_written.get() > 0);
    assert!(metrics.write_amplification() > 1.0);
    let left = records(&store);
    let dropped = metrics.merge_duplicates_dropped.get() + metrics.duplicates_dropped.get();
    assert_eq!((left, left), (store.stats().spans, appended - dropped), "each record is there or counted as dropped");
    let catalog = store.snapshot().catalog();
    assert_eq!(catalog.operations.values().sum::<u64>(), left, "nothing is counted twice");
    let before = spans(&store);
    drop(store);
    let store = Store::open(options(directory.path(), 2), &Regenerate).unwrap();
    assert!(spans(&store) == before, "a restart changes spans");
    drop(store);
    let verified = crate::verify::check(directory.path(), false).unwrap();
    assert!(verified.is_whole(), "{:?}", verified.findings);
}

#[test]
fn full_segments_are_not_merged() {
    // Guarantees that segments of full memtables are never written again.
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { memtable_bytes_max: 60 << 10, ..options(directory.path(), 2) };
    let store = Store::open(options, &Regenerate).unwrap();
    for seed in 1..=30 {
        append(&store, seed, 200).unwrap();
    }
    assert!(store.seal(LONG));
    let sealed = store.metrics().segment_bytes_written.get();
    // Three days and those without a day share a memtable, so some of these segments are small.
    assert!(store.metrics().merge_bytes_written.get() <= 3 * sealed);
    assert!(store.metrics().segments_sealed.get() > 20);
}

/// Seals again and again, so that there is something to merge, and waits for it.
fn script(world: &World, ledger: &mut Ledger) -> Option<()> {
    for _ in 0..2 {
        let store = world.open().ok()?;
        for _ in 0..2 {
            ledger.append(&store, 40).ok()?;
            ledger.append(&store, 40).ok()?;
            seal(world, &store).then_some(())?;
        }
        let merged = || store.metrics().merged_segments.get() >= 2 || world.disk.crashed();
        assert!(until(merged), "nothing is merged: {:?}", store.stats());
        let checked = ledger.check(&store).or_else(|_| ledger.check(&store));
        assert!(checked.is_ok() || world.disk.crashed(), "{checked:?} after a merge");
    }
    (!world.disk.crashed()).then_some(())
}

#[test]
fn the_power_fails_while_merging() {
    // Guarantees that wherever the power fails, also while segments are merged, published and removed, every acknowledged span is
    // there once, with the manifest and without it.
    let cases = Cases::from_environment();
    let world = World::new(cases.seed);
    script(&world, &mut Ledger::default()).expect("nothing fails in a run without faults");
    let numbers = cases.numbers(world.disk.calls(), 80);
    println!("{} of {} calls", numbers.len(), world.disk.calls());
    cases.run(&numbers, |number| {
        let world = World::new(cases.seed);
        let mut ledger = Ledger::default();
        world.disk.fail_at(number, Fault::Crash);
        let _: Option<()> = script(&world, &mut ledger);
        let world = world.power_cut(number);
        if number % 3 == 0 {
            drop(world.disk.put(format!("{DATA}/manifest.json"), b"lost"));
        }
        let store = world.open().expect("a store opens after a power cut");
        if number % 3 == 0 {
            // Without a manifest, half a directory that was being removed looks damaged.
            ledger.check_keys(&store);
        } else {
            ledger.assert(&store, "after the power cut");
            assert_eq!(store.metrics().segments_quarantined.get(), 0, "a power cut damages nothing");
        }
        ledger.append(&store, 3).expect("a store that was opened takes spans");
        assert!(seal(&world, &store));
        assert!(until(|| world.is_tidy(&store)), "{:?}", world.disk.files());
    });
}

#[test]
fn calls_fail_while_merging() {
    // Guarantees that a single failure of any call, also while segments are merged, published and removed, loses and doubles
    // nothing, that merging goes on afterwards, and that nothing is left behind.
    let cases = Cases::from_environment();
    let world = World::new(cases.seed);
    script(&world, &mut Ledger::default()).expect("nothing fails in a run without faults");
    let calls = world.disk.calls();
    let numbers = cases.numbers(2 * calls + 1, 60);
    cases.run(&numbers, |number| {
        let world = World::new(cases.seed);
        let mut ledger = Ledger::default();
        world.disk.fail_at(number / 2, if number % 2 == 0 { Fault::NoSpace } else { Fault::Io });
        let _: Option<()> = script(&world, &mut ledger);
        let store = world.open().or_else(|_| world.open()).expect("it opens when nothing fails any more");
        ledger.append(&store, 40).or_else(|_| ledger.append(&store, 40)).expect("it takes spans again");
        assert!(seal(&world, &store));
        ledger.assert(&store, "after a fault");
        assert!(until(|| world.is_tidy(&store)), "{:?}", world.disk.files());
        let cut = world.power_cut(number);
        ledger.assert(&cut.open().expect("it opens after a power cut"), "after a fault and a power cut");
    });
}

#[test]
fn sources_that_stay_do_not_come_back() {
    // Guarantees that segments that were merged and could not be removed are not counted again with a lost manifest, nor when
    // there is one.
    for lose_manifest in [false, true] {
        let world = World::new(1);
        let mut ledger = Ledger::default();
        let store = world.open().unwrap();
        world.disk.break_calls(Call::RemoveDirectory, format!("{DATA}/days"), Fault::Io);
        for _ in 0..2 {
            ledger.append(&store, 60).unwrap();
            assert!(seal(&world, &store));
        }
        assert!(until(|| store.metrics().merged_segments.get() >= 2));
        ledger.assert(&store, "while the old ones cannot be removed");
        assert!(!world.is_tidy(&store));
        drop(store);
        world.disk.mend();
        if lose_manifest {
            world.disk.put(format!("{DATA}/manifest.json"), b"lost").unwrap();
        }
        let store = world.open().unwrap();
        ledger.assert(&store, "after a restart");
        assert!(until(|| world.is_tidy(&store)), "{:?}", world.disk.files());
    }
}

#[test]
fn a_damaged_segment_is_left_out_of_merges() {
    // Guarantees that a segment that cannot be read is neither merged nor removed, and that the others are.
    let world = World::new(3);
    let mut ledger = Ledger::default();
    let never = StoreOptions { merge_segments_min: 0, ..world.options() };
    let store = Store::open(never, &Numbered).unwrap();
    for _ in 0..3 {
        ledger.append(&store, 3000).unwrap();
        assert!(seal(&world, &store));
    }
    let segments = store.stats().segments;
    drop(store);
    let is_spans = |path: &PathBuf| path.ends_with("spans.parquet");
    let (damaged, _) = world.disk.files().into_iter().find(|(path, _)| is_spans(path)).unwrap();
    world.disk.flip(&damaged, 8 * 200).unwrap();
    let store = world.open().unwrap();
    assert!(until(|| store.metrics().merge_errors.get() > 0), "the damage is not found");
    assert!(until(|| store.stats().segments < segments), "{:?}", store.stats());
    assert!(world.disk.files().iter().any(|(path, _)| *path == damaged), "it is still there");
}

#[test]
fn a_day_that_is_dropped_while_it_is_merged_stays_dropped() {
    // Guarantees that a merge whose day is dropped meanwhile brings nothing back and leaves nothing behind.
    let world = World::new(4);
    let mut ledger = Ledger::default();
    let options = StoreOptions { retention_age_ns: Some(2 * DAY_NS), ..world.options() };
    let store = Store::open(options, &Numbered).unwrap();
    ledger.append(&store, 200).unwrap();
    assert!(seal(&world, &store));
    ledger.append(&store, 200).unwrap();
    assert!(seal(&world, &store));
    world.clock.advance(4 * DAY_NS);
    ledger.expire(world.clock.now_unix_nano() - 2 * DAY_NS);
    assert!(until(|| store.stats().segments == 0), "{:?}", store.stats());
    assert!(until(|| world.is_tidy(&store)), "{:?}", world.disk.files());
    ledger.assert(&store, "after the days were dropped");
    drop(store);
    ledger.assert(&world.open().unwrap(), "after a restart");
}

#[test]
fn readers_keep_what_they_have() {
    // Guarantees that a reader that holds segments goes on reading them after they were merged and removed.
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(options(directory.path(), 2), &Regenerate).unwrap();
    append(&store, 1, 300).unwrap();
    assert!(store.seal(LONG));
    let before = store.snapshot();
    let segments = before.sealed_segments();
    append(&store, 1, 300).unwrap();
    assert!(store.seal(LONG));
    assert!(until(|| segments.iter().all(|segment| !segment.directory.exists())));
    let read = |part: &store::Part| part.read(&Projection::all()).unwrap().len();
    let left: usize = before.parts().iter().map(read).sum();
    let sealed: u64 = segments.iter().map(|segment| segment.spans).sum();
    assert!(left as u64 >= sealed && sealed > 0);
}
