//! Flows that grow, flows that are large, and flows that are cut off.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{SpanBatch, SpanId, SpanRow};
use query::FlowQuery;
use query::flow::{FlowLimits, flow};
use testkit::story;

use super::show::{open, show};
use crate::memory::Memory;

#[test]
fn late_spans_change_the_flow() {
    // Guarantees that a consumer which arrives before its producer is a flow whose cause was not received, and that the flow is
    // whole as soon as the producer arrives.
    let consumer =
        story::spans("B1 mail consumer \"process orders\" 100..200 op=process to=kafka:orders group=mail link=A2");
    let producer = story::spans(
        "A1       shop server   \"POST /order\" 0..20
         A2 in A1 shop producer \"send orders\" 5..8 op=send to=kafka:orders",
    );
    let early = open(&Memory::new(consumer.clone()), "B1", &[]);
    assert!(show(&early).contains("not received A2"), "{}", show(&early));
    let all: Vec<SpanBatch> = consumer.into_iter().chain(producer).collect();
    let memory = Memory::new(all);
    let late = open(&memory, "B1", &[]);
    assert_eq!(show(&late), show(&open(&memory, "A1", &[])));
    assert!(show(&late).contains("hop A2 (shop) -> B1 (mail)") && !show(&late).contains("not received"));
}

/// A producer whose 50,000 consumers continue its trace.
fn fan_out(consumers: u64) -> Vec<SpanBatch> {
    let mut spans = story::spans(
        "A1        shop server   \"POST /news\" 0..20
         A2 in A1  shop producer \"send news\"  5..8 op=send to=kafka:news
         A3 in A2  mail consumer \"process news\" 100..110 op=process to=kafka:news",
    );
    let mut many = spans.pop().expect("the story has a consumer");
    let row = many.rows[0];
    for number in 1..consumers {
        let key = many.text.intern(b"messaging.operation.type");
        let value = model::Value::Str(many.text.intern(b"process"));
        many.attributes.push(key, value);
        let span_id = SpanId((number + 3).to_be_bytes());
        many.push_span(SpanRow { span_id, start_unix_nano: row.start_unix_nano + number, ..row });
    }
    spans.push(many);
    spans
}

#[test]
fn a_fan_out_of_fifty_thousand_spans() {
    // Guarantees that a very wide flow is whole, and computed in a time that grows with its size and not with its square.
    let memory = Memory::new(fan_out(50_000));
    let started = Instant::now();
    let found = open(&memory, "A1", &[]);
    assert_eq!((found.cone.joined().len(), found.hops.len(), found.truncated), (50_002, 50_000, false));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_flow_that_is_too_large_is_cut_off() {
    // Guarantees that each limit ends the loading, that what was cut off is said, and that the root is there all the same.
    let mut text =
        "A1 shop server \"POST\" 0..20\nA2 in A1 shop producer \"send x\" 5..8 op=send to=kafka:x\n".to_owned();
    for letter in b'B'..=b'Y' {
        writeln!(text, "{}1 mail consumer \"process x\" 100..110 op=process to=kafka:x link=A2", char::from(letter))
            .unwrap();
    }
    let memory = Memory::new(story::spans(&text));
    let (trace_id, span_id) = story::ids("A1");
    let full = FlowLimits::default();
    let cases = [
        (FlowLimits { traces_max: 5, ..full }, 6, true),
        (FlowLimits { spans_max: 10, ..full }, 10, true),
        (FlowLimits { bytes_max: 1, ..full }, 2, true),
        (full, 26, false),
    ];
    for (limits, spans, truncated) in cases {
        let query =
            FlowQuery { trace_id, span_id: Some(span_id), correlate: Vec::new(), limits, bindings: Arc::default() };
        let found = flow(&memory, &query).unwrap().unwrap();
        assert_eq!((found.cone.joined().len(), found.truncated), (spans, truncated), "{limits:?}");
        assert_eq!(found.cone.span(found.root).span_id(), span_id);
    }
}

#[test]
fn look_ups_are_counted() {
    // Guarantees that no more values are looked for than the limit says, and that the flow says so.
    let memory = Memory::new(story::spans(
        "A1       shop server   \"POST\" 0..20
         A2 in A1 shop producer \"send x\" 5..8  op=send to=kafka:x id=m1
         A3 in A1 shop producer \"send x\" 9..10 op=send to=kafka:x id=m2
         B1 mail consumer \"process x\" 100..110 op=process to=kafka:x id=m1
         C1 mail consumer \"process x\" 100..110 op=process to=kafka:x id=m2",
    ));
    let (trace_id, span_id) = story::ids("A1");
    for (look_ups_max, spans, truncated) in [(0, 3, true), (3, 4, true), (10, 5, false)] {
        let limits = FlowLimits { look_ups_max, ..FlowLimits::default() };
        let query =
            FlowQuery { trace_id, span_id: Some(span_id), correlate: Vec::new(), limits, bindings: Arc::default() };
        let found = flow(&memory, &query).unwrap().unwrap();
        assert_eq!((found.cone.joined().len(), found.truncated), (spans, truncated), "{look_ups_max}");
    }
}

#[test]
fn a_span_that_is_not_stored_has_no_flow() {
    // Guarantees that an unknown trace, and an unknown span of a known trace, are no flow, and that a trace is opened at its origin.
    let memory = Memory::new(story::spans("A1 shop server \"POST\" 0..20\nA2 in A1 shop client \"GET\" 5..8"));
    let limits = FlowLimits::default();
    let ask = |name: &str, span: bool| {
        let (trace_id, span_id) = story::ids(name);
        flow(
            &memory,
            &FlowQuery {
                trace_id,
                span_id: span.then_some(span_id),
                correlate: Vec::new(),
                limits,
                bindings: Arc::default(),
            },
        )
        .unwrap()
    };
    assert!(ask("B1", false).is_none() && ask("A7", true).is_none());
    assert_eq!(ask("A7", false).map(|found| found.cone.joined().len()), Some(2));
}
