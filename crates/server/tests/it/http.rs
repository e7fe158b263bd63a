//! OTLP over HTTP: what senders decide by.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use prost::Message;
use serde_json::json;
use server::receive::rpc::{ExportResponse, Status};

use crate::server::{ORDER_TRACE, TestServer, fixture};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_encoding_is_taken() {
    // Guarantees that a request counts the same in every content encoding, and that an OK means it can be read back.
    let server = TestServer::start();
    let plain = fixture().to_string().into_bytes();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&plain).unwrap();
    let bodies = [
        ("identity", plain.clone()),
        ("gzip", gzip(&plain)),
        ("deflate", zlib.finish().unwrap()),
        ("zstd", zstd::encode_all(plain.as_slice(), 1).unwrap()),
    ];
    for (encoding, body) in bodies {
        let headers = [("content-type", "application/json; charset=utf-8"), ("content-encoding", encoding)];
        let sent = server.post("otlp_http", "/v1/traces", &headers, &body);
        assert_eq!((sent.status, sent.json(), sent.header("content-type")), (200, json!({}), "application/json"));
    }
    let trace = server.get("api", &format!("/api/traces/{ORDER_TRACE}")).json();
    assert_eq!(trace["total_span_count"], 2);
}

#[test]
fn success_in_protobuf_is_empty() {
    // Guarantees the specification's complete success: 200, the request's content type, partial_success unset.
    let server = TestServer::start();
    let sent = server.post("otlp_http", "/v1/traces", &[PROTOBUF], &[]);
    assert_eq!((sent.status, sent.header("content-type"), sent.body.len()), (200, "application/x-protobuf", 0));
}

#[test]
fn refused_spans_are_a_partial_success() {
    // Guarantees that bad spans are counted to the sender while the good ones of the same request are stored.
    let server = TestServer::start();
    let mut request = fixture();
    request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"] = json!("");
    let sent = server.post("otlp_http", "/v1/traces", &[JSON], request.to_string().as_bytes());
    let answer = sent.json();
    assert_eq!((sent.status, &answer["partialSuccess"]["rejectedSpans"]), (200, &json!("1")));
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("invalid_span_id"), "{answer}");
    assert_eq!(server.get("api", "/api/status").json()["spans"], 2);
    let metrics = server.get("api", "/metrics").text();
    assert!(metrics.contains("longspan_dropped_total{reason=\"invalid_span_id\"} 1"), "{metrics}");
}

#[test]
fn refusals_speak_the_requests_language() {
    // Guarantees a google.rpc.Status in the request's encoding for everything that is refused, with the right HTTP status.
    let server = TestServer::start_with(|options| options.max_body_bytes = 64 << 10);
    let bad = server.post("otlp_http", "/v1/traces", &[PROTOBUF], &[0xff, 0xff, 0xff]);
    assert_eq!((bad.status, bad.header("content-type")), (400, "application/x-protobuf"));
    let status = Status::decode(bad.body.as_slice()).unwrap();
    assert_eq!(status.code, 3);
    assert!(status.message.contains("protobuf"), "{}", status.message);
    let bad = server.post("otlp_http", "/v1/traces", &[JSON], b"{\"resourceSpans\": [");
    assert_eq!((bad.status, &bad.json()["code"], bad.header("retry-after")), (400, &json!(3), ""));
    let other = server.post("otlp_http", "/v1/traces", &[("content-type", "text/csv")], b"a,b");
    assert_eq!((other.status, &other.json()["code"]), (415, &json!(3)));
    let encoding = [JSON, ("content-encoding", "br")];
    let other = server.post("otlp_http", "/v1/traces", &encoding, b"{}");
    assert_eq!((other.status, other.header("accept-encoding")), (415, "identity, gzip, deflate, zstd"));
    let large = server.post("otlp_http", "/v1/traces", &[PROTOBUF], &vec![0; (64 << 10) + 1]);
    assert_eq!((large.status, Status::decode(large.body.as_slice()).unwrap().code), (413, 8));
    let bomb = gzip(&vec![b' '; 4 << 20]);
    assert!(bomb.len() < 64 << 10);
    let large = server.post("otlp_http", "/v1/traces", &[JSON, ("content-encoding", "gzip")], &bomb);
    assert_eq!((large.status, &large.json()["code"]), (413, &json!(8)));
    assert_eq!(server.get("otlp_http", "/v1/traces").status, 405);
}

