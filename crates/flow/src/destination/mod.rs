//! Which destination a span means: one [`Identity`] with a stable key, however producers and consumers spell it.
//!
//! A producer names what it sends to, a consumer often what it reads from: an exchange and a queue, an SNS topic and an SQS
//! queue, a topic and its subscription. **The destination is what the producer names**; what a consumer reads beneath it is a
//! subscription of it. Where one span says both, that is the answer; where it says one, [`Bindings`] learned from certain hops
//! say the other.
//!
//! | module | what |
//! |---|---|
//! | `address` | names out of URLs, ARNs, paths |
//! | `amqp` | exchanges, routing keys and queues of RabbitMQ |
//! | `template` | made-up names become one |
//! | [`dead_letter_of`] | names that mean dead letters |
//! | [`bindings`] | what is bound to what, learned |
//!
//! Reads only [`Messaging`]. Deliberately absent: attributes (`semconv`) and which spans belong together (`hop`).

mod address;
mod amqp;
pub mod bindings;
mod dead_letter;
mod template;

use std::borrow::Cow;
use std::fmt;

use crate::semconv::{LinkedMessage, Messaging, RawDestination, Role, Word};

pub use bindings::{Bindings, BindingsError, Relation, Resolved};
pub use dead_letter::dead_letter_of;

/// The stable key of a destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DestinationKey {
    /// `rabbitmq`, `kafka`, `aws_sqs`; empty if nobody said.
    pub system: String,
    /// Its name.
    pub name: String,
}

/// What sort of thing a name names, as far as a span says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DestinationKind {
    /// Nobody said.
    #[default]
    Unknown,
    /// Each message goes to one consumer.
    Queue,
    /// Each message goes to every subscription or group.
    Topic,
    /// RabbitMQ's distributor: messages go on to queues.
    Exchange,
    /// What a consumer reads; its topic is not said.
    Subscription,
}

/// The destination that one span means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The system in its one spelling.
    pub system: &'a str,
    /// The name, made-up parts replaced by `*`.
    pub name: Cow<'a, str>,
    /// What sort of thing it is.
    pub kind: DestinationKind,
    /// The queue or subscription beneath it that a consumer reads; empty if it reads the destination itself or nobody said.
    pub subscription: Cow<'a, str>,
    /// The routing key, made-up parts replaced by `*`: which of an exchange's queues get the message.
    pub route: Cow<'a, str>,
    /// Partition or shard.
    pub partition: Word<'a>,
    /// The consumer group.
    pub group: &'a str,
    /// The name as the span spells it.
    pub spelling: &'a str,
}

impl<'a> Identity<'a> {
    /// The destination a span means; nothing if it names none.
    pub fn of(view: &Messaging<'a>) -> Option<Identity<'a>> {
        identify(view.system, view.role, view.group, &view.destination)
    }

    /// The destination of one message of a batch: the link's, where it says more than the span.
    pub fn of_linked(view: &Messaging<'a>, linked: &LinkedMessage<'a>) -> Option<Identity<'a>> {
        let by_link = identify(view.system, view.role, view.group, &linked.destination);
        let by_span = || Identity::of(view);
        match by_link {
            Some(identity) => Some(identity),
            None if linked.destination.partition.is_empty() => by_span(),
            None => by_span().map(|identity| Identity { partition: linked.destination.partition, ..identity }),
        }
    }

    /// The stable key.
    pub fn key(&self) -> DestinationKey {
        DestinationKey { system: self.system.to_owned(), name: self.name.clone().into_owned() }
    }

    /// Whether it has this key, without making one.
    pub fn has_key(&self, key: &DestinationKey) -> bool {
        self.system == key.system && self.name == key.name
    }

    /// Whether it is where dead letters go, by its name or that of the subscription read.
    pub fn is_dead_letter(&self) -> bool {
        dead_letter_of(&self.name).is_some() || dead_letter_of(&self.subscription).is_some()
    }
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.system, self.name)
    }
}

fn identify<'a>(system: &'a str, role: Role, group: &'a str, raw: &RawDestination<'a>) -> Option<Identity<'a>> {
    let raw = &published(role, raw);
    let identity = if system == "rabbitmq" { amqp::identify(role, raw) } else { plain(system, raw) }?;
    let group = if group.is_empty() { identity.group } else { group };
    let partition = if raw.partition.is_empty() { identity.partition } else { raw.partition };
    Some(Identity { system, partition, group, ..identity })
}

/// A consumer that says what its message was published to names both ends of a binding; what it reads is the subscription. From a
/// dead-letter destination it tells where the message died, which is no binding.
fn published<'a>(role: Role, raw: &RawDestination<'a>) -> RawDestination<'a> {
    let (published, read) = (raw.published_to, raw.name);
    let is_binding = role >= Role::Receive && !published.is_empty() && !read.is_empty() && published != read;
    if !is_binding || dead_letter_of(read).is_some() {
        return *raw;
    }
    RawDestination { name: published, exchange: Some(published), queue: read, subscription: read, ..*raw }
}

/// The destination of a system without exchanges.
fn plain<'a>(system: &'a str, raw: &RawDestination<'a>) -> Option<Identity<'a>> {
    let spellings = [raw.name, raw.topic_arn, raw.url, raw.queue];
    let spelling = spellings.into_iter().find(|spelling| !spelling.is_empty())?;
    let address = address::parse(system, spelling);
    let kind = kind(raw.kind, &address);
    let name = if raw.template.is_empty() { template::template(address.name) } else { Cow::Borrowed(raw.template) };
    let said = address::parse(system, raw.subscription).name;
    let subscription = if said.is_empty() { address.subscription } else { said };
    Some(Identity {
        system,
        // A name that lasts as long as a connection and shows no sign of being made up is one all the same.
        name: if raw.anonymous && raw.template.is_empty() { Cow::Borrowed("(anonymous)") } else { name },
        kind,
        subscription: if subscription == address.name { Cow::Borrowed("") } else { template::template(subscription) },
        route: Cow::Borrowed(""),
        partition: address.partition,
        group: address.group,
        spelling,
    })
}

fn kind(said: &str, address: &address::Address<'_>) -> DestinationKind {
    if address.is_subscription {
        DestinationKind::Subscription
    } else if address.is_topic || said == "topic" {
        DestinationKind::Topic
    } else if address.is_queue || said == "queue" {
        DestinationKind::Queue
    } else {
        DestinationKind::Unknown
    }
}
