//! Whatever senders write, views and identities are made without a panic, and two readings of one span are the same.

use flow::destination::{Bindings, Identity};
use flow::semconv::{LinkedMessage, Messaging, Sought};
use model::{Link, Resource, Scope, SpanBatch, SpanRow, Value};
use proptest::prelude::*;

/// Keys that are read, and some that are not.
fn key() -> impl Strategy<Value = String> {
    let sought = [Sought::MessageId, Sought::Offset, Sought::ConversationId, Sought::Destination];
    let known: Vec<&str> = sought.into_iter().flat_map(Sought::keys).collect();
    let others = [
        "messaging.system",
        "messaging.operation",
        "messaging.destination.partition.id",
        "messaging.rabbitmq.destination.routing_key",
        "messaging.url",
        "messaging.header.x_death",
        "messaging.source.name",
        "messaging.destination_publish.name",
        "messaging.batch.message_count",
        "messaging.servicebus.message.enqueued_time",
        "messaging.kafka.message.offset",
        "kafka.record.queue_time_ms",
        "celery.retries",
        "celery.delivery_info",
        "rpc.method",
        "rpc.service",
        "span.kind",
        "http.request.method",
    ];
    prop::sample::select([known, others.to_vec()].concat()).prop_map(str::to_owned)
}

/// Texts made of the pieces that addresses, generated names and printed maps are made of.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "orders",
            ":",
            "/",
            ".",
            "-",
            "[",
            "]",
            "arn:aws:sns:",
            "https://",
            "queue://",
            "amq.gen-",
            "projects/p/topics/",
            "/Subscriptions/",
            "-partition-",
            "dlq",
            "<default>",
            "ü",
            "queue=",
            "['",
            "{",
            "}",
            "\"",
            "\\",
            " process",
            "SQS",
            "0af7651916cd43dd",
            "12345678",
            "6e0b0a6a-e58b-32ec-bec8-520cc44b697f",
            "rabbitmq",
            "kafka",
            "aws_sqs",
            "receive",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

#[derive(Debug, Clone)]
enum Written {
    Text(String),
    Json(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

fn value() -> impl Strategy<Value = Written> {
    prop_oneof![
        4 => text().prop_map(Written::Text),
        1 => text().prop_map(|text| Written::Json(format!("[{text:?}]"))),
        1 => any::<i64>().prop_map(Written::Int),
        1 => any::<f64>().prop_map(Written::Double),
        1 => any::<bool>().prop_map(Written::Bool),
    ]
}

fn scope() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "opentelemetry.instrumentation.pika",
        "opentelemetry.instrumentation.aio_pika",
        "opentelemetry.instrumentation.confluent_kafka",
        "opentelemetry.instrumentation.botocore.sqs",
        "opentelemetry.instrumentation.celery",
        "@opentelemetry/instrumentation-amqplib",
        "io.opentelemetry.rabbitmq-2.7",
    ])
}

type Pairs = Vec<(String, Written)>;

fn batch(scope: &str, kind: i32, name: &str, own: &Pairs, linked: &Pairs) -> SpanBatch {
    let mut batch = SpanBatch::default();
    let resource = batch.push_resource(Resource::default());
    let scope_name = batch.text.intern(scope.as_bytes());
    let scope = batch.push_scope(Scope { resource, name: scope_name, ..Scope::default() });
    for (pairs, is_link) in [(own, false), (linked, true)] {
        for (key, value) in pairs {
            let key = batch.text.intern(key.as_bytes());
            let value = match value {
                Written::Text(text) => Value::Str(batch.text.intern(text.as_bytes())),
                Written::Json(json) => Value::Json(batch.text.intern(json.as_bytes())),
                Written::Int(number) => Value::Int(*number),
                Written::Double(number) => Value::Double(*number),
                Written::Bool(flag) => Value::Bool(*flag),
            };
            let pool = if is_link { &mut batch.links.attributes } else { &mut batch.attributes };
            pool.push(key, value);
        }
    }
    batch.links.push(Link::default());
    let name = batch.text.intern(name.as_bytes());
    batch.push_span(SpanRow { name, kind, scope, ..SpanRow::default() });
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_span_is_read(
        scope in scope(),
        kind in 0..7i32,
        name in text(),
        own in prop::collection::vec((key(), value()), 0..10),
        linked in prop::collection::vec((key(), value()), 0..5),
    ) {
        // Guarantees that no attributes make reading panic, and that what is read of a span is always the same.
        let batch = batch(scope, kind, &name, &own, &linked);
        let span = batch.span(0);
        if let Some(view) = Messaging::of(span) {
            prop_assert_eq!(format!("{view:?}"), format!("{:?}", Messaging::of(span).unwrap()));
            let mut bindings = Bindings::default();
            let link = LinkedMessage::all(span, view.library).next().unwrap();
            let identities = [Identity::of(&view), Identity::of_linked(&view, &link)];
            for (sent, received) in identities[0].iter().zip(&identities[1]) {
                bindings.learn(sent, received, 1);
                let resolved = bindings.resolve_hop(sent, received);
                prop_assert!(sent.has_key(&resolved.key) || received.has_key(&resolved.key));
                prop_assert_eq!(sent.has_key(&sent.key()), true);
            }
        }
    }
}
