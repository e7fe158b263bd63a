//! Which attribute key says what: one row for every key that anyone is known to write about messages.
//!
//! The rows of one [`Field`] are ordered: when a span has several of its keys (the conventions' `dup` mode, a bridge that adds
//! its own), the earlier row wins. A key is found by the hash its batch has already, so a span's attributes are passed over
//! at the price of one probe each. First step of `semconv`; it knows keys, not values and not libraries.

use std::ops::Range;
use std::sync::LazyLock;

use model::text::hash_text;
use model::{Attributes, TextId, TextTable, ValueRef};

use super::word::{Word, first_text};

/// Something a span, or a link, can say about messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    System,
    Operation,
    OperationName,
    Destination,
    Source,
    PublishedTo,
    Template,
    Kind,
    Temporary,
    Anonymous,
    Partition,
    Subscription,
    Exchange,
    RoutingKey,
    Queue,
    Url,
    TopicArn,
    Group,
    MessageId,
    Conversation,
    Offset,
    Key,
    BatchSize,
    Attempt,
    Retries,
    Redelivered,
    QueueTimeMs,
    SentAtBroker,
    SentAtHeader,
    Disposition,
    Death,
    DeathQueue,
    DeathReason,
    DeathOffset,
    DeathPartition,
    TaskAction,
    TaskName,
    TaskState,
    DeliveryInfo,
    // From here on: said by spans about other things too, so they make no span a messaging span.
    SpanKindTag,
    Component,
    PeerService,
    RpcSystem,
    RpcService,
    RpcMethod,
    AwsOperation,
}

/// How many fields there are.
const FIELDS: usize = Field::AwsOperation as usize + 1;
/// Fields before this one are about messages and nothing else.
const FIRST_COMMON: u8 = Field::SpanKindTag as u8;

