//! Names out of the addresses they are written in: URLs, ARNs, resource paths, JMS and Pulsar names.
//!
//! Each function takes one form apart and leaves alone what is not of that form. Deliberately absent: RabbitMQ's exchanges (`amqp`).

use crate::semconv::Word;

/// A destination taken out of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Address<'a> {
    pub(super) name: &'a str,
    pub(super) subscription: &'a str,
    pub(super) group: &'a str,
    pub(super) partition: Word<'a>,
    pub(super) is_queue: bool,
    pub(super) is_topic: bool,
    pub(super) is_subscription: bool,
}

/// Takes a name of `system` apart.
pub(super) fn parse<'a>(system: &str, name: &'a str) -> Address<'a> {
    match system {
        "aws_sqs" => Address { name: last_of_url(resource_of_arn(name)), is_queue: true, ..Address::default() },
        "aws.sns" => Address { name: resource_of_arn(name), is_topic: true, ..Address::default() },
        "aws.kinesis" | "aws.eventbridge" => {
            let name = resource_of_arn(name);
            Address { name: name.split_once('/').map_or(name, |(_, rest)| rest), is_topic: true, ..Address::default() }
        }
        "kafka" => kafka(name),
        "pulsar" => pulsar(name),
        "gcp_pubsub" => gcp(name),
        "servicebus" | "eventhubs" => azure(name),
        "jms" | "activemq" => jms(name),
        _ => Address { name, ..Address::default() },
    }
}

/// `arn:aws:sns:eu-west-1:123456789012:orders` is `orders`, with a subscription's id behind it or not.
pub(super) fn resource_of_arn(name: &str) -> &str {
    if !name.starts_with("arn:") {
        return name;
    }
    name.split(':').nth(5).unwrap_or(name)
}

/// `https://sqs.eu-west-1.amazonaws.com/123456789012/payments` is `payments`.
pub(super) fn last_of_url(url: &str) -> &str {
    if !url.contains("://") {
        return url;
    }
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(url)
}

/// `orders[3]` is partition 3 of `orders`. A number behind a `-` may be part of the name, so it stays.
fn kafka(name: &str) -> Address<'_> {
    let topic = |name, partition| Address { name, partition, is_topic: true, ..Address::default() };
    let bracket = name.strip_suffix(']').and_then(|rest| rest.split_once('['));
    match bracket.filter(|(_, partition)| partition.parse::<u32>().is_ok()) {
        Some((name, partition)) => topic(name, Word::Text(partition)),
        None => topic(name, Word::default()),
    }
}

/// `persistent://public/default/orders-partition-3` is partition 3 of `orders`; other tenants keep their path.
fn pulsar(name: &str) -> Address<'_> {
    let path = name.split_once("://").map_or(name, |(_, path)| path);
    let path = path.strip_prefix("public/default/").unwrap_or(path);
    let part = path.rsplit_once("-partition-").filter(|(_, number)| number.parse::<u32>().is_ok());
    let (name, partition) = part.map_or((path, Word::default()), |(name, number)| (name, Word::Text(number)));
    Address { name, partition, is_topic: true, ..Address::default() }
}

/// `projects/p/topics/t` is topic `t`, `projects/p/subscriptions/s` is a subscription whose topic is not said.
fn gcp(name: &str) -> Address<'_> {
    let last = || name.rsplit('/').next().unwrap_or(name);
    if name.contains("/subscriptions/") {
        Address { name: last(), is_subscription: true, ..Address::default() }
    } else if name.contains("/topics/") {
        Address { name: last(), is_topic: true, ..Address::default() }
    } else {
        Address { name, ..Address::default() }
    }
}

