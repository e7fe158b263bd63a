//! [`Intake`]: Zipkin records into a batch. The module's head in `zipkin` says what goes where.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use model::nested::NestedWriter;
use model::{Level, Link, Nested, Resource, Scope, SpanRow, TextId, Value};

use super::names::{self, EndpointNames};
use super::record::{Annotation, Endpoint, Record};
use super::tags::KnownTags;
use super::v1::SpanV1;
use crate::report::Reason;
use crate::sink::{AttributeCount, Sink};

/// Takes records one by one; equal local endpoints become one resource.
pub(super) struct Intake<'m, 'l> {
    sink: &'m mut Sink<'l>,
    resources: HashMap<([TextId; 3], i64), u32>,
    scopes: HashMap<(u32, [TextId; 2]), u32>,
}

impl<'m, 'l> Intake<'m, 'l> {
    pub(super) fn new(sink: &'m mut Sink<'l>) -> Self {
        Intake { sink, resources: HashMap::new(), scopes: HashMap::new() }
    }

    /// Whether the batch takes more memory than it may.
    pub(super) fn is_overfull(&self) -> bool {
        self.sink.is_overfull()
    }

    /// The most bytes that a span may have.
    pub(super) fn span_bytes_max(&self) -> usize {
        self.sink.limits.span_bytes_max
    }

    /// Adds the spans that a v1 span stands for, or refuses it.
    pub(super) fn take_v1(&mut self, span: SpanV1) {
        let bytes = span.size();
        if bytes > self.span_bytes_max() {
            self.sink.begin_span();
            self.sink.refuse_large_span(bytes);
            return;
        }
        for record in span.into_records() {
            self.take(&record);
        }
    }

    /// Adds a record's span, or refuses it.
    pub(super) fn take(&mut self, record: &Record) {
        self.sink.begin_span();
        self.sink.look();
        if self.sink.is_overfull() {
            return;
        }
        self.sink.charge(record.size());
        if self.sink.refuse_charged_span() || self.refuse_invalid_ids(record) {
            return;
        }
        let known = KnownTags::of(record);
        let resource = self.resource(&record.local);
        let scope = self.scope(resource, known.scope.map(Option::unwrap_or_default));
        let sink = &mut *self.sink;
        let attributes_dropped = attributes(sink, record, &known);
        let events_dropped = events(sink, &record.annotations);
        let links_dropped = links(sink, record);
        if record.parent_id_invalid {
            sink.report.add(Reason::InvalidParentSpanId);
        }
        let start_unix_nano = record.timestamp_us.saturating_mul(1000);
        let row = SpanRow {
            trace_id: record.trace_id,
            span_id: record.span_id,
            parent_span_id: record.parent_id.unwrap_or_default(),
            start_unix_nano,
            end_unix_nano: start_unix_nano.saturating_add(record.duration_us.saturating_mul(1000)),
            name: sink.text(&record.name),
            kind: known.kind.unwrap_or(record.kind),
            status_code: known.status_code,
            status_message: sink.text(known.status_message),
            trace_state: sink.text(known.trace_state),
            flags: 0,
            dropped_attributes_count: known.dropped[0].saturating_add(attributes_dropped),
            dropped_events_count: known.dropped[1].saturating_add(events_dropped),
            dropped_links_count: known.dropped[2].saturating_add(links_dropped),
            scope,
            notes: 0,
        };
        sink.batch.push_span(row);
    }

    fn refuse_invalid_ids(&mut self, record: &Record) -> bool {
        if record.trace_id.is_zero() {
            let problem = format_args!("traceId must be 64 or 128 bits, not all zero");
            self.sink.refuse_span(Reason::InvalidTraceId, problem);
        } else if record.span_id.is_zero() {
            self.sink.refuse_span(Reason::InvalidSpanId, format_args!("id must be 64 bits, not all zero"));
        }
        record.trace_id.is_zero() || record.span_id.is_zero()
    }

