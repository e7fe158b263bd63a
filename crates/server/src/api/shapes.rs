//! The shapes of a trace's answer: resources, scopes, spans with everything they own.
//!
//! They borrow from the batch and live for one span at a time; only [`TraceAnswer`] owns anything.

use flow::outline::outline;
use model::{AttributeRef, EventRef, LinkRef, NOTE_TIME_OUT_OF_RANGE, SpanBatch, SpanRef, TraceId};
use serde::ser::{Serialize, Serializer};
use utoipa::ToSchema;

use super::values::{Attribute, attributes_schema};

/// Most spans of a trace that are sent at once, earliest first.
pub const SPANS_MAX: usize = 100_000;

fn list<'a>(attributes: impl Iterator<Item = AttributeRef<'a>>) -> Vec<Attribute<'a>> {
    attributes.map(Attribute).collect()
}

/// An id or an instant as text.
pub(super) fn text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// What produced spans.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = Resource)]
pub struct ResourceShape<'a> {
    service: &'a str,
    #[schema(schema_with = attributes_schema)]
    attributes: Vec<Attribute<'a>>,
    schema_url: &'a str,
    dropped_attributes_count: u32,
}

/// The instrumentation that made spans.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = Scope)]
pub struct ScopeShape<'a> {
    /// Its resource, as an index into `resources`.
    resource: u32,
    name: &'a str,
    version: &'a str,
    #[schema(schema_with = attributes_schema)]
    attributes: Vec<Attribute<'a>>,
    schema_url: &'a str,
    dropped_attributes_count: u32,
}

/// How a span ended.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = SpanStatus)]
pub struct StatusShape<'a> {
    /// `unset`, `ok` or `error`; a number nobody has defined is itself.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    code: model::StatusCode,
    message: &'a str,
}

/// Something that happened during a span.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = SpanEvent)]
pub struct EventShape<'a> {
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    time_unix_nano: u64,
    name: &'a str,
    #[schema(schema_with = attributes_schema)]
    attributes: Vec<Attribute<'a>>,
    dropped_attributes_count: u32,
}

/// A span that this one points at.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = SpanLink)]
pub struct LinkShape<'a> {
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    trace_id: TraceId,
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    span_id: model::SpanId,
    trace_state: &'a str,
    flags: u32,
    #[schema(schema_with = attributes_schema)]
    attributes: Vec<Attribute<'a>>,
    dropped_attributes_count: u32,
}

/// A span.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = Span)]
pub struct SpanShape<'a> {
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    span_id: model::SpanId,
    parent_span_id: Option<String>,
    /// Its scope, as an index into `scopes`.
    scope: u32,
    service: &'a str,
    name: &'a str,
    /// `internal`, `server`, `client`, `producer`, `consumer` or `unspecified`; a number nobody has defined is itself.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    kind: model::SpanKind,
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    start_unix_nano: u64,
    duration_ns: u64,
    status: StatusShape<'a>,
    trace_state: &'a str,
    flags: u32,
    #[schema(schema_with = attributes_schema)]
    attributes: Vec<Attribute<'a>>,
    events: Vec<EventShape<'a>>,
    links: Vec<LinkShape<'a>>,
    dropped_attributes_count: u32,
    dropped_events_count: u32,
    dropped_links_count: u32,
    /// What we noticed about it: `time_out_of_range`.
    notes: Vec<&'static str>,
}

impl<'a> SpanShape<'a> {
    fn new(span: SpanRef<'a>) -> Self {
        let row = span.row();
        SpanShape {
            span_id: row.span_id,
            parent_span_id: span.parent_span_id().map(|id| id.to_string()),
            scope: row.scope,
            service: span.service_name(),
            name: span.name(),
            kind: span.kind(),
            start_unix_nano: row.start_unix_nano,
            duration_ns: span.duration_ns(),
            status: StatusShape { code: span.status(), message: span.status_message() },
            trace_state: span.trace_state(),
            flags: row.flags,
            attributes: list(span.attributes()),
            events: span.events().map(EventShape::new).collect(),
            links: span.links().map(LinkShape::new).collect(),
            dropped_attributes_count: row.dropped_attributes_count,
            dropped_events_count: row.dropped_events_count,
            dropped_links_count: row.dropped_links_count,
            notes: notes(row.notes),
        }
    }
}

fn notes(bits: u8) -> Vec<&'static str> {
    let known = [(NOTE_TIME_OUT_OF_RANGE, "time_out_of_range")];
    known.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name).collect()
}

impl<'a> EventShape<'a> {
    fn new(event: EventRef<'a>) -> Self {
        EventShape {
            time_unix_nano: event.time_unix_nano(),
            name: event.name(),
            attributes: list(event.attributes()),
            dropped_attributes_count: event.dropped_attributes_count(),
        }
    }
}

