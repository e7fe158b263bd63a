//! Jaeger's shape of a trace: spans with references, tags and logs, and processes beside them.
//!
//! Follows the translation that Jaeger itself applies to OTLP, so that people find the tags they are used to.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{AttributeRef, EventRef, NOTE_TIME_OUT_OF_RANGE, SpanBatch, SpanRef, StatusCode, ValueRef};
use query::Trace;
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use super::{kind_word, shown_service};
use crate::api::params::PARTIAL;

/// Integers beyond this lose digits in a browser, so they are sent as text.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

const TIME_WARNING: &str =
    "start or end lies far from the time at which the span was received; the sender's clock may be wrong";

/// A trace, written span by span.
#[derive(Debug)]
pub struct TraceAnswer(pub Trace);

impl Serialize for TraceAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spans = &self.0.spans;
        let processes = Processes::of(spans);
        let mut trace = serializer.serialize_struct("Trace", 4)?;
        trace.serialize_field("traceID", &self.0.id.to_string())?;
        trace.serialize_field("spans", &Spans { spans, processes: &processes })?;
        trace.serialize_field("processes", &processes)?;
        trace.serialize_field("warnings", &self.0.is_partial.then_some([PARTIAL]))?;
        trace.end()
    }
}

struct Spans<'a> {
    spans: &'a SpanBatch,
    processes: &'a Processes<'a>,
}

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.spans.len()))?;
        for span in self.spans.spans() {
            list.serialize_element(&SpanShape::of(span, self.processes))?;
        }
        list.end()
    }
}

/// Processes by their names, `p1` and so on: one for every resource.
struct Processes<'a> {
    spans: &'a SpanBatch,
    /// The number of each resource that has spans.
    numbers: HashMap<u32, usize>,
    order: Vec<u32>,
}

impl<'a> Processes<'a> {
    fn of(spans: &'a SpanBatch) -> Self {
        let mut processes = Processes { spans, numbers: HashMap::new(), order: Vec::new() };
        for span in spans.spans() {
            let resource = span.scope().resource;
            if !processes.numbers.contains_key(&resource) {
                processes.order.push(resource);
                processes.numbers.insert(resource, processes.order.len());
            }
        }
        processes
    }

    fn name(&self, span: SpanRef<'_>) -> String {
        format!("p{}", self.numbers[&span.scope().resource])
    }
}

#[derive(Serialize)]
struct Process<'a> {
    #[serde(rename = "serviceName")]
    service_name: &'a str,
    tags: Vec<Tag<'a>>,
}

impl Serialize for Processes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.order.len()))?;
        for (place, &resource) in self.order.iter().enumerate() {
            let resource = &self.spans.resources[resource as usize];
            let name = self.spans.text.str(resource.service_name);
            let attributes = self.spans.attributes_of_resource(resource);
            let tags = attributes.filter(|attribute| attribute.key != "service.name").map(Tag::of).collect();
            let process = Process { service_name: shown_service(name), tags };
            map.serialize_entry(&format!("p{}", place + 1), &process)?;
        }
        map.end()
    }
}

/// A key with a typed value.
#[derive(Serialize)]
struct Tag<'a> {
    key: &'a str,
    #[serde(rename = "type")]
    type_name: &'static str,
    value: TagValue<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TagValue<'a> {
    Text(&'a str),
    Owned(String),
    Bool(bool),
    Int(i64),
    Double(f64),
}

impl<'a> Tag<'a> {
    fn text(key: &'a str, text: &'a str) -> Self {
        Tag { key, type_name: "string", value: TagValue::Text(text) }
    }

    fn owned(key: &'a str, text: String) -> Self {
        Tag { key, type_name: "string", value: TagValue::Owned(text) }
    }

    fn of(attribute: AttributeRef<'a>) -> Self {
        let key = attribute.key;
        let (type_name, value) = match attribute.value {
            ValueRef::Empty => ("string", TagValue::Text("")),
            ValueRef::Str(text) | ValueRef::Json(text) => ("string", TagValue::Text(text)),
            ValueRef::Bool(value) => ("bool", TagValue::Bool(value)),
            ValueRef::Int(value) if value.unsigned_abs() <= SAFE_INTEGER_MAX => ("int64", TagValue::Int(value)),
            ValueRef::Int(value) => ("int64", TagValue::Owned(value.to_string())),
            ValueRef::Double(value) if value.is_finite() => ("float64", TagValue::Double(value)),
            ValueRef::Double(_) => ("float64", TagValue::Owned(attribute.value.comparison_text().into_owned())),
            ValueRef::Bytes(bytes) => ("binary", TagValue::Owned(STANDARD.encode(bytes))),
        };
        Tag { key, type_name, value }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Serialize)]
struct Log<'a> {
    timestamp: u64,
    fields: Vec<Tag<'a>>,
}

impl<'a> Log<'a> {
    fn of(event: EventRef<'a>) -> Self {
        let name = (!event.name().is_empty()).then(|| Tag::text("event", event.name()));
        let fields = name.into_iter().chain(event.attributes().map(Tag::of)).collect();
        Log { timestamp: event.time_unix_nano() / 1000, fields }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanShape<'a> {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    flags: u32,
    operation_name: &'a str,
    references: Vec<Reference>,
    start_time: u64,
    duration: u64,
    tags: Vec<Tag<'a>>,
    logs: Vec<Log<'a>>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<&'static str>>,
}

impl<'a> SpanShape<'a> {
    fn of(span: SpanRef<'a>, processes: &Processes<'_>) -> Self {
        let row = span.row();
        SpanShape {
            trace_id: row.trace_id.to_string(),
            span_id: row.span_id.to_string(),
            // The bits above the lowest eight are OTLP's own.
            flags: row.flags & 0xff,
            operation_name: span.name(),
            references: references(span),
            start_time: row.start_unix_nano / 1000,
            duration: span.duration_ns() / 1000,
            tags: tags(span),
            logs: span.events().map(Log::of).collect(),
            process_id: processes.name(span),
            warnings: (row.notes & NOTE_TIME_OUT_OF_RANGE != 0).then(|| vec![TIME_WARNING]),
        }
    }
}

fn references(span: SpanRef<'_>) -> Vec<Reference> {
    let parent = span.parent_span_id().map(|parent| Reference {
        ref_type: "CHILD_OF",
        trace_id: span.trace_id().to_string(),
        span_id: parent.to_string(),
    });
    let links = span.links().map(|link| Reference {
        ref_type: "FOLLOWS_FROM",
        trace_id: link.trace_id().to_string(),
        span_id: link.span_id().to_string(),
    });
    parent.into_iter().chain(links).collect()
}

fn tags(span: SpanRef<'_>) -> Vec<Tag<'_>> {
    let mut tags: Vec<Tag<'_>> = span.attributes().map(Tag::of).collect();
    let text = &span.batch.text;
    let kind = kind_word(span.kind());
    if !kind.is_empty() {
        tags.push(Tag::owned("span.kind", kind));
    }
    match span.status() {
        StatusCode::UNSET => {}
        StatusCode::ERROR => {
            tags.push(Tag::text("otel.status_code", "ERROR"));
            tags.push(Tag { key: "error", type_name: "bool", value: TagValue::Bool(true) });
        }
        other => tags.push(Tag::owned("otel.status_code", other.to_string().to_uppercase())),
    }
    let optional = [
        ("otel.status_description", span.status_message()),
        ("w3c.tracestate", span.trace_state()),
        ("otel.scope.name", text.str(span.scope().name)),
        ("otel.scope.version", text.str(span.scope().version)),
    ];
    tags.extend(optional.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| Tag::text(key, text)));
    tags
}