/// `topic/Subscriptions/s` and `hub/ConsumerGroups/g/Partitions/0`, as paths or behind `sb://host/`.
fn azure(name: &str) -> Address<'_> {
    let path = name.split_once("://").map_or(name, |(_, rest)| rest.split_once('/').map_or(rest, |(_, path)| path));
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or(path);
    let mut address = Address { name: first, ..Address::default() };
    while let (Some(label), value) = (parts.next(), parts.next()) {
        match value {
            Some(value) if label.eq_ignore_ascii_case("subscriptions") => address.subscription = value,
            Some(value) if label.eq_ignore_ascii_case("consumergroups") => address.group = value,
            Some(value) if label.eq_ignore_ascii_case("partitions") => address.partition = Word::Text(value),
            // Another path is a name with slashes in it: `orders/$DeadLetterQueue` too is a queue of its own.
            _ => return Address { name: path, ..Address::default() },
        }
    }
    address.is_topic = !address.subscription.is_empty() || !address.group.is_empty();
    address
}

/// `queue://orders?prefetch=1`, `ActiveMQQueue[orders]`, and virtual topics, whose consumers read a queue of their own.
fn jms(name: &str) -> Address<'_> {
    let wrapped = |start: &str| name.strip_prefix(start).and_then(|rest| rest.strip_suffix(']'));
    let (bare, is_queue, is_topic) =
        if let Some(bare) = name.strip_prefix("queue://").or_else(|| wrapped("ActiveMQQueue[")) {
            (bare, true, false)
        } else if let Some(bare) = name.strip_prefix("topic://").or_else(|| wrapped("ActiveMQTopic[")) {
            (bare, false, true)
        } else {
            (name, false, false)
        };
    let bare = bare.split('?').next().unwrap_or(bare);
    if let Some(place) = bare.find(".VirtualTopic.").filter(|_| bare.starts_with("Consumer.")) {
        return Address { name: &bare[place + 1..], subscription: bare, is_topic: true, ..Address::default() };
    }
    Address { name: bare, is_queue, is_topic, ..Address::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_taken_apart() {
        // Guarantees one name for URL, ARN and path forms of each system, with the subscription where the form has one.
        for (system, address, name, subscription) in [
            ("aws_sqs", "https://sqs.eu-west-1.amazonaws.com/123456789012/payments", "payments", ""),
            ("aws_sqs", "arn:aws:sqs:eu-west-1:123456789012:payments.fifo", "payments.fifo", ""),
            ("aws_sqs", "payments", "payments", ""),
            ("aws.sns", "arn:aws:sns:eu-west-1:123456789012:orders:0f1e", "orders", ""),
            ("aws.kinesis", "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks", "clicks", ""),
            ("kafka", "orders[3]", "orders", ""),
            ("kafka", "orders-3", "orders-3", ""),
            ("kafka", "odd]", "odd]", ""),
            ("pulsar", "persistent://public/default/orders-partition-3", "orders", ""),
            ("pulsar", "persistent://acme/shop/orders", "acme/shop/orders", ""),
            ("gcp_pubsub", "projects/p/topics/orders", "orders", ""),
            ("gcp_pubsub", "projects/p/subscriptions/billing", "billing", ""),
            ("servicebus", "orders/Subscriptions/billing", "orders", "billing"),
            ("servicebus", "sb://ns.servicebus.windows.net/orders", "orders", ""),
            ("servicebus", "orders/$DeadLetterQueue", "orders/$DeadLetterQueue", ""),
            ("eventhubs", "clicks/ConsumerGroups/$Default/Partitions/0", "clicks", ""),
            ("jms", "queue://orders?consumer.priority=5", "orders", ""),
            ("activemq", "ActiveMQTopic[prices]", "prices", ""),
            (
                "activemq",
                "queue://Consumer.A.VirtualTopic.Orders",
                "VirtualTopic.Orders",
                "Consumer.A.VirtualTopic.Orders",
            ),
            ("nsq", "orders", "orders", ""),
        ] {
            let parsed = parse(system, address);
            assert_eq!((parsed.name, parsed.subscription), (name, subscription), "{system} {address}");
        }
        assert_eq!(parse("kafka", "orders[3]").partition, Word::Text("3"));
        assert_eq!(parse("eventhubs", "clicks/ConsumerGroups/g/Partitions/0").group, "g");
    }
}
