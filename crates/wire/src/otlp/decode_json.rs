//! `TracesData` from JSON, with the same result as from the protobuf of the same data.
//!
//! More lenient than the specification where senders are wrong in ways that can be read: enum names, numbers that are not
//! strings, `null` for absent. As the specification says, unknown names (snake_case ones among them) are ignored.
//!
//! JSON does not tell how large a span is, so its size is taken to be that of its texts and a few bytes a number: about what
//! it is as protobuf.

use model::{Level, Link, SpanId, SpanKind, SpanRow, StatusCode, TraceId};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess};

use super::json_value::AttributeList;
use super::span_end::{SpanIds, close_span};
use crate::context::{OpenResource, OpenScope};
use crate::json_read::{Elements, Fields, HexId, List, Object, Scalar, ScalarValue, Text, read_body, skip, text_field};
use crate::report::Report;
use crate::sink::{AttributeCount, Sink};
use crate::{DecodeError, Format};

pub(crate) fn decode_json(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let mut before = Report::default();
    read_body(Format::OtlpJson, body, &mut before, |deserializer| {
        Object(&mut TracesData { sink }).deserialize(deserializer).map(drop)
    })?;
    sink.report.merge(&before);
    Ok(())
}

struct TracesData<'m, 'l> {
    sink: &'m mut Sink<'l>,
}

impl Fields for TracesData<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "resourceSpans" => map.next_value_seed(List(&mut ResourceSpansList { sink: self.sink })),
            _ => skip(map),
        }
    }
}

struct ResourceSpansList<'m, 'l> {
    sink: &'m mut Sink<'l>,
}

impl Elements for ResourceSpansList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let open = self.sink.open_resource();
        let mut fields = ResourceSpans { sink: self.sink, open };
        Object(&mut fields).deserialize(deserializer)?;
        let open = fields.open;
        self.sink.close_resource(&open);
        Ok(())
    }
}

struct ResourceSpans<'m, 'l> {
    sink: &'m mut Sink<'l>,
    open: OpenResource,
}

impl Fields for ResourceSpans<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "resource" => {
                let mut resource = Resource { sink: self.sink, open: &mut self.open };
                map.next_value_seed(Object(&mut resource)).map(drop)
            }
            "scopeSpans" => map.next_value_seed(List(&mut ScopeSpansList { sink: self.sink })),
            "schemaUrl" => {
                self.open.schema_url = text_field(self.sink, map)?;
                Ok(())
            }
            _ => skip(map),
        }
    }
}

pub(super) struct Resource<'m, 'l> {
    pub(super) sink: &'m mut Sink<'l>,
    pub(super) open: &'m mut OpenResource,
}

impl Fields for Resource<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "attributes" => {
                let mut list = AttributeList { sink: self.sink, count: &mut self.open.attributes };
                map.next_value_seed(List(&mut list))
            }
            "droppedAttributesCount" => count_field(&mut self.open.dropped_attributes_count, map),
            _ => skip(map),
        }
    }
}

struct ScopeSpansList<'m, 'l> {
    sink: &'m mut Sink<'l>,
}

impl Elements for ScopeSpansList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let open = self.sink.open_scope();
        let mut fields = ScopeSpans { sink: self.sink, open };
        Object(&mut fields).deserialize(deserializer)?;
        let open = fields.open;
        self.sink.close_scope(&open);
        Ok(())
    }
}

struct ScopeSpans<'m, 'l> {
    sink: &'m mut Sink<'l>,
    open: OpenScope,
}

impl Fields for ScopeSpans<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "scope" => {
                let mut scope = Scope { sink: self.sink, open: &mut self.open };
                map.next_value_seed(Object(&mut scope)).map(drop)
            }
            "spans" => map.next_value_seed(List(&mut SpanList { sink: self.sink })),
            "schemaUrl" => {
                self.open.schema_url = text_field(self.sink, map)?;
                Ok(())
            }
            _ => skip(map),
        }
    }
}

pub(super) struct Scope<'m, 'l> {
    pub(super) sink: &'m mut Sink<'l>,
    pub(super) open: &'m mut OpenScope,
}

