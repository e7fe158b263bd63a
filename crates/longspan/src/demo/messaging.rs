//! Instrumented sending and receiving: what a messaging library with OpenTelemetry support does around the bus.
//!
//! Spans, links, attributes and names follow the current messaging conventions; the W3C context travels in the message
//! headers. Two styles of consumer exist side by side, as in the wild: those that continue the sender's trace, and those
//! that start their own and link back. What a service does with a message is its own business (`services`).

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanBuilder, SpanKind};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};

use super::broker::{Address, Delivery, DestinationId, Message, Outgoing, SubscriptionId, Verdict};
use super::orders::Order;
use super::telemetry::{Failure, Library, OpenSpan, Service, remote_span};
use super::world::{Body, Ledger, World};

const KAFKA_HOST: (&str, i64) = ("kafka-1.shop.internal", 9092);
const RABBITMQ_HOST: (&str, i64) = ("rabbitmq.shop.internal", 5672);

/// From the broker's acceptance to the earliest delivery.
const BROKER_LATENCY: (Duration, Duration) = (Duration::from_micros(400), Duration::from_millis(4));

/// A message as its sender hands it over.
pub(crate) struct Outbound<'a> {
    pub(crate) from: Service,
    pub(crate) parent: &'a Context,
    pub(crate) to: DestinationId,
    pub(crate) key: &'a str,
    pub(crate) body: Body,
    pub(crate) delay: Duration,
    pub(crate) headers: HashMap<String, String>,
}

impl<'a> Outbound<'a> {
    /// An order's message without delay and extra headers.
    pub(crate) fn about(order: &'a Arc<Order>, from: Service, parent: &'a Context, to: DestinationId) -> Self {
        let body = Body::Order(Arc::clone(order));
        Self { from, parent, to, key: &order.id, body, delay: Duration::ZERO, headers: HashMap::new() }
    }
}

/// Sends one message under a PRODUCER span whose context the message carries.
pub(crate) async fn send(world: &World, outbound: Outbound<'_>) {
    let address = world.bus.with_broker(|broker| broker.address(outbound.to));
    let span = world.start((outbound.from, library(address)), outbound.parent, send_span(address, &outbound));
    world.work(send_latency(address)).await;
    let mut headers = outbound.headers;
    headers.extend(world.telemetry.inject(span.context()));
    let broker_latency = world.roll(|random| random.spread(BROKER_LATENCY.0, BROKER_LATENCY.1));
    let outgoing =
        Outgoing { key: outbound.key.to_owned(), headers, body: outbound.body, delay: outbound.delay + broker_latency };
    let message = world.bus.publish(outbound.to, outgoing);
    // Known only now: the broker gives the position, the client library the id.
    span.set_all(message_identity(address, &message));
    world.end(&span);
}

fn send_span(address: Address, outbound: &Outbound<'_>) -> SpanBuilder {
    let destination = producer_destination(address);
    let name = format!("send {destination}");
    let mut attributes = messaging_attributes(address, destination, ("send", "send"));
    attributes.push(KeyValue::new("messaging.message.body.size", outbound.body.size_bytes()));
    if let Address::Exchange { routing_key, .. } = address {
        attributes.push(KeyValue::new("messaging.rabbitmq.destination.routing_key", routing_key));
    }
    if !outbound.delay.is_zero() {
        let delay_ms = outbound.delay.as_millis().to_string();
        attributes.push(header_attribute("x-delay", delay_ms));
    }
    attributes.extend(order_attributes(&outbound.body));
    SpanBuilder::from_name(name).with_kind(SpanKind::Producer).with_attributes(attributes)
}

fn send_latency(address: Address) -> Duration {
    match address {
        Address::Topic(_) => Duration::from_micros(2_600),
        Address::Exchange { .. } => Duration::from_micros(1_300),
    }
}

/// How a consumer relates to the sender's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuation {
    /// The processing span is a child of the sending span.
    SenderTrace,
    /// The processing span is the root of a new trace and links to the sending span.
    OwnTrace,
}

/// Who takes messages from a subscription, one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Consumer {
    pub(crate) service: Service,
    pub(crate) subscription: SubscriptionId,
    pub(crate) continuation: Continuation,
    /// Where the consumer itself puts what it gave up on; queues leave that to the broker.
    pub(crate) dead_letters: Option<DestinationId>,
    /// Messages that are taken, and never heard of again.
    pub(crate) loses: fn(&Order) -> bool,
}

