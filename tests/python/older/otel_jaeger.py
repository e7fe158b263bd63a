"""OpenTelemetry's former exporters for Jaeger.

usage: otel_jaeger.py agent HOST PORT | collector URL | grpc HOST:PORT; prints the trace's id.
"""

import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

way, *address = sys.argv[1:]
if way == "grpc":
    from opentelemetry.exporter.jaeger.proto.grpc import JaegerExporter

    exporter = JaegerExporter(collector_endpoint=address[0], insecure=True)
else:
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    if way == "agent":
        exporter = JaegerExporter(agent_host_name=address[0], agent_port=int(address[1]))
    else:
        exporter = JaegerExporter(collector_endpoint=address[0])
provider = TracerProvider(resource=Resource({"service.name": f"otel-jaeger-{way}", "host.name": "web-1"}))
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("shop.orders", "0.9.1")
LINKED = SpanContext(0x0123456789ABCDEF0123456789ABCDEF, 0x1122334455667788, True, TraceFlags(1))
attributes = {"string": "text", "int": 42, "double": 2.5, "bool": True, "strings": ["a", "b"]}
with tracer.start_as_current_span("process", kind=SpanKind.CONSUMER, links=[Link(LINKED)], attributes=attributes) as root:
    root.add_event("validated", {"items": 3})
    with tracer.start_as_current_span("charge", kind=SpanKind.CLIENT) as failing:
        failing.set_status(Status(StatusCode.ERROR, "card declined"))
provider.shutdown()
print(f"{root.get_span_context().trace_id:032x}")