/// Every key, with the newest name of a field before older ones, and the conventions' names before those of products.
#[rustfmt::skip]
const KEYS: &[(&str, Field)] = &[
    ("messaging.system", Field::System),
    ("messaging.operation.type", Field::Operation),
    ("messaging.operation", Field::Operation),
    ("messaging.operation.name", Field::OperationName),
    ("messaging.rabbitmq.command", Field::OperationName),
    ("messaging.destination.name", Field::Destination),
    ("messaging.destination", Field::Destination),
    ("message_bus.destination", Field::Destination),
    ("message.queue.name", Field::Destination),
    ("kafka.topic", Field::Destination),
    ("jms.queue", Field::Destination),
    ("jms.topic", Field::Destination),
    ("bullmq.queue.name", Field::Destination),
    ("messaging.source.name", Field::Source),
    ("messaging.source", Field::Source),
    ("messaging.destination_publish.name", Field::PublishedTo),
    ("messaging.destination.template", Field::Template),
    ("messaging.source.template", Field::Template),
    ("messaging.destination.kind", Field::Kind),
    ("messaging.destination_kind", Field::Kind),
    ("messaging.source.kind", Field::Kind),
    ("messaging.destination.temporary", Field::Temporary),
    ("messaging.temp_destination", Field::Temporary),
    ("messaging.source.temporary", Field::Temporary),
    ("messaging.destination.anonymous", Field::Anonymous),
    ("messaging.source.anonymous", Field::Anonymous),
    ("messaging.destination.partition.id", Field::Partition),
    ("messaging.kafka.destination.partition", Field::Partition),
    ("messaging.kafka.source.partition", Field::Partition),
    ("messaging.kafka.partition", Field::Partition),
    ("messaging.eventhubs.partition.id", Field::Partition),
    ("kafka.partition", Field::Partition),
    ("messaging.destination.subscription.name", Field::Subscription),
    ("messaging.servicebus.destination.subscription_name", Field::Subscription),
    ("messaging.gcp_pubsub.subscription.name", Field::Subscription),
    ("rabbit.exchange", Field::Exchange),
    ("messaging.rabbitmq.exchange", Field::Exchange),
    ("messaging.rabbitmq.destination.routing_key", Field::RoutingKey),
    ("messaging.rabbitmq.routing_key", Field::RoutingKey),
    ("rabbit.routing_key", Field::RoutingKey),
    ("rabbitmq.queue", Field::Queue),
    ("rabbit.queue", Field::Queue),
    ("messaging.rabbitmq.queue", Field::Queue),
    ("messaging.rabbitmq.queue.name", Field::Queue),
    ("aws.sqs.queue.url", Field::Url),
    ("aws.queue.url", Field::Url),
    ("aws.queue_url", Field::Url),
    ("messaging.url", Field::Url),
    ("aws.sns.topic.arn", Field::TopicArn),
    ("messaging.sns.topic.arn", Field::TopicArn),
    ("aws.topic_arn", Field::TopicArn),
    ("messaging.consumer.group.name", Field::Group),
    ("messaging.kafka.consumer.group", Field::Group),
    ("messaging.kafka.consumer_group", Field::Group),
    ("messaging.consumer_group", Field::Group),
    ("messaging.eventhubs.consumer.group", Field::Group),
    ("messaging.rocketmq.client_group", Field::Group),
    ("kafka.group", Field::Group),
    ("messaging.message.id", Field::MessageId),
    ("messaging.message_id", Field::MessageId),
    ("messaging.id", Field::MessageId),
    ("messaging.masstransit.message_id", Field::MessageId),
    ("nservicebus.message_id", Field::MessageId),
    ("bullmq.job.id", Field::MessageId),
    ("cloudevents.event_id", Field::MessageId),
    ("messaging.message.conversation_id", Field::Conversation),
    ("messaging.conversation_id", Field::Conversation),
    ("messaging.correlation_id", Field::Conversation),
    ("messaging.masstransit.conversation_id", Field::Conversation),
    ("nservicebus.conversation_id", Field::Conversation),
    ("messaging.kafka.offset", Field::Offset),
    ("messaging.kafka.message.offset", Field::Offset),
    ("kafka.offset", Field::Offset),
    ("messaging.kafka.message.key", Field::Key),
    ("messaging.kafka.message_key", Field::Key),
    ("kafka.key", Field::Key),
    ("messaging.batch.message_count", Field::BatchSize),
    ("messaging.batch_size", Field::BatchSize),
    ("messaging.servicebus.message.delivery_count", Field::Attempt),
    ("messaging.gcp_pubsub.message.delivery_attempt", Field::Attempt),
    ("messaging.header.kafka_deliveryAttempt", Field::Attempt),
    ("messaging.header.ApproximateReceiveCount", Field::Attempt),
    ("messaging.aws_sqs.message.approximate_receive_count", Field::Attempt),
    ("messaging.sqs.approximate_receive_count", Field::Attempt),
    ("ApproximateReceiveCount", Field::Attempt),
    ("messaging.message.retry.count", Field::Retries),
    ("messaging.header.x_delivery_count", Field::Retries),
    ("messaging.header.x-delivery-count", Field::Retries),
    ("messaging.rabbitmq.message.delivery_count", Field::Retries),
    ("celery.retries", Field::Retries),
    ("bullmq.job.attempts.made", Field::Retries),
    ("messaging.message.redelivered", Field::Redelivered),
    ("messaging.rabbitmq.message.redelivered", Field::Redelivered),
    ("messaging.rabbitmq.redelivered", Field::Redelivered),
    ("rabbitmq.redelivered", Field::Redelivered),
    ("jms.redelivered", Field::Redelivered),
    ("kafka.record.queue_time_ms", Field::QueueTimeMs),
    // Not `rabbitmq.record.queue_time_ms`: it is made from AMQP's timestamp in whole seconds and wrong by up to one.
    ("messaging.message.receive.latency", Field::QueueTimeMs),
    ("message.age.ms", Field::QueueTimeMs),
    ("messaging.servicebus.message.enqueued_time", Field::SentAtBroker),
    ("messaging.eventhubs.message.enqueued_time", Field::SentAtBroker),
    ("messaging.kafka.message.timestamp", Field::SentAtBroker),
    ("messaging.header.SentTimestamp", Field::SentAtBroker),
    ("messaging.sqs.sent_timestamp", Field::SentAtBroker),
    ("SentTimestamp", Field::SentAtBroker),
    ("messaging.header.timestamp", Field::SentAtHeader),
    ("messaging.header.timestamp_in_ms", Field::SentAtHeader),
    ("messaging.message.timestamp", Field::SentAtHeader),
    ("messaging.rabbitmq.message.timestamp", Field::SentAtHeader),
    ("messaging.servicebus.disposition_status", Field::Disposition),
    ("messaging.header.x_death", Field::Death),
    ("messaging.header.x-death", Field::Death),
    ("messaging.header.x_first_death_queue", Field::DeathQueue),
    ("messaging.header.x-first-death-queue", Field::DeathQueue),
    ("messaging.header.kafka_dlt_original_topic", Field::DeathQueue),
    ("messaging.header.kafka_dlt-original-topic", Field::DeathQueue),
    ("messaging.header.__connect.errors.topic", Field::DeathQueue),
    ("messaging.header.DeadLetterQueueSourceArn", Field::DeathQueue),
    ("DeadLetterQueueSourceArn", Field::DeathQueue),
    ("messaging.header.x_first_death_reason", Field::DeathReason),
    ("messaging.header.x-first-death-reason", Field::DeathReason),
    ("messaging.header.kafka_dlt_exception_fqcn", Field::DeathReason),
    ("messaging.header.kafka_dlt-exception-fqcn", Field::DeathReason),
    ("messaging.header.__connect.errors.exception.class.name", Field::DeathReason),
    ("messaging.header.DeadLetterReason", Field::DeathReason),
    ("messaging.header.kafka_dlt_original_offset", Field::DeathOffset),
    ("messaging.header.kafka_dlt-original-offset", Field::DeathOffset),
    ("messaging.header.kafka_dlt_original_partition", Field::DeathPartition),
    ("messaging.header.kafka_dlt-original-partition", Field::DeathPartition),
    ("celery.action", Field::TaskAction),
    ("celery.task_name", Field::TaskName),
    ("celery.state", Field::TaskState),
    ("celery.delivery_info", Field::DeliveryInfo),
    ("span.kind", Field::SpanKindTag),
    ("component", Field::Component),
    ("peer.service", Field::PeerService),
    ("rpc.system.name", Field::RpcSystem),
    ("rpc.system", Field::RpcSystem),
    ("rpc.service", Field::RpcService),
    ("aws.service", Field::RpcService),
    ("rpc.method", Field::RpcMethod),
    ("aws.operation", Field::AwsOperation),
];