impl Consumer {
    pub(crate) fn new(service: Service, subscription: SubscriptionId, continuation: Continuation) -> Self {
        Self { service, subscription, continuation, dead_letters: None, loses: |_| false }
    }
}

/// One message in the hands of a service.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) world: Arc<World>,
    pub(crate) span: OpenSpan,
    pub(crate) delivery: Arc<Delivery<Body>>,
}

impl Job {
    pub(crate) fn context(&self) -> &Context {
        self.span.context()
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.delivery.attempt
    }

    /// The order this is about. Page views, which have none, are only consumed in batches.
    pub(crate) fn order(&self) -> Arc<Order> {
        let order = self.delivery.message.body.order();
        Arc::clone(order.expect("single-message consumers listen to order messages only"))
    }
}

/// Starts a number of workers that handle messages of one subscription, one message at a time each.
pub(crate) fn start_workers<H, F>(world: &Arc<World>, consumer: Consumer, workers: usize, handle: H)
where
    H: Fn(Job) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    for _ in 0..workers {
        let clock = world.clock.clone();
        let world = Arc::clone(world);
        clock.spawn(async move {
            loop {
                for delivery in world.bus.receive(consumer.subscription, 1).await {
                    process(&world, consumer, Arc::new(delivery), handle).await;
                }
            }
        });
    }
}

async fn process<H, F>(world: &Arc<World>, consumer: Consumer, delivery: Arc<Delivery<Body>>, handle: H)
where
    H: Fn(Job) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    if delivery.message.body.order().is_some_and(|order| (consumer.loses)(order)) {
        Ledger::count(&world.ledger.unanswered);
        return;
    }
    let span = start_process(world, consumer, &delivery);
    let job = Job { world: Arc::clone(world), span: span.clone(), delivery: Arc::clone(&delivery) };
    let outcome = handle(job).await;
    if let Err(failure) = &outcome {
        span.fail(failure, world.clock.now());
        give_up(world, consumer, &delivery, &span, failure).await;
    }
    settle(world, consumer, &delivery, &span, outcome.is_ok()).await;
    world.end(&span);
}

fn start_process(world: &World, consumer: Consumer, delivery: &Delivery<Body>) -> OpenSpan {
    let sender = world.telemetry.extract(&delivery.message.headers);
    let address = world.bus.with_broker(|broker| broker.source(consumer.subscription));
    let mut attributes = consumer_attributes(world, consumer.subscription, ("process", "process"));
    attributes.extend(message_identity(address, &delivery.message));
    attributes.extend(delivery_attributes(address, delivery));
    attributes.extend(order_attributes(&delivery.message.body));
    attributes.push(KeyValue::new("messaging.message.body.size", delivery.message.body.size_bytes()));
    let name = format!("process {}", consumer_destination(world, consumer.subscription));
    let span = SpanBuilder::from_name(name).with_kind(SpanKind::Consumer).with_attributes(attributes);
    let (parent, span) = match consumer.continuation {
        Continuation::SenderTrace => (sender, span),
        Continuation::OwnTrace => {
            let link = Link::new(remote_span(&sender), Vec::new(), 0);
            (Context::new(), span.with_links(vec![link]))
        }
    };
    world.start((consumer.service, library(address)), &parent, span)
}

/// After the last attempt, a topic's consumer publishes the message to its dead-letter topic.
async fn give_up(world: &World, consumer: Consumer, delivery: &Delivery<Body>, span: &OpenSpan, failure: &Failure) {
    let (policy, address) =
        world.bus.with_broker(|broker| (broker.policy(consumer.subscription), broker.source(consumer.subscription)));
    let (Some(to), true) = (consumer.dead_letters, delivery.attempt >= policy.max_attempts) else { return };
    Ledger::count(&world.ledger.dead_letters);
    if let Some(order) = delivery.message.body.order() {
        world.ledger.note("a poison message, retried and then dead-lettered", &order.id, span.context());
    }
    let mut headers = HashMap::new();
    headers.insert("kafka_dlt-original-topic".to_owned(), producer_destination(address));
    if let Some(position) = delivery.message.position {
        headers.insert("kafka_dlt-original-partition".to_owned(), position.partition.to_string());
        headers.insert("kafka_dlt-original-offset".to_owned(), position.offset.to_string());
    }
    headers.insert("kafka_dlt-exception-message".to_owned(), failure.message.clone());
    let outbound = Outbound {
        from: consumer.service,
        parent: span.context(),
        to,
        key: &delivery.message.key,
        body: delivery.message.body.clone(),
        delay: Duration::ZERO,
        headers,
    };
    send(world, outbound).await;
}

