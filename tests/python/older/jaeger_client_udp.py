"""jaeger-client, the OpenTracing client for Python: spans over UDP to the agent's port, the sampling strategy over HTTP.

usage: jaeger_client_udp.py HOST COMPACT_PORT SAMPLING_PORT; prints what was sent as JSON.
"""

import json
import logging
import sys
import time

import opentracing
from jaeger_client import Config
from opentracing.ext import tags

host, compact_port, sampling_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
logging.basicConfig(level=logging.WARNING)
config = Config(
    # The remote sampler is the default: it asks before the first span is kept.
    config={
        "local_agent": {"reporting_host": host, "reporting_port": compact_port, "sampling_port": sampling_port},
        "sampling_refresh_interval": 1,
        "generate_128bit_trace_id": True,
        "tags": {"deployment": "test", "number": 7},
    },
    service_name="opentracing-shop",
    validate=True,
)
tracer = config.initialize_tracer()
deadline = time.monotonic() + 10
# The first answer of the sampling endpoint replaces the default of one in a thousand.
while getattr(tracer.sampler, "sampler", None) is None or not tracer.sampler.sampler.is_sampled((1 << 63) - 1, "")[0]:
    if time.monotonic() > deadline:
        sys.exit(f"no permissive sampling strategy: {tracer.sampler}")
    time.sleep(0.02)
with tracer.start_active_span("POST /orders") as scope:
    root = scope.span
    root.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_RPC_SERVER)
    root.set_tag("flag", True)
    root.set_tag("ratio", 0.5)
    with tracer.start_active_span("send orders") as sending:
        producer = sending.span
        producer.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_PRODUCER)
        producer.set_tag(tags.MESSAGE_BUS_DESTINATION, "orders")
consumer = tracer.start_span("process orders", references=[opentracing.follows_from(producer.context)])
consumer.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_CONSUMER)
consumer.set_tag(tags.ERROR, True)
consumer.log_kv({"event": "error", "message": "out of stock", "stack": "a\nb"})
consumer.finish()
spans = {"root": root, "producer": producer, "consumer": consumer}
print(json.dumps({"trace_id": f"{root.trace_id:032x}", **{name: f"{span.span_id:016x}" for name, span in spans.items()}}))
closed = tracer.close()
while not closed.done() and time.monotonic() < deadline + 10:
    time.sleep(0.02)
