//! One golden for each kind of asynchronous work.
//!
//! Every story is opened at its first span and shown. Then it is opened at every other span: those that lead to another flow are
//! named below the golden with the root they lead to; all others must give the same flow, in whatever order the spans came and
//! however often.

use std::fmt::Write;

use insta::assert_snapshot;
use model::SpanBatch;
use testkit::story;

use super::show::{names, open, show, show_whole};
use crate::memory::Memory;

fn golden(story: &str) -> String {
    golden_with(story, &[])
}

fn golden_with(story: &str, correlate: &[&str]) -> String {
    let batches = story::spans(story);
    let names = names(&batches);
    let memory = Memory::new(batches.clone());
    let flow = open(&memory, &names[0], correlate);
    let mut text = show_whole(&flow);
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
    assert_snapshot!("batch_of_a_hundred_from_a_message", show_whole(&open(&memory, "AA2", &[])));
    assert_snapshot!("batch_of_a_hundred_from_the_batch", show_whole(&open(&memory, "Z2", &[])));
    assert_eq!(show(&open(&memory, "Y1", &[])), show(&open(&memory, "Z1", &[])));
}

/// A name of two letters for a number.
fn letters(number: usize) -> String {
    let letter = |number: usize| char::from(b'A' + number as u8);
    [letter(number / 26), letter(number % 26)].iter().collect()
}

#[test]
fn fan_out_to_three_with_one_missing() {
    // Guarantees that of three messages the one that nobody received is shown as that, and that it is not guessed why.
    assert_snapshot!(golden(
        r#"
        A1        shop   server    "POST /order"       0..20
        A2 in A1  shop   producer  "send to-mail"      5..6      op=send to=rabbitmq:to-mail id=m1
        A3 in A1  shop   producer  "send to-stock"     7..8      op=send to=rabbitmq:to-stock id=m2
        A4 in A1  shop   producer  "send to-loyalty"   9..10     op=send to=rabbitmq:to-loyalty id=m3
        B1        mail   consumer  "process to-mail"   106..150  op=process to=rabbitmq:to-mail id=m1 link=A2
        C1        stock  consumer  "process to-stock"  208..250  op=process to=rabbitmq:to-stock id=m2 link=A3
        "#
    ));
}

#[test]
fn fan_out_through_an_exchange() {
    // Guarantees that one message which goes to several queues is one destination, with a hop for each of its queues.
    let key = "messaging.rabbitmq.destination.routing_key=created";
    assert_snapshot!(golden(&format!(
        r#"
        A1        shop   server    "POST /order"     0..20
        A2 in A1  shop   producer  "send orders"     5..6      op=send to=rabbitmq:orders:created {key} id=m1
        B1        mail   consumer  "process orders"  106..150  op=process to=rabbitmq:orders:created:mail {key} id=m1 link=A2
        C1        stock  consumer  "process orders"  206..250  op=process to=rabbitmq:orders:created:stock {key} id=m1 link=A2
        "#
    )));
}

#[test]
fn retries_then_dead_letter_then_redrive() {
    // Guarantees that attempts are counted, that the wait before each is its own, that the dead letter is told of the message
    // that died, and that the redriven message is a message of its own which is consumed.
    assert_snapshot!(golden(
        r#"
        A1        shop     server    "POST /order"     0..20
        A2 in A1  shop     producer  "send orders"     5..6          op=send to=kafka:orders partition=0 offset=7
        B1        payment  consumer  "process orders"  106..110      op=process to=kafka:orders group=pay partition=0 offset=7 link=A2 error
        C1        payment  consumer  "process orders"  1110..1115    op=process to=kafka:orders group=pay partition=0 offset=7 link=A2 error
        D1        payment  consumer  "process orders"  3115..3200    op=process to=kafka:orders group=pay partition=0 offset=7 link=A2 error
        D2 in D1  payment  producer  "send orders.DLT" 3150..3160    op=send to=kafka:orders.DLT
        E1        redrive  consumer  "process orders.DLT" 60m..3600100 op=process to=kafka:orders.DLT group=redrive link=D2
        E2 in E1  redrive  producer  "send orders"     3600050..3600060 op=send to=kafka:orders partition=0 offset=99
        F1        payment  consumer  "process orders"  3600100..3600200 op=process to=kafka:orders group=pay partition=0 offset=99 link=E2
        "#
    ));
}

