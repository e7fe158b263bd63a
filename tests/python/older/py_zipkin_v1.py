"""py-zipkin of the time when it spoke v1, in both of v1's encodings.

usage: py_zipkin_v1.py URL V1_THRIFT|V1_JSON; prints the trace's id.
"""

import sys
import time

import requests
from py_zipkin.encoding import Encoding
from py_zipkin.util import create_attrs_for_span
from py_zipkin.zipkin import Kind, zipkin_client_span, zipkin_span

url, encoding = sys.argv[1], Encoding[sys.argv[2]]
content_type = "application/x-thrift" if encoding is Encoding.V1_THRIFT else "application/json"


def transport(body):
    body = body.encode() if isinstance(body, str) else body
    answer = requests.post(url, body, headers={"content-type": content_type}, timeout=30)
    assert answer.status_code == 202, answer.text


attributes = create_attrs_for_span(sample_rate=100.0, use_128bit_trace_id=True)
with zipkin_span("yelp", "handle", transport_handler=transport, zipkin_attrs=attributes, port=8080, host="10.1.2.3",
                 kind=Kind.SERVER, encoding=encoding, binary_annotations={"tag": "v"}, annotations={"note": time.time()}):
    with zipkin_client_span("yelp", "call") as call:
        call.add_sa_binary_annotation(5432, "database", "10.9.9.9")
print(attributes.trace_id)
