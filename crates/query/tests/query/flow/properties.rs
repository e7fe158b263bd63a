//! What holds for every flow, over random traces that link to each other without rhyme or reason, against the plain reading: all
//! spans in a list, and the closure over causes and effects computed until nothing changes.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use ::flow::Flow;
use model::{Link, Resource, Scope, SpanBatch, SpanId, SpanRow, TraceId, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use query::FlowQuery;
use query::flow::{FlowLimits, flow};

use testkit::rng::Rng;
use testkit::spans::{Shape, random_batch};

use super::show::show;
use crate::memory::Memory;

/// A span by its number: ten spans a trace.
#[derive(Debug, Clone)]
struct Span {
    number: u8,
    parent: Option<u8>,
    links: Vec<u8>,
    start: u64,
    duration: u64,
    service: &'static str,
    says: (&'static str, &'static str),
}

const SPANS_OF_TRACE: u8 = 6;
const SPANS: u8 = 36;

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let links = prop_oneof![4 => Just(Vec::new()), 3 => vec(0..SPANS, 1), 1 => vec(0..SPANS, 2..4)];
    let says = select(vec![
        ("", ""),
        ("send", "a"),
        ("send", "b"),
        ("process", "a"),
        ("process", "b"),
        ("receive", "a"),
        ("settle", "a"),
    ]);
    let span =
        (0..SPANS, option::weighted(0.7, 0..SPANS_OF_TRACE), links, 0..300u64, 0..100u64, select(vec!["x", "y"]), says);
    let span = span.prop_map(|(number, parent, links, start, duration, service, says)| {
        let first = number / SPANS_OF_TRACE * SPANS_OF_TRACE;
        Span { number, parent: parent.map(|parent| first + parent), links, start, duration, service, says }
    });
    vec(span, 1..30).prop_map(|mut spans: Vec<Span>| {
        let mut seen = HashSet::new();
        spans.retain(|span| seen.insert(span.number));
        spans
    })
}

fn ids(number: u8) -> (TraceId, SpanId) {
    (TraceId([number / SPANS_OF_TRACE + 1; 16]), SpanId([number % SPANS_OF_TRACE + 1; 8]))
}

fn number(trace_id: TraceId, span_id: SpanId) -> u8 {
    (trace_id.0[0] - 1) * SPANS_OF_TRACE + span_id.0[0] - 1
}

fn batch(spans: &[Span]) -> SpanBatch {
    let mut batch = SpanBatch::default();
    for span in spans {
        let service_name = batch.text.intern(span.service.as_bytes());
        let resource = batch.push_resource(Resource { service_name, ..Resource::default() });
        let scope = batch.push_scope(Scope { resource, ..Scope::default() });
        let (operation, destination) = span.says;
        for (key, value) in [("messaging.operation.type", operation), ("messaging.destination.name", destination)] {
            if !value.is_empty() {
                let pair = (batch.text.intern(key.as_bytes()), batch.text.intern(value.as_bytes()));
                batch.attributes.push(pair.0, Value::Str(pair.1));
            }
        }
        for &link in &span.links {
            let (trace_id, span_id) = ids(link);
            batch.links.push(Link { trace_id, span_id, ..Link::default() });
        }
        let (trace_id, span_id) = ids(span.number);
        let parent_span_id = span.parent.map_or(SpanId::ZERO, |parent| ids(parent).1);
        let start_unix_nano = 1_000 + span.start;
        let end_unix_nano = start_unix_nano + span.duration;
        batch.push_span(SpanRow {
            trace_id,
            span_id,
            parent_span_id,
            start_unix_nano,
            end_unix_nano,
            scope,
            ..SpanRow::default()
        });
    }
    batch
}

fn open(memory: &Memory, span: u8) -> Flow {
    let (trace_id, span_id) = ids(span);
    let query = FlowQuery {
        trace_id,
        span_id: Some(span_id),
        correlate: Vec::new(),
        limits: FlowLimits::default(),
        bindings: Arc::default(),
    };
    flow(memory, &query).expect("memory can be read").expect("the span is stored")
}

fn members(flow: &Flow) -> BTreeSet<u8> {
    let joined = flow.cone.joined().iter().map(|&node| flow.cone.span(node));
    joined.map(|span| number(span.trace_id(), span.span_id())).collect()
}

/// The plain reading.
struct Plain<'s>(&'s [Span]);

