//! Traces that can be computed again: everything in trace `n` of a seed follows from the two numbers.
//!
//! `n` is when the trace starts, in Unix microseconds, and is half of its id, so that a trace found anywhere can be computed
//! again by whoever knows the seed. Written with OpenTelemetry's own protobuf types, compared in the words of the API.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use serde_json::{Value, json};

use crate::demo::random::Random;

/// Attributes that every span has, to be searched by.
pub(crate) const TRACE_KEY: &str = "witness.trace";
/// And those that only the root has.
pub(crate) const ROOT_KEY: &str = "witness.root";
const SCOPE: &str = "longspan-witness";
const SPANS_MAX: u64 = 8;
/// Spans of a trace on average.
pub(crate) const SPANS_TYPICAL: f64 = 4.5;
const SERVICES: u64 = 3;
const TEXTS: [&str; 5] = ["plain", "ünïcödé ☃ 実", "", "\"quoted\" \\ and\nbroken", "<b>not markup</b> & %20"];
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const CODES: [&str; 3] = ["unset", "ok", "error"];

/// A trace as it was written and has to be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trace {
    pub(crate) id: [u8; 16],
    pub(crate) spans: Vec<Expected>,
    service: String,
}

/// A span as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    otlp: Span,
    /// The span in the words of the API, in the form that [`canonical`] gives.
    pub(crate) shape: Value,
}

/// The first half of the ids of all traces of a seed.
fn seed_half(seed: u64) -> u64 {
    Random::new(seed).next_u64() | 1
}

/// The `n` of a trace of this seed, by its id in hex.
pub(crate) fn number_of(seed: u64, trace_id: &str) -> Option<u64> {
    let (first, second) = trace_id.split_at_checked(16)?;
    (u64::from_str_radix(first, 16).ok()? == seed_half(seed)).then(|| u64::from_str_radix(second, 16).ok())?
}

/// The text in [`TRACE_KEY`].
pub(crate) fn trace_text(seed: u64, n: u64) -> String {
    format!("{seed:x}-{n}")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

fn trace_id(seed: u64, n: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&seed_half(seed).to_be_bytes());
    id[8..].copy_from_slice(&n.to_be_bytes());
    id
}

/// Trace `n` of a seed.
pub(crate) fn trace(seed: u64, n: u64) -> Trace {
    let mut random = Random::new(seed ^ n.rotate_left(29));
    let id = trace_id(seed, n);
    let service = format!("longspan-witness-{}", n % SERVICES);
    let mut spans: Vec<Expected> = Vec::new();
    for number in 0..=below(&mut random, SPANS_MAX) {
        let parent = spans.get(below(&mut random, number.max(1)) as usize).map(|span| span.otlp.span_id.clone());
        let otlp = otlp_span(&mut random, (seed, n, number), id, parent);
        let shape = shape(&otlp, &service);
        spans.push(Expected { otlp, shape });
    }
    Trace { id, spans, service }
}

fn below(random: &mut Random, bound: u64) -> u64 {
    random.next_u64() % bound
}

