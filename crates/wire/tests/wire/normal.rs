//! One readable text of spans, from a batch and from prost's messages alike; what tests compare.

use std::fmt::Write;

use model::{AttributeRef, Nested, SpanBatch, ValueRef};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData, span};

/// The depth to which arrays and maps are kept; the default limit.
const DEPTH_MAX: usize = 32;

/// The spans of a batch, with everything they have.
pub(crate) fn of_batch(batch: &SpanBatch) -> String {
    let mut out = String::new();
    for span in batch.spans() {
        let (row, resource, scope) = (span.row(), span.resource(), span.scope());
        let text = |id| batch.text.str(id);
        let resource_attributes = of_attributes(batch.attributes_of_resource(resource));
        line(
            &mut out,
            "resource",
            &[&resource_attributes, &resource.dropped_attributes_count, &text(resource.schema_url)],
        );
        line(&mut out, "  service", &[&span.service_name()]);
        let scope_attributes = of_attributes(batch.attributes_of_scope(scope));
        let (name, version) = (text(scope.name), text(scope.version));
        line(
            &mut out,
            "  scope",
            &[&name, &version, &scope_attributes, &scope.dropped_attributes_count, &text(scope.schema_url)],
        );
        line(&mut out, "  span", &[&row.trace_id, &row.span_id, &row.parent_span_id, &span.name(), &row.kind]);
        line(&mut out, "    times", &[&row.start_unix_nano, &row.end_unix_nano]);
        line(&mut out, "    status", &[&row.status_code, &span.status_message()]);
        line(&mut out, "    context", &[&span.trace_state(), &row.flags]);
        let dropped = [row.dropped_attributes_count, row.dropped_events_count, row.dropped_links_count];
        line(&mut out, "    attributes", &[&of_attributes(span.attributes()), &dropped]);
        for event in span.events() {
            let attributes = of_attributes(event.attributes());
            line(
                &mut out,
                "    event",
                &[&event.time_unix_nano(), &event.name(), &attributes, &event.dropped_attributes_count()],
            );
        }
        for link in span.links() {
            let attributes = of_attributes(link.attributes());
            let (state, flags, dropped) = (link.trace_state(), link.flags(), link.dropped_attributes_count());
            line(&mut out, "    link", &[&link.trace_id(), &link.span_id(), &state, &flags, &attributes, &dropped]);
        }
    }
    out
}

fn line(out: &mut String, what: &str, parts: &[&dyn std::fmt::Debug]) {
    write!(out, "{what}").unwrap();
    for part in parts {
        write!(out, " {part:?}").unwrap();
    }
    out.push('\n');
}

fn of_attributes<'a>(attributes: impl Iterator<Item = AttributeRef<'a>>) -> Vec<(String, Nested)> {
    attributes.map(|attribute| (attribute.key.to_owned(), of_value(attribute.value))).collect()
}

fn of_value(value: ValueRef<'_>) -> Nested {
    match value {
        ValueRef::Empty => Nested::Empty,
        ValueRef::Str(text) => Nested::Str(text.to_owned()),
        ValueRef::Bool(value) => Nested::Bool(value),
        ValueRef::Int(value) => Nested::Int(value),
        ValueRef::Double(value) => Nested::Double(value),
        ValueRef::Bytes(bytes) => Nested::Bytes(bytes.to_owned()),
        ValueRef::Json(text) => Nested::parse(text).unwrap(),
    }
}

/// The same of prost's messages, for data within the limits.
pub(crate) fn of_prost(data: &TracesData) -> String {
    let mut out = String::new();
    for resource in &data.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let valid = |id: &[u8], length| id.len() == length && id.iter().any(|&byte| byte != 0);
                if valid(&span.trace_id, 16) && valid(&span.span_id, 8) {
                    prost_span(&mut out, resource, scope, span);
                }
            }
        }
    }
    out
}

