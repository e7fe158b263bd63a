//! The power fails at every call to the disk: what was acknowledged is there afterwards, once, and nothing else is half there.

use store::clock::{Clock, DAY_NS};
use store::{Store, StoreOptions};
use testkit::disk::Fault;
use testkit::rng::Rng;

use crate::ledger::{Cases, DATA, Ledger, Numbered, START, World, seal, until};

/// How many of the calls of a run the power fails at, if not at all.
const SAMPLE: u64 = 250;

fn open(world: &World) -> Option<Store> {
    let options = StoreOptions { retention_age_ns: Some(2 * DAY_NS), ..world.options() };
    match Store::open(options, &Numbered) {
        Ok(store) => Some(store),
        Err(error) => {
            assert!(world.disk.crashed(), "{error}");
            None
        }
    }
}

/// Appends, several at a time, seals, drops a day, restarts; ends early when the power fails.
fn script(world: &World, ledger: &mut Ledger) -> Option<()> {
    let mut store = open(world)?;
    for round in 0..3 {
        for _ in 0..2 {
            ledger.append(&store, 5).ok()?;
        }
        let together: Vec<_> = (0..3).map(|_| ledger.send(&store, 4, 700)).collect();
        for sent in &together {
            ledger.settle(sent).ok()?;
        }
        if round != 1 {
            seal(world, &store).then_some(())?;
        }
        drop(store);
        store = open(world)?;
        if round == 0 {
            // From now on, the first day and the spans without a day are past their time.
            world.clock.advance(2 * DAY_NS);
            ledger.expire(world.clock.now_unix_nano() - 2 * DAY_NS);
            let dropped = || store.stats().oldest_unix_nano >= Some((START / DAY_NS) * DAY_NS);
            assert!(until(|| world.disk.crashed() || dropped()), "nothing was dropped");
        }
    }
    ledger.append(&store, 5).ok()
}

/// After a power cut: everything is right, and the store can be written to and sealed as before.
fn assert_recovered(world: &World, ledger: &mut Ledger) {
    let store = world.open().expect("a store opens after a power cut");
    assert_eq!(store.metrics().segments_quarantined.get(), 0, "a power cut damages nothing");
    ledger.assert(&store, "after the power cut");
    ledger.append(&store, 3).expect("a store that was opened takes spans");
    assert!(seal(world, &store), "a store that was opened seals");
    assert_eq!(store.stats().memtable_bytes, 0);
    ledger.assert(&store, "written to after the power cut");
    drop(store);
    ledger.assert(&world.open().expect("it opens again"), "opened again");
}

#[test]
fn the_power_fails_at_every_call() {
    // Guarantees that wherever the power fails, every acknowledged span is read back exactly once and unchanged, batches that
    // were not acknowledged are there whole or not at all, and the store goes on.
    let cases = Cases::from_environment();
    let world = World::new(cases.seed);
    let mut ledger = Ledger::default();
    script(&world, &mut ledger).expect("nothing fails in a run without faults");
    assert!(ledger.stored_spans() > 0 && world.clock.now_unix_nano() > START);
    assert_recovered(&world.power_cut(cases.seed), &mut ledger);
    let numbers = cases.numbers(world.disk.calls(), SAMPLE);
    println!("{} of {} calls", numbers.len(), world.disk.calls());
    cases.run(&numbers, |number| {
        let world = World::new(cases.seed);
        let mut ledger = Ledger::default();
        world.disk.fail_at(number, Fault::Crash);
        let _: Option<()> = script(&world, &mut ledger);
        let mut world = world.power_cut(number);
        if number % 2 == 0 {
            // And once more while it recovers.
            world.disk.fail_at(1 + Rng::new(number).below(60), Fault::Crash);
            drop(world.open());
            world = world.power_cut(number);
        }
        assert_recovered(&world, &mut ledger);
    });
}

#[test]
fn a_directory_without_its_parts() {
    // Guarantees that directories that somebody has removed, or a copy without empty ones, are made anew for good.
    for seed in 0..20 {
        let world = World::new(seed);
        world.disk.put(format!("{DATA}/FORMAT"), b"1\n").unwrap();
        let mut ledger = Ledger::default();
        let store = world.open().unwrap();
        ledger.append(&store, 3).unwrap();
        ledger.assert(&world.power_cut(seed).open().unwrap(), "after a power cut");
    }
}
