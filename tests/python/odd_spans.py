"""Spans that use every field of OTLP, as one request, and what each must look like to whoever reads the Parquet files.

A span's neutral form is a dictionary from fields to plain values; attributes are lists of (key, typed value), sorted, where a
typed value is (type, value).
"""

import random
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"]
STATUSES = ["unset", "ok", "error"]
DAY_NS = 86_400 * 10**9
# So much earlier or later than their receipt spans are kept, but not believed.
TRUSTED_PAST_NS, TRUSTED_FUTURE_NS = 30 * DAY_NS, 3_600 * 10**9
LARGEST_INSTANT = 2**64 - 1

TEXTS = ["", "a", "null", "true", "5", "[1]", "{\"$bytes\":\"x\"}", "ünïcode \U0001f69a", "nul \0 in it", "line\nbreak\ttab",
         "\"quoted\" \\ '", "<script>alert(1)</script>", "x" * 5000]
INTEGERS = [0, 1, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, -0.0, 3.0, 0.1, 5e-324, 1.7976931348623157e308, 1e15, float("inf"), float("-inf"), float("nan")]


def any_value(value) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=pairs(value.items())))
    raise TypeError(value)


def pairs(items) -> list:
    return [KeyValue(key=key, value=any_value(value)) for key, value in items]


def typed(value: AnyValue):
    """A value with its type; doubles as their text, so that NaN equals itself and -0.0 is not 0.0."""
    match value.WhichOneof("value"):
        case None:
            return "empty", None
        case "double_value":
            return "double", repr(value.double_value)
        case "array_value":
            return "array", [typed(item) for item in value.array_value.values]
        case "kvlist_value":
            return "map", [(entry.key, typed(entry.value)) for entry in value.kvlist_value.values]
        case kind:
            return kind.removesuffix("_value"), getattr(value, kind)


def typed_pairs(attributes) -> list:
    return [(entry.key, typed(entry.value)) for entry in attributes]


def as_sorted(attributes: list) -> list:
    return sorted(attributes, key=repr)