/// The keys of a field, the newest first.
pub(super) fn keys(field: Field) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |(_, of)| *of == field).map(|(key, _)| *key)
}

/// Four slots a key keep chains short.
const SLOTS: usize = 1024;

/// The keys by hash: open addressing, rank 0 is an empty slot.
struct KeyTable {
    slots: [(u64, u16); SLOTS],
}

static KEY_TABLE: LazyLock<KeyTable> = LazyLock::new(|| {
    let mut slots = [(0, 0); SLOTS];
    for (index, (key, _)) in KEYS.iter().enumerate() {
        let hash = hash_text(key.as_bytes());
        let mut slot = hash as usize % SLOTS;
        while slots[slot].1 != 0 {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = (hash, index as u16 + 1);
    }
    KeyTable { slots }
});

impl KeyTable {
    /// The row of a key with this hash; the text is only looked at when the hash is right.
    #[inline]
    fn row(&self, hash: u64, text: &TextTable, key: TextId) -> Option<usize> {
        let mut slot = hash as usize % SLOTS;
        loop {
            let (found, number) = self.slots[slot];
            if number == 0 {
                return None;
            }
            let row = number as usize - 1;
            if found == hash {
                return (KEYS[row].0.as_bytes() == text.bytes(key)).then_some(row);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// What one span, or one link, says: for each field the row of the best key and the place of its value.
pub(super) struct Fields<'a> {
    text: &'a TextTable,
    pool: &'a Attributes,
    /// `row << 48 | place`, so that the smallest number is the best key; absent fields have the largest.
    found: [u64; FIELDS],
    /// Whether any field is about messages and nothing else.
    pub(super) about_messages: bool,
    /// Whether there is any field at all.
    pub(super) any: bool,
}

const ABSENT: u64 = u64::MAX;
const PLACE_BITS: u32 = 48;

impl<'a> Fields<'a> {
    /// Looks at the attributes of one owner.
    pub(super) fn gather(text: &'a TextTable, pool: &'a Attributes, range: Range<usize>) -> Fields<'a> {
        let table = &*KEY_TABLE;
        let mut fields = Fields { text, pool, found: [ABSENT; FIELDS], about_messages: false, any: false };
        for place in range {
            let key = pool.keys[place];
            let Some(row) = table.row(text.hash(key), text, key) else { continue };
            let field = KEYS[row].1 as u8;
            fields.any = true;
            fields.about_messages |= field < FIRST_COMMON;
            let found = &mut fields.found[usize::from(field)];
            *found = (*found).min((row as u64) << PLACE_BITS | place as u64);
        }
        fields
    }

    fn value(&self, field: Field) -> Option<ValueRef<'a>> {
        let found = self.found[field as usize];
        let place = (found & ((1 << PLACE_BITS) - 1)) as usize;
        (found != ABSENT).then(|| self.pool.values[place].resolve(self.text))
    }

    /// The key that a field was read from, empty if it is absent.
    pub(super) fn key(&self, field: Field) -> &'static str {
        let found = self.found[field as usize];
        if found == ABSENT { "" } else { KEYS[(found >> PLACE_BITS) as usize].0 }
    }

    /// Whether a field is there, whatever its value.
    pub(super) fn has(&self, field: Field) -> bool {
        self.found[field as usize] != ABSENT
    }

    /// A field as text; empty if it is absent or not a text.
    pub(super) fn text(&self, field: Field) -> &'a str {
        self.value(field).map_or("", first_text)
    }

    /// A field as text or whole number.
    pub(super) fn word(&self, field: Field) -> Word<'a> {
        match self.value(field) {
            Some(ValueRef::Int(number)) => Word::Number(number),
            Some(other) => Word::Text(first_text(other)),
            None => Word::default(),
        }
    }

    /// A field as a whole number, also where it is written as text.
    pub(super) fn number(&self, field: Field) -> Option<i64> {
        match self.value(field)? {
            ValueRef::Int(number) => Some(number),
            ValueRef::Double(number) => Some(number as i64),
            other => first_text(other).trim().parse().ok(),
        }
    }

    /// A field as yes or no, also where it is written as text.
    pub(super) fn flag(&self, field: Field) -> Option<bool> {
        match self.value(field)? {
            ValueRef::Bool(flag) => Some(flag),
            other => match first_text(other) {
                "true" | "True" => Some(true),
                "false" | "False" => Some(false),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_key_is_found_again() {
        // Guarantees that each key leads to its own row, that no key has two rows, and that rows of a field lie together.
        let mut batch = TextTable::default();
        let mut seen = HashSet::new();
        for (row, (key, _)) in KEYS.iter().enumerate() {
            assert!(seen.insert(*key), "{key} has two rows");
            let id = batch.intern(key.as_bytes());
            assert_eq!(KEY_TABLE.row(batch.hash(id), &batch, id), Some(row));
        }
        let other = batch.intern(b"http.request.method");
        assert_eq!(KEY_TABLE.row(batch.hash(other), &batch, other), None);
        let mut ended = HashSet::new();
        for pair in KEYS.windows(2).filter(|pair| pair[0].1 != pair[1].1) {
            assert!(ended.insert(pair[0].1 as u8), "{:?} is written in two places", pair[0].1);
        }
    }
}
