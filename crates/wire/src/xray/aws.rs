//! What a call of an AWS service is: a message sent, a database asked, a function called. From a subsegment's name and its `aws`.

use model::SpanKind;
use serde_json::Value as Json;

use super::said::Said;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Send,
    Receive,
    Settle,
    Other,
}

/// Services about messages, by their names in SDKs of several languages, with the name of the system.
const MESSAGING: [(&str, &str); 12] = [
    ("sqs", "aws_sqs"),
    ("amazonsqs", "aws_sqs"),
    ("simplequeueservice", "aws_sqs"),
    ("sns", "aws.sns"),
    ("amazonsns", "aws.sns"),
    ("simplenotificationservice", "aws.sns"),
    ("kinesis", "aws.kinesis"),
    ("amazonkinesis", "aws.kinesis"),
    ("firehose", "aws.firehose"),
    ("events", "aws.eventbridge"),
    ("eventbridge", "aws.eventbridge"),
    ("amazoneventbridge", "aws.eventbridge"),
];

/// Fields of `aws` that are said under other names.
const PLACED: [(&str, &str); 7] = [
    ("account_id", "cloud.account.id"),
    ("region", "cloud.region"),
    ("request_id", "aws.request_id"),
    ("queue_url", "aws.sqs.queue.url"),
    ("topic_arn", "aws.sns.topic.arn"),
    ("stream_name", "aws.kinesis.stream_name"),
    ("table_names", "aws.dynamodb.table_names"),
];

fn call(operation: &str) -> Call {
    match operation {
        "SendMessage" | "SendMessageBatch" | "Publish" | "PublishBatch" | "PutRecord" | "PutRecords"
        | "PutRecordBatch" | "PutEvents" => Call::Send,
        "ReceiveMessage" | "GetRecords" => Call::Receive,
        "DeleteMessage" | "DeleteMessageBatch" | "ChangeMessageVisibility" => Call::Settle,
        _ => Call::Other,
    }
}

/// SDKs write operations in their own language's case: `SendMessage`, `sendMessage`, `send_message`.
fn operation_name(text: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    text.split('_').map(capital).collect()
}

fn messaging_system(service: &str) -> Option<&'static str> {
    let plain: String = service.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    MESSAGING.iter().find(|(name, _)| *name == plain).map(|&(_, system)| system)
}

/// The kind of a subsegment's span.
pub(super) fn kind(name: &str, subsegment: &Json) -> i32 {
    match subsegment["namespace"].as_str() {
        Some("aws") => {
            let operation = operation_name(subsegment["aws"]["operation"].as_str().unwrap_or_default());
            let sends = messaging_system(name).is_some() && call(&operation) == Call::Send;
            if sends { SpanKind::PRODUCER.0 } else { SpanKind::CLIENT.0 }
        }
        Some("remote") => SpanKind::CLIENT.0,
        _ if subsegment["sql"].is_object() => SpanKind::CLIENT.0,
        _ => SpanKind::INTERNAL.0,
    }
}

/// Says what a subsegment's `aws` tells of its call.
pub(super) fn attributes(said: &mut Said<'_, '_>, name: &str, subsegment: &Json) {
    let Json::Object(fields) = &subsegment["aws"] else { return };
    for (field, value) in fields {
        let placed = PLACED.iter().find(|(known, _)| known == field).map(|&(_, key)| key);
        match placed {
            Some(key) => said.value(key, value),
            None if field == "operation" => {}
            None => said.value(&format!("aws.{field}"), value),
        }
    }
    let operation = operation_name(subsegment["aws"]["operation"].as_str().unwrap_or_default());
    if operation.is_empty() {
        return;
    }
    said.text("rpc.system", "aws-api");
    said.text("rpc.service", name);
    said.text("rpc.method", &operation);
    if let Some(system) = messaging_system(name) {
        messaging(said, system, &operation, &subsegment["aws"]);
        return;
    }
    let plain = name.to_ascii_lowercase();
    if plain.ends_with("dynamodb") {
        said.text("db.system.name", "aws.dynamodb");
        said.text("db.operation.name", &operation);
        said.field("db.collection.name", &subsegment["aws"], "table_name");
    } else if plain.ends_with("lambda") {
        said.field("faas.invoked_name", &subsegment["aws"], "function_name");
        said.text("faas.invoked_provider", "aws");
    }
}

fn messaging(said: &mut Said<'_, '_>, system: &str, operation: &str, aws: &Json) {
    let kind = match call(operation) {
        Call::Send => "send",
        Call::Receive => "receive",
        Call::Settle => "settle",
        // About queues, not about messages.
        Call::Other => return,
    };
    said.text("messaging.system", system);
    said.text("messaging.operation.type", kind);
    said.text("messaging.operation.name", operation);
    let last = |field: &str, mark: char| aws[field].as_str().and_then(|text| text.rsplit(mark).next());
    let destination = last("queue_url", '/').or_else(|| last("topic_arn", ':')).or_else(|| aws["stream_name"].as_str());
    let named = destination.or_else(|| aws["queue_name"].as_str()).or_else(|| aws["event_bus_name"].as_str());
    said.text("messaging.destination.name", named.unwrap_or_default());
    said.field("messaging.message.id", aws, "message_id");
    said.field("messaging.batch.message_count", aws, "message_count");
}
