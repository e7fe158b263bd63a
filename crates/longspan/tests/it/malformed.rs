//! Hostile and broken input: a 4xx with a status body, in bounded time and memory, and the service goes on for everyone else.

use crate::api;
use crate::load::{Batch, Random, gzip, hex, now_unix_nano, request, seed, send_good};
use crate::raw::{Answer, exchange, post, post_to};
use crate::server::{Home, Server};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use std::time::{Duration, Instant};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
/// Generous for a debug build on a busy machine; a hang is minutes.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const BODY_LIMIT_BYTES: usize = 64 << 20;
/// How soon a bomb is refused in an optimised build; the build that is usually tested is slower.
const BOMB_LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 5_000 } else { 100 });
/// The same for what has to be unfolded to the limit first.
const UNFOLDING_LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 5_000 } else { 500 });

/// A server, and the proof afterwards that it still takes and shows spans.
struct Target {
    server: Server,
    seed: u64,
    home: Home,
}

impl Target {
    fn new() -> Self {
        let home = Home::new();
        Self { server: Server::start(&home), seed: seed(), home }
    }

    fn still_serves(&self) {
        let batch = Batch { seed: self.seed, number: 1 };
        send_good(&self.server, batch);
        let trace = api::trace(&self.server, &batch.trace_id_hex()).expect("a good batch is stored after bad ones");
        assert_eq!(api::spans(&trace).len(), batch.spans().len());
        assert!(!self.home.stderr().contains("panicked"), "{}", self.home.stderr());
    }

    /// Posts and checks what holds for every refusal: 4xx, in time, a status with a message in the request's encoding.
    fn refused(&self, name: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        let started = Instant::now();
        let answer = post(&self.server, headers, body);
        assert!(started.elapsed() < ANSWER_LIMIT, "{name} took {:?}", started.elapsed());
        assert!((400..500).contains(&answer.status), "{name}: {} {}", answer.status, shown(&answer));
        let message = answer.status_message().unwrap_or_else(|error| panic!("{name}: {error} ({})", shown(&answer)));
        assert!(!message.is_empty(), "{name}: the status says nothing");
        if let Some((_, sent)) = headers.iter().find(|(header, sent)| *header == "content-type" && is_otlp(sent)) {
            assert_eq!(answer.content_type, *sent, "{name}");
        }
        answer.status
    }
}

fn is_otlp(content_type: &str) -> bool {
    ["application/x-protobuf", "application/json"].contains(&content_type)
}

fn shown(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).chars().take(300).collect()
}

fn good(number: u64) -> Batch {
    Batch { seed: 7, number }
}

#[test]
fn truncated_requests_are_refused() {
    // Wherever protobuf or JSON is cut, the answer is a 4xx that says so, in the sender's encoding.
    let target = Target::new();
    let protobuf = good(2).protobuf();
    let json = good(2).json().to_string();
    for length in (1..protobuf.len()).step_by(protobuf.len() / 60 + 1) {
        target.refused(&format!("protobuf cut at {length}"), &[PROTOBUF], &protobuf[..length]);
    }
    for length in (1..json.len()).step_by(json.len() / 60 + 1) {
        target.refused(&format!("JSON cut at {length}"), &[JSON], &json.as_bytes()[..length]);
    }
    let zipped = gzip(&protobuf);
    target.refused("gzip cut", &[PROTOBUF, ("content-encoding", "gzip")], &zipped[..zipped.len() / 2]);
    target.still_serves();
}

#[test]
fn flipped_bits_never_break_the_service() {
    // A request with flipped bits is taken or refused with a 4xx; never a 5xx, never a hang, never a wrong answer for others.
    let target = Target::new();
    let mut random = Random(target.seed);
    for round in 0..400 {
        let is_json = round % 2 == 0;
        let mut body = if is_json { good(3).json().to_string().into_bytes() } else { good(3).protobuf() };
        for _ in 0..=random.below(3) {
            let bit = random.below(body.len() as u64 * 8);
            body[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
        }
        let answer = post(&target.server, &[if is_json { JSON } else { PROTOBUF }], &body);
        assert!(answer.status == 200 || (400..500).contains(&answer.status), "round {round}: {}", shown(&answer));
        if answer.status != 200 {
            let message = answer.status_message().unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert!(!message.is_empty());
        }
    }
    target.still_serves();
}

/// A name, the status it gets, its headers and its body.
type Bomb<'a> = (&'static str, u16, &'a [(&'a str, &'a str)], &'a [u8]);

