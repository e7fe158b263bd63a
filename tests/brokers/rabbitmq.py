"""RabbitMQ as Debian packages it (`apt-get install rabbitmq-server`), one node on free ports of the loopback interface.

    python3 tests/brokers/rabbitmq.py         run until standard input closes; prints {"address": "127.0.0.1:PORT"}

User and password are guest. The node has a name, a folder, a cookie and a port mapper of its own, so that it neither sees nor
disturbs a broker that the machine has already.
"""

import pathlib

import broker

SERVER = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def prepare(folder):
    """Says how to start a node that keeps everything in `folder`."""
    if not SERVER.is_file():
        raise SystemExit("RabbitMQ is missing: apt-get install rabbitmq-server")
    port, distribution, mapper = broker.free_ports(3)
    (folder / "plugins").write_text("[].\n")
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nvm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 50MB\n")
    environment = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"longspan{port}@localhost",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
    }
    # The port mapper would otherwise become a daemon that outlives the node; so it is started beside it, in the same group.
    both = f"epmd -port {mapper} -address 127.0.0.1 & exec {SERVER}"
    return ["sh", "-c", both], environment, port, f"127.0.0.1:{port}"


if __name__ == "__main__":
    broker.run(prepare)