impl Fields for Scope<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => self.open.name = text_field(self.sink, map)?,
            "version" => self.open.version = text_field(self.sink, map)?,
            "attributes" => {
                let mut list = AttributeList { sink: self.sink, count: &mut self.open.attributes };
                map.next_value_seed(List(&mut list))?;
            }
            "droppedAttributesCount" => count_field(&mut self.open.dropped_attributes_count, map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

struct SpanList<'m, 'l> {
    sink: &'m mut Sink<'l>,
}

impl Elements for SpanList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        self.sink.begin_span();
        self.sink.look();
        if self.sink.is_overfull() {
            return Err(D::Error::custom("too much for one batch"));
        }
        let mut span = Span {
            row: SpanRow { scope: self.sink.current_scope(), ..SpanRow::default() },
            sink: self.sink,
            ids: HexIds::default(),
            attributes: AttributeCount::new(Level::Span),
            events_dropped: 0,
            links_dropped: 0,
        };
        Object(&mut span).deserialize(deserializer)?;
        span.close();
        Ok(())
    }
}

struct Span<'m, 'l> {
    sink: &'m mut Sink<'l>,
    row: SpanRow,
    ids: HexIds,
    attributes: AttributeCount,
    /// Dropped by a limit.
    events_dropped: u32,
    /// Dropped by a limit, or because of their ids.
    links_dropped: u32,
}

/// Ids as they were sent.
#[derive(Default)]
struct HexIds {
    trace: HexId,
    span: HexId,
    parent: HexId,
}

impl Span<'_, '_> {
    fn close(self) {
        let mut row = self.row;
        row.dropped_attributes_count = self.attributes.total_dropped(row.dropped_attributes_count);
        row.dropped_events_count = row.dropped_events_count.saturating_add(self.events_dropped);
        row.dropped_links_count = row.dropped_links_count.saturating_add(self.links_dropped);
        let ids =
            SpanIds { trace: self.ids.trace.bytes(), span: self.ids.span.bytes(), parent: self.ids.parent.bytes() };
        if !self.sink.refuse_charged_span() {
            close_span(self.sink, row, &ids);
        }
    }
}

impl Fields for Span<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let row = &mut self.row;
        match name {
            "traceId" => self.ids.trace = id_field(map)?,
            "spanId" => self.ids.span = id_field(map)?,
            "parentSpanId" => self.ids.parent = id_field(map)?,
            "traceState" => row.trace_state = text_field(self.sink, map)?,
            "name" => row.name = text_field(self.sink, map)?,
            "flags" => count_field(&mut row.flags, map)?,
            "kind" => {
                let kind = map.next_value_seed(Scalar)?;
                row.kind = enum_number(&kind, "SPAN_KIND_", |name| SpanKind::from_name(name).map(|kind| kind.0))?;
            }
            "startTimeUnixNano" => row.start_unix_nano = time_field(map)?,
            "endTimeUnixNano" => row.end_unix_nano = time_field(map)?,
            "attributes" => {
                let mut list = AttributeList { sink: self.sink, count: &mut self.attributes };
                map.next_value_seed(List(&mut list))?;
            }
            "droppedAttributesCount" => count_field(&mut row.dropped_attributes_count, map)?,
            "events" => {
                map.next_value_seed(List(&mut EventList { sink: self.sink, dropped: &mut self.events_dropped }))?;
            }
            "droppedEventsCount" => count_field(&mut row.dropped_events_count, map)?,
            "links" => {
                map.next_value_seed(List(&mut LinkList { sink: self.sink, dropped: &mut self.links_dropped }))?;
            }
            "droppedLinksCount" => count_field(&mut row.dropped_links_count, map)?,
            "status" => map.next_value_seed(Object(&mut Status { sink: self.sink, row })).map(drop)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

struct Status<'m, 'l> {
    sink: &'m mut Sink<'l>,
    row: &'m mut SpanRow,
}

impl Fields for Status<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "message" => self.row.status_message = text_field(self.sink, map)?,
            "code" => {
                let code = map.next_value_seed(Scalar)?;
                let from_name = |name: &str| StatusCode::from_name(name).map(|code| code.0);
                self.row.status_code = enum_number(&code, "STATUS_CODE_", from_name)?;
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

struct EventList<'m, 'l> {
    sink: &'m mut Sink<'l>,
    dropped: &'m mut u32,
}

impl Elements for EventList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        if !self.sink.event_fits() {
            *self.dropped = self.dropped.saturating_add(1);
            return IgnoredAny::deserialize(deserializer).map(drop);
        }
        self.sink.charge(2);
        let attributes = AttributeCount::new(Level::Event);
        let mut event =
            Event { sink: self.sink, time_unix_nano: 0, name: model::TextId::EMPTY, attributes, dropped: 0 };
        Object(&mut event).deserialize(deserializer)?;
        let Event { time_unix_nano, name, attributes, dropped, .. } = event;
        self.sink.batch.events.push(time_unix_nano, name, attributes.total_dropped(dropped));
        Ok(())
    }
}

