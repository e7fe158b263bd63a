"""order: takes orders over HTTP, answers at once, and tells the others through the topic `orders`.

    curl -X POST localhost:PORT/order -H 'content-type: application/json' -d '{"id": "42"}'

`"address": "unknown"` is an order that cannot be shipped, `"address": "old"` one that support has to mend.
"""

import json

from flask import Flask, request
from kafka import KafkaProducer
from opentelemetry import trace

import topics
from service import serve

app = Flask("order")
topics.create()
producer = KafkaProducer(bootstrap_servers=topics.BROKERS)


@app.post("/order")
def order():
    order = request.get_json()
    span = trace.get_current_span()
    span.set_attribute("order.id", order["id"])
    producer.send("orders", json.dumps(order).encode(), key=order["id"].encode()).get(timeout=30)
    return {"trace_id": f"{span.get_span_context().trace_id:032x}"}, 202


serve(app)
