//! `TracesData` as JSON, as the OTLP specification writes it: lowerCamelCase, hex ids, 64-bit integers as strings, enums as
//! numbers, fields with default values left out.

use model::{AttributeRef, EventRef, LinkRef, Nested, SpanRef, ValueRef};

use super::group::{ResourceGroup, ScopeGroup, group};
use crate::json_writer::JsonWriter;

/// Spans as one `TracesData` object, `{"resourceSpans": […]}`, grouped by resource and scope.
pub fn encode_json<'a>(spans: impl Iterator<Item = SpanRef<'a>>) -> String {
    let mut out = JsonWriter::default();
    out.object(|out| {
        out.array_field("resourceSpans", |out| {
            for resource in group(spans) {
                out.object(|out| resource_spans(out, &resource));
            }
        });
    });
    out.finish()
}

fn resource_spans(out: &mut JsonWriter, group: &ResourceGroup<'_>) {
    let (batch, resource) = (group.any.batch, group.any.resource());
    out.object_field("resource", |out| {
        attributes(out, batch.attributes_of_resource(resource));
        out.count_field("droppedAttributesCount", resource.dropped_attributes_count);
    });
    out.array_field("scopeSpans", |out| {
        for scope in &group.scopes {
            out.object(|out| scope_spans(out, scope));
        }
    });
    out.text_field("schemaUrl", batch.text.str(resource.schema_url));
}

fn scope_spans(out: &mut JsonWriter, group: &ScopeGroup<'_>) {
    let (batch, scope) = (group.any.batch, group.any.scope());
    out.object_field("scope", |out| {
        out.text_field("name", batch.text.str(scope.name));
        out.text_field("version", batch.text.str(scope.version));
        attributes(out, batch.attributes_of_scope(scope));
        out.count_field("droppedAttributesCount", scope.dropped_attributes_count);
    });
    out.array_field("spans", |out| {
        for &each in &group.spans {
            out.object(|out| span(out, each));
        }
    });
    out.text_field("schemaUrl", batch.text.str(scope.schema_url));
}

fn span(out: &mut JsonWriter, span: SpanRef<'_>) {
    let row = span.row();
    out.plain_field("traceId", row.trace_id);
    out.plain_field("spanId", row.span_id);
    out.text_field("traceState", span.trace_state());
    if let Some(parent) = span.parent_span_id() {
        out.plain_field("parentSpanId", parent);
    }
    out.count_field("flags", row.flags);
    out.string_field("name", span.name());
    out.bare_field("kind", row.kind);
    out.plain_field("startTimeUnixNano", row.start_unix_nano);
    out.plain_field("endTimeUnixNano", row.end_unix_nano);
    attributes(out, span.attributes());
    out.count_field("droppedAttributesCount", row.dropped_attributes_count);
    if span.events().next().is_some() {
        out.array_field("events", |out| span.events().for_each(|each| out.object(|out| event(out, each))));
    }
    out.count_field("droppedEventsCount", row.dropped_events_count);
    if span.links().next().is_some() {
        out.array_field("links", |out| span.links().for_each(|each| out.object(|out| link(out, each))));
    }
    out.count_field("droppedLinksCount", row.dropped_links_count);
    out.object_field("status", |out| {
        out.text_field("message", span.status_message());
        if row.status_code != 0 {
            out.bare_field("code", row.status_code);
        }
    });
}

fn event(out: &mut JsonWriter, event: EventRef<'_>) {
    out.plain_field("timeUnixNano", event.time_unix_nano());
    out.string_field("name", event.name());
    attributes(out, event.attributes());
    out.count_field("droppedAttributesCount", event.dropped_attributes_count());
}

fn link(out: &mut JsonWriter, link: LinkRef<'_>) {
    out.plain_field("traceId", link.trace_id());
    out.plain_field("spanId", link.span_id());
    out.text_field("traceState", link.trace_state());
    attributes(out, link.attributes());
    out.count_field("droppedAttributesCount", link.dropped_attributes_count());
    out.count_field("flags", link.flags());
}

fn attributes<'a>(out: &mut JsonWriter, mut attributes: impl Iterator<Item = AttributeRef<'a>> + Clone) {
    if attributes.clone().next().is_none() {
        return;
    }
    out.array_field("attributes", |out| {
        attributes.by_ref().for_each(|attribute| {
            out.object(|out| {
                out.string_field("key", attribute.key);
                out.object_field("value", |out| any_value(out, attribute.value));
            });
        });
    });
}

fn any_value(out: &mut JsonWriter, value: ValueRef<'_>) {
    match value {
        ValueRef::Empty => {}
        ValueRef::Str(text) => out.string_field("stringValue", text),
        ValueRef::Bool(value) => out.bare_field("boolValue", value),
        ValueRef::Int(value) => out.plain_field("intValue", value),
        ValueRef::Double(value) => {
            out.name("doubleValue");
            out.double(value);
        }
        ValueRef::Bytes(bytes) => {
            out.name("bytesValue");
            out.base64(bytes);
        }
        // The text is our own; should it not parse, it is still worth showing.
        ValueRef::Json(text) => match Nested::parse(text) {
            Ok(value) => nested(out, &value),
            Err(_) => out.string_field("stringValue", text),
        },
    }
}

fn nested(out: &mut JsonWriter, value: &Nested) {
    match value {
        Nested::Empty => {}
        Nested::Bool(value) => any_value(out, ValueRef::Bool(*value)),
        Nested::Int(value) => any_value(out, ValueRef::Int(*value)),
        Nested::Double(value) => any_value(out, ValueRef::Double(*value)),
        Nested::Str(value) => any_value(out, ValueRef::Str(value)),
        Nested::Bytes(value) => any_value(out, ValueRef::Bytes(value)),
        Nested::Array(items) => out.object_field("arrayValue", |out| {
            out.array_field("values", |out| items.iter().for_each(|item| out.object(|out| nested(out, item))));
        }),
        Nested::Map(entries) => out.object_field("kvlistValue", |out| {
            out.array_field("values", |out| {
                for (key, item) in entries {
                    out.object(|out| {
                        out.string_field("key", key);
                        out.object_field("value", |out| nested(out, item));
                    });
                }
            });
        }),
    }
}
