//! Receivers of former protocols: what each answers, and that nothing sent in datagrams is lost without being counted.

use std::convert::Infallible;
use std::net::UdpSocket;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::json;
use server::routes;
use tower::ServiceExt;

use crate::server::TestServer;

/// Datagrams are not answered: their counts are looked at until they are complete.
const COUNT_LIMIT: Duration = Duration::from_mins(1);

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// `emitBatch` in compact Thrift: one span of service `s`.
fn compact_call(trace_id: u64, span_id: u64) -> Vec<u8> {
    let i64 = |value: u64| varint(value << 1);
    let now_us = 1_000_000 * std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let span = [
        vec![0x16],
        i64(trace_id),
        vec![0x26],
        i64(span_id),
        vec![0x28, 1, b'n', 0x36],
        i64(now_us),
        vec![0x16],
        i64(5),
        vec![0],
    ];
    let batch = [vec![0x1c, 0x18, 1, b's', 0, 0x19, 0x1c], span.concat(), vec![0]];
    [b"\x82\x81\x00\x09emitBatch\x1c".to_vec(), batch.concat(), vec![0]].concat()
}

/// A `Batch` in binary Thrift: one span.
fn binary_batch(trace_id: i64, span_id: i64) -> Vec<u8> {
    let field = |value_type: u8, number: i16| [vec![value_type], number.to_be_bytes().to_vec()].concat();
    let i64 = |number, value: i64| [field(10, number), value.to_be_bytes().to_vec()].concat();
    let text = |number, text: &str| {
        [field(11, number), (text.len() as u32).to_be_bytes().to_vec(), text.as_bytes().to_vec()].concat()
    };
    let span = [i64(1, trace_id), i64(3, span_id), text(5, "work"), i64(8, 1), i64(9, 5), vec![0]].concat();
    let process = [field(12, 1), text(1, "jaeger"), vec![0]].concat();
    [process, field(15, 2), vec![12, 0, 0, 0, 1], span, vec![0]].concat()
}

