"""Real clients of former years: OpenTracing's Jaeger client, OpenTelemetry's Jaeger exporters, Zipkin v1, OpenCensus, X-Ray.

Each runs as a program of its own, in an environment of its own (`older/`), and prints what it sent.
"""

import json
import os
import pathlib
import subprocess
import time

import pytest

HERE = pathlib.Path(__file__).parent
PYTHON = os.environ.get("LONGSPAN_OLDER_PYTHON") or HERE.parents[1] / ".test-env/python-older/bin/python"
RUN_LIMIT_SECONDS = 60
# Nothing answers a datagram: what was sent is looked for until it is there.
ARRIVAL_LIMIT_SECONDS = 20


def run(program: str, *arguments: str) -> str:
    """The last line that a client prints."""
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run([PYTHON, HERE / "older" / program, *arguments], capture_output=True, text=True, env=environment,
                          timeout=RUN_LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def trace(server, trace_id: str, spans: int) -> dict:
    """A trace of so many spans, by span name, each with its attributes as a dictionary and its resource."""
    deadline = time.monotonic() + ARRIVAL_LIMIT_SECONDS
    while True:
        answer = server.http.get(server.url("api", f"/api/traces/{trace_id}"), timeout=30)
        if answer.status_code == 200 and len(answer.json()["spans"]) >= spans:
            break
        assert time.monotonic() < deadline, f"{trace_id}: {answer.text[:500]}"
        time.sleep(0.02)
    found = answer.json()
    assert len(found["spans"]) == spans
    for span in found["spans"]:
        span["scope"] = found["scopes"][span["scope"]]
        span["resource"] = plain(found["resources"][span["scope"]["resource"]]["attributes"])
        span["attributes"] = plain(span["attributes"])
        for part in span["events"] + span["links"]:
            part["attributes"] = plain(part["attributes"])
    return {span["name"]: span for span in found["spans"]}


def plain(attributes: list) -> dict:
    return {attribute["key"]: attribute["value"] for attribute in attributes}


def test_opentracing_over_udp(server):
    # jaeger-client as it comes: it is told to record everything, and what it sends in datagrams is kept with FOLLOWS_FROM as a link.
    host, port = server.address("jaeger_compact").split(":")
    sent = json.loads(run("jaeger_client_udp.py", host, port, server.address("jaeger_sampling").split(":")[1]))
    spans = trace(server, sent["trace_id"], 3)
    root, producer, consumer = spans["POST /orders"], spans["send orders"], spans["process orders"]
    assert [span["span_id"] for span in (root, producer, consumer)] == [sent["root"], sent["producer"], sent["consumer"]]
    assert [span["kind"] for span in (root, producer, consumer)] == ["server", "producer", "consumer"]
    assert producer["parent_span_id"] == sent["root"]
    assert root["service"] == "opentracing-shop"
    assert root["resource"]["deployment"] == "test"
    assert (root["attributes"]["flag"], root["attributes"]["ratio"]) == (True, 0.5)
    assert producer["attributes"]["message_bus.destination"] == "orders"
    (link,) = consumer["links"]
    assert (link["trace_id"], link["span_id"]) == (sent["trace_id"], sent["producer"])
    assert link["attributes"] == {"opentracing.ref_type": "follows_from"}
    assert consumer["status"]["code"] == "error"
    (event,) = consumer["events"]
    assert (event["name"], event["attributes"]) == ("error", {"message": "out of stock", "stack": "a\nb"})


@pytest.mark.parametrize("way", ["agent", "collector", "grpc"])
def test_the_opentelemetry_jaeger_exporters(server, way):
    # The same spans through the agent's datagrams, the collector's HTTP and its gRPC: kinds, status, types, links, events, scope.
    address = {
        "agent": server.address("jaeger_compact").split(":"),
        "collector": [server.url("jaeger_http", "/api/traces?format=jaeger.thrift")],
        "grpc": [server.address("jaeger_grpc")],
    }[way]
    spans = trace(server, run("otel_jaeger.py", way, *address), 2)
    process, charge = spans["process"], spans["charge"]
    assert process["service"] == f"otel-jaeger-{way}"
    assert (process["kind"], charge["kind"]) == ("consumer", "client")
    assert charge["parent_span_id"] == process["span_id"]
    assert charge["status"] == {"code": "error", "message": "card declined"}
    kept = {key: process["attributes"][key] for key in ("string", "int", "double", "bool")}
    assert kept == {"string": "text", "int": "42", "double": 2.5, "bool": True}
    assert (process["scope"]["name"], process["scope"]["version"]) == ("shop.orders", "0.9.1")
    (link,) = process["links"]
    assert (link["trace_id"], link["span_id"]) == ("0123456789abcdef0123456789abcdef", "1122334455667788")
    (event,) = process["events"]
    assert (event["name"], event["attributes"]) == ("validated", {"items": "3"})


@pytest.mark.parametrize("encoding", ["V1_THRIFT", "V1_JSON"])
def test_zipkin_v1(server, encoding):
    # py-zipkin in both encodings of v1: a server span and the client span below it, with endpoints, tags and annotations.
    spans = trace(server, run("py_zipkin_v1.py", server.url("zipkin", "/api/v1/spans"), encoding), 2)
    handle, call = spans["handle"], spans["call"]
    assert (handle["kind"], call["kind"]) == ("server", "client")
    assert handle["resource"] == {"service.name": "yelp", "network.local.address": "10.1.2.3", "network.local.port": "8080"}
    assert handle["attributes"]["tag"] == "v"
    assert [event["name"] for event in handle["events"]] == ["note"]
    assert call["parent_span_id"] == handle["span_id"]
    remote = {key: call["attributes"][key] for key in ("peer.service", "network.peer.address", "network.peer.port")}
    assert remote == {"peer.service": "database", "network.peer.address": "10.9.9.9", "network.peer.port": "5432"}


def test_the_opencensus_agents_stream(server):
    # opencensus-ext-ocagent: the node, kinds, status, types, annotations and links over the stream, with the node said once.
    spans = trace(server, run("ocagent.py", server.address("opencensus")), 2)
    outer, inner = spans["outer"], spans["inner"]
    assert (outer["kind"], inner["kind"]) == ("server", "client")
    assert inner["parent_span_id"] == outer["span_id"]
    assert inner["status"] == {"code": "error", "message": "not there"}
    assert outer["service"] == "census-agent"
    assert outer["resource"]["telemetry.sdk.language"] == "python"
    assert outer["attributes"] == {"text": "t", "number": "5", "flag": True, "ratio": 0.5}
    (event,) = outer["events"]
    assert (event["name"], event["attributes"]) == ("something happened", {"detail": "d", "count": "3"})
    (link,) = outer["links"]
    assert (link["trace_id"], link["span_id"]) == ("0123456789abcdef0123456789abcdef", "1122334455667788")


def test_the_xray_sdk(server):
    # aws-xray-sdk as it comes: its centralised sampler is content, and a segment whose subsegments are sent before it is whole.
    sent = json.loads(run("xray_sdk.py", server.address("xray")))
    spans = trace(server, sent["trace_id"][2:].replace("-", ""), 8)
    root, sqs, charge = spans["xray-shop"], spans["sqs"], spans["charge"]
    assert (root["span_id"], root["kind"], root["service"]) == (sent["root"], "server", "xray-shop")
    assert {span["parent_span_id"] for span in spans.values() if span is not root} == {sent["root"]}
    kept = {key: root["attributes"][key] for key in ("enduser.id", "order_id", "http.request.method", "http.response.status_code")}
    assert kept == {"enduser.id": "u-7", "order_id": "42", "http.request.method": "POST", "http.response.status_code": "500"}
    assert root["attributes"]["aws.xray.metadata.shop"] == {"cart": {"items": [1, 2]}}
    assert root["status"]["code"] == "error"
    assert (sqs["kind"], charge["kind"], spans["step 0"]["kind"]) == ("producer", "client", "internal")
    message = {key: sqs["attributes"][f"messaging.{key}"] for key in ("system", "operation.type", "destination.name", "message.id")}
    assert message == {"system": "aws_sqs", "operation.type": "send", "destination.name": "orders", "message.id": "m-1"}
    (event,) = charge["events"]
    assert (event["name"], event["attributes"]["exception.type"]) == ("exception", "ValueError")
