//! Zipkin v1: what its annotations mean, and that Thrift means the same as JSON.

use model::Limits;
use serde_json::{Value, json};
use wire::{Format, Reason, decode};

use crate::normal::of_batch;
use crate::{seeds, thrift_seeds};

/// The v2 spans that a v1 body becomes.
fn v2(format: Format, body: &[u8]) -> Value {
    let decoded = decode(format, body, &Limits::DEFAULT).unwrap();
    assert_eq!(decoded.report.rejected_spans(), 0);
    serde_json::from_str(&wire::zipkin::encode_json(decoded.batch.spans())).unwrap()
}

fn of_json(spans: &Value) -> Value {
    v2(Format::ZipkinV1Json, spans.to_string().as_bytes())
}

#[test]
fn v1_json() {
    // Guarantees what becomes of a server's half with all that v1 can say, and of a message's two halves.
    let decoded = decode(Format::ZipkinV1Json, &seeds::zipkin_v1_json()[0], &Limits::DEFAULT).unwrap();
    insta::assert_snapshot!("zipkin_v1_json_batch", of_batch(&decoded.batch));
}

#[test]
fn v1_thrift() {
    // Guarantees that Thrift is read in full: both halves of a call under one id, typed annotations, 128-bit trace ids.
    let spans = v2(Format::ZipkinV1Thrift, &thrift_seeds::zipkin_v1_thrift()[0]);
    insta::assert_snapshot!("zipkin_v1_thrift_as_v2", serde_json::to_string_pretty(&spans).unwrap());
    let call = decode(Format::JaegerCompactCall, &thrift_seeds::jaeger_call(true)[1], &Limits::DEFAULT).unwrap();
    let own = decode(Format::ZipkinV1Thrift, &thrift_seeds::zipkin_v1_thrift()[0], &Limits::DEFAULT).unwrap();
    assert_eq!(of_batch(&call.batch), of_batch(&own.batch), "the agent's call for Zipkin's spans means the same");
}

#[test]
fn a_server_without_a_time_of_its_own_shares_its_span() {
    // Guarantees that the half which joined the caller's span is marked, and takes its times from its annotations.
    let endpoint = json!({"serviceName": "back"});
    let annotations = json!([{"timestamp": 10, "value": "sr", "endpoint": endpoint}, {"timestamp": 25, "value": "ss", "endpoint": endpoint}]);
    let joined = of_json(&json!([{"traceId": "1", "id": "2", "annotations": annotations}]));
    assert_eq!(
        (&joined[0]["shared"], &joined[0]["timestamp"], &joined[0]["duration"]),
        (&json!(true), &json!(10), &json!(15))
    );
    let own =
        of_json(&json!([{"traceId": "1", "id": "2", "timestamp": 9, "duration": 20, "annotations": annotations}]));
    assert_eq!((&own[0]["shared"], &own[0]["timestamp"], &own[0]["duration"]), (&Value::Null, &json!(9), &json!(20)));
}

#[test]
fn local_work_has_no_kind() {
    // Guarantees that a span of local work belongs to the service of its annotations, and that ids may be short.
    let spans = of_json(&json!([{"traceId": "a", "id": "b", "name": "compute", "timestamp": 1, "binaryAnnotations": [
        {"key": "lc", "value": "", "endpoint": {"serviceName": "worker"}}, {"key": "k", "value": "v"}]}]));
    assert_eq!(spans[0]["localEndpoint"]["serviceName"], "worker");
    assert_eq!((&spans[0]["kind"], &spans[0]["tags"]), (&Value::Null, &json!({"k": "v"})));
}

#[test]
fn many_small_parts_take_little_memory() {
    // Guarantees that a span of very many empty parts is refused for its size, in both versions, and does not spoil the others.
    let parts = vec!["{}"; 400_000].join(",");
    for (format, name) in [
        (Format::ZipkinV1Json, "binaryAnnotations"),
        (Format::ZipkinV1Json, "annotations"),
        (Format::ZipkinJson, "annotations"),
    ] {
        let body = format!(r#"[{{"traceId":"1","id":"2","{name}":[{parts}]}},{{"traceId":"1","id":"3"}}]"#);
        let decoded = decode(format, body.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!((decoded.batch.len(), decoded.report.count(Reason::SpanTooLarge)), (1, 1), "{name}");
    }
}
