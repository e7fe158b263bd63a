"""Starts the real binary and reads back from it. LONGSPAN_BIN names the binary."""

import json
import os
import pathlib
import subprocess
import time

import requests

START_LIMIT_SECONDS = 60
STOP_LIMIT_SECONDS = 10
LISTENERS = ["otlp_grpc", "otlp_http", "api", "zipkin", "jaeger", "jaeger_http", "jaeger_grpc", "jaeger_compact", "jaeger_binary",
             "jaeger_sampling", "opencensus", "xray",
             "elasticsearch"]


def binary() -> str:
    return os.environ.get("LONGSPAN_BIN") or str(pathlib.Path(__file__).parents[2] / "target/debug/longspan")


class LongspanServer:
    def __init__(self, folder: pathlib.Path, arguments=()):
        data = folder / "data"
        command = [binary(), "serve", "--data", data, *arguments]
        for listener in LISTENERS:
            command += ["--" + listener.replace("_", "-"), "127.0.0.1:0"]
        self.stderr_path = folder / "stderr.txt"
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        self.http = requests.Session()
        self.http.trust_env = False
        self.listening = self._wait_for_listening(data / "listening.json")
        self._wait_for_ready()

    def _wait_for_listening(self, path: pathlib.Path) -> dict:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not path.exists():
            self._check_alive(deadline)
        return json.loads(path.read_text())

    def _wait_for_ready(self):
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while self.http.get(self.url("api", "/readyz"), timeout=10).status_code != 200:
            self._check_alive(deadline)

    def _check_alive(self, deadline: float):
        if self.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{self.stderr_path.read_text()}")
        time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Ends what a failing test left behind."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            status = self.process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        stderr = self.stderr_path.read_text()
        assert status == 0, stderr
        assert "panicked" not in stderr, stderr

    def address(self, port: str) -> str:
        return self.listening[port]

    def url(self, port: str, path: str) -> str:
        return f"http://{self.address(port)}{path}"

    def get(self, path: str, port: str = "api", **parameters):
        """The JSON of a GET that must succeed."""
        answer = self.http.get(self.url(port, path), params=parameters, timeout=30)
        assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.text[:500]}"
        return answer.json()
