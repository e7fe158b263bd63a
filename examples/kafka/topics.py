"""The topics of the shop; every Python service makes them, so that it matters not who starts first."""

import os

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

BROKERS = os.environ["KAFKA_BROKERS"]


def create():
    """Makes the topics that are not there."""
    admin = KafkaAdminClient(bootstrap_servers=BROKERS)
    for name in ("orders", "payments", "payments.DLT"):
        try:
            admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])
        except TopicAlreadyExistsError:
            pass
    admin.close()
