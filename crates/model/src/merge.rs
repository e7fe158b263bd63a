//! Copying spans from batch to batch: texts move with their hashes, equal resources and scopes become one.
//!
//! Used to seal (many batches into one sorted run) and to assemble (a trace from many places).

use std::collections::HashMap;
use std::ops::Range;

use crate::attributes::Attributes;
use crate::batch::{Link, Resource, Scope, SpanBatch, SpanRow};
use crate::text::{TextId, TextTable};
use crate::value::Value;

/// Collects spans of other batches into one.
#[derive(Debug, Default)]
pub struct BatchMerger {
    out: SpanBatch,
    resources: HashMap<ContextKey, u32>,
    scopes: HashMap<ContextKey, u32>,
}

/// A resource or scope by its content; numbers are those of the merged batch, so equal keys mean equal content.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ContextKey {
    owner: u32,
    texts: [TextId; 3],
    dropped_attributes_count: u32,
    attributes: Vec<(TextId, ValueKey)>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ValueKey(u8, u64);

/// Which scope of the merged batch each scope of one source has become.
#[derive(Debug)]
pub struct Source<'a> {
    batch: &'a SpanBatch,
    scopes: Vec<Option<u32>>,
}

impl<'a> Source<'a> {
    /// A batch to copy from.
    pub fn new(batch: &'a SpanBatch) -> Self {
        Source { batch, scopes: vec![None; batch.scopes.len()] }
    }
}

impl BatchMerger {
    /// Copies span `index` of `source`.
    pub fn push(&mut self, source: &mut Source<'_>, index: usize) {
        let from = source.batch;
        let row = from.rows[index];
        let scope = self.scope(source, row.scope);
        let out = &mut self.out;
        let mut texts = Texts { from: &from.text, to: &mut out.text };
        let row = SpanRow {
            scope,
            name: texts.copy(row.name),
            status_message: texts.copy(row.status_message),
            trace_state: texts.copy(row.trace_state),
            ..row
        };
        texts.copy_attributes(&from.attributes, from.attribute_ranges.get(index), &mut out.attributes);
        for event in from.event_ranges.get(index) {
            let range = from.events.attribute_ranges.get(event);
            texts.copy_attributes(&from.events.attributes, range, &mut out.events.attributes);
            let name = texts.copy(from.events.names[event]);
            out.events.push(from.events.time_unix_nano[event], name, from.events.dropped_attributes_counts[event]);
        }
        for link in from.link_ranges.get(index) {
            let range = from.links.attribute_ranges.get(link);
            texts.copy_attributes(&from.links.attributes, range, &mut out.links.attributes);
            out.links.push(Link {
                trace_id: from.links.trace_ids[link],
                span_id: from.links.span_ids[link],
                trace_state: texts.copy(from.links.trace_states[link]),
                flags: from.links.flags[link],
                dropped_attributes_count: from.links.dropped_attributes_counts[link],
            });
        }
        out.push_span(row);
    }

    /// Copies a value that no attribute has.
    pub fn value(&mut self, source: &Source<'_>, value: Value) -> Value {
        Texts { from: &source.batch.text, to: &mut self.out.text }.copy_value(value)
    }

    /// How many spans were copied.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The merged batch.
    pub fn finish(self) -> SpanBatch {
        self.out
    }

    /// The merged scope that scope `scope` of `source` becomes; added with its resource if it is new.
    pub fn scope(&mut self, source: &mut Source<'_>, scope: u32) -> u32 {
        if let Some(known) = source.scopes[scope as usize] {
            return known;
        }
        let from = source.batch;
        let original = &from.scopes[scope as usize];
        let resource = self.resource(from, original.resource);
        let mut texts = Texts { from: &from.text, to: &mut self.out.text };
        let key = ContextKey {
            owner: resource,
            texts: [original.name, original.version, original.schema_url].map(|text| texts.copy(text)),
            dropped_attributes_count: original.dropped_attributes_count,
            attributes: texts.keyed(&from.scope_attributes, &original.attributes),
        };
        let merged = if let Some(&known) = self.scopes.get(&key) {
            known
        } else {
            let range = original.attributes.start as usize..original.attributes.end as usize;
            texts.copy_attributes(&from.scope_attributes, range, &mut self.out.scope_attributes);
            let [name, version, schema_url] = key.texts;
            let dropped_attributes_count = key.dropped_attributes_count;
            self.out.push_scope(Scope {
                resource,
                name,
                version,
                schema_url,
                dropped_attributes_count,
                attributes: 0..0,
            })
        };
        self.scopes.insert(key, merged);
        source.scopes[scope as usize] = Some(merged);
        merged
    }

