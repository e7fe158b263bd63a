//! The local store: the same answers as the plain reading, from memory and from sealed segments.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use model::{SpanBatch, SpanKind};
use proptest::prelude::*;
use query::{KeyQuery, LocalStore, Search, SpanStore, TimeRange};
use store::{Durability, Request, Store, StoreOptions};
pub(crate) use testkit::new_store::NoReplay;

use crate::generate::Span;
use crate::memory::Memory;
use crate::{generate, search};

const HOUR_NS: u64 = 3_600_000_000_000;

fn open(directory: &std::path::Path) -> Arc<Store> {
    let options = StoreOptions { durability: Durability::Async, ..StoreOptions::new(directory) };
    Arc::new(Store::open(options, &NoReplay).expect("the directory is empty"))
}

/// The spans as a batch, their starts drawn out over several days, so that a trace lies in several partitions.
fn over_days(spans: &[Span]) -> SpanBatch {
    let mut batch = generate::batch(spans);
    for row in &mut batch.rows {
        let duration_ns = row.end_unix_nano - row.start_unix_nano;
        row.start_unix_nano *= HOUR_NS;
        row.end_unix_nano = row.start_unix_nano + duration_ns;
    }
    batch
}

fn hours(range: TimeRange) -> TimeRange {
    let end_unix_nano = range.end_unix_nano.map(|end| end * HOUR_NS);
    TimeRange { start_unix_nano: range.start_unix_nano * HOUR_NS, end_unix_nano }
}

/// Stores a batch and waits until it can be found.
pub(crate) fn append(store: &Store, batch: SpanBatch) {
    static BODIES: AtomicU64 = AtomicU64::new(0);
    let (done, stored) = mpsc::channel();
    // Each request is one of its own, however alike their spans are.
    let body = Bytes::from(BODIES.fetch_add(1, Ordering::Relaxed).to_string());
    let tell = move |result| done.send(result).expect("the test waits");
    store.append(Request { format: 1, received_unix_nano: 100, body, batch }, Box::new(tell));
    stored.recv().expect("the store answers").expect("the store has room");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_answers_as_memory_does(
        batches in search::batches(),
        filters in proptest::collection::vec((generate::filter(), search::range(), 1..6usize), 12),
        sealed in 0..8usize,
    ) {
        // Guarantees that searches, traces and links of a real store, part sealed, part in memory, are those of the plain
        // reading.
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        for (number, spans) in batches.iter().enumerate() {
            append(&store, over_days(spans));
            if number == sealed || number == sealed + 2 {
                prop_assert!(store.seal(Duration::from_mins(1)));
            }
        }
        let memory = Memory::new(batches.iter().map(|spans| over_days(spans)).collect());
        let local = LocalStore::new(store);
        for (filter, range, limit) in filters {
            let range = hours(range);
            let page = |cursor| {
                let search = Search { filter: filter.clone(), range, limit, cursor };
                local.search(&search).expect("the disk can be read")
            };
            prop_assert_eq!(search::all_pages(limit, page), memory.find(&filter, range), "{}", filter);
        }
        for trace in 0..6 {
            let id = generate::trace_id(trace);
            let (got, want) = (local.links(id).unwrap(), query::links::links(&memory, id).unwrap());
            prop_assert_eq!(got.outgoing.len(), want.outgoing.len());
            prop_assert_eq!(got.incoming.len(), want.incoming.len());
            let spans = memory.spans().spans().filter(|span| span.trace_id() == id).count();
            prop_assert_eq!(local.trace(id).unwrap().map_or(0, |trace| trace.spans.len()), spans);
        }
        let range = TimeRange::default();
        let want = query::dependencies::dependencies(&memory, range).unwrap();
        prop_assert_eq!(local.dependencies(range).unwrap(), want);
    }
}

#[test]
fn the_catalog_is_told() {
    // Guarantees services, operations by kind, and keys with types by use, prefix and level.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let span = generate::any_span();
    append(&store, generate::batch(&[span.clone(), span.clone(), span]));
    let local = LocalStore::new(store);
    let services = local.services().unwrap();
    assert_eq!((services.len(), services[0].name.as_str(), services[0].spans), (1, "order", 3));
    let operations = local.operations("order", None).unwrap();
    assert_eq!((operations.len(), operations[0].name.as_str(), operations[0].kind), (1, "work", SpanKind::SERVER));
    assert_eq!(local.operations("order", Some(SpanKind::SERVER)).unwrap(), operations);
    assert!(local.operations("order", Some(SpanKind::CLIENT)).unwrap().is_empty());
    assert!(local.operations("mail", None).unwrap().is_empty());
    let query = KeyQuery { prefix: "service".to_owned(), level: None, limit: 5 };
    let keys = local.attribute_keys(&query).unwrap();
    assert_eq!(
        (keys.len(), keys[0].key.as_str(), keys[0].types.clone()),
        (1, "service.name", vec!["string".to_owned()])
    );
    assert!(local.attribute_keys(&KeyQuery { limit: 0, ..query }).unwrap().is_empty());
}

#[test]
fn what_is_damaged_is_told() {
    // Guarantees that a trace and a search of a store with a damaged segment are answered from the rest and say that they are
    // partial; that a trace of which nothing is left is an error, not unknown; and that nothing is partial without damage.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let batches = [trace_batch(&[1, 2]), trace_batch(&[1])];
    for batch in batches {
        append(&store, batch);
        assert!(store.seal(Duration::from_mins(1)));
    }
    let local = LocalStore::new(store);
    let id = |number| model::TraceId([number; 16]);
    let search = Search { filter: query::Filter::All, range: TimeRange::default(), limit: 9, cursor: None };
    assert!(!local.trace(id(1)).unwrap().unwrap().is_partial && !local.search(&search).unwrap().is_partial);
    let files = std::fs::read_dir(directory.path().join("days/1970-01-01")).unwrap();
    let first = files.map(|entry| entry.unwrap().path()).min().unwrap().join("spans.parquet");
    drop(local);
    let mut bytes = std::fs::read(&first).unwrap();
    let pages = bytes.len() / 4;
    let store = open(directory.path());
    bytes[4..pages].fill(7);
    std::fs::write(&first, bytes).unwrap();
    let local = LocalStore::new(store);
    let partial = local.trace(id(1)).unwrap().unwrap();
    assert!(partial.is_partial && partial.spans.len() == 1);
    assert!(matches!(local.trace(id(2)), Err(query::QueryError::Read(_))));
    assert!(local.trace(id(3)).unwrap().is_none());
    let page = local.search(&search).unwrap();
    assert!(page.is_partial && page.hits.len() == 1);
}

/// One span each of traces.
fn trace_batch(traces: &[u8]) -> SpanBatch {
    let mut batch = SpanBatch::default();
    let resource = batch.push_resource(model::Resource::default());
    let scope = batch.push_scope(model::Scope { resource, ..model::Scope::default() });
    let name = batch.text.intern(b"work");
    for &trace in traces {
        let span_id = model::SpanId([traces.len() as u8; 8]);
        batch.push_span(model::SpanRow {
            trace_id: model::TraceId([trace; 16]),
            span_id,
            name,
            scope,
            ..Default::default()
        });
    }
    batch
}