struct Event<'m, 'l> {
    sink: &'m mut Sink<'l>,
    time_unix_nano: u64,
    name: model::TextId,
    attributes: AttributeCount,
    /// Dropped by the sender.
    dropped: u32,
}

impl Fields for Event<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "timeUnixNano" => self.time_unix_nano = time_field(map)?,
            "name" => self.name = text_field(self.sink, map)?,
            "attributes" => {
                let mut list = AttributeList { sink: self.sink, count: &mut self.attributes };
                map.next_value_seed(List(&mut list))?;
            }
            "droppedAttributesCount" => count_field(&mut self.dropped, map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

struct LinkList<'m, 'l> {
    sink: &'m mut Sink<'l>,
    dropped: &'m mut u32,
}

impl Elements for LinkList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        if !self.sink.link_fits() {
            *self.dropped = self.dropped.saturating_add(1);
            return IgnoredAny::deserialize(deserializer).map(drop);
        }
        self.sink.charge(24);
        let mut fields = LinkFields {
            sink: self.sink,
            link: Link::default(),
            trace_id: HexId::default(),
            span_id: HexId::default(),
            attributes: AttributeCount::new(Level::Link),
        };
        Object(&mut fields).deserialize(deserializer)?;
        let LinkFields { mut link, trace_id, span_id, attributes, .. } = fields;
        link.dropped_attributes_count = attributes.total_dropped(link.dropped_attributes_count);
        let ids = (TraceId::from_slice(trace_id.bytes()), SpanId::from_slice(span_id.bytes()));
        let (Some(trace_id), Some(span_id)) = ids else {
            self.sink.drop_open_link();
            *self.dropped = self.dropped.saturating_add(1);
            return Ok(());
        };
        self.sink.batch.links.push(Link { trace_id, span_id, ..link });
        Ok(())
    }
}

struct LinkFields<'m, 'l> {
    sink: &'m mut Sink<'l>,
    link: Link,
    trace_id: HexId,
    span_id: HexId,
    attributes: AttributeCount,
}

impl Fields for LinkFields<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "traceId" => self.trace_id = id_field(map)?,
            "spanId" => self.span_id = id_field(map)?,
            "traceState" => self.link.trace_state = text_field(self.sink, map)?,
            "flags" => count_field(&mut self.link.flags, map)?,
            "attributes" => {
                let mut list = AttributeList { sink: self.sink, count: &mut self.attributes };
                map.next_value_seed(List(&mut list))?;
            }
            "droppedAttributesCount" => count_field(&mut self.link.dropped_attributes_count, map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

pub(super) fn id_field<'de, A: MapAccess<'de>>(map: &mut A) -> Result<HexId, A::Error> {
    let text = map.next_value_seed(Text)?;
    Ok(text.map_or_else(HexId::default, |text| HexId::parse(&text)))
}

pub(super) fn count_field<'de, A: MapAccess<'de>>(count: &mut u32, map: &mut A) -> Result<(), A::Error> {
    *count = map.next_value_seed(Scalar)?.integer()?.unwrap_or(0);
    Ok(())
}

pub(super) fn time_field<'de, A: MapAccess<'de>>(map: &mut A) -> Result<u64, A::Error> {
    Ok(map.next_value_seed(Scalar)?.integer()?.unwrap_or(0))
}

/// The number of an enum given by number or name; names nobody knows are 0, as protobuf's JSON readers have it.
pub(super) fn enum_number<E: serde::de::Error>(
    value: &ScalarValue,
    prefix: &str,
    from_name: impl Fn(&str) -> Option<i32>,
) -> Result<i32, E> {
    match value {
        ScalarValue::Text(name) => {
            let name = name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase();
            Ok(from_name(&name).unwrap_or(0))
        }
        number => Ok(number.integer()?.unwrap_or(0)),
    }
}
