//! Views of spans whose senders are not recorded: older generations of the conventions, other tracers, other languages. The
//! attributes are written from the conventions' texts and the senders' sources.

use flow::destination::Identity;
use flow::semconv::{DeadLetter, Messaging, Role, SentAtSource, Settlement, Word};
use model::{Resource, Scope, SpanBatch, SpanRow, Value};

/// An attribute's value as fixtures write it.
#[derive(Debug, Clone, Copy)]
enum V {
    S(&'static str),
    I(i64),
    B(bool),
    /// Canonical JSON.
    J(&'static str),
}
use V::{B, I, J, S};

const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const INTERNAL: i32 = 1;

fn batch(scope: &str, kind: i32, name: &str, attributes: &[(&str, V)]) -> SpanBatch {
    let mut batch = SpanBatch::default();
    let resource = batch.push_resource(Resource::default());
    let scope_name = batch.text.intern(scope.as_bytes());
    let scope = batch.push_scope(Scope { resource, name: scope_name, ..Scope::default() });
    for &(key, value) in attributes {
        let key = batch.text.intern(key.as_bytes());
        let value = match value {
            S(text) => Value::Str(batch.text.intern(text.as_bytes())),
            I(number) => Value::Int(number),
            B(flag) => Value::Bool(flag),
            J(json) => Value::Json(batch.text.intern(json.as_bytes())),
        };
        batch.attributes.push(key, value);
    }
    let name = batch.text.intern(name.as_bytes());
    batch.push_span(SpanRow { name, kind, scope, ..SpanRow::default() });
    batch
}

/// Role, destination and subscription of a span, as `role system:name/subscription`.
fn short(scope: &str, kind: i32, name: &str, attributes: &[(&str, V)]) -> String {
    let batch = batch(scope, kind, name, attributes);
    let Some(view) = Messaging::of(batch.span(0)) else { return "nothing".to_owned() };
    let role = format!("{:?}", view.role).to_lowercase();
    let Some(identity) = Identity::of(&view) else { return format!("{role} {}:?", view.system) };
    let subscription = if identity.subscription.is_empty() { "" } else { "/" };
    let group = if identity.group.is_empty() { String::new() } else { format!(" for {}", identity.group) };
    format!("{role} {}{subscription}{}{group}", identity.key(), identity.subscription)
}

#[test]
fn other_tracers() {
    // Guarantees the view of spans of Brave, OpenTracing, X-Ray and Elastic's and Sentry's SDKs.
    let brave = [("kafka.topic", S("orders")), ("kafka.broker", S("10.0.0.1:9092"))];
    assert_eq!(short("", PRODUCER, "send", &brave), "send kafka:orders");
    let brave = [("rabbit.exchange", S("orders")), ("rabbit.routing_key", S("new")), ("rabbit.queue", S("payment"))];
    assert_eq!(short("", CONSUMER, "next-message", &brave), "process rabbitmq:orders/payment");
    let zipkin = [("peer.service", S("rabbitmq"))];
    assert_eq!(short("", PRODUCER, "publish orders", &zipkin), "send rabbitmq:orders");
    assert_eq!(short("", CLIENT, "get", &[("peer.service", S("kafka"))]), "nothing");
    assert_eq!(short("", CONSUMER, "receive", &[("jms.queue", S("orders"))]), "receive jms:orders");
    let open_tracing =
        [("message_bus.destination", S("orders")), ("component", S("java-kafka")), ("span.kind", S("producer"))];
    assert_eq!(short("", INTERNAL, "To_orders", &open_tracing), "send kafka:orders");
    let xray = [
        ("aws.operation", S("SendMessage")),
        ("aws.queue_url", S("https://sqs.eu-west-1.amazonaws.com/123456789012/payments")),
    ];
    assert_eq!(short("", CLIENT, "SQS", &xray), "send aws_sqs:payments");
    let elastic = [("message.queue.name", S("orders")), ("message.age.ms", I(1500))];
    assert_eq!(short("", CONSUMER, "RabbitMQ RECEIVE from orders", &elastic), "process :orders");
}

#[test]
fn older_conventions() {
    // Guarantees the view of generations 1.0 to 1.20, with sources, kinds, partitions as numbers and renamed operations.
    let v1_0 = [
        ("messaging.system", S("kafka")),
        ("messaging.destination", S("orders")),
        ("messaging.destination_kind", S("topic")),
        ("messaging.operation", S("process")),
        ("messaging.kafka.consumer_group", S("payment")),
        ("messaging.kafka.partition", I(3)),
    ];
    assert_eq!(short("", CONSUMER, "orders process", &v1_0), "process kafka:orders for payment");
    let v1_20 = [
        ("messaging.system", S("rabbitmq")),
        ("messaging.source.name", S("payment")),
        ("messaging.destination.name", S("orders")),
        ("messaging.rabbitmq.destination.routing_key", S("new")),
        ("messaging.operation", S("deliver")),
    ];
    assert_eq!(short("", CONSUMER, "payment deliver", &v1_20), "process rabbitmq:orders/payment");
    let v1_22 = [
        ("messaging.system", S("rabbitmq")),
        ("messaging.destination.name", S("payment")),
        ("messaging.destination_publish.name", S("orders")),
        ("messaging.operation", S("receive")),
    ];
    assert_eq!(short("", CONSUMER, "payment receive", &v1_22), "receive rabbitmq:orders/payment");
    let create = [("messaging.system", S("kafka")), ("messaging.operation.type", S("create"))];
    assert_eq!(short("", PRODUCER, "create orders", &create), "create kafka:orders");
}

#[test]
fn both_generations_at_once() {
    // Guarantees that a span in the conventions' dup mode is read by the newer names, whatever the order.
    let span = [
        ("messaging.destination", S("old")),
        ("messaging.destination.name", S("new")),
        ("messaging.operation", S("publish")),
        ("messaging.operation.type", S("send")),
        ("messaging.system", S("kafka")),
    ];
    assert_eq!(short("", PRODUCER, "new publish", &span), "send kafka:new");
}

#[test]
fn dotnet_and_ruby() {
    // Guarantees the view of MassTransit, NServiceBus, Azure's SDKs, Sidekiq and BullMQ.
    let system = |system| ("messaging.system", S(system));
    let consume = [
        ("messaging.operation", S("receive")),
        ("messaging.destination.name", S("Shop:Ordered")),
        ("messaging.masstransit.message_id", S("m-1")),
        system("rabbitmq"),
    ];
    assert_eq!(short("MassTransit", CONSUMER, "Ordered receive", &consume), "process rabbitmq:Shop:Ordered");
    assert_eq!(
        short("NServiceBus.Core", CONSUMER, "process message", &[("nservicebus.message_id", S("7"))]),
        "process :message"
    );
    let azure = [
        system("servicebus"),
        ("messaging.destination.name", S("orders/Subscriptions/billing")),
        ("messaging.operation", S("settle")),
        ("messaging.servicebus.disposition_status", S("dead_letter")),
    ];
    assert_eq!(
        short("Azure.Messaging.ServiceBus", CLIENT, "settle orders", &azure),
        "settle servicebus:orders/billing"
    );
    let sidekiq = [system("sidekiq"), ("messaging.destination", S("default")), ("messaging.operation", S("process"))];
    assert_eq!(
        short("OpenTelemetry::Instrumentation::Sidekiq", CONSUMER, "default process", &sidekiq),
        "process sidekiq:default"
    );
    assert_eq!(short("bullmq", PRODUCER, "add mail", &[("bullmq.queue.name", S("mail"))]), "send bullmq:mail");
}

#[test]
fn spring_by_micrometer() {
    // Guarantees the view of Spring's own observations: a listener's `receive` is the handler, its source the destination.
    let scope = "org.springframework.boot";
    let listener = [
        ("messaging.operation", S("receive")),
        ("messaging.source.name", S("orders")),
        ("messaging.source.kind", S("topic")),
        ("messaging.system", S("kafka")),
        ("messaging.kafka.consumer.group", S("payment")),
        ("spring.kafka.listener.id", S("listener-0")),
    ];
    assert_eq!(short(scope, CONSUMER, "orders receive", &listener), "process kafka:orders for payment");
    let template = [
        ("messaging.operation", S("publish")),
        ("messaging.destination.name", S("orders")),
        ("messaging.system", S("kafka")),
    ];
    assert_eq!(short(scope, PRODUCER, "orders send", &template), "send kafka:orders");
    let rabbit = [
        ("messaging.destination.name", S("payment")),
        ("messaging.system", S("rabbitmq")),
        ("messaging.destination.kind", S("queue")),
    ];
    assert_eq!(short(scope, CONSUMER, "payment receive", &rabbit), "process rabbitmq:payment");
}

#[test]
fn subjects_and_virtual_topics() {
    // Guarantees one name for NATS' reply inboxes, and the topic behind an ActiveMQ consumer's queue.
    let nats = |name| {
        let attributes = [
            ("messaging.system", S("nats")),
            ("messaging.destination.name", S(name)),
            ("messaging.operation", S("process")),
        ];
        short("io.opentelemetry.nats-2.17", CONSUMER, "process", &attributes)
    };
    assert_eq!(nats("_INBOX.aB3xyz.1"), "process nats:_INBOX.*");
    assert_eq!(nats("orders.created"), "process nats:orders.created");
    let jms =
        [("messaging.system", S("jms")), ("messaging.destination.name", S("Consumer.billing.VirtualTopic.orders"))];
    assert_eq!(
        short("io.opentelemetry.jms-1.1", CONSUMER, "process", &jms),
        "process jms:VirtualTopic.orders/Consumer.billing.VirtualTopic.orders"
    );
}

#[test]
fn cloud_addresses() {
    // Guarantees one key for the ways in which Google's, Azure's and Amazon's senders name a destination.
    let pubsub = |name| {
        let attributes = [
            ("messaging.system", S("gcp_pubsub")),
            ("messaging.destination.name", S(name)),
            ("messaging.operation", S("receive")),
        ];
        short("", CONSUMER, "receive", &attributes)
    };
    assert_eq!(pubsub("projects/shop/subscriptions/billing"), "receive gcp_pubsub:billing");
    let send =
        [("messaging.system", S("gcp_pubsub")), ("messaging.destination.name", S("projects/shop/topics/orders"))];
    assert_eq!(short("", PRODUCER, "send", &send), "send gcp_pubsub:orders");
    let hub = [
        ("messaging.system", S("eventhubs")),
        ("messaging.destination.name", S("clicks")),
        ("messaging.eventhubs.consumer.group", S("$Default")),
    ];
    assert_eq!(short("", CONSUMER, "process clicks", &hub), "process eventhubs:clicks for $Default");
    let kinesis = [
        ("rpc.system", S("aws-api")),
        ("rpc.service", S("Kinesis")),
        ("rpc.method", S("PutRecords")),
        ("messaging.destination.name", S("arn:aws:kinesis:eu-west-1:123456789012:stream/clicks")),
    ];
    assert_eq!(short("", CLIENT, "Kinesis.PutRecords", &kinesis), "send aws.kinesis:clicks");
}

#[test]
fn what_is_not_about_messages() {
    // Guarantees no view for other spans: HTTP, other RPC, calls about queues themselves, AMQP's housekeeping.
    assert_eq!(short("", CLIENT, "GET /orders", &[("http.request.method", S("GET"))]), "nothing");
    let grpc = [("rpc.system", S("grpc")), ("rpc.service", S("SQS")), ("rpc.method", S("SendMessage"))];
    assert_eq!(short("", CLIENT, "SQS/SendMessage", &grpc), "nothing");
    let table = [("rpc.system", S("aws-api")), ("rpc.service", S("DynamoDB")), ("rpc.method", S("Query"))];
    assert_eq!(short("", CLIENT, "DynamoDB.Query", &table), "nothing");
    let attributes = [("rpc.system", S("aws-api")), ("rpc.service", S("SQS")), ("rpc.method", S("GetQueueAttributes"))];
    assert_eq!(short("", CLIENT, "SQS.GetQueueAttributes", &attributes), "nothing");
    assert_eq!(short("", CLIENT, "queue.declare", &[("messaging.system", S("rabbitmq"))]), "nothing");
    assert_eq!(short("", INTERNAL, "handle", &[("messaging.message.id", S("1"))]), "nothing");
}

#[test]
fn attempts_and_deaths() {
    // Guarantees delivery counts of each broker counted from 1, and where and why a dead letter died.
    let view = |attributes: &[(&str, V)]| {
        let batch = batch("", CONSUMER, "process q", attributes);
        let message = Messaging::of(batch.span(0)).expect("a consumer is about messages").message;
        (message.attempt, message.redelivered)
    };
    assert_eq!(view(&[("messaging.servicebus.message.delivery_count", I(2))]), (Some(2), None));
    assert_eq!(view(&[("messaging.header.x_delivery_count", J("[\"2\"]"))]), (Some(3), None));
    assert_eq!(view(&[("messaging.header.ApproximateReceiveCount", J("[\"4\"]"))]), (Some(4), None));
    assert_eq!(view(&[("messaging.gcp_pubsub.message.delivery_attempt", S("5"))]), (Some(5), None));
    assert_eq!(view(&[("messaging.rabbitmq.message.redelivered", B(true))]), (None, Some(true)));
    assert_eq!(view(&[("messaging.message.retry.count", I(-3))]), (None, None));

    let spring = batch(
        "",
        CONSUMER,
        "orders-dlt process",
        &[
            ("messaging.header.kafka_dlt-original-topic", J("[\"orders\"]")),
            ("messaging.header.kafka_dlt-original-offset", J("[\"17\"]")),
            ("messaging.header.kafka_dlt-exception-fqcn", J("[\"java.io.IOException\"]")),
        ],
    );
    let death = Messaging::of(spring.span(0)).and_then(|view| view.message.dead_letter);
    let expected =
        DeadLetter { destination: "orders", reason: "java.io.IOException", offset: Some(17), ..DeadLetter::default() };
    assert_eq!(death, Some(expected));
}

#[test]
fn instants_and_settlements() {
    // Guarantees whose clock an instant of sending is, a wait in nanoseconds, and what became of a message.
    let view = batch(
        "",
        CONSUMER,
        "q process",
        &[
            ("messaging.servicebus.message.enqueued_time", I(1_700_000_000)),
            ("messaging.header.timestamp", I(1)),
            ("messaging.message.receive.latency", I(250)),
            ("messaging.message.id", I(42)),
            ("messaging.servicebus.disposition_status", S("abandon")),
        ],
    );
    let view = Messaging::of(view.span(0)).expect("a consumer is about messages");
    let sent_at = view.message.sent_at.expect("it says when");
    assert_eq!((sent_at.unix_nano, sent_at.source), (1_700_000_000_000_000_000, SentAtSource::Broker));
    assert_eq!((view.message.queue_wait_ns, view.message.id), (Some(250_000_000), Word::Number(42)));
    assert_eq!((view.role, view.settlement), (Role::Process, Some(Settlement::Returned)));
}
