"""What the Python services have in common: they say when they are ready, and they end in order when they are told to."""

import json
import signal
import sys

from werkzeug.serving import make_server

# SIGTERM ends a service as Ctrl-C does, so that its last spans are sent.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def is_ready(**what):
    """One line of JSON on standard output; launch.py waits for it."""
    print(json.dumps({"ready": True, **what}), flush=True)


def serve(app):
    """Serves a Flask application on a free port of the loopback interface."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    is_ready(port=server.port)
    server.serve_forever()
