//! Opening and closing what owns attributes: resources, scopes, and the events and links of a span.
//!
//! Formats may give a resource or scope after its spans. So both are opened as empty rows before the first span and filled in
//! when closed; one that brought no span is taken back, so that empty ones cost nothing.

use model::{Level, Resource, Scope, SpanId, TextId, Value};

use crate::report::Reason;
use crate::sink::{AttributeCount, Sink};

/// A resource whose spans are being read.
#[derive(Debug)]
pub(crate) struct OpenResource {
    pub(crate) attributes: AttributeCount,
    /// Attributes the sender dropped.
    pub(crate) dropped_attributes_count: u32,
    pub(crate) schema_url: TextId,
    rows_before: usize,
}

/// A scope whose spans are being read.
#[derive(Debug)]
pub(crate) struct OpenScope {
    pub(crate) name: TextId,
    pub(crate) version: TextId,
    pub(crate) attributes: AttributeCount,
    /// Attributes the sender dropped.
    pub(crate) dropped_attributes_count: u32,
    pub(crate) schema_url: TextId,
    rows_before: usize,
}

impl Sink<'_> {
    pub(crate) fn open_resource(&mut self) -> OpenResource {
        self.batch.push_resource(Resource::default());
        OpenResource {
            attributes: AttributeCount::new(Level::Resource),
            dropped_attributes_count: 0,
            schema_url: TextId::EMPTY,
            rows_before: self.batch.len(),
        }
    }

    pub(crate) fn close_resource(&mut self, open: &OpenResource) {
        let range = {
            let start = self.batch.resources.last().map_or(0, |resource| resource.attributes.start);
            start..self.batch.resource_attributes.len() as u32
        };
        if self.batch.len() == open.rows_before {
            self.batch.resource_attributes.truncate(range.start as usize);
            self.batch.resources.pop();
            return;
        }
        let closed = Resource {
            service_name: self.service_name(range.start as usize),
            attributes: range,
            dropped_attributes_count: open.attributes.total_dropped(open.dropped_attributes_count),
            schema_url: open.schema_url,
        };
        if let Some(resource) = self.batch.resources.last_mut() {
            *resource = closed;
        }
    }

    /// The last `service.name` among the resource attributes from `start` on.
    fn service_name(&mut self, start: usize) -> TextId {
        let Some(key) = self.batch.text.find(b"service.name") else {
            return TextId::EMPTY;
        };
        let pool = &self.batch.resource_attributes;
        let Some(place) = pool.keys[start..].iter().rposition(|&found| found == key) else {
            return TextId::EMPTY;
        };
        match pool.values[start + place] {
            Value::Str(text) => text,
            other => {
                let text = other.resolve(&self.batch.text).comparison_text().into_owned();
                self.batch.text.intern(text.as_bytes())
            }
        }
    }

    pub(crate) fn open_scope(&mut self) -> OpenScope {
        let resource = self.batch.resources.len() as u32 - 1;
        self.batch.push_scope(Scope { resource, ..Scope::default() });
        OpenScope {
            name: TextId::EMPTY,
            version: TextId::EMPTY,
            attributes: AttributeCount::new(Level::Scope),
            dropped_attributes_count: 0,
            schema_url: TextId::EMPTY,
            rows_before: self.batch.len(),
        }
    }

    pub(crate) fn close_scope(&mut self, open: &OpenScope) {
        let end = self.batch.scope_attributes.len() as u32;
        let Some(scope) = self.batch.scopes.last_mut() else { return };
        if self.batch.rows.len() == open.rows_before {
            self.batch.scope_attributes.truncate(scope.attributes.start as usize);
            self.batch.scopes.pop();
            return;
        }
        scope.attributes.end = end;
        scope.name = open.name;
        scope.version = open.version;
        scope.schema_url = open.schema_url;
        scope.dropped_attributes_count = open.attributes.total_dropped(open.dropped_attributes_count);
    }

    /// The number of the scope that is open.
    pub(crate) fn current_scope(&self) -> u32 {
        self.batch.scopes.len() as u32 - 1
    }

    /// Whether the span being read may have one more event; counted if not.
    pub(crate) fn event_fits(&mut self) -> bool {
        let fits = self.batch.events.len() - self.batch.event_ranges.end() < self.limits.events_max;
        if !fits {
            self.report.add(Reason::EventsOverLimit);
        }
        fits
    }

    /// Whether the span being read may have one more link; counted if not.
    pub(crate) fn link_fits(&mut self) -> bool {
        let fits = self.batch.links.len() - self.batch.link_ranges.end() < self.limits.links_max;
        if !fits {
            self.report.add(Reason::LinksOverLimit);
        }
        fits
    }

    /// Drops the link being read, whose ids have the wrong length.
    #[cold]
    pub(crate) fn drop_open_link(&mut self) {
        self.report.add(Reason::InvalidLinkId);
        let links = &mut self.batch.links;
        links.attributes.truncate(links.attribute_ranges.end());
    }

    /// A parent's id. One of the wrong length is no parent: the span itself is good, and what it points at cannot be found.
    pub(crate) fn parent_span_id(&mut self, bytes: &[u8]) -> SpanId {
        if bytes.is_empty() {
            return SpanId::ZERO;
        }
        SpanId::from_slice(bytes).unwrap_or_else(|| {
            self.report.add(Reason::InvalidParentSpanId);
            SpanId::ZERO
        })
    }
}
