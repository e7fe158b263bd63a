//! What a hostile sender, or a disk that goes bad, cannot make grow or stop.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use model::{Resource, Scope, SpanBatch, SpanRow, Value};
use store::Request;
use store::catalog::CATALOG_ENTRIES_MAX;
use testkit::disk::{Call, Fault};
use testkit::spans::{span_id, trace_id};

use crate::ledger::{DATA, Ledger, World, seal, segment_directories, until};
use crate::open;

const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_sender_without_end_of_names_does_not_fill_the_catalog() {
    // Guarantees that a segment lists a bounded number of operations, services and keys, however many its spans have, and those with
    // most spans first.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = SpanBatch::default();
    let spans = CATALOG_ENTRIES_MAX + 5000;
    for number in 0..spans + 100 {
        let name = batch.text.intern(format!("name {}", number.min(spans)).as_bytes());
        let service_name = batch.text.intern(format!("service {}", number.min(spans)).as_bytes());
        batch.resource_attributes.push(name, Value::Str(service_name));
        let resource = batch.push_resource(Resource { service_name, ..Resource::default() });
        let scope = batch.push_scope(Scope { resource, ..Scope::default() });
        let (trace_id, span_id) = (trace_id(number as u64 / 100), span_id(number as u64));
        batch.push_span(SpanRow { trace_id, span_id, name, scope, start_unix_nano: 5, ..SpanRow::default() });
    }
    let (send, answer) = mpsc::channel();
    let request = Request { format: 1, received_unix_nano: 99, body: Bytes::from_static(b"x"), batch };
    store.append(request, Box::new(move |result| send.send(result).unwrap()));
    answer.recv_timeout(LONG).unwrap().unwrap();
    assert!(store.seal(LONG));
    let catalog = store.snapshot().catalog();
    for entries in [catalog.services.len(), catalog.operations.len(), catalog.keys.len()] {
        assert!(entries > 1000 && entries <= CATALOG_ENTRIES_MAX, "{entries}");
    }
    assert_eq!(catalog.services[&format!("service {spans}")], 100);
}

#[test]
fn a_segment_that_cannot_be_read_does_not_keep_the_others_closed() {
    // Guarantees that a start on a disk that refuses to read one segment serves the rest, says so, keeps that segment, and serves it
    // again by itself when the disk can read it.
    let world = World::new(1);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    ledger.append(&store, 200).unwrap();
    assert!(seal(&world, &store));
    let all = store.stats();
    drop(store);
    let day = world.disk.names(format!("{DATA}/days")).remove(0);
    let segment = world.disk.names(format!("{DATA}/days/{day}")).remove(0);
    world.disk.break_calls(Call::Open, format!("{DATA}/days/{day}/{segment}"), Fault::Io);
    let store = world.open().expect("the others can be read");
    let stats = store.stats();
    assert_eq!((stats.unreadable_segments, stats.segments), (1, all.segments - 1));
    assert!(stats.spans > 0 && stats.spans < all.spans);
    ledger.append(&store, 20).unwrap();
    assert!(seal(&world, &store));
    assert!(segment_directories(&world.disk).contains(&segment), "it is not thrown away");
    drop(store);
    let store = world.open().expect("the others can be read");
    world.disk.mend();
    assert!(until(|| store.stats().unreadable_segments == 0), "{:?}", store.stats());
    assert!(until(|| ledger.check(&store).is_ok()));
    assert_eq!(store.metrics().segments_quarantined.get(), 0);
}

#[test]
fn a_disk_that_cannot_sync_is_not_written_to_any_more() {
    // Guarantees that after several failed syncs in a row the store is read-only and says so, refuses at once in a way that can be
    // retried, goes on reading, and takes spans again by itself when the disk does.
    let world = World::new(2);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    ledger.append(&store, 10).unwrap();
    assert!(!store.stats().read_only);
    world.disk.break_below(format!("{DATA}/wal"), Fault::Io);
    assert!(until(|| ledger.append(&store, 3).is_err() && store.stats().read_only));
    let calls = world.disk.calls();
    for _ in 0..100 {
        let refusal = ledger.append(&store, 3).unwrap_err();
        assert!(refusal.to_string().contains("read-only"), "{refusal}");
    }
    assert!(world.disk.calls() < calls + 50, "a read-only store leaves the disk alone but for a try now and then");
    ledger.assert(&store, "while it is read-only");
    world.disk.mend();
    assert!(until(|| !store.stats().read_only));
    ledger.append(&store, 5).unwrap();
    ledger.assert(&store, "after the disk is well again");
    ledger.assert(&world.power_cut(1).open().unwrap(), "after a power cut");
}

#[test]
fn a_request_that_is_sent_again_is_sealed_once() {
    // Guarantees that of requests that came again before they were sealed each span is on disk once, and that every record that was too many
    // is counted.
    let world = World::new(3);
    let store = world.open().unwrap();
    let mut ledger = Ledger::default();
    for number in 1..=3 {
        ledger.append(&store, 20).unwrap();
        ledger.repeat(&store, number).unwrap();
        ledger.repeat(&store, 1).unwrap();
    }
    assert!(seal(&world, &store));
    assert_eq!(store.stats().spans, 60);
    assert!(until(|| store.metrics().duplicates_dropped.get() == 120), "{:?}", store.metrics());
    ledger.assert(&store, "after they were sealed");
}
