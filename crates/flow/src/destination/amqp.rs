//! RabbitMQ: which of exchange, routing key and queue is the destination.
//!
//! Producers name an exchange and a routing key, consumers a queue, an exchange, or both, and each library leaves out something
//! else. Rules: the default exchange is nobody's destination, its routing key is a queue; another exchange is the destination and
//! the queue a subscription of it; a queue by itself is the destination until a binding tells of an exchange. Names of the form
//! `exchange:routing key:queue`, which the newer conventions prescribe, are taken apart only where the routing key is said beside
//! them: an exchange may have colons in its own name.

use std::borrow::Cow;

use super::template::{template, template_of_route};
use super::{DestinationKind, Identity};
use crate::semconv::{RawDestination, Role, Word};

/// How libraries write the default exchange, besides writing nothing.
const DEFAULT_EXCHANGE: [&str; 4] = ["<default>", "amq.default", "(default)", "default"];

/// The parts of a destination; empty where nobody said. An exchange that is `None` was not said at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Parts<'a> {
    exchange: Option<&'a str>,
    routing_key: &'a str,
    queue: &'a str,
    /// A name of which nobody said whether it is an exchange or a queue.
    unclear: &'a str,
}

pub(super) fn identify<'a>(role: Role, raw: &RawDestination<'a>) -> Option<Identity<'a>> {
    let parts = parts(raw);
    let exchange = parts.exchange.filter(|exchange| !is_default(exchange)).unwrap_or_default();
    let through_default = parts.exchange.is_some_and(is_default);
    let queue = match parts.queue {
        "" if through_default => parts.routing_key,
        queue => queue,
    };
    let queue = if role >= Role::Receive || through_default { queue } else { "" };
    let named = |name: &'a str, kind, subscription: &'a str| Identity {
        system: "rabbitmq",
        name: template(name),
        kind,
        subscription: if subscription == name { Cow::Borrowed("") } else { template(subscription) },
        route: if through_default { Cow::Borrowed("") } else { template_of_route(parts.routing_key) },
        partition: Word::default(),
        group: "",
        spelling: if is_default(raw.name) { name } else { raw.name },
    };
    if !exchange.is_empty() {
        Some(named(exchange, DestinationKind::Exchange, queue))
    } else if !parts.unclear.is_empty() {
        Some(named(parts.unclear, DestinationKind::Unknown, queue))
    } else if !queue.is_empty() {
        Some(named(queue, DestinationKind::Queue, ""))
    } else {
        None
    }
}

fn is_default(exchange: &str) -> bool {
    exchange.is_empty() || DEFAULT_EXCHANGE.contains(&exchange)
}

/// Tells apart what the name of a destination holds.
fn parts<'a>(raw: &RawDestination<'a>) -> Parts<'a> {
    let base = Parts { routing_key: raw.routing_key, queue: raw.queue, ..Parts::default() };
    if let Some(exchange) = raw.exchange {
        return Parts { exchange: Some(exchange), ..base };
    }
    if let Some(parts) = compound(raw) {
        return parts;
    }
    let says_exchange = !raw.routing_key.is_empty() || raw.name.is_empty() || is_default(raw.name);
    if raw.kind == "queue" {
        let queue = if raw.queue.is_empty() { raw.name } else { raw.queue };
        Parts { queue, exchange: raw.routing_key.is_empty().then_some(""), ..base }
    } else if says_exchange {
        Parts { exchange: Some(raw.name), ..base }
    } else {
        Parts { unclear: raw.name, ..base }
    }
}

/// `exchange:routing key`, `exchange:routing key:queue`, and what remains of them when an exchange is the default one or a queue
/// is named as the routing key.
fn compound<'a>(raw: &RawDestination<'a>) -> Option<Parts<'a>> {
    let (name, key) = (raw.name, raw.routing_key);
    if key.is_empty() || name.is_empty() {
        return None;
    }
    let parts = |exchange, queue| Parts { exchange: Some(exchange), routing_key: key, queue, unclear: "" };
    let queue = |queue: &'a str| if raw.queue.is_empty() { queue } else { raw.queue };
    if name == key {
        // Of the default exchange only the key remains, which is the queue; an exchange named as its key looks the same.
        return Some(parts("", queue(key)));
    }
    if let Some(rest) = name.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')) {
        return Some(parts("", queue(rest)));
    }
    let (exchange, rest) = name.split_at(name.find(&*[":", key].concat())?);
    let rest = &rest[1 + key.len()..];
    match rest.strip_prefix(':') {
        Some(last) => Some(parts(exchange, queue(last))),
        None if rest.is_empty() => Some(parts(exchange, raw.queue)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(role: Role, raw: RawDestination<'_>) -> Option<(String, DestinationKind, String, String)> {
        let identity = identify(role, &raw)?;
        let text = |text: Cow<'_, str>| text.into_owned();
        Some((text(identity.name), identity.kind, text(identity.subscription), text(identity.route)))
    }

    #[test]
    fn every_spelling_of_a_binding() {
        // Guarantees the destination for each way in which libraries are known to spell exchange, routing key and queue.
        use DestinationKind::{Exchange, Queue, Unknown};
        use Role::{Process, Send};
        let raw = |name, routing_key, queue| RawDestination { name, routing_key, queue, ..RawDestination::default() };
        for (what, role, raw, name, kind, subscription, route) in [
            ("amqplib publish", Send, raw("orders", "order.17", ""), "orders", Exchange, "", "order.*"),
            (
                "amqplib consume",
                Process,
                raw("orders", "order.17", "payment"),
                "orders",
                Exchange,
                "payment",
                "order.*",
            ),
            ("amqplib default", Process, raw("", "emails", "emails"), "emails", Queue, "", ""),
            ("java default", Send, raw("<default>", "emails", ""), "emails", Queue, "", ""),
            ("new publish", Send, raw("orders:order.new", "order.new", ""), "orders", Exchange, "", "order.new"),
            (
                "new consume",
                Process,
                raw("orders:order.new:payment", "order.new", ""),
                "orders",
                Exchange,
                "payment",
                "order.new",
            ),
            ("new default", Process, raw("emails", "emails", ""), "emails", Queue, "", ""),
            ("colons", Send, raw("Shop:Ordered", "", ""), "Shop:Ordered", Unknown, "", ""),
            ("colons and key", Send, raw("Shop:Ordered", "eu", ""), "Shop:Ordered", Exchange, "", "eu"),
            ("pika", Send, raw("orders", "", ""), "orders", Unknown, "", ""),
            ("old source", Process, raw("", "", "payment"), "payment", Queue, "", ""),
            ("reply queue", Send, raw("", "amq.gen-x7", ""), "amq.gen-*", Queue, "", ""),
        ] {
            let expected = Some((name.to_owned(), kind, subscription.to_owned(), route.to_owned()));
            assert_eq!(resolved(role, raw), expected, "{what}");
        }
        assert_eq!(resolved(Send, raw("", "", "")), None);
    }
}
