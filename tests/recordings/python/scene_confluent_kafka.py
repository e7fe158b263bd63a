"""confluent-kafka: two records polled one by one, then two consumed as a batch."""

from confluent_kafka import Consumer, Producer
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor

from scene import BROKER, recording


def main(tracer):
    instrumentor = ConfluentKafkaInstrumentor()
    producer = instrumentor.instrument_producer(Producer({"bootstrap.servers": BROKER}))
    consumer = instrumentor.instrument_consumer(
        Consumer({"bootstrap.servers": BROKER, "group.id": "payment", "auto.offset.reset": "earliest"}))
    with tracer.start_as_current_span("POST /order"):
        for number in range(4):
            producer.produce("ck.orders", b"order", key=b"order-%d" % number)
        producer.flush(20)
    consumer.subscribe(["ck.orders"])
    polled = 0
    for _ in range(60):
        record = consumer.poll(0.5)
        if record is not None and record.error() is None:
            polled += 1
            with tracer.start_as_current_span("handle"):
                pass
        if polled == 2:
            break
    rest = consumer.consume(2, 10)
    with tracer.start_as_current_span(f"handle {len(rest)}"):
        pass
    consumer.close()


if __name__ == "__main__":
    with recording("confluent-kafka") as tracer:
        main(tracer)
