"""The Python SDK's OTLP exporters: what was sent is read back attribute by attribute through every API."""

import json

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

import rich_trace
import views


def grpc_exporter(server, compression=None):
    return GrpcExporter(endpoint=server.address("otlp_grpc"), insecure=True, compression=compression)


def http_exporter(server, compression=Compression.NoCompression):
    return HttpExporter(endpoint=server.url("otlp_http", "/v1/traces"), compression=compression)


EXPORTERS = {
    "grpc": grpc_exporter,
    "grpc gzip": lambda server: grpc_exporter(server, grpc.Compression.Gzip),
    "http": http_exporter,
    "http gzip": lambda server: http_exporter(server, Compression.Gzip),
}


@pytest.fixture(scope="module", params=EXPORTERS)
def sent(request, server):
    """The rich trace, sent once per exporter."""
    return rich_trace.send(EXPORTERS[request.param](server))


def expected(sent) -> dict:
    return {name: rich_trace.expected_span(span) for name, span in sent.spans.items()}


def assert_same(found: dict, wanted: dict):
    # Compared field by field, so that a failure names the field.
    assert sorted(found) == sorted(wanted)
    for name, span in wanted.items():
        for field, value in span.items():
            assert found[name][field] == value, f"{field} of span {name!r}"


def test_our_own_api_shows_everything_that_was_sent(server, sent):
    # Every field and every attribute with its type, at span, event, link, scope and resource level.
    trace = server.get(f"/api/traces/{sent.trace_id}")
    assert_same(views.own(trace), expected(sent))
    assert trace["span_count"] == len(sent.spans)
    assert not trace["truncated"]


