"""A stand-in of AWS on a free port of the loopback interface, until standard input closes; prints where it listens."""

import json
import sys

from moto.server import ThreadedMotoServer

if __name__ == "__main__":
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(json.dumps({"address": f"{host}:{port}"}), flush=True)
    sys.stdin.read()
    server.stop()
