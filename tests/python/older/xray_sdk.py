"""AWS's own SDK for X-Ray: segments in datagrams to the daemon, sampling rules and targets over HTTP on the same port number.

usage: xray_sdk.py HOST:PORT; prints what was sent as JSON. The one call of AWS goes to a server of ours that answers as SQS does.
"""

import hashlib
import http.server
import json
import logging
import os
import sys
import threading
import time

address = sys.argv[1]
os.environ["AWS_XRAY_DAEMON_ADDRESS"] = address
os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="eu-west-1")

import botocore.session
from aws_xray_sdk.core import patch, xray_recorder
from aws_xray_sdk.core.models.trace_header import TraceHeader

logging.basicConfig(level=logging.INFO)


class Queue(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        digest = hashlib.md5(request["MessageBody"].encode()).hexdigest()
        body = json.dumps({"MessageId": "m-1", "MD5OfMessageBody": digest}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


aws = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Queue)
threading.Thread(target=aws.serve_forever, daemon=True).start()
patch(["botocore"])
# Streams after three subsegments, so that one document does not hold them all; sampling is the service's, as it comes.
xray_recorder.configure(service="xray-shop", sampling=True, plugins=(), streaming_threshold=3)
sampler = xray_recorder.sampler
deadline = time.monotonic() + 20
with xray_recorder.in_segment("warm-up"):
    pass
while not sampler._cache.rules:
    if time.monotonic() > deadline:
        sys.exit("no sampling rules came")
    time.sleep(0.05)
with xray_recorder.in_segment("xray-shop") as segment:
    segment.set_user("u-7")
    segment.put_annotation("order_id", 42)
    segment.put_metadata("cart", {"items": [1, 2]}, "shop")
    segment.put_http_meta("method", "POST")
    segment.put_http_meta("url", "http://shop/orders")
    segment.put_http_meta("status", 500)
    sqs = botocore.session.get_session().create_client("sqs", endpoint_url=f"http://127.0.0.1:{aws.server_port}")
    sqs.send_message(QueueUrl=f"http://127.0.0.1:{aws.server_port}/123456789012/orders", MessageBody="hello")
    with xray_recorder.in_subsegment("charge", namespace="remote") as charge:
        try:
            raise ValueError("card declined")
        except ValueError as error:
            charge.add_exception(error, [])
    for number in range(5):
        with xray_recorder.in_subsegment(f"step {number}"):
            pass
print(json.dumps({"trace_id": segment.trace_id, "root": segment.id, "header": TraceHeader(root=segment.trace_id).to_header_str()}))
