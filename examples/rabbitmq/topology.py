"""The exchanges and queues of the shop; every service declares them all, so that it matters not who starts first.

    orders (topic) ── order.created ──> payment ── refused ──> dead-letters (fanout) ──> payment.dlq
                   └─ order.created ──> stock
    payments (topic) ── payment.settled ──> shipping          emails: a queue by itself
"""

import os

import pika


def connect():
    """A connection and a channel on which everything is declared."""
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.exchange_declare("orders", "topic", durable=True)
    channel.exchange_declare("payments", "topic", durable=True)
    channel.exchange_declare("dead-letters", "fanout", durable=True)
    channel.queue_declare("payment", durable=True, arguments={"x-dead-letter-exchange": "dead-letters"})
    for queue in ("payment.dlq", "stock", "shipping", "emails"):
        channel.queue_declare(queue, durable=True)
    channel.queue_bind("payment", "orders", "order.created")
    channel.queue_bind("stock", "orders", "order.created")
    channel.queue_bind("shipping", "payments", "payment.settled")
    channel.queue_bind("payment.dlq", "dead-letters", "")
    channel.basic_qos(prefetch_count=1)
    return connection, channel
