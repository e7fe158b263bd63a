//! Zipkin v2 spans as JSON. The module's head in `zipkin` says what goes where.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use model::{AttributeRef, Level, LinkRef, Nested, SpanRef, ValueRef};

use super::intake::event_text;
use super::names::{self, EndpointNames};
use super::record::kind_name;
use crate::json_writer::JsonWriter;

/// Spans as one list.
pub fn encode_json<'a>(spans: impl Iterator<Item = SpanRef<'a>>) -> String {
    let mut out = JsonWriter::default();
    out.array(|out| spans.for_each(|each| out.object(|out| span(out, each))));
    out.finish()
}

fn span(out: &mut JsonWriter, span: SpanRef<'_>) {
    let row = span.row();
    let id = row.trace_id.to_string();
    // Sixty-four-bit ids are given back as such.
    out.plain_field("traceId", id.strip_prefix("0000000000000000").unwrap_or(&id));
    if let Some(parent) = span.parent_span_id() {
        out.plain_field("parentId", parent);
    }
    out.plain_field("id", row.span_id);
    let own: Vec<_> = span.attributes().collect();
    let kind = kind_name(row.kind).or_else(|| text_of(&own, names::KIND));
    if let Some(kind) = kind {
        out.string_field("kind", kind);
    }
    out.text_field("name", span.name());
    if row.start_unix_nano != 0 {
        out.bare_field("timestamp", row.start_unix_nano / 1000);
    }
    if span.duration_ns() != 0 {
        // Zipkin takes 0 for unknown, so what took less than a microsecond took one.
        out.bare_field("duration", (span.duration_ns() / 1000).max(1));
    }
    for (name, key) in [("debug", names::DEBUG), ("shared", names::SHARED)] {
        if span.any_value_at(Level::Span, key, |value| value == ValueRef::Bool(true)) {
            out.bare_field(name, true);
        }
    }
    let resource: Vec<_> = span.batch.attributes_of_resource(span.resource()).collect();
    let (local, remote) = (EndpointRef::of(&resource, &names::LOCAL), EndpointRef::of(&own, &names::REMOTE));
    local.write(out, "localEndpoint");
    remote.write(out, "remoteEndpoint");
    if span.events().next().is_some() {
        out.array_field("annotations", |out| annotations(out, span));
    }
    let mut tags = Tags::default();
    tags.add_attributes(&own, &remote);
    tags.add_attributes(&resource, &local);
    let scope: Vec<_> = span.batch.attributes_of_scope(span.scope()).collect();
    tags.add_attributes(&scope, &EndpointRef::default());
    tags.add_known(span, kind.is_some());
    if !tags.pairs.is_empty() {
        out.object_field("tags", |out| tags.pairs.iter().for_each(|(key, value)| out.string_field(key, value)));
    }
}

/// The first text among the values of a key; values of other types are not ours.
fn text_of<'a>(attributes: &[AttributeRef<'a>], key: &str) -> Option<&'a str> {
    attributes.iter().filter(|attribute| attribute.key == key).find_map(|attribute| match attribute.value {
        ValueRef::Str(text) => Some(text),
        _ => None,
    })
}

/// The first integer among the values of a key.
fn integer_of(attributes: &[AttributeRef<'_>], key: &str) -> Option<i64> {
    attributes.iter().filter(|attribute| attribute.key == key).find_map(|attribute| match attribute.value {
        ValueRef::Int(value) => Some(value),
        _ => None,
    })
}

fn annotations(out: &mut JsonWriter, span: SpanRef<'_>) {
    for event in span.events() {
        let attributes: Vec<_> = event.attributes().map(nested_pair).collect();
        out.object(|out| {
            out.bare_field("timestamp", event.time_unix_nano() / 1000);
            if attributes.is_empty() {
                out.string_field("value", event.name());
            } else {
                out.string_field("value", &event_text(event.name(), &attributes));
            }
        });
    }
}

fn nested_pair(attribute: AttributeRef<'_>) -> (String, Nested) {
    let value = match attribute.value {
        ValueRef::Empty => Nested::Empty,
        ValueRef::Str(text) => Nested::Str(text.to_owned()),
        ValueRef::Bool(value) => Nested::Bool(value),
        ValueRef::Int(value) => Nested::Int(value),
        ValueRef::Double(value) => Nested::Double(value),
        ValueRef::Bytes(bytes) => Nested::Bytes(bytes.to_owned()),
        ValueRef::Json(text) => Nested::parse(text).unwrap_or_else(|_| Nested::Str(text.to_owned())),
    };
    (attribute.key.to_owned(), value)
}

/// An endpoint put together from attributes, and the attributes that went into it.
#[derive(Default)]
struct EndpointRef<'a> {
    service_name: &'a str,
    ipv4: &'a str,
    ipv6: &'a str,
    port: i64,
    used: Vec<(&'static str, ValueRef<'a>)>,
}

