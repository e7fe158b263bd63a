//! `TracesData` as protobuf, written by hand as it is read.

use model::{AttributeRef, EventRef, LinkRef, Nested, SpanId, SpanRef, ValueRef};

use super::group::{ResourceGroup, ScopeGroup, group};
use crate::protobuf::Writer;

/// Spans as one `TracesData` (the same bytes are an `ExportTraceServiceRequest`), grouped by resource and scope.
pub fn encode_protobuf<'a>(spans: impl Iterator<Item = SpanRef<'a>>) -> Vec<u8> {
    let mut out = Writer::default();
    for resource in group(spans) {
        out.message(1, |out| resource_spans(out, &resource));
    }
    out.bytes
}

fn resource_spans(out: &mut Writer, group: &ResourceGroup<'_>) {
    let (batch, resource) = (group.any.batch, group.any.resource());
    out.message(1, |out| {
        attributes(out, 1, batch.attributes_of_resource(resource));
        out.uint(2, resource.dropped_attributes_count);
    });
    for scope in &group.scopes {
        out.message(2, |out| scope_spans(out, scope));
    }
    out.blob(3, batch.text.bytes(resource.schema_url));
}

fn scope_spans(out: &mut Writer, group: &ScopeGroup<'_>) {
    let (batch, scope) = (group.any.batch, group.any.scope());
    out.message(1, |out| {
        out.blob(1, batch.text.bytes(scope.name));
        out.blob(2, batch.text.bytes(scope.version));
        attributes(out, 3, batch.attributes_of_scope(scope));
        out.uint(4, scope.dropped_attributes_count);
    });
    for &each in &group.spans {
        out.message(2, |out| span(out, each));
    }
    out.blob(3, batch.text.bytes(scope.schema_url));
}

fn span(out: &mut Writer, span: SpanRef<'_>) {
    let row = span.row();
    out.blob(1, &row.trace_id.0);
    out.blob(2, &row.span_id.0);
    out.blob(3, span.trace_state().as_bytes());
    out.blob(4, span.parent_span_id().as_ref().map_or(&[], |SpanId(bytes)| bytes));
    out.blob(5, span.name().as_bytes());
    out.enumeration(6, row.kind);
    out.fixed64(7, row.start_unix_nano);
    out.fixed64(8, row.end_unix_nano);
    attributes(out, 9, span.attributes());
    out.uint(10, row.dropped_attributes_count);
    span.events().for_each(|each| out.message(11, |out| event(out, each)));
    out.uint(12, row.dropped_events_count);
    span.links().for_each(|each| out.message(13, |out| link(out, each)));
    out.uint(14, row.dropped_links_count);
    if row.status_code != 0 || !span.status_message().is_empty() {
        out.message(15, |out| {
            out.blob(2, span.status_message().as_bytes());
            out.enumeration(3, row.status_code);
        });
    }
    out.fixed32(16, row.flags);
}

fn event(out: &mut Writer, event: EventRef<'_>) {
    out.fixed64(1, event.time_unix_nano());
    out.blob(2, event.name().as_bytes());
    attributes(out, 3, event.attributes());
    out.uint(4, event.dropped_attributes_count());
}

fn link(out: &mut Writer, link: LinkRef<'_>) {
    out.blob(1, &link.trace_id().0);
    out.blob(2, &link.span_id().0);
    out.blob(3, link.trace_state().as_bytes());
    attributes(out, 4, link.attributes());
    out.uint(5, link.dropped_attributes_count());
    out.fixed32(6, link.flags());
}

fn attributes<'a>(out: &mut Writer, number: u32, attributes: impl Iterator<Item = AttributeRef<'a>>) {
    for attribute in attributes {
        out.message(number, |out| {
            out.blob(1, attribute.key.as_bytes());
            out.message(2, |out| any_value(out, attribute.value));
        });
    }
}

fn any_value(out: &mut Writer, value: ValueRef<'_>) {
    match value {
        ValueRef::Empty => {}
        ValueRef::Str(text) => out.present_blob(1, text.as_bytes()),
        ValueRef::Bool(value) => out.present_varint(2, value.into()),
        ValueRef::Int(value) => out.present_varint(3, value as u64),
        ValueRef::Double(value) => out.present_fixed64(4, value.to_bits()),
        ValueRef::Bytes(bytes) => out.present_blob(7, bytes),
        // The text is our own; should it not parse, it is still worth showing.
        ValueRef::Json(text) => match Nested::parse(text) {
            Ok(value) => nested(out, &value),
            Err(_) => out.present_blob(1, text.as_bytes()),
        },
    }
}

fn nested(out: &mut Writer, value: &Nested) {
    match value {
        Nested::Empty => {}
        Nested::Bool(value) => any_value(out, ValueRef::Bool(*value)),
        Nested::Int(value) => any_value(out, ValueRef::Int(*value)),
        Nested::Double(value) => any_value(out, ValueRef::Double(*value)),
        Nested::Str(value) => any_value(out, ValueRef::Str(value)),
        Nested::Bytes(value) => any_value(out, ValueRef::Bytes(value)),
        Nested::Array(items) => out.message(5, |out| {
            for item in items {
                out.message(1, |out| nested(out, item));
            }
        }),
        Nested::Map(entries) => out.message(6, |out| {
            for (key, item) in entries {
                out.message(1, |out| {
                    out.blob(1, key.as_bytes());
                    out.message(2, |out| nested(out, item));
                });
            }
        }),
    }
}
