"""stock: sets goods aside for every order."""

import json

from opentelemetry import trace
from topology import connect

from service import is_ready


def on_order(channel, method, properties, body):
    trace.get_current_span().set_attribute("order.id", json.loads(body)["id"])
    channel.basic_ack(method.delivery_tag)


connection, channel = connect()
channel.basic_consume("stock", on_order)
is_ready()
channel.start_consuming()
