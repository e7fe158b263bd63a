//! Data directories as they were written by this format's first program: opened, compared with what was sent, sealed, opened again.
//!
//! `crates/store/tests/golden/format-N` is a directory of format N, written by the real binary; `expected.jsonl` beside it has its spans.
//! `LONGSPAN_RECORD=1 cargo test -p longspan --test it golden` records the directory of the present format anew. Once a format has been
//! released its directory is never recorded again: it stands for what people have on their disks.

use crate::api;
use crate::load::now_unix_nano;
use crate::raw::post_to;
use crate::server::{Home, Server};
use crate::tools::{longspan, text as path_text};
use model::{AttributeRef, SpanBatch, SpanRef, ValueRef};
use serde_json::{Value, json};
use server::admit::AdmitAgain;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{ReadError, Store, StoreOptions};
use testkit::protobuf::Fields;
use testkit::rng::Rng;
use testkit::spans::{Shape, random_batch};

const STOP_LIMIT: Duration = Duration::from_mins(1);
const SEAL_LIMIT: Duration = Duration::from_mins(1);
const DAY_NS: u64 = 86_400_000_000_000;
/// What was recorded long ago is not to be dropped for its age.
const FOR_EVER: [&str; 2] = ["--retention-age", "off"];
const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/golden")
}

/// The format that this program writes.
fn present_format() -> u64 {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    fs::read_to_string(home.path().join("FORMAT")).unwrap().trim().parse().unwrap()
}

fn open(data: &Path) -> Store {
    Store::open(StoreOptions::new(data), &AdmitAgain::default()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every span of a store, in the order of their keys.
fn spans(store: &Store) -> Vec<Value> {
    let mut found = Vec::new();
    let each = &mut |piece: SpanBatch| {
        found.extend(piece.spans().map(shown));
        Ok::<(), ReadError>(())
    };
    store.snapshot().each_span(0..u64::MAX, &mut |error| panic!("{error}"), each).unwrap();
    found.sort_by_cached_key(|span| format!("{} {} {}", span["trace_id"], span["span_id"], span["kind"]));
    found
}

/// All that a span says.
fn shown(span: SpanRef<'_>) -> Value {
    let (row, scope, resource, batch) = (span.row(), span.scope(), span.resource(), span.batch);
    let word = |text| batch.text.str(text);
    let events = span.events().map(|event| {
        json!({"time_unix_nano": event.time_unix_nano(), "name": event.name(), "attributes": listed(event.attributes()),
            "dropped_attributes_count": event.dropped_attributes_count()})
    });
    let links = span.links().map(|link| {
        json!({"trace_id": link.trace_id().to_string(), "span_id": link.span_id().to_string(), "trace_state": link.trace_state(),
            "flags": link.flags(), "attributes": listed(link.attributes()),
            "dropped_attributes_count": link.dropped_attributes_count()})
    });
    json!({
        "trace_id": row.trace_id.to_string(),
        "span_id": row.span_id.to_string(),
        "parent_span_id": row.parent_span_id.to_string(),
        "name": span.name(),
        "kind": span.kind().to_string(),
        "start_unix_nano": row.start_unix_nano,
        "end_unix_nano": row.end_unix_nano,
        "status": [span.status().to_string(), span.status_message()],
        "trace_state": span.trace_state(),
        "flags": row.flags,
        "dropped": [row.dropped_attributes_count, row.dropped_events_count, row.dropped_links_count],
        "notes": row.notes,
        "attributes": sorted(listed(span.attributes())),
        "events": events.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "scope": [word(scope.name), word(scope.version), word(scope.schema_url), scope.dropped_attributes_count],
        "scope_attributes": listed(batch.attributes_of_scope(scope)),
        "resource": [span.service_name(), word(resource.schema_url), resource.dropped_attributes_count],
        "resource_attributes": listed(batch.attributes_of_resource(resource)),
    })
}

fn listed<'a>(attributes: impl Iterator<Item = AttributeRef<'a>>) -> Vec<Value> {
    attributes.map(|pair| json!([pair.key, pair.value.type_name(), exactly(pair.value)])).collect()
}

/// A value's text that tells all values of its type apart.
fn exactly(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Double(number) => format!("{number:?}"),
        other => other.comparison_text().into_owned(),
    }
}

/// The order of a span's own attributes is not kept.
fn sorted(mut attributes: Vec<Value>) -> Vec<Value> {
    attributes.sort_by_cached_key(Value::to_string);
    attributes
}

