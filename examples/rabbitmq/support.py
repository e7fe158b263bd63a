"""support: looks at what could not be paid. A new card is asked for where the old one expired, and the order is sent to payment again."""

import json

import pika
from topology import connect

from service import is_ready


def on_dead_letter(channel, method, properties, body):
    order = json.loads(body)
    if order["card"] == "expired":
        mended = json.dumps({**order, "card": "good"}).encode()
        properties = pika.BasicProperties(message_id=properties.message_id, delivery_mode=2)
        channel.basic_publish("", "payment", mended, properties)
    channel.basic_ack(method.delivery_tag)


connection, channel = connect()
channel.basic_consume("payment.dlq", on_dead_letter)
is_ready()
channel.start_consuming()
