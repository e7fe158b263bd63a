"""Real Zipkin senders: OpenCensus, py-zipkin in both encodings, the OpenTelemetry Zipkin exporter, and Zipkin's own forms."""

import gzip
import json
import time
import uuid

import pytest
from opencensus.ext.zipkin.trace_exporter import ZipkinExporter as OpenCensusExporter
from opencensus.trace.samplers import AlwaysOnSampler
from opencensus.trace.span import SpanKind
from opencensus.trace.tracer import Tracer
from opentelemetry.exporter.zipkin.json import ZipkinExporter as OpenTelemetryExporter
from py_zipkin.encoding import Encoding
from py_zipkin.util import create_attrs_for_span
from py_zipkin.zipkin import Kind, zipkin_client_span, zipkin_span

import rich_trace


def address(server) -> tuple:
    host, port = server.address("zipkin").split(":")
    return host, int(port)


def zipkin_trace(server, trace_id: str) -> dict:
    """Zipkin's answer for a trace, by span name."""
    return {span["name"].lower(): span for span in server.get(f"/api/v2/trace/{trace_id}", port="zipkin")}


def own_trace(server, trace_id: str) -> dict:
    return {span["name"].lower(): span for span in server.get(f"/api/traces/{trace_id}")["spans"]}


def own_attributes(span: dict) -> dict:
    return {attribute["key"]: attribute["value"] for attribute in span["attributes"]}


def test_opencensus_spans_are_kept(server):
    # OpenCensus's exporter: ids, parents, kinds, tags and annotations, through Zipkin's API and our own.
    host, port = address(server)
    exporter = OpenCensusExporter(service_name="census", host_name=host, port=port, ipv4="10.0.0.1")
    tracer = Tracer(sampler=AlwaysOnSampler(), exporter=exporter)
    with tracer.span("outer") as outer:
        outer.span_kind = SpanKind.SERVER
        outer.add_attribute("text", "t")
        outer.add_attribute("number", 5)
        outer.add_attribute("flag", True)
        outer.add_annotation("something happened")
        with tracer.span("inner") as inner:
            inner.span_kind = SpanKind.CLIENT
    trace_id = tracer.span_context.trace_id
    zipkin = zipkin_trace(server, trace_id)
    assert zipkin["inner"]["parentId"] == zipkin["outer"]["id"] == outer.span_id
    assert (zipkin["outer"]["kind"], zipkin["inner"]["kind"]) == ("SERVER", "CLIENT")
    assert zipkin["outer"]["localEndpoint"] == {"serviceName": "census", "ipv4": "10.0.0.1", "port": port}
    assert zipkin["outer"]["tags"] == {"text": "t", "number": "5", "flag": "True"}
    assert [annotation["value"] for annotation in zipkin["outer"]["annotations"]] == ["something happened"]
    own = own_trace(server, trace_id)
    assert own["outer"]["service"] == "census"
    assert own["outer"]["kind"] == "server"
    assert own_attributes(own["outer"])["number"] == "5"
    assert [event["name"] for event in own["outer"]["events"]] == ["something happened"]


@pytest.mark.parametrize("encoding", [Encoding.V2_JSON, Encoding.V2_PROTO3])
@pytest.mark.parametrize("is_128_bit", [False, True])
def test_py_zipkin_spans_are_kept(server, encoding, is_128_bit):
    # Both encodings and both id widths give the same trace; the remote endpoint and the annotations are kept.
    content_type = "application/x-protobuf" if encoding is Encoding.V2_PROTO3 else "application/json"

    def transport(body):
        body = body.encode() if isinstance(body, str) else body
        answer = server.http.post(server.url("zipkin", "/api/v2/spans"), body, headers={"content-type": content_type}, timeout=30)
        assert answer.status_code == 202, answer.text

    attributes = create_attrs_for_span(sample_rate=100.0, use_128bit_trace_id=is_128_bit)
    name = f"handle {encoding.name} {is_128_bit}"
    with zipkin_span("yelp", name, transport_handler=transport, zipkin_attrs=attributes, port=8080, host="10.1.2.3",
                     kind=Kind.SERVER, encoding=encoding, binary_annotations={"tag": "v"}, annotations={"note": time.time()}):
        with zipkin_client_span("yelp", "call") as call:
            call.add_sa_binary_annotation(5432, "database", "10.9.9.9")
    zipkin = zipkin_trace(server, attributes.trace_id)
    server_span = zipkin[name.lower()]
    assert int(server_span["traceId"], 16) == int(attributes.trace_id, 16)
    assert server_span["id"] == attributes.span_id
    assert server_span["localEndpoint"] == {"serviceName": "yelp", "ipv4": "10.1.2.3", "port": 8080}
    assert server_span["tags"]["tag"] == "v"
    assert "note" in [annotation["value"] for annotation in server_span["annotations"]]
    assert zipkin["call"]["remoteEndpoint"] == {"serviceName": "database", "ipv4": "10.9.9.9", "port": 5432}
    assert zipkin["call"]["parentId"] == server_span["id"]
    own = own_trace(server, attributes.trace_id.zfill(32))
    assert own[name.lower()]["service"] == "yelp"
    assert own["call"]["kind"] == "client"