class Maker:
    """Makes requests from a seed and the time."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.now = time.time_ns()

    def bits(self, count: int) -> bytes:
        return (self.random.getrandbits(8 * count) | 1).to_bytes(count, "big")

    def value(self, depth=0):
        choices = [self.random.choice(TEXTS), self.random.choice(INTEGERS), self.random.choice(DOUBLES), self.bits(5), b"", None,
                   self.random.random() < 0.5]
        if depth < 3:
            choices.append([self.value(depth + 1) for _ in range(self.random.randrange(4))])
            choices.append({key: self.value(depth + 1) for key in ["$key", "key", "", "ü"][: self.random.randrange(5)]})
        return self.random.choice(choices)

    def attributes(self) -> list:
        """Attributes of every type under keys of their own, of any type under one, and a few that are rare."""
        chosen = {
            "order.id": self.random.choice(TEXTS),
            "count": self.random.choice(INTEGERS),
            "ratio": self.random.choice(DOUBLES),
            "is.retry": self.random.random() < 0.5,
            "blob": self.bits(9),
            "nothing": None,
            "list": [1, "two", 3.0, None, [b"\0"]],
            "map": {"$bytes": "no bytes", "n": {"n": 1}},
            "any": self.value(),
            # Column names are compared without case by some programs.
            "Case": "upper",
            "case": 7,
            "<b>ключ</b>": "markup",
            f"rare.{self.random.randrange(10**9)}": self.value(),
        }
        kept = [item for item in chosen.items() if self.random.random() < 0.6]
        if self.random.random() < 0.1:
            kept += [("count", "a second value"), ("order.id", 5)]
        return pairs(kept)

    def start(self) -> int:
        """Mostly today and yesterday; a few at times that are not believed."""
        roll = self.random.random()
        if roll < 0.04:
            return self.random.choice([self.now - 60 * DAY_NS, self.now + DAY_NS, 1, 2**63 + 5, LARGEST_INSTANT])
        return self.now - self.random.randrange(10**9) - (DAY_NS if roll < 0.3 else 0)

    def span(self, trace_id: bytes, parents: list) -> Span:
        start = self.start()
        duration = self.random.choice([0, 1, 999, 10**6 + 1, 7 * 3600 * 10**9, -5])
        span = Span(
            trace_id=trace_id,
            span_id=self.bits(8),
            trace_state=self.random.choice(["", "vendor=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]),
            flags=self.random.choice([0, 1, 0x101, 0x301, 2**32 - 1]),
            name=self.random.choice(["GET /orders/{id}", "orders publish", "", "таск"]),
            kind=self.random.choice([0, 1, 2, 3, 4, 5, 9]),
            start_time_unix_nano=start,
            end_time_unix_nano=min(max(start + duration, 0), LARGEST_INSTANT),
            attributes=self.attributes(),
            dropped_attributes_count=self.random.choice([0, 0, 1, 2**32 - 1]),
            dropped_events_count=self.random.choice([0, 0, 2]),
            dropped_links_count=self.random.choice([0, 0, 3]),
            status=Status(code=self.random.choice([0, 0, 1, 2, 7]), message=self.random.choice(["", "", "card declined"])),
        )
        # A span of the same request, one that never came, or none.
        parent = self.random.choice([*parents[-3:], self.bits(8), b""])
        if parent:
            span.parent_span_id = parent
        for _ in range(self.random.choice([0, 0, 1, 3])):
            span.events.add(time_unix_nano=self.random.choice([start, 0, 2**63 + 5]), name=self.random.choice(TEXTS),
                            attributes=pairs([("e", self.value()), ("f", self.value())]),
                            dropped_attributes_count=self.random.choice([0, 4]))
        for _ in range(self.random.choice([0, 0, 1, 2])):
            span.links.add(trace_id=self.bits(16), span_id=self.bits(8), trace_state=self.random.choice(["", "l=1"]),
                           flags=self.random.choice([0, 0x101]), attributes=pairs([("why", self.value())]),
                           dropped_attributes_count=self.random.choice([0, 5]))
        return span

    def request(self, traces: int) -> ExportTraceServiceRequest:
        """Traces that lie across resources and scopes."""
        request = ExportTraceServiceRequest()
        scopes = []
        for number in range(3):
            resource = request.resource_spans.add(schema_url=f"https://example.com/{number}" if number else "")
            service = [("service.name", f"service {number}")] if number else []
            resource.resource.attributes.extend(pairs([*service, ("host", self.value()), ("cores", 8)]))
            resource.resource.dropped_attributes_count = number
            for version in ["", "1.2"]:
                scope = resource.scope_spans.add(schema_url="https://example.com/scope" if version else "")
                scope.scope.name, scope.scope.version = f"instrumentation.{number}", version
                scope.scope.attributes.extend(pairs([("scope.value", self.value())]))
                scope.scope.dropped_attributes_count = 6 if version else 0
                scopes.append(scope)
        for _ in range(traces):
            trace_id, parents = self.bits(16), []
            for _ in range(self.random.randrange(1, 12)):
                span = self.span(trace_id, parents)
                parents.append(span.span_id)
                self.random.choice(scopes).spans.append(span)
        return request

    def filler(self) -> ExportTraceServiceRequest:
        """A large request of nothing special: it makes a memtable full."""
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add().scope_spans.add().spans
        for _ in range(20):
            text = self.bits(30_000).hex()
            spans.add(trace_id=self.bits(16), span_id=self.bits(8), start_time_unix_nano=self.now, end_time_unix_nano=self.now,
                      attributes=pairs([("filler", text)]))
        return request


def expected(request: ExportTraceServiceRequest, received: int) -> dict:
    """Every span of a request in its neutral form, by (trace id, span id, kind)."""
    spans = {}
    for resource_spans in request.resource_spans:
        resource = resource_spans.resource
        service = [entry.value.string_value for entry in resource.attributes if entry.key == "service.name"]
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            common = {
                "service": service[0] if service else "",
                "resource": (typed_pairs(resource.attributes), resource.dropped_attributes_count, resource_spans.schema_url),
                "scope": (scope.name, scope.version, typed_pairs(scope.attributes), scope.dropped_attributes_count,
                          scope_spans.schema_url),
            }
            for span in scope_spans.spans:
                form = neutral(span, received) | common
                spans[form["trace_id"], form["span_id"], form["kind"]] = form
    return spans


def neutral(span: Span, received: int) -> dict:
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    trusted = range(received - TRUSTED_PAST_NS, received + TRUSTED_FUTURE_NS)
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex() or None,
        "start": start,
        "duration_ns": end - start,
        "name": span.name,
        "kind": KINDS[span.kind] if span.kind < len(KINDS) else str(span.kind),
        "status": STATUSES[span.status.code] if span.status.code < len(STATUSES) else str(span.status.code),
        "status_message": span.status.message,
        "trace_state": span.trace_state,
        "flags": span.flags,
        "dropped_attributes_count": span.dropped_attributes_count,
        "dropped_events_count": span.dropped_events_count,
        "dropped_links_count": span.dropped_links_count,
        "notes": 0 if start in trusted and end in trusted else 1,
        "attributes": as_sorted(typed_pairs(span.attributes)),
        "events": [(event.time_unix_nano, event.name, typed_pairs(event.attributes), event.dropped_attributes_count)
                   for event in span.events],
        "links": [(link.trace_id.hex(), link.span_id.hex(), link.trace_state, link.flags, typed_pairs(link.attributes),
                   link.dropped_attributes_count) for link in span.links],
    }
