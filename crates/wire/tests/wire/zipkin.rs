//! Zipkin: both formats mean the same, and nothing a sender said is lost on the way through the model.

use std::collections::BTreeMap;

use model::{Limits, SpanRef, ValueRef};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Map, Value, json};
use wire::{Format, Reason, decode};

use crate::normal::{hex_text, of_batch};

/// `zipkin.proto`, for prost to write.
mod proto {
    use std::collections::BTreeMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct ListOfSpans {
        #[prost(message, repeated, tag = "1")]
        pub(crate) spans: Vec<Span>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(crate) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(crate) parent_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        pub(crate) id: Vec<u8>,
        #[prost(int32, tag = "4")]
        pub(crate) kind: i32,
        #[prost(string, tag = "5")]
        pub(crate) name: String,
        #[prost(fixed64, tag = "6")]
        pub(crate) timestamp: u64,
        #[prost(uint64, tag = "7")]
        pub(crate) duration: u64,
        #[prost(message, optional, tag = "8")]
        pub(crate) local_endpoint: Option<Endpoint>,
        #[prost(message, optional, tag = "9")]
        pub(crate) remote_endpoint: Option<Endpoint>,
        #[prost(message, repeated, tag = "10")]
        pub(crate) annotations: Vec<Annotation>,
        #[prost(btree_map = "string, string", tag = "11")]
        pub(crate) tags: BTreeMap<String, String>,
        #[prost(bool, tag = "12")]
        pub(crate) debug: bool,
        #[prost(bool, tag = "13")]
        pub(crate) shared: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Endpoint {
        #[prost(string, tag = "1")]
        pub(crate) service_name: String,
        #[prost(bytes = "vec", tag = "2")]
        pub(crate) ipv4: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        pub(crate) ipv6: Vec<u8>,
        #[prost(int32, tag = "4")]
        pub(crate) port: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Annotation {
        #[prost(fixed64, tag = "1")]
        pub(crate) timestamp: u64,
        #[prost(string, tag = "2")]
        pub(crate) value: String,
    }
}

fn endpoint() -> impl Strategy<Value = Option<proto::Endpoint>> {
    let ip = |length| prop_oneof![Just(Vec::new()), vec(any::<u8>(), length..=length)];
    let endpoint = ("[a-z]{0,3}", ip(4), ip(16), prop_oneof![Just(0), 1..65536i32]);
    proptest::option::of(endpoint.prop_map(|(service_name, ipv4, ipv6, port)| proto::Endpoint {
        service_name,
        ipv4,
        ipv6,
        port,
    }))
    .prop_map(|endpoint| endpoint.filter(|endpoint| *endpoint != proto::Endpoint::default()))
}

/// Spans whose tags are plain attributes.
fn span() -> impl Strategy<Value = proto::Span> {
    let nonzero = |length| vec(1..=255u8, length..=length);
    let ids = (prop_oneof![nonzero(8), nonzero(16)], prop_oneof![Just(Vec::new()), nonzero(8)], nonzero(8));
    let times = (prop_oneof![Just(0), 1..1_u64 << 53], prop_oneof![Just(0), 1..1_u64 << 40]);
    let annotation = (0..1_u64 << 53, ".{0,8}").prop_map(|(timestamp, value)| proto::Annotation { timestamp, value });
    let key = prop_oneof!["[a-z]{1,6}\\.x", Just("zipkin.shared".to_owned()), Just("zipkin.remote.port".to_owned())];
    let tags = btree_map(key, ".{0,8}", 0..4);
    let rest = (endpoint(), endpoint(), vec(annotation, 0..3), tags, any::<bool>(), any::<bool>());
    (ids, 0..5i32, ".{0,8}", times, rest).prop_map(|(ids, kind, name, (timestamp, duration), rest)| {
        let (trace_id, parent_id, id) = ids;
        let (local_endpoint, remote_endpoint, annotations, tags, debug, shared) = rest;
        proto::Span {
            trace_id,
            parent_id,
            id,
            kind,
            name,
            timestamp,
            duration,
            local_endpoint,
            remote_endpoint,
            annotations,
            tags,
            debug,
            shared,
        }
    })
}

/// The same span as Zipkin's own JSON writer has it: nothing empty.
fn to_json(span: &proto::Span) -> Value {
    let hex = |bytes: &[u8]| Value::from(hex_text(bytes));
    let endpoint = |endpoint: &Option<proto::Endpoint>| {
        endpoint.as_ref().map_or(Value::Null, |endpoint| {
            let ipv4 = <[u8; 4]>::try_from(endpoint.ipv4.as_slice()).map(|ip| std::net::Ipv4Addr::from(ip).to_string());
            let ipv6 =
                <[u8; 16]>::try_from(endpoint.ipv6.as_slice()).map(|ip| std::net::Ipv6Addr::from(ip).to_string());
            without_empty(json!({
                "serviceName": endpoint.service_name,
                "ipv4": ipv4.unwrap_or_default(),
                "ipv6": ipv6.unwrap_or_default(),
                "port": endpoint.port,
            }))
        })
    };
    let annotations = span.annotations.iter().map(|each| json!({"timestamp": each.timestamp, "value": each.value}));
    without_empty(json!({
        "traceId": hex(&span.trace_id),
        "parentId": hex(&span.parent_id),
        "id": hex(&span.id),
        "kind": (["", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"][span.kind as usize]),
        "name": span.name,
        "timestamp": span.timestamp,
        "duration": span.duration,
        "localEndpoint": endpoint(&span.local_endpoint),
        "remoteEndpoint": endpoint(&span.remote_endpoint),
        "annotations": annotations.collect::<Vec<_>>(),
        "tags": span.tags,
        "debug": span.debug,
        "shared": span.shared,
    }))
}

fn without_empty(object: Value) -> Value {
    let Value::Object(object) = object else { return object };
    let empty = [json!(""), json!(0), json!(false), json!([]), json!({}), Value::Null];
    Value::Object(object.into_iter().filter(|(_, value)| !empty.contains(value)).collect::<Map<_, _>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn what_was_sent_is_given_back(spans in vec(span(), 0..4)) {
        // Guarantees that Zipkin JSON passes through the model without losing or changing anything.
        let sent = Value::Array(spans.iter().map(to_json).collect());
        let decoded = decode(Format::ZipkinJson, sent.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        prop_assert_eq!(decoded.batch.len(), spans.len());
        let given_back: Value = serde_json::from_str(&wire::zipkin::encode_json(decoded.batch.spans())).unwrap();
        prop_assert_eq!(given_back, sent);
    }

    #[test]
    fn protobuf_equals_json(spans in vec(span(), 0..4)) {
        // Guarantees that both of Zipkin's formats decode to the same batch.
        let json = Value::Array(spans.iter().map(to_json).collect()).to_string();
        let json = decode(Format::ZipkinJson, json.as_bytes(), &Limits::DEFAULT).unwrap();
        let bytes = proto::ListOfSpans { spans }.encode_to_vec();
        let protobuf = decode(Format::ZipkinProtobuf, &bytes, &Limits::DEFAULT).unwrap();
        prop_assert_eq!(of_batch(&protobuf.batch), of_batch(&json.batch));
        prop_assert_eq!(protobuf.report, json.report);
    }

    #[test]
    fn encoding_is_stable(data in crate::messages::traces_data()) {
        // Guarantees that a batch of any origin, once it has gone through Zipkin, goes through it unchanged from then on.
        let bytes = data.encode_to_vec();
        let batch = decode(Format::OtlpProtobuf, &bytes, &Limits::DEFAULT).unwrap().batch;
        let through = |text: &str| decode(Format::ZipkinJson, text.as_bytes(), &Limits::DEFAULT).unwrap().batch;
        let first = through(&wire::zipkin::encode_json(batch.spans()));
        prop_assert_eq!(first.len(), batch.len());
        let second = through(&wire::zipkin::encode_json(first.spans()));
        prop_assert_eq!(sorted(&of_batch(&first)), sorted(&of_batch(&second)));
    }
}

/// A normal form in which the order of attributes does not matter, only their characters.
fn sorted(normal: &str) -> Vec<Vec<char>> {
    let line = |line: &str| {
        let mut line: Vec<char> = line.chars().collect();
        line.sort_unstable();
        line
    };
    normal.lines().map(line).collect()
}

fn one(body: &str) -> wire::Decoded {
    decode(Format::ZipkinJson, body.as_bytes(), &Limits::DEFAULT).unwrap()
}

fn status(span: SpanRef<'_>) -> (String, &str) {
    (span.status().to_string(), span.status_message())
}

#[test]
fn error_tags_are_statuses() {
    // Guarantees that every way to say in tags that a span failed is understood and survives being written.
    let cases = [
        (json!({"error": "boom"}), "error", "boom"),
        (json!({"error": "true"}), "error", ""),
        (json!({"error": ""}), "error", ""),
        (json!({"error": "false"}), "unset", ""),
        (json!({"otel.status_code": "ERROR", "error": "boom"}), "error", "boom"),
        (json!({"otel.status_code": "error", "otel.status_description": "true"}), "error", "true"),
        (json!({"otel.status_code": "ERROR", "otel.status_description": "a", "error": "b"}), "error", "a"),
        (json!({"otel.status_code": "OK", "error": "b"}), "ok", ""),
        (json!({"otel.status_code": "7"}), "7", ""),
        (json!({}), "unset", ""),
    ];
    for (tags, code, message) in cases {
        let decoded = one(&json!([{"traceId": "1", "id": "2", "tags": tags}]).to_string());
        assert_eq!(status(decoded.batch.span(0)), (code.to_owned(), message), "{tags}");
        let again = one(&wire::zipkin::encode_json(decoded.batch.spans()));
        assert_eq!(status(again.batch.span(0)), (code.to_owned(), message), "{tags} written and read again");
        let error = |decoded: &wire::Decoded| format!("{:?}", decoded.batch.span(0).attribute("error"));
        assert_eq!(error(&again), error(&decoded), "{tags} keeps its tag");
    }
}

#[test]
fn ids_of_both_sizes() {
    // Guarantees that 64- and 128-bit ids, with or without leading zeros, mean the same and are given back short or long.
    let body = json!([
        {"traceId": "5af7183fb1d4cf5f", "id": "1"},
        {"traceId": "00000000000000005AF7183FB1D4CF5F", "id": "0000000000000001", "parentId": "0000000000000000"},
        {"traceId": "463ac35c9f6413ad48485a3953bb6124", "id": "2", "parentId": "1"},
    ]);
    let batch = one(&body.to_string()).batch;
    assert_eq!(batch.rows[0].trace_id, batch.rows[1].trace_id);
    assert_eq!(batch.rows[0].span_id, batch.rows[1].span_id);
    assert_eq!(batch.span(1).parent_span_id(), None);
    let written: Value = serde_json::from_str(&wire::zipkin::encode_json(batch.spans())).unwrap();
    assert_eq!(written[0]["traceId"], "5af7183fb1d4cf5f");
    assert_eq!(written[2]["traceId"], "463ac35c9f6413ad48485a3953bb6124");
}

#[test]
fn bad_spans_are_refused_one_by_one() {
    // Guarantees that spans without usable ids are counted, that a bad parent costs only itself, and that others stay.
    let body = json!([
        {"id": "1"},
        {"traceId": "xyz", "id": "1"},
        {"traceId": "1"},
        {"traceId": "1", "id": "0"},
        {"traceId": "1", "id": "1", "parentId": "not hex"},
        null,
    ]);
    let decoded = one(&body.to_string());
    assert_eq!((decoded.batch.len(), decoded.report.received_spans, decoded.report.rejected_spans()), (1, 6, 5));
    assert_eq!(decoded.report.count(Reason::InvalidTraceId), 3);
    assert_eq!(decoded.report.count(Reason::InvalidSpanId), 2);
    assert_eq!(decoded.report.count(Reason::InvalidParentSpanId), 1);
    assert!(decode(Format::ZipkinJson, b"{\"traceId\":\"1\"}", &Limits::DEFAULT).is_err());
}

#[test]
fn senders_habits_are_read() {
    // Guarantees that numbers as strings or fractions, tags that are not strings, unknown kinds and fields are all read.
    let body = json!([{
        "traceId": "1", "id": "1", "kind": "GATEWAY", "timestamp": "1500", "duration": 2.9, "unknown": {"a": []},
        "localEndpoint": {"serviceName": "a", "ipv4": "localhost", "port": "80"}, "remoteEndpoint": null,
        "tags": {"n": 5, "b": true, "f": 1.5, "z": null, "zip": "007"},
    }]);
    let batch = one(&body.to_string()).batch;
    let span = batch.span(0);
    assert_eq!((span.start_unix_nano(), span.duration_ns()), (1_500_000, 2_000));
    let tags: Vec<_> = ["n", "b", "f", "z", "zip", "zipkin.kind"].map(|key| span.attribute(key)).into();
    assert_eq!(tags, ["5", "true", "1.5", "", "007", "GATEWAY"].map(|text| Some(ValueRef::Str(text))));
    let written: Value = serde_json::from_str(&wire::zipkin::encode_json(batch.spans())).unwrap();
    assert_eq!(written[0]["kind"], "GATEWAY");
    assert_eq!(written[0]["localEndpoint"], json!({"serviceName": "a", "ipv4": "localhost", "port": 80}));
}

#[test]
fn tags_keep_their_places_beside_endpoints() {
    // Guarantees that a tag named like a part of an endpoint does not take that part's place.
    let span = json!([{
        "id": "0000000000000001", "traceId": "0000000000000001",
        "remoteEndpoint": {"serviceName": "mysql", "ipv4": "10.0.0.1", "port": 3306},
        "tags": {"peer.service": "database", "network.peer.port": "tag", "network.peer.address": "host"},
    }]);
    let batch = one(&span.to_string()).batch;
    let written: Value = serde_json::from_str(&wire::zipkin::encode_json(batch.spans())).unwrap();
    assert_eq!(written, span);
}

#[test]
fn limits_hold_for_zipkin() {
    // Guarantees that tags and annotations over the limits are dropped and counted, and that large spans are refused.
    let tags: BTreeMap<String, String> = (0..5).map(|n| (format!("k{n}"), "v".repeat(20))).collect();
    let span = json!({"traceId": "1", "id": "1", "tags": tags, "annotations": [{"value": "a"}, {"value": "b"}]});
    let limits = Limits { attributes_max: 3, events_max: 1, value_bytes_max: 10, ..Limits::DEFAULT };
    let decoded = decode(Format::ZipkinJson, json!([span]).to_string().as_bytes(), &limits).unwrap();
    let row = decoded.batch.span(0).row();
    assert_eq!((row.dropped_attributes_count, row.dropped_events_count), (2, 1));
    assert_eq!(decoded.batch.span(0).attribute("k0"), Some(ValueRef::Str("vvvvvvvvvv")));
    let limits = Limits { span_bytes_max: 100, ..Limits::DEFAULT };
    let decoded = decode(Format::ZipkinJson, json!([span]).to_string().as_bytes(), &limits).unwrap();
    assert_eq!((decoded.batch.len(), decoded.report.count(Reason::SpanTooLarge)), (0, 1));
}
