//! Names that a program made up, made one: `amq.gen-vM30a…` and `amq.gen-81xQ…` are both `amq.gen-*`.
//!
//! Without this every connection would be a destination of its own. Replaced are UUIDs, long hexadecimal numbers, long decimal
//! numbers and what brokers are known to generate; a short number is part of a name that somebody chose (`orders-v2`).

use std::borrow::Cow;

/// What stands for a generated part.
const STAR: &str = "*";
/// Decimal digits that nobody writes by hand.
const LONG_NUMBER_DIGITS: usize = 6;
/// Hexadecimal digits that nobody writes by hand.
const LONG_HEX_DIGITS: usize = 16;

/// Beginnings after which everything is generated: by RabbitMQ, NATS, ActiveMQ, JMS, Spring and Celery.
const GENERATED_AFTER: [&str; 10] = [
    "amq.gen-",
    "amq.rabbitmq.reply-to.",
    "amq_",
    "spring.gen-",
    "_INBOX.",
    "temp-queue://",
    "temp-topic://",
    "ActiveMQ.Temp.",
    "ID:",
    "celeryev.",
];

/// A name with its generated parts replaced by `*`.
pub(super) fn template(name: &str) -> Cow<'_, str> {
    // The Java agent hides what RabbitMQ generated; others show it.
    if name == "<generated>" {
        return Cow::Borrowed("amq.gen-*");
    }
    if let Some(start) = GENERATED_AFTER.iter().find(|start| name.len() > start.len() && name.starts_with(**start)) {
        return Cow::Owned([start, STAR].concat());
    }
    replace(name, LONG_NUMBER_DIGITS)
}

/// A routing key or subject with its generated parts, and tokens that are nothing but digits, replaced by `*`.
pub(super) fn template_of_route(route: &str) -> Cow<'_, str> {
    replace(route, 1)
}

/// Replaces runs between separators. A number counts as generated from `digits_min` digits on.
fn replace(name: &str, digits_min: usize) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    let mut at = 0;
    while at < name.len() {
        let rest = &name[at..];
        let end = generated(rest, digits_min);
        if end > 0 {
            out.push_str(&name[kept..at]);
            out.push_str(STAR);
            at += end;
            kept = at;
        } else {
            at += rest.find(is_separator).map_or(rest.len(), |separator| separator + 1);
        }
    }
    if kept == 0 {
        return Cow::Borrowed(name);
    }
    out.push_str(&name[kept..]);
    Cow::Owned(out)
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '-' | '_' | '/' | ':' | '@')
}

const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
const UUID_LENGTH: usize = 36;

/// How many bytes at the beginning are one generated part that ends at a separator or the end; 0 for none.
fn generated(text: &str, digits_min: usize) -> usize {
    if is_uuid(text) {
        return UUID_LENGTH;
    }
    let end = text.find(is_separator).unwrap_or(text.len());
    let token = &text.as_bytes()[..end];
    let decimal = token.iter().all(u8::is_ascii_digit);
    let hex = token.iter().all(u8::is_ascii_hexdigit) && token.iter().any(u8::is_ascii_digit);
    let is_generated = decimal && end >= digits_min || hex && end >= LONG_HEX_DIGITS;
    if is_generated { end } else { 0 }
}

fn is_uuid(text: &str) -> bool {
    let Some(head) = text.as_bytes().get(..UUID_LENGTH) else { return false };
    let mut at = 0;
    for (index, length) in UUID_GROUPS.into_iter().enumerate() {
        let digits = head[at..at + length].iter().all(u8::is_ascii_hexdigit);
        at += length;
        if !digits || (index < 4 && head[at] != b'-') {
            return false;
        }
        at += 1;
    }
    text.as_bytes().get(UUID_LENGTH).is_none_or(|&next| is_separator(next as char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_parts_become_stars() {
        // Guarantees that what brokers and libraries generate is one name, and that chosen names stay.
        for (name, expected) in [
            ("amq.gen-vM30a-aEhs5VFL13fnum2w", "amq.gen-*"),
            ("amq.rabbitmq.reply-to.g1h2AA5yZXBseUAyMzQ", "amq.rabbitmq.reply-to.*"),
            ("6e0b0a6a-e58b-32ec-bec8-520cc44b697f", "*"),
            ("reply-6e0b0a6a-e58b-32ec-bec8-520cc44b697f.back", "reply-*.back"),
            ("_INBOX.aB3xyz.1", "_INBOX.*"),
            ("orders.1700000000", "orders.*"),
            ("0af7651916cd43dd8448eb211c80319c", "*"),
            ("orders-v2", "orders-v2"),
            ("queue-12", "queue-12"),
            ("amq.gen-", "amq.gen-"),
            ("<generated>", "amq.gen-*"),
            ("deadbeefcafe", "deadbeefcafe"),
            ("größe-1234567", "größe-*"),
            ("", ""),
        ] {
            assert_eq!(template(name), expected, "{name}");
        }
        assert_eq!(template_of_route("order.17.created"), "order.*.created");
        assert!(matches!(template("orders"), Cow::Borrowed(_)));
    }
}