#[test]
fn dead_lettered_by_the_broker() {
    // Guarantees that a message which the broker moved is told from its headers of death, and that what the broker says of the
    // attempt's number counts.
    assert_snapshot!(golden(
        r#"
        A1        shop     server    "POST /order"     0..20
        A2 in A1  shop     producer  "send payments"   5..6       op=send to=rabbitmq:payments id=m1
        B1        payment  consumer  "process payments" 106..110  op=process to=rabbitmq:payments id=m1 link=A2 error
        C1        payment  consumer  "process payments" 200..210  op=process to=rabbitmq:payments id=m1 link=A2 error messaging.header.x-delivery-count=3
        D1        ops      consumer  "process payments.dead" 400..410 op=process to=rabbitmq:payments.dead id=m1 link=A2 messaging.header.x-first-death-queue=payments messaging.header.x-first-death-reason=rejected
        "#
    ));
}

#[test]
fn given_back_and_not_seen_again() {
    // Guarantees that a message which its last known attempt refused is not called consumed, and that attempts come in order.
    assert_snapshot!(golden(
        r#"
        A1        shop     server    "POST /order"     0..20
        A2 in A1  shop     producer  "send payments"   5..6       op=send to=rabbitmq:payments id=m1
        C1        payment  consumer  "process payments" 106..110  op=process to=rabbitmq:payments id=m1 link=A2 error
        C2 in C1  payment  client    "nack payments"   108..109   op=nack to=rabbitmq:payments id=m1
        B1        payment  consumer  "process payments" 206..210  op=process to=rabbitmq:payments id=m1 link=A2 error
        B2 in B1  payment  client    "nack payments"   208..209   op=nack to=rabbitmq:payments id=m1
        "#
    ));
}

#[test]
fn saga_with_compensation() {
    // Guarantees that what failed and what undid it are one flow, through commands, events and a consumer that waits for both.
    assert_snapshot!(golden(
        r#"
        A1        saga     server    "POST /trip"        0..10
        A2 in A1  saga     producer  "send book-hotel"   2..3        op=send to=rabbitmq:book-hotel id=h1
        A3 in A1  saga     producer  "send book-flight"  4..5        op=send to=rabbitmq:book-flight id=f1
        B1        hotel    consumer  "process book-hotel" 103..200   op=process to=rabbitmq:book-hotel id=h1 link=A2
        B2 in B1  hotel    producer  "send replies"      190..195    op=send to=rabbitmq:replies id=r1
        C1        flight   consumer  "process book-flight" 105..400  op=process to=rabbitmq:book-flight id=f1 link=A3 error
        C2 in C1  flight   producer  "send replies"      390..395    op=send to=rabbitmq:replies id=r2
        D1        saga     consumer  "process replies"   205..210    op=process to=rabbitmq:replies id=r1 link=B2
        E1        saga     consumer  "process replies"   405..450    op=process to=rabbitmq:replies id=r2 link=C2
        E2 in E1  saga     producer  "send cancel-hotel" 440..445    op=send to=rabbitmq:cancel-hotel id=x1
        F1        hotel    consumer  "process cancel-hotel" 545..600 op=process to=rabbitmq:cancel-hotel id=x1 link=E2
        "#
    ));
}

#[test]
fn request_and_reply_over_queues() {
    // Guarantees that a caller who waits for a reply by queue is one flow with who replies, and that the path goes through both waits.
    assert_snapshot!(golden(
        r#"
        A1        shop   server    "GET /price"       0..500
        A2 in A1  shop   producer  "send prices"      5..10      op=send to=rabbitmq:prices id=q1 conversation=c1
        A3 in A1  shop   consumer  "process replies"  410..480   op=process to=rabbitmq:replies id=r1 conversation=c1 link=B2
        B1        price  consumer  "process prices"   110..310   op=process to=rabbitmq:prices id=q1 conversation=c1 link=A2
        B2 in B1  price  producer  "send replies"     300..305   op=send to=rabbitmq:replies id=r1 conversation=c1
        "#
    ));
}

#[test]
fn a_scheduled_message() {
    // Guarantees that an hour until a message was due is waiting, on the critical path too, and not work.
    assert_snapshot!(golden(
        r#"
        A1        shop  server    "POST /remind"       0..20
        A2 in A1  shop  producer  "send reminders"     5..6          op=send to=aws_sqs:reminders id=m1
        B1        mail  consumer  "process reminders"  1h..3600100   op=process to=aws_sqs:reminders id=m1 link=A2
        "#
    ));
}

#[test]
fn scattered_and_gathered() {
    // Guarantees that a span which links to replies in several traces is followed up when all of them come from one root, so that
    // the flow is the same from its end.
    assert_snapshot!(golden(
        r#"
        A1        search  server    "GET /offers"     0..10
        A2 in A1  search  producer  "send ask"        2..3       op=send to=kafka:ask
        B1        north   consumer  "process ask"     53..100    op=process to=kafka:ask group=north link=A2
        B2 in B1  north   producer  "send answers"    90..95     op=send to=kafka:answers
        C1        south   consumer  "process ask"     63..300    op=process to=kafka:ask group=south link=A2
        C2 in C1  south   producer  "send answers"    290..295   op=send to=kafka:answers
        D1        search  consumer  "process answers" 400..420   op=process to=kafka:answers group=search count=2 link=B2 link=C2
        "#
    ));
}

