//! Reading one span of a batch, without copying.

use std::fmt;
use std::ops::Range;

use crate::attributes::{Attributes, Level};
use crate::batch::{Resource, Scope, SpanBatch, SpanRow};
use crate::id::{SpanId, TraceId};
use crate::text::TextTable;
use crate::value::{Value, ValueRef};

/// The part a span plays, as OTLP numbers it; unknown numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanKind(pub i32);

/// Names of the kinds OTLP defines, by number.
const KIND_NAMES: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

impl SpanKind {
    /// Not said.
    pub const UNSPECIFIED: SpanKind = SpanKind(0);
    /// Work inside a process.
    pub const INTERNAL: SpanKind = SpanKind(1);
    /// Answers a request.
    pub const SERVER: SpanKind = SpanKind(2);
    /// Makes a request.
    pub const CLIENT: SpanKind = SpanKind(3);
    /// Sends a message.
    pub const PRODUCER: SpanKind = SpanKind(4);
    /// Receives or processes a message.
    pub const CONSUMER: SpanKind = SpanKind(5);

    /// The kind with this lower-case name or number.
    pub fn from_name(name: &str) -> Option<SpanKind> {
        let known = KIND_NAMES.iter().position(|&known| known == name).map(|place| place as i32);
        known.or_else(|| name.parse().ok()).map(SpanKind)
    }
}

impl fmt::Display for SpanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::try_from(self.0).ok().and_then(|kind| KIND_NAMES.get(kind)) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// How a span ended, as OTLP numbers it; unknown numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(pub i32);

const STATUS_NAMES: [&str; 3] = ["unset", "ok", "error"];

impl StatusCode {
    /// Nobody said.
    pub const UNSET: StatusCode = StatusCode(0);
    /// Declared to be good.
    pub const OK: StatusCode = StatusCode(1);
    /// Failed.
    pub const ERROR: StatusCode = StatusCode(2);

    /// The status with this lower-case name or number.
    pub fn from_name(name: &str) -> Option<StatusCode> {
        let known = STATUS_NAMES.iter().position(|&known| known == name).map(|place| place as i32);
        known.or_else(|| name.parse().ok()).map(StatusCode)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::try_from(self.0).ok().and_then(|code| STATUS_NAMES.get(code)) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// What makes a span the same span when it arrives again: client and server may share an id, so the kind is part of it.
pub type SpanKey = (TraceId, SpanId, i32);

/// A span of a batch.
#[derive(Clone, Copy)]
pub struct SpanRef<'a> {
    /// Where it lies.
    pub batch: &'a SpanBatch,
    /// Which row it is.
    pub index: usize,
}

/// An attribute that borrows from its batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttributeRef<'a> {
    /// The key.
    pub key: &'a str,
    /// The value.
    pub value: ValueRef<'a>,
}

/// An event of a span.
#[derive(Clone, Copy)]
pub struct EventRef<'a> {
    batch: &'a SpanBatch,
    index: usize,
}

/// A link of a span.
#[derive(Clone, Copy)]
pub struct LinkRef<'a> {
    /// Where it lies.
    pub batch: &'a SpanBatch,
    /// Which link of the batch it is.
    pub index: usize,
}

impl SpanBatch {
    /// One span.
    pub fn span(&self, index: usize) -> SpanRef<'_> {
        debug_assert!(index < self.len());
        SpanRef { batch: self, index }
    }

    /// All spans in order.
    pub fn spans(&self) -> impl Iterator<Item = SpanRef<'_>> + Clone {
        (0..self.len()).map(|index| self.span(index))
    }

    /// The attributes of a resource.
    pub fn attributes_of_resource(&self, resource: &Resource) -> impl Iterator<Item = AttributeRef<'_>> + Clone {
        pairs(&self.text, &self.resource_attributes, widen(&resource.attributes))
    }

    /// The attributes of a scope.
    pub fn attributes_of_scope(&self, scope: &Scope) -> impl Iterator<Item = AttributeRef<'_>> + Clone {
        pairs(&self.text, &self.scope_attributes, widen(&scope.attributes))
    }
}

