//! The corpus decodes, has the shape it is said to have, and its manifest is true.

use std::collections::{BTreeMap, BTreeSet};

use model::{Limits, SpanRef, TraceId};
use testkit::reference::ReferenceStore;
use testkit::shop::{
    Manifest, ServiceCounts, Shop, ShopOptions, ShopRequest, TAIL_NS, move_in_time, renew_traces, renewed_id,
};
use wire::{Format, decode};

const START: u64 = 1_795_100_000_000_000_000;

fn corpus(traces: u64) -> (Vec<ShopRequest>, Manifest) {
    Shop::collect(ShopOptions::new(7, traces, START))
}

fn stored(requests: &[ShopRequest]) -> ReferenceStore {
    let mut store = ReferenceStore::default();
    for request in requests {
        let decoded = decode(Format::OtlpProtobuf, &request.body, &Limits::DEFAULT).expect("what was made decodes");
        assert_eq!(decoded.report.reasons().map(|(_, count)| count).sum::<u64>(), 0);
        assert_eq!(decoded.batch.len(), request.spans as usize);
        store.append(decoded.batch);
    }
    store
}

fn attribute<'a>(span: SpanRef<'a>, key: &str) -> Option<String> {
    let found: Option<model::AttributeRef<'a>> = span.attributes().find(|pair| pair.key == key);
    found.map(|pair| match pair.value {
        model::ValueRef::Str(text) => text.to_owned(),
        other => format!("{other:?}"),
    })
}

fn duration_ns(span: SpanRef<'_>) -> u64 {
    span.row().end_unix_nano - span.row().start_unix_nano
}

