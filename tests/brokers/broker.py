"""What the brokers of the tests have in common: free ports, a wait until they listen, and an end that leaves nothing behind.

A broker script runs in the foreground. When the broker is ready it prints one line of JSON (where it listens), and it stops
the broker when its own standard input closes or it gets SIGTERM: a test that dies takes its broker with it. Everything a
broker writes is in a temporary folder. Deliberately absent: anything about one broker.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

READY_LIMIT_S = 90.0
STOP_LIMIT_S = 20.0
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
TEST_ENV = CHECKOUT / ".test-env"


def free_ports(count):
    """Ports that were free a moment ago; all are held at once so that no two are equal."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listens(port):
    """Whether something accepts connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def run(prepare):
    """Starts what `prepare(folder)` describes, `(command, environment, port, address)`, and keeps it until we are told to stop."""
    with tempfile.TemporaryDirectory(prefix="longspan-broker-") as folder:
        folder = pathlib.Path(folder)
        command, environment, port, address = prepare(folder)
        with open(folder / "output.log", "wb") as output:
            process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True)
        try:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            await_port(process, port, folder)
            print(json.dumps({"address": address, "pid": process.pid}), flush=True)
            sys.stdin.read()
        finally:
            stop(process)


def await_port(process, port, folder):
    """Returns when the broker listens; shows what it wrote if it dies or takes too long."""
    deadline = time.monotonic() + READY_LIMIT_S
    while not listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            sys.stderr.write((folder / "output.log").read_text(errors="replace")[-4000:])
            raise SystemExit("the broker did not start")
        time.sleep(0.2)


def stop(process):
    """Asks the whole process group to end, then makes it."""
    for number, limit_s in ((signal.SIGTERM, STOP_LIMIT_S), (signal.SIGKILL, STOP_LIMIT_S)):
        try:
            os.killpg(process.pid, number)
            process.wait(limit_s)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
