"""kafka-python: two records sent and fetched in a loop."""

from opentelemetry.instrumentation.kafka import KafkaInstrumentor

KafkaInstrumentor().instrument()

from kafka import KafkaConsumer, KafkaProducer  # noqa: E402  (instrumented first)

from scene import BROKER, recording  # noqa: E402


def main(tracer):
    producer = KafkaProducer(bootstrap_servers=BROKER)
    with tracer.start_as_current_span("POST /order"):
        for number in (1, 2):
            producer.send("kp.orders", b"order", key=b"order-%d" % number).get(timeout=20)
    consumer = KafkaConsumer(
        "kp.orders", bootstrap_servers=BROKER, group_id="payment", auto_offset_reset="earliest",
        consumer_timeout_ms=15000)
    for count, _record in enumerate(consumer, start=1):
        with tracer.start_as_current_span("handle"):
            pass
        if count == 2:
            break
    consumer.close()
    producer.close()


if __name__ == "__main__":
    with recording("kafka-python") as tracer:
        main(tracer)
