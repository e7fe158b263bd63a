//! Taking spans elsewhere: what is exported and imported again is the same.

use crate::load::{now_unix_nano, seed};
use crate::raw::post_to;
use crate::server::{Home, Server};
use crate::tools::{longspan, text};
use model::{SpanBatch, SpanKey};
use server::admit::AdmitAgain;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use store::{ReadError, Store, StoreOptions};
use testkit::rng::Rng;
use testkit::spans::{Shape, normal_form, random_batch};

const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];
const HOUR_NS: u64 = 3_600_000_000_000;
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// Sends batches of odd spans that began within the last day.
fn fill(server: &Server, rng: &mut Rng, batches: usize) {
    let shape = Shape { start_unix_nano: now_unix_nano() - 25 * HOUR_NS, range_ns: 24 * HOUR_NS, ..Shape::default() };
    for _ in 0..batches {
        let batch = random_batch(rng, &shape, 150);
        let body = wire::otlp::encode_protobuf(batch.spans());
        assert_eq!(post_to(&server.url("otlp_http", "/v1/traces"), &PROTOBUF, &body).status, 200);
    }
}

/// All that is stored in a directory at rest.
fn stored(data: &Path) -> BTreeMap<SpanKey, String> {
    let store = Store::open(StoreOptions::new(data), &AdmitAgain::default()).unwrap();
    let mut found = BTreeMap::new();
    let each = &mut |piece: SpanBatch| {
        found.extend(piece.spans().map(|span| (span.key(), normal_form(span))));
        Ok::<(), ReadError>(())
    };
    store.snapshot().each_span(0..u64::MAX, &mut |error| panic!("{error}"), each).unwrap();
    found
}

#[test]
fn what_is_exported_comes_back_the_same() {
    // Every span that is exported as OTLP, from a server at work, and imported into a fresh directory says what it said, in JSON and protobuf.
    let mut rng = Rng::new(seed());
    let (home, files) = (Home::new(), tempfile::tempdir().unwrap());
    let server = Server::start(&home);
    fill(&server, &mut rng, 8);
    for format in ["otlp-json", "otlp-protobuf"] {
        let out = files.path().join(format);
        let exported = longspan(&["export", "--data", text(&home.data()), "--out", text(&out), "--format", format]);
        assert_eq!(exported.code, Some(0), "{}", exported.stderr);
        assert_eq!(exported.stderr, "");
        let fresh = Home::new();
        let target = Server::start(&fresh);
        let imported = longspan(&["import", text(&out), "--endpoint", &target.url("otlp_http", "/")]);
        assert_eq!(imported.code, Some(0), "{}", imported.stderr);
        target.terminate(STOP_LIMIT);
        let copy = std::fs::read_dir(home.data())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("export"));
        assert_eq!(copy.count(), 0, "the copy it was made from is still there");
        let snapshot = files.path().join(format!("{format}-data"));
        assert_eq!(longspan(&["snapshot", "--data", text(&home.data()), "--to", text(&snapshot)]).code, Some(0));
        let (sent, received) = (stored(&snapshot), stored(&fresh.data()));
        assert!(sent.len() > 500, "{} spans", sent.len());
        for (key, form) in &sent {
            assert_eq!(Some(form), received.get(key), "{format}");
        }
        assert_eq!(sent.len(), received.len(), "spans that were never exported");
    }
}

#[test]
fn parquet_is_the_sealed_files() {
    // A Parquet export has every span and the layout that the queries of docs/format.md expect; an empty range has nothing.
    let (home, files) = (Home::new(), tempfile::tempdir().unwrap());
    let server = Server::start(&home);
    fill(&server, &mut Rng::new(7), 2);
    server.terminate(STOP_LIMIT);
    let out = files.path().join("parquet");
    let data = home.data();
    let export = ["export", "--data", text(&data), "--out", text(&out), "--format", "parquet"];
    let exported = longspan(&export);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let count = format!(": {} spans,", stored(&home.data()).len());
    assert!(exported.stdout.contains(&count), "{} for {count}", exported.stdout);
    let segments: Vec<_> = std::fs::read_dir(out.join("days")).unwrap().map(|day| day.unwrap().path()).collect();
    assert!(!segments.is_empty());
    let again = longspan(&export);
    assert!(again.code == Some(1) && again.stderr.contains("is taken"), "{}", again.stderr);
    let none = files.path().join("none");
    let before = ["--end", "2020-01-01T00:00:00Z", "--out", text(&none)];
    let exported = longspan(&[&["export", "--data", text(&home.data())], &before[..]].concat());
    assert!(exported.code == Some(0) && exported.stdout.contains(": 0 spans, 0 files"), "{}", exported.stdout);
}

#[test]
fn what_cannot_be_imported_is_said() {
    // A file that is no OTLP, one that is cut off and a server that refuses end the import with one sentence that names the file.
    let (home, files) = (Home::new(), tempfile::tempdir().unwrap());
    let server = Server::start(&home);
    let endpoint = server.url("otlp_http", "");
    let cases: [(&str, &[u8], &str); 4] = [
        ("a.parquet", b"PAR1\x00\x01", "no file of OTLP traces"),
        ("cut.jsonl", b"{\"resourceSpans\": [{}", "line 1"),
        ("wrong.json", b"{\"resourceSpans\": [5]}", "refused"),
        ("list.json", b"[1, 2]", "no file of OTLP traces"),
    ];
    for (name, content, said) in cases {
        let path = files.path().join(name);
        std::fs::write(&path, content).unwrap();
        let refused = longspan(&["import", text(&path), "--endpoint", &endpoint]);
        assert_eq!(refused.code, Some(1), "{name}");
        assert!(refused.stderr.contains(said) && refused.stderr.contains(name), "{name}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
    let empty = files.path().join("empty.json");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(longspan(&["import", text(&empty), "--endpoint", &endpoint]).code, Some(0));
    let missing = longspan(&["import", "/nowhere/x.json", "--endpoint", &endpoint]);
    assert!(missing.code == Some(1) && missing.stderr.contains("/nowhere/x.json"), "{}", missing.stderr);
    let tls = longspan(&["import", text(&empty), "--endpoint", "https://127.0.0.1:4318"]);
    assert!(tls.code == Some(1) && tls.stderr.contains("TLS"), "{}", tls.stderr);
}