fn expected(golden: &Path) -> Vec<Value> {
    let text = fs::read_to_string(golden.join("expected.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn assert_same(found: &[Value], expected: &[Value], when: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{when}");
    }
    assert_eq!(found.len(), expected.len(), "{when}");
}

/// The directory of each format, from the first to the present one.
fn directories() -> Vec<PathBuf> {
    (1..=present_format()).map(|format| golden().join(format!("format-{format}"))).collect()
}

#[test]
fn golden_directories_are_read_sealed_and_served() {
    // Whoever has data that an earlier program wrote finds every span in it as it was sent: as it lies, after its log has been sealed, after
    // another start, and through the real program, which finds the directory whole.
    if std::env::var_os("LONGSPAN_RECORD").is_some() {
        record(&golden().join(format!("format-{}", present_format())));
    }
    for golden in directories() {
        let expected = expected(&golden);
        let home = Home::new();
        copy(&golden.join("data"), &home.data());
        let verified = longspan(&["verify", "--data", path_text(&home.data())]);
        assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
        let server = Server::start_with(&home, &FOR_EVER);
        assert!(api::span_count(&server) >= expected.len() as u64, "a span that was sent again may be counted twice");
        for span in &expected {
            let trace = api::trace(&server, span["trace_id"].as_str().unwrap()).expect("every trace is found");
            let found = trace["spans"].as_array().unwrap().iter();
            let mut same = found.filter(|found| found["span_id"] == span["span_id"] && found["kind"] == span["kind"]);
            assert_eq!(same.next().unwrap()["name"], span["name"]);
        }
        server.terminate(STOP_LIMIT);
        let store = open(&home.data());
        assert_same(&spans(&store), &expected, "after a start and a stop");
        assert!(store.seal(SEAL_LIMIT));
        assert_same(&spans(&store), &expected, "sealed");
        drop(store);
        let store = open(&home.data());
        assert_eq!(store.stats().memtable_bytes, 0);
        assert_same(&spans(&store), &expected, "sealed and opened again");
    }
}

#[test]
fn golden_directories_have_one_of_everything() {
    // What is recorded is worth comparing: segments of two days and of untrusted times, a log with every encoding, values of every type,
    // events, links, and a span that was sent again.
    for golden in directories() {
        let days = fs::read_dir(golden.join("data/days")).unwrap();
        let days: Vec<String> = days.map(|day| day.unwrap().file_name().into_string().unwrap()).collect();
        assert!(days.len() >= 3 && days.iter().any(|day| day == "unplaced"), "{days:?}");
        let logs = fs::read_dir(golden.join("data/wal")).unwrap().map(|log| fs::read(log.unwrap().path()).unwrap());
        let log = logs.max_by_key(Vec::len).unwrap();
        // The format of a request lies 13 bytes after the magic of its record.
        let formats = log.windows(15).filter(|window| window.starts_with(b"LREC"));
        let formats: std::collections::BTreeSet<(u8, u8)> = formats.map(|head| (head[13], head[14])).collect();
        for format in 1..=4 {
            assert!(formats.iter().any(|found| found.0 == format), "no request in format {format}: {formats:?}");
        }
        assert!(formats.iter().any(|found| found.1 == 0) && formats.iter().any(|found| found.1 == 1), "{formats:?}");
        let expected = expected(&golden);
        let has = |what: &dyn Fn(&Value) -> bool| expected.iter().any(what);
        for kind in ["string", "bool", "int", "double", "bytes", "array", "map", "empty"] {
            let of_kind = |span: &Value| span["attributes"].as_array().unwrap().iter().any(|pair| pair[1] == kind);
            assert!(has(&of_kind), "no {kind}");
        }
        assert!(has(&|span| !span["links"].as_array().unwrap().is_empty()) && has(&|span| span["notes"] != 0));
        assert!(has(&|span| !span["events"].as_array().unwrap().is_empty()));
        assert!(has(&|span| span["name"] == "as it was last") && !has(&|span| span["name"] == "as it was first"));
    }
}