def test_jaegers_v3_api_shows_everything_that_was_sent(server, sent):
    # Jaeger's v3 answer is OTLP as JSON with hex ids and numeric enums; nothing is lost on the way.
    answer = server.get(f"/jaeger/api/v3/traces/{sent.trace_id}")
    assert_same(views.otlp_json(answer), expected(sent))
    for resource_spans in answer["result"]["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                assert isinstance(span["kind"], int)
                assert span["traceId"] == sent.trace_id


def test_jaegers_port_serves_the_same(server, sent):
    # Tools that expect Jaeger on its own port get the same answers there.
    for path in [f"/api/v3/traces/{sent.trace_id}", f"/api/traces/{sent.trace_id}"]:
        assert server.get(path, port="jaeger") == server.get("/jaeger" + path)


def test_jaegers_legacy_api_shows_every_attribute(server, sent):
    # Ids, references, microseconds, typed tags, logs and process, as Jaeger's page and Grafana read them.
    answer = server.get(f"/jaeger/api/traces/{sent.trace_id}")
    assert not answer.get("errors")
    (trace,) = answer["data"]
    assert trace["traceID"] == sent.trace_id
    spans = {span["operationName"]: span for span in trace["spans"]}
    assert sorted(spans) == sorted(sent.spans)
    for name, sdk_span in sent.spans.items():
        assert_legacy_span(trace, spans[name], rich_trace.expected_span(sdk_span))


def assert_legacy_span(trace: dict, span: dict, wanted: dict):
    assert (span["traceID"], span["spanID"]) == (trace["traceID"], wanted["span_id"])
    assert span["startTime"] == wanted["start_unix_nano"] // 1000
    assert abs(span["duration"] - wanted["duration_ns"] / 1000) <= 1
    references = {(ref["refType"], ref["traceID"], ref["spanID"]) for ref in span["references"]}
    if wanted["parent_span_id"]:
        assert ("CHILD_OF", trace["traceID"], wanted["parent_span_id"]) in references
    for trace_id, span_id, _, _ in wanted["links"]:
        assert ("FOLLOWS_FROM", trace_id, span_id) in references
    tags = assert_tags(span["tags"], wanted["attributes"])
    if wanted["kind"] != "internal":
        assert tags["span.kind"] == ("string", wanted["kind"])
    if wanted["status"][0] == "error":
        assert tags["error"] == ("bool", True)
        assert tags["otel.status_description"] == ("string", wanted["status"][1])
    assert tags["otel.scope.name"] == ("string", wanted["scope"][0])
    assert tags["otel.scope.version"] == ("string", wanted["scope"][1])
    assert len(span["logs"]) == len(wanted["events"])
    for log, (time_unix_nano, name, attributes) in zip(span["logs"], wanted["events"]):
        assert log["timestamp"] == time_unix_nano // 1000
        assert assert_tags(log["fields"], attributes)["event"] == ("string", name)
    process = trace["processes"][span["processID"]]
    assert process["serviceName"] == rich_trace.SERVICE
    without_service = {key: value for key, value in wanted["resource"].items() if key != "service.name"}
    assert_tags(process["tags"], without_service)


LEGACY_TYPES = {"string": "string", "bool": "bool", "int": "int64", "double": "float64"}


def assert_tags(tags: list, attributes: dict) -> dict:
    """Every attribute is among Jaeger's typed tags; arrays and maps are there as JSON text."""
    found = {tag["key"]: (tag["type"], tag["value"]) for tag in tags}
    for key, (kind, value) in attributes.items():
        tag_type, tag_value = found[key]
        if kind in LEGACY_TYPES and value not in ("NaN", "-Infinity"):
            assert tag_type == LEGACY_TYPES[kind], key
            assert tag_value == (safe_int(int(value)) if kind == "int" else value), key
        elif kind in ("array", "map"):
            assert (tag_type, json.loads(tag_value)) == ("string", value), key
    return found


def safe_int(value: int):
    """As Jaeger shows it: a number, or its digits where JavaScript would round it."""
    return value if abs(value) < 2**53 else str(value)


def test_zipkins_api_shows_every_attribute(server, sent):
    # Zipkin knows text tags only: every attribute is one; kind, times, ids, events and services are where Zipkin has them.
    answer = server.get(f"/api/v2/trace/{sent.trace_id}", port="zipkin")
    spans = {span["id"]: span for span in answer}
    assert len(spans) == len(answer) == len(sent.spans)
    for sdk_span in sent.spans.values():
        wanted = rich_trace.expected_span(sdk_span)
        assert_zipkin_span(spans[wanted["span_id"]], sent.trace_id, wanted)


def assert_zipkin_span(span: dict, trace_id: str, wanted: dict):
    assert span["traceId"] == trace_id
    assert span.get("parentId") == wanted["parent_span_id"]
    assert span["name"].lower() == wanted["name"].lower()
    assert span["timestamp"] == wanted["start_unix_nano"] // 1000
    # Zipkin has no duration of zero: the shortest is a microsecond.
    assert abs(span["duration"] - wanted["duration_ns"] / 1000) <= 1
    assert span["localEndpoint"]["serviceName"].lower() == rich_trace.SERVICE
    assert span.get("kind", "INTERNAL").lower() == wanted["kind"]
    for key, (kind, value) in wanted["attributes"].items():
        tag = span["tags"][key]
        assert isinstance(tag, str), key
        if kind in ("string", "int"):
            assert tag == value, key
        elif kind == "bool":
            assert tag == str(value).lower(), key
        elif kind == "double" and value not in ("NaN", "-Infinity"):
            assert float(tag) == value, key
        elif kind in ("array", "map"):
            assert json.loads(tag) == value, key
    if wanted["status"][0] == "error":
        assert span["tags"]["error"] == wanted["status"][1]
    assert len(span.get("annotations", [])) == len(wanted["events"])
    for annotation, (time_unix_nano, name, _) in zip(span.get("annotations", []), wanted["events"]):
        assert annotation["timestamp"] == time_unix_nano // 1000
        assert name in annotation["value"]


def test_the_trace_is_found_by_what_it_carries(server, sent):
    # Search finds it by attributes of every level and by the attributes of its links.
    queries = [
        "span.int = 42",
        'span."int largest" = 9223372036854775807',
        "resource.host.cores > 7",
        "scope.scope.number = 7",
        "event.items = 3",
        'link.why = "caused by"',
        'name = "charge" and status = error and status_message =~ "declined"',
        'span."<b>key</b>" exists',
        "kind = consumer and link.batch.index >= 4",
    ]
    for query in queries:
        found = server.get("/api/traces", q=query, limit=10000)["items"]
        assert sent.trace_id in [item["trace_id"] for item in found], query
    assert rich_trace.SERVICE in [item["name"] for item in server.get("/api/services")["items"]]
