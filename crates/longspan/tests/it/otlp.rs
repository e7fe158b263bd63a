//! OTLP/HTTP as its specification says it: success, partial success, encodings, compression, leniency where it is asked for.

use crate::api;
use crate::load::{Batch, SERVICE, gzip, hex, json_request, now_unix_nano, request};
use crate::raw::post;
use crate::server::{Home, Server, agent};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

fn start() -> (Home, Server) {
    let home = Home::new();
    let server = Server::start(&home);
    (home, server)
}

fn batch(number: u64) -> Batch {
    Batch { seed: 11, number }
}

/// One span as JSON, to be changed by a test.
fn json_span(number: u64) -> Value {
    let start = now_unix_nano();
    json!({
        "traceId": batch(number).trace_id_hex(),
        "spanId": "0102030405060708",
        "name": "one",
        "kind": 2,
        "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": (start + 5_000).to_string(),
    })
}

fn post_json(server: &Server, body: &Value) -> crate::raw::Answer {
    post(server, &[JSON], body.to_string().as_bytes())
}

/// Posts one JSON span, expects plain success, and reads the stored span back.
fn stored(server: &Server, number: u64, span: &Value) -> Value {
    let answer = post_json(server, &json_request(std::slice::from_ref(span)));
    assert_eq!((answer.status, answer.json()), (200, json!({})), "{span}");
    api::trace(server, &batch(number).trace_id_hex()).expect("stored")["spans"][0].clone()
}

#[test]
fn success_has_the_senders_encoding_and_an_empty_body() {
    // A full success says nothing but OK: `{}` as JSON, zero bytes as protobuf, each with the content type of the request.
    let (_home, server) = start();
    let answer = post(&server, &[PROTOBUF], &batch(1).protobuf());
    assert_eq!((answer.status, answer.content_type.as_str()), (200, PROTOBUF.1));
    assert_eq!(answer.body, Vec::<u8>::new());
    let answer = post_json(&server, &batch(2).json());
    assert_eq!((answer.status, answer.content_type.as_str(), answer.json()), (200, JSON.1, json!({})));
}

#[test]
fn an_empty_request_is_a_success() {
    // Nothing to store is not an error.
    let (_home, server) = start();
    for (header, body) in
        [(PROTOBUF, &b""[..]), (JSON, b"{}"), (JSON, b"{\"resourceSpans\":[]}"), (PROTOBUF, b"\x0a\x00")]
    {
        assert_eq!(post(&server, &[header], body).status, 200, "{body:?}");
    }
}

#[test]
fn a_content_type_may_have_parameters() {
    // `application/json; charset=utf-8` is JSON, in any case.
    let (_home, server) = start();
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(post(&server, &[("content-type", content_type)], b"{}").status, 200, "{content_type}");
    }
    let answer = post(&server, &[("content-type", "application/x-protobuf; a=b")], &batch(3).protobuf());
    assert_eq!(answer.status, 200);
}

#[test]
fn gzip_and_zstd_are_understood_in_both_encodings() {
    // Compressed requests store the same spans as plain ones.
    let (_home, server) = start();
    let zstd = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).unwrap();
    let cases = [
        (4, PROTOBUF, "gzip", gzip(&batch(4).protobuf())),
        (5, JSON, "gzip", gzip(batch(5).json().to_string().as_bytes())),
        (6, PROTOBUF, "zstd", zstd(&batch(6).protobuf())),
        (7, JSON, "zstd", zstd(batch(7).json().to_string().as_bytes())),
    ];
    for (number, content_type, encoding, body) in cases {
        let answer = post(&server, &[content_type, ("content-encoding", encoding)], &body);
        assert_eq!(answer.status, 200, "{encoding} {content_type:?}");
        let trace = api::trace(&server, &batch(number).trace_id_hex()).expect("stored");
        assert_eq!(api::spans(&trace).len(), batch(number).spans().len());
    }
    let plain = post(&server, &[PROTOBUF, ("content-encoding", "identity")], &batch(8).protobuf());
    assert_eq!(plain.status, 200);
}