#[test]
fn bombs_are_refused_before_they_go_off() {
    // A body that would unfold past the limit is a 413, one that is nested deeply or claims what it has not is a 400; each in time, and the
    // memory that all take stays near that limit.
    let target = Target::new();
    target.still_serves();
    let before = target.server.peak_memory_bytes();
    let zeros = vec![0; 4 * BODY_LIMIT_BYTES];
    let (gzip_header, zstd_header) = (("content-encoding", "gzip"), ("content-encoding", "zstd"));
    let gzipped = gzip(&zeros);
    let zstd = zstd::bulk::compress(&zeros, 1).unwrap();
    drop(zeros);
    let arrays = with_attribute_value(&nested(100_000));
    let brackets = "[".repeat(1_000_000).into_bytes();
    // A frame that wants a window of terabytes.
    let window = b"\x28\xb5\x2f\xfd\x00\xff\xff\xff".to_vec();
    let claimed = b"\x0a\x80\x80\x80\x80\x04short".to_vec();
    let bombs: [Bomb<'_>; 8] = [
        ("protobuf, gzip", 413, &[PROTOBUF, gzip_header], &gzipped),
        ("JSON, gzip", 413, &[JSON, gzip_header], &gzipped),
        ("protobuf, zstd", 413, &[PROTOBUF, zstd_header], &zstd),
        ("JSON, zstd", 413, &[JSON, zstd_header], &zstd),
        ("a zstd window", 400, &[PROTOBUF, zstd_header], &window),
        ("nested arrays", 400, &[PROTOBUF], &arrays),
        ("nested brackets", 400, &[JSON], &brackets),
        ("a gigabyte claimed", 400, &[PROTOBUF], &claimed),
    ];
    for (name, status, headers, body) in bombs {
        let started = Instant::now();
        assert_eq!(target.refused(name, headers, body), status, "{name}");
        let took = started.elapsed();
        println!("{name}: {} bytes refused in {took:?}", body.len());
        // What unfolds is unfolded up to the limit before it is known to be too much.
        let limit = if status == 413 { UNFOLDING_LIMIT } else { BOMB_LIMIT };
        assert!(took < limit, "{name} took {took:?}");
    }
    let grown = target.server.peak_memory_bytes() - before;
    assert!(grown < 3 * BODY_LIMIT_BYTES as u64, "grew by {} MiB", grown >> 20);
    target.still_serves();
}

#[test]
fn oversized_bodies_are_refused_by_their_length() {
    // A declared length over the limit is a 413 without waiting for the bytes; a length that never comes ends nothing else.
    let target = Target::new();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        BODY_LIMIT_BYTES + 1
    );
    let answer = exchange(&target.server, "otlp_http", head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
    assert!(answer.contains("message"), "{answer:?}");
    target.still_serves();
}

/// An attribute value of `depth` arrays in one another, put together from the outside: no recursion, so that the test itself survives.
fn nested(depth: usize) -> Vec<u8> {
    let inside = AnyValue { value: Some(any_value::Value::IntValue(1)) }.encode_to_vec();
    let (mut length, mut heads) = (inside.len(), Vec::new());
    for level in 0..2 * depth {
        let mut head = vec![if level % 2 == 0 { 0x0a } else { 0x2a }];
        prost::encoding::encode_varint(length as u64, &mut head);
        length += head.len();
        heads.push(head);
    }
    heads.reverse();
    [heads.concat(), inside].concat()
}

