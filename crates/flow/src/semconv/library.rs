//! Who wrote a span, and what that library means by what it writes: habits, by `otel.scope.name`.
//!
//! One row a library, found by the longest prefix of the scope's name. A habit is a fact that no attribute tells: that pika's
//! `receive` span is the handler, that confluent-kafka's `process` span ends at the next poll, that amqplib names the queue only
//! in the span's name. The rows were read off recordings of the real packages (`tests/recordings`) where those exist. Deliberately
//! absent: what keys mean (`fields`), which is the same for everyone.

/// When a span that processes a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkEnds {
    /// When the handler returns: start and end are the work.
    WithHandler,
    /// When the message is acknowledged or rejected.
    WithSettlement,
    /// When the next message is asked for: the end says more about the loop than about the work.
    AtNextPoll,
    /// At once: the work is not covered at all.
    AtOnce,
}

/// Something that a library means and no attribute tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// A consumer span whose operation is `receive` is in fact the handler.
    ReceiveIsProcess,
    /// Message ids are `topic.partition.offset`: a place in a log, not an id that the producer knows.
    IdIsOffset,
    /// A consumer span's name is `{queue} process`, while its attributes name the exchange.
    QueueInName,
    /// Producer spans name the destination `exchange,routing key`.
    CommaPair,
    /// Conversation ids are numbers of entries within one request.
    IgnoreConversation,
    /// What `messaging.temp_destination` says is not about the destination.
    IgnoreTemporary,
}

use Habit::{CommaPair, IdIsOffset, IgnoreConversation, IgnoreTemporary, QueueInName, ReceiveIsProcess};

/// A library and its habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Library {
    /// What people call it; empty if it is not in the table.
    pub name: &'static str,
    /// When its consumer spans end.
    pub work_ends: WorkEnds,
    /// What the scope's name begins with.
    scope: &'static str,
    /// The system it speaks to if its spans do not say.
    pub(super) system: &'static str,
    habits: &'static [Habit],
}

const PLAIN: Library = library("", "", "");

const fn library(scope: &'static str, name: &'static str, system: &'static str) -> Library {
    Library { name, work_ends: WorkEnds::WithHandler, scope, system, habits: &[] }
}