#[test]
fn spans_with_invalid_ids_are_a_partial_success() {
    // The good spans of the request are stored, the bad ones are counted and explained, and the sender is not asked to retry.
    let (_home, server) = start();
    let good = json_span(9);
    let bad = |changes: Value| {
        let mut span = json_span(9);
        for (key, value) in changes.as_object().unwrap() {
            span[key] = value.clone();
        }
        span
    };
    let spans = [
        good,
        bad(json!({"traceId": "00000000000000000000000000000000"})),
        bad(json!({"spanId": "0000000000000000"})),
        bad(json!({"spanId": ""})),
    ];
    let answer = post_json(&server, &json_request(&spans));
    let partial = &answer.json()["partialSuccess"];
    assert_eq!((answer.status, &partial["rejectedSpans"]), (200, &json!("3")), "{partial}");
    assert!(partial["errorMessage"].as_str().is_some_and(|text| !text.is_empty()));
    let trace = api::trace(&server, &batch(9).trace_id_hex()).expect("the good one is stored");
    assert_eq!(trace["spans"].as_array().unwrap().len(), 1);
}

#[test]
fn a_partial_success_in_protobuf_says_the_same() {
    // The count and the message are in the protobuf answer too; ids of the wrong length are invalid.
    let (_home, server) = start();
    let span = |trace_id: Vec<u8>, span_id: Vec<u8>| Span {
        trace_id,
        span_id,
        start_time_unix_nano: now_unix_nano(),
        end_time_unix_nano: now_unix_nano(),
        ..Span::default()
    };
    let good = batch(10).trace_id().to_vec();
    let spans = vec![span(good.clone(), vec![1; 8]), span(vec![0; 16], vec![1; 8]), span(good, vec![1; 3])];
    let answer = post(&server, &[PROTOBUF], &request(spans).encode_to_vec());
    assert_eq!(answer.status, 200);
    let partial =
        ExportTraceServiceResponse::decode(&answer.body[..]).unwrap().partial_success.expect("partial success");
    assert_eq!(partial.rejected_spans, 2);
    assert!(!partial.error_message.is_empty());
}

#[test]
fn json_ids_are_hex_in_any_case() {
    // Upper and lower case name the same trace; it is shown in lower case.
    let (_home, server) = start();
    let mut span = json_span(0xab);
    span["traceId"] = batch(0xab).trace_id_hex().to_uppercase().into();
    span["spanId"] = "ABCDEF0102030405".into();
    span["parentSpanId"] = "FEDCBA0102030405".into();
    let stored = stored(&server, 0xab, &span);
    assert_eq!(stored["span_id"], "abcdef0102030405");
    assert_eq!(stored["parent_span_id"], "fedcba0102030405");
    assert_eq!(api::get(&server, &format!("/api/traces/{}", batch(0xab).trace_id_hex().to_uppercase())).0, 200);
}

#[test]
fn json_is_read_leniently_where_senders_differ() {
    // Enum names, numbers as numbers or strings, unknown fields at every level and empty parents are all understood.
    let (_home, server) = start();
    let mut span = json_span(12);
    let start = span["startTimeUnixNano"].as_str().unwrap().parse::<u64>().unwrap();
    span["startTimeUnixNano"] = start.into();
    span["kind"] = "SPAN_KIND_CONSUMER".into();
    span["status"] = json!({"code": "STATUS_CODE_ERROR", "message": "broke", "unknown": [1]});
    span["parentSpanId"] = "".into();
    span["unknownField"] = json!({"deep": [{"er": 1}]});
    span["attributes"] = json!([
        {"key": "int as number", "value": {"intValue": 5}},
        {"key": "int as string", "value": {"intValue": "-9223372036854775808"}},
        {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "unknown", "value": {"stringValue": "kept", "futureValue": 1}},
    ]);
    let stored = stored(&server, 12, &span);
    assert_eq!(stored["kind"], "consumer");
    assert_eq!(stored["status"], json!({"code": "error", "message": "broke"}));
    assert_eq!(stored["start_unix_nano"], start.to_string());
    assert_eq!(stored["parent_span_id"], Value::Null);
    assert_eq!(api::attribute(&stored, "int as number"), Some(&json!("5")));
    assert_eq!(api::attribute(&stored, "int as string"), Some(&json!("-9223372036854775808")));
    assert_eq!(api::attribute(&stored, "nan"), Some(&json!("NaN")));
    assert_eq!(api::attribute(&stored, "unknown"), Some(&json!("kept")));
}

