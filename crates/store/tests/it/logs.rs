//! Log records are stored like spans: found at once, after a restart, after sealing, and dropped by the day.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use model::{LogBatch, LogPlace, LogRef, LogRow, Resource, Scope, SpanBatch, SpanId, TraceId, Value};
use store::disk::RealDisk;
use store::logs::words::Needle;
use store::verify::{Verified, Verify, verify};
use store::{AppendError, LogRequest, LogSelection, Replay, Store, StoreOptions};
use testkit::rng::Rng;

use crate::{Regenerate, append as append_spans};

const LONG: Duration = Duration::from_mins(1);
const FORMAT: u8 = 64;
const DAY_NS: u64 = 86_400_000_000_000;
/// 2026-11-20.
const START_NS: u64 = 20_777 * DAY_NS;
const WORDS: [&str; 8] = ["Order", "payment", "refused", "timeout", "Größe", "late", "ok", "retry"];

/// Decodes requests of spans and of log records.
struct Both;

impl Replay for Both {
    fn decode(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<SpanBatch, String> {
        Regenerate.decode(format, received_unix_nano, body)
    }

    fn decode_logs(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<LogBatch, String> {
        assert_eq!(format, FORMAT);
        let seed = u64::from_le_bytes(body[..8].try_into().map_err(|_| "too short")?);
        let count = u64::from_le_bytes(body[8..].try_into().map_err(|_| "too short")?);
        Ok(log_batch(seed, count, received_unix_nano))
    }
}

fn log_batch(seed: u64, count: u64, received_unix_nano: u64) -> LogBatch {
    let mut rng = Rng::new(seed);
    let mut rows = SpanBatch::default();
    let key = rows.text.intern(b"service.name");
    for service in ["checkout", "billing"] {
        let service_name = rows.text.intern(service.as_bytes());
        rows.resource_attributes.push(key, Value::Str(service_name));
        let resource = rows.push_resource(Resource { service_name, ..Resource::default() });
        rows.push_scope(Scope { resource, ..Scope::default() });
    }
    let mut batch = LogBatch::default();
    for number in 0..count as u32 {
        let id = rng.below(40) as u8;
        let body = body_of(&mut rng, &mut rows);
        for name in ["order.id", "size", "rare"].into_iter().take(rng.below(4) as usize) {
            let key = rows.text.intern(name.as_bytes());
            let text = rows.text.intern(format!("o-{}", rng.below(50)).as_bytes());
            let value = if name == "size" { Value::Int(rng.below(900) as i64) } else { Value::Str(text) };
            rows.attributes.push(key, value);
        }
        let severity_text = rows.text.intern(if id.is_multiple_of(3) { b"WARNING" } else { b"" });
        let row = LogRow {
            time_unix_nano: START_NS + rng.below(2 * DAY_NS),
            observed_unix_nano: START_NS + rng.below(9),
            trace_id: if id < 10 { TraceId::ZERO } else { TraceId([id; 16]) },
            span_id: if id < 20 { SpanId::ZERO } else { SpanId([id; 8]) },
            severity_number: rng.below(25) as i32,
            severity_text,
            body,
            flags: 1,
            dropped_attributes_count: 2,
            scope: rng.below(2) as u32,
            ..LogRow::default()
        };
        rows.push_span(row.to_span_row());
        batch.bodies.push(row.body);
        batch.received_unix_nano.push(received_unix_nano);
        batch.numbers.push(number);
    }
    LogBatch { rows: Arc::new(rows), ..batch }
}

fn body_of(rng: &mut Rng, rows: &mut SpanBatch) -> Value {
    let mut text: Vec<String> = (0..rng.below(6)).map(|_| WORDS[rng.below(8) as usize].to_owned()).collect();
    text.push(format!("#{}", rng.below(5000)));
    let text = rows.text.intern(text.join(" ").as_bytes());
    match rng.below(12) {
        0 => Value::Empty,
        1 => Value::Int(rng.below(1000) as i64 - 500),
        2 => Value::Double(0.5 + rng.below(1000) as f64),
        3 => Value::Bool(true),
        4 => Value::Bytes(rows.text.intern(&[0, 255, rng.below(9) as u8])),
        5 => Value::Json(rows.text.intern(br#"{"event":"order late","n":3}"#)),
        _ => Value::Str(text),
    }
}

fn open(directory: &Path) -> Store {
    Store::open(StoreOptions::new(directory), &Both).unwrap()
}

fn append(store: &Store, seed: u64, count: u64) -> Result<LogBatch, AppendError> {
    let received_unix_nano = 1000 + seed;
    let batch = log_batch(seed, count, received_unix_nano);
    let body = Bytes::from([seed.to_le_bytes(), count.to_le_bytes()].concat());
    let (send, receive) = mpsc::channel();
    let request = LogRequest { format: FORMAT, received_unix_nano, body, batch: batch.clone() };
    store.append_logs(request, Box::new(move |result| send.send(result).unwrap()));
    receive.recv_timeout(LONG).expect("every append is answered")?;
    Ok(batch)
}

/// Each record in words, by place.
fn told<'a>(batches: impl IntoIterator<Item = &'a LogBatch>, selection: &LogSelection) -> Vec<(LogPlace, String)> {
    let mut told = Vec::new();
    for batch in batches {
        for log in batch.logs().filter(|log| selection.matches(*log)) {
            let ids = (log.trace_id(), log.span_id(), log.severity_text(), log.observed_unix_nano());
            let mut attributes: Vec<_> = log.attributes().map(|pair| format!("{pair:?}")).collect();
            attributes.sort();
            let rest = (log.flags(), log.dropped_attributes_count(), log.notes(), log.event_name());
            let what = (log.service_name(), log.severity_number(), log.body());
            told.push((log.place(), format!("{what:?} {ids:?} {attributes:?} {rest:?}")));
        }
    }
    told.sort();
    told
}

fn read(store: &Store, selection: &LogSelection) -> Vec<(LogPlace, String)> {
    let mut batches = Vec::new();
    for part in store.snapshot().log_parts() {
        let records = part.records();
        if part.may_match(selection).unwrap() {
            let found = part.read(0..records, selection, true).unwrap();
            assert!(found.logs().all(|log| selection.matches(log)));
            let counted = part.read(0..records, selection, false).unwrap();
            let places = |batch: &LogBatch| batch.logs().map(LogRef::place).collect::<Vec<_>>();
            assert_eq!(places(&counted), places(&found));
            batches.push(found);
        }
    }
    told(&batches, &LogSelection::default())
}

fn selections() -> Vec<LogSelection> {
    let all = LogSelection::default();
    let text = |text: &str| Needle::new(text).unwrap();
    let times = |times: RangeInclusive<u64>| LogSelection { times, ..all.clone() };
    let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    vec![
        all.clone(),
        times(START_NS + DAY_NS / 2..=START_NS + DAY_NS),
        LogSelection { severity_min: 17, ..all.clone() },
        LogSelection { service: Some("billing".into()), ..all.clone() },
        LogSelection { service: Some("nobody".into()), ..all.clone() },
        LogSelection { trace_id: Some(TraceId([12; 16])), ..all.clone() },
        LogSelection { span_id: Some(SpanId([33; 8])), ..all.clone() },
        LogSelection { needles: vec![text("TIMEOUT"), text("größe")], ..all.clone() },
        LogSelection { needles: vec![text("order late")], ..all.clone() },
        LogSelection { needles: vec![text("#77")], ..all.clone() },
        LogSelection { attributes: pair("order.id", "o-7"), ..all.clone() },
        LogSelection { attributes: pair("size", "123"), severity_min: 5, ..all.clone() },
        LogSelection { attributes: pair("service.name", "checkout"), needles: vec![text("retry")], ..all },
    ]
}

fn compare(store: &Store, sent: &[LogBatch]) {
    for selection in selections() {
        assert_eq!(read(store, &selection), told(sent, &selection), "{selection:?}");
    }
    for id in [12, 39, 77].map(|byte| TraceId([byte; 16])) {
        let all = LogSelection::default();
        let of_trace = LogSelection { trace_id: Some(id), ..all.clone() };
        let found = store.snapshot().logs_of_trace(id, &all).unwrap();
        assert_eq!(told(&found, &all), told(sent, &of_trace));
    }
}

fn check(directory: &Path) -> Verified {
    let progress = &mut |_| {};
    verify(Verify { disk: &RealDisk, data: directory, replay: &Both, while_running: false, progress }).unwrap()
}

#[test]
fn what_was_sent_is_found_in_memory_after_a_restart_and_sealed() {
    // Guarantees that every acknowledged record is found with all it has, by every kind of condition, from memory, from a replayed
    // log and from segments, and that spans in the same memtable are not disturbed.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let spans = append_spans(&store, 1, 60).unwrap().len() as u64;
    let mut sent = vec![append(&store, 1, 300).unwrap(), append(&store, 2, 1).unwrap()];
    compare(&store, &sent);
    drop(store);
    let store = open(directory.path());
    compare(&store, &sent);
    assert!(store.seal(LONG));
    compare(&store, &sent);
    sent.push(append(&store, 3, 12_000).unwrap());
    compare(&store, &sent);
    assert!(store.seal(LONG));
    sent.push(append(&store, 4, 40).unwrap());
    let stats = store.stats();
    drop(store);
    let store = open(directory.path());
    compare(&store, &sent);
    let records: usize = sent.iter().map(LogBatch::len).sum();
    assert_eq!((stats.logs, store.stats().logs), (records as u64, records as u64));
    assert!(stats.log_segments >= 4 && stats.spans <= spans && stats.spans > 0);
    drop(store);
    let verified = check(directory.path());
    assert_eq!((verified.findings, verified.logs), (vec![], records as u64));
}

#[test]
fn every_flipped_bit_is_found() {
    // Guarantees that verification finds a flipped bit in any file of a segment of log records, and names the file.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    append(&store, 1, 400).unwrap();
    assert!(store.seal(LONG));
    drop(store);
    let mut rng = Rng::new(5);
    for path in crate::verify::files(&directory.path().join("days")) {
        let whole = fs::read(&path).unwrap();
        for _ in 0..6 {
            let mut damaged = whole.clone();
            let place = rng.below(whole.len() as u64) as usize;
            damaged[place] ^= 1 << rng.below(8);
            fs::write(&path, &damaged).unwrap();
            let findings = check(directory.path()).findings;
            assert!(
                findings.iter().any(|finding| finding.is_damage && finding.path.starts_with(path.parent().unwrap()))
            );
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_damaged_segment_is_set_aside_and_the_rest_is_served() {
    // Guarantees that a segment of log records whose description is damaged does not keep the store from opening, and that the
    // records of other segments are found.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    append(&store, 1, 50).unwrap();
    assert!(store.seal(LONG));
    let first: Vec<_> = crate::verify::files(&directory.path().join("days"));
    let kept = append(&store, 2, 50).unwrap();
    assert!(store.seal(LONG));
    drop(store);
    for path in first.iter().filter(|path| path.ends_with("segment.json")) {
        fs::write(path, b"{}").unwrap();
    }
    let store = open(directory.path());
    compare(&store, &[kept]);
    assert!(directory.path().join("quarantine").is_dir());
}

#[test]
fn old_days_go_with_their_log_records() {
    // Guarantees that retention drops log records by the day, also where the day has no spans, and keeps later ones.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    append(&store, 1, 500).unwrap();
    assert!(store.seal(LONG));
    drop(store);
    let options = StoreOptions { retention_bytes: Some(1), ..StoreOptions::new(directory.path()) };
    let store = Store::open(options, &Both).unwrap();
    assert!(store.seal(LONG));
    let deadline = std::time::Instant::now() + LONG;
    while store.stats().log_segments > 1 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    let left = read(&store, &LogSelection::default());
    assert!(!left.is_empty() && left.iter().all(|(place, _)| place.time_unix_nano >= START_NS + DAY_NS));
    drop(store);
    assert_eq!(check(directory.path()).findings, []);
}

#[test]
fn a_copy_has_the_log_records() {
    // Guarantees that a copy taken at work holds segments and log of the log records.
    let (directory, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(directory.path());
    let mut sent = vec![append(&store, 1, 200).unwrap()];
    assert!(store.seal(LONG));
    sent.push(append(&store, 2, 30).unwrap());
    let to = beside.path().join("copy");
    store::backup::copy_directory(&RealDisk, directory.path(), &to).unwrap();
    compare(&open(&to), &sent);
}

#[test]
fn a_lost_manifest_is_made_anew() {
    // Guarantees that segments of log records are found again without a manifest, each record once.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let sent = vec![append(&store, 1, 200).unwrap()];
    assert!(store.seal(LONG));
    drop(store);
    fs::remove_file(directory.path().join("manifest.json")).unwrap();
    let store = open(directory.path());
    compare(&store, &sent);
}