/// Tells the broker how it went; queues acknowledge each message, which makes a span, topics only commit now and then.
async fn settle(world: &World, consumer: Consumer, delivery: &Arc<Delivery<Body>>, span: &OpenSpan, handled: bool) {
    let address = world.bus.with_broker(|broker| broker.source(consumer.subscription));
    if matches!(address, Address::Exchange { .. }) {
        let operation = if handled { "ack" } else { "nack" };
        let mut attributes = consumer_attributes(world, consumer.subscription, ("settle", operation));
        attributes.extend(message_identity(address, &delivery.message));
        let name = format!("{operation} {}", consumer_destination(world, consumer.subscription));
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(attributes);
        let settling = world.start((consumer.service, Library::Amqp), span.context(), builder);
        world.work(Duration::from_micros(350)).await;
        world.end(&settling);
    }
    if handled {
        return;
    }
    match world.bus.fail(delivery, "rejected") {
        Verdict::Redelivered { after } => {
            let after = KeyValue::new("retry.delay_ms", after.as_millis() as i64);
            span.event("retry scheduled", world.clock.now(), vec![after]);
        }
        Verdict::DeadLettered(_) => {
            Ledger::count(&world.ledger.dead_letters);
            if let Some(order) = delivery.message.body.order() {
                world.ledger.note("a message rejected into a dead-letter queue", &order.id, span.context());
            }
        }
        Verdict::Dropped => {}
    }
}

/// Who takes messages from a subscription many at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchConsumer {
    pub(crate) service: Service,
    pub(crate) subscription: SubscriptionId,
    pub(crate) max_messages: usize,
    /// How long to wait for more once there is a first message.
    pub(crate) linger: Duration,
}

/// A batch in the hands of a service.
pub(crate) struct Batch {
    pub(crate) world: Arc<World>,
    pub(crate) span: OpenSpan,
    pub(crate) messages: usize,
}

/// Starts one worker that polls batches: a CLIENT span for the poll, and in it a CONSUMER span that links to every message's
/// sender, with what differs between the messages on the links.
pub(crate) fn start_batch_worker<H, F>(world: &Arc<World>, consumer: BatchConsumer, handle: H)
where
    H: Fn(Batch) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let world = Arc::clone(world);
    let clock = world.clock.clone();
    clock.spawn(async move {
        loop {
            process_batch(&world, consumer, handle).await;
        }
    });
}

async fn process_batch<H, F>(world: &Arc<World>, consumer: BatchConsumer, handle: H)
where
    H: Fn(Batch) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    let mut deliveries = world.bus.receive(consumer.subscription, consumer.max_messages).await;
    let polled_from = world.clock.now();
    if deliveries.len() < consumer.max_messages {
        world.clock.sleep(consumer.linger).await;
        let room = consumer.max_messages - deliveries.len();
        deliveries.extend(world.bus.take_now(consumer.subscription, room));
    }
    let destination = consumer_destination(world, consumer.subscription);
    let origin = (consumer.service, Library::Kafka);
    let count = KeyValue::new("messaging.batch.message_count", deliveries.len() as i64);

    let mut attributes = consumer_attributes(world, consumer.subscription, ("receive", "poll"));
    attributes.push(count.clone());
    let poll = SpanBuilder::from_name(format!("poll {destination}"));
    let poll = poll.with_kind(SpanKind::Client).with_attributes(attributes);
    let poll = world.telemetry.start(origin, &Context::new(), poll, polled_from);

    let mut attributes = consumer_attributes(world, consumer.subscription, ("process", "process"));
    attributes.push(count);
    let links = deliveries.iter().map(|delivery| batch_link(world, delivery)).collect();
    let builder = SpanBuilder::from_name(format!("process {destination}"));
    let builder = builder.with_kind(SpanKind::Consumer).with_attributes(attributes).with_links(links);
    let span = world.start(origin, poll.context(), builder);
    world.end(&poll);

    let batch = Batch { world: Arc::clone(world), span: span.clone(), messages: deliveries.len() };
    if let Err(failure) = handle(batch).await {
        span.fail(&failure, world.clock.now());
    }
    world.end(&span);
}

fn batch_link(world: &World, delivery: &Delivery<Body>) -> Link {
    let sender = world.telemetry.extract(&delivery.message.headers);
    let address = world.bus.with_broker(|broker| broker.source(delivery.subscription));
    let mut attributes = message_identity(address, &delivery.message);
    attributes.extend(order_attributes(&delivery.message.body));
    Link::new(remote_span(&sender), attributes, 0)
}

