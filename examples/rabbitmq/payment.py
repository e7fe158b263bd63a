"""payment: charges orders and tells who waits for the money. What fails three times is refused, and RabbitMQ puts it aside."""

import json
from collections import Counter

import pika
from opentelemetry import trace
from topology import connect

from service import is_ready

ATTEMPTS_MAX = 3
attempts = Counter()


class CardRefused(Exception):
    """The bank does not pay."""


def charge(order):
    if order.get("card", "good") != "good":
        raise CardRefused(f"the card is {order['card']}")


def on_order(channel, method, properties, body):
    order = json.loads(body)
    span = trace.get_current_span()
    span.set_attribute("order.id", order["id"])
    try:
        charge(order)
    except CardRefused as refusal:
        span.record_exception(refusal)
        span.set_status(trace.StatusCode.ERROR, str(refusal))
        attempts[properties.message_id] += 1
        is_last = attempts[properties.message_id] >= ATTEMPTS_MAX
        channel.basic_nack(method.delivery_tag, requeue=not is_last)
        return
    settled = pika.BasicProperties(message_id=f"payment-{order['id']}", delivery_mode=2)
    channel.basic_publish("payments", "payment.settled", body, settled)
    channel.basic_ack(method.delivery_tag)


connection, channel = connect()
channel.basic_consume("payment", on_order)
is_ready()
channel.start_consuming()