/// A length-delimited protobuf field.
fn wrap(field: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 8);
    prost::encoding::encode_key(field, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A request whose only span has one attribute with this encoded value.
fn with_attribute_value(value: &[u8]) -> Vec<u8> {
    let mut span = span(4, now_unix_nano()).encode_to_vec();
    span.extend(wrap(9, &[wrap(1, b"deep"), wrap(2, value)].concat()));
    wrap(1, &wrap(2, &wrap(2, &span)))
}

fn span(number: u64, start_unix_nano: u64) -> Span {
    Span {
        trace_id: good(number).trace_id().to_vec(),
        span_id: vec![1; 8],
        name: "one".to_owned(),
        start_time_unix_nano: start_unix_nano,
        end_time_unix_nano: start_unix_nano,
        ..Span::default()
    }
}

#[test]
fn values_ten_thousand_deep_are_refused() {
    // Nesting costs the sender his request, never the server its stack.
    let target = Target::new();
    target.refused("protobuf arrays", &[PROTOBUF], &with_attribute_value(&nested(10_000)));
    let deep_json = |open: &str, close: &str| {
        let value = format!("{}{{\"intValue\":1}}{}", open.repeat(10_000), close.repeat(10_000));
        let mut text = good(4).json().to_string();
        let place = text.find("{\"stringValue\"").unwrap();
        text.replace_range(place..=place + text[place..].find('}').unwrap(), &value);
        text
    };
    target.refused("JSON arrays", &[JSON], deep_json("{\"arrayValue\":{\"values\":[", "]}}").as_bytes());
    target.refused("JSON brackets", &[JSON], "[".repeat(1_000_000).as_bytes());
    // An unknown field is ignored, however deep: refused or not, it is survived.
    let unknown = format!("{{\"unknown\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(post(&target.server, &[JSON], unknown.as_bytes()).status < 500);
    target.still_serves();
}

#[test]
fn values_of_a_reasonable_depth_are_kept() {
    // The limit cuts off attacks, not data: ten levels come back as they were sent.
    let target = Target::new();
    let answer = post(&target.server, &[PROTOBUF], &with_attribute_value(&nested(10)));
    assert_eq!(answer.status, 200, "{}", shown(&answer));
    let trace = api::trace(&target.server, &good(4).trace_id_hex()).unwrap();
    let expected = (0..10).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(api::attribute(&trace["spans"][0], "deep"), Some(&expected));
}

#[test]
fn wrong_content_types_and_encodings_are_refused() {
    // What cannot be read is a client's error with a reason, whatever the headers claim.
    let target = Target::new();
    let body = good(5).protobuf();
    for content_type in
        ["text/plain", "application/xml", "application/grpc", "multipart/form-data; boundary=x", "nonsense"]
    {
        let answer = post(&target.server, &[("content-type", content_type)], &body);
        assert_eq!(answer.status, 415, "{content_type}: {}", shown(&answer));
    }
    for encoding in ["br", "deflate, gzip, nonsense", "nonsense"] {
        let status = target.refused(encoding, &[PROTOBUF, ("content-encoding", encoding)], &body);
        assert!(matches!(status, 400 | 415), "{encoding}: {status}");
    }
    for encoding in ["gzip", "zstd"] {
        target.refused(&format!("{encoding} that is none"), &[JSON, ("content-encoding", encoding)], &body);
    }
    target.refused("protobuf that is JSON", &[PROTOBUF], good(5).json().to_string().as_bytes());
    target.refused("JSON that is protobuf", &[JSON], &body);
    target.still_serves();
}

#[test]
fn json_that_is_not_a_request_is_refused() {
    // Wrong types, numbers out of range and empty bodies are each a 400 with the place or the reason.
    let target = Target::new();
    let time = |text: &str| {
        let now = now_unix_nano().to_string();
        json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": good(6).trace_id_hex(), "spanId": "0101010101010101", "name": "x",
            "startTimeUnixNano": text, "endTimeUnixNano": now}]}]}]})
        .to_string()
    };
    let cases = [
        ("nothing", String::new()),
        ("a word", "hello".to_owned()),
        ("a list", "[]".to_owned()),
        ("a number where a list belongs", "{\"resourceSpans\": 5}".to_owned()),
        ("a string where an object belongs", "{\"resourceSpans\": [\"x\"]}".to_owned()),
        ("a time over 64 bits", time("99999999999999999999999")),
        ("a time before all time", time("-1")),
        ("a time in words", time("yesterday")),
        ("two documents", "{}{}".to_owned()),
        ("half a surrogate pair unended", "{\"resourceSpans\": \"\\ud800".to_owned()),
    ];
    for (name, body) in cases {
        assert_eq!(target.refused(name, &[JSON], body.as_bytes()), 400, "{name}");
    }
    assert!(post(&target.server, &[JSON], b"{\"\xff\xfe\": 1}").status < 500, "bytes that are no UTF-8");
    target.still_serves();
}