impl<'a> EndpointRef<'a> {
    fn of(attributes: &[AttributeRef<'a>], names: &EndpointNames) -> Self {
        let mut endpoint = EndpointRef::default();
        let text = |key: &str| text_of(attributes, key);
        endpoint.ipv4 = endpoint.first(&[names.own_ipv4], text, ValueRef::Str).unwrap_or_default();
        endpoint.ipv6 = endpoint.first(&[names.own_ipv6], text, ValueRef::Str).unwrap_or_default();
        let address = text(names.address).unwrap_or_default();
        if endpoint.ipv4.is_empty() && address.parse::<Ipv4Addr>().is_ok() {
            endpoint.ipv4 = address;
            endpoint.used.push((names.address, ValueRef::Str(address)));
        } else if endpoint.ipv6.is_empty() && address.parse::<Ipv6Addr>().is_ok() {
            endpoint.ipv6 = address;
            endpoint.used.push((names.address, ValueRef::Str(address)));
        }
        endpoint.service_name =
            endpoint.first(&[names.own_service, names.service], text, ValueRef::Str).unwrap_or_default();
        let port = |key: &str| integer_of(attributes, key);
        endpoint.port = endpoint.first(&[names.own_port, names.port], port, ValueRef::Int).unwrap_or(0);
        endpoint
    }

    /// The value of the first of the keys that has one; the attribute is remembered as used.
    fn first<T: Copy>(
        &mut self,
        keys: &[&'static str],
        find: impl Fn(&str) -> Option<T>,
        value: impl Fn(T) -> ValueRef<'a>,
    ) -> Option<T> {
        let (key, found) = keys.iter().find_map(|&key| Some((key, find(key)?)))?;
        self.used.push((key, value(found)));
        Some(found)
    }

    fn write(&self, out: &mut JsonWriter, name: &str) {
        let texts = [("serviceName", self.service_name), ("ipv4", self.ipv4), ("ipv6", self.ipv6)];
        if texts.iter().all(|(_, text)| text.is_empty()) && self.port == 0 {
            return;
        }
        out.object_field(name, |out| {
            for (name, text) in texts {
                out.text_field(name, text);
            }
            if self.port != 0 {
                out.bare_field("port", self.port);
            }
        });
    }
}

/// The tags of a span; the first value of a key stays.
#[derive(Default)]
struct Tags {
    pairs: Vec<(String, String)>,
    keys: HashSet<String>,
}

impl Tags {
    fn add(&mut self, key: &str, value: impl Into<String>) {
        if self.keys.insert(key.to_owned()) {
            self.pairs.push((key.to_owned(), value.into()));
        }
    }

    fn add_attributes(&mut self, attributes: &[AttributeRef<'_>], endpoint: &EndpointRef<'_>) {
        for attribute in attributes {
            let is_field = match attribute.key {
                names::SHARED | names::DEBUG => attribute.value == ValueRef::Bool(true),
                names::KIND => matches!(attribute.value, ValueRef::Str(_)),
                key => endpoint.used.contains(&(key, attribute.value)),
            };
            if !is_field {
                self.add(attribute.key, attribute.value.comparison_text());
            }
        }
    }

    /// Everything else a span has, in the tags by which OpenTelemetry's exporters carry it.
    fn add_known(&mut self, span: SpanRef<'_>, has_kind: bool) {
        let (row, scope, text) = (span.row(), span.scope(), &span.batch.text);
        if !has_kind && row.kind != 0 {
            self.add(names::SPAN_KIND, span.kind().to_string());
        }
        let scope_texts = [(names::SCOPE_NAME, text.str(scope.name)), (names::SCOPE_VERSION, text.str(scope.version))];
        for (key, value) in scope_texts.into_iter().chain([(names::TRACE_STATE, span.trace_state())]) {
            if !value.is_empty() {
                self.add(key, value);
            }
        }
        self.add_status(span);
        let counts = [
            (names::DROPPED_ATTRIBUTES, row.dropped_attributes_count),
            (names::DROPPED_EVENTS, row.dropped_events_count),
            (names::DROPPED_LINKS, row.dropped_links_count),
        ];
        for (key, count) in counts.into_iter().filter(|&(_, count)| count != 0) {
            self.add(key, count.to_string());
        }
        for (number, link) in span.links().enumerate() {
            self.add(&format!("{}{number}", names::LINK_PREFIX), link_text(link));
        }
    }

    fn add_status(&mut self, span: SpanRef<'_>) {
        let message = span.status_message();
        let has_error_tag = self.keys.contains(names::ERROR);
        // The tag `error` alone says it all, unless it is taken or the message would be misread.
        let is_plain = !has_error_tag && !message.eq_ignore_ascii_case("true") && message != "false";
        if span.status() == model::StatusCode::ERROR && is_plain {
            self.add(names::ERROR, if message.is_empty() { "true" } else { message });
            return;
        }
        if span.status() != model::StatusCode::UNSET {
            self.add(names::STATUS_CODE, span.status().to_string().to_ascii_uppercase());
        }
        if span.status() == model::StatusCode::ERROR || !message.is_empty() {
            self.add(names::STATUS_DESCRIPTION, message);
        }
        if span.status() == model::StatusCode::ERROR {
            self.add(names::ERROR, "true");
        }
    }
}

fn link_text(link: LinkRef<'_>) -> String {
    let attributes = Nested::Map(link.attributes().map(nested_pair).collect());
    let mut json = model::nested::NestedWriter::default();
    attributes.write(&mut json);
    let (trace_id, span_id, trace_state) = (link.trace_id(), link.span_id(), link.trace_state());
    format!("{trace_id}|{span_id}|{trace_state}|{}|{}", json.text(), link.dropped_attributes_count())
}
