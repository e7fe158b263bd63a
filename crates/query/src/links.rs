//! Links of a trace in both directions, with what is known of their other ends.
//!
//! A link points from the span that carries it back to its cause. Other traces are loaded one after the other, each once, so that
//! memory holds two traces at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use model::{AttributeRef, Attributes, LinkRef, SpanId, SpanRef, TextTable, TraceId};

use crate::contract::QueryError;
use crate::source::Source;
use crate::trace::Trace;

/// Most other traces that are looked at for the links of one.
pub const LINKED_TRACES_MAX: usize = 1_000;

/// Links from and to a trace.
#[derive(Debug, Default)]
pub struct TraceLinks {
    /// Links that spans of this trace carry, in the order of the spans: this trace is the effect.
    pub outgoing: Vec<TraceLink>,
    /// Links to spans of this trace, of whatever trace carries them: this trace is the cause. Ordered by the carrying trace.
    pub incoming: Vec<TraceLink>,
    /// Whether there are more than [`LINKED_TRACES_MAX`] other traces. The ends of outgoing links in the rest look as if they had
    /// not been received, and their incoming links are missing.
    pub truncated: bool,
    text: TextTable,
    attributes: Attributes,
}

/// A link.
#[derive(Debug, Clone)]
pub struct TraceLink {
    /// The cause: the span linked to.
    pub from: LinkEnd,
    /// The effect: the span that carries the link.
    pub to: LinkEnd,
    attributes: Range<usize>,
}

/// A span at an end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEnd {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// What is known of it; nothing if it has not been received.
    pub span: Option<LinkedSpan>,
}

/// What is told of a span at an end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedSpan {
    /// Its service, empty if the sender gave none.
    pub service: String,
    /// Its name.
    pub name: String,
}

impl TraceLinks {
    /// The attributes of one of these links.
    pub fn attributes(&self, link: &TraceLink) -> impl Iterator<Item = AttributeRef<'_>> + Clone {
        let places = link.attributes.clone();
        places.map(|place| AttributeRef {
            key: self.text.str(self.attributes.keys[place]),
            value: self.attributes.values[place].resolve(&self.text),
        })
    }

    fn link(&mut self, from: LinkEnd, carrier: SpanRef<'_>, link: LinkRef<'_>) -> TraceLink {
        let start = self.attributes.len();
        for attribute in link.attributes() {
            let key = self.text.intern(attribute.key.as_bytes());
            self.attributes.push(key, attribute.value.store(&mut self.text));
        }
        let to = LinkEnd { trace_id: carrier.trace_id(), span_id: carrier.span_id(), span: Some(linked(carrier)) };
        TraceLink { from, to, attributes: start..self.attributes.len() }
    }

    /// Adds the links of `carriers` to spans of `target`, whose id is `id`.
    fn add_incoming(&mut self, id: TraceId, target: Option<&Trace>, carriers: &Trace) {
        for carrier in carriers.spans.spans() {
            for link in carrier.links().filter(|link| link.trace_id() == id) {
                let incoming = self.link(end(id, link.span_id(), target), carrier, link);
                self.incoming.push(incoming);
            }
        }
    }
}

/// The links of a trace.
pub fn links<S: Source>(source: &S, id: TraceId) -> Result<TraceLinks, QueryError> {
    let mut links = TraceLinks::default();
    let own = Trace::merge(id, &source.trace(id)?);
    for carrier in own.iter().flat_map(|trace| trace.spans.spans()) {
        for link in carrier.links() {
            let outgoing = links.link(end(link.trace_id(), link.span_id(), None), carrier, link);
            links.outgoing.push(outgoing);
        }
    }
    let carriers: BTreeSet<TraceId> = source.linking_traces(id)?.into_iter().collect();
    let mut targets: BTreeMap<TraceId, Vec<usize>> = BTreeMap::new();
    for (place, link) in links.outgoing.iter().enumerate() {
        targets.entry(link.from.trace_id).or_default().push(place);
    }
    let others: BTreeSet<TraceId> = carriers.iter().chain(targets.keys()).copied().collect();
    links.truncated = others.len() > LINKED_TRACES_MAX;
    for other in others.into_iter().take(LINKED_TRACES_MAX) {
        let loaded = if other == id { None } else { Trace::merge(other, &source.trace(other)?) };
        let Some(trace) = (if other == id { own.as_ref() } else { loaded.as_ref() }) else {
            continue;
        };
        resolve(&mut links.outgoing, targets.get(&other).map_or(&[], Vec::as_slice), trace);
        if carriers.contains(&other) {
            links.add_incoming(id, own.as_ref(), trace);
        }
    }
    Ok(links)
}

/// Fills in the causes of the links at `places`, which are all in `trace`.
fn resolve(outgoing: &mut [TraceLink], places: &[usize], trace: &Trace) {
    let spans = spans_by_id(trace);
    for &place in places {
        let from = &mut outgoing[place].from;
        from.span = spans.get(&from.span_id).map(|&span| linked(span));
    }
}

/// A trace's spans; of several kinds with one id the earliest.
fn spans_by_id(trace: &Trace) -> BTreeMap<SpanId, SpanRef<'_>> {
    let mut spans = BTreeMap::new();
    for span in trace.spans.spans() {
        spans.entry(span.span_id()).or_insert(span);
    }
    spans
}

fn end(trace_id: TraceId, span_id: SpanId, trace: Option<&Trace>) -> LinkEnd {
    let span = trace.and_then(|trace| trace.spans.spans().find(|span| span.span_id() == span_id));
    LinkEnd { trace_id, span_id, span: span.map(linked) }
}

fn linked(span: SpanRef<'_>) -> LinkedSpan {
    LinkedSpan { service: span.service_name().to_owned(), name: span.name().to_owned() }
}
