//! Going through everything stored, each span once.

use std::collections::BTreeMap;
use std::time::Duration;

use model::SpanKey;
use store::{ReadError, Store};
use testkit::reference::ReferenceStore;
use testkit::spans::{Shape, normal_form};

use crate::{append, open};

const LONG: Duration = Duration::from_mins(1);

fn walked(store: &Store, starts: std::ops::Range<u64>) -> BTreeMap<SpanKey, String> {
    let mut found = BTreeMap::new();
    let each = &mut |piece: model::SpanBatch| {
        for span in piece.spans() {
            assert!(found.insert(span.key(), normal_form(span)).is_none(), "a span came twice");
        }
        Ok::<(), ReadError>(())
    };
    store.snapshot().each_span(starts, &mut |error| panic!("{error}"), each).unwrap();
    found
}

#[test]
fn each_span_comes_once_in_its_last_record() {
    // Guarantees every span of a range of time once, as it was sent last, however its trace lies over segments and memory.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut reference = ReferenceStore::default();
    let shape = Shape::default();
    for round in 0..4 {
        for seed in 0..3 {
            reference.append(append(&store, round * 10 + seed, 300).unwrap());
        }
        let all = reference.spans();
        for part in [0..10, 4..6, 0..5, 5..10, 9..10] {
            let at = |tenth: u64| shape.start_unix_nano + shape.range_ns / 10 * tenth;
            let starts = if part == (0..10) { 0..u64::MAX } else { at(part.start)..at(part.end) };
            let expected: BTreeMap<SpanKey, String> = all
                .iter()
                .filter(|(_, span)| starts.contains(&span.start_unix_nano()))
                .map(|(key, span)| (*key, normal_form(*span)))
                .collect();
            assert!(walked(&store, starts) == expected, "round {round}, {part:?}");
        }
        if round % 2 == 0 {
            assert!(store.seal(LONG));
        }
    }
    assert!(store.snapshot().sealed_segments().len() > 4);
}

#[test]
fn what_can_be_read_comes_out() {
    // Guarantees that damage in one place is told and costs the spans of that place only.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    append(&store, 1, 400).unwrap();
    assert!(store.seal(LONG));
    let all = walked(&store, 0..u64::MAX).len();
    let segment = store.snapshot().sealed_segments().into_iter().max_by_key(|segment| segment.spans).unwrap();
    let path = segment.directory.join("spans.parquet");
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let store = open(directory.path());
    let (mut errors, mut spans) = (Vec::new(), 0);
    let each = &mut |piece: model::SpanBatch| {
        spans += piece.len();
        Ok::<(), ReadError>(())
    };
    store.snapshot().each_span(0..u64::MAX, &mut |error| errors.push(error.to_string()), each).unwrap();
    assert_eq!(spans, all - segment.spans as usize);
    assert!(!errors.is_empty() && errors.iter().all(|error| error.contains("spans.parquet")), "{errors:?}");
}