#[test]
fn a_workflow_of_twelve_hours() {
    // Guarantees that hours between steps that no queue explains are neither work nor waiting.
    assert_snapshot!(golden(
        r#"
        A1  flows  internal  "start import"   0..100
        B1  flows  internal  "step extract"   1h..3601000     link=A1
        C1  flows  internal  "step load"      6h..21602000    link=B1
        D1  flows  internal  "step report"    12h..43201000   link=C1
        D2 in D1  flows  producer  "send reports" 43200500..43200600 op=send to=kafka:reports
        "#
    ));
}

#[test]
fn clocks_that_disagree() {
    // Guarantees that a message received five seconds before it was sent has no wait, says why, and makes nothing negative.
    assert_snapshot!(golden(
        r#"
        A1        shop  server    "POST /order"     0..20
        A2 in A1  shop  producer  "send orders"     5..8            op=send to=kafka:orders
        B1        mail  consumer  "process orders"  -4900..-4800    op=process to=kafka:orders group=mail link=A2
        B2 in B1  mail  client    "SMTP"            -4890..-4810
        "#
    ));
}

#[test]
fn a_consumer_that_is_faster_than_the_confirmation() {
    // Guarantees that a message received while its sender waits for the broker's confirmation has waited for nothing, and that a
    // poll which began before sending received the message when it ended.
    assert_snapshot!(golden(
        r#"
        A1        shop  server    "POST /order"     0..20
        A2 in A1  shop  producer  "send orders"     5..15       op=send to=kafka:orders
        B1        mail  consumer  "process orders"  8..30       op=process to=kafka:orders group=mail link=A2
        C1        bill  client    "poll orders"     -1000..40   op=receive to=kafka:orders group=bill link=A2
        C2 in C1  bill  consumer  "process orders"  41..60      op=process to=kafka:orders group=bill link=A2
        "#
    ));
}

#[test]
fn a_producer_that_was_never_seen() {
    // Guarantees that a link and a parent that lead nowhere are named as not received, and that the flow begins at what is there.
    assert_snapshot!(
        "never_seen_by_link",
        golden(
            r#"
        B1        mail  consumer  "process orders"  100..200  op=process to=kafka:orders group=mail link=A2
        B2 in B1  mail  client    "SMTP"            110..190
        "#
        )
    );
    assert_snapshot!(
        "never_seen_by_parent",
        golden(
            r#"
        A3 in A2  mail  consumer  "process orders"  100..200  op=process to=kafka:orders group=mail
        A4 in A3  mail  client    "SMTP"            110..190
        "#
        )
    );
}

#[test]
fn a_duplicate_delivery() {
    // Guarantees that a message delivered twice is one message with two attempts.
    assert_snapshot!(golden(
        r#"
        A1        shop  server    "POST /order"     0..20
        A2 in A1  shop  producer  "send orders"     5..8      op=send to=aws_sqs:orders id=m1
        B1        mail  consumer  "process orders"  108..200  op=process to=aws_sqs:orders id=m1 link=A2
        C1        mail  consumer  "process orders"  158..210  op=process to=aws_sqs:orders id=m1 link=A2
        "#
    ));
}

#[test]
fn a_cycle_of_links() {
    // Guarantees that spans which link to each other in a circle are one flow, whose root is the earliest, from whichever of them.
    assert_snapshot!(golden(
        r#"
        A1        a  internal  "step"  0..10      link=C1
        B1        b  internal  "step"  100..110   link=A1
        C1        c  internal  "step"  200..210   link=B1
        C2 in C1  c  internal  "more"  205..209   link=C2
        "#
    ));
}

#[test]
fn context_stripped_at_one_hop() {
    // Guarantees that the flow is whole again by message id, by place in a log, by conversation and by a declared key, each told as
    // what it is, and that an attribute which was not declared joins nothing.
    let story = |sent: &str, received: &str| {
        format!(
            r#"
            A1        shop  server    "POST /order"     0..20
            A2 in A1  shop  producer  "send orders"     5..8       op=send to=kafka:orders {sent}
            B1        mail  consumer  "process orders"  108..200   op=process to=kafka:orders group=mail {received}
            B2 in B1  mail  producer  "send mails"      150..160   op=send to=kafka:mails
            C1        smtp  consumer  "process mails"   260..300   op=process to=kafka:mails group=smtp link=B2
            "#
        )
    };
    assert_snapshot!("stripped_message_id", golden(&story("id=m1", "messaging.message_id=m1")));
    assert_snapshot!(
        "stripped_offset",
        golden(&story("partition=3 offset=42", "messaging.kafka.partition=3 messaging.kafka.message.offset=42"))
    );
    assert_snapshot!("stripped_conversation", golden(&story("conversation=o-1", "conversation=o-1")));
    assert_snapshot!("stripped_business_key", golden_with(&story("order.id=17", "order.id=17"), &["order.id"]));
    assert_snapshot!("stripped_undeclared", golden(&story("order.id=17", "order.id=17")));
}