impl<'a> SpanRef<'a> {
    /// Everything the span has exactly one of.
    pub fn row(self) -> &'a SpanRow {
        &self.batch.rows[self.index]
    }

    /// What makes it the same span when it arrives again.
    pub fn key(self) -> SpanKey {
        let row = self.row();
        (row.trace_id, row.span_id, row.kind)
    }

    /// The trace's id.
    pub fn trace_id(self) -> TraceId {
        self.row().trace_id
    }

    /// The span's id.
    pub fn span_id(self) -> SpanId {
        self.row().span_id
    }

    /// The parent's id, if it has a parent.
    pub fn parent_span_id(self) -> Option<SpanId> {
        let id = self.row().parent_span_id;
        (!id.is_zero()).then_some(id)
    }

    /// The operation.
    pub fn name(self) -> &'a str {
        self.batch.text.str(self.row().name)
    }

    /// The part it plays.
    pub fn kind(self) -> SpanKind {
        SpanKind(self.row().kind)
    }

    /// How it ended.
    pub fn status(self) -> StatusCode {
        StatusCode(self.row().status_code)
    }

    /// What the status says.
    pub fn status_message(self) -> &'a str {
        self.batch.text.str(self.row().status_message)
    }

    /// Start, Unix nanoseconds.
    pub fn start_unix_nano(self) -> u64 {
        self.row().start_unix_nano
    }

    /// End, Unix nanoseconds.
    pub fn end_unix_nano(self) -> u64 {
        self.row().end_unix_nano
    }

    /// From start to end; 0 when the sender's clock ran backwards.
    pub fn duration_ns(self) -> u64 {
        self.row().end_unix_nano.saturating_sub(self.row().start_unix_nano)
    }

    /// W3C trace state.
    pub fn trace_state(self) -> &'a str {
        self.batch.text.str(self.row().trace_state)
    }

    /// The instrumentation that made it.
    pub fn scope(self) -> &'a Scope {
        &self.batch.scopes[self.row().scope as usize]
    }

    /// What produced it.
    pub fn resource(self) -> &'a Resource {
        &self.batch.resources[self.scope().resource as usize]
    }

    /// The service's name, empty if the sender gave none.
    pub fn service_name(self) -> &'a str {
        self.batch.text.str(self.resource().service_name)
    }

    /// Its own attributes.
    pub fn attributes(self) -> impl Iterator<Item = AttributeRef<'a>> + Clone {
        let range = self.batch.attribute_ranges.get(self.index);
        pairs(&self.batch.text, &self.batch.attributes, range)
    }

    /// The value of one of its own attributes.
    pub fn attribute(self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().find(|attribute| attribute.key == key).map(|attribute| attribute.value)
    }

    /// Its events in the sender's order.
    pub fn events(self) -> impl Iterator<Item = EventRef<'a>> + Clone {
        self.batch.event_ranges.get(self.index).map(move |index| EventRef { batch: self.batch, index })
    }

    /// Its links in the sender's order.
    pub fn links(self) -> impl Iterator<Item = LinkRef<'a>> + Clone {
        self.batch.link_ranges.get(self.index).map(move |index| LinkRef { batch: self.batch, index })
    }
}

impl<'a> EventRef<'a> {
    /// When, Unix nanoseconds.
    pub fn time_unix_nano(self) -> u64 {
        self.batch.events.time_unix_nano[self.index]
    }

    /// What.
    pub fn name(self) -> &'a str {
        self.batch.text.str(self.batch.events.names[self.index])
    }

    /// Attributes the sender dropped.
    pub fn dropped_attributes_count(self) -> u32 {
        self.batch.events.dropped_attributes_counts[self.index]
    }

    /// Its attributes.
    pub fn attributes(self) -> impl Iterator<Item = AttributeRef<'a>> + Clone {
        let range = self.batch.events.attribute_ranges.get(self.index);
        pairs(&self.batch.text, &self.batch.events.attributes, range)
    }
}

impl<'a> LinkRef<'a> {
    /// The trace linked to.
    pub fn trace_id(self) -> TraceId {
        self.batch.links.trace_ids[self.index]
    }

    /// The span linked to.
    pub fn span_id(self) -> SpanId {
        self.batch.links.span_ids[self.index]
    }

    /// W3C trace state.
    pub fn trace_state(self) -> &'a str {
        self.batch.text.str(self.batch.links.trace_states[self.index])
    }

    /// W3C trace flags and OTLP's bits above them.
    pub fn flags(self) -> u32 {
        self.batch.links.flags[self.index]
    }

    /// Attributes the sender dropped.
    pub fn dropped_attributes_count(self) -> u32 {
        self.batch.links.dropped_attributes_counts[self.index]
    }

    /// Its attributes.
    pub fn attributes(self) -> impl Iterator<Item = AttributeRef<'a>> + Clone {
        let range = self.batch.links.attribute_ranges.get(self.index);
        pairs(&self.batch.text, &self.batch.links.attributes, range)
    }
}

fn widen(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

fn pairs<'a>(
    text: &'a TextTable,
    pool: &'a Attributes,
    range: Range<usize>,
) -> impl Iterator<Item = AttributeRef<'a>> + Clone {
    let keys = pool.keys[range.clone()].iter();
    let pair = |(&key, &value): (_, &Value)| AttributeRef { key: text.str(key), value: value.resolve(text) };
    keys.zip(&pool.values[range]).map(pair)
}

impl fmt::Debug for SpanRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("service", &self.service_name())
            .field("row", self.row())
            .field("name", &self.name())
            .field("attributes", &self.attributes().collect::<Vec<_>>())
            .field("events", &self.events().collect::<Vec<_>>())
            .field("links", &self.links().collect::<Vec<_>>())
            .finish()
    }
}

impl fmt::Debug for EventRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes: Vec<_> = self.attributes().collect();
        write!(f, "{} at {} {attributes:?}", self.name(), self.time_unix_nano())
    }
}

impl fmt::Debug for LinkRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes: Vec<_> = self.attributes().collect();
        write!(f, "{}/{} {attributes:?}", self.trace_id(), self.span_id())
    }
}

impl<'a> SpanRef<'a> {
    /// Calls `found` with every value that `key` has at `level` (events and links can have several) until it answers true.
    pub fn any_value_at(self, level: Level, key: &str, mut found: impl FnMut(ValueRef<'a>) -> bool) -> bool {
        let mut check = |attribute: AttributeRef<'a>| attribute.key == key && found(attribute.value);
        match level {
            Level::Span => self.attributes().any(check),
            Level::Resource => self.batch.attributes_of_resource(self.resource()).any(check),
            Level::Scope => self.batch.attributes_of_scope(self.scope()).any(check),
            Level::Event => self.events().any(|event| event.attributes().any(&mut check)),
            Level::Link => self.links().any(|link| link.attributes().any(&mut check)),
        }
    }
}