#[test]
fn unknown_protobuf_fields_are_ignored() {
    // A newer sender's fields do not cost its spans.
    let (_home, server) = start();
    let mut body = batch(13).protobuf();
    // Field 1000 with a string, as a future version might send.
    body.extend_from_slice(&[0xc2, 0x3e, 0x03, b'n', b'e', b'w']);
    let answer = post(&server, &[PROTOBUF], &body);
    assert_eq!(answer.status, 200);
    assert!(api::trace(&server, &batch(13).trace_id_hex()).is_some());
}

#[test]
fn the_same_request_twice_is_stored_once() {
    // A client that saw no answer sends again; the trace does not grow by it.
    let (_home, server) = start();
    let body = batch(14).protobuf();
    for _ in 0..3 {
        assert_eq!(post(&server, &[PROTOBUF], &body).status, 200);
    }
    let trace = api::trace(&server, &batch(14).trace_id_hex()).unwrap();
    assert_eq!(api::spans(&trace).len(), batch(14).spans().len());
    assert_eq!(api::traces_of(&server, SERVICE), vec![batch(14).trace_id_hex()]);
}

#[test]
fn many_requests_are_in_flight_at_once() {
    // 32 senders with connections of their own, 20 requests each, keep-alive: all succeed, all are found.
    let (_home, server) = start();
    let url = server.url("otlp_http", "/v1/traces");
    std::thread::scope(|scope| {
        for sender in 0..32 {
            let url = &url;
            scope.spawn(move || {
                let agent = agent();
                for number in 0..20 {
                    let body = batch(1_000 + sender * 20 + number).protobuf();
                    let answer = agent.post(url).header(PROTOBUF.0, PROTOBUF.1).send(&body[..]).unwrap();
                    assert_eq!(answer.status(), 200);
                }
            });
        }
    });
    assert_eq!(api::traces_of(&server, SERVICE).len(), 640);
}

#[test]
fn links_lead_both_ways() {
    // A link is found from the span that carries it and from the span it points at, whichever arrived first.
    let (_home, server) = start();
    let mut carrier = json_span(15);
    carrier["links"] = json!([{"traceId": batch(16).trace_id_hex(), "spanId": hex(&[7; 8]),
        "attributes": [{"key": "why", "value": {"stringValue": "caused"}}]}]);
    stored(&server, 15, &carrier);
    let links = |number: u64| api::get(&server, &format!("/api/traces/{}/links", batch(number).trace_id_hex())).1;
    assert_eq!(links(15)["outgoing"][0]["from"]["received"], false);
    let mut target = json_span(16);
    target["spanId"] = hex(&[7; 8]).into();
    stored(&server, 16, &target);
    let outgoing = &links(15)["outgoing"][0];
    assert_eq!(outgoing["from"]["received"], true);
    assert_eq!(outgoing["from"]["service"], SERVICE);
    assert_eq!(outgoing["evidence"], "link");
    assert_eq!(api::attribute(outgoing, "why"), Some(&json!("caused")));
    let incoming = &links(16)["incoming"][0];
    assert_eq!(incoming["to"]["trace_id"], batch(15).trace_id_hex());
}
