"""Starts what the examples consist of: a broker, the services of a shop, and, if wanted, a Longspan to look at.

Used by run.py for people and by tests/python for the same shops under test. Only the standard library is needed; what the
services need is installed once, pinned, into .test-env/examples and examples/node_modules.
"""

import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent
ENVIRONMENT = CHECKOUT / ".test-env/examples"
READY_LIMIT_S = 120.0
STOP_LIMIT_S = 20.0
INSTALL_LIMIT_S = 900

# Service → script, in the order in which messages pass.
SHOPS = {
    "rabbitmq": {
        "order": "order.py", "payment": "payment.py", "stock": "stock.py", "support": "support.py",
        "shipping": "shipping.js", "email": "email.js",
    },
    "kafka": {
        "order": "order.py", "payment": "payment.py", "stock": "stock.py", "shipping": "shipping.js", "ledger": "ledger.js",
        "support": "support.py",
    },
}


def install():
    """Installs what is pinned, unless it is there."""
    wanted, installed = HERE / "requirements.txt", ENVIRONMENT / "installed-requirements.txt"
    if not installed.is_file() or installed.read_bytes() != wanted.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True, timeout=INSTALL_LIMIT_S)
        pip = [str(ENVIRONMENT / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(wanted)], check=True, timeout=INSTALL_LIMIT_S)
        shutil.copy(wanted, installed)
    wanted, installed = HERE / "package-lock.json", HERE / "node_modules/.installed-lock.json"
    if not installed.is_file() or installed.read_bytes() != wanted.read_bytes():
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(npm, cwd=HERE, check=True, timeout=INSTALL_LIMIT_S)
        shutil.copy(wanted, installed)


class Process:
    """A program that says on standard output, as one line of JSON, that it is ready."""

    def __init__(self, name, command, environment, stdin=subprocess.DEVNULL):
        self.name = name
        self.log = tempfile.NamedTemporaryFile(prefix=f"longspan-{name}-", suffix=".log")
        # In a session of its own: Ctrl-C is for whoever started us, who then ends everything in order.
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdin=stdin, stdout=subprocess.PIPE, stderr=self.log, text=True,
            start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.said = json.loads(self.lines.get(timeout=READY_LIMIT_S) or "null")
        except queue.Empty:
            self.said = None
        if self.said is None:
            output = self.output()
            self.kill()
            raise RuntimeError(f"{name} did not start:\n{output}")

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.put(line)
        self.lines.put("")

    def output(self):
        """The end of what it wrote to standard error."""
        return pathlib.Path(self.log.name).read_text(errors="replace")[-4000:]

    def stop(self):
        """Asks it to end, and makes it if it does not."""
        if self.process.stdin:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Broker(Process):
    """RabbitMQ or Kafka, as tests/brokers starts them: on free ports, in a folder of its own."""

    def __init__(self, kind):
        command = [sys.executable, str(CHECKOUT / f"tests/brokers/{kind}.py")]
        super().__init__(kind, command, {}, stdin=subprocess.PIPE)
        self.address = self.said["address"]


class Shop:
    """The services of one shop on a broker; their spans go to an OTLP endpoint over HTTP."""

    def __init__(self, kind, broker_address, otlp_endpoint):
        self.kind = kind
        self.environment = {
            "AMQP_URL": f"amqp://guest:guest@{broker_address}/",
            "KAFKA_BROKERS": broker_address,
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            # Spans are sent soon: a shop this small wants to be looked at, not to save requests.
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "PYTHONPATH": str(HERE),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.services = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.services):
            self.stop(name)

    def start_all(self):
        for name in SHOPS[self.kind]:
            self.start(name)

    def start(self, name, **environment):
        """Starts a service; returns when it takes orders or messages."""
        script = HERE / self.kind / SHOPS[self.kind][name]
        if script.suffix == ".py":
            command = [str(ENVIRONMENT / "bin/opentelemetry-instrument"), str(ENVIRONMENT / "bin/python"), str(script)]
        else:
            command = ["node", "--require", str(HERE / "tracing.cjs"), str(script)]
        self.services[name] = Process(name, command, {**self.environment, "OTEL_SERVICE_NAME": name, **environment})

    def stop(self, name):
        self.services.pop(name).stop()

    @property
    def url(self):
        """Where orders are taken."""
        return f"http://127.0.0.1:{self.services['order'].said['port']}"


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        raise SystemExit("usage: launch.py --install; to see a shop: run.py rabbitmq | kafka")
    install()
