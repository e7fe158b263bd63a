"""payment: charges orders and tells who waits for the money, with confluent-kafka."""

import json

import confluent_kafka
from opentelemetry import trace

import topics
from service import is_ready

topics.create()
brokers = {"bootstrap.servers": topics.BROKERS}
producer = confluent_kafka.Producer({**brokers, "linger.ms": 0})
consumer = confluent_kafka.Consumer({**brokers, "group.id": "payment", "auto.offset.reset": "earliest"})
consumer.subscribe(["orders"], on_assign=lambda *_: is_ready())
try:
    while True:
        record = consumer.poll(0.2)
        if record is None or record.error():
            continue
        order = json.loads(record.value())
        trace.get_current_span().set_attribute("order.id", order["id"])
        producer.produce("payments", record.value(), key=record.key())
        producer.flush(30)
finally:
    consumer.close()
