"""What every recorded scene begins with: a tracer whose spans go to the sink that record.py opened, as a service of its own."""

import contextlib
import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

BROKER = os.environ.get("RECORDING_BROKER", "")


@contextlib.contextmanager
def recording(library):
    """Yields a tracer; everything is exported when the block ends."""
    provider = TracerProvider(resource=Resource({"service.name": library}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["RECORDING_SINK"])))
    trace.set_tracer_provider(provider)
    try:
        yield trace.get_tracer("scene")
    finally:
        provider.shutdown()
