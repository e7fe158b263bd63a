//! [`SpanBatch`]: spans as a struct of arrays.
//!
//! A decoder adds a resource, then its scopes, then each span: first the span's attributes, events and links (into their
//! pools), then [`SpanBatch::push_span`], which closes the span's ranges. [`SpanBatch::drop_open_span`] undoes a span that
//! turned out to be unusable half-way. After that a batch is read-only.

use std::ops::Range;

use crate::attributes::{Attributes, Ranges};
use crate::id::{SpanId, TraceId};
use crate::text::{TextId, TextTable};

/// Set in [`SpanRow::notes`] when start or end lie outside the accepted window around the time of receipt.
pub const NOTE_TIME_OUT_OF_RANGE: u8 = 1;

/// What produced spans: a process, a host, a function.
#[derive(Debug, Clone, Default)]
pub struct Resource {
    /// The value of `service.name`, empty if there is none.
    pub service_name: TextId,
    /// Its attributes, in [`SpanBatch::resource_attributes`].
    pub attributes: Range<u32>,
    /// Attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// The schema the attributes follow.
    pub schema_url: TextId,
}

/// The instrumentation library that made spans, within one resource.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Its resource, in [`SpanBatch::resources`].
    pub resource: u32,
    /// Its name.
    pub name: TextId,
    /// Its version.
    pub version: TextId,
    /// Its attributes, in [`SpanBatch::scope_attributes`].
    pub attributes: Range<u32>,
    /// Attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// The schema the spans follow.
    pub schema_url: TextId,
}

/// Events of the spans of a batch.
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// When.
    pub time_unix_nano: Vec<u64>,
    /// What.
    pub names: Vec<TextId>,
    /// Attributes the sender dropped.
    pub dropped_attributes_counts: Vec<u32>,
    /// All events' attributes.
    pub attributes: Attributes,
    /// Which attributes are whose.
    pub attribute_ranges: Ranges,
}

/// Links of the spans of a batch.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// The trace linked to.
    pub trace_ids: Vec<TraceId>,
    /// The span linked to.
    pub span_ids: Vec<SpanId>,
    /// W3C trace state.
    pub trace_states: Vec<TextId>,
    /// W3C trace flags and OTLP's bits above them.
    pub flags: Vec<u32>,
    /// Attributes the sender dropped.
    pub dropped_attributes_counts: Vec<u32>,
    /// All links' attributes.
    pub attributes: Attributes,
    /// Which attributes are whose.
    pub attribute_ranges: Ranges,
}

/// What every span has exactly one of.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpanRow {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that caused it; zero for none.
    pub parent_span_id: SpanId,
    /// Start, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// End, Unix nanoseconds.
    pub end_unix_nano: u64,
    /// The operation.
    pub name: TextId,
    /// OTLP's number of the kind; numbers nobody has defined yet are kept.
    pub kind: i32,
    /// OTLP's number of the status code; unknown numbers are kept.
    pub status_code: i32,
    /// What the status says.
    pub status_message: TextId,
    /// W3C trace state.
    pub trace_state: TextId,
    /// W3C trace flags and OTLP's bits above them.
    pub flags: u32,
    /// Attributes the sender, or a limit, dropped.
    pub dropped_attributes_count: u32,
    /// Events the sender, or a limit, dropped.
    pub dropped_events_count: u32,
    /// Links the sender, or a limit, dropped.
    pub dropped_links_count: u32,
    /// Its scope, in [`SpanBatch::scopes`].
    pub scope: u32,
    /// What we noticed about it, see [`NOTE_TIME_OUT_OF_RANGE`].
    pub notes: u8,
}

/// Spans as columns.
#[derive(Debug, Clone, Default)]
pub struct SpanBatch {
    /// All texts.
    pub text: TextTable,
    /// Resources.
    pub resources: Vec<Resource>,
    /// All resources' attributes.
    pub resource_attributes: Attributes,
    /// Scopes.
    pub scopes: Vec<Scope>,
    /// All scopes' attributes.
    pub scope_attributes: Attributes,
    /// One row a span.
    pub rows: Vec<SpanRow>,
    /// All spans' own attributes.
    pub attributes: Attributes,
    /// Which attributes are which span's.
    pub attribute_ranges: Ranges,
    /// All spans' events.
    pub events: Events,
    /// Which events are which span's.
    pub event_ranges: Ranges,
    /// All spans' links.
    pub links: Links,
    /// Which links are which span's.
    pub link_ranges: Ranges,
}

impl SpanBatch {
    /// How many spans there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a resource whose attributes are those pushed since the resource before it.
    pub fn push_resource(&mut self, mut resource: Resource) -> u32 {
        let start = self.resources.last().map_or(0, |last| last.attributes.end);
        resource.attributes = start..self.resource_attributes.len() as u32;
        self.resources.push(resource);
        self.resources.len() as u32 - 1
    }

