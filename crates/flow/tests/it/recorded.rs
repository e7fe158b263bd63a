//! One golden a library: the views of what the real package sent, recorded by `tests/recordings/record.py`.

use model::{Limits, SpanBatch};
use wire::{Format, decode};

use crate::show::Page;

pub(crate) fn recorded(name: &str) -> SpanBatch {
    let path = format!("{}/tests/recorded/{name}.otlp", env!("CARGO_MANIFEST_DIR"));
    let body = std::fs::read(path).expect("the recording is there");
    decode(Format::OtlpProtobuf, &body, &Limits::DEFAULT).expect("the recording is a request").batch
}

fn check(name: &str) {
    let batch = recorded(name);
    insta::assert_snapshot!(name, Page::new(&batch).write());
}

macro_rules! libraries {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            // Guarantees the view of every span that this library's recording holds.
            check(stringify!($name));
        }
    )*};
}

libraries!(
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
