"""OTLP/gRPC as its specification says it, with exact bytes on a real channel."""

import concurrent.futures
import time

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LIMIT_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def channel(server):
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(server.address("otlp_grpc"), options) as channel:
        yield channel


def export(channel, body: bytes, method=EXPORT, **options) -> ExportTraceServiceResponse:
    return channel.unary_unary(method, lambda bytes: bytes, ExportTraceServiceResponse.FromString)(body, timeout=30, **options)


def refusal(channel, body: bytes, method=EXPORT, **options) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        export(channel, body, method, **options)
    return raised.value


def request(trace_number: int, spans=1) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope_spans = request.resource_spans.add().scope_spans.add()
    for number in range(spans):
        span = scope_spans.spans.add()
        span.trace_id = trace_number.to_bytes(16, "big")
        span.span_id = (number + 1).to_bytes(8, "big")
        span.name = f"span {number}"
        span.start_time_unix_nano = span.end_time_unix_nano = time.time_ns()
    return request


def test_success_has_no_partial_success(channel):
    # A full success is an empty response; so is the answer to an empty request.
    assert not export(channel, request(0xA1).SerializeToString()).HasField("partial_success")
    assert not export(channel, b"").HasField("partial_success")


def test_spans_with_invalid_ids_are_a_partial_success(server, channel):
    # The good ones are stored, the bad ones counted and explained.
    mixed = request(0xA2, spans=3)
    mixed.resource_spans[0].scope_spans[0].spans[0].trace_id = bytes(16)
    mixed.resource_spans[0].scope_spans[0].spans[1].span_id = b"short"
    partial = export(channel, mixed.SerializeToString()).partial_success
    assert partial.rejected_spans == 2
    assert partial.error_message
    assert server.get(f"/api/traces/{0xA2:032x}")["span_count"] == 1


def test_bytes_that_are_no_request_are_an_invalid_argument(channel):
    # Broken protobuf is the sender's error and not retryable: no client sends it for ever.
    whole = request(0xA3).SerializeToString()
    for body in [b"\xff" * 50, whole[:-3], b"\x0a\xff\xff\xff\xff\x0f"]:
        assert refusal(channel, body).code() == grpc.StatusCode.INVALID_ARGUMENT


def test_too_large_a_request_is_refused_for_good(channel):
    # Over the limit is RESOURCE_EXHAUSTED without a hint to retry: sending it again would not help.
    error = refusal(channel, b"\x0a" + bytes(LIMIT_BYTES + 1024))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = [entry.key for entry in error.trailing_metadata() or ()]
    assert "google.rpc.retryinfo-bin" not in trailers


def test_a_bomb_is_refused(server, channel):
    # A small compressed message that unfolds past the limit is refused like a large one.
    error = refusal(channel, bytes(4 * LIMIT_BYTES), compression=grpc.Compression.Gzip)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not export(channel, request(0xA4).SerializeToString()).HasField("partial_success")


def test_a_large_request_within_the_limit_is_taken(server, channel):
    # Some SDKs send megabytes at once: the usual 4 MiB bound of gRPC servers does not apply.
    large = request(0xA5, spans=50)
    for span in large.resource_spans[0].scope_spans[0].spans:
        attribute = span.attributes.add()
        attribute.key, attribute.value.string_value = "filler", "x" * 200_000
    export(channel, large.SerializeToString())
    assert server.get(f"/api/traces/{0xA5:032x}")["span_count"] == 50


def test_unknown_methods_are_unimplemented(channel):
    # A sender of profiles is told that nobody listens, in gRPC's own words.
    method = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
    assert refusal(channel, b"", method).code() == grpc.StatusCode.UNIMPLEMENTED


def test_many_requests_share_one_connection(server, channel):
    # 300 requests, 64 in flight on one channel: each gets its own answer, every span is found.
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        bodies = [request(0xB000 + number, spans=5).SerializeToString() for number in range(300)]
        answers = list(pool.map(lambda body: export(channel, body), bodies))
    assert len(answers) == 300
    for number in range(0, 300, 7):
        assert server.get(f"/api/traces/{0xB000 + number:032x}")["span_count"] == 5
