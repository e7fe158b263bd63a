//! OTLP over gRPC, frame by frame.

use std::io::Write;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use prost::Message;
use server::receive::rpc::{ExportResponse, Status};
use server::routes;
use tower::ServiceExt;

use crate::server::TestServer;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

struct Call {
    headers: HeaderMap,
    message: Option<Bytes>,
}

impl Call {
    fn code(&self) -> &str {
        self.headers["grpc-status"].to_str().unwrap()
    }

    fn message_text(&self) -> String {
        self.headers.get("grpc-message").map_or(String::new(), |text| text.to_str().unwrap().to_owned())
    }
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

fn call(server: &TestServer, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Call {
    let mut request = Request::post(path).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).unwrap();
    server.runtime.block_on(async {
        let response = routes::otlp(server.running().app()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "gRPC's errors are trailers");
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let mut headers = parts.headers;
        headers.extend(collected.trailers().cloned().unwrap_or_default());
        let body = collected.to_bytes();
        let message = (body.len() >= 5).then(|| body.slice(5..));
        Call { headers, message }
    })
}

/// `resource_spans { scope_spans { spans { trace_id, span_id, name } } }`
fn one_span(span_id: &[u8]) -> Vec<u8> {
    let field = |number: u8, data: &[u8]| [&[number << 3 | 2, data.len() as u8], data].concat();
    let span = [field(1, &[7; 16]), field(2, span_id), field(5, b"work")].concat();
    field(1, &field(2, &field(2, &span)))
}

#[test]
fn a_call_is_stored_and_answered_empty() {
    // Guarantees OK with an empty response for complete success, plain and in each compression.
    let server = TestServer::start();
    let plain = one_span(&[1; 8]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    let calls = [
        call(&server, TRACES, &[], framed(0, &plain)),
        call(&server, TRACES, &[("grpc-encoding", "gzip")], framed(1, &encoder.finish().unwrap())),
        call(&server, TRACES, &[("grpc-encoding", "zstd")], framed(1, &zstd)),
        call(&server, TRACES, &[("grpc-encoding", "gzip")], framed(0, &plain)),
        call(&server, TRACES, &[], framed(0, &[])),
    ];
    for answered in &calls {
        assert_eq!((answered.code(), answered.message.as_deref()), ("0", Some(&[][..])), "{}", answered.message_text());
    }
    let trace = server.get("api", &format!("/api/traces/{}", "07".repeat(16))).json();
    assert_eq!((&trace["span_count"], &trace["spans"][0]["name"]), (&1.into(), &"work".into()));
}

#[test]
fn bad_data_is_never_worth_a_retry() {
    // Guarantees INVALID_ARGUMENT for what can never be stored: broken frames, broken messages, broken compression.
    let server = TestServer::start();
    let gzip = [("grpc-encoding", "gzip")];
    let mut short = framed(0, &[1, 2, 3]);
    short.pop();
    let calls = [
        call(&server, TRACES, &[], Vec::new()),
        call(&server, TRACES, &[], short),
        call(&server, TRACES, &[], framed(9, &[])),
        call(&server, TRACES, &[], framed(0, &[0xff, 0xff])),
        call(&server, TRACES, &gzip, framed(1, b"not gzip")),
    ];
    for refused in calls {
        assert_eq!(refused.code(), "3", "{}", refused.message_text());
        assert!(!refused.headers.contains_key("google.rpc.retryinfo-bin"));
    }
}

#[test]
fn too_large_is_exhausted_without_a_delay() {
    // Guarantees RESOURCE_EXHAUSTED without RetryInfo, which senders do not repeat, before and after inflation.
    let server = TestServer::start_with(|options| options.max_body_bytes = 64 << 10);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![0; 8 << 20]).unwrap();
    let mut lying = framed(0, &[1]);
    lying[1] = 0xff;
    let calls = [
        call(&server, TRACES, &[], framed(0, &vec![0; 70 << 10])),
        call(&server, TRACES, &[("grpc-encoding", "gzip")], framed(1, &encoder.finish().unwrap())),
        call(&server, TRACES, &[], lying),
    ];
    for refused in calls {
        assert_eq!(refused.code(), "8", "{}", refused.message_text());
        assert!(!refused.headers.contains_key("google.rpc.retryinfo-bin"));
        assert!(!refused.headers.contains_key("grpc-status-details-bin"));
    }
}

#[test]
fn a_stopping_server_asks_to_come_back() {
    // Guarantees UNAVAILABLE with the delay in both trailers that senders look at, once the store is gone.
    let mut server = TestServer::start();
    let app = server.running().app().clone();
    let router = routes::otlp(&app);
    server.runtime.block_on(server.running.take().unwrap().stop());
    let request = Request::post(TRACES).header("content-type", "application/grpc");
    let request = request.body(Body::from(framed(0, &one_span(&[1; 8])))).unwrap();
    let response = server.runtime.block_on(router.oneshot(request)).unwrap();
    assert_eq!(response.headers()["grpc-status"], "14");
    let decode = |name: &str| {
        use base64::Engine;
        let text = response.headers()[name].to_str().unwrap().trim_end_matches('=').to_owned();
        base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).unwrap()
    };
    assert_eq!(decode("google.rpc.retryinfo-bin"), [0x0a, 2, 0x08, 1]);
    let status = Status::decode(decode("grpc-status-details-bin").as_slice()).unwrap();
    assert_eq!((status.code, status.details[0].type_url.as_str()), (14, "type.googleapis.com/google.rpc.RetryInfo"));
}

#[test]
fn metrics_are_taken_and_counted() {
    // Guarantees OK for a sender of metrics over gRPC, with the note that nothing is kept the first time only.
    let server = TestServer::start();
    let export = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    // resource_metrics { scope_metrics { metrics { name, gauge { data_points } } } }
    let request = b"\x0a\x0b\x12\x09\x12\x07\x0a\x01m\x2a\x02\x0a\x00";
    let first = call(&server, export, &[], framed(0, request));
    let told = ExportResponse::decode(first.message.clone().unwrap()).unwrap().partial_success.unwrap();
    assert_eq!((first.code(), told.rejected_spans), ("0", 1));
    assert_eq!(call(&server, export, &[], framed(0, &[7])).code(), "3");
}

#[test]
fn what_is_not_there_is_unimplemented() {
    // Guarantees UNIMPLEMENTED for unknown methods and unknown compressions; the last with what is known.
    let server = TestServer::start();
    assert_eq!(call(&server, "/grpc.health.v1.Health/Check", &[], framed(0, &[])).code(), "12");
    let snappy = call(&server, TRACES, &[("grpc-encoding", "snappy")], framed(1, &[0]));
    assert_eq!(snappy.code(), "12");
    assert!(snappy.headers["grpc-accept-encoding"].to_str().unwrap().contains("gzip"));
}
