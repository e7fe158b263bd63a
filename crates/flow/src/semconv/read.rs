//! From fields to the view: what the keys of a span say, read in the light of its kind, its name and its library.
//!
//! One function a question, in the order of [`Messaging`]'s fields. Deliberately absent: keys (`fields`), words (`operation`).

use model::{LinkRef, SpanKind, SpanRef, StatusCode};

use super::fields::{Field, Fields};
use super::library::{Habit, Library};
use super::operation::{self, Role, Settlement};
use super::word::{self, Word};
use super::{DeadLetter, LinkedMessage, MessageFacts, Messaging, RawDestination, SentAt, SentAtSource};

const NS_PER_MS: u64 = 1_000_000;
/// What tells that a message died.
const DEATH: [Field; 3] = [Field::Death, Field::DeathQueue, Field::DeathReason];

/// What a span says about messages; nothing if it is not about messages.
pub(super) fn span(span: SpanRef<'_>) -> Option<Messaging<'_>> {
    let batch = span.batch;
    let range = batch.attribute_ranges.get(span.index);
    let fields = Fields::gather(&batch.text, &batch.attributes, range);
    let by_kind = matches!(span.kind(), SpanKind::PRODUCER | SpanKind::CONSUMER);
    if !(by_kind || fields.any) {
        return None;
    }
    about(span, &fields, by_kind)
}

/// The same for a span that may be about messages: the slow part, kept out of the way of all others.
#[inline(never)]
fn about<'a>(span: SpanRef<'a>, fields: &Fields<'a>, by_kind: bool) -> Option<Messaging<'a>> {
    let aws_system = aws_system(fields);
    if !(by_kind || fields.about_messages || !aws_system.is_empty()) {
        return None;
    }
    let library = Library::of_scope(span.batch.text.str(span.scope().name));
    let word = said_operation(fields);
    let role = role(span, fields, library, word, aws_system)?;
    let system = system(fields, library, aws_system);
    let links = span.batch.link_ranges.get(span.index).len();
    let destination = destination(span, fields, library, role, system);
    Some(Messaging {
        role,
        system,
        destination,
        group: fields.text(Field::Group),
        batch_size: batch_size(fields, role, links),
        settlement: settlement(span, fields, role, word),
        message: in_role(message(fields, library), fields, library, role),
        library,
    })
}

/// What one link of a span says of its message.
pub(super) fn link<'a>(link: LinkRef<'a>, library: &'static Library) -> LinkedMessage<'a> {
    let batch = link.batch;
    let range = batch.links.attribute_ranges.get(link.index);
    let fields = Fields::gather(&batch.text, &batch.links.attributes, range);
    LinkedMessage {
        trace_id: link.trace_id(),
        span_id: link.span_id(),
        destination: written_destination(&fields),
        message: message(&fields, library),
    }
}

/// The operation as the span says it; the name tells more than the type, but some names are a library's own.
fn said_operation<'a>(fields: &Fields<'a>) -> &'a str {
    let operation = fields.text(Field::Operation);
    if !operation.is_empty() {
        return operation;
    }
    let name = fields.text(Field::OperationName);
    if name.is_empty() { fields.text(Field::TaskAction) } else { name }
}

fn role(span: SpanRef<'_>, fields: &Fields<'_>, library: &Library, word: &str, aws_system: &str) -> Option<Role> {
    let kind = kind(span, fields);
    let is_handler = library.has(Habit::ReceiveIsProcess) && kind == SpanKind::CONSUMER;
    let meant = |role| if role == Role::Receive && is_handler { Role::Process } else { role };
    if let Some(role) = operation::role_of_word(word) {
        return Some(meant(role));
    }
    if !aws_system.is_empty() {
        return operation::role_of_aws_call(aws_operation(fields));
    }
    let by_name = || operation::role_of_span_name(span.name());
    match kind {
        SpanKind::PRODUCER => Some(by_name().filter(|&role| role == Role::Create).unwrap_or(Role::Send)),
        SpanKind::CONSUMER => Some(meant(by_name().filter(|&role| role >= Role::Receive).unwrap_or(Role::Process))),
        SpanKind::CLIENT if fields.has(Field::System) => by_name(),
        _ => None,
    }
}

/// The kind, also where a bridge left it in OpenTracing's tag.
fn kind(span: SpanRef<'_>, fields: &Fields<'_>) -> SpanKind {
    match (span.kind(), fields.text(Field::SpanKindTag)) {
        (SpanKind::UNSPECIFIED | SpanKind::INTERNAL, "producer") => SpanKind::PRODUCER,
        (SpanKind::UNSPECIFIED | SpanKind::INTERNAL, "consumer") => SpanKind::CONSUMER,
        (kind, _) => kind,
    }
}

fn aws_operation<'a>(fields: &Fields<'a>) -> &'a str {
    let operation = fields.text(Field::AwsOperation);
    let method = if operation.is_empty() { fields.text(Field::RpcMethod) } else { operation };
    // The conventions since 1.39 write the method with its service.
    method.rsplit(['/', '.']).next().unwrap_or(method)
}

