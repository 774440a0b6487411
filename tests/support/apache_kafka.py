"""Apache Kafka as one process of its own: a KRaft node, from the jars that `make kafka-jars` fetches.

`make kafka` runs this file, `make test-kafka` runs tests with a node of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

JARS = Path(os.environ.get("PENSTOCK_KAFKA_JARS") or Path(__file__).parent.parent.parent / "build" / "kafka" / "jars")
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"
START_S = 300.0

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={directory}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=10485760
num.network.threads=2
num.io.threads=2
"""


def is_there() -> bool:
    """Whether Java and the jars are."""
    return shutil.which("java") is not None and JARS.is_dir() and any(JARS.glob("kafka_2.13-4.*.jar"))


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def _java(main: str, *arguments: str, heap: str = "512m") -> list[str]:
    small = [f"-Xmx{heap}", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    return ["java", *small, "-cp", f"{JARS}/*", main, *arguments]


class ApacheKafka:
    """A node that can be stopped, killed and started again with what it has on disk.

    Attributes:
        address: ``host:port``.

    Args:
        advertised: where clients are to connect; by default its own address.
        more: further lines of its properties, in which ``{port}`` and ``{advertised}`` stand for its own.
    """

    def __init__(self, directory: Path, port: int | None = None, advertised: str | None = None, more: str = "") -> None:
        self.directory = directory
        port = free_port() if port is None else port
        self.address = f"127.0.0.1:{port}"
        self._port = port
        advertised = self.address if advertised is None else advertised
        self._properties = directory / "server.properties"
        text = PROPERTIES + more
        self._properties.write_text(
            text.format(port=port, controller=free_port(), directory=directory, advertised=advertised)
        )
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(
            _java(
                "kafka.tools.StorageTool",
                "format",
                "--standalone",
                "-t",
                CLUSTER_ID,
                "-c",
                str(self._properties),
                heap="128m",
            ),
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                _java("kafka.Kafka", str(self._properties)), stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with socket.socket() as tried:
                tried.settimeout(0.5)
                if tried.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"Apache Kafka did not start:\n{(self.directory / 'server.log').read_text()[-4000:]}")

    def send_signal(self, which: signal.Signals) -> None:
        """To its process: SIGSTOP has it stand still until SIGCONT."""
        assert self._process is not None
        self._process.send_signal(which)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGKILL as a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def apache_kafka(
    directory: Path | None = None, port: int | None = None, advertised: str | None = None, more: str = ""
) -> Iterator[ApacheKafka]:
    """A node that runs until the context ends; without a directory it leaves nothing behind."""
    own = Path(tempfile.mkdtemp(prefix="apache-kafka-")) if directory is None else directory
    own.mkdir(parents=True, exist_ok=True)
    node = ApacheKafka(own, port, advertised, more)
    try:
        node.start()
        yield node
    finally:
        node.stop(signal.SIGTERM if directory is not None else signal.SIGKILL)
        if directory is None:
            shutil.rmtree(own, ignore_errors=True)


def wanted_address() -> str | None:
    """The broker that PENSTOCK_KAFKA names; None if tests are to do without."""
    return os.environ.get("PENSTOCK_KAFKA") or None


def empty(address: str) -> None:
    """Delete all topics and groups of a broker, and wait until they are gone."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": address})
    groups = [g.group_id for g in admin.list_consumer_groups().result(30).valid]
    for future in admin.delete_consumer_groups(groups).values() if groups else ():
        future.exception(30)

    def left() -> list[str]:
        return [name for name in admin.list_topics(timeout=30).topics if not name.startswith("__")]

    end = time.monotonic() + START_S
    while (names := left()) and time.monotonic() < end:
        for future in admin.delete_topics(names).values():
            future.exception(30)
        time.sleep(0.05)


def main() -> None:
    """`make kafka`: a node at 127.0.0.1:9092 (or PENSTOCK_KAFKA_PORT) until Ctrl-C, with nothing in it.  `make
    test-kafka`: a node for as long as a command runs, which finds its address in PENSTOCK_KAFKA."""
    if not is_there():
        sys.exit("java or build/kafka/jars is missing: `make kafka-jars` fetches the jars from Maven Central")
    if sys.argv[1:]:
        with apache_kafka() as node:
            sys.exit(
                subprocess.run(sys.argv[1:], env={**os.environ, "PENSTOCK_KAFKA": node.address}, check=False).returncode
            )
    with apache_kafka(port=int(os.environ.get("PENSTOCK_KAFKA_PORT", "9092"))) as node:
        print(f"Apache Kafka runs at {node.address}; Ctrl-C ends it", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