fn otlp_span(random: &mut Random, (seed, n, number): (u64, u64, u64), id: [u8; 16], parent: Option<Vec<u8>>) -> Span {
    let start = n * 1_000 + number * 1_000_000;
    let text = TEXTS[below(random, TEXTS.len() as u64) as usize].repeat(1 + below(random, 20) as usize);
    let mut attributes = vec![
        pair(TRACE_KEY, any_value::Value::StringValue(trace_text(seed, n))),
        pair("witness.text", any_value::Value::StringValue(text)),
        pair("witness.int", any_value::Value::IntValue(random.next_u64() as i64)),
        pair("witness.double", any_value::Value::DoubleValue(below(random, 1 << 20) as f64 / 8.0)),
        pair("witness.bool", any_value::Value::BoolValue(below(random, 2) == 0)),
    ];
    if number == 0 {
        attributes.push(pair(ROOT_KEY, any_value::Value::BoolValue(true)));
    }
    if below(random, 4) == 0 {
        let item = |value| AnyValue { value: Some(any_value::Value::StringValue(value)) };
        let values = (0..below(random, 4)).map(|place| item(format!("item {place}"))).collect();
        attributes.push(pair("witness.list", any_value::Value::ArrayValue(ArrayValue { values })));
    }
    let event = |place: u64| span::Event {
        time_unix_nano: start + place,
        name: "witness.event".to_owned(),
        attributes: vec![pair("place", any_value::Value::IntValue(place as i64))],
        dropped_attributes_count: 0,
    };
    let link = |place: u64| span::Link {
        trace_id: trace_id(seed, n - 1 - place).to_vec(),
        span_id: (place + 1).to_be_bytes().to_vec(),
        attributes: vec![pair("place", any_value::Value::IntValue(place as i64))],
        ..span::Link::default()
    };
    Span {
        trace_id: id.to_vec(),
        // Numbered, so that no two spans of a trace are the same by chance.
        span_id: (random.next_u64() << 8 | (number + 1)).to_be_bytes().to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        name: format!("operation {}", below(random, 5)),
        kind: below(random, KINDS.len() as u64) as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + below(random, 2_000_000_000),
        attributes,
        events: (0..below(random, 3)).map(event).collect(),
        links: (0..below(random, 4) / 2).map(link).collect(),
        status: Some(match below(random, 7) {
            0 => Status { code: 2, message: "went wrong on purpose".to_owned() },
            1 => Status { code: 1, message: String::new() },
            _ => Status::default(),
        }),
        ..Span::default()
    }
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn shape(span: &Span, service: &str) -> Value {
    let status = span.status.clone().unwrap_or_default();
    json!({
        "span_id": hex(&span.span_id),
        "parent_span_id": (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        "service": service,
        "scope": SCOPE,
        "name": span.name,
        "kind": KINDS[span.kind as usize],
        "start_unix_nano": span.start_time_unix_nano.to_string(),
        "duration_ns": span.end_time_unix_nano - span.start_time_unix_nano,
        "status": [CODES[status.code as usize], status.message],
        "attributes": attributes(&span.attributes),
        "events": span.events.iter().map(|event| {
            json!([event.time_unix_nano.to_string(), event.name, attributes(&event.attributes)])
        }).collect::<Vec<_>>(),
        "links": span.links.iter().map(|link| {
            json!([hex(&link.trace_id), hex(&link.span_id), attributes(&link.attributes)])
        }).collect::<Vec<_>>(),
    })
}

fn attributes(pairs: &[KeyValue]) -> Value {
    let mut sorted: Vec<_> = pairs.iter().map(|pair| (pair.key.clone(), value(pair.value.as_ref()))).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    json!(sorted)
}

fn value(value: Option<&AnyValue>) -> Value {
    use any_value::Value::{ArrayValue, BoolValue, DoubleValue, IntValue, StringValue};
    match value.and_then(|value| value.value.as_ref()) {
        Some(StringValue(text)) => json!(["string", text]),
        Some(IntValue(number)) => json!(["int", number.to_string()]),
        Some(DoubleValue(number)) => json!(["double", number]),
        Some(BoolValue(bit)) => json!(["bool", bit]),
        Some(ArrayValue(items)) => {
            let texts = items.values.iter().map(|item| match &item.value {
                Some(StringValue(text)) => text.clone(),
                _ => String::new(),
            });
            json!(["array", texts.collect::<Vec<_>>()])
        }
        _ => Value::Null,
    }
}

/// A span out of the API's answer in the form of [`Expected::shape`]; `answer` is the whole trace.
pub(crate) fn canonical(answer: &Value, span: &Value) -> Value {
    let scope = span["scope"].as_u64().map_or(&Value::Null, |scope| &answer["scopes"][scope as usize]);
    let owned = |owner: &Value| {
        let all = owner["attributes"].as_array().into_iter().flatten();
        let mut sorted: Vec<(String, Value)> = all
            .map(|pair| (pair["key"].as_str().unwrap_or_default().to_owned(), json!([pair["type"], pair["value"]])))
            .collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        json!(sorted)
    };
    let list = |name: &str| span[name].as_array().into_iter().flatten();
    json!({
        "span_id": span["span_id"],
        "parent_span_id": span["parent_span_id"],
        "service": span["service"],
        "scope": scope["name"],
        "name": span["name"],
        "kind": span["kind"],
        "start_unix_nano": span["start_unix_nano"],
        "duration_ns": span["duration_ns"],
        "status": [span["status"]["code"], span["status"]["message"]],
        "attributes": owned(span),
        "events": list("events").map(|event| json!([event["time_unix_nano"], event["name"], owned(event)])).collect::<Vec<_>>(),
        "links": list("links").map(|link| json!([link["trace_id"], link["span_id"], owned(link)])).collect::<Vec<_>>(),
    })
}

/// A request with the spans of some traces that `wanted` picks by their number within the trace.
pub(crate) fn request(traces: &[Trace], wanted: impl Fn(usize, usize) -> bool) -> ExportTraceServiceRequest {
    let resource_spans = traces.iter().enumerate().map(|(place, trace)| {
        let picked = trace.spans.iter().enumerate().filter(|(number, _)| wanted(place, *number));
        let scope = InstrumentationScope { name: SCOPE.to_owned(), ..InstrumentationScope::default() };
        let spans = picked.map(|(_, span)| span.otlp.clone()).collect();
        let attributes = vec![pair("service.name", any_value::Value::StringValue(trace.service.clone()))];
        ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_follows_from_two_numbers() {
        // Guarantees that the same numbers give the same trace, others another one, and that the id tells the number.
        let (one, again, other) = (trace(5, 1_000_000), trace(5, 1_000_000), trace(5, 1_000_001));
        assert_eq!(one, again);
        assert_ne!(one.spans, other.spans);
        assert_eq!(number_of(5, &hex(&one.id)), Some(1_000_000));
        assert_eq!(number_of(6, &hex(&one.id)), None);
        let ids: std::collections::BTreeSet<_> = one.spans.iter().map(|span| span.otlp.span_id.clone()).collect();
        assert_eq!(ids.len(), one.spans.len());
    }
}