#[test]
fn absurd_times_are_kept_and_flagged() {
    // A clock that is off by decades loses nothing: the span is stored, found by id, and carries a note.
    let target = Target::new();
    for (number, start) in [(10, 0), (11, 1), (12, u64::MAX), (13, i64::MAX as u64), (14, i64::MAX as u64 + 1)] {
        let answer = post(&target.server, &[PROTOBUF], &request(vec![span(number, start)]).encode_to_vec());
        assert_eq!(answer.status, 200, "{start}: {}", shown(&answer));
        let trace =
            api::trace(&target.server, &good(number).trace_id_hex()).unwrap_or_else(|| panic!("{start} is lost"));
        let notes = trace["spans"][0]["notes"].as_array().cloned().unwrap_or_default();
        assert!(notes.contains(&json!("time_out_of_range")), "{start}: {}", trace["spans"][0]);
    }
    let mut backwards = span(15, now_unix_nano());
    backwards.end_time_unix_nano = backwards.start_time_unix_nano - 1_000_000_000;
    assert_eq!(post(&target.server, &[PROTOBUF], &request(vec![backwards]).encode_to_vec()).status, 200);
    assert!(
        api::trace(&target.server, &good(15).trace_id_hex()).is_some(),
        "a span that ends before it starts is lost"
    );
    target.still_serves();
}

#[test]
fn greedy_spans_are_cut_not_trusted() {
    // A hundred thousand attributes or a key of megabytes are taken, cut to the documented limits and counted as dropped.
    let target = Target::new();
    let attribute = |key: String| KeyValue {
        key,
        value: Some(AnyValue { value: Some(any_value::Value::ArrayValue(ArrayValue::default())) }),
        ..KeyValue::default()
    };
    let mut many = span(20, now_unix_nano());
    many.attributes = (0..100_000).map(|index| attribute(format!("key {index}"))).collect();
    let answer = post(&target.server, &[PROTOBUF], &request(vec![many]).encode_to_vec());
    assert!(answer.status == 200 || answer.status == 400, "{}", shown(&answer));
    if let Some(trace) = api::trace(&target.server, &good(20).trace_id_hex()) {
        let kept = trace["spans"][0]["attributes"].as_array().unwrap().len() as u64;
        assert!(kept <= 1_024, "{kept}");
        assert_eq!(trace["spans"][0]["dropped_attributes_count"], 100_000 - kept);
    }
    let mut long = span(21, now_unix_nano());
    long.attributes = vec![attribute("k".repeat(8 << 20))];
    let answer = post(&target.server, &[PROTOBUF], &request(vec![long]).encode_to_vec());
    assert!(answer.status == 200 || (400..500).contains(&answer.status), "{}", shown(&answer));
    target.still_serves();
}

#[test]
fn lengths_that_lie_cost_nothing() {
    // A message that claims a gigabyte inside twenty bytes is refused without reserving it.
    let target = Target::new();
    let before = target.server.peak_memory_bytes();
    for claimed in [1_u64 << 30, u64::from(u32::MAX), u64::MAX] {
        let mut body = vec![0x0a];
        prost::encoding::encode_varint(claimed, &mut body);
        body.extend_from_slice(b"short");
        assert_eq!(target.refused("a lying length", &[PROTOBUF], &body), 400);
    }
    assert!(target.server.peak_memory_bytes() - before < 64 << 20);
    target.still_serves();
}

#[test]
fn text_that_is_no_utf8_does_not_lose_the_request() {
    // Some SDKs send raw bytes as text: the span is stored or counted as refused, its neighbours always stored.
    let target = Target::new();
    let bad = [span(30, now_unix_nano()).encode_to_vec(), wrap(5, b"bad \xff name")].concat();
    let neighbour = span(31, now_unix_nano()).encode_to_vec();
    let body = wrap(1, &wrap(2, &[wrap(2, &bad), wrap(2, &neighbour)].concat()));
    let answer = post(&target.server, &[PROTOBUF], &body);
    assert_eq!(answer.status, 200, "{}", shown(&answer));
    assert!(api::trace(&target.server, &good(31).trace_id_hex()).is_some());
    target.still_serves();
}