/// All rows, sorted by scope.
const LIBRARIES: &[Library] = &[
    library("@opentelemetry/instrumentation-amqplib", "amqplib", "rabbitmq")
        .ends(WorkEnds::WithSettlement)
        .with(&[QueueInName]),
    library("@opentelemetry/instrumentation-aws-lambda", "aws-lambda", ""),
    library("@opentelemetry/instrumentation-aws-sdk", "aws-sdk", ""),
    library("@opentelemetry/instrumentation-kafkajs", "kafkajs", "kafka"),
    library("Azure.Messaging.EventHubs", "azure-event-hubs", "eventhubs"),
    library("Azure.Messaging.ServiceBus", "azure-service-bus", "servicebus"),
    library("MassTransit", "masstransit", "").with(&[ReceiveIsProcess]),
    library("NServiceBus", "nservicebus", ""),
    library("OpenTelemetry.Instrumentation.ConfluentKafka", "confluent-kafka-dotnet", "kafka"),
    library("OpenTelemetry::Instrumentation::ActiveJob", "active-job", ""),
    library("OpenTelemetry::Instrumentation::AwsSdk", "aws-sdk-ruby", ""),
    library("OpenTelemetry::Instrumentation::Bunny", "bunny", "rabbitmq"),
    library("OpenTelemetry::Instrumentation::Racecar", "racecar", "kafka"),
    library("OpenTelemetry::Instrumentation::Rdkafka", "rdkafka-ruby", "kafka"),
    library("OpenTelemetry::Instrumentation::Resque", "resque", "resque"),
    library("OpenTelemetry::Instrumentation::RubyKafka", "ruby-kafka", "kafka"),
    library("OpenTelemetry::Instrumentation::Sidekiq", "sidekiq", "sidekiq"),
    library("RabbitMQ.Client", "rabbitmq-dotnet", "rabbitmq"),
    library("Wolverine", "wolverine", "").with(&[ReceiveIsProcess]),
    library("bullmq", "bullmq", "bullmq"),
    library("cloud.google.com/go/pubsub", "gcp-pubsub-go", "gcp_pubsub"),
    library("github.com/dnwe/otelsarama", "sarama", "kafka").ends(WorkEnds::AtOnce),
    library("github.com/twmb/franz-go", "franz-go", "kafka"),
    library("go.opentelemetry.io/contrib/instrumentation/github.com/Shopify/sarama", "sarama", "kafka")
        .ends(WorkEnds::AtOnce),
    library("go.opentelemetry.io/contrib/instrumentation/github.com/aws/aws-sdk-go", "aws-sdk-go", ""),
    library("io.opentelemetry.aws-sdk", "aws-sdk-java", ""),
    library("io.opentelemetry.jms", "jms", "jms"),
    library("io.opentelemetry.kafka", "kafka-java", "kafka"),
    library("io.opentelemetry.nats", "nats-java", "nats"),
    library("io.opentelemetry.pulsar", "pulsar-java", "pulsar"),
    library("io.opentelemetry.rabbitmq", "rabbitmq-java", "rabbitmq").with(&[QueueInName]),
    library("io.opentelemetry.reactor-kafka", "reactor-kafka", "kafka"),
    library("io.opentelemetry.rocketmq", "rocketmq-java", "rocketmq"),
    library("io.opentelemetry.spring-integration", "spring-integration", ""),
    library("io.opentelemetry.spring-jms", "spring-jms", "jms"),
    library("io.opentelemetry.spring-kafka", "spring-kafka", "kafka"),
    library("io.opentelemetry.spring-rabbit", "spring-rabbit", "rabbitmq"),
    library("io.opentelemetry.vertx-kafka", "vertx-kafka", "kafka"),
    library("opentelemetry.instrumentation.aio_pika", "aio-pika", "rabbitmq").with(&[
        ReceiveIsProcess,
        IgnoreTemporary,
        CommaPair,
    ]),
    library("opentelemetry.instrumentation.aiokafka", "aiokafka", "kafka").ends(WorkEnds::AtOnce).with(&[IdIsOffset]),
    library("opentelemetry.instrumentation.aws_lambda", "aws-lambda-python", ""),
    library("opentelemetry.instrumentation.boto3sqs", "boto3sqs", "aws_sqs")
        .ends(WorkEnds::AtNextPoll)
        .with(&[IgnoreConversation]),
    // Of a batch it names the first message only: a true id, so it is kept.
    library("opentelemetry.instrumentation.botocore", "botocore", ""),
    library("opentelemetry.instrumentation.celery", "celery", "celery"),
    library("opentelemetry.instrumentation.confluent_kafka", "confluent-kafka", "kafka")
        .ends(WorkEnds::AtNextPoll)
        .with(&[IdIsOffset]),
    library("opentelemetry.instrumentation.kafka", "kafka-python", "kafka").ends(WorkEnds::AtOnce),
    library("opentelemetry.instrumentation.pika", "pika", "rabbitmq").with(&[ReceiveIsProcess, IgnoreTemporary]),
    // Micrometer's observations as Spring Boot exports them: a listener's operation is `receive` and spans the handler.
    library("org.springframework.boot", "spring", "").with(&[ReceiveIsProcess]),
];

impl Library {
    const fn with(self, habits: &'static [Habit]) -> Library {
        Library { habits, ..self }
    }

    const fn ends(self, work_ends: WorkEnds) -> Library {
        Library { work_ends, ..self }
    }

    pub(super) fn has(&self, habit: Habit) -> bool {
        self.habits.contains(&habit)
    }

    /// The library whose scope has this name; one without habits if it is not in the table.
    pub(super) fn of_scope(scope: &str) -> &'static Library {
        let after = LIBRARIES.partition_point(|library| library.scope <= scope);
        // Rows that are prefixes of one another lie together; the last one at or before the name is the longest.
        let candidates = LIBRARIES[..after].iter().rev().take(2);
        candidates.into_iter().find(|library| scope.starts_with(library.scope)).unwrap_or(&PLAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_by_the_beginning_of_their_scope() {
        // Guarantees that rows are sorted, that every row is found by its scope and by a longer name, and that others are plain.
        assert!(LIBRARIES.is_sorted_by_key(|library| library.scope));
        for library in LIBRARIES {
            assert_eq!(Library::of_scope(library.scope), library);
            let longer = format!("{}-2.7", library.scope);
            assert_eq!(Library::of_scope(&longer).name, library.name, "{longer}");
        }
        assert_eq!(Library::of_scope("my.own.scope").name, "");
        assert_eq!(Library::of_scope("").name, "");
        assert_eq!(Library::of_scope("io.opentelemetry.kafka-clients-0.11").name, "kafka-java");
        assert_eq!(Library::of_scope("opentelemetry.instrumentation.pika.pika_instrumentor").name, "pika");
    }
}