fn prost_span(out: &mut String, resource_spans: &ResourceSpans, scope_spans: &ScopeSpans, span: &Span) {
    let resource = resource_spans.resource.clone().unwrap_or_default();
    let attributes = of_pairs(&resource.attributes);
    line(out, "resource", &[&attributes, &resource.dropped_attributes_count, &resource_spans.schema_url]);
    let service = attributes.iter().rfind(|(key, _)| key == "service.name").map(|(_, value)| service_text(value));
    line(out, "  service", &[&service.unwrap_or_default()]);
    let scope = scope_spans.scope.clone().unwrap_or_default();
    let attributes = of_pairs(&scope.attributes);
    let (dropped, schema_url) = (scope.dropped_attributes_count, &scope_spans.schema_url);
    line(out, "  scope", &[&scope.name, &scope.version, &attributes, &dropped, schema_url]);
    let parent: [u8; 8] = span.parent_span_id.as_slice().try_into().unwrap_or_default();
    line(out, "  span", &[&hex(&span.trace_id), &hex(&span.span_id), &hex(&parent), &span.name, &span.kind]);
    line(out, "    times", &[&span.start_time_unix_nano, &span.end_time_unix_nano]);
    let status = span.status.clone().unwrap_or_default();
    line(out, "    status", &[&status.code, &status.message]);
    line(out, "    context", &[&span.trace_state, &span.flags]);
    let (links, bad): (Vec<_>, Vec<_>) =
        span.links.iter().partition(|link| link.trace_id.len() == 16 && link.span_id.len() == 8);
    let links_dropped = span.dropped_links_count.saturating_add(bad.len() as u32);
    let dropped = [span.dropped_attributes_count, span.dropped_events_count, links_dropped];
    line(out, "    attributes", &[&of_pairs(&span.attributes), &dropped]);
    for span::Event { time_unix_nano, name, attributes, dropped_attributes_count } in &span.events {
        line(out, "    event", &[time_unix_nano, name, &of_pairs(attributes), dropped_attributes_count]);
    }
    for link in links {
        let (attributes, dropped) = (of_pairs(&link.attributes), link.dropped_attributes_count);
        let (trace_id, span_id) = (hex(&link.trace_id), hex(&link.span_id));
        line(out, "    link", &[&trace_id, &span_id, &link.trace_state, &link.flags, &attributes, &dropped]);
    }
}

/// Prints as ids do.
struct Hex(String);

impl std::fmt::Debug for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex(bytes: &[u8]) -> Hex {
    Hex(hex_text(bytes))
}

/// Lower-case hex.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    let digits = |&byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

fn service_text(value: &Nested) -> String {
    match value {
        Nested::Empty => String::new(),
        Nested::Str(text) => text.clone(),
        Nested::Bool(value) => ValueRef::Bool(*value).comparison_text().into_owned(),
        Nested::Int(value) => ValueRef::Int(*value).comparison_text().into_owned(),
        Nested::Double(value) => ValueRef::Double(*value).comparison_text().into_owned(),
        Nested::Bytes(bytes) => ValueRef::Bytes(bytes).comparison_text().into_owned(),
        nested => {
            let mut writer = model::nested::NestedWriter::default();
            nested.write(&mut writer);
            writer.text().to_owned()
        }
    }
}

fn of_pairs(pairs: &[KeyValue]) -> Vec<(String, Nested)> {
    pairs.iter().map(|pair| (pair.key.clone(), of_any(pair.value.as_ref(), 1))).collect()
}

/// A value whose array or map would be at `depth`.
fn of_any(value: Option<&AnyValue>, depth: usize) -> Nested {
    use any_value::Value;
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => Nested::Empty,
        Some(Value::StringValue(text)) => Nested::Str(text.clone()),
        Some(Value::BoolValue(value)) => Nested::Bool(*value),
        Some(Value::IntValue(value)) => Nested::Int(*value),
        Some(Value::DoubleValue(value)) => Nested::Double(*value),
        Some(Value::BytesValue(bytes)) => Nested::Bytes(bytes.clone()),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) if depth > DEPTH_MAX => Nested::Empty,
        Some(Value::ArrayValue(array)) => {
            Nested::Array(array.values.iter().map(|value| of_any(Some(value), depth + 1)).collect())
        }
        Some(Value::KvlistValue(map)) => {
            let entry = |entry: &KeyValue| (entry.key.clone(), of_any(entry.value.as_ref(), depth + 1));
            Nested::Map(map.values.iter().map(entry).collect())
        }
    }
}
