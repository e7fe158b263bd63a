//! What is learned about destinations does not depend on who saw what first.

use std::borrow::Cow;

use flow::destination::bindings::BINDINGS_MAX;
use flow::destination::{Bindings, BindingsError, DestinationKey, DestinationKind, Identity, Relation};
use flow::semconv::Word;
use proptest::prelude::*;

fn identity<'a>(system: &'a str, name: &'a str, kind: DestinationKind, subscription: &'a str) -> Identity<'a> {
    Identity {
        system,
        name: Cow::Borrowed(name),
        kind,
        subscription: Cow::Borrowed(subscription),
        route: Cow::Borrowed(""),
        partition: Word::default(),
        group: "",
        spelling: name,
    }
}

fn exchange(name: &str) -> Identity<'_> {
    identity("rabbitmq", name, DestinationKind::Exchange, "")
}

fn queue(name: &str) -> Identity<'_> {
    identity("rabbitmq", name, DestinationKind::Queue, "")
}

fn key(system: &str, name: &str) -> DestinationKey {
    DestinationKey { system: system.to_owned(), name: name.to_owned() }
}

#[test]
fn a_learned_binding_names_both_ends_of_later_hops() {
    // Guarantees that after one certain hop a consumer that names only its queue belongs to the exchange, and aliases say so.
    let mut bindings = Bindings::default();
    assert_eq!(bindings.resolve_received(&queue("payment")).key, key("rabbitmq", "payment"));
    assert!(bindings.learn(&exchange("orders"), &queue("payment"), 5));
    assert!(!bindings.learn(&exchange("orders"), &queue("payment"), 3), "the same again is nothing new");
    let resolved = bindings.resolve_received(&queue("payment"));
    assert_eq!((resolved.key, resolved.subscription.as_str()), (key("rabbitmq", "orders"), "payment"));
    assert_eq!(bindings.aliases(&key("rabbitmq", "orders")), ["payment"]);
    let hop = bindings.resolve_hop(&exchange("orders"), &queue("payment"));
    assert_eq!((hop.key, hop.relation), (key("rabbitmq", "orders"), Relation::Bound));
}

#[test]
fn a_queue_with_two_sources_is_itself() {
    // Guarantees that no source is guessed for a consumer whose queue gets messages from two exchanges, while hops still know.
    let mut bindings = Bindings::default();
    bindings.learn(&exchange("orders"), &queue("audit"), 1);
    bindings.learn(&exchange("users"), &queue("audit"), 1);
    assert_eq!(bindings.resolve_received(&queue("audit")).key, key("rabbitmq", "audit"));
    assert_eq!(bindings.resolve_hop(&exchange("users"), &queue("audit")).key, key("rabbitmq", "users"));
    let sources: Vec<_> = bindings.sources(&key("rabbitmq", "audit")).cloned().collect();
    assert_eq!(sources, [key("rabbitmq", "orders"), key("rabbitmq", "users")]);
}

#[test]
fn systems_are_crossed_where_brokers_cross_them() {
    // Guarantees that an SQS queue subscribed to an SNS topic is learned, and a Kafka topic never is a queue of another.
    let mut bindings = Bindings::default();
    let topic = identity("aws.sns", "orders", DestinationKind::Topic, "");
    let sqs = identity("aws_sqs", "payments", DestinationKind::Queue, "");
    bindings.learn(&topic, &sqs, 1);
    assert_eq!(bindings.resolve_received(&sqs).key, key("aws.sns", "orders"));
    let kafka = |name| identity("kafka", name, DestinationKind::Topic, "");
    assert!(!bindings.learn(&kafka("orders"), &kafka("orders-retry-0"), 1));
    assert_eq!(bindings.resolve_hop(&kafka("orders"), &kafka("orders-retry-0")).relation, Relation::Rerouted);
}

