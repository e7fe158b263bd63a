//! [`Intake`]: the records of one process into a batch. The module's head in `jaeger` says what goes where.

use std::collections::HashMap;

use model::{Level, Link, Scope, SpanKind, SpanRow, StatusCode, TextId, Value};

use super::record::{CHILD_OF, Process, Record, Tag, TagValue};
use crate::context::OpenResource;
use crate::report::Reason;
use crate::sink::{AttributeCount, Sink};

const FLAG_SAMPLED: u32 = 1;
const FLAG_DEBUG: u32 = 2;

/// Takes the spans of one process.
pub(super) struct Intake<'m, 'l> {
    pub(super) sink: &'m mut Sink<'l>,
    resource: OpenResource,
    scopes: HashMap<[TextId; 2], u32>,
}

/// The tags of a span that have a place in the model, and how many of the others the limits dropped.
#[derive(Default)]
struct Known<'a> {
    kind: i32,
    status_code: Option<i32>,
    status_message: &'a [u8],
    is_error: bool,
    trace_state: &'a [u8],
    /// Name and version.
    scope: [&'a [u8]; 2],
    attributes_dropped: u32,
}

impl<'m, 'l> Intake<'m, 'l> {
    pub(super) fn open(sink: &'m mut Sink<'l>) -> Self {
        let resource = sink.open_resource();
        Intake { sink, resource, scopes: HashMap::new() }
    }

    /// Says whose spans these are; before them or after them.
    pub(super) fn process(&mut self, process: &Process<'_>) {
        let count = &mut self.resource.attributes;
        if !process.service_name.is_empty() {
            let name = Tag { key: b"service.name", value: TagValue::Str(process.service_name) };
            attribute(self.sink, count, &name);
        }
        for tag in &process.tags {
            attribute(self.sink, count, tag);
        }
    }

    pub(super) fn close(self) {
        self.sink.close_resource(&self.resource);
    }

    /// Begins a span; whether there is room for it.
    pub(super) fn begin_span(&mut self) -> bool {
        self.sink.begin_span();
        !self.sink.is_overfull()
    }

    /// Adds the span of a record of so many bytes, or refuses it.
    pub(super) fn take(&mut self, record: &Record<'_>, bytes: usize) {
        if bytes > self.sink.limits.span_bytes_max {
            self.sink.refuse_large_span(bytes);
            return;
        }
        if self.refuse_invalid_ids(record) {
            return;
        }
        let known = known(self.sink, record);
        let scope = self.scope(known.scope);
        let sink = &mut *self.sink;
        let dropped_events_count = events(sink, record);
        let dropped_links_count = links(sink, record);
        let status_code = known.status_code.unwrap_or(if known.is_error { StatusCode::ERROR.0 } else { 0 });
        let row = SpanRow {
            trace_id: record.trace_id,
            span_id: record.span_id,
            parent_span_id: record.parent(),
            start_unix_nano: record.start_unix_nano,
            end_unix_nano: record.start_unix_nano.saturating_add(record.duration_ns),
            name: sink.text(record.name),
            kind: known.kind,
            status_code,
            status_message: sink.text(known.status_message),
            trace_state: sink.text(known.trace_state),
            flags: record.flags & FLAG_SAMPLED,
            dropped_attributes_count: known.attributes_dropped,
            dropped_events_count,
            dropped_links_count,
            scope,
            notes: 0,
        };
        sink.batch.push_span(row);
    }

    fn refuse_invalid_ids(&mut self, record: &Record<'_>) -> bool {
        if record.trace_id.is_zero() {
            let problem = format_args!("the trace id must be 64 or 128 bits, not all zero");
            self.sink.refuse_span(Reason::InvalidTraceId, problem);
        } else if record.span_id.is_zero() {
            let problem = format_args!("the span id must be 64 bits, not all zero");
            self.sink.refuse_span(Reason::InvalidSpanId, problem);
        }
        record.trace_id.is_zero() || record.span_id.is_zero()
    }

    fn scope(&mut self, name_and_version: [&[u8]; 2]) -> u32 {
        let sink = &mut *self.sink;
        let resource = sink.batch.resources.len() as u32 - 1;
        let texts = name_and_version.map(|text| sink.text(text));
        *self.scopes.entry(texts).or_insert_with(|| {
            let [name, version] = texts;
            sink.batch.push_scope(Scope { resource, name, version, ..Scope::default() })
        })
    }
}

/// Adds the attributes of a span, and answers what its other tags say.
fn known<'a>(sink: &mut Sink<'_>, record: &Record<'a>) -> Known<'a> {
    let mut known = Known::default();
    let mut count = AttributeCount::new(Level::Span);
    let has_status = record.tags.iter().any(|tag| tag.key == b"otel.status_code");
    for tag in &record.tags {
        if !known.take(tag, has_status) {
            attribute(sink, &mut count, tag);
        }
    }
    if record.flags & FLAG_DEBUG != 0 {
        attribute(sink, &mut count, &Tag { key: b"jaeger.debug", value: TagValue::Bool(true) });
    }
    if !record.warnings.is_empty()
        && let Some(key) = sink.key(&mut count, b"jaeger.warnings")
    {
        sink.begin_nested();
        sink.nested.begin_array();
        for warning in &record.warnings {
            if sink.nested_has_room() {
                sink.nested_string(warning);
            }
        }
        sink.nested.end_array();
        let value = sink.end_nested();
        sink.push(Level::Span, key, value);
    }
    known.attributes_dropped = count.dropped;
    known
}