def test_the_opentelemetry_zipkin_exporter_is_kept(server):
    # Spans of the OpenTelemetry SDK sent as Zipkin JSON: absent kinds, parents, tags and events arrive.
    exporter = OpenTelemetryExporter(endpoint=server.url("zipkin", "/api/v2/spans"))
    sent = rich_trace.send(exporter, nested=False)
    own = own_trace(server, sent.trace_id)
    assert sorted(own) == sorted(name.lower() for name in sent.spans)
    for name, span in sent.spans.items():
        wanted, found = rich_trace.expected_span(span), own[name.lower()]
        assert found["span_id"] == wanted["span_id"]
        assert found["parent_span_id"] == wanted["parent_span_id"]
        assert found["service"] == rich_trace.SERVICE
        assert [event["name"] for event in found["events"]] or not wanted["events"]
    attributes = own_attributes(own["post /orders"])
    assert attributes["string"] == "text"
    assert attributes["int largest"] == str(2**63 - 1)
    assert own["charge"]["status"]["code"] == "error"


def now_us() -> int:
    return time.time_ns() // 1000


def post_json(server, spans: list):
    answer = server.http.post(server.url("zipkin", "/api/v2/spans"), json=spans, timeout=30)
    assert answer.status_code == 202, answer.text
    assert answer.content == b""


def test_zipkins_own_form_comes_back_as_it_was_sent(server):
    # Everything that Zipkin's model has survives the way through ours: both endpoints, shared, debug, annotations, tags.
    trace_id = uuid.uuid4().hex
    span = {
        "traceId": trace_id,
        "id": "00000000000000a1",
        "parentId": "00000000000000a0",
        "kind": "PRODUCER",
        "name": "send",
        "timestamp": now_us(),
        "duration": 1500,
        "debug": True,
        "shared": True,
        "localEndpoint": {"serviceName": "front", "ipv4": "192.168.99.1", "port": 3306},
        "remoteEndpoint": {"serviceName": "kafka", "ipv6": "2001:db8::c001", "port": 9092},
        "annotations": [{"timestamp": now_us(), "value": "brave.flush"}, {"timestamp": now_us() + 1, "value": "ws"}],
        "tags": {"http.path": "/api", "empty": "", "<b>": "markup"},
    }
    post_json(server, [span])
    (found,) = server.get(f"/api/v2/trace/{trace_id}", port="zipkin")
    assert found == span


def test_a_shared_span_keeps_both_sides(server):
    # Client and server may use one span id: both halves are stored, neither replaces the other.
    trace_id = "48485a3953bb6124"
    client = {"traceId": trace_id, "id": "1", "kind": "CLIENT", "name": "get", "timestamp": now_us(), "duration": 900,
              "localEndpoint": {"serviceName": "left"}}
    other = dict(client, kind="SERVER", shared=True, localEndpoint={"serviceName": "right"}, duration=500)
    post_json(server, [client])
    post_json(server, [other])
    found = server.get(f"/api/v2/trace/{trace_id}", port="zipkin")
    assert sorted(span["localEndpoint"]["serviceName"] for span in found) == ["left", "right"]
    assert len(server.get(f"/api/traces/{trace_id.zfill(32)}")["spans"]) == 2


def test_short_ids_and_minimal_spans_are_taken(server):
    # A span of two ids is legal; a 64-bit trace id is found by its short and its long form.
    trace_id = uuid.uuid4().hex[16:]
    post_json(server, [{"traceId": trace_id, "id": "2b", "timestamp": now_us()}])
    for asked in [trace_id, trace_id.zfill(32)]:
        assert len(server.get(f"/api/v2/trace/{asked}", port="zipkin")) == 1


def test_zipkins_questions_are_answered(server):
    # What Zipkin's page asks: services, span names, remote services, traces with its filters, several traces at once.
    stamp = now_us()
    ids = [uuid.uuid4().hex for _ in range(3)]
    spans = [
        {"traceId": trace_id, "id": f"{number + 1:016x}", "name": f"work-{number}", "kind": "CLIENT", "timestamp": stamp,
         "duration": 1000 * (number + 1), "localEndpoint": {"serviceName": "asked"},
         "remoteEndpoint": {"serviceName": "remote"}, "tags": {"number": str(number), "error": "bad"} if number else {}}
        for number, trace_id in enumerate(ids)
    ]
    post_json(server, spans)

    def search(**parameters):
        found = server.get("/api/v2/traces", port="zipkin", serviceName="asked", **parameters)
        return sorted(ids.index(trace[0]["traceId"]) for trace in found)

    assert "asked" in server.get("/api/v2/services", port="zipkin")
    assert server.get("/api/v2/spans", port="zipkin", serviceName="asked") == ["work-0", "work-1", "work-2"]
    assert server.get("/api/v2/remoteServices", port="zipkin", serviceName="asked") == ["remote"]
    assert search() == [0, 1, 2]
    assert search(spanName="work-1") == [1]
    assert search(minDuration=2000) == [1, 2]
    assert search(minDuration=1500, maxDuration=2500) == [1]
    assert search(annotationQuery="error and number=2") == [2]
    assert search(endTs=stamp // 1000 - 3_600_000, lookback=60_000) == []
    assert len(search(limit=2)) == 2
    many = server.get("/api/v2/traceMany", port="zipkin", traceIds=",".join(ids[:2]))
    assert sorted(trace[0]["traceId"] for trace in many) == sorted(ids[:2])
    assert isinstance(server.get("/api/v2/dependencies", port="zipkin", endTs=stamp // 1000 + 1000, lookback=60_000), list)
    missing = server.http.get(server.url("zipkin", f"/api/v2/trace/{uuid.uuid4().hex}"), timeout=30)
    assert missing.status_code == 404


def test_gzip_is_understood(server):
    # Zipkin's Java senders compress.
    trace_id = uuid.uuid4().hex
    body = gzip.compress(json.dumps([{"traceId": trace_id, "id": "1", "timestamp": now_us()}]).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = server.http.post(server.url("zipkin", "/api/v2/spans"), body, headers=headers, timeout=30)
    assert answer.status_code == 202
    assert len(server.get(f"/api/v2/trace/{trace_id}", port="zipkin")) == 1