#[test]
fn a_dead_letter_is_not_a_binding() {
    // Guarantees that a message which died and turned up in a dead-letter queue does not bind that queue to where it was sent.
    let mut bindings = Bindings::default();
    assert!(!bindings.learn(&exchange("orders"), &queue("payment.dlq"), 1));
    let hop = bindings.resolve_hop(&exchange("orders"), &queue("payment.dlq"));
    assert_eq!((hop.key, hop.relation), (key("rabbitmq", "payment.dlq"), Relation::Rerouted));
}

#[test]
fn bindings_are_bounded() {
    // Guarantees that there are never more than the bound, and that the same ones stay whatever came first.
    let names: Vec<String> = (0..BINDINGS_MAX + 500).map(|number| format!("q{number}")).collect();
    let learned = |names: &mut dyn Iterator<Item = &String>| {
        let mut bindings = Bindings::default();
        names.for_each(|name| {
            bindings.learn(&exchange("orders"), &queue(name), 1);
        });
        bindings
    };
    let (forwards, backwards) = (learned(&mut names.iter()), learned(&mut names.iter().rev()));
    assert_eq!(forwards.len(), BINDINGS_MAX);
    assert_eq!(forwards, backwards);
}

#[test]
fn old_bindings_are_forgotten() {
    // Guarantees that what was not seen since an instant is forgotten and what was stays.
    let mut bindings = Bindings::default();
    bindings.learn(&exchange("orders"), &queue("old"), 10);
    bindings.learn(&exchange("orders"), &queue("new"), 20);
    bindings.forget_before(20);
    let queues: Vec<_> = bindings.queues(&key("rabbitmq", "orders")).cloned().collect();
    assert_eq!(queues, [key("rabbitmq", "new")]);
}

#[test]
fn damaged_bytes_are_refused() {
    // Guarantees an error, never a panic, for bytes that are cut off, foreign or of another version.
    let mut bindings = Bindings::default();
    bindings.learn(&exchange("orders"), &queue("payment"), 7);
    let bytes = bindings.to_bytes();
    assert_eq!(Bindings::from_bytes(&bytes), Ok(bindings));
    for end in 6..bytes.len() {
        assert_eq!(Bindings::from_bytes(&bytes[..end]), Err(BindingsError::Damaged(5)));
    }
    assert_eq!(Bindings::from_bytes(b"PAR1"), Err(BindingsError::NotBindings));
    assert_eq!(Bindings::from_bytes(b"LSBD\x09"), Err(BindingsError::Version(9)));
}

/// A hop as (exchange, queue, when), of few names so that they repeat.
fn hop() -> impl Strategy<Value = (u8, u8, u64)> {
    (0..6u8, 0..6u8, 0..100u64)
}

fn learn_all<'a>(hops: impl IntoIterator<Item = &'a (u8, u8, u64)>) -> Bindings {
    let mut bindings = Bindings::default();
    for (source, bound, seen) in hops {
        bindings.learn(&exchange(&format!("e{source}")), &queue(&format!("q{bound}")), *seen);
    }
    bindings
}

proptest! {
    #[test]
    fn order_duplicates_and_parts_make_no_difference(hops in prop::collection::vec(hop(), 0..60), cut in 0..60usize) {
        // Guarantees one result for any order, for duplicates, for parts that are merged either way, and through bytes.
        let whole = learn_all(&hops);
        prop_assert_eq!(&whole, &learn_all(hops.iter().rev().chain(&hops)));
        let (first, second) = hops.split_at(cut.min(hops.len()));
        let (mut left, mut right) = (learn_all(first), learn_all(second));
        let before = left.clone();
        left.merge(&right);
        right.merge(&before);
        prop_assert_eq!(&whole, &left);
        prop_assert_eq!(&whole, &right);
        prop_assert_eq!(Ok(whole.clone()), Bindings::from_bytes(&whole.to_bytes()));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        // Guarantees that nothing on disk can bring the reader down.
        let _ = Bindings::from_bytes(&[b"LSBD\x01", bytes.as_slice()].concat());
    }
}