#[test]
fn metrics_are_an_ok_that_says_once_that_nothing_is_kept() {
    // Guarantees that SDKs which send metrics unasked are content in either encoding, that the points are counted, that the note comes
    // once, and that what is no request of metrics is refused.
    let server = TestServer::start();
    let body = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"messaging.process.duration","histogram":{"dataPoints":[{},{}]}},
        {"name":"cpu","gauge":{"dataPoints":[{"asDouble":1.5,"attributes":[]}]},"unit":"1"}]}]}]}"#;
    let first = server.post("otlp_http", "/v1/metrics", &[JSON], body);
    assert_eq!((first.status, &first.json()["partialSuccess"]["rejectedDataPoints"]), (200, &json!("3")));
    let second = server.post("otlp_http", "/v1/metrics", &[JSON], body);
    assert_eq!((second.status, second.json()), (200, json!({})));
    // resource_metrics { scope_metrics { metrics { name, sum { data_points, data_points } } } }
    let metric = b"\x0a\x01m\x3a\x04\x0a\x00\x0a\x00";
    let protobuf = [b"\x0a\x0d\x12\x0b\x12\x09".as_slice(), metric].concat();
    let third = server.post("otlp_http", "/v1/metrics", &[PROTOBUF], &protobuf);
    assert_eq!((third.status, third.body.len()), (200, 0));
    assert_eq!(server.post("otlp_http", "/v1/metrics", &[PROTOBUF], &[7]).status, 400);
    assert_eq!(server.post("otlp_http", "/v1/metrics", &[JSON], b"[").status, 400);
    let metrics = server.get("api", "/metrics").text();
    for line in [
        "longspan_dropped_metric_points_total{reason=\"messaging\"} 4",
        "longspan_dropped_metric_points_total{reason=\"other\"} 4",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[test]
fn only_local_pages_may_send() {
    // Guarantees that a browser lets pages from this machine send spans, and pages from anywhere else not.
    let server = TestServer::start();
    let preflight = |origin: &str| {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let request = ureq::Agent::from(config).options(server.url("otlp_http", "/v1/traces"));
        request.header("origin", origin).header("access-control-request-method", "POST").call().unwrap()
    };
    let allowed = |origin: &str| preflight(origin).headers().get("access-control-allow-origin").cloned();
    for origin in ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:5173"] {
        assert_eq!(allowed(origin).unwrap(), origin);
    }
    for origin in ["https://evil.example", "http://localhost.evil.example", "null", "http://127.0.0.1.nip.io"] {
        assert_eq!(allowed(origin), None, "{origin}");
    }
    let headers = [JSON, ("origin", "http://localhost:3000")];
    let sent = server.post("otlp_http", "/v1/traces", &headers, b"{}");
    assert_eq!(sent.header("access-control-allow-origin"), "http://localhost:3000");
}

#[test]
fn odd_times_are_kept_and_noted() {
    // Guarantees that a span with an absurd time is stored, found and marked, not refused.
    let server = TestServer::start();
    server.send_fixture();
    let trace = server.get("api", &format!("/api/traces/{ORDER_TRACE}")).json();
    assert_eq!(trace["spans"][0]["notes"], json!(["time_out_of_range"]));
}

#[test]
fn an_export_response_reads_back() {
    // Guarantees that the hand-written response message is what a protobuf reader expects, field by field.
    let partial = server::receive::rpc::PartialSuccess { rejected_spans: 3, error_message: "why".into() };
    let bytes = ExportResponse { partial_success: Some(partial) }.encode_to_vec();
    assert_eq!(bytes, [0x0a, 7, 0x08, 3, 0x12, 3, b'w', b'h', b'y']);
}