    fn resource(&mut self, local: &Endpoint) -> u32 {
        let sink = &mut *self.sink;
        let key = ([&local.service_name, &local.ipv4, &local.ipv6].map(|text| sink.text(text)), local.port);
        *self.resources.entry(key).or_insert_with(|| {
            let mut count = AttributeCount::new(Level::Resource);
            endpoint(sink, &mut count, local, &names::LOCAL, |_| false);
            sink.batch.push_resource(Resource { service_name: key.0[0], ..Resource::default() })
        })
    }

    fn scope(&mut self, resource: u32, name_and_version: [&[u8]; 2]) -> u32 {
        let sink = &mut *self.sink;
        let texts = name_and_version.map(|text| sink.text(text));
        *self.scopes.entry((resource, texts)).or_insert_with(|| {
            let [name, version] = texts;
            sink.batch.push_scope(Scope { resource, name, version, ..Scope::default() })
        })
    }
}

/// Adds a span's attributes; answers how many the limits dropped.
fn attributes(sink: &mut Sink<'_>, record: &Record, known: &KnownTags<'_>) -> u32 {
    let mut count = AttributeCount::new(Level::Span);
    for (key, value) in &record.tags {
        if !known.is_consumed(key) && parse_link(key, value).is_none() {
            attribute(sink, &mut count, key, |sink| Value::Str(sink.string(value)));
        }
    }
    let taken = |key: &str| record.tags.iter().any(|(tag, _)| tag == key.as_bytes());
    endpoint(sink, &mut count, &record.remote, &names::REMOTE, taken);
    if !record.unknown_kind.is_empty() {
        attribute(sink, &mut count, names::KIND.as_bytes(), |sink| Value::Str(sink.string(&record.unknown_kind)));
    }
    for (key, set) in [(names::SHARED, record.shared), (names::DEBUG, record.debug)] {
        if set {
            attribute(sink, &mut count, key.as_bytes(), |_| Value::Bool(true));
        }
    }
    count.dropped
}

fn attribute(sink: &mut Sink<'_>, count: &mut AttributeCount, key: &[u8], value: impl FnOnce(&mut Sink<'_>) -> Value) {
    if let Some(key) = sink.key(count, key) {
        let value = value(sink);
        sink.push(count.level, key, value);
    }
}

/// Adds what is known of an endpoint. A key that is `taken` by a tag is left to the tag.
fn endpoint(
    sink: &mut Sink<'_>,
    count: &mut AttributeCount,
    endpoint: &Endpoint,
    names: &EndpointNames,
    taken: impl Fn(&str) -> bool,
) {
    let free = |name: &'static str, own: &'static str| if taken(name) { own } else { name };
    let ipv4_fits = parses::<Ipv4Addr>(&endpoint.ipv4) && !taken(names.address);
    let ipv6_fits = parses::<Ipv6Addr>(&endpoint.ipv6) && !ipv4_fits && !taken(names.address);
    let texts = [
        (free(names.service, names.own_service), &endpoint.service_name),
        (if ipv4_fits { names.address } else { names.own_ipv4 }, &endpoint.ipv4),
        (if ipv6_fits { names.address } else { names.own_ipv6 }, &endpoint.ipv6),
    ];
    for (key, text) in texts {
        if !text.is_empty() {
            attribute(sink, count, key.as_bytes(), |sink| Value::Str(sink.string(text)));
        }
    }
    if endpoint.port != 0 {
        attribute(sink, count, free(names.port, names.own_port).as_bytes(), |_| Value::Int(endpoint.port));
    }
}

fn parses<T: std::str::FromStr>(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<T>().is_ok())
}

/// Adds a span's events; answers how many the limits dropped.
fn events(sink: &mut Sink<'_>, annotations: &[Annotation]) -> u32 {
    let mut dropped = 0;
    for annotation in annotations {
        if !sink.event_fits() {
            dropped += 1;
            continue;
        }
        let time_unix_nano = annotation.timestamp_us.saturating_mul(1000);
        let (name, attributes_dropped) = match parse_event(&annotation.value) {
            Some((name, attributes)) => {
                (sink.text(name.as_bytes()), nested_attributes(sink, Level::Event, &attributes))
            }
            None => (sink.text(&annotation.value), 0),
        };
        sink.batch.events.push(time_unix_nano, name, attributes_dropped);
    }
    dropped
}

