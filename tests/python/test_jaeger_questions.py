"""What Jaeger's page and Grafana ask: services, operations, search, summaries and dependencies, legacy and v3."""

import datetime
import json
import time

import pytest

MILLISECOND_NS = 1_000_000
TRACES = 5


def rfc3339(unix_nano: int) -> str:
    instant = datetime.datetime.fromtimestamp(unix_nano / 1e9, datetime.timezone.utc)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def span(number: int, span_number: int, parent: int, name: str, kind: int, start: int, duration_ms: int, **attributes):
    text = [{"key": key.replace("_", "."), "value": {"stringValue": value}} for key, value in attributes.items()]
    return {
        "traceId": f"{0x1A6E0 + number:032x}",
        "spanId": f"{span_number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + duration_ms * MILLISECOND_NS),
        "attributes": text,
        "status": {"code": 2} if attributes.get("outcome") == "failed" else {},
    }


def resource_spans(service: str, spans: list) -> dict:
    return {
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"spans": spans}],
    }


@pytest.fixture(scope="module")
def traces(server):
    """Five traces of two services; trace n takes (n+1)·100 ms and starts n s after the first; the last one fails."""
    base = time.time_ns() - 60_000 * MILLISECOND_NS
    request = {"resourceSpans": []}
    for number in range(TRACES):
        start = base + number * 1000 * MILLISECOND_NS
        outcome = "failed" if number == TRACES - 1 else "fine"
        front = span(number, 1, 0, "GET /cart", 2, start, 100 * (number + 1), user_id=str(number))
        back = span(number, 2, 1, "SELECT cart", 3, start + MILLISECOND_NS, 50, outcome=outcome)
        request["resourceSpans"] += [resource_spans("jaeger-front", [front]), resource_spans("jaeger-back", [back])]
    answer = server.http.post(server.url("otlp_http", "/v1/traces"), json=request, timeout=30)
    assert answer.status_code == 200, answer.text
    return base


def test_services_and_operations(server, traces):
    # Both generations name the same services and operations.
    legacy = server.get("/jaeger/api/services")["data"]
    assert {"jaeger-front", "jaeger-back"} <= set(legacy)
    assert {"jaeger-front", "jaeger-back"} <= set(server.get("/jaeger/api/v3/services")["services"])
    assert server.get("/jaeger/api/services/jaeger-front/operations")["data"] == ["GET /cart"]
    wanted = [{"name": "SELECT cart", "spanKind": "client"}]
    assert server.get("/jaeger/api/operations", service="jaeger-back")["data"] == wanted
    assert server.get("/jaeger/api/operations", service="jaeger-back", spanKind="server")["data"] == []
    assert server.get("/jaeger/api/v3/operations", service="jaeger-back")["operations"] == wanted


def legacy_search(server, **parameters) -> list:
    found = server.get("/jaeger/api/traces", service="jaeger-front", **parameters)["data"]
    return sorted(int(trace["traceID"], 16) - 0x1A6E0 for trace in found)


def test_the_legacy_search(server, traces):
    # Service, operation, tags in both spellings, durations, time range in microseconds, limit; whole traces come back.
    window = {"start": traces // 1000, "end": time.time_ns() // 1000}
    assert legacy_search(server, **window) == [0, 1, 2, 3, 4]
    assert legacy_search(server, **window, operation="GET /cart") == [0, 1, 2, 3, 4]
    assert legacy_search(server, **window, operation="nothing") == []
    assert legacy_search(server, **window, tags=json.dumps({"user.id": "3"})) == [3]
    assert legacy_search(server, **window, tag="user.id:2") == [2]
    assert legacy_search(server, **window, minDuration="250ms") == [2, 3, 4]
    assert legacy_search(server, **window, minDuration="250ms", maxDuration="0.35s") == [2]
    assert legacy_search(server, start=traces // 1000 + 2_500_000, end=traces // 1000 + 3_500_000) == [3]
    assert legacy_search(server, **window, limit=2) == [3, 4]
    (trace,) = server.get("/jaeger/api/traces", service="jaeger-front", tag="user.id:2", **window)["data"]
    assert len(trace["spans"]) == 2
    assert {process["serviceName"] for process in trace["processes"].values()} == {"jaeger-front", "jaeger-back"}


def v3_parameters(traces: int, **more) -> dict:
    times = {"query.startTimeMin": rfc3339(traces - MILLISECOND_NS), "query.startTimeMax": rfc3339(time.time_ns())}
    return {"query.serviceName": "jaeger-front", **times, **more}


def test_the_v3_search(server, traces):
    # The same questions in v3's spelling; the answer is OTLP.
    def search(**more) -> list:
        answer = server.get("/jaeger/api/v3/traces", **v3_parameters(traces, **more))
        ids = {
            found["traceId"]
            for resource in answer["result"]["resourceSpans"]
            for scope in resource["scopeSpans"]
            for found in scope["spans"]
        }
        return sorted(int(trace_id, 16) - 0x1A6E0 for trace_id in ids)

    assert search() == [0, 1, 2, 3, 4]
    assert search(**{"query.durationMin": "250ms"}) == [2, 3, 4]
    assert search(**{"query.attributes": json.dumps({"user.id": "1"})}) == [1]
    assert search(**{"query.searchDepth": 2}) == [3, 4]


def test_the_v3_summaries(server, traces):
    # One line per trace with roots, times and counts per service.
    answer = server.get("/jaeger/api/v3/trace-summaries", **v3_parameters(traces))
    summaries = {int(summary["traceId"], 16) - 0x1A6E0: summary for summary in answer["summaries"]}
    assert sorted(summaries) == [0, 1, 2, 3, 4]
    last = summaries[4]
    assert (last["rootServiceName"], last["rootOperationName"]) == ("jaeger-front", "GET /cart")
    assert (last["spanCount"], last["errorSpanCount"]) == (2, 1)
    start = traces + 4000 * MILLISECOND_NS
    assert int(last["minStartTimeUnixNano"]) == start
    assert int(last["maxEndTimeUnixNano"]) == start + 500 * MILLISECOND_NS
    services = {service["name"]: (service["spanCount"], service["errorSpanCount"]) for service in last["services"]}
    assert services == {"jaeger-front": (1, 0), "jaeger-back": (1, 1)}


def test_dependencies(server, traces):
    # Who calls whom, and how often.
    edges = server.get("/jaeger/api/dependencies", endTs=time.time_ns() // MILLISECOND_NS, lookback=3_600_000)["data"]
    assert {"parent": "jaeger-front", "child": "jaeger-back", "callCount": TRACES} in [
        {key: edge[key] for key in ("parent", "child", "callCount")} for edge in edges
    ]


def test_unknown_traces_and_wrong_questions(server, traces):
    # Jaeger's own error forms: 404 with an errors list for an unknown trace, 400 for what cannot be read.
    missing = server.http.get(server.url("api", f"/jaeger/api/traces/{0xDEAD:032x}"), timeout=30)
    assert missing.status_code == 404
    assert missing.json()["errors"][0]["msg"]
    for question in ["limit=x", "minDuration=long", "start=yesterday", "tags={"]:
        answer = server.http.get(server.url("api", f"/jaeger/api/traces?service=jaeger-front&{question}"), timeout=30)
        assert answer.status_code == 400, question
        assert answer.json()["errors"][0]["msg"], question
    assert server.http.get(server.url("api", f"/jaeger/api/v3/traces/{0xDEAD:032x}"), timeout=30).status_code == 404
