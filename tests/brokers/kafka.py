"""Apache Kafka's broker, one node in KRaft mode, on free ports of the loopback interface.

    python3 tests/brokers/kafka.py            run until standard input closes; prints {"address": "127.0.0.1:PORT"}
    python3 tests/brokers/kafka.py --install  only fetch the jars (Maven, about 80 MB) into .test-env/kafka

Needs Java 17; Maven only for fetching. Topics are made when first used, with four partitions.
"""

import shutil
import subprocess
import sys
import uuid

import broker

HERE = broker.CHECKOUT / "tests/brokers/kafka"
JARS = broker.TEST_ENV / "kafka/jars"
SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
num.partitions=4
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def install():
    """Fetches the jars once; a changed list of them is fetched again."""
    wanted, installed = HERE / "pom.xml", JARS.parent / "pom.xml"
    if installed.is_file() and installed.read_bytes() == wanted.read_bytes():
        return
    shutil.rmtree(JARS.parent, ignore_errors=True)
    JARS.mkdir(parents=True)
    subprocess.run(
        ["mvn", "-q", "-B", "-f", str(wanted), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}",
         "-DincludeScope=runtime"], check=True, timeout=900)
    shutil.copy(wanted, installed)


def java(main, *arguments):
    """The command that runs one of Kafka's programs."""
    return ["java", "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*", main, *arguments]


def prepare(folder):
    """Formats an empty log directory and says how to start the broker on it."""
    port, controller = broker.free_ports(2)
    settings = folder / "server.properties"
    settings.write_text(SETTINGS.format(port=port, controller=controller, folder=folder))
    cluster = uuid.uuid4().hex[:22]
    subprocess.run(
        java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)), check=True, timeout=60,
        stdout=subprocess.DEVNULL)
    return java("kafka.Kafka", str(settings)), {}, port, f"127.0.0.1:{port}"


if __name__ == "__main__":
    install()
    if "--install" not in sys.argv:
        broker.run(prepare)
