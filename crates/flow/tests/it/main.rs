//! What `flow` makes of spans: golden views of what real instrumentations emit, and properties of the joining of hops.

/// A test for each recording in `tests/recorded`, named like it: what the given check guarantees holds for it.
macro_rules! every_recording {
    ($check:path) => {
        every_recording!(
            $check;
            pika,
            aio_pika,
            celery,
            kafka_python,
            confluent_kafka,
            aiokafka,
            boto3sqs,
            botocore,
            amqplib,
            kafkajs,
            aws_sdk,
            java_rabbitmq,
            java_rabbitmq_stable,
            java_kafka,
            java_kafka_stable,
        );
    };
    ($check:path; $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            // Guarantees what the module's check says, for this library's recording.
            $check(stringify!($name));
        }
    )*};
}

mod bindings;
mod engine;
mod hostile;
mod joined;
mod lineage;
mod map;
mod recorded;
mod show;
mod written;
