//! One message with everything it became, out of the flow that it belongs to.

use std::fmt::Write;

use flow::lineage::lineage;
use testkit::story;

use super::show::open;
use crate::memory::Memory;

/// The lineage of the message that a span sent, seen from the flow opened there: a line a message, then one an attempt.
fn shown(story: &str, sender: &str) -> String {
    let memory = Memory::new(story::spans(story));
    let name = |(trace_id, span_id)| story::name(trace_id, span_id);
    let mut text = String::new();
    for step in lineage(&open(&memory, sender, &[]), story::ids(sender)) {
        let of = step.of.map(|of| format!(" of {}", name(of))).unwrap_or_default();
        let from = name((step.from.trace_id, step.from.span_id));
        writeln!(text, "{from} {}{of} at {}", step.how.name(), step.destination.name).expect("writing to a string");
        for attempt in step.attempts {
            let to = attempt.hop.to.map(|to| name((to.trace_id, to.span_id))).unwrap_or_default();
            let failed = if attempt.failed { " failed" } else { "" };
            let (number, destination) = (attempt.hop.attempt, attempt.hop.destination.name);
            writeln!(text, "  {to} {number} {destination}{failed}").expect("writing to a string");
        }
    }
    text
}

const PUT_ASIDE: &str = r#"
    A1        shop     server    "POST /order"      0..20
    A2 in A1  shop     producer  "send orders"      5..6          op=send to=kafka:orders
    A3 in A2  stock    consumer  "process orders"   10..20        op=process to=kafka:orders group=stock
    B1        payment  consumer  "process orders"   106..110      op=process to=kafka:orders group=pay link=A2 error
    C1        payment  consumer  "process orders"   1110..1115    op=process to=kafka:orders group=pay link=A2
    C2 in C1  payment  internal  "charge"           1111..1112    error
    C3 in C1  payment  producer  "send orders.DLT"  1113..1114    op=send to=kafka:orders.DLT
    C4 in C1  payment  producer  "send refused"     1114..1115    op=send to=kafka:refused
    D1        support  consumer  "process orders.DLT" 2000..2100  op=process to=kafka:orders.DLT group=support link=C3
    D2 in D1  support  producer  "send orders"      2050..2060    op=send to=kafka:orders
    D3 in D1  support  producer  "send notes"       2070..2080    op=send to=kafka:notes
    E1        payment  consumer  "process orders"   2100..2200    op=process to=kafka:orders group=pay link=D2
"#;

#[test]
fn what_is_put_aside_and_sent_again_is_one_lineage() {
    // Guarantees that attempts, the dead letter and what was sent again are one lineage in order, from whichever of its messages it is
    // asked for, and that what else was sent meanwhile is no part of it.
    let whole = "A2 sent at orders\n  A3 1 orders\n  B1 1 orders failed\n  C1 2 orders failed\nC3 dead_letter of A2 at orders.DLT\n  D1 1 orders.DLT\nD2 sent_again of C3 at orders\n  E1 1 orders\n";
    for sender in ["A2", "C3", "D2"] {
        assert_eq!(shown(PUT_ASIDE, sender), whole, "asked for {sender}");
    }
    assert_eq!(shown(PUT_ASIDE, "C4"), "C4 sent at refused\n");
}

#[test]
fn what_a_broker_moved_is_an_attempt_elsewhere() {
    // Guarantees that a dead letter which the broker moved is the same message, and that what is sent again with its id belongs.
    let story = r#"
        A1        shop     server    "POST /order"        0..20
        A2 in A1  shop     producer  "send orders"        5..6      op=send to=rabbitmq:orders id=m1
        A3 in A2  payment  consumer  "process orders"     10..12    op=process to=rabbitmq:orders id=m1 error
        A4 in A2  support  consumer  "process orders.dlq" 50..60    op=process to=rabbitmq:orders.dlq id=m1
        A5 in A4  support  producer  "send payment"       55..56    op=send to=rabbitmq:payment id=m1
        A6 in A5  payment  consumer  "process payment"    70..80    op=process to=rabbitmq:payment id=m1
    "#;
    let whole =
        "A2 sent at orders\n  A3 1 orders failed\n  A4 1 orders.dlq\nA5 sent_again of A2 at payment\n  A6 1 payment\n";
    assert_eq!(shown(story, "A2"), whole);
    assert_eq!(shown(story, "A5"), whole);
}