/// The messaging system that an API call of AWS goes to; empty if it is none, or no such call.
fn aws_system<'a>(fields: &Fields<'a>) -> &'a str {
    let called = fields.has(Field::RpcMethod) || fields.has(Field::AwsOperation);
    if !called || !matches!(fields.text(Field::RpcSystem), "" | "aws-api") {
        return "";
    }
    let by_service = operation::system_of_aws_service(fields.text(Field::RpcService));
    if by_service.is_empty() && fields.key(Field::Url).starts_with("aws.") { "aws_sqs" } else { by_service }
}

/// The system as said, or as an API call, a product's key, the library, OpenTracing's component or Zipkin's remote endpoint tell.
fn system<'a>(fields: &Fields<'a>, library: &Library, aws_system: &'a str) -> &'a str {
    let said = operation::canonical_system(fields.text(Field::System));
    if !said.is_empty() {
        return said;
    }
    let keys = [Field::Destination, Field::Exchange, Field::RoutingKey, Field::Queue, Field::Offset];
    let by_key = || keys.iter().map(|&field| operation::system_of_key(fields.key(field)));
    let by_name = || {
        let names = [Field::Component, Field::PeerService].into_iter();
        names.map(|field| operation::system_of_component(fields.text(field)))
    };
    let guesses = [aws_system, library.system].into_iter().chain(by_key());
    guesses.chain(by_name()).find(|guess| !guess.is_empty()).unwrap_or_default()
}

/// The destination as written, without what follows from library and name.
fn written_destination<'a>(fields: &Fields<'a>) -> RawDestination<'a> {
    let exchange = fields.has(Field::Exchange).then(|| fields.text(Field::Exchange));
    let key = fields.key(Field::Destination);
    let kind = match key {
        "jms.queue" => "queue",
        "jms.topic" | "kafka.topic" => "topic",
        _ => fields.text(Field::Kind),
    };
    RawDestination {
        name: fields.text(Field::Destination),
        template: fields.text(Field::Template),
        kind,
        partition: fields.word(Field::Partition),
        exchange,
        routing_key: fields.text(Field::RoutingKey),
        published_to: fields.text(Field::PublishedTo),
        queue: fields.text(Field::Queue),
        subscription: fields.text(Field::Subscription),
        url: fields.text(Field::Url),
        topic_arn: fields.text(Field::TopicArn),
        temporary: fields.flag(Field::Temporary).unwrap_or(false),
        anonymous: fields.flag(Field::Anonymous).unwrap_or(false),
    }
}

fn destination<'a>(
    span: SpanRef<'a>,
    fields: &Fields<'a>,
    library: &Library,
    role: Role,
    system: &str,
) -> RawDestination<'a> {
    let mut destination = written_destination(fields);
    destination.temporary &= !library.has(Habit::IgnoreTemporary);
    if library.has(Habit::CommaPair)
        && let Some((exchange, routing_key)) = destination.name.split_once(',')
    {
        (destination.name, destination.exchange, destination.routing_key) = (exchange, Some(exchange), routing_key);
    }
    if destination.partition.is_empty() && library.has(Habit::IdIsOffset) {
        destination.partition = place_in_log(fields).map_or(Word::default(), |(partition, _)| Word::Text(partition));
    }
    read_source(&mut destination, fields.text(Field::Source), system);
    let consumes = role >= Role::Receive;
    if consumes && library.has(Habit::QueueInName) && destination.queue.is_empty() {
        destination.queue = operation::queue_of_span_name(span.name());
    }
    // A bus address is a URL, and what a URL names is found where destinations are; brokers' addresses name nothing.
    if !matches!(system, "aws_sqs" | "servicebus") && fields.key(Field::Url) == "messaging.url" {
        destination.url = "";
    }
    let unnamed =
        destination.name.is_empty() && !fields.has(Field::Destination) && destination == nameless(destination);
    if unnamed {
        destination.name = operation::span_name_without_role(span.name());
    }
    destination
}

/// The same destination without any name, to see whether it has one.
fn nameless(destination: RawDestination<'_>) -> RawDestination<'_> {
    let RawDestination { kind, partition, temporary, anonymous, .. } = destination;
    RawDestination { kind, partition, temporary, anonymous, ..RawDestination::default() }
}

/// The conventions up to 1.20 gave consumers a source beside the destination: in RabbitMQ queue and exchange, else the same thing.
fn read_source<'a>(destination: &mut RawDestination<'a>, source: &'a str, system: &str) {
    if source.is_empty() {
    } else if system == "rabbitmq" {
        destination.queue = source;
    } else if destination.name.is_empty() {
        destination.name = source;
    } else if destination.name != source {
        destination.subscription = source;
    }
}

/// Partition and offset from an id of the form `topic.partition.offset`.
fn place_in_log<'a>(fields: &Fields<'a>) -> Option<(&'a str, i64)> {
    let mut parts = fields.text(Field::MessageId).rsplitn(3, '.');
    let (offset, partition) = (parts.next()?.parse().ok()?, parts.next()?);
    parts.next().map(|_topic| (partition, offset))
}

