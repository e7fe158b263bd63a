//! Batches of odd spans: every kind of value, unknown kinds, empty texts, repeated keys, links and events, duplicates.

use std::fmt::Write;

use model::{
    Attributes, Link, NOTE_TIME_OUT_OF_RANGE, Resource, Scope, SpanBatch, SpanId, SpanRef, SpanRow, TextTable, TraceId,
    Value,
};

use crate::rng::Rng;

/// How odd the batches are.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Traces are drawn from so many.
    pub traces: u64,
    /// Span ids within a trace are drawn from so many; few give duplicates.
    pub spans_of_trace: u64,
    /// The earliest start, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// Starts lie within so many nanoseconds.
    pub range_ns: u64,
}

impl Default for Shape {
    fn default() -> Self {
        let (start_unix_nano, range_ns) = (1_795_100_000_000_000_000, 3 * 86_400_000_000_000);
        Shape { traces: 40, spans_of_trace: 30, start_unix_nano, range_ns }
    }
}

const KEYS: [&str; 9] =
    ["http.request.method", "order.id", "näme", "", "messaging.message.id", "n", "flag", "ratio", "weird \" key\n"];
const TEXTS: [&str; 8] =
    ["GET", "POST", "", "ünïcode ☃", "true", "5", "{\"json\":1}", "a rather longer text, with commas"];
const SERVICES: [&str; 4] = ["order", "payment", "", "email"];

/// A batch of `count` spans.
pub fn random_batch(rng: &mut Rng, shape: &Shape, count: usize) -> SpanBatch {
    let mut batch = SpanBatch::default();
    for _ in 0..=rng.below(2) {
        push_context(rng, &mut batch);
    }
    for _ in 0..count {
        push_span(rng, shape, &mut batch);
    }
    batch
}

fn push_context(rng: &mut Rng, batch: &mut SpanBatch) {
    let service = *rng.pick(&SERVICES);
    let service_name = batch.text.intern(service.as_bytes());
    if !service.is_empty() {
        let key = batch.text.intern(b"service.name");
        batch.resource_attributes.push(key, Value::Str(service_name));
    }
    push_attributes(rng, &mut batch.text, &mut batch.resource_attributes, 3);
    let dropped_attributes_count = rng.below(3) as u32;
    let schema_url = batch.text.intern(rng.pick(&["", "https://opentelemetry.io/schemas/1.44.0"]).as_bytes());
    let resource =
        batch.push_resource(Resource { service_name, attributes: 0..0, dropped_attributes_count, schema_url });
    for _ in 0..=rng.below(2) {
        push_attributes(rng, &mut batch.text, &mut batch.scope_attributes, 2);
        let scope = Scope {
            resource,
            name: batch.text.intern(rng.pick(&["", "pika", "kafkajs"]).as_bytes()),
            version: batch.text.intern(rng.pick(&["", "1.0"]).as_bytes()),
            attributes: 0..0,
            dropped_attributes_count,
            schema_url,
        };
        batch.push_scope(scope);
    }
}

fn push_attributes(rng: &mut Rng, text: &mut TextTable, pool: &mut Attributes, most: u64) {
    for _ in 0..rng.below(most + 1) {
        let key = text.intern(rng.pick(&KEYS).as_bytes());
        let value = random_value(rng, text);
        pool.push(key, value);
    }
}

fn random_value(rng: &mut Rng, text: &mut TextTable) -> Value {
    match rng.below(12) {
        0 => Value::Empty,
        1 => Value::Bool(rng.chance(2)),
        2 => Value::Int(*rng.pick(&[0, -1, 5, i64::MAX, i64::MIN])),
        3 => Value::Int(rng.below(1000) as i64),
        4 => Value::Double(*rng.pick(&[0.0, -0.0, 1.5, 5.0, f64::INFINITY, f64::NEG_INFINITY, 1e300])),
        5 => Value::Bytes(text.intern(&rng.next_u64().to_le_bytes())),
        6 => Value::Json(text.intern(rng.pick(&["[1,\"a\",null]", "{\"a\":{\"b\":[2.0]}}", "[]"]).as_bytes())),
        7 => Value::Str(text.intern(format!("id-{}", rng.below(100_000)).as_bytes())),
        _ => Value::Str(text.intern(rng.pick(&TEXTS).as_bytes())),
    }
}

