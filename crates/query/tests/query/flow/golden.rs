//! One golden for each kind of asynchronous work.
//!
//! Every story is opened at its first span and shown. Then it is opened at every other span: those that lead to another flow are
//! named below the golden with the root they lead to; all others must give the same flow, in whatever order the spans came and
//! however often.

use std::fmt::Write;

use insta::assert_snapshot;
use model::SpanBatch;
use testkit::story;

use super::show::{names, open, show};
use crate::memory::Memory;

fn golden(story: &str) -> String {
    golden_with(story, &[])
}

fn golden_with(story: &str, correlate: &[&str]) -> String {
    let batches = story::spans(story);
    let names = names(&batches);
    let memory = Memory::new(batches.clone());
    let flow = open(&memory, &names[0], correlate);
    let mut text = show(&flow);
    for name in &names[1..] {
        let other = open(&memory, name, correlate);
        if other.id() == flow.id() {
            assert_eq!(show(&other), show(&flow), "opened at {name}");
        } else {
            let root = other.cone.span(other.root);
            let root = story::name(root.trace_id(), root.span_id());
            writeln!(text, "opened at {name}: the flow of {root}").expect("writing to a string");
        }
    }
    let shown = show(&flow);
    let backwards: Vec<SpanBatch> = batches.iter().rev().cloned().collect();
    assert_eq!(show(&open(&Memory::new(backwards), &names[0], correlate)), shown, "in reverse order");
    let twice: Vec<SpanBatch> = batches.iter().chain(&batches).cloned().collect();
    assert_eq!(show(&open(&Memory::new(twice), &names[0], correlate)), shown, "with every span twice");
    text
}

#[test]
fn same_trace_continuation() {
    // Guarantees a hop by parent for consumers that continue the sender's trace, through two queues.
    assert_snapshot!(golden(
        r#"
        A1        shop     server    "POST /order"      0..20
        A2 in A1  shop     producer  "send orders"      5..8        op=send to=kafka:orders
        A3 in A2  payment  consumer  "process orders"   108..300    op=process to=kafka:orders group=payment
        A4 in A3  payment  client    "POST /charge"     120..250
        A5 in A3  payment  producer  "send paid"        260..270    op=send to=kafka:paid
        A6 in A5  mail     consumer  "process paid"     1270..1400  op=process to=kafka:paid group=mail
        "#
    ));
}

#[test]
fn link_per_message() {
    // Guarantees that a consumer with a trace of its own belongs by its link, and that what is below it belongs too.
    assert_snapshot!(golden(
        r#"
        A1        shop  server    "POST /order"     0..20
        A2 in A1  shop  producer  "send orders"     5..8      op=send to=rabbitmq:orders id=m1
        B1        mail  consumer  "process orders"  508..600  op=process to=rabbitmq:orders id=m1 link=A2
        B2 in B1  mail  client    "SMTP"            510..590
        "#
    ));
}

#[test]
fn batch_of_a_hundred() {
    // Guarantees that a batch is one effect of each of its messages, that the others' histories stay outside and are named, and
    // that the batch, opened by itself, is a flow of its own.
    let mut story = String::new();
    let mut links = String::new();
    for number in 0..100 {
        let (trace, start, end) = (letters(number), number * 2, number * 2 + 1);
        writeln!(story, "{trace}1 shop server \"POST /view\" {start}..{end}").unwrap();
        writeln!(story, "{trace}2 in {trace}1 shop producer \"send views\" {start}..{end} op=send to=kafka:views")
            .unwrap();
        write!(links, " link={trace}2,partition=0,offset={number}").unwrap();
    }
    let batch = "to=kafka:views group=stats count=100";
    writeln!(story, "Z1 stats client \"poll views\" 500..501 op=receive {batch}").unwrap();
    writeln!(story, "Z2 in Z1 stats consumer \"process views\" 501..600 op=process {batch}{links}").unwrap();
    writeln!(story, "Z3 in Z2 stats producer \"send totals\" 590..595 op=send to=kafka:totals").unwrap();
    writeln!(story, "Y1 board consumer \"process totals\" 700..710 op=process to=kafka:totals group=board link=Z3")
        .unwrap();
    let batches = story::spans(&story);
    let memory = Memory::new(batches);
    assert_snapshot!("batch_of_a_hundred_from_a_message", show(&open(&memory, "AA2", &[])));
    assert_snapshot!("batch_of_a_hundred_from_the_batch", show(&open(&memory, "Z2", &[])));
    assert_eq!(show(&open(&memory, "Y1", &[])), show(&open(&memory, "Z1", &[])));
}

/// A name of two letters for a number.
fn letters(number: usize) -> String {
    let letter = |number: usize| char::from(b'A' + number as u8);
    [letter(number / 26), letter(number % 26)].iter().collect()
}
