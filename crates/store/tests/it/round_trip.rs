//! What goes in comes out, wherever it lies at the moment.

use std::collections::BTreeMap;
use std::time::Duration;

use model::attributes::pair_hash;
use model::text::hash_text;
use model::{Level, SpanKey, TraceId};
use store::{IncomingLink, Intrinsic, Projection, Snapshot, Store, Wanted, intrinsic_pair_hash};
use testkit::reference::ReferenceStore;
use testkit::rng::Rng;
use testkit::spans::{normal_form, trace_id};

use crate::{append, open};

const TRACES: u64 = 40;
const LONG: Duration = Duration::from_mins(1);

fn stored_trace(snapshot: &Snapshot, id: TraceId) -> BTreeMap<SpanKey, String> {
    forms(&snapshot.trace(id).unwrap())
}

/// The spans of records, oldest record first.
fn forms(records: &[model::SpanBatch]) -> BTreeMap<SpanKey, String> {
    records.iter().flat_map(model::SpanBatch::spans).map(|span| (span.key(), normal_form(span))).collect()
}

fn assert_same(store: &Store, reference: &ReferenceStore, when: &str) {
    let snapshot = store.snapshot();
    // What was read a moment ago comes from memory.
    for time in ["the first time", "again"] {
        let ids: Vec<TraceId> = (0..TRACES).map(trace_id).collect();
        for &id in &ids {
            assert_eq!(stored_trace(&snapshot, id), reference.trace(id), "trace {id} {time} {when}");
        }
        let together = snapshot.traces(&ids).unwrap();
        for (id, batches) in ids.iter().zip(together) {
            assert_eq!(forms(&batches), reference.trace(*id), "trace {id} of many {time} {when}");
        }
    }
    assert!(snapshot.trace(trace_id(TRACES + 1)).unwrap().is_empty());
    assert_parts(&snapshot, reference, when);
    assert_links(&snapshot, reference, when);
}

/// The parts hold every span in its last record, keep their bounds, and their filters deny nothing that is there.
fn assert_parts(snapshot: &Snapshot, reference: &ReferenceStore, when: &str) {
    let mut forms = BTreeMap::new();
    for part in snapshot.parts() {
        let batch = part.read(&Projection::all()).unwrap();
        assert_eq!(batch.len(), part.span_count());
        for span in batch.spans() {
            let ((start_min, start_max), (short, long)) = (part.start_bounds(), part.duration_bounds());
            assert!((start_min..=start_max).contains(&span.start_unix_nano()));
            assert!((short..=long).contains(&span.duration_ns()));
            let service = part.service_bounds(span.service_name()).expect("the service has a span here");
            assert!((service.starts.0..=service.starts.1).contains(&span.start_unix_nano()));
            assert!((service.durations.0..=service.durations.1).contains(&span.duration_ns()));
            assert!(service.errors > 0 || span.status() != model::StatusCode::ERROR);
            assert!(part.service_bounds("nobody").is_none());
            for hash in hashes_of(span) {
                assert!(part.may_contain(hash).unwrap(), "a filter denies what is there, {when}");
            }
            for (level, key) in keys_of(span) {
                assert!(part.may_have_key(level, &key), "{key} is denied {when}");
            }
            assert!(!part.may_have_key(Level::Span, "a key that nobody has"));
            forms.entry(span.key()).or_insert_with(Vec::new).push(normal_form(span));
        }
    }
    let expected = reference.spans();
    assert!(forms.keys().eq(expected.keys()), "spans of the parts {when}");
    for (key, span) in expected {
        assert!(forms[&key].contains(&normal_form(span)), "span {key:?} {when}");
    }
}

fn keys_of(span: model::SpanRef<'_>) -> Vec<(Level, String)> {
    let batch = span.batch;
    let mut keys: Vec<(Level, String)> = span.attributes().map(|pair| (Level::Span, pair.key.to_owned())).collect();
    let resource = batch.attributes_of_resource(span.resource());
    keys.extend(resource.map(|pair| (Level::Resource, pair.key.to_owned())));
    keys.extend(batch.attributes_of_scope(span.scope()).map(|pair| (Level::Scope, pair.key.to_owned())));
    let events = span.events().flat_map(model::EventRef::attributes);
    keys.extend(events.map(|pair| (Level::Event, pair.key.to_owned())));
    let links = span.links().flat_map(model::LinkRef::attributes);
    keys.extend(links.map(|pair| (Level::Link, pair.key.to_owned())));
    keys
}

