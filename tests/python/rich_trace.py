"""A trace with one of everything, made with the real Python SDK, and what it must look like when it is read back."""

import dataclasses
import json
import math

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

SERVICE = "ordering ünïcode"
RESOURCE = {
    "service.name": SERVICE,
    "service.version": "1.2.3",
    "host.cores": 8,
    "host.virtual": True,
    "process.command_args": ["serve", "--all"],
}
SCOPE = {"name": "shop.orders", "version": "0.9.1", "attributes": {"scope.short": "s", "scope.number": 7}}
EVERY_TYPE = {
    "string": "text",
    "string empty": "",
    "string hostile": "<script>alert(1)</script> \u0000 \U0001f69a \"quoted\" \\ ' \n\ttab",
    "bool": True,
    "bool false": False,
    "int": 42,
    "int zero": 0,
    "int smallest": -(2**63),
    "int largest": 2**63 - 1,
    "double": 2.5,
    "double whole": 3.0,
    "double tiny": 5e-324,
    "bytes": b"\x00\x01\xfe\xff",
    "strings": ["a", "b", ""],
    "ints": [1, -2, 3],
    "doubles": [0.5, -1.5],
    "bools": [True, False],
    "array empty": [],
    "<b>key</b>": "markup in a key",
}
# Beyond what every API can show: looked for in our own and in Jaeger's OTLP form only.
NESTED_TYPES = {
    "array mixed": [1, "two", 3.5, False],
    "map": {"a": {"b": [1, {"c": "d"}]}, "e": "f"},
    "double nan": math.nan,
    "double infinite": -math.inf,
}
LINKED = SpanContext(
    trace_id=0x0123456789ABCDEF0123456789ABCDEF,
    span_id=0x1122334455667788,
    is_remote=True,
    trace_flags=TraceFlags(1),
    trace_state=TraceState([("vendor", "linked")]),
)
REMOTE_PARENT_STATE = TraceState([("rojo", "00f067aa0ba902b7"), ("congo", "t61rcWkgMzE")])


@dataclasses.dataclass
class RichTrace:
    trace_id: str
    # The SDK's own finished spans, by name.
    spans: dict


def send(exporter, nested=True) -> RichTrace:
    """Makes the trace and sends it through the exporter, one request per span, as the SDK does it."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(RESOURCE, schema_url="https://example.com/resource/1"))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer(
        SCOPE["name"], SCOPE["version"], schema_url="https://example.com/scope/2", attributes=SCOPE["attributes"]
    )
    attributes = dict(EVERY_TYPE, **(NESTED_TYPES if nested else {}))
    with tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER, attributes=attributes) as root:
        root.add_event("validated", {"items": 3, "ok": True, "names": ["x", "y"]})
        root.add_event("<i>named</i> like markup")
        with tracer.start_as_current_span("charge", kind=SpanKind.CLIENT) as failing:
            failing.set_status(Status(StatusCode.ERROR, "card declined"))
            failing.record_exception(ValueError("no money"))
        with tracer.start_as_current_span("orders publish", kind=SpanKind.PRODUCER) as producer:
            producer.set_attribute("messaging.destination.name", "orders")
            producer.set_status(Status(StatusCode.OK))
        links = [Link(LINKED, {"why": "caused by", "batch.index": 4}), Link(root.get_span_context())]
        with tracer.start_as_current_span("orders process", kind=SpanKind.CONSUMER, links=links):
            with tracer.start_as_current_span("compute"):
                pass
    trace_id = root.get_span_context().trace_id
    parent = SpanContext(trace_id, 0xABCDEF, True, TraceFlags(1), REMOTE_PARENT_STATE)
    with tracer.start_as_current_span("stated", context=trace.set_span_in_context(trace.NonRecordingSpan(parent))):
        pass
    spans = memory.get_finished_spans()
    for span in spans:
        assert exporter.export([span]).name == "SUCCESS", f"the exporter failed on {span.name}"
    exporter.shutdown()
    return RichTrace(f"{trace_id:032x}", {span.name: span for span in spans})


def typed(value):
    """A Python attribute value as our own API shows it: type and value."""
    match value:
        case None:
            return "empty", None
        case bool():
            return "bool", value
        case str():
            return "string", value
        case int():
            return "int", str(value)
        case float():
            return "double", plain_double(value)
        case bytes():
            return "bytes", value
        case tuple() | list():
            return "array", json.loads(json.dumps(value))
        case _:
            return "map", json.loads(json.dumps(value))


def plain_double(value: float):
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def typed_attributes(attributes) -> dict:
    return {key: typed(value) for key, value in (attributes or {}).items()}


def expected_span(span) -> dict:
    """A finished SDK span in the neutral form that `views` makes of every API's answer."""
    context = span.get_span_context()
    return {
        "span_id": f"{context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "start_unix_nano": span.start_time,
        "duration_ns": span.end_time - span.start_time,
        "status": (span.status.status_code.name.lower(), span.status.description or ""),
        "trace_state": context.trace_state.to_header(),
        "attributes": typed_attributes(span.attributes),
        "events": [(event.timestamp, event.name, typed_attributes(event.attributes)) for event in span.events],
        "links": [
            (
                f"{link.context.trace_id:032x}",
                f"{link.context.span_id:016x}",
                # This SDK does not send the trace state of a link; the JavaScript suite looks at that.
                "",
                typed_attributes(link.attributes),
            )
            for link in span.links
        ],
        "scope": (SCOPE["name"], SCOPE["version"], typed_attributes(SCOPE["attributes"])),
        "resource": typed_attributes(span.resource.attributes),
        "schema_urls": (span.resource.schema_url, span.instrumentation_scope.schema_url),
    }