fn library(address: Address) -> Library {
    match address {
        Address::Topic(_) => Library::Kafka,
        Address::Exchange { .. } => Library::Amqp,
    }
}

/// As the sender knows the destination: the topic, or `exchange:routing_key`.
fn producer_destination(address: Address) -> String {
    match address {
        Address::Topic(name) => name.to_owned(),
        Address::Exchange { exchange, routing_key } => format!("{exchange}:{routing_key}"),
    }
}

/// As the receiver knows it: the topic, or `exchange:routing_key:queue`, the queue left out when it repeats the key.
fn consumer_destination(world: &World, subscription: SubscriptionId) -> String {
    let (address, name) = world.bus.with_broker(|broker| (broker.source(subscription), broker.name(subscription)));
    match address {
        Address::Exchange { routing_key, .. } if routing_key != name => {
            format!("{}:{name}", producer_destination(address))
        }
        _ => producer_destination(address),
    }
}

fn messaging_attributes(
    address: Address,
    destination: String,
    (operation_type, operation_name): (&'static str, &'static str),
) -> Vec<KeyValue> {
    let (system, (host, port)) = match address {
        Address::Topic(_) => ("kafka", KAFKA_HOST),
        Address::Exchange { .. } => ("rabbitmq", RABBITMQ_HOST),
    };
    vec![
        KeyValue::new("messaging.system", system),
        KeyValue::new("messaging.destination.name", destination),
        KeyValue::new("messaging.operation.type", operation_type),
        KeyValue::new("messaging.operation.name", operation_name),
        KeyValue::new("server.address", host),
        KeyValue::new("server.port", port),
    ]
}

fn consumer_attributes(
    world: &World,
    subscription: SubscriptionId,
    operation: (&'static str, &'static str),
) -> Vec<KeyValue> {
    let (address, name) = world.bus.with_broker(|broker| (broker.source(subscription), broker.name(subscription)));
    let mut attributes = messaging_attributes(address, consumer_destination(world, subscription), operation);
    match address {
        Address::Topic(_) => attributes.push(KeyValue::new("messaging.consumer.group.name", name)),
        Address::Exchange { routing_key, .. } => {
            attributes.push(KeyValue::new("messaging.rabbitmq.destination.routing_key", routing_key));
        }
    }
    attributes
}

/// What tells this message from all others: position and key on topics, ids on queues.
fn message_identity(address: Address, message: &Message<Body>) -> Vec<KeyValue> {
    match (address, message.position) {
        (Address::Topic(_), Some(position)) => vec![
            KeyValue::new("messaging.destination.partition.id", position.partition.to_string()),
            KeyValue::new("messaging.kafka.offset", position.offset as i64),
            KeyValue::new("messaging.kafka.message.key", message.key.clone()),
        ],
        _ => vec![
            KeyValue::new("messaging.message.id", message.id.clone()),
            KeyValue::new("messaging.message.conversation_id", message.key.clone()),
        ],
    }
}

/// Which delivery this is, and the broker's own headers, as instrumentations capture them.
fn delivery_attributes(address: Address, delivery: &Delivery<Body>) -> Vec<KeyValue> {
    let mut attributes: Vec<KeyValue> = delivery
        .message
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-") || name.starts_with("kafka_"))
        .map(|(name, value)| header_attribute(name, value.clone()))
        .collect();
    attributes.sort_by(|left, right| left.key.cmp(&right.key));
    // Quorum queues count the deliveries before this one, Spring counts this one too.
    let (attempt_header, counted) = match address {
        Address::Topic(_) => ("kafka_deliveryAttempt", delivery.attempt),
        Address::Exchange { .. } => {
            attributes.push(KeyValue::new("messaging.rabbitmq.message.delivery_tag", delivery.tag as i64));
            ("x-delivery-count", delivery.attempt - 1)
        }
    };
    if delivery.attempt > 1 {
        attributes.push(header_attribute(attempt_header, counted.to_string()));
    }
    attributes
}

fn header_attribute(name: &str, value: String) -> KeyValue {
    let values = vec![StringValue::from(value)];
    KeyValue::new(format!("messaging.header.{name}"), Value::Array(Array::String(values)))
}

fn order_attributes(body: &Body) -> Vec<KeyValue> {
    let Some(order) = body.order() else { return Vec::new() };
    vec![KeyValue::new("order.id", order.id.clone()), KeyValue::new("user.id", order.user_id.clone())]
}
