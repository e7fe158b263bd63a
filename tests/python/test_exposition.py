"""What monitoring systems read, by Prometheus's own parser."""

import time
import uuid

from prometheus_client.openmetrics.parser import text_string_to_metric_families

WAIT_LIMIT_SECONDS = 20
MESSAGES = 20
# Text that would break a document in which it is not escaped.
ODD = 'odd "name"\nwith \\ and {braces}'


def attribute(key: str, value: str) -> dict:
    return {"key": key, "value": {"stringValue": value}}


def span(service: str, trace: int, number: int, kind: int, name: str, start: int, link=None, operation=None) -> dict:
    """A span of OTLP JSON with its resource."""
    ids = {"traceId": f"{trace:032x}", "spanId": f"{number:016x}"}
    messaging = [attribute("messaging.system", "kafka"), attribute("messaging.destination.name", ODD),
                 attribute("messaging.operation.type", operation)]
    return {
        "resource": {"attributes": [attribute("service.name", service)]},
        "scopeSpans": [{"spans": [{
            **ids, "name": name, "kind": kind, "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 3_000_000),
            "links": [{"traceId": f"{link[0]:032x}", "spanId": f"{link[1]:016x}"}] if link else [],
            "attributes": messaging if operation else [],
        }]}],
    }


def families(server) -> dict:
    text = server.http.get(server.url("api", "/metrics"), timeout=30).text
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(found: dict, family: str, suffix: str, **labels) -> list:
    samples = found[family].samples if family in found else []
    return [sample.value for sample in samples
            if sample.name == family + suffix and labels.items() <= sample.labels.items()]


def test_metrics_are_read_by_prometheus(server):
    # Guarantees that the whole document is valid OpenMetrics for Prometheus's own parser, with labels of any text, and that waits, the
    # service graph over links and span metrics have the figures of what was sent.
    base, now = uuid.uuid4().int >> 8, time.time_ns() - 5_000_000_000
    spans = []
    for number in range(1, MESSAGES + 1):
        sent = now + number * 1_000_000
        spans.append(span("shop", base + number, 1, 4, "send", sent, operation="send"))
        spans.append(span("mail", base + 1_000 + number, 2, 5, "work", sent + 43_000_000, (base + number, 1), "process"))
    answer = server.http.post(server.url("otlp_http", "/v1/traces"), json={"resourceSpans": spans}, timeout=30)
    assert answer.status_code == 200, answer.text
    group = {"messaging_system": "kafka", "messaging_destination_name": ODD, "messaging_consumer_group_name": "mail"}
    deadline = time.monotonic() + WAIT_LIMIT_SECONDS
    while True:
        found = families(server)
        if values(found, "longspan_queue_wait_seconds", "_count", **group) == [MESSAGES]:
            break
        assert time.monotonic() < deadline, sorted(found)
    assert abs(values(found, "longspan_queue_wait_seconds", "_sum", **group)[0] - MESSAGES * 0.04) < 1e-6
    assert values(found, "longspan_queue_wait_seconds", "_bucket", **group, le="0.025") == [0]
    assert values(found, "longspan_queue_wait_seconds", "_bucket", **group, le="0.05") == [MESSAGES]
    pair = {"client": "shop", "server": "mail", "connection_type": "messaging_system"}
    assert values(found, "traces_service_graph_request", "_total", **pair) == [MESSAGES]
    assert values(found, "traces_service_graph_request_failed", "_total", **pair) == [0]
    for end in ["client", "server"]:
        assert values(found, f"traces_service_graph_request_{end}_seconds", "_bucket", **pair, le="0.004") == [MESSAGES]
    series = {"service": "mail", "span_name": "work", "span_kind": "SPAN_KIND_CONSUMER", "status_code": "STATUS_CODE_UNSET"}
    assert values(found, "traces_spanmetrics_calls", "_total", **series) == [MESSAGES]
    assert values(found, "traces_spanmetrics_latency", "_bucket", **series, le="+Inf") == [MESSAGES]
    assert found["longspan_in_flight_messages"].type == "gauge"
