"""A shop to look at: starts a broker, the services and, unless one runs already, Longspan; places orders until Ctrl-C.

    python3 examples/run.py rabbitmq
    python3 examples/run.py kafka

README.md says what is needed and what to look at.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import launch

OTLP = "http://127.0.0.1:4318"
PAGE = "http://127.0.0.1:4319"
START_LIMIT_S = 60.0
# One order in so many cannot go through, each sort in turn.
TROUBLE_EVERY = 5
TROUBLES = {
    "rabbitmq": [{"card": "declined"}, {"card": "expired"}],
    "kafka": [{"address": "unknown"}, {"address": "old"}],
}


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def binary():
    """The Longspan to start: on the path, or built in this checkout."""
    built = [launch.CHECKOUT / f"target/{profile}/longspan" for profile in ("release", "debug")]
    found = shutil.which("longspan") or next((str(path) for path in built if path.is_file()), None)
    if not found:
        raise SystemExit("Longspan is not there: cargo build --release -p longspan")
    return found


def start_longspan(folder):
    """A Longspan with the usual ports; nothing if one is there already."""
    if answers(f"{PAGE}/readyz"):
        return None
    command = [binary(), "serve", "--data", str(folder / "data"), "--correlate", "order.id"]
    with open(folder / "longspan.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + START_LIMIT_S
    while not answers(f"{PAGE}/readyz"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"Longspan did not start:\n{(folder / 'longspan.log').read_text()}")
        time.sleep(0.1)
    return process


def place(url, order):
    """Places an order; its trace id."""
    body = json.dumps(order).encode()
    request = urllib.request.Request(f"{url}/order", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["trace_id"]


def sell(shop, orders, every_s, told_to_stop):
    """Places orders, so many or until told to stop, and says where their flows are."""
    number = 0
    while (orders == 0 or number < orders) and not told_to_stop.is_set():
        number += 1
        order = {"id": f"{number}-{random.randrange(10**6)}"}
        if number % TROUBLE_EVERY == 0:
            troubles = TROUBLES[shop.kind]
            order |= troubles[number // TROUBLE_EVERY % len(troubles)]
        print(f"{json.dumps(order):60} {PAGE}/flow/{place(shop.url, order)}", flush=True)
        told_to_stop.wait(every_s)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shop", choices=list(launch.SHOPS))
    parser.add_argument("--orders", type=int, default=0, help="so many, then wait; 0: until Ctrl-C (default)")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between orders (default 2)")
    parser.add_argument("--without", action="append", default=[], metavar="SERVICE", help="leave a service out, to see what it misses")
    parser.add_argument("--broker", metavar="HOST:PORT", help="a broker that runs already")
    chosen = parser.parse_args()
    launch.install()
    told_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_stop.set())
    with tempfile.TemporaryDirectory(prefix="longspan-example-") as folder:
        longspan = start_longspan(pathlib.Path(folder))
        broker = None if chosen.broker else launch.Broker(chosen.shop)
        try:
            with launch.Shop(chosen.shop, chosen.broker or broker.address, OTLP) as shop:
                for name in launch.SHOPS[chosen.shop]:
                    if name not in chosen.without:
                        shop.start(name)
                print(f"the shop is open; the page: {PAGE}", flush=True)
                sell(shop, chosen.orders, chosen.every, told_to_stop)
                told_to_stop.wait()
        finally:
            if broker:
                broker.stop()
            if longspan:
                longspan.send_signal(signal.SIGTERM)
                longspan.wait(60)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