#[test]
fn context_stripped_for_one_of_two_groups() {
    // Guarantees that a group which lost the context belongs although another one received the message with it, wherever the flow is
    // opened.
    assert_snapshot!(golden(
        r#"
        A1        shop   server    "POST /order"     0..20
        A2 in A1  shop   producer  "send orders"     5..8       op=send to=kafka:orders id=m1
        A3 in A2  stock  consumer  "process orders"  58..80     op=process to=kafka:orders group=stock id=m1
        B1        mail   consumer  "process orders"  108..200   op=process to=kafka:orders group=mail id=m1
        "#
    ));
}

#[test]
fn context_stripped_within_a_poll() {
    // Guarantees that a consumer which lies in a span of its own service, but in no message's context, is found by what it says, and
    // that one which lies in what another service sent is not looked for.
    assert_snapshot!(golden(
        r#"
        A1        shop     server    "POST /order"     0..20
        A2 in A1  shop     producer  "send orders"     5..8       op=send to=kafka:orders id=m1
        B1        payment  consumer  "recv"            58..80
        B2 in B1  payment  consumer  "process orders"  60..80     op=process to=kafka:orders id=m1
        C1        mail     producer  "send orders"     58..80     op=send to=kafka:orders id=m2
        C2 in C1  payment  consumer  "process orders"  90..95     op=process to=kafka:orders id=m1
        "#
    ));
}

#[test]
fn a_declared_key_of_the_request() {
    // Guarantees that what is said of the request holds for the messages that it sends, in its service only: what payment sends on has
    // its own, and of two messages to one destination none is guessed.
    let correlated = |story: &str| golden_with(story, &["order.id"]);
    assert_snapshot!(correlated(
        r#"
        A1        shop     server    "POST /order"     0..20      order.id=17
        A2 in A1  shop     internal  "tell others"     2..10
        A3 in A2  shop     producer  "send orders"     5..8       op=send to=kafka:orders
        B1        payment  consumer  "process orders"  108..200   op=process to=kafka:orders group=payment order.id=17
        B2 in B1  payment  producer  "send orders"     150..160   op=send to=kafka:paid
        C1        mail     consumer  "process paid"    260..300   op=process to=kafka:paid group=mail order.id=17
        "#
    ));
    let ambiguous = correlated(
        r#"
        A1        shop     server    "POST /order"     0..20      order.id=17
        A2 in A1  shop     producer  "send orders"     5..8       op=send to=kafka:orders
        A3 in A1  shop     producer  "send orders"     9..10      op=send to=kafka:orders
        B1        payment  consumer  "process orders"  108..200   op=process to=kafka:orders group=payment order.id=17
        "#,
    );
    assert!(ambiguous.ends_with("opened at B1: the flow of B1\n"), "{ambiguous}");
}

#[test]
fn what_cannot_be_told_apart_is_not_joined() {
    // Guarantees that of two senders with one declared value none is guessed, and that another destination or partition is no match.
    let ambiguous = golden_with(
        r#"
        A1        shop  server    "POST /order"     0..20
        A2 in A1  shop  producer  "send orders"     5..8       op=send to=kafka:orders order.id=17
        A3 in A1  shop  producer  "send orders"     9..10      op=send to=kafka:orders order.id=17
        B1        mail  consumer  "process orders"  108..200   op=process to=kafka:orders group=mail order.id=17
        "#,
        &["order.id"],
    );
    assert!(ambiguous.ends_with("opened at B1: the flow of B1\n"), "{ambiguous}");
    let elsewhere = golden_with(
        r#"
        A1        shop  server    "POST /order"     0..20
        A2 in A1  shop  producer  "send orders"     5..8       op=send to=kafka:orders order.id=17 partition=1 offset=5
        B1        mail  consumer  "process other"   108..200   op=process to=kafka:other group=mail order.id=17
        C1        mail  consumer  "process orders"  108..200   op=process to=kafka:orders group=mail partition=2 offset=5
        "#,
        &["order.id"],
    );
    assert!(elsewhere.ends_with("opened at B1: the flow of B1\nopened at C1: the flow of C1\n"), "{elsewhere}");
}
