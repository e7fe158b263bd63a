//! Hand-checked payloads: what each becomes, and what it is written as.

use model::Limits;
use wire::{Format, decode};

use crate::normal::of_batch;
use crate::seeds;

fn pretty(json: &str) -> String {
    serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap()
}

#[test]
fn the_specifications_example() {
    // Guarantees that the example of the OTLP specification is read in full and written as the specification writes it.
    let body = include_bytes!("payloads/otlp-spec-trace.json");
    let decoded = decode(Format::OtlpJson, body, &Limits::DEFAULT).unwrap();
    assert_eq!(decoded.report.rejected_spans(), 0);
    insta::assert_snapshot!("otlp_spec_example_batch", of_batch(&decoded.batch));
    insta::assert_snapshot!("otlp_spec_example_json", pretty(&wire::otlp::encode_json(decoded.batch.spans())));
}

#[test]
fn a_span_with_everything() {
    // Guarantees that every field of OTLP protobuf has its place in the batch and in OTLP JSON.
    let decoded = decode(Format::OtlpProtobuf, &seeds::otlp_protobuf()[0], &Limits::DEFAULT).unwrap();
    insta::assert_snapshot!("otlp_everything_batch", of_batch(&decoded.batch));
    insta::assert_snapshot!("otlp_everything_json", pretty(&wire::otlp::encode_json(decoded.batch.spans())));
    insta::assert_snapshot!("otlp_everything_zipkin", pretty(&wire::zipkin::encode_json(decoded.batch.spans())));
}

#[test]
fn zipkin_spans() {
    // Guarantees that what native Zipkin senders say is read, and given back as it was.
    let body = include_str!("payloads/zipkin-lens.json");
    let decoded = decode(Format::ZipkinJson, body.as_bytes(), &Limits::DEFAULT).unwrap();
    assert_eq!(decoded.batch.resources.len(), 3, "one resource an endpoint");
    insta::assert_snapshot!("zipkin_lens_batch", of_batch(&decoded.batch));
    assert_eq!(pretty(&wire::zipkin::encode_json(decoded.batch.spans())), pretty(body));
}

#[test]
fn zipkin_spans_of_opentelemetry() {
    // Guarantees that what OpenTelemetry's exporters hide in tags is understood.
    let body = include_str!("payloads/zipkin-otel.json");
    let decoded = decode(Format::ZipkinJson, body.as_bytes(), &Limits::DEFAULT).unwrap();
    insta::assert_snapshot!("zipkin_otel_batch", of_batch(&decoded.batch));
    insta::assert_snapshot!("zipkin_otel_json", pretty(&wire::zipkin::encode_json(decoded.batch.spans())));
}
