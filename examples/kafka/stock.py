"""stock: sets goods aside for every order, with kafka-python."""

from kafka import ConsumerRebalanceListener, KafkaConsumer

import topics
from service import is_ready


class Assigned(ConsumerRebalanceListener):
    """Says that we are ready once we have partitions."""

    def on_partitions_assigned(self, assigned):
        is_ready()

    def on_partitions_revoked(self, revoked):
        pass


topics.create()
consumer = KafkaConsumer(
    bootstrap_servers=topics.BROKERS, group_id="stock", auto_offset_reset="earliest")
consumer.subscribe(["orders"], listener=Assigned())
try:
    for record in consumer:
        pass
finally:
    consumer.close()