/// Writes the directory of the present format, and what is in it.
fn record(golden: &Path) {
    let home = Home::new();
    let server = Server::start_with(&home, &FOR_EVER);
    let mut rng = Rng::new(1);
    let now = now_unix_nano();
    for (start, spans) in [(now - DAY_NS, 35), (now, 35), (now - 60 * DAY_NS, 6)] {
        let shape = Shape { start_unix_nano: start - 1_000_000_000, range_ns: 1_000_000_000, ..Shape::default() };
        send(&server, "otlp_http", "/v1/traces", PROTOBUF, &random_otlp(&mut rng, &shape, spans));
    }
    send(&server, "otlp_http", "/v1/traces", JSON, twice("as it was first", now).to_string().as_bytes());
    server.terminate(STOP_LIMIT);
    let store = open(&home.data());
    assert!(store.seal(SEAL_LIMIT));
    drop(store);
    let server = Server::start_with(&home, &FOR_EVER);
    unsealed(&server, &mut rng, now);
    server.terminate(STOP_LIMIT);
    let _ = fs::remove_dir_all(golden);
    copy(&home.data(), &golden.join("data"));
    let store = open(&home.data());
    let lines: Vec<String> = spans(&store).iter().map(Value::to_string).collect();
    fs::write(golden.join("expected.jsonl"), lines.join("\n") + "\n").unwrap();
}

/// A request in each encoding, small ones and ones that compress.
fn unsealed(server: &Server, rng: &mut Rng, now: u64) {
    let shape = Shape { start_unix_nano: now - 1_000_000_000, range_ns: 1_000_000_000, ..Shape::default() };
    send(server, "otlp_http", "/v1/traces", PROTOBUF, &random_otlp(rng, &shape, 20));
    send(server, "otlp_http", "/v1/traces", JSON, twice("as it was last", now).to_string().as_bytes());
    // Nothing in it comes twice.
    let (mut request, mut resource, mut scope, mut span) = (Fields::new(), Fields::new(), Fields::new(), Fields::new());
    span.bytes(1, &[rng.next_u64(), rng.next_u64()].map(u64::to_be_bytes).concat());
    span.bytes(2, &rng.next_u64().to_be_bytes()).fixed64(7, now);
    request.bytes(1, resource.bytes(2, scope.bytes(2, span.as_bytes()).as_bytes()).as_bytes());
    send(server, "otlp_http", "/v1/traces", PROTOBUF, request.as_bytes());
    let batch = random_batch(rng, &shape, 10);
    send(server, "otlp_http", "/v1/traces", JSON, wire::otlp::encode_json(batch.spans()).as_bytes());
    let zipkin = json!([{"traceId": "00000000000000000000000000000a01", "id": "00000000000000a1", "kind": "CLIENT", "name": "get",
        "timestamp": now / 1_000, "duration": 1_500, "shared": true, "tags": {"http.path": "/api"},
        "localEndpoint": {"serviceName": "front", "ipv4": "192.168.99.1", "port": 3306},
        "remoteEndpoint": {"serviceName": "kafka", "ipv6": "2001:db8::c001", "port": 9092},
        "annotations": [{"timestamp": now / 1_000, "value": "ws"}]}]);
    send(server, "zipkin", "/api/v2/spans", JSON, zipkin.to_string().as_bytes());
    let (mut span, mut list) = (Fields::new(), Fields::new());
    let (mut endpoint, mut tag) = (Fields::new(), Fields::new());
    endpoint.bytes(1, b"back");
    tag.bytes(1, b"http.path").bytes(2, b"/proto");
    span.bytes(1, &[0xb1; 16])
        .bytes(3, &[0xb2; 8])
        .number(4, 2)
        .bytes(5, b"post")
        .fixed64(6, now / 1_000)
        .number(7, 900);
    span.bytes(8, endpoint.as_bytes()).bytes(11, tag.as_bytes());
    list.bytes(1, span.as_bytes());
    send(server, "zipkin", "/api/v2/spans", PROTOBUF, list.as_bytes());
}

fn random_otlp(rng: &mut Rng, shape: &Shape, spans: usize) -> Vec<u8> {
    wire::otlp::encode_protobuf(random_batch(rng, shape, spans).spans())
}

/// A span that is sent again with another name.
fn twice(name: &str, now: u64) -> Value {
    let span = json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": name,
        "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 5).to_string()});
    crate::load::json_request(&[span])
}

fn send(server: &Server, port: &str, path: &str, content_type: (&str, &str), body: &[u8]) {
    let answer = post_to(&server.url(port, path), &[content_type], body);
    assert!((200..300).contains(&answer.status), "{port} {content_type:?}: {answer:?}");
}