    fn resource(&mut self, from: &SpanBatch, resource: u32) -> u32 {
        let original = &from.resources[resource as usize];
        let mut texts = Texts { from: &from.text, to: &mut self.out.text };
        let key = ContextKey {
            owner: 0,
            texts: [original.service_name, original.schema_url, TextId::EMPTY].map(|text| texts.copy(text)),
            dropped_attributes_count: original.dropped_attributes_count,
            attributes: texts.keyed(&from.resource_attributes, &original.attributes),
        };
        if let Some(&merged) = self.resources.get(&key) {
            return merged;
        }
        let range = original.attributes.start as usize..original.attributes.end as usize;
        texts.copy_attributes(&from.resource_attributes, range, &mut self.out.resource_attributes);
        let merged = self.out.push_resource(Resource {
            service_name: key.texts[0],
            schema_url: key.texts[1],
            dropped_attributes_count: key.dropped_attributes_count,
            attributes: 0..0,
        });
        self.resources.insert(key, merged);
        merged
    }
}

/// Moves texts with their hashes.
struct Texts<'a> {
    from: &'a TextTable,
    to: &'a mut TextTable,
}

impl Texts<'_> {
    fn copy(&mut self, text: TextId) -> TextId {
        if text == TextId::EMPTY {
            return text;
        }
        self.to.intern_hashed(self.from.bytes(text), self.from.hash(text))
    }

    fn copy_value(&mut self, value: Value) -> Value {
        match value {
            Value::Str(text) => Value::Str(self.copy(text)),
            Value::Bytes(text) => Value::Bytes(self.copy(text)),
            Value::Json(text) => Value::Json(self.copy(text)),
            Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => value,
        }
    }

    fn copy_attributes(&mut self, from: &Attributes, range: Range<usize>, to: &mut Attributes) {
        for index in range {
            let key = self.copy(from.keys[index]);
            let value = self.copy_value(from.values[index]);
            to.push(key, value);
        }
    }

    fn keyed(&mut self, from: &Attributes, range: &Range<u32>) -> Vec<(TextId, ValueKey)> {
        let pair = |index: u32| {
            let key = self.copy(from.keys[index as usize]);
            let value = match self.copy_value(from.values[index as usize]) {
                Value::Empty => ValueKey(0, 0),
                Value::Str(text) => ValueKey(1, text.0.into()),
                Value::Bool(value) => ValueKey(2, value.into()),
                Value::Int(value) => ValueKey(3, value as u64),
                Value::Double(value) => ValueKey(4, value.to_bits()),
                Value::Bytes(text) => ValueKey(5, text.0.into()),
                Value::Json(text) => ValueKey(6, text.0.into()),
            };
            (key, value)
        };
        range.clone().map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SpanId, TraceId};

    fn one_span(service: &str, span: u8) -> SpanBatch {
        let mut batch = SpanBatch::default();
        let service_name = batch.text.intern(service.as_bytes());
        let key = batch.text.intern(b"service.name");
        batch.resource_attributes.push(key, Value::Str(service_name));
        let resource = batch.push_resource(Resource { service_name, ..Resource::default() });
        let scope = batch.push_scope(Scope { resource, ..Scope::default() });
        let name = batch.text.intern(b"work");
        batch.attributes.push(key, Value::Int(span.into()));
        batch.events.attributes.push(key, Value::Bool(true));
        batch.events.push(7, name, 1);
        batch.links.push(Link { span_id: SpanId([9; 8]), ..Link::default() });
        let (trace_id, span_id) = (TraceId([1; 16]), SpanId([span; 8]));
        batch.push_span(SpanRow { trace_id, span_id, name, scope, ..SpanRow::default() });
        batch
    }

    #[test]
    fn merging_keeps_everything_once() {
        // Guarantees that spans merge with all they own, and that equal resources and scopes are stored once.
        let (a, b, c) = (one_span("order", 1), one_span("order", 2), one_span("payment", 3));
        let mut merger = BatchMerger::default();
        for batch in [&a, &b, &c] {
            merger.push(&mut Source::new(batch), 0);
        }
        let merged = merger.finish();
        assert_eq!((merged.len(), merged.resources.len(), merged.scopes.len()), (3, 2, 2));
        for (index, source) in [&a, &b, &c].into_iter().enumerate() {
            let (got, want) = (merged.span(index), source.span(0));
            assert_eq!(got.service_name(), want.service_name());
            assert_eq!(got.name(), want.name());
            assert!(got.attributes().eq(want.attributes()));
            assert_eq!(
                format!("{:?}", got.events().collect::<Vec<_>>()),
                format!("{:?}", want.events().collect::<Vec<_>>())
            );
            assert_eq!(got.links().next().unwrap().span_id(), SpanId([9; 8]));
        }
    }
}
