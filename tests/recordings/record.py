"""Records what real instrumentations emit: runs each scene against a real broker and keeps the OTLP requests that it sends.

    python3 tests/recordings/record.py [NAME…]      all scenes, or those named

A recording is the concatenation of the protobuf request bodies, which is again one request, without what tells of the machine
(paths, process, host); it becomes crates/flow/tests/recorded/NAME.otlp, and the goldens are made from it by
`INSTA_UPDATE=always cargo test -p flow`. Recording needs the network once, to install the pinned packages into .test-env; the
crate's tests need only the recorded files.
"""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
RECORDED = CHECKOUT / "crates/flow/tests/recorded"
TEST_ENV = CHECKOUT / ".test-env"
SCENE_LIMIT_S = 120
PYTHON = TEST_ENV / "recordings/bin/python"
JARS = TEST_ENV / "recordings-java"

# Name, broker, command. Python scenes are named as their files.
SCENES = [
    ("pika", "rabbitmq", "scene_pika.py"),
    ("aio_pika", "rabbitmq", "scene_aio_pika.py"),
    ("celery", "rabbitmq", "scene_celery.py"),
    ("kafka_python", "kafka", "scene_kafka_python.py"),
    ("confluent_kafka", "kafka", "scene_confluent_kafka.py"),
    ("aiokafka", "kafka", "scene_aiokafka.py"),
    ("boto3sqs", None, "scene_boto3.py"),
    ("botocore", None, "scene_botocore.py"),
    ("amqplib", "rabbitmq", "amqplib.js"),
    ("kafkajs", "kafka", "kafkajs.js"),
    ("aws_sdk", "moto", "aws-sdk.js"),
    ("java_rabbitmq", "rabbitmq", "RabbitScene.java"),
    ("java_rabbitmq_stable", "rabbitmq", "RabbitScene.java"),
    ("java_kafka", "kafka", "KafkaScene.java"),
    ("java_kafka_stable", "kafka", "KafkaScene.java"),
]
# The Java agent says more on request: the newer conventions, what it calls experimental, spans of polling, captured headers.
JAVA_STABLE = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "messaging",
    "OTEL_INSTRUMENTATION_RABBITMQ_EXPERIMENTAL_SPAN_ATTRIBUTES": "true",
    "OTEL_INSTRUMENTATION_KAFKA_EXPERIMENTAL_SPAN_ATTRIBUTES": "true",
    "OTEL_INSTRUMENTATION_MESSAGING_EXPERIMENTAL_RECEIVE_TELEMETRY_ENABLED": "true",
    "OTEL_INSTRUMENTATION_MESSAGING_EXPERIMENTAL_CAPTURE_HEADERS": "x-death,x-delivery-count",
}


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes OTLP over HTTP and keeps the bodies."""

    protocol_version = "HTTP/1.1"
    bodies = []

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def do_POST(self):
        body = self.body()
        if self.path.endswith("/v1/traces"):
            Sink.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Broker:
    """A broker of tests/brokers, or moto's server, for as long as scenes need it."""

    def __init__(self, kind):
        command = [sys.executable, str(CHECKOUT / f"tests/brokers/{kind}.py")]
        if kind == "moto":
            command = [str(PYTHON), str(HERE / "python/moto_server.py")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{kind} did not start")
        self.address = json.loads(line)["address"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


def install():
    """The pinned packages of the scenes, once."""
    wanted, installed = HERE / "python/requirements.txt", PYTHON.parents[1] / "installed-requirements.txt"
    if not installed.is_file() or installed.read_bytes() != wanted.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PYTHON.parents[1])], check=True, timeout=300)
        subprocess.run([str(PYTHON), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True, timeout=900)
        installed.write_bytes(wanted.read_bytes())
    wanted, installed = HERE / "java/pom.xml", JARS / "pom.xml"
    if not installed.is_file() or installed.read_bytes() != wanted.read_bytes():
        shutil.rmtree(JARS, ignore_errors=True)
        subprocess.run(
            ["mvn", "-q", "-B", "-f", str(wanted), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}",
             "-DincludeScope=runtime"], check=True, timeout=900)
        installed.write_bytes(wanted.read_bytes())
    if not (HERE / "js/node_modules").is_dir():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE / "js", check=True, timeout=900)


def java(name, script, environment):
    """The command of a Java scene, and the agent's settings in the environment."""
    environment.update({
        # The scenes run from their source, which the agent takes for a tool of the JDK.
        "OTEL_JAVAAGENT_ENABLED": "true",
        "OTEL_SERVICE_NAME": name, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": environment["RECORDING_SINK"], **(JAVA_STABLE if "stable" in name else {})})
    agent = next(JARS.glob("opentelemetry-javaagent-*.jar"))
    classes = ":".join(str(jar) for jar in sorted(JARS.glob("*.jar")) if jar != agent)
    options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-javaagent:{agent}"]
    return ["java", *options, "-cp", classes, str(HERE / "java" / script)]


def record(name, script, environment):
    """Runs one scene and writes what it sent."""
    Sink.bodies.clear()
    runs = {
        ".py": lambda: [str(PYTHON), str(HERE / "python" / script)],
        ".js": lambda: ["node", str(HERE / "js" / script)],
        ".java": lambda: java(name, script, environment),
    }
    subprocess.run(runs[pathlib.Path(script).suffix](), env=environment, check=True, timeout=SCENE_LIMIT_S)
    if not Sink.bodies:
        raise SystemExit(f"{name} sent nothing")
    RECORDED.mkdir(parents=True, exist_ok=True)
    recorded = RECORDED / f"{name}.otlp"
    recorded.write_bytes(b"".join(Sink.bodies))
    subprocess.run([str(PYTHON), str(HERE / "python/scrub.py"), str(recorded)], check=True, timeout=60)
    print(f"{name}: {len(Sink.bodies)} requests, {sum(map(len, Sink.bodies))} bytes")


def main(names):
    install()
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    environment = {**os.environ, "RECORDING_SINK": f"http://127.0.0.1:{sink.server_port}/v1/traces"}
    brokers = {}
    try:
        for name, kind, script in SCENES:
            if names and name not in names:
                continue
            if kind and kind not in brokers:
                brokers[kind] = Broker(kind)
            address = brokers[kind].address if kind else ""
            record(name, script, {**environment, "RECORDING_BROKER": address})
    finally:
        for broker in brokers.values():
            broker.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