fn push_span(rng: &mut Rng, shape: &Shape, batch: &mut SpanBatch) {
    let trace = rng.below(shape.traces);
    push_attributes(rng, &mut batch.text, &mut batch.attributes, 8);
    for _ in 0..rng.below(3) * rng.below(2) {
        push_attributes(rng, &mut batch.text, &mut batch.events.attributes, 3);
        let name = batch.text.intern(rng.pick(&["exception", "", "retry"]).as_bytes());
        batch.events.push(rng.next_u64() >> 1, name, rng.below(2) as u32);
    }
    for _ in 0..rng.below(3) * rng.below(2) {
        push_attributes(rng, &mut batch.text, &mut batch.links.attributes, 3);
        batch.links.push(Link {
            trace_id: trace_id(rng.below(shape.traces)),
            span_id: span_id(rng.below(shape.spans_of_trace)),
            trace_state: batch.text.intern(rng.pick(&["", "k=v"]).as_bytes()),
            flags: rng.below(4) as u32,
            dropped_attributes_count: rng.below(2) as u32,
        });
    }
    let start_unix_nano = shape.start_unix_nano + rng.below(shape.range_ns);
    let duration = *rng.pick(&[0, 1_000, 20_000_000, 3_000_000_000, u64::MAX - 5]);
    let parent = if rng.chance(4) { SpanId::ZERO } else { span_id(rng.below(shape.spans_of_trace)) };
    let row = SpanRow {
        trace_id: trace_id(trace),
        span_id: span_id(rng.below(shape.spans_of_trace)),
        parent_span_id: parent,
        start_unix_nano,
        end_unix_nano: start_unix_nano.wrapping_add(duration),
        name: batch.text.intern(rng.pick(&["POST /order", "orders publish", "orders process", ""]).as_bytes()),
        kind: *rng.pick(&[0, 1, 2, 3, 4, 5, 17, -3]),
        status_code: *rng.pick(&[0, 1, 2, 9]),
        status_message: batch.text.intern(rng.pick(&["", "declined"]).as_bytes()),
        trace_state: batch.text.intern(rng.pick(&["", "vendor=1"]).as_bytes()),
        flags: rng.below(1 << 20) as u32,
        dropped_attributes_count: rng.below(2) as u32,
        dropped_events_count: rng.below(2) as u32,
        dropped_links_count: rng.below(2) as u32,
        scope: rng.below(batch.scopes.len() as u64) as u32,
        notes: if rng.chance(50) { NOTE_TIME_OUT_OF_RANGE } else { 0 },
    };
    batch.push_span(row);
}

/// The id of trace `number`; never zero.
pub fn trace_id(number: u64) -> TraceId {
    let mut id = [7; 16];
    id[8..].copy_from_slice(&Rng::new(number).next_u64().to_be_bytes());
    TraceId(id)
}

/// The id of span `number`; never zero.
pub fn span_id(number: u64) -> SpanId {
    SpanId((number + 1).to_be_bytes())
}

/// All that a span says, as text; two spans are equal when their texts are. Attributes are sorted, as their order means nothing.
pub fn normal_form(span: SpanRef<'_>) -> String {
    let row = span.row();
    let mut text = String::new();
    let out = &mut text;
    let (scope, resource) = (span.scope(), span.resource());
    let batch = span.batch;
    writeln!(
        out,
        "{}/{} parent {} kind {} status {} {:?} {:?} {}..{} flags {} dropped {} {} {} notes {} state {:?}",
        row.trace_id,
        row.span_id,
        row.parent_span_id,
        row.kind,
        row.status_code,
        span.status_message(),
        span.name(),
        row.start_unix_nano,
        row.end_unix_nano,
        row.flags,
        row.dropped_attributes_count,
        row.dropped_events_count,
        row.dropped_links_count,
        row.notes,
        span.trace_state()
    )
    .expect("writing to a string");
    pairs(out, "span", span.attributes());
    let head = (batch.text.str(scope.name), batch.text.str(scope.version), batch.text.str(scope.schema_url));
    writeln!(out, "scope {head:?} dropped {}", scope.dropped_attributes_count).expect("writing to a string");
    pairs(out, "scope", batch.attributes_of_scope(scope));
    let head = (span.service_name(), batch.text.str(resource.schema_url));
    writeln!(out, "resource {head:?} dropped {}", resource.dropped_attributes_count).expect("writing to a string");
    pairs(out, "resource", batch.attributes_of_resource(resource));
    for event in span.events() {
        let dropped = event.dropped_attributes_count();
        writeln!(out, "event {:?} at {} dropped {dropped}", event.name(), event.time_unix_nano())
            .expect("writing to a string");
        pairs(out, "event", event.attributes());
    }
    for link in span.links() {
        let rest = (link.trace_state(), link.flags(), link.dropped_attributes_count());
        writeln!(out, "link {}/{} {rest:?}", link.trace_id(), link.span_id()).expect("writing to a string");
        pairs(out, "link", link.attributes());
    }
    text
}

fn pairs<'a>(out: &mut String, level: &str, attributes: impl Iterator<Item = model::AttributeRef<'a>>) {
    let mut lines: Vec<String> =
        attributes.map(|pair| format!("  {level} {:?} = {:?}", pair.key, pair.value)).collect();
    lines.sort();
    for line in lines {
        out.push_str(&line);
        out.push('\n');
    }
}
