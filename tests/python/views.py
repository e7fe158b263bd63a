"""Answers of the APIs that keep everything, in one neutral form: our own, and Jaeger's v3, which is OTLP as JSON."""

import base64

KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"]
STATUSES = ["unset", "ok", "error"]


def own(trace: dict) -> dict:
    """`GET /api/traces/{id}` → span name → neutral span."""
    return {span["name"]: _own_span(trace, span) for span in trace["spans"]}


def _own_span(trace: dict, span: dict) -> dict:
    scope = trace["scopes"][span["scope"]]
    resource = trace["resources"][scope["resource"]]
    return {
        "span_id": span["span_id"],
        "parent_span_id": span["parent_span_id"],
        "name": span["name"],
        "kind": span["kind"],
        "start_unix_nano": int(span["start_unix_nano"]),
        "duration_ns": span["duration_ns"],
        "status": (span["status"]["code"], span["status"]["message"] or ""),
        "trace_state": span["trace_state"] or "",
        "attributes": _own_attributes(span),
        "events": [(int(event["time_unix_nano"]), event["name"], _own_attributes(event)) for event in span["events"]],
        "links": [
            (link["trace_id"], link["span_id"], link["trace_state"] or "", _own_attributes(link))
            for link in span["links"]
        ],
        "scope": (scope["name"], scope["version"], _own_attributes(scope)),
        "resource": _own_attributes(resource),
        "schema_urls": (resource["schema_url"], scope["schema_url"]),
    }


def _own_attributes(owner: dict) -> dict:
    found = {}
    for attribute in owner["attributes"]:
        assert attribute["key"] not in found, f"a key is there twice: {attribute}"
        value = attribute["value"]
        found[attribute["key"]] = (attribute["type"], base64.b64decode(value) if attribute["type"] == "bytes" else value)
    return found


def otlp_json(answer: dict) -> dict:
    """`{"result": {"resourceSpans": …}}` → span name → neutral span."""
    spans = {}
    for resource_spans in answer["result"]["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                assert span["name"] not in spans, f"a span is there twice: {span}"
                spans[span["name"]] = _otlp_span(resource_spans, scope_spans, span)
    return spans


def _otlp_span(resource_spans: dict, scope_spans: dict, span: dict) -> dict:
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    status = span.get("status", {})
    scope = scope_spans.get("scope", {})
    return {
        "span_id": span["spanId"],
        "parent_span_id": span.get("parentSpanId") or None,
        "name": span["name"],
        "kind": KINDS[span.get("kind", 0)],
        "start_unix_nano": start,
        "duration_ns": end - start,
        "status": (STATUSES[status.get("code", 0)], status.get("message", "")),
        "trace_state": span.get("traceState", ""),
        "attributes": otlp_attributes(span),
        "events": [
            (int(event["timeUnixNano"]), event.get("name", ""), otlp_attributes(event)) for event in span.get("events", [])
        ],
        "links": [
            (link["traceId"], link["spanId"], link.get("traceState", ""), otlp_attributes(link))
            for link in span.get("links", [])
        ],
        "scope": (scope.get("name", ""), scope.get("version", ""), otlp_attributes(scope)),
        "resource": otlp_attributes(resource_spans.get("resource", {})),
        "schema_urls": (resource_spans.get("schemaUrl", ""), scope_spans.get("schemaUrl", "")),
    }


def otlp_attributes(owner: dict) -> dict:
    return {attribute["key"]: otlp_typed(attribute.get("value", {})) for attribute in owner.get("attributes", [])}


def otlp_typed(value: dict):
    """An OTLP JSON `AnyValue` as type and value, as our own API shows it."""
    match value:
        case {"stringValue": text}:
            return "string", text
        case {"boolValue": flag}:
            return "bool", flag
        case {"intValue": number}:
            return "int", str(number)
        case {"doubleValue": number}:
            return "double", number
        case {"bytesValue": text}:
            return "bytes", base64.b64decode(text)
        case {"arrayValue": _}:
            return "array", otlp_plain(value)
        case {"kvlistValue": _}:
            return "map", otlp_plain(value)
        case _:
            return "empty", None


def otlp_plain(value: dict):
    """An OTLP JSON `AnyValue` as plain JSON."""
    match value:
        case {"arrayValue": array}:
            return [otlp_plain(item) for item in array.get("values", [])]
        case {"kvlistValue": entries}:
            return {entry["key"]: otlp_plain(entry.get("value", {})) for entry in entries.get("values", [])}
        case {"intValue": number}:
            return int(number)
        case _:
            return otlp_typed(value)[1]
