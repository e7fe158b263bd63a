//! Random spans and filters over so few ids, keys and values that they meet often.

use model::{Level, Link, Resource, Scope, SpanBatch, SpanId, SpanRow, TraceId, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use query::{Field, Filter, Op};

/// A span before it is in a batch.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: u8,
    pub(crate) id: u8,
    parent: u8,
    kind: i32,
    status: i32,
    pub(crate) start: u64,
    duration: u64,
    service: &'static str,
    name: &'static str,
    message: &'static str,
    attributes: Vec<Pair>,
    resource: Vec<Pair>,
    scope: Vec<Pair>,
    events: Vec<(&'static str, Vec<Pair>)>,
    links: Vec<(u8, u8, Vec<Pair>)>,
}

type Pair = (&'static str, Any);

/// A value before it is in a batch.
#[derive(Debug, Clone)]
enum Any {
    Empty,
    Str(&'static str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'static [u8]),
    Json(&'static str),
}

const KEYS: [&str; 4] = ["a", "b.c", "odd \"key\"", "service.name"];
const TEXTS: [&str; 14] =
    ["order", "payment", "5", "5.0", "true", "", "-3", "1e3", "order 7", "a\\b\"c", "and", "[1]", "NaN", "aGk="];

/// The id of the n-th trace.
pub(crate) fn trace_id(trace: u8) -> TraceId {
    TraceId([trace + 1; 16])
}

/// The id of the n-th span.
pub(crate) fn span_id(span: u8) -> SpanId {
    SpanId([span; 8])
}

fn value() -> impl Strategy<Value = Any> {
    prop_oneof![
        4 => select(&TEXTS[..]).prop_map(Any::Str),
        3 => (-4i64..8).prop_map(Any::Int),
        1 => select(vec![i64::MAX, 1000, 9_007_199_254_740_993]).prop_map(Any::Int),
        2 => select(vec![5.0, 0.5, -0.0, 1e3, f64::NAN, 1e300, f64::INFINITY]).prop_map(Any::Double),
        1 => any::<bool>().prop_map(Any::Bool),
        1 => select(vec![&b"hi"[..], &b"\xff"[..]]).prop_map(Any::Bytes),
        1 => select(vec!["[1]", "{\"a\":1}"]).prop_map(Any::Json),
        1 => Just(Any::Empty),
    ]
}

fn pairs(max: usize) -> impl Strategy<Value = Vec<Pair>> {
    vec((select(&KEYS[..]), value()), 0..=max)
}

/// A span that starts within 0..=60.
pub(crate) fn span() -> impl Strategy<Value = Span> {
    let ids = (0..6u8, 1..5u8, 0..5u8, select(vec![0, 1, 2, 3, 4, 5, 9]), select(vec![0, 0, 1, 2, 7]));
    let times = (0..=60u64, 0..50u64);
    let texts = (
        select(vec!["order", "payment", "mail", ""]),
        select(vec!["order", "work", "5", ""]),
        select(vec!["", "order failed", "5"]),
    );
    let owned = (pairs(2), pairs(1), pairs(1));
    let events = vec((select(vec!["order", "exception", ""]), pairs(1)), 0..2);
    let links = vec((0..6u8, 1..5u8, pairs(1)), 0..2);
    (ids, times, texts, owned, events, links).prop_map(|(ids, times, texts, owned, events, links)| Span {
        trace: ids.0,
        id: ids.1,
        parent: ids.2,
        kind: ids.3,
        status: ids.4,
        start: times.0,
        duration: times.1,
        service: texts.0,
        name: texts.1,
        message: texts.2,
        attributes: owned.0,
        resource: owned.1,
        scope: owned.2,
        events,
        links,
    })
}

fn store(batch: &mut SpanBatch, pair: &Pair) -> (model::TextId, Value) {
    let text = &mut batch.text;
    let value = match pair.1 {
        Any::Empty => Value::Empty,
        Any::Str(value) => Value::Str(text.intern(value.as_bytes())),
        Any::Bool(value) => Value::Bool(value),
        Any::Int(value) => Value::Int(value),
        Any::Double(value) => Value::Double(value),
        Any::Bytes(value) => Value::Bytes(text.intern(value)),
        Any::Json(value) => Value::Json(text.intern(value.as_bytes())),
    };
    (text.intern(pair.0.as_bytes()), value)
}

/// The spans as a batch, each with a resource and a scope of its own.
pub(crate) fn batch(spans: &[Span]) -> SpanBatch {
    let mut batch = SpanBatch::default();
    for span in spans {
        push(&mut batch, span);
    }
    batch
}

fn push(batch: &mut SpanBatch, span: &Span) {
    let service_name = batch.text.intern(span.service.as_bytes());
    if !span.service.is_empty() {
        let key = batch.text.intern(b"service.name");
        batch.resource_attributes.push(key, Value::Str(service_name));
    }
    for pair in span.resource.iter().filter(|pair| pair.0 != "service.name") {
        let (key, value) = store(batch, pair);
        batch.resource_attributes.push(key, value);
    }
    let resource = batch.push_resource(Resource { service_name, ..Resource::default() });
    for pair in &span.scope {
        let (key, value) = store(batch, pair);
        batch.scope_attributes.push(key, value);
    }
    let name = batch.text.intern(if span.kind % 2 == 0 { b"order" } else { b"" });
    let scope = batch.push_scope(Scope { resource, name, ..Scope::default() });
    for pair in &span.attributes {
        let (key, value) = store(batch, pair);
        batch.attributes.push(key, value);
    }
    for (name, pairs) in &span.events {
        for pair in pairs {
            let (key, value) = store(batch, pair);
            batch.events.attributes.push(key, value);
        }
        let name = batch.text.intern(name.as_bytes());
        batch.events.push(span.start, name, 0);
    }
    for (trace, other, pairs) in &span.links {
        for pair in pairs {
            let (key, value) = store(batch, pair);
            batch.links.attributes.push(key, value);
        }
        batch.links.push(Link { trace_id: trace_id(*trace), span_id: span_id(*other), ..Link::default() });
    }
    let (name, status_message) = (batch.text.intern(span.name.as_bytes()), batch.text.intern(span.message.as_bytes()));
    batch.push_span(SpanRow {
        trace_id: trace_id(span.trace),
        span_id: span_id(span.id),
        parent_span_id: span_id(span.parent),
        start_unix_nano: span.start,
        end_unix_nano: span.start + span.duration,
        name,
        kind: span.kind,
        status_code: span.status,
        status_message,
        scope,
        ..SpanRow::default()
    });
}

fn field() -> impl Strategy<Value = Field> {
    let own = ["service", "name", "kind", "status", "status_message", "duration", "trace_id", "span_id"];
    let others = ["parent_span_id", "scope_name", "event_name"];
    let own: Vec<_> = own.into_iter().chain(others).map(Field::from_name).collect();
    let level = option::of(select(&Level::ALL[..]));
    let attribute = (level, select(&KEYS[..])).prop_map(|(level, key)| Field::attribute(level, key));
    prop_oneof![select(own), attribute]
}

fn literal() -> impl Strategy<Value = String> {
    let more = ["5e0", "0", "1000", "server", "error", "unset", "9", "10ns", "Infinity", "o.d", "^$", ".*", "or"];
    let ids = ["0101", "01010101010101010101010101010101", "0202020202020202", "9007199254740992", "hi", "/w=="];
    select(TEXTS.into_iter().chain(more).chain(ids).collect::<Vec<_>>()).prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = Filter> {
    use Op::{Equal, Greater, GreaterEqual, Less, LessEqual, Matches, NotEqual, NotMatches};
    let op = select(vec![Equal, Equal, NotEqual, Greater, GreaterEqual, Less, LessEqual, Matches, NotMatches]);
    let compare = (field(), op, literal(), any::<bool>()).prop_filter_map("a sensible condition", |condition| {
        let (field, op, text, quoted) = condition;
        Filter::compare(field, op, &text, quoted).ok()
    });
    prop_oneof![6 => compare, 1 => field().prop_map(Filter::Exists), 1 => Just(Filter::All)]
}

/// A filter made by the constructors.
pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    condition().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Filter::and),
            vec(inner.clone(), 1..4).prop_map(Filter::or),
            inner.prop_map(Filter::negate),
        ]
    })
}

/// A plain span.
pub(crate) fn any_span() -> Span {
    Span {
        trace: 1,
        id: 1,
        parent: 0,
        kind: 2,
        status: 0,
        start: 5,
        duration: 10,
        service: "order",
        name: "work",
        message: "",
        attributes: Vec::new(),
        resource: Vec::new(),
        scope: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}