/// Which messages were said to be in a batch; on a span with several links these count them.
fn batch_size(fields: &Fields<'_>, role: Role, links: usize) -> Option<u32> {
    let said = fields.number(Field::BatchSize).and_then(|size| u32::try_from(size).ok());
    said.or((role >= Role::Receive && links > 1).then_some(links as u32))
}

/// What became of the messages: a span that settles says so by its operation, one that works by how it ended.
fn settlement(span: SpanRef<'_>, fields: &Fields<'_>, role: Role, word: &str) -> Option<Settlement> {
    let disposition = || operation::settlement_of_word(fields.text(Field::Disposition));
    match role {
        Role::Settle => {
            let words = [fields.text(Field::OperationName), word, aws_operation(fields), span.name()];
            disposition().or_else(|| words.into_iter().find_map(operation::settlement_of_word))
        }
        Role::Receive | Role::Process => disposition().or_else(|| work_ended(span, fields, role)),
        Role::Create | Role::Send => None,
    }
}

fn work_ended(span: SpanRef<'_>, fields: &Fields<'_>, role: Role) -> Option<Settlement> {
    match fields.text(Field::TaskState) {
        "SUCCESS" => Some(Settlement::Acknowledged),
        "RETRY" => Some(Settlement::Returned),
        "FAILURE" => Some(Settlement::Rejected),
        _ => (role == Role::Process && span.status() == StatusCode::ERROR).then(|| settled_in_error(span)),
    }
}

/// amqplib ends a consumer span with what was done to the message as the status' text; others only say that it failed.
fn settled_in_error(span: SpanRef<'_>) -> Settlement {
    let message = span.status_message();
    if message.starts_with("nack") || message.starts_with("reject") {
        let kept = message.contains("with requeue");
        return if kept { Settlement::Returned } else { Settlement::Rejected };
    }
    Settlement::Failed
}

/// What was said of one message.
fn message<'a>(fields: &Fields<'a>, library: &Library) -> MessageFacts<'a> {
    let in_log = if library.has(Habit::IdIsOffset) { place_in_log(fields) } else { None };
    MessageFacts {
        id: if in_log.is_some() { Word::default() } else { fields.word(Field::MessageId) },
        conversation_id: if library.has(Habit::IgnoreConversation) {
            Word::default()
        } else {
            fields.word(Field::Conversation)
        },
        offset: fields.number(Field::Offset).or(in_log.map(|(_, offset)| offset)),
        key: fields.word(Field::Key),
        attempt: attempt(fields),
        redelivered: redelivered(fields),
        sent_at: sent_at(fields),
        queue_wait_ns: queue_wait_ns(fields),
        dead_letter: dead_letter(fields),
    }
}

/// What follows from the role: a task that runs without a count of retries runs for the first time.
fn in_role<'a>(message: MessageFacts<'a>, fields: &Fields<'a>, library: &Library, role: Role) -> MessageFacts<'a> {
    let first = role == Role::Process && fields.has(Field::TaskName) && library.name == "celery";
    MessageFacts { attempt: message.attempt.or(first.then_some(1)), ..message }
}

fn attempt(fields: &Fields<'_>) -> Option<u32> {
    let counted = |field| fields.number(field).and_then(|count| u32::try_from(count).ok());
    counted(Field::Attempt).filter(|&attempt| attempt > 0).or_else(|| counted(Field::Retries)?.checked_add(1))
}

fn redelivered(fields: &Fields<'_>) -> Option<bool> {
    let by_info = || match word::printed_field(fields.text(Field::DeliveryInfo), "redelivered") {
        "True" | "true" => Some(true),
        "False" | "false" => Some(false),
        _ => None,
    };
    fields.flag(Field::Redelivered).or_else(by_info)
}

fn sent_at(fields: &Fields<'_>) -> Option<SentAt> {
    let instant = |field, source| {
        let unix_nano = word::unix_nano(fields.number(field)?)?;
        Some(SentAt { unix_nano, source })
    };
    instant(Field::SentAtBroker, SentAtSource::Broker).or_else(|| instant(Field::SentAtHeader, SentAtSource::Header))
}

fn queue_wait_ns(fields: &Fields<'_>) -> Option<u64> {
    u64::try_from(fields.number(Field::QueueTimeMs)?).ok()?.checked_mul(NS_PER_MS)
}

fn dead_letter<'a>(fields: &Fields<'a>) -> Option<DeadLetter<'a>> {
    if !DEATH.into_iter().any(|field| fields.has(field)) {
        return None;
    }
    let death = fields.text(Field::Death);
    let in_death = |key| word::printed_field(death, key);
    let or_death = |field, key| match fields.text(field) {
        "" => in_death(key),
        said => said,
    };
    let destination = or_death(Field::DeathQueue, "queue");
    let reason = or_death(Field::DeathReason, "reason");
    let count = in_death("count").parse().ok();
    let (partition, offset) = (fields.number(Field::DeathPartition), fields.number(Field::DeathOffset));
    let known = !(destination.is_empty() && reason.is_empty());
    known.then_some(DeadLetter { destination, reason, count, partition, offset })
}
