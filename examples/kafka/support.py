"""support: looks at what could not be shipped. Customers that moved are asked for their address, and the order goes to shipping again."""

import json

import confluent_kafka

import topics
from service import is_ready

topics.create()
brokers = {"bootstrap.servers": topics.BROKERS}
producer = confluent_kafka.Producer({**brokers, "linger.ms": 0})
consumer = confluent_kafka.Consumer({**brokers, "group.id": "support", "auto.offset.reset": "earliest"})
consumer.subscribe(["payments.DLT"], on_assign=lambda *_: is_ready())
try:
    while True:
        record = consumer.poll(0.2)
        if record is None or record.error():
            continue
        order = json.loads(record.value())
        if order["address"] == "old":
            producer.produce("payments", json.dumps({**order, "address": "new"}).encode(), key=record.key())
            producer.flush(30)
finally:
    consumer.close()
