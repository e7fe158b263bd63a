//! What the engine knows of messages that are expected, in the flow that they belong to.

use flow::engine::{Engine, EngineOptions};
use flow::hop::MessageState;
use testkit::story::{self, START_UNIX_NANO};

use super::show::open;
use crate::memory::Memory;

const SECOND: u64 = 1_000_000_000;
const RULES: [&str; 3] =
    ["mail consumes orders within 1s", "stock consumes orders within 1s", "loyalty consumes orders within 1h"];

/// The hops of a story's flow as `receiver or group state`, and pending, late, lost and unknown messages of its first destination,
/// so many seconds after everything was heard of.
fn known(story: &str, seconds: u64) -> (Vec<String>, [usize; 4]) {
    let batches = story::spans(story);
    let mut engine = Engine::new(EngineOptions::default());
    engine.set_rules(RULES.map(|rule| rule.parse().expect("a rule")).to_vec());
    for batch in &batches {
        engine.apply(batch, START_UNIX_NANO + SECOND);
    }
    engine.advance(START_UNIX_NANO + (1 + seconds) * SECOND);
    let mut flow = open(&Memory::new(batches), "A1", &["order.id"]);
    flow.expect(|trace_id, span_id| engine.missing_of(trace_id, span_id));
    let hop = |hop: &flow::hop::Hop| {
        let receiver = hop.to.as_ref().and_then(|to| to.service.clone());
        format!("{} {}", receiver.or(hop.consumer_group.clone()).unwrap_or_default(), hop.state.name())
    };
    let mut hops: Vec<String> = flow.hops.iter().map(hop).collect();
    hops.sort();
    let first = &flow.destinations[0];
    (hops, [first.pending, first.late, first.lost, first.unknown])
}

#[test]
fn everybody_who_is_missing_is_a_hop_without_an_end() {
    // Guarantees a hop for each group that is expected, with its own state, beside those who received; nothing for who did.
    let story = r#"
        A1        shop  server    "POST /order"     0..20
        A2 in A1  shop  producer  "send orders"     5..6     op=send to=kafka:orders
        A3 in A2  mail  consumer  "process orders"  50..60   op=process to=kafka:orders group=mail
    "#;
    let wanted = |state: &str| ["loyalty pending", "mail consumed", &format!("stock {state}")].map(str::to_owned);
    assert_eq!(known(story, 0), (wanted("pending").to_vec(), [2, 0, 0, 0]));
    assert_eq!(known(story, 2), (wanted("late").to_vec(), [1, 1, 0, 0]));
    assert_eq!(known(story, 100), (wanted("lost").to_vec(), [1, 0, 1, 0]));
}

#[test]
fn what_the_flow_found_itself_is_not_missing() {
    // Guarantees that a group which the flow found by a key that only the request carries is consumed, whatever the engine expects.
    let story = r#"
        A1        shop   server    "POST /order"     0..20    order.id=17
        A2 in A1  shop   producer  "send orders"     5..6     op=send to=kafka:orders
        B1        stock  consumer  "process orders"  50..60   op=process to=kafka:orders group=stock order.id=17
    "#;
    let (hops, counts) = known(story, 100);
    assert_eq!(hops, ["loyalty pending", "mail lost", "stock consumed"]);
    assert_eq!(counts, [1, 0, 1, 0]);
}

#[test]
fn what_nobody_expects_stays_unknown() {
    // Guarantees that a message to a destination without expectations is one hop without an end, and unknown.
    let story = r#"
        A1        shop  server    "POST /order"  0..20
        A2 in A1  shop  producer  "send audit"   5..6    op=send to=kafka:audit
    "#;
    assert_eq!(known(story, 100), (vec![format!(" {}", MessageState::Unknown.name())], [0, 0, 0, 1]));
}
