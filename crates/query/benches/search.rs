//! How long questions take in process, over spans in memory, over one segment and over a hundred: `cargo bench -p query --bench search`.
//!
//! The classes are those of `cargo xtask bench`, without sockets and JSON, and with one more: a filter that no index helps
//! with. Every answer is checked against the corpus.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Limits, TraceId};
use query::{Field, Filter, LocalStore, Search, SpanStore, TimeRange};
use store::{Request, Store, StoreOptions};
use testkit::new_store::{NoReplay, open_in_memory};
use testkit::rng::Rng;
use testkit::shop::{Manifest, Shop, ShopOptions};
use wire::Format;

/// About a quarter of a million spans.
const TRACES: u64 = 20_000;
const START_UNIX_NANO: u64 = 1_795_100_000_000_000_000;
const DAY_NS: u64 = 86_400_000_000_000;
const LIMIT: usize = 20;
const QUESTIONS: usize = 100;
/// Requests of a segment where there are to be many: about a hundred.
const REQUESTS_OF_SEGMENT: usize = 5;
const SEAL_LIMIT: Duration = Duration::from_mins(5);

fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the bench");
    let store = Arc::new(open_in_memory(directory.path().join("data")));
    let manifest = fill(&store, usize::MAX);
    let local = LocalStore::new(Arc::clone(&store));
    println!("{} spans, microseconds a question", manifest.spans);
    println!("\nin memory");
    ask_all(&local, &manifest);
    assert!(store.seal(SEAL_LIMIT), "not sealed");
    println!("\nin {} segments", store.stats().segments);
    ask_all(&local, &manifest);
    let mut options = StoreOptions::new(directory.path().join("many"));
    options.merge_segments_min = 0;
    let store = Arc::new(Store::open(options, &NoReplay).expect("a new directory opens"));
    let manifest = fill(&store, REQUESTS_OF_SEGMENT);
    assert!(store.seal(SEAL_LIMIT), "not sealed");
    println!("\nin {} segments", store.stats().segments);
    ask_all(&LocalStore::new(store), &manifest);
}

/// Stores the corpus, and seals whenever so many requests are stored.
fn fill(store: &Store, seal_after: usize) -> Manifest {
    let mut shop = Shop::new(ShopOptions::new(1, TRACES, START_UNIX_NANO));
    let (tell, told) = channel();
    let mut waiting = 0;
    for request in shop.by_ref() {
        let decoded = wire::decode(Format::OtlpProtobuf, &request.body, &Limits::DEFAULT);
        let batch = decoded.expect("what was made decodes").batch;
        let (format, body) = (Format::OtlpProtobuf as u8, Bytes::from(request.body));
        let tell = tell.clone();
        let request = Request { format, received_unix_nano: START_UNIX_NANO, body, batch };
        store.append(request, Box::new(move |stored| drop(tell.send(stored))));
        waiting += 1;
        if waiting == seal_after {
            told.iter().take(waiting).for_each(|stored| stored.expect("the disk takes it"));
            assert!(store.seal(SEAL_LIMIT), "not sealed");
            waiting = 0;
        }
    }
    told.iter().take(waiting).for_each(|stored| stored.expect("the disk takes it"));
    shop.into_manifest()
}

fn ask_all(store: &LocalStore, manifest: &Manifest) {
    let mut rng = Rng::new(5);
    let services: Vec<_> = manifest.services.iter().collect();
    let search_within = |filter: Filter, range: TimeRange, matching: u64| {
        let search = Search { filter, range, limit: LIMIT, cursor: None };
        let found = store.search(&search).expect("what was stored can be read").hits.len();
        assert_eq!(found as u64, matching.min(LIMIT as u64));
    };
    let search = |filter: Filter, matching: u64| search_within(filter, TimeRange::default(), matching);
    let equals = |field, value: &str| Filter::equals(field, value).expect("a filter that can be");
    let of = |service: &str| equals(Field::Service, service);
    time("trace by id", || {
        let sample = rng.pick(&manifest.samples);
        let trace = store.trace(TraceId(sample.id)).expect("what was stored can be read");
        assert_eq!(trace.map(|trace| trace.spans.len() as u64), Some(sample.spans));
    });
    time("unknown id", || {
        let id = TraceId((u128::from(rng.next_u64()) << 64 | 1).to_be_bytes());
        assert!(store.trace(id).expect("what was stored can be read").is_none());
    });
    time("service", || {
        let (service, counts) = *rng.pick(&services);
        search(of(service), counts.traces);
    });
    time("service and operation", || {
        let (service, counts) = *rng.pick(&services);
        let operations: Vec<_> = counts.operations.iter().collect();
        let (name, traces) = *rng.pick(&operations);
        search(Filter::and([of(service), equals(Field::Name, name)]), *traces);
    });
    time("order.id", || {
        let probe = rng.pick(&manifest.orders);
        let order = equals(Field::attribute(None, "order.id"), &probe.order_id);
        search(Filter::and([of(probe.service), order]), probe.traces.len() as u64);
    });
    time("minimum duration", || {
        let probe = rng.pick(&manifest.durations);
        search(Filter::and([of(probe.service), Filter::min_duration(probe.min_ns)]), probe.traces);
    });
    time("error", || {
        let (service, counts) = *rng.pick(&services);
        search(Filter::and([of(service), equals(Field::Status, "error")]), counts.error_traces);
    });
    time("an order.id that is nowhere", || {
        let order = format!("no such order {}", rng.next_u64());
        search(equals(Field::attribute(None, "order.id"), &order), 0);
    });
    time("a time without spans", || {
        let range = TimeRange { start_unix_nano: 0, end_unix_nano: Some(START_UNIX_NANO - DAY_NS) };
        search_within(of(services[0].0), range, 0);
    });
    time("scan for nothing", || {
        search(query::parse(r#"url.path =~ "no such path""#).expect("a query that can be"), 0);
    });
    time("list of services", || {
        let found = store.services().expect("what was stored can be read");
        assert_eq!(found.len(), manifest.services.len());
    });
}

fn time(what: &str, mut question: impl FnMut()) {
    let mut times: Vec<Duration> = (0..QUESTIONS)
        .map(|_| {
            let begin = Instant::now();
            question();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let us = |place: usize| times[place].as_secs_f64() * 1e6;
    println!("{what:24} p50 {:9.1}  p99 {:9.1}", us(QUESTIONS / 2), us(QUESTIONS * 99 / 100));
}
