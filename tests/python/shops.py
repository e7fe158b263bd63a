"""The shops of `examples/` under test: a broker, a Longspan of their own, the services, and questions to the API until they settle."""

import json
import pathlib
import sys
import time

import requests

from longspan_server import LongspanServer

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "examples"))
import launch  # noqa: E402  (found only now)

SETTLE_LIMIT_S = 60.0
PAUSE_S = 0.1


class ShopUnderTest:
    """A shop whose spans go to a server of its own."""

    def __init__(self, kind, folder):
        self.system = kind
        self.broker = launch.Broker(kind)
        try:
            self.server = LongspanServer(folder, ["--correlate", "order.id"])
            self.services = launch.Shop(kind, self.broker.address, self.server.url("otlp_http", ""))
        except BaseException:
            self.broker.stop()
            raise

    def __enter__(self):
        try:
            self.services.start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.services.__exit__()
        self.broker.stop()
        self.server.stop()

    def order(self, **order):
        """Places an order; its trace id."""
        answer = requests.post(f"{self.services.url}/order", json=order, timeout=30)
        assert answer.status_code == 202, answer.text
        return answer.json()["trace_id"]

    def get(self, path, **parameters):
        return self.server.get(path, **parameters)

    def expect(self, *rules):
        """Declares what is expected, in place of what was."""
        answer = self.server.http.put(self.server.url("api", "/api/expectations"), json={"rules": rules}, timeout=30)
        assert answer.status_code == 200, answer.text

    def flow(self, trace_id, is_settled):
        """The flow of a trace once it is as wanted."""
        path = f"/api/flows/{trace_id}"
        known = lambda: self.server.http.get(self.server.url("api", path), timeout=30).status_code == 200  # noqa: E731
        return eventually(lambda: known() and self.get(path), lambda flow: flow and is_settled(flow))

    def message(self, destination, is_settled, **wanted):
        """The one message at a destination once it is as wanted."""
        def ask():
            items = self.get("/api/messages", destination=f"{self.system}:{destination}", **wanted)["items"]
            return items[0] if len(items) == 1 else None
        return eventually(ask, lambda message: message and is_settled(message))


def eventually(ask, is_settled):
    """What `ask` answers once it is settled; spans are on their way for a moment, and services need one to work."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    while not is_settled(answer := ask()):
        if time.monotonic() > deadline:
            shown = ways(answer) if isinstance(answer, dict) and "hops" in answer else json.dumps(answer)
            raise AssertionError(f"not settled after {SETTLE_LIMIT_S} s: {shown}")
        time.sleep(PAUSE_S)
    return answer


def ways(flow):
    """The hops of a flow as (from, destination, to, attempt, state), in no particular order."""
    def way(hop):
        to = hop["to"]["service"] if hop["to"] else None
        return hop["from"]["service"], hop["destination"]["name"], to, hop["attempt"], hop["state"]
    return sorted(map(way, flow["hops"]), key=str)


def hop(flow, sender, receiver):
    """The one hop between two services."""
    (found,) = [
        hop for hop in flow["hops"]
        if hop["from"]["service"] == sender and hop["to"] and hop["to"]["service"] == receiver]
    return found


def consumed(*hops):
    """What `ways` are when each of these messages (from, destination, to) was received once."""
    return sorted(((*hop, 1, "consumed") for hop in hops), key=str)
