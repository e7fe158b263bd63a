"""OpenCensus's exporter for its agent: the stream Export of TraceService.

usage: ocagent.py HOST:PORT; prints the trace's id.
"""

import sys
import time

from opencensus.common.transports.sync import SyncTransport
from opencensus.ext.ocagent.trace_exporter import TraceExporter
from opencensus.trace.link import Link, Type
from opencensus.trace.samplers import AlwaysOnSampler
from opencensus.trace.span import SpanKind
from opencensus.trace.status import Status
from opencensus.trace.tracer import Tracer

exporter = TraceExporter(service_name="census-agent", endpoint=sys.argv[1], transport=SyncTransport)
tracer = Tracer(sampler=AlwaysOnSampler(), exporter=exporter)
with tracer.span("outer") as outer:
    outer.span_kind = SpanKind.SERVER
    for key, value in [("text", "t"), ("number", 5), ("flag", True), ("ratio", 0.5)]:
        outer.add_attribute(key, value)
    outer.add_annotation("something happened", detail="d", count=3)
    outer.add_link(Link("0123456789abcdef0123456789abcdef", "1122334455667788", Type.PARENT_LINKED_SPAN))
    with tracer.span("inner") as inner:
        inner.span_kind = SpanKind.CLIENT
        inner.set_status(Status(5, "not there"))
print(tracer.span_context.trace_id)
