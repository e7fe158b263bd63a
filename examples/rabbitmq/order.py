"""order: takes orders over HTTP, answers at once, and tells the others through RabbitMQ.

    curl -X POST localhost:PORT/order -H 'content-type: application/json' -d '{"id": "42"}'

`"card": "declined"` is an order that cannot be paid, `"card": "expired"` one that support has to mend.
"""

import json

import pika
from flask import Flask, request
from opentelemetry import trace
from topology import connect

from service import serve

app = Flask("order")


@app.post("/order")
def order():
    order = request.get_json()
    span = trace.get_current_span()
    span.set_attribute("order.id", order["id"])
    connection, channel = connect()
    properties = pika.BasicProperties(message_id=f"order-{order['id']}", delivery_mode=2)
    channel.basic_publish("orders", "order.created", json.dumps(order).encode(), properties)
    connection.close()
    return {"trace_id": f"{span.get_span_context().trace_id:032x}"}, 202


serve(app)
