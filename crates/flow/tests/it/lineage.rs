//! What belongs to one message although it was delivered often, put aside, and sent again.

use flow::engine::standing::Missing;
use flow::engine::{Engine, EngineOptions};
use flow::hop::MessageState;
use testkit::story::{START_UNIX_NANO, ids, spans};

const SECOND: u64 = 1_000_000_000;

/// An engine that heard of the lines of a story in some order.
fn heard(story: &str, order: &[usize]) -> Engine {
    let mut engine = Engine::new(EngineOptions::default());
    let batches = spans(story);
    for &line in order {
        engine.apply(&batches[line], START_UNIX_NANO + SECOND);
    }
    engine
}

/// All orders of so many lines.
fn orders(lines: usize) -> Vec<Vec<usize>> {
    if lines == 0 {
        return vec![Vec::new()];
    }
    let insert = |order: Vec<usize>| {
        (0..lines).map(move |at| [&order[..at], &[lines - 1], &order[at..]].concat()).collect::<Vec<_>>()
    };
    orders(lines - 1).into_iter().flat_map(insert).collect()
}

/// State, and group and attempts of each delivery.
fn short(engine: &Engine, id: &str) -> String {
    let (trace_id, span_id) = ids(id);
    let message = engine.message(trace_id, span_id).expect("it is in memory");
    let deliveries = message.deliveries.iter().map(|delivery| format!(" {}:{}", delivery.group, delivery.attempts));
    message.state.name().to_owned() + &deliveries.collect::<String>()
}

#[test]
fn attempts_count_once_and_at_the_message_they_are_of() {
    // Guarantees that deliveries heard of before their message are counted once, and not at one that was sent again with the same id.
    let story = r#"
        A1 shop     producer "orders send"    0..1    op=send to=kafka:orders id=m1
        A2 in A1 payment consumer "orders process" 10..11  op=process to=kafka:orders id=m1 error
        A3 in A1 payment consumer "orders process" 20..21  op=process to=kafka:orders id=m1 error
        A4 in A3 payment producer "orders send"    30..31  op=send to=kafka:orders id=m1
        A5 in A4 payment consumer "orders process" 40..41  op=process to=kafka:orders id=m1
    "#;
    for order in orders(5) {
        let engine = heard(story, &order);
        assert_eq!(short(&engine, "A1"), "consumed payment:2", "{order:?}");
        assert_eq!(short(&engine, "A4"), "consumed payment:1", "{order:?}");
    }
}

#[test]
fn who_lost_the_context_is_told_from_who_sent_before() {
    // Guarantees that of two messages with one id the one counts that was sent before it was received, not the one sent again soon after.
    let story = r#"
        A1 shop  producer "orders send"    0..1     op=send to=kafka:orders id=m1
        B1 stock consumer "orders process" 10..11   op=process to=kafka:orders id=m1
        C1 shop  producer "orders send"    20..21   op=send to=kafka:orders id=m1
    "#;
    let engine = heard(story, &[0, 2, 1]);
    assert_eq!([short(&engine, "A1"), short(&engine, "C1")], ["consumed stock:1", "unknown"]);
}

#[test]
fn a_consumer_that_puts_a_message_aside_gives_it_up() {
    // Guarantees that a message is dead-lettered when a span that works on it sends something to a dead-letter topic, whoever is
    // heard of first; that of a batch nobody is guessed.
    let story = r#"
        A1 shop     producer "orders send"     0..1    op=send to=kafka:orders
        A2 in A1 mail consumer "orders process"  10..20  op=process to=kafka:orders
        A3 in A2 mail producer "orders.DLT send" 15..16  op=send to=kafka:orders.DLT
    "#;
    for order in orders(3) {
        assert_eq!(short(&heard(story, &order), "A1"), "dead_lettered mail:1", "{order:?}");
    }
    let batch = r#"
        A1 shop producer "orders send"     0..1    op=send to=kafka:orders
        B1 shop producer "orders send"     0..1    op=send to=kafka:orders
        C1 mail consumer "orders process"  10..20  op=process to=kafka:orders link=A1 link=B1
        C2 in C1 mail producer "orders.DLT send" 15..16  op=send to=kafka:orders.DLT
    "#;
    for order in orders(4) {
        let engine = heard(batch, &order);
        assert_eq!([short(&engine, "A1"), short(&engine, "B1")], ["consumed mail:1", "consumed mail:1"], "{order:?}");
    }
}

#[test]
fn who_is_missing_is_told_by_group() {
    // Guarantees the state of each group by its own deadline, and nothing once it has received.
    let mut engine = heard(
        r#"
        A1 shop producer "orders send"    0..1    op=send to=kafka:orders
        A2 in A1 mail consumer "orders process" 10..11  op=process to=kafka:orders group=mail
        "#,
        &[0, 1],
    );
    let rules =
        ["mail consumes orders within 1s", "stock consumes orders within 10s", "bill consumes orders within 1h"];
    engine.set_rules(rules.map(|rule| rule.parse().expect("a rule")).to_vec());
    engine.advance(START_UNIX_NANO + 15 * SECOND);
    let (trace_id, span_id) = ids("A1");
    let missing = |group: &str, state| Missing { group: Some(group.to_owned()), state };
    let wanted = vec![missing("bill", MessageState::Pending), missing("stock", MessageState::Late)];
    assert_eq!(engine.missing_of(trace_id, span_id), Some(wanted));
    let (trace_id, span_id) = ids("B1");
    assert_eq!(engine.missing_of(trace_id, span_id), None);
}