fn hashes_of(span: model::SpanRef<'_>) -> Vec<u64> {
    let hash = |level: Level, pair: model::AttributeRef<'_>| {
        pair_hash(level, hash_text(pair.key.as_bytes()), hash_text(pair.value.comparison_text().as_bytes()))
    };
    let mut hashes: Vec<u64> = span.attributes().map(|pair| hash(Level::Span, pair)).collect();
    hashes.extend(span.batch.attributes_of_resource(span.resource()).map(|pair| hash(Level::Resource, pair)));
    hashes.extend(span.batch.attributes_of_scope(span.scope()).map(|pair| hash(Level::Scope, pair)));
    hashes.extend(span.events().flat_map(|event| event.attributes().map(|pair| hash(Level::Event, pair))));
    hashes.extend(span.links().flat_map(|link| link.attributes().map(|pair| hash(Level::Link, pair))));
    hashes.push(intrinsic_pair_hash(Intrinsic::Name, span.name()));
    hashes.push(intrinsic_pair_hash(Intrinsic::Kind, &span.kind().to_string()));
    hashes.push(intrinsic_pair_hash(Intrinsic::Status, &span.status().to_string()));
    hashes.push(intrinsic_pair_hash(Intrinsic::ScopeName, span.batch.text.str(span.scope().name)));
    hashes.extend(span.events().map(|event| intrinsic_pair_hash(Intrinsic::EventName, event.name())));
    hashes
}

fn assert_links(snapshot: &Snapshot, reference: &ReferenceStore, when: &str) {
    for number in 0..TRACES {
        let id = trace_id(number);
        let got: std::collections::BTreeSet<IncomingLink> = snapshot.incoming_links(id).unwrap().into_iter().collect();
        for span in reference.spans().values() {
            for link in span.links().filter(|link| link.trace_id() == id) {
                let expected = IncomingLink {
                    from_trace_id: id,
                    from_span_id: link.span_id(),
                    to_trace_id: span.trace_id(),
                    to_span_id: span.span_id(),
                };
                assert!(got.contains(&expected), "{expected:?} {when}");
            }
        }
    }
}

#[test]
fn the_store_equals_the_reference() {
    // Guarantees that every span, with all it says, is found by trace, by part and by link: in memory, after a restart, after
    // sealing, after another restart, and with newer records in memory over older ones in segments.
    let seed = std::env::var("LONGSPAN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("seed {seed} (LONGSPAN_SEED repeats it)");
    let mut rng = Rng::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut reference = ReferenceStore::default();
    let mut store = open(directory.path());
    let mut fill = |store: &Store, reference: &mut ReferenceStore| {
        for _ in 0..6 {
            let batch = append(store, rng.next_u64(), rng.clone().below(80)).unwrap();
            reference.append(batch);
        }
    };
    fill(&store, &mut reference);
    assert_same(&store, &reference, "in memory");
    drop(store);
    store = open(directory.path());
    assert_same(&store, &reference, "replayed");
    assert!(store.seal(LONG));
    assert_eq!(store.stats().memtable_bytes, 0);
    assert_same(&store, &reference, "sealed");
    fill(&store, &mut reference);
    assert_same(&store, &reference, "sealed and in memory");
    drop(store);
    store = open(directory.path());
    assert_same(&store, &reference, "reopened");
    assert!(store.seal(LONG));
    assert_same(&store, &reference, "sealed again");
    assert_eq!(store.metrics().seal_errors.get(), 0);
}

#[test]
fn a_projection_reads_what_it_names() {
    // Guarantees that a narrow projection gives the named attributes and the fixed fields as the whole span has them.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    append(&store, 3, 300).unwrap();
    assert!(store.seal(LONG));
    let projection = Projection { attributes: Wanted::Keys(vec!["order.id".into()]), ..Projection::default() };
    for part in store.snapshot().parts() {
        let (narrow, whole) = (part.read(&projection).unwrap(), part.read(&Projection::all()).unwrap());
        for (narrow, whole) in narrow.spans().zip(whole.spans()) {
            assert_eq!(narrow.key(), whole.key());
            assert_eq!((narrow.name(), narrow.service_name()), (whole.name(), whole.service_name()));
            let values = |span: model::SpanRef<'_>| {
                let mut values: Vec<String> =
                    span.attributes().filter(|pair| pair.key == "order.id").map(|pair| format!("{pair:?}")).collect();
                values.sort();
                values
            };
            assert_eq!(values(narrow), values(whole));
            assert!(narrow.events().next().is_none() && narrow.links().next().is_none());
        }
    }
}