    /// Adds a scope whose attributes are those pushed since the scope before it.
    pub fn push_scope(&mut self, mut scope: Scope) -> u32 {
        let start = self.scopes.last().map_or(0, |last| last.attributes.end);
        scope.attributes = start..self.scope_attributes.len() as u32;
        self.scopes.push(scope);
        self.scopes.len() as u32 - 1
    }

    /// Adds a span which owns the attributes, events and links pushed since the span before it.
    pub fn push_span(&mut self, row: SpanRow) {
        debug_assert!((row.scope as usize) < self.scopes.len(), "a span's scope is pushed before it");
        self.rows.push(row);
        self.attribute_ranges.close(self.attributes.len());
        self.event_ranges.close(self.events.len());
        self.link_ranges.close(self.links.len());
    }

    /// Forgets attributes, events and links pushed since the last [`SpanBatch::push_span`].
    pub fn drop_open_span(&mut self) {
        self.attributes.truncate(self.attribute_ranges.end());
        self.events.truncate(self.event_ranges.end());
        self.links.truncate(self.link_ranges.end());
    }

    /// The earliest and the latest start.
    pub fn start_bounds(&self) -> Option<(u64, u64)> {
        let starts = || self.rows.iter().map(|row| row.start_unix_nano);
        Some((starts().min()?, starts().max()?))
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.text.heap_bytes()
            + self.rows.capacity() * size_of::<SpanRow>()
            + self.resources.capacity() * size_of::<Resource>()
            + self.scopes.capacity() * size_of::<Scope>()
            + self.resource_attributes.heap_bytes()
            + self.scope_attributes.heap_bytes()
            + self.attributes.heap_bytes()
            + self.events.heap_bytes()
            + self.links.heap_bytes()
            + self.attribute_ranges.heap_bytes()
            + self.event_ranges.heap_bytes()
            + self.link_ranges.heap_bytes()
    }

    /// Gives unused memory back; for batches that are kept.
    pub fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.attributes.shrink_to_fit();
        self.attribute_ranges.shrink_to_fit();
        self.event_ranges.shrink_to_fit();
        self.link_ranges.shrink_to_fit();
    }
}

impl Events {
    /// Adds an event which owns the attributes pushed since the event before it.
    pub fn push(&mut self, time_unix_nano: u64, name: TextId, dropped_attributes_count: u32) {
        self.time_unix_nano.push(time_unix_nano);
        self.names.push(name);
        self.dropped_attributes_counts.push(dropped_attributes_count);
        self.attribute_ranges.close(self.attributes.len());
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Drops all events from `len` on, and attributes that no event owns.
    pub fn truncate(&mut self, len: usize) {
        self.time_unix_nano.truncate(len);
        self.names.truncate(len);
        self.dropped_attributes_counts.truncate(len);
        self.attribute_ranges.truncate(len);
        self.attributes.truncate(self.attribute_ranges.end());
    }

    fn heap_bytes(&self) -> usize {
        self.names.capacity() * 16 + self.attributes.heap_bytes() + self.attribute_ranges.heap_bytes()
    }
}

impl Links {
    /// Adds a link which owns the attributes pushed since the link before it.
    pub fn push(&mut self, link: Link) {
        self.trace_ids.push(link.trace_id);
        self.span_ids.push(link.span_id);
        self.trace_states.push(link.trace_state);
        self.flags.push(link.flags);
        self.dropped_attributes_counts.push(link.dropped_attributes_count);
        self.attribute_ranges.close(self.attributes.len());
    }

    /// How many links there are.
    pub fn len(&self) -> usize {
        self.span_ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.span_ids.is_empty()
    }

    /// Drops all links from `len` on, and attributes that no link owns.
    pub fn truncate(&mut self, len: usize) {
        self.trace_ids.truncate(len);
        self.span_ids.truncate(len);
        self.trace_states.truncate(len);
        self.flags.truncate(len);
        self.dropped_attributes_counts.truncate(len);
        self.attribute_ranges.truncate(len);
        self.attributes.truncate(self.attribute_ranges.end());
    }

    fn heap_bytes(&self) -> usize {
        self.span_ids.capacity() * 36 + self.attributes.heap_bytes() + self.attribute_ranges.heap_bytes()
    }
}

/// What every link has exactly one of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Link {
    /// The trace linked to.
    pub trace_id: TraceId,
    /// The span linked to.
    pub span_id: SpanId,
    /// W3C trace state.
    pub trace_state: TextId,
    /// W3C trace flags and OTLP's bits above them.
    pub flags: u32,
    /// Attributes the sender, or a limit, dropped.
    pub dropped_attributes_count: u32,
}
