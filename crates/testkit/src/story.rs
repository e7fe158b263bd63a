//! Stories: small sets of spans written as text, so that a test shows what happened at a glance.
//!
//! One span a line: its id, `in` its parent, its service, its kind, its name, from when to when, and what it says:
//!
//! ```text
//! A1        shop  server    "POST /order"    0..20
//! A2 in A1  shop  producer  "send orders"    5..8      op=send to=kafka:orders id=m1
//! B1        mail  consumer  "process orders" 2s..2100  op=process to=kafka:orders id=m1 link=A2
//! ```
//!
//! The letters of an id are the trace, its number the span. Times are milliseconds after [`START_UNIX_NANO`], or `s`, `m`, `h`;
//! they may be negative. `error` is a status; `link=A2,id=m1` is a link with attributes; `op`, `to`, `id`, `conversation`,
//! `group`, `partition`, `offset` and `count` are the conventions' messaging attributes; every other `key=value` is an attribute of
//! that name. Lines that begin with `#` are remarks.

use model::{Link, Resource, Scope, SpanBatch, SpanId, SpanKind, SpanRow, TextTable, TraceId, Value};

/// When stories begin.
pub const START_UNIX_NANO: u64 = 1_795_100_000_000_000_000;

/// Short names of attributes.
const SHORT: [(&str, &str); 6] = [
    ("id", "messaging.message.id"),
    ("conversation", "messaging.message.conversation_id"),
    ("group", "messaging.consumer.group.name"),
    ("partition", "messaging.destination.partition.id"),
    ("offset", "messaging.kafka.offset"),
    ("count", "messaging.batch.message_count"),
];

/// The spans of a story, one batch each, in the order of its lines.
pub fn spans(story: &str) -> Vec<SpanBatch> {
    let lines = story.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Line::read(line).batch()).collect()
}

/// The ids of a name such as `A2`.
pub fn ids(name: &str) -> (TraceId, SpanId) {
    let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or_else(|| panic!("{name:?} has no number"));
    let (trace, number) = name.split_at(digits);
    let mut trace_id = [0; 16];
    trace_id[..trace.len()].copy_from_slice(trace.as_bytes());
    let number: u64 = number.parse().unwrap_or_else(|_| panic!("{name:?} has no number"));
    (TraceId(trace_id), SpanId(number.to_be_bytes()))
}

/// The name of a trace.
pub fn trace_name(trace_id: TraceId) -> String {
    trace_id.0.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect()
}

/// The name of a span.
pub fn name(trace_id: TraceId, span_id: SpanId) -> String {
    format!("{}{}", trace_name(trace_id), u64::from_be_bytes(span_id.0))
}

struct Line<'s> {
    id: &'s str,
    parent: Option<&'s str>,
    service: &'s str,
    kind: &'s str,
    name: &'s str,
    times: &'s str,
    rest: Vec<&'s str>,
}

impl<'s> Line<'s> {
    fn read(line: &'s str) -> Line<'s> {
        let mut words = words(line).into_iter().peekable();
        let mut next = |what: &str| words.next().unwrap_or_else(|| panic!("no {what} in {line:?}"));
        let id = next("id");
        let second = next("service");
        let (parent, service) = if second == "in" { (Some(next("parent")), next("service")) } else { (None, second) };
        let (kind, name, times) = (next("kind"), next("name"), next("times"));
        Line { id, parent, service, kind, name, times, rest: words.collect() }
    }

    fn batch(&self) -> SpanBatch {
        let mut batch = SpanBatch::default();
        let service_name = batch.text.intern(self.service.as_bytes());
        let key = batch.text.intern(b"service.name");
        batch.resource_attributes.push(key, Value::Str(service_name));
        let resource = batch.push_resource(Resource { service_name, ..Resource::default() });
        let scope = batch.push_scope(Scope { resource, ..Scope::default() });
        let mut is_error = false;
        for word in &self.rest {
            match word.split_once('=') {
                Some(("link", link)) => push_link(&mut batch, link),
                Some((key, value)) => each_attribute(key, value, &mut |key, value| {
                    let value = value_of(&mut batch.text, key, value);
                    let key = batch.text.intern(key.as_bytes());
                    batch.attributes.push(key, value);
                }),
                None => is_error |= *word == "error",
            }
        }
        let (trace_id, span_id) = ids(self.id);
        let (start, end) = self.times.split_once("..").unwrap_or_else(|| panic!("{:?} are no times", self.times));
        let name = batch.text.intern(self.name.as_bytes());
        batch.push_span(SpanRow {
            trace_id,
            span_id,
            parent_span_id: self.parent.map_or(SpanId::ZERO, |parent| ids(parent).1),
            start_unix_nano: instant(start),
            end_unix_nano: instant(end),
            name,
            kind: SpanKind::from_name(self.kind).unwrap_or_else(|| panic!("{:?} is no kind", self.kind)).0,
            status_code: if is_error { 2 } else { 0 },
            scope,
            ..SpanRow::default()
        });
        batch
    }
}

/// Words, where quotes keep several together.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or_else(|| panic!("a quote is open in {line:?}")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

fn instant(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor_ms = match &text[digits.len()..] {
        "" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => panic!("{other:?} is no unit of time"),
    };
    let number: i64 = digits.parse().unwrap_or_else(|_| panic!("{text:?} is no instant"));
    START_UNIX_NANO.checked_add_signed(number * factor_ms * 1_000_000).expect("stories are short")
}

fn each_attribute(key: &str, value: &str, visit: &mut dyn FnMut(&str, &str)) {
    match key {
        "op" => {
            visit("messaging.operation.type", value);
            visit("messaging.operation.name", value);
        }
        "to" => {
            let (system, name) = value.split_once(':').unwrap_or((value, ""));
            visit("messaging.system", system);
            visit("messaging.destination.name", name);
        }
        key => {
            let long = SHORT.iter().find(|(short, _)| *short == key).map_or(key, |(_, long)| long);
            visit(long, value);
        }
    }
}

fn value_of(text: &mut TextTable, key: &str, value: &str) -> Value {
    let is_number = key.ends_with("offset") || key.ends_with("count");
    match value.parse() {
        Ok(number) if is_number => Value::Int(number),
        _ => Value::Str(text.intern(value.as_bytes())),
    }
}

fn push_link(batch: &mut SpanBatch, link: &str) {
    let mut parts = link.split(',');
    let (trace_id, span_id) = ids(parts.next().expect("splitting gives at least one part"));
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        each_attribute(key, value, &mut |key, value| {
            let value = value_of(&mut batch.text, key, value);
            let key = batch.text.intern(key.as_bytes());
            batch.links.attributes.push(key, value);
        });
    }
    batch.links.push(Link { trace_id, span_id, ..Link::default() });
}