/// Traces in which a span of the service satisfies the condition.
fn traces_where(store: &ReferenceStore, service: &str, condition: impl Fn(SpanRef<'_>) -> bool) -> BTreeSet<TraceId> {
    let spans = store.records().filter(|span| span.service_name() == service && condition(*span));
    spans.map(SpanRef::trace_id).collect()
}

fn counts(store: &ReferenceStore, service: &str) -> ServiceCounts {
    let mut operations: BTreeMap<String, BTreeSet<TraceId>> = BTreeMap::new();
    for span in store.records().filter(|span| span.service_name() == service) {
        operations.entry(span.name().to_owned()).or_default().insert(span.trace_id());
    }
    ServiceCounts {
        spans: store.records().filter(|span| span.service_name() == service).count() as u64,
        traces: traces_where(store, service, |_| true).len() as u64,
        error_traces: traces_where(store, service, |span| span.row().status_code == 2).len() as u64,
        operations: operations.into_iter().map(|(name, traces)| (name, traces.len() as u64)).collect(),
    }
}

#[test]
fn the_manifest_is_true() {
    // Guarantees that every count an answer is checked against is what a naive look at the decoded spans gives.
    let (requests, manifest) = corpus(800);
    let store = stored(&requests);
    let spans = store.spans();
    assert_eq!(spans.len() as u64, manifest.spans, "span ids repeat");
    assert_eq!(store.records().count() as u64, manifest.spans);
    assert_eq!(requests.len() as u64, manifest.requests);
    assert_eq!(requests.iter().map(|request| request.body.len() as u64).sum::<u64>(), manifest.request_bytes);
    let mut traces: BTreeMap<TraceId, u64> = BTreeMap::new();
    for span in store.records() {
        *traces.entry(span.trace_id()).or_default() += 1;
    }
    assert_eq!(traces.len() as u64, manifest.traces);
    for sample in &manifest.samples {
        assert_eq!(traces[&TraceId(sample.id)], sample.spans);
    }
    let names: BTreeSet<&str> = store.records().map(SpanRef::service_name).collect();
    assert!(names.iter().eq(manifest.services.keys()));
    for (service, expected) in &manifest.services {
        assert_eq!(&counts(&store, service), expected, "{service}");
    }
    for probe in &manifest.orders {
        let found = traces_where(&store, probe.service, |span| {
            attribute(span, "order.id").as_deref() == Some(probe.order_id.as_str())
        });
        assert!(found.iter().map(|id| &id.0).eq(&probe.traces), "{probe:?}");
    }
    for probe in &manifest.durations {
        let found = traces_where(&store, probe.service, |span| duration_ns(span) >= probe.min_ns);
        assert_eq!(found.len() as u64, probe.traces, "{probe:?}");
    }
}

#[test]
fn the_shape_is_the_one_that_is_compared() {
    // Guarantees that the corpus stays like the one that other systems were measured with: sizes, cardinalities, messages, links.
    let (requests, manifest) = corpus(3000);
    let store = stored(&requests);
    let spans = manifest.spans as f64;
    let within = |what: &str, value: f64, low: f64, high: f64| {
        assert!((low..=high).contains(&value), "{what}: {value:.2}, expected {low} to {high}");
    };
    within("spans a trace", spans / manifest.traces as f64, 12.0, 14.5);
    within("bytes a span", manifest.request_bytes as f64 / spans, 500.0, 550.0);
    assert_eq!(manifest.services.len(), 20);
    let operations: usize = manifest.services.values().map(|counts| counts.operations.len()).sum();
    within("operations", operations as f64, 100.0, 140.0);
    let largest = manifest.samples.iter().map(|sample| sample.spans).max().unwrap();
    within("spans of the largest trace", largest as f64, 40.0, 75.0);
    let consumers: Vec<_> = store.records().filter(|span| span.row().kind == 5).collect();
    let linked = consumers.iter().filter(|span| span.links().count() > 0).count();
    within("linked consumers", linked as f64 / consumers.len() as f64, 0.27, 0.33);
    for key in ["order.id", "user.id", "messaging.message.id"] {
        let values: BTreeSet<_> = store.records().filter_map(|span| attribute(span, key)).collect();
        assert!(values.len() as u64 > manifest.traces / 8, "{key} has only {} values", values.len());
    }
    assert!(manifest.services.values().map(|counts| counts.error_traces).sum::<u64>() > 0);
    assert!(manifest.durations.iter().all(|probe| probe.traces > 0), "{:?}", manifest.durations);
}

#[test]
fn links_and_parents_lead_somewhere() {
    // Guarantees that no trace is broken: every parent is a span of the same trace, every link leads to a stored span.
    let store = stored(&corpus(1000).0);
    let ids: BTreeSet<_> = store.records().map(|span| (span.trace_id(), span.row().span_id)).collect();
    for span in store.records() {
        if let Some(parent) = span.parent_span_id() {
            assert!(ids.contains(&(span.trace_id(), parent)));
        }
        for link in span.links() {
            assert!(ids.contains(&(link.trace_id(), link.span_id())));
            assert_ne!(link.trace_id(), span.trace_id());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    // Guarantees that a corpus can be made again anywhere, and that another seed shares no trace with it.
    let (requests, manifest) = corpus(300);
    assert_eq!((&requests, &manifest), (&corpus(300).0, &corpus(300).1));
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in requests.iter().flat_map(|request| &request.body) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    assert_eq!(
        hash, 5_258_831_480_449_870_045,
        "bytes changed: figures measured before cannot be compared with new ones"
    );
    let (_, other) = Shop::collect(ShopOptions::new(8, 300, START));
    let ids: BTreeSet<_> = manifest.samples.iter().map(|sample| sample.id).collect();
    assert!(other.samples.iter().all(|sample| !ids.contains(&sample.id)));
}

#[test]
fn requests_are_batches_in_the_order_of_end() {
    // Guarantees that a request is what a batch processor sends: one instance, a bounded number of spans, in order, within the time.
    let (requests, _) = corpus(500);
    let store = stored(&requests);
    assert!(requests.iter().all(|request| (1..=500).contains(&request.spans)));
    let mut last_end: BTreeMap<String, u64> = BTreeMap::new();
    let mut records = store.records();
    for request in &requests {
        let spans: Vec<_> = records.by_ref().take(request.spans as usize).collect();
        let batch = spans[0].batch;
        let pods: BTreeSet<_> = batch
            .attributes_of_resource(&batch.resources[0])
            .filter(|pair| pair.key == "k8s.pod.name")
            .map(|pair| format!("{:?}", pair.value))
            .collect();
        assert_eq!((batch.resources.len(), pods.len()), (1, 1));
        let ends = || spans.iter().map(|span| span.row().end_unix_nano);
        let (first, last) = (ends().min().unwrap(), ends().max().unwrap());
        assert!(first >= START && last < START + 3_300_000_000_000 + TAIL_NS);
        let before = last_end.insert(pods.into_iter().next().unwrap(), last);
        assert!(before.is_none_or(|before| before <= first));
    }
}

#[test]
fn a_renewed_request_is_the_same_but_for_its_traces() {
    // Guarantees that a corpus can be sent again as new traces: ids and links change alike, nothing else does.
    let (mut requests, _) = corpus(200);
    let before = stored(&requests);
    for request in &mut requests {
        renew_traces(&mut request.body, 5);
    }
    let after = stored(&requests);
    let mut ids = BTreeMap::new();
    for (old, new) in before.records().zip(after.records()) {
        let known = ids.entry(old.trace_id()).or_insert(new.trace_id());
        assert_eq!(*known, new.trace_id());
        assert_ne!(old.trace_id(), new.trace_id());
        assert_eq!(new.trace_id(), TraceId(renewed_id(old.trace_id().0, 5)));
        assert_eq!((old.row().span_id, old.row().start_unix_nano), (new.row().span_id, new.row().start_unix_nano));
        assert!(old.attributes().eq(new.attributes()));
    }
    for (old, new) in before.records().zip(after.records()) {
        for (old, new) in old.links().zip(new.links()) {
            assert_eq!(ids[&old.trace_id()], new.trace_id());
        }
    }
    let distinct: BTreeSet<_> = ids.values().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn a_request_is_moved_in_time_as_a_whole() {
    // Guarantees that a corpus can go on for longer than it was made for: all instants of spans and events move alike, nothing else changes.
    const BY: u64 = 4_500_000_000_000;
    let (mut requests, _) = corpus(200);
    let before = stored(&requests);
    for request in &mut requests {
        move_in_time(&mut request.body, BY);
    }
    let after = stored(&requests);
    let mut events = 0;
    for (old, new) in before.records().zip(after.records()) {
        assert_eq!((old.trace_id(), old.row().span_id), (new.trace_id(), new.row().span_id));
        assert_eq!(new.row().start_unix_nano - old.row().start_unix_nano, BY);
        assert_eq!(new.row().end_unix_nano - old.row().end_unix_nano, BY);
        assert!(old.attributes().eq(new.attributes()));
        assert_eq!(old.links().count(), new.links().count());
        for (old, new) in old.events().zip(new.events()) {
            assert_eq!(new.time_unix_nano() - old.time_unix_nano(), BY);
            events += 1;
        }
    }
    assert!(events > 0);
}
