"""The OpenTelemetry SDK's metrics, which most programs send unasked: taken without an error over both transports."""

import logging

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader


def counted(server) -> int:
    exposition = server.http.get(server.url("api", "/metrics"), timeout=30).text
    lines = [line for line in exposition.splitlines() if line.startswith("longspan_dropped_metric_points_total{")]
    return sum(int(line.split()[-1]) for line in lines)


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_metrics_are_no_error(server, caplog, transport):
    # Every kind of instrument is exported without a word of complaint, and its points are counted.
    address = server.address(f"otlp_{transport}")
    exporter = GrpcExporter(endpoint=address, insecure=True) if transport == "grpc" else HttpExporter(f"http://{address}/v1/metrics")
    before = counted(server)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider([reader])
    meter = provider.get_meter("shop")
    meter.create_counter("orders").add(1)
    meter.create_up_down_counter("open").add(2)
    meter.create_histogram("messaging.process.duration").record(0.5)
    meter.create_gauge("level").set(3)
    with caplog.at_level(logging.WARNING):
        assert provider.force_flush()
        provider.shutdown()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text
    assert counted(server) - before >= 4