/// The sum of a metric's values of one protocol.
fn counted(metrics: &str, name: &str, protocol: &str) -> u64 {
    let ours = metrics.lines().filter(|line| {
        line.starts_with(&format!("longspan_{name}_total{{")) && line.contains(&format!("protocol=\"{protocol}\""))
    });
    ours.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn a_flood_of_datagrams_is_counted_exactly() {
    // Guarantees for a flood of good and bad datagrams that what was sent is what was read and what the system dropped, that what was
    // read is what was stored and what was refused, and that all that counts as stored is there.
    const SENT: u64 = 30_000;
    const TRACE: u64 = 77;
    let server = TestServer::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.running().listening()["jaeger_compact"];
    for number in 1..=SENT {
        let call = compact_call(TRACE, number);
        let datagram = if number % 10 == 0 { &call[..call.len() - 2] } else { &call[..] };
        socket.send_to(datagram, address).unwrap();
    }
    let deadline = Instant::now() + COUNT_LIMIT;
    let metrics = loop {
        let metrics = server.get("api", "/metrics").text();
        let of = |name| counted(&metrics, name, "jaeger_compact");
        let done = of("received_requests") + of("refused_requests");
        if done + of("kernel_dropped_datagrams") == SENT && of("datagrams") == done {
            break metrics;
        }
        assert!(Instant::now() < deadline, "{SENT} were sent:\n{metrics}");
    };
    let of = |name| counted(&metrics, name, "jaeger_compact");
    assert!(of("refused_requests") > 0 && of("received_requests") > 0);
    assert_eq!(of("received_spans"), of("received_requests"));
    let trace = server.get("api", &format!("/api/traces/{TRACE:032x}")).json();
    assert_eq!(trace["total_span_count"].as_u64(), Some(of("received_spans")), "of {SENT}");
}

#[test]
fn jaegers_http_answers_as_its_collector_does() {
    // Guarantees 202 for what is stored, 400 with a word for what cannot be read, and that nothing else is disturbed.
    let server = TestServer::start();
    let thrift = [("content-type", "application/x-thrift")];
    let post = |headers: &[(&str, &str)], body: &[u8]| server.post("jaeger_http", "/api/traces", headers, body);
    let batch = binary_batch(5, 6);
    assert_eq!(post(&[("content-type", "application/vnd.apache.thrift.binary")], &batch).status, 202);
    let refused = post(&thrift, &batch[..batch.len() - 3]);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Thrift"), "{}", refused.text());
    assert_eq!(post(&[("content-type", "application/json")], b"{}").status, 400);
    assert_eq!(post(&thrift, &binary_batch(0, 6)).status, 400, "nothing was stored");
    let trace = server.get("api", "/api/traces/00000000000000000000000000000005").json();
    assert_eq!((&trace["spans"][0]["name"], &trace["spans"][0]["service"]), (&json!("work"), &json!("jaeger")));
    let metrics = server.get("api", "/metrics").text();
    assert_eq!(counted(&metrics, "refused_requests", "jaeger_http"), 3);
    assert_eq!(counted(&metrics, "received_spans", "jaeger_http"), 1);
}

/// A unary gRPC call's status and message, over Jaeger's routes.
fn jaeger_call(server: &TestServer, path: &str, message: &[u8]) -> (String, Vec<u8>) {
    let framed = [vec![0], (message.len() as u32).to_be_bytes().to_vec(), message.to_vec()].concat();
    let request = Request::post(path).header("content-type", "application/grpc").body(Body::from(framed)).unwrap();
    server.runtime.block_on(async {
        let response = routes::jaeger_grpc(server.running().app()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let mut headers = parts.headers;
        headers.extend(collected.trailers().cloned().unwrap_or_default());
        let message = collected.to_bytes().get(5..).unwrap_or_default().to_vec();
        (headers["grpc-status"].to_str().unwrap().to_owned(), message)
    })
}

#[test]
fn jaegers_grpc_answers_as_its_collector_does() {
    // Guarantees OK for what is stored, INVALID_ARGUMENT for what cannot be read, UNIMPLEMENTED for methods that nobody has.
    let server = TestServer::start();
    let post = "/jaeger.api_v2.CollectorService/PostSpans";
    let span = [b"\x0a\x08\0\0\0\0\0\0\0\x05\x12\x08".as_slice(), &[7; 8]].concat();
    let batch = [vec![0x0a, span.len() as u8], span].concat();
    let request = [vec![0x0a, batch.len() as u8], batch].concat();
    assert_eq!(jaeger_call(&server, post, &request), ("0".to_owned(), Vec::new()));
    assert_eq!(jaeger_call(&server, post, &request[..request.len() - 1]).0, "3");
    assert_eq!(jaeger_call(&server, "/jaeger.api_v2.QueryService/GetTrace", &[]).0, "12");
    let (code, strategy) = jaeger_call(&server, "/jaeger.api_v2.SamplingManager/GetSamplingStrategy", &[]);
    assert_eq!((code.as_str(), strategy), ("0", [&b"\x12\x09\x09"[..], &1f64.to_le_bytes()].concat()));
    let trace = server.get("api", "/api/traces/00000000000000000000000000000005").json();
    assert_eq!(trace["spans"].as_array().map(Vec::len), Some(1));
}

#[test]
fn jaegers_clients_are_told_to_record_everything() {
    // Guarantees the permissive strategy in the forms in which clients of all ages ask for it.
    let server = TestServer::start();
    let everything = json!({"samplingRate": 1.0});
    for (listener, path, strategy_type) in [
        ("jaeger_sampling", "/sampling?service=s", json!("PROBABILISTIC")),
        ("jaeger_sampling", "/?service=s", json!(0)),
        ("jaeger_http", "/api/sampling?service=s", json!("PROBABILISTIC")),
    ] {
        let answer = server.get(listener, path).json();
        assert_eq!(
            (&answer["strategyType"], &answer["probabilisticSampling"]),
            (&strategy_type, &everything),
            "{path}"
        );
    }
    assert_eq!(server.get("jaeger_sampling", "/sampling").status, 400);
    assert_eq!(server.get("jaeger_sampling", "/baggageRestrictions?service=s").json(), json!([]));
}

/// The pieces of a body, one after the other.
struct Pieces(std::vec::IntoIter<Vec<u8>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece.into()))))
    }
}

