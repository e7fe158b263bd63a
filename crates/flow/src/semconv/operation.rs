//! What a span did with a message: from the conventions' operation, an API call's name, words in the span's name, its kind.
//!
//! Words are matched without regard to case. Deliberately absent: which attribute the words come from (`fields`).

/// The part a span plays for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Makes a message that another span sends.
    Create,
    /// Hands messages to a broker.
    Send,
    /// Takes messages from a broker.
    Receive,
    /// Works on messages.
    Process,
    /// Tells the broker what became of messages.
    Settle,
}

/// What became of a message at a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Settlement {
    /// Done.
    Acknowledged,
    /// Given back, or to be tried again.
    Returned,
    /// Refused for good: dropped or dead-lettered, as the broker is set up.
    Rejected,
    /// Put aside.
    Deferred,
    /// Moved to a dead-letter queue.
    DeadLettered,
    /// The handler failed; what the broker did then is not said.
    Failed,
}

/// Every word that says what is done. Words of one role lie together.
const WORDS: &[(&str, Role)] = &[
    ("create", Role::Create),
    ("publish", Role::Send),
    ("send", Role::Send),
    ("produce", Role::Send),
    ("enqueue", Role::Send),
    ("apply_async", Role::Send),
    ("basic.publish", Role::Send),
    ("receive", Role::Receive),
    ("recv", Role::Receive),
    ("poll", Role::Receive),
    ("fetch", Role::Receive),
    ("dequeue", Role::Receive),
    ("basic.get", Role::Receive),
    ("process", Role::Process),
    ("deliver", Role::Process),
    ("consume", Role::Process),
    ("handle", Role::Process),
    ("run", Role::Process),
    ("perform", Role::Process),
    ("basic.deliver", Role::Process),
    ("settle", Role::Settle),
];

/// Every word of settling, with what it settles.
const SETTLEMENTS: &[(&str, Settlement)] = &[
    ("ack", Settlement::Acknowledged),
    ("acknowledge", Settlement::Acknowledged),
    ("commit", Settlement::Acknowledged),
    ("complete", Settlement::Acknowledged),
    ("delete", Settlement::Acknowledged),
    ("DeleteMessage", Settlement::Acknowledged),
    ("DeleteMessageBatch", Settlement::Acknowledged),
    ("basic.ack", Settlement::Acknowledged),
    ("nack", Settlement::Returned),
    ("basic.nack", Settlement::Returned),
    ("modack", Settlement::Returned),
    ("abandon", Settlement::Returned),
    ("release", Settlement::Returned),
    ("ChangeMessageVisibility", Settlement::Returned),
    ("reject", Settlement::Rejected),
    ("basic.reject", Settlement::Rejected),
    ("defer", Settlement::Deferred),
    ("dead_letter", Settlement::DeadLettered),
    ("dead-letter", Settlement::DeadLettered),
    ("deadletter", Settlement::DeadLettered),
];

fn find<T: Copy>(rows: &[(&str, T)], word: &str) -> Option<T> {
    rows.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|&(_, what)| what)
}

/// The role that a word of an operation names.
pub(super) fn role_of_word(word: &str) -> Option<Role> {
    find(WORDS, word).or_else(|| settlement_of_word(word).map(|_| Role::Settle))
}

/// What a word of settling settles.
pub(super) fn settlement_of_word(word: &str) -> Option<Settlement> {
    find(SETTLEMENTS, word)
}

/// The role that the first or the last word of a span's name names: `publish orders`, `orders send`, `run/shop.charge`.
pub(super) fn role_of_span_name(name: &str) -> Option<Role> {
    let first = name.split([' ', '/']).next().unwrap_or_default();
    let last = name.rsplit(' ').next().unwrap_or_default();
    role_of_word(last).or_else(|| role_of_word(first))
}

/// A span's name without the word that says what is done; empty if nothing remains or there is no such word.
pub(super) fn span_name_without_role(name: &str) -> &str {
    if let Some((rest, last)) = name.rsplit_once(' ')
        && role_of_word(last).is_some()
    {
        return rest;
    }
    match name.split_once(' ') {
        Some((first, rest)) if role_of_word(first).is_some() => rest,
        _ => "",
    }
}

/// The queue of a consumer span that is named `{queue} process`; empty for other names.
pub(super) fn queue_of_span_name(name: &str) -> &str {
    name.strip_suffix(" process").unwrap_or_default()
}

/// What a call of an AWS service does with messages; nothing for calls about queues and topics themselves.
pub(super) fn role_of_aws_call(operation: &str) -> Option<Role> {
    match operation {
        "SendMessage" | "SendMessageBatch" | "Publish" | "PublishBatch" | "PutRecord" | "PutRecords" | "PutEvents" => {
            Some(Role::Send)
        }
        "ReceiveMessage" | "GetRecords" => Some(Role::Receive),
        "DeleteMessage" | "DeleteMessageBatch" | "ChangeMessageVisibility" => Some(Role::Settle),
        _ => None,
    }
}