/// An event with attributes in an annotation: `"name": {…}`. Taken apart only if the text is exactly what encoding makes of it.
fn parse_event(value: &[u8]) -> Option<(String, Vec<(String, Nested)>)> {
    if !value.starts_with(b"\"") || !value.ends_with(b"}") {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let Nested::Map(mut entries) = Nested::parse(&format!("{{{text}}}")).ok()? else { return None };
    let (name, Nested::Map(attributes)) = entries.pop().filter(|_| entries.is_empty())? else { return None };
    (event_text(&name, &attributes) == text).then_some((name, attributes))
}

/// The annotation that stands for an event with attributes.
pub(super) fn event_text(name: &str, attributes: &[(String, Nested)]) -> String {
    let mut name_text = NestedWriter::default();
    name_text.str(name);
    let mut map = NestedWriter::default();
    Nested::Map(attributes.to_vec()).write(&mut map);
    format!("{}: {}", name_text.text(), map.text())
}

/// Adds the attributes of an event or link; answers how many the limits dropped.
fn nested_attributes(sink: &mut Sink<'_>, level: Level, attributes: &[(String, Nested)]) -> u32 {
    let mut count = AttributeCount::new(level);
    for (key, value) in attributes {
        attribute(sink, &mut count, key.as_bytes(), |sink| match value {
            Nested::Empty => Value::Empty,
            Nested::Bool(value) => Value::Bool(*value),
            Nested::Int(value) => Value::Int(*value),
            Nested::Double(value) => Value::Double(*value),
            Nested::Str(text) => Value::Str(sink.string(text.as_bytes())),
            Nested::Bytes(bytes) => sink.bytes(bytes),
            Nested::Array(_) | Nested::Map(_) => {
                sink.begin_nested();
                value.write(&mut sink.nested);
                sink.end_nested()
            }
        });
    }
    count.dropped
}

/// Adds a span's links; answers how many the limits dropped.
fn links(sink: &mut Sink<'_>, record: &Record) -> u32 {
    let mut dropped = 0;
    for tag in record.tags.iter().filter_map(|(key, value)| parse_link(key, value)) {
        if !sink.link_fits() {
            dropped += 1;
            continue;
        }
        let trace_state = sink.text(tag.trace_state.as_bytes());
        let over_limit = nested_attributes(sink, Level::Link, &tag.attributes);
        let dropped_attributes_count = tag.link.dropped_attributes_count.saturating_add(over_limit);
        sink.batch.links.push(Link { trace_state, dropped_attributes_count, ..tag.link });
    }
    dropped
}

/// A link in a tag, its texts and values not yet stored.
struct LinkTag<'a> {
    link: Link,
    trace_state: &'a str,
    attributes: Vec<(String, Nested)>,
}

/// A link in a tag: `trace id|span id|trace state|attributes as JSON|dropped attributes`.
fn parse_link<'a>(key: &[u8], value: &'a [u8]) -> Option<LinkTag<'a>> {
    key.strip_prefix(names::LINK_PREFIX.as_bytes())?;
    let text = std::str::from_utf8(value).ok()?;
    let (trace_id, rest) = text.split_once('|')?;
    let (span_id, rest) = rest.split_once('|')?;
    let (rest, dropped) = rest.rsplit_once('|')?;
    let (trace_state, attributes) = rest.split_at(rest.find("|{")?);
    let Nested::Map(attributes) = Nested::parse(&attributes[1..]).ok()? else { return None };
    let link = Link {
        trace_id: trace_id.parse().ok()?,
        span_id: span_id.parse().ok()?,
        dropped_attributes_count: dropped.parse().ok()?,
        ..Link::default()
    };
    Some(LinkTag { link, trace_state, attributes })
}