/// A call of OpenCensus's stream whose body comes in these pieces; its status.
fn opencensus_call(server: &TestServer, pieces: Vec<Vec<u8>>) -> String {
    let path = "/opencensus.proto.agent.trace.v1.TraceService/Export";
    let body = Body::new(Pieces(pieces.into_iter()));
    let request = Request::post(path).header("content-type", "application/grpc").body(body).unwrap();
    server.runtime.block_on(async {
        let response = routes::opencensus(server.running().app()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let mut headers = parts.headers;
        headers.extend(body.collect().await.unwrap().trailers().cloned().unwrap_or_default());
        headers["grpc-status"].to_str().unwrap().to_owned()
    })
}

#[test]
fn opencensuss_stream_is_stored_message_by_message() {
    // Guarantees that messages are found however the stream is cut, that each has the node that only the first one said, and that a message
    // that cannot be read ends the stream with what came before it stored.
    let server = TestServer::start();
    let framed = |message: &[u8]| [vec![0], (message.len() as u32).to_be_bytes().to_vec(), message.to_vec()].concat();
    let span = |id: u8| [b"\x12\x1c\x0a\x10".as_slice(), &[9; 16], b"\x12\x08", &[id; 8]].concat();
    let first = framed(&[b"\x0a\x08\x1a\x06\x0a\x04shop".as_slice(), &span(1)].concat());
    let (second, third) = (framed(&span(2)), framed(&span(3)));
    let stream = [first, second].concat();
    let cut = stream.chunks(7).map(<[u8]>::to_vec).collect();
    assert_eq!(opencensus_call(&server, cut), "0");
    assert_eq!(opencensus_call(&server, vec![third, framed(b"\xff")]), "3");
    assert_eq!(opencensus_call(&server, vec![framed(&span(4))[..20].to_vec()]), "3");
    let trace = server.get("api", "/api/traces/09090909090909090909090909090909").json();
    let services: Vec<&str> =
        trace["spans"].as_array().unwrap().iter().map(|span| span["service"].as_str().unwrap()).collect();
    assert_eq!(services.iter().filter(|service| **service == "shop").count(), 2, "{services:?}");
    assert_eq!(services.len(), 3);
    let metrics = server.get("api", "/metrics").text();
    assert_eq!(
        (counted(&metrics, "received_requests", "opencensus"), counted(&metrics, "refused_requests", "opencensus")),
        (3, 2)
    );
}

#[test]
fn xrays_sdks_are_told_to_record_everything() {
    // Guarantees the rule and the targets in the form in which SDKs ask for them, and the answers to segments over HTTP.
    let server = TestServer::start();
    let rules = server.post("xray", "/GetSamplingRules", &[], b"{}").json();
    let rule = &rules["SamplingRuleRecords"][0]["SamplingRule"];
    assert_eq!(
        (&rule["RuleName"], &rule["FixedRate"], &rule["ServiceName"]),
        (&json!("Default"), &json!(1.0), &json!("*"))
    );
    let report = br#"{"SamplingStatisticsDocuments":[{"RuleName":"Default","ClientID":"c","RequestCount":1}]}"#;
    let target = &server.post("xray", "/SamplingTargets", &[], report).json()["SamplingTargetDocuments"][0];
    assert_eq!((&target["RuleName"], &target["FixedRate"]), (&json!("Default"), &json!(1.0)));
    assert_eq!(server.post("xray", "/TelemetryRecords", &[], b"{}").status, 200);
    let segment = r#"{"name":"s","id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979","start_time":1,"end_time":2}"#;
    let body = json!({"TraceSegmentDocuments": [segment, "nonsense"]}).to_string();
    let answer = server.post("xray", "/TraceSegments", &[], body.as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["UnprocessedTraceSegments"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get("api", "/api/traces/581cf771a006649127e371903a2de979").json()["spans"][0]["name"], "s");
    assert_eq!(server.post("xray", "/TraceSegments", &[], b"[").status, 400);
}

#[test]
fn a_segment_in_progress_is_replaced() {
    // Guarantees that what an SDK sends when a segment begins is shown at once, and gives way to the complete segment.
    let server = TestServer::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = "/api/traces/581cf771a006649127e371903a2de979";
    for (rest, duration_ns) in [("\"in_progress\":true", 0), ("\"end_time\":1478293363.5", 2_000_000_000)] {
        let document = format!(
            "{{\"format\":\"json\",\"version\":1}}\n{{\"name\":\"s\",\"id\":\"70de5b6f19ff9a0a\",\
             \"trace_id\":\"1-581cf771-a006649127e371903a2de979\",\"start_time\":1478293361.5,{rest}}}"
        );
        socket.send_to(document.as_bytes(), server.running().listening()["xray"]).unwrap();
        let deadline = Instant::now() + COUNT_LIMIT;
        loop {
            let answer = server.get("api", path);
            let spans = if answer.status == 200 { answer.json()["spans"].clone() } else { json!([]) };
            if spans[0]["duration_ns"] == duration_ns && spans.as_array().map(Vec::len) == Some(1) {
                break;
            }
            assert!(Instant::now() < deadline, "{rest}: {spans}");
        }
    }
}