/// The messaging system behind an AWS service, as the SDKs of several languages name the service.
pub(super) fn system_of_aws_service(service: &str) -> &'static str {
    match service {
        "SQS" | "AmazonSQS" | "Sqs" | "sqs" => "aws_sqs",
        "SNS" | "AmazonSNS" | "Sns" | "sns" => "aws.sns",
        "Kinesis" | "AmazonKinesis" | "kinesis" => "aws.kinesis",
        "EventBridge" | "CloudWatchEvents" | "AmazonEventBridge" | "events" => "aws.eventbridge",
        _ => "",
    }
}

/// Spellings of systems, and the one that is used for all of them.
const SYSTEMS: &[(&str, &str)] = &[
    ("kafka", "kafka"),
    ("rabbitmq", "rabbitmq"),
    ("aws_sqs", "aws_sqs"),
    ("aws.sqs", "aws_sqs"),
    ("AmazonSQS", "aws_sqs"),
    ("sqs", "aws_sqs"),
    ("aws.sns", "aws.sns"),
    ("aws_sns", "aws.sns"),
    ("AmazonSNS", "aws.sns"),
    ("sns", "aws.sns"),
    ("aws.kinesis", "aws.kinesis"),
    ("AmazonKinesis", "aws.kinesis"),
    ("kinesis", "aws.kinesis"),
    ("aws_kinesis", "aws.kinesis"),
    ("servicebus", "servicebus"),
    ("azure_servicebus", "servicebus"),
    ("eventhubs", "eventhubs"),
    ("azure_eventhubs", "eventhubs"),
    ("gcp_pubsub", "gcp_pubsub"),
    ("google_pubsub", "gcp_pubsub"),
    ("gcloud_pubsub", "gcp_pubsub"),
    ("pubsub", "gcp_pubsub"),
    ("activemq", "activemq"),
    ("jms", "jms"),
    ("rocketmq", "rocketmq"),
    ("pulsar", "pulsar"),
    ("nats", "nats"),
    ("java-kafka", "kafka"),
    ("java-rabbitmq", "rabbitmq"),
    ("java-jms", "jms"),
    ("java-aws-sqs", "aws_sqs"),
];

/// The one spelling of a system; one that is not known is left as it is.
pub(super) fn canonical_system(system: &str) -> &str {
    find(SYSTEMS, system).unwrap_or(system)
}

/// The system that OpenTracing's `component`, or the name of a remote service, names, if it names one.
pub(super) fn system_of_component(component: &str) -> &'static str {
    find(SYSTEMS, component).unwrap_or("")
}

/// The system that a key of one product tells.
pub(super) fn system_of_key(key: &str) -> &'static str {
    const PRODUCTS: [(&str, &str); 6] = [
        ("kafka.", "kafka"),
        ("rabbit", "rabbitmq"),
        ("jms.", "jms"),
        ("bullmq.", "bullmq"),
        ("messaging.kafka.", "kafka"),
        ("messaging.rabbitmq.", "rabbitmq"),
    ];
    PRODUCTS.iter().find(|(start, _)| key.starts_with(start)).map_or("", |&(_, system)| system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_tell_the_role() {
        // Guarantees the role of operations of every generation, and of names that begin or end with one.
        assert_eq!(role_of_word("publish"), Some(Role::Send));
        assert_eq!(role_of_word("PROCESS"), Some(Role::Process));
        assert_eq!(role_of_word("nack"), Some(Role::Settle));
        assert_eq!(role_of_word("queue.declare"), None);
        assert_eq!(role_of_span_name("publish <default>"), Some(Role::Send));
        assert_eq!(role_of_span_name("orders receive"), Some(Role::Receive));
        assert_eq!(role_of_span_name("run/shop.charge"), Some(Role::Process));
        assert_eq!(role_of_span_name("POST /order"), None);
        assert_eq!(span_name_without_role("js.payment process"), "js.payment");
        assert_eq!(span_name_without_role("poll js.bulk"), "js.bulk");
        assert_eq!(span_name_without_role("recv"), "");
    }

    #[test]
    fn systems_have_one_spelling() {
        // Guarantees that spellings of one system are one, and that an unknown system is not lost.
        assert_eq!([canonical_system("aws.sqs"), canonical_system("AmazonSQS")], ["aws_sqs"; 2]);
        assert_eq!(canonical_system("RabbitMQ"), "rabbitmq");
        assert_eq!(canonical_system("nsq"), "nsq");
    }
}
