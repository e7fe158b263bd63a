"""The Python SDK's logs, sent with its exporters from the standard library's logging, read back by everything they have."""

import logging

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

EXPORTERS = {
    "grpc": lambda server: GrpcExporter(endpoint=server.address("otlp_grpc"), insecure=True),
    "grpc gzip": lambda server: GrpcExporter(
        endpoint=server.address("otlp_grpc"), insecure=True, compression=grpc.Compression.Gzip),
    "http": lambda server: HttpExporter(endpoint=server.url("otlp_http", "/v1/logs")),
    "http gzip": lambda server: HttpExporter(
        endpoint=server.url("otlp_http", "/v1/logs"), compression=Compression.Gzip),
}


@pytest.mark.parametrize("name", EXPORTERS)
def test_what_a_program_logs_is_found(server, name):
    # A warning logged within a span is found by the span's trace, with severity, text, attributes and service as they were.
    service = f"python logs {name}"
    provider = LoggerProvider(resource=Resource.create({"service.name": service}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(EXPORTERS[name](server)))
    logger = logging.getLogger(f"shop.{name}")
    logger.propagate = False
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    with TracerProvider().get_tracer("shop").start_as_current_span("order") as span:
        logger.warning("order %s is late: größer als erwartet", 42, extra={"order.id": "o-42", "tries": 3})
        context = span.get_span_context()
    logger.error("outside of every trace")
    provider.shutdown()
    logger.removeHandler(handler)

    trace_id = f"{context.trace_id:032x}"
    [found] = server.get("/api/logs", trace_id=trace_id)["items"]
    assert found["body"] == "order 42 is late: größer als erwartet"
    assert (found["severity"], found["severity_text"], found["service"]) == ("warn", "WARN", service)
    assert (found["trace_id"], found["span_id"]) == (trace_id, f"{context.span_id:016x}")
    assert found["trace_id_from"] == "record"
    attributes = {pair["key"]: (pair["type"], pair["value"]) for pair in found["attributes"]}
    assert attributes["order.id"] == ("string", "o-42")
    assert attributes["tries"] == ("int", "3")
    of_service = server.get("/api/logs", service=service)["items"]
    assert [item["body"] for item in of_service] == ["outside of every trace", found["body"]]
    assert server.get("/api/logs", service=service, q='"is late" order.id=o-42')["items"] == [found]
    assert server.get("/api/logs", service=service, severity="error")["items"][0]["trace_id"] is None
