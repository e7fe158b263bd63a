//! One [`Messaging`] view of any span, whatever wrote it.
//!
//! Instrumentations write the same facts under some hundred and fifty keys, of which each generation of OpenTelemetry's
//! conventions, Zipkin's and OpenTracing's senders and several products have their own, and every library has habits that no
//! attribute tells. This module folds them: `fields` says which key means what, `operation` what was done, `library` what a
//! library means by what it writes, `word` reads the loose forms of values. It runs for every span that arrives, so it borrows
//! everything from the batch and allocates nothing.
//!
//! First step of what `flow` does; `destination` and `hop` read nothing but this view. The span's attributes stay as they are.
//! Deliberately absent: which destination is meant (`destination`), and anything that needs a second span.

mod fields;
mod library;
mod operation;
mod read;
mod word;

use model::{LinkRef, SpanId, SpanRef, TraceId};

pub use library::{Library, WorkEnds};
pub use operation::{Role, Settlement};
pub use word::Word;

/// What a span says about messages. Texts that nobody wrote are empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Messaging<'a> {
    /// What it did.
    pub role: Role,
    /// The system in its one spelling: `rabbitmq`, `kafka`, `aws_sqs`.
    pub system: &'a str,
    /// The destination as it was written.
    pub destination: RawDestination<'a>,
    /// The consumer group.
    pub group: &'a str,
    /// How many messages it was about, if that was said.
    pub batch_size: Option<u32>,
    /// What became of the messages, if this span says so.
    pub settlement: Option<Settlement>,
    /// The message, if it was about one; what was said of all messages otherwise.
    pub message: MessageFacts<'a>,
    /// Who wrote it.
    pub library: &'static Library,
}

/// A destination in the words of one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawDestination<'a> {
    /// Its name: of a queue, topic, exchange or stream, by itself or with more in it.
    pub name: &'a str,
    /// What a consumer says the message was published to, where that is not what it reads.
    pub published_to: &'a str,
    /// The pattern that the name was made from.
    pub template: &'a str,
    /// `queue` or `topic`.
    pub kind: &'a str,
    /// Partition or shard.
    pub partition: Word<'a>,
    /// The exchange, where that was said by itself.
    pub exchange: Option<&'a str>,
    /// AMQP's routing key.
    pub routing_key: &'a str,
    /// The queue that a consumer reads, where that was said beside the name.
    pub queue: &'a str,
    /// The subscription that a consumer reads.
    pub subscription: &'a str,
    /// An address that holds the name: an SQS queue's URL.
    pub url: &'a str,
    /// The ARN of an SNS topic.
    pub topic_arn: &'a str,
    /// Whether it lives no longer than a connection.
    pub temporary: bool,
    /// Whether its name means nothing.
    pub anonymous: bool,
}

/// What was said of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageFacts<'a> {
    /// Its id, unless that is only its place in a log.
    pub id: Word<'a>,
    /// What it shares with the messages that it belongs to: a correlation id.
    pub conversation_id: Word<'a>,
    /// Its place in a partition.
    pub offset: Option<i64>,
    /// The key that chose its partition.
    pub key: Word<'a>,
    /// Which delivery this is, from 1.
    pub attempt: Option<u32>,
    /// Whether it was delivered before.
    pub redelivered: Option<bool>,
    /// When it was sent, as the message itself says.
    pub sent_at: Option<SentAt>,
    /// How long it waited, in nanoseconds, as the instrumentation says.
    pub queue_wait_ns: Option<u64>,
    /// Where and why it died before.
    pub dead_letter: Option<DeadLetter<'a>>,
}

/// An instant of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentAt {
    /// Unix nanoseconds.
    pub unix_nano: u64,
    /// Whose clock.
    pub source: SentAtSource,
}

/// Whose clock gave an instant of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SentAtSource {
    /// The broker's.
    Broker,
    /// The producer's, carried in the message.
    Header,
}

/// The death of a message in another queue. Texts that nobody wrote are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeadLetter<'a> {
    /// The queue or topic where it died, or that queue's ARN.
    pub destination: &'a str,
    /// Why: `rejected`, `expired`, the class of an exception.
    pub reason: &'a str,
    /// How often it died there for that reason.
    pub count: Option<u32>,
    /// The partition it lay in.
    pub partition: Option<i64>,
    /// Its offset there.
    pub offset: Option<i64>,
}

/// One message of a batch, as a link of the batch's span tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkedMessage<'a> {
    /// The trace that made the message.
    pub trace_id: TraceId,
    /// The span that made the message.
    pub span_id: SpanId,
    /// Its destination, as far as it differs from the span's.
    pub destination: RawDestination<'a>,
    /// What the link says of it.
    pub message: MessageFacts<'a>,
}

/// What tells messages apart, and can be looked for by the keys under which it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sought {
    /// [`MessageFacts::id`].
    MessageId,
    /// [`MessageFacts::offset`].
    Offset,
    /// [`MessageFacts::conversation_id`].
    ConversationId,
    /// [`RawDestination::name`].
    Destination,
}

impl Sought {
    /// Every key that spans write it under.
    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        fields::keys(match self {
            Sought::MessageId => fields::Field::MessageId,
            Sought::Offset => fields::Field::Offset,
            Sought::ConversationId => fields::Field::Conversation,
            Sought::Destination => fields::Field::Destination,
        })
    }
}

impl<'a> Messaging<'a> {
    /// What a span says about messages; nothing if it is not about messages.
    pub fn of(span: SpanRef<'a>) -> Option<Messaging<'a>> {
        read::span(span)
    }
}

impl<'a> LinkedMessage<'a> {
    /// What one link of a span that is about messages says; `library` is the span's.
    pub fn of(link: LinkRef<'a>, library: &'static Library) -> LinkedMessage<'a> {
        read::link(link, library)
    }

    /// What each link of a span that is about messages says, in the sender's order.
    pub fn all(span: SpanRef<'a>, library: &'static Library) -> impl Iterator<Item = LinkedMessage<'a>> {
        span.links().map(move |link| LinkedMessage::of(link, library))
    }
}