impl<'a> Known<'a> {
    /// Whether a tag says something that has a place of its own; if not it is an attribute.
    fn take(&mut self, tag: &Tag<'a>, has_status: bool) -> bool {
        let text = match tag.value {
            TagValue::Str(text) => text,
            TagValue::Bool(true) if tag.key == b"error" => b"true",
            _ => return false,
        };
        let place = match tag.key {
            b"otel.status_description" => &mut self.status_message,
            b"w3c.tracestate" => &mut self.trace_state,
            b"otel.scope.name" => &mut self.scope[0],
            b"otel.scope.version" => &mut self.scope[1],
            // Exporters write the older name beside the newer one.
            b"otel.library.name" if self.scope[0].is_empty() || self.scope[0] == text => &mut self.scope[0],
            b"otel.library.version" if self.scope[1].is_empty() || self.scope[1] == text => &mut self.scope[1],
            _ => return self.take_word(tag, has_status),
        };
        *place = text;
        true
    }

    fn take_word(&mut self, tag: &Tag<'a>, has_status: bool) -> bool {
        let word = || tag.text().map(str::to_ascii_lowercase);
        match tag.key {
            b"span.kind" => {
                let kind = word().and_then(|word| SpanKind::from_name(&word)).filter(|kind| kind.0 > 0);
                self.kind = kind.map_or(self.kind, |kind| kind.0);
                kind.is_some()
            }
            b"otel.status_code" => {
                let code = word().and_then(|word| StatusCode::from_name(&word));
                self.status_code = code.map(|code| code.0).or(self.status_code);
                code.is_some()
            }
            b"error" if tag.is_true() => {
                self.is_error = true;
                // Beside a status that says otherwise it is worth keeping.
                !has_status || self.status_code != Some(StatusCode::OK.0)
            }
            _ => false,
        }
    }
}

fn attribute(sink: &mut Sink<'_>, count: &mut AttributeCount, tag: &Tag<'_>) {
    let Some(key) = sink.key(count, tag.key) else { return };
    let value = match tag.value {
        TagValue::Absent => Value::Empty,
        TagValue::Str(text) => Value::Str(sink.string(text)),
        TagValue::Bool(value) => Value::Bool(value),
        TagValue::Int(value) => Value::Int(value),
        TagValue::Double(value) => Value::Double(value),
        TagValue::Bytes(bytes) => sink.bytes(bytes),
    };
    sink.push(count.level, key, value);
}

/// Adds a span's events; answers how many the limits dropped.
fn events(sink: &mut Sink<'_>, record: &Record<'_>) -> u32 {
    let mut dropped = 0;
    for (time_unix_nano, fields) in record.each_log() {
        if !sink.event_fits() {
            dropped += 1;
            continue;
        }
        let named =
            |key: &[u8]| fields.iter().position(|field| field.key == key && matches!(field.value, TagValue::Str(_)));
        let name_place = named(b"event").or_else(|| named(b"message"));
        let mut count = AttributeCount::new(Level::Event);
        for (place, field) in fields.iter().enumerate() {
            if Some(place) != name_place {
                attribute(sink, &mut count, field);
            }
        }
        let name = match name_place.map(|place| fields[place].value) {
            Some(TagValue::Str(name)) => sink.text(name),
            _ => TextId::EMPTY,
        };
        sink.batch.events.push(time_unix_nano, name, count.dropped);
    }
    dropped
}

/// Adds a span's links: all references but the one that says who the parent is. Answers how many the limits dropped.
fn links(sink: &mut Sink<'_>, record: &Record<'_>) -> u32 {
    let mut dropped = 0;
    let mut parent = Some((record.trace_id, record.parent()));
    for reference in &record.references {
        let ids = (reference.trace_id, reference.span_id);
        if reference.ref_type == CHILD_OF && parent == Some(ids) {
            parent = None;
            continue;
        }
        if !sink.link_fits() {
            dropped += 1;
            continue;
        }
        if reference.trace_id.is_zero() || reference.span_id.is_zero() {
            sink.report.add(Reason::InvalidLinkId);
            dropped += 1;
            continue;
        }
        let mut count = AttributeCount::new(Level::Link);
        let ref_type: &[u8] = if reference.ref_type == CHILD_OF { b"child_of" } else { b"follows_from" };
        attribute(sink, &mut count, &Tag { key: b"opentracing.ref_type", value: TagValue::Str(ref_type) });
        let (trace_id, span_id) = ids;
        let dropped_attributes_count = count.dropped;
        sink.batch.links.push(Link { trace_id, span_id, dropped_attributes_count, ..Link::default() });
    }
    dropped
}