#[test]
fn noise_on_any_port_is_survived() {
    // Bytes that are no HTTP at all close that connection and nothing else.
    let target = Target::new();
    let mut random = Random(target.seed);
    for port in ["otlp_grpc", "otlp_http", "api", "zipkin", "jaeger"] {
        let noise: Vec<u8> = (0..2_000).map(|_| random.next().to_le_bytes()[0]).collect();
        exchange(&target.server, port, &noise);
        exchange(&target.server, port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff");
        let line = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000));
        let answer = exchange(&target.server, port, line.as_bytes());
        assert!(!answer.starts_with("HTTP/1.1 5"), "{port}: {answer}");
    }
    target.still_serves();
}

#[test]
fn other_paths_and_methods_are_refused() {
    // The OTLP port answers for what it serves and says 404 or 405 for the rest.
    let target = Target::new();
    assert_eq!(api::get_from(&target.server, "otlp_http", "/v1/traces").0, 405);
    assert_eq!(api::get_from(&target.server, "otlp_http", "/nowhere").0, 404);
    assert_eq!(post_to(&target.server.url("otlp_http", "/v1/nothing"), &[JSON], b"{}").status, 404);
}

#[test]
fn broken_zipkin_spans_are_refused() {
    // Zipkin senders get a 4xx for what is no span list, in both encodings, and an empty list is fine.
    let target = Target::new();
    let url = target.server.url("zipkin", "/api/v2/spans");
    let thrift = ("content-type", "application/x-thrift");
    let cases: [(&str, (&str, &str), &[u8]); 8] = [
        ("no JSON", JSON, b"hello"),
        ("an object", JSON, b"{}"),
        ("cut", JSON, b"[{\"traceId\":\"1\""),
        ("no id", JSON, b"[{\"traceId\":\"0000000000000001\"}]"),
        ("a bad id", JSON, b"[{\"traceId\":\"xyz\",\"id\":\"1\"}]"),
        ("a negative time", JSON, b"[{\"traceId\":\"1\",\"id\":\"1\",\"timestamp\":-5}]"),
        ("cut protobuf", PROTOBUF, b"\x0a\x7f\x01"),
        ("thrift", thrift, b"\x0c\x00"),
    ];
    for (name, content_type, body) in cases {
        let answer = post_to(&url, &[content_type], body);
        assert!((400..500).contains(&answer.status), "{name}: {} {}", answer.status, shown(&answer));
    }
    assert_eq!(post_to(&url, &[JSON], b"[]").status, 202);
    target.still_serves();
}

#[test]
fn broken_questions_get_an_answer_with_a_hint() {
    // Whatever is asked wrongly is a 4xx with code, message and hint; unknown parameters are refused, not ignored.
    let target = Target::new();
    send_good(&target.server, good(40));
    let long = format!("/api/traces?q={}", "(".repeat(5_000));
    let paths = [
        "/api/traces?q=service%20%3D",
        "/api/traces?q=%28%28%28",
        "/api/traces?q=name%20%3D~%20%22%28%22",
        "/api/traces?limit=0",
        "/api/traces?limit=10001",
        "/api/traces?limit=x",
        "/api/traces?nonsense=1",
        "/api/traces?start=yesterday",
        "/api/traces?min_duration=long",
        "/api/traces?cursor=garbage",
        "/api/traces?kind=nobody",
        "/api/traces?status=fine",
        "/api/attributes/keys?level=nowhere",
        "/api/attributes/values",
        "/api/operations",
        "/api/traces/xyz",
        "/api/traces/00000000000000000000000000000000",
        long.as_str(),
    ];
    for path in paths {
        let (status, body) = api::get(&target.server, path);
        assert!((400..500).contains(&status), "{path}: {status} {body}");
        for field in ["code", "message", "hint"] {
            assert!(body["error"][field].is_string(), "{path}: no {field} in {body}");
        }
    }
    let (_, body) = api::get(&target.server, "/api/traces?q=service%20%3D");
    assert!(body["error"]["position"].is_u64(), "{body}");
    let wrong_id = hex(&[9; 16]);
    assert_eq!(api::get(&target.server, &format!("/api/traces/{wrong_id}")).0, 404);
    target.still_serves();
}
