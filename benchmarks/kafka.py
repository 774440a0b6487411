"""The Kafka listener's figures: records of 100 bytes produced and consumed by one librdkafka client each.

The broker is a process of its own; so is each client.  kcat reads them too, where it is installed: confluent-kafka makes a
Python object of each record, which takes longer than all the rest, whoever the broker is.  Where `make foreign-kafka` has
fetched Apache Kafka, its broker does the same in the same run, in turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

VALUE = os.urandom(100)
"""What is sent: bytes that no codec makes smaller."""
JARS = Path(__file__).parent.parent / "build" / "kafka" / "jars"
START_S = 60.0
"""How long Apache Kafka may take until it answers."""
TARGET = 300_000
"""Records per second that are promised, each way."""
SERVE = """
import sys, threading
import penstock
with penstock.connect(sys.argv[1]) as database, penstock.broker(database) as listener:
    print(listener.address, flush=True)
    threading.Event().wait()
"""


@contextmanager
def served() -> Iterator[tuple[str, int]]:
    """A broker over an empty directory: its address, and its process."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, "-c", SERVE, f"{folder}/data"], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.kill()
            process.wait()


PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
offsets.topic.replication.factor=1
log.dirs={logs}
"""


@contextmanager
def apache_kafka() -> Iterator[tuple[str, int]]:
    """The same of Apache Kafka, with its defaults."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as sockets:
        free = [sockets.enter_context(socket.socket()) for _ in range(2)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        port, controller = (one.getsockname()[1] for one in free)
        sockets.close()
        properties = Path(folder) / "server.properties"
        properties.write_text(PROPERTIES.format(port=port, controller=controller, logs=f"{folder}/logs"))
        java = ["java", "-Xms1g", "-Xmx1g", "-cp", f"{JARS}/*"]
        storage = ["kafka.tools.StorageTool", "format", "-t", "cGVuc3RvY2stYmVuY2gtMQ", "-c", str(properties)]
        subprocess.run([*java, *storage], check=True, capture_output=True)
        quiet = subprocess.DEVNULL
        process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=quiet, stderr=quiet)
        try:
            end_s = time.monotonic() + START_S
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if time.monotonic() > end_s or process.poll() is not None:
                        raise
                    time.sleep(0.2)
            yield f"127.0.0.1:{port}", process.pid
        finally:
            process.kill()
            process.wait()


def produce(address: str, topic: str, records: int, told: Connection) -> None:
    """Send records, all acknowledged, and tell how many seconds that took."""
    import confluent_kafka

    config = {
        "bootstrap.servers": address,
        "linger.ms": 20,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 1_000_000,
    }
    sender = confluent_kafka.Producer({**config, "acks": "all"})
    sender.list_topics(topic, 30)
    began_s = time.perf_counter()
    for _ in range(records):
        while True:
            try:
                sender.produce(topic, VALUE)
                break
            except BufferError:
                sender.poll(0.05)
    assert sender.flush(120) == 0
    told.send(time.perf_counter() - began_s)


def consume(address: str, topic: str, records: int, told: Connection) -> None:
    """Read records from the first on, and tell how many seconds that took."""
    import confluent_kafka

    config = {"bootstrap.servers": address, "group.id": "bench", "enable.auto.commit": False}
    source = confluent_kafka.Consumer({**config, "fetch.max.bytes": 50_000_000, "max.partition.fetch.bytes": 10_000_000})
    source.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    began_s = time.perf_counter()
    count = 0
    while count < records:
        for message in source.consume(100_000, 1.0):
            assert message.error() is None, message.error()
            count += 1
    told.send(time.perf_counter() - began_s)
    source.close()


def consume_by_kcat(address: str, topic: str, records: int) -> float:
    """Records per second that kcat reads, librdkafka without Python: its start and end are in the time."""
    options = ("fetch.max.bytes=50000000", "max.partition.fetch.bytes=10000000", "fetch.message.max.bytes=10000000")
    command = ["kcat", "-C", "-b", address, "-t", topic, "-p", "0", "-o", "beginning", "-c", str(records), "-q", "-f", ""]
    began_s = time.perf_counter()
    subprocess.run(
        [*command, *(part for option in options for part in ("-X", option))], check=True, stdout=subprocess.DEVNULL
    )
    return records / (time.perf_counter() - began_s)


def measured(role: str, address: str, topic: str, records: int) -> float:
    """Records per second of a client in a process of its own."""
    if role == "kcat":
        return consume_by_kcat(address, topic, records)
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    client = context.Process(target={"produce": produce, "consume": consume}[role], args=(address, topic, records, its))
    client.start()
    its.close()
    seconds: float = mine.recv()
    client.join()
    return records / seconds


def cpu_s(pid: int) -> float:
    """Seconds of processor that a process has used."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str] = ()) -> int:
    """Print the figures; exit code 1 if less than `TARGET` was reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks kafka", description=__doc__)
    parser.add_argument("--records", type=int, default=2_000_000, help="of 100 bytes, sent and read (2,000,000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs (3); figures are medians")
    options = parser.parse_args(arguments)
    brokers = {"penstock": served}
    if JARS.is_dir() and shutil.which("java"):
        brokers["apache kafka"] = apache_kafka
    roles = ["produce", "consume", *(["kcat"] if shutil.which("kcat") else [])]
    rates: dict[tuple[str, str], list[float]] = {}
    used: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as running:
        started = {name: running.enter_context(broker()) for name, broker in brokers.items()}
        for number in range(options.repeat):
            for role in roles:
                for name, (address, pid) in started.items():
                    before_s = cpu_s(pid)
                    rates.setdefault((role, name), []).append(measured(role, address, f"bench-{number}", options.records))
                    used.setdefault((role, name), []).append((cpu_s(pid) - before_s) * 1e9 / options.records)
    print(
        f"{options.records:,} records of {len(VALUE)} bytes, medians of {options.repeat}; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; promised {TARGET:,} records/s each way"
    )
    for (role, name), found in rates.items():
        print(
            f"{role:<8} {name:<13}{statistics.median(found):>9,.0f} records/s ({min(found):,.0f} to {max(found):,.0f}), "
            f"{statistics.median(used[role, name]):,.0f} ns of the broker's processor per record"
        )
    kept = all(statistics.median(rates[role, "penstock"]) >= TARGET for role in ("produce", roles[-1]))
    return 0 if kept else 1