impl Plain<'_> {
    fn find(&self, number: u8) -> Option<&Span> {
        self.0.iter().find(|span| span.number == number)
    }

    fn order(span: &Span) -> (u64, u8) {
        (span.start, span.number)
    }

    /// What a span hangs below in its trace.
    fn above(&self, span: &Span) -> Option<u8> {
        let own = |other: &&Span| other.number / SPANS_OF_TRACE == span.number / SPANS_OF_TRACE;
        let parent = |span: &Span| span.parent.filter(|&parent| parent != span.number && self.find(parent).is_some());
        let earliest = |wanted: &dyn Fn(&Span) -> bool| {
            self.0
                .iter()
                .filter(own)
                .filter(|span| wanted(span))
                .min_by_key(|span| Plain::order(span))
                .map(|span| span.number)
        };
        let root = earliest(&|span| span.parent.is_none());
        let orphan = earliest(&|span| parent(span).is_none());
        let origin = root.or(orphan).or_else(|| earliest(&|_| true)).expect("the trace has a span");
        if origin == span.number { None } else { parent(span).or(Some(origin)) }
    }

    fn cause(&self, span: &Span, gathers: bool) -> Option<u8> {
        let traces: BTreeSet<u8> = span.links.iter().map(|link| link / SPANS_OF_TRACE).collect();
        let stored: Vec<&Span> =
            span.links.iter().filter(|&&link| link != span.number).filter_map(|&link| self.find(link)).collect();
        let linked = match traces.len() {
            0 => false,
            1 => true,
            _ => {
                let all_stored = span.links.iter().all(|&link| link != span.number && self.find(link).is_some());
                let roots: BTreeSet<u8> =
                    stored.iter().filter(|_| gathers).map(|link| self.root(link.number, false)).collect();
                gathers && all_stored && roots.len() == 1
            }
        };
        let first = stored.into_iter().min_by_key(|span| Plain::order(span)).map(|span| span.number);
        first.filter(|_| linked).or_else(|| self.above(span))
    }

    fn root(&self, from: u8, gathers: bool) -> u8 {
        let mut path = vec![from];
        loop {
            let last = self.find(path[path.len() - 1]).expect("the path is of stored spans");
            let Some(cause) = self.cause(last, gathers) else { return last.number };
            if let Some(place) = path.iter().position(|&known| known == cause) {
                let circle = path[place..].iter().filter_map(|&number| self.find(number));
                return circle.min_by_key(|span| Plain::order(span)).expect("a circle has spans").number;
            }
            path.push(cause);
        }
    }

    fn closure(&self, root: u8) -> BTreeSet<u8> {
        let mut members = BTreeSet::from([root]);
        loop {
            let before = members.len();
            let is_effect = |span: &&Span| {
                let above = self.above(span).is_some_and(|above| members.contains(&above));
                above || span.links.iter().any(|link| members.contains(link))
            };
            let effects: Vec<u8> = self.0.iter().filter(is_effect).map(|span| span.number).collect();
            members.extend(effects);
            if members.len() == before {
                return members;
            }
        }
    }
}

#[test]
fn odd_spans_have_flows() {
    // Guarantees that no span, however odd its kinds, times, links and texts, keeps a flow from being found.
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let shape = Shape { traces: 6, spans_of_trace: 10, ..Shape::default() };
        let memory = Memory::new((0..4).map(|_| random_batch(&mut rng, &shape, 25)).collect());
        let spans = memory.spans();
        for span in spans.spans() {
            let (trace_id, span_id) = (span.trace_id(), Some(span.span_id()));
            let correlate = vec!["order.id".to_owned(), "n".to_owned()];
            let query =
                FlowQuery { trace_id, span_id, correlate, limits: FlowLimits::default(), bindings: Arc::default() };
            let flow = flow(&memory, &query).expect("memory can be read").expect("the span is stored");
            let total = flow.last_effect_unix_nano - flow.start_unix_nano;
            let path: u64 = flow.critical_path.iter().map(|segment| segment.self_ns).sum();
            assert!(path <= total && flow.working_ns + flow.waiting_ns <= total);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_flow_is_the_closure_over_its_root(spans in spans()) {
        // Guarantees that a flow holds what its root caused and nothing else, and is the same from every span that has that root.
        let memory = Memory::new(vec![batch(&spans)]);
        let plain = Plain(&spans);
        for span in &spans {
            let found = open(&memory, span.number);
            let root = plain.root(span.number, true);
            let got = found.cone.span(found.root);
            prop_assert_eq!(number(got.trace_id(), got.span_id()), root);
            prop_assert_eq!(members(&found), plain.closure(root));
            prop_assert!(members(&found).contains(&span.number));
            prop_assert_eq!(show(&found), show(&open(&memory, root)));
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(
        (spans, shuffled) in spans().prop_flat_map(|spans| (Just(spans.clone()), Just(spans).prop_shuffle())),
        cut in 0..30usize,
    ) {
        // Guarantees the same flow for spans in any order, split over batches, some of them stored twice.
        let opened = spans[0].number;
        let once = open(&Memory::new(vec![batch(&spans)]), opened);
        let cut = cut.min(shuffled.len());
        let parts = vec![batch(&shuffled[cut..]), batch(&shuffled), batch(&shuffled[..cut])];
        prop_assert_eq!(show(&open(&Memory::new(parts), opened)), show(&once));
    }

    #[test]
    fn times_add_up(spans in spans()) {
        // Guarantees that the critical path, and work and waiting together, are no longer than the flow, whatever the clocks say.
        let flow = open(&Memory::new(vec![batch(&spans)]), spans[0].number);
        let total = flow.last_effect_unix_nano - flow.start_unix_nano;
        let path: u64 = flow.critical_path.iter().map(|segment| segment.self_ns).sum();
        prop_assert!(path <= total, "{path} of {total}");
        prop_assert!(flow.critical_path.iter().all(|segment| segment.self_ns > 0));
        prop_assert!(flow.working_ns + flow.waiting_ns <= total);
        prop_assert!(flow.answered_unix_nano >= flow.start_unix_nano);
        let in_traces: usize = flow.traces.iter().map(|trace| trace.span_count).sum();
        prop_assert_eq!(in_traces, flow.cone.joined().len());
        let in_services: usize = flow.services.iter().map(|service| service.spans).sum();
        prop_assert_eq!(in_services, flow.cone.joined().len());
    }
}