impl<'a> LinkShape<'a> {
    fn new(link: LinkRef<'a>) -> Self {
        LinkShape {
            trace_id: link.trace_id(),
            span_id: link.span_id(),
            trace_state: link.trace_state(),
            flags: link.flags(),
            attributes: list(link.attributes()),
            dropped_attributes_count: link.dropped_attributes_count(),
        }
    }
}

/// A trace with all its spans.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = Trace)]
pub struct TraceShape<'a> {
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    trace_id: TraceId,
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    start_unix_nano: u64,
    duration_ns: u64,
    /// How long the caller waited.
    answer_ns: u64,
    /// From the root's start to the end of the last span.
    last_effect_ns: u64,
    root_span_id: Option<String>,
    /// Spans in this answer.
    span_count: usize,
    /// Spans of the trace.
    total_span_count: usize,
    truncated: bool,
    resources: Vec<ResourceShape<'a>>,
    scopes: Vec<ScopeShape<'a>>,
    #[schema(value_type = Vec<SpanShape<'_>>)]
    spans: Spans<'a>,
    /// What to know about this answer; left out if there is nothing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    warnings: &'a [&'static str],
}

/// Spans that take their shape one by one, while they are written.
#[derive(Debug)]
struct Spans<'a> {
    batch: &'a SpanBatch,
    count: usize,
}

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.count).map(|row| SpanShape::new(self.batch.span(row))))
    }
}

/// A span of a flow.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = FlowSpan)]
pub struct FlowSpanShape<'a> {
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    trace_id: TraceId,
    #[serde(flatten)]
    span: SpanShape<'a>,
}

/// A page of the spans of a flow.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = FlowSpans)]
pub struct FlowSpansShape<'a> {
    flow_id: &'a str,
    resources: Vec<ResourceShape<'a>>,
    scopes: Vec<ScopeShape<'a>>,
    /// Earliest first.
    items: Vec<FlowSpanShape<'a>>,
    /// To be passed as `cursor` for the spans after these; null at the end.
    next_cursor: Option<&'a str>,
}

/// A page of the spans of a flow, to be sent.
#[derive(Debug)]
pub struct FlowSpansAnswer {
    /// The flow.
    pub flow_id: String,
    /// The spans of the page, in order.
    pub spans: SpanBatch,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

impl Serialize for FlowSpansAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items =
            self.spans.spans().map(|span| FlowSpanShape { trace_id: span.trace_id(), span: SpanShape::new(span) });
        let page = FlowSpansShape {
            flow_id: &self.flow_id,
            resources: resources(&self.spans),
            scopes: scopes(&self.spans),
            items: items.collect(),
            next_cursor: self.next_cursor.as_deref(),
        };
        page.serialize(serializer)
    }
}

/// A trace to be sent; `spans` holds each span once, earliest first.
#[derive(Debug)]
pub struct TraceAnswer {
    /// Which.
    pub trace_id: TraceId,
    /// Its spans.
    pub spans: SpanBatch,
    /// What to know about this answer.
    pub warnings: Vec<&'static str>,
}

impl Serialize for TraceAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shape().serialize(serializer)
    }
}

impl TraceAnswer {
    fn shape(&self) -> TraceShape<'_> {
        let batch = &self.spans;
        let outline = outline(batch);
        let of = |figure: fn(&flow::outline::Outline<'_>) -> u64| outline.as_ref().map_or(0, figure);
        let root = outline.as_ref().and_then(|outline| outline.root);
        let count = batch.len().min(SPANS_MAX);
        TraceShape {
            trace_id: self.trace_id,
            start_unix_nano: of(|outline| outline.start_unix_nano),
            duration_ns: of(|outline| outline.duration_ns),
            answer_ns: of(|outline| outline.answer_ns),
            last_effect_ns: of(|outline| outline.last_effect_ns),
            root_span_id: root.map(|row| batch.rows[row].span_id.to_string()),
            span_count: count,
            total_span_count: batch.len(),
            truncated: count < batch.len(),
            resources: resources(batch),
            scopes: scopes(batch),
            spans: Spans { batch, count },
            warnings: &self.warnings,
        }
    }
}

fn resources(batch: &SpanBatch) -> Vec<ResourceShape<'_>> {
    let mut shapes = Vec::with_capacity(batch.resources.len());
    for resource in &batch.resources {
        shapes.push(ResourceShape {
            service: batch.text.str(resource.service_name),
            attributes: list(batch.attributes_of_resource(resource)),
            schema_url: batch.text.str(resource.schema_url),
            dropped_attributes_count: resource.dropped_attributes_count,
        });
    }
    shapes
}

fn scopes(batch: &SpanBatch) -> Vec<ScopeShape<'_>> {
    let mut shapes = Vec::with_capacity(batch.scopes.len());
    for scope in &batch.scopes {
        shapes.push(ScopeShape {
            resource: scope.resource,
            name: batch.text.str(scope.name),
            version: batch.text.str(scope.version),
            attributes: list(batch.attributes_of_scope(scope)),
            schema_url: batch.text.str(scope.schema_url),
            dropped_attributes_count: scope.dropped_attributes_count,
        });
    }
    shapes
}
