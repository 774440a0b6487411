"""Exactly once over Apache Kafka: processes of one service, and the broker, are killed, stopped and continued, and the
network between them fails, while they work; what is committed is what one process that nobody disturbed makes of the same
input.

`make test-kafka` has 6 disturbances, `make kafka-group-kills` 200; PENSTOCK_KAFKA_SHARED_KILLS says how many.  The node is
one of its own, which may be killed.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

pytest.importorskip("confluent_kafka")

import confluent_kafka
from apache_kafka import ApacheKafka, apache_kafka, free_port, is_there, wanted_address
from committed_records import committed
from confluent_kafka.admin import AdminClient
from fault_proxy import FaultProxy

import penstock

DISTURBANCES = int(os.environ.get("PENSTOCK_KAFKA_SHARED_KILLS", "6"))
SEED = int(os.environ.get("PENSTOCK_SEED", "7"))
PROCESSES = 3
PARTITIONS = 4
SESSION_MS = 6_000
TIMEOUT_S = 300.0
KEYS = 40
EVERY_S = 0.03
"""Between two orders."""
T0 = int(time.time() * 1000) - 3_600_000
"""Of now: Kafka closes and compacts segments whose records are old."""

pytestmark = [
    pytest.mark.skipif(
        wanted_address() is None or not is_there(), reason="PENSTOCK_KAFKA does not name a broker: see `make test-kafka`"
    ),
    pytest.mark.xdist_group("own-kafka"),
]

SCRIPT = f"""
SET 'auto.offset.reset' = 'earliest';
SET 'cache.max.bytes.buffering' = '0';
CREATE STREAM orders (id STRING KEY, item INTEGER, euros INTEGER)
    WITH (KAFKA_TOPIC = 'orders', PARTITIONS = {PARTITIONS}, VALUE_FORMAT = 'JSON');
CREATE TABLE people (id STRING PRIMARY KEY, town STRING)
    WITH (KAFKA_TOPIC = 'people', PARTITIONS = {PARTITIONS}, VALUE_FORMAT = 'JSON');
CREATE STREAM placed AS SELECT o.id AS id, o.item AS item, o.euros AS euros, p.town AS town
    FROM orders o LEFT JOIN people p ON o.id = p.id;
CREATE TABLE hourly WITH (KAFKA_TOPIC = 'hourly') AS
    SELECT id, COUNT(*) AS n, SUM(euros) AS total FROM placed WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY id;
CREATE TABLE sums WITH (KAFKA_TOPIC = 'sums') AS SELECT id, COUNT(*) AS n, SUM(euros) AS total FROM placed GROUP BY id;
CREATE TABLE towns WITH (KAFKA_TOPIC = 'towns') AS
    SELECT town, COUNT(*) AS n, COUNT_DISTINCT(town) AS one FROM placed GROUP BY town;
"""
OUTPUTS = ("PLACED", "hourly", "sums", "towns")
"""Of `towns`, whose rows come from several partitions in no order of their own, only what does not depend on it."""

WORKER = """
import faulthandler, logging, signal, sys, time
import penstock
faulthandler.register(signal.SIGUSR1)
logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
path, address = sys.argv[1:]
while True:
    try:
        with penstock.connect(path, kafka=address, service_id="kills",
                              settings={"session.timeout.ms": 6000, "transaction.timeout.ms": 5000}) as db:
            print("up", flush=True)
            time.sleep(7200)
    except penstock.errors.LogUnavailableError as error:  # begun while no broker was there
        print(error, flush=True)
"""
LISTENERS = """
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,{kinds}
listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},{own}
advertised.listeners=PLAINTEXT://{{advertised}},{shown}
"""


class Cluster:
    """A node that each process reaches by a proxy of its own, and the test directly."""

    def __init__(self, kept: ExitStack) -> None:
        ports = [free_port() for _ in range(PROCESSES)]
        self.proxies = [FaultProxy(port) for port in ports]
        for proxy in self.proxies:
            kept.callback(proxy.close)
        names = [f"WAY{number}" for number in range(PROCESSES)]
        more = LISTENERS.format(
            kinds=",".join(f"{name}:PLAINTEXT" for name in names),
            own=",".join(f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)),
            shown=",".join(f"{name}://{proxy.address}" for name, proxy in zip(names, self.proxies, strict=True)),
        )
        self.node: ApacheKafka = kept.enter_context(apache_kafka(more=more))

    @property
    def address(self) -> str:
        return self.node.address

    def kill(self, seconds: float) -> None:
        """As a crash; it comes back with what it has on disk."""
        self.node.stop(signal.SIGKILL)
        time.sleep(seconds)
        self.node.start()


class Group:
    """Processes of one service.  One that is killed is begun again, with the directory that it had."""

    def __init__(self, cluster: Cluster, place: Path) -> None:
        self._cluster = cluster
        self._place = place
        self.processes = [self._begin(number) for number in range(PROCESSES)]

    def _begin(self, number: int) -> subprocess.Popen[bytes]:
        with (self._place / f"{number}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", WORKER, str(self._place / str(number)), self._cluster.proxies[number].address],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def check_alive(self) -> None:
        """A process that ended by itself has a fault of its own."""
        for number, process in enumerate(self.processes):
            assert process.poll() is None, f"process {number} ended with {process.returncode}\n{self.logs()}"

    def kill(self, number: int) -> None:
        process = self.processes[number]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.processes[number] = self._begin(number)

    def pause(self, number: int, seconds: float) -> None:
        """Stop it for longer than its session lasts: then it is a zombie that does not know it."""
        self.processes[number].send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.processes[number].send_signal(signal.SIGCONT)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def logs(self) -> str:
        """What the processes have said, and what their threads are doing."""
        for process in self.processes:
            process.send_signal(signal.SIGUSR1)
        time.sleep(2)
        return "\n".join((self._place / f"{number}.log").read_text()[-20_000:] for number in range(PROCESSES))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with ExitStack() as kept:
        yield Cluster(kept)


@pytest.fixture
def guarantee() -> str:
    return "exactly_once_v2"


@pytest.fixture
def group(cluster: Cluster, tmp_path: Path, guarantee: str) -> Iterator[Group]:
    with penstock.connect(tmp_path / "0", kafka=cluster.address, service_id="kills") as first:
        first.execute(f"SET 'processing.guarantee' = '{guarantee}';" + SCRIPT)
    made = Group(cluster, tmp_path)
    yield made
    made.end()


Record = tuple[str, str, dict[str, Any], int]
"""Topic, key, value and time."""


def people() -> list[Record]:
    return [("people", f"k{i}", {"TOWN": f"t{i % 5}"}, T0 - 1000) for i in range(KEYS)]


class Sender:
    """Sends what is recorded, each once and those of a key in their order: an idempotent producer does not give up."""

    def __init__(self, address: str) -> None:
        self.records: list[Record] = []
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": address,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._orders, daemon=True)

    def send(self, record: Record) -> None:
        topic, key, value, stamp = record
        self.records.append(record)
        self._producer.produce(topic, json.dumps(value), key, timestamp=stamp)
        self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(120) == 0

    def begin(self) -> None:
        """Send orders from now on, a few each moment."""
        self._thread.start()

    def _orders(self) -> None:
        chance = random.Random(SEED)
        for item in itertools.count():
            if self._over.wait(EVERY_S):
                return
            value = {"ITEM": item, "EUROS": chance.randrange(100)}
            self.send(("orders", f"k{chance.randrange(KEYS)}", value, T0 + item * 100))

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self.flush()


KINDS = ("process",) * 3 + ("broker", "both", "pause", "broker pause", "cut", "silence", "delay")
"""Every ten disturbances have these, in an order of their own."""


def disturb(kind: str, cluster: Cluster, group: Group, chance: random.Random) -> None:
    number = chance.randrange(PROCESSES)
    proxies = chance.choice([cluster.proxies, [cluster.proxies[number]]])
    match kind:
        case "process":
            group.kill(number)
        case "broker":
            cluster.kill(chance.uniform(0, 8))
        case "both":
            cluster.node.stop(signal.SIGKILL)
            group.kill(number)
            time.sleep(chance.uniform(0, 3))
            cluster.node.start()
        case "pause":
            group.pause(number, SESSION_MS / 1000 + 2)
        case "broker pause":
            cluster.node.send_signal(signal.SIGSTOP)
            time.sleep(chance.uniform(1, SESSION_MS / 1000 + 2))
            cluster.node.send_signal(signal.SIGCONT)
        case "cut":
            for _ in range(10):
                for proxy in proxies:
                    proxy.cut()
                time.sleep(chance.uniform(0.1, 0.5))
        case "silence":
            for proxy in proxies:
                proxy.silent = True
            time.sleep(chance.uniform(1, SESSION_MS / 1000 + 4))
            for proxy in proxies:
                proxy.silent = False
        case "delay":
            for proxy in proxies:
                proxy.delay_s = 0.1
            time.sleep(3)
            for proxy in proxies:
                proxy.delay_s = 0.0


def by_key(address: str, topic: str, total: int) -> dict[bytes, list[Any]]:
    """What is read with read_committed: for each key its values, in their order."""
    found: dict[bytes, list[Any]] = {}
    for key, value in committed(address, topic, lambda records: len(records) >= total, seconds=TIMEOUT_S, quiet_s=5.0):
        found.setdefault(key, []).append(value)
    return found


def until_taken_in(address: str, topic: str, count: int, group: Group) -> None:
    """Wait until the queries that read a topic have committed that they have taken in so many records.  (Its records were
    written without transactions: no marks of commits are among them.)"""
    admin = AdminClient({"bootstrap.servers": address})
    end = time.monotonic() + TIMEOUT_S
    while True:
        groups = [g.group_id for g in admin.list_consumer_groups().result(30).valid]
        asked = [confluent_kafka.ConsumerGroupTopicPartitions(name) for name in groups]
        found = [admin.list_consumer_group_offsets([one])[one.group_id].result(30).topic_partitions for one in asked]
        taken = [sum(max(0, p.offset) for p in own) for places in found if (own := [p for p in places if p.topic == topic])]
        if taken and min(taken) >= count:
            return
        assert time.monotonic() < end, f"of {count} records of {topic} {found} are taken in\n{group.logs()}"
        time.sleep(0.5)


def disturbed(
    times: int, cluster: Cluster, group: Group, capsys: pytest.CaptureFixture[str], *, exactly: bool
) -> tuple[list[Record], dict[str, dict[bytes, list[Any]]]]:
    """What was sent while so many disturbances came, and what came of it in each output."""
    chance = random.Random(SEED)
    sender = Sender(cluster.address)
    for record in people():
        sender.send(record)
    sender.flush()
    until_taken_in(cluster.address, "people", KEYS, group)  # before the orders: which is first is not told by Kafka
    began_s = time.monotonic()
    sender.begin()
    done: Counter[str] = Counter()
    order: list[str] = []
    for number in range(times):
        if not order:
            order = chance.sample(KINDS, len(KINDS))
        time.sleep(chance.uniform(1.0, 8.0))
        kind = order.pop()
        with capsys.disabled():
            print(f"\r{number + 1} of {times}: {kind:<20}", end="", flush=True)
        disturb(kind, cluster, group, chance)
        group.check_alive()
        done[kind] += 1
    sender.end()
    ended_s = time.monotonic()
    total = sum(topic == "orders" for topic, *_ in sender.records)
    until_taken_in(cluster.address, "orders", total, group)
    found = {"PLACED": by_key(cluster.address, "PLACED", total)}
    if not exactly:  # there are more than the orders, so their number does not say when all have come
        until_taken_in(cluster.address, "PLACED", sum(map(len, found["PLACED"].values())), group)
    found |= {topic: by_key(cluster.address, topic, total) for topic in OUTPUTS[1:]}
    whole_s = time.monotonic() - ended_s
    with capsys.disabled():
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(done.items()))
        print(f"\n{kinds}: {total:,} orders in {ended_s - began_s:,.0f} s, the last results read {whole_s:.0f} s later")
    return sender.records, found


def test_what_is_committed_is_what_one_undisturbed_process_makes(
    cluster: Cluster, group: Group, capsys: pytest.CaptureFixture[str]
) -> None:
    """Record for record per key: nothing is lost, nothing comes twice, and no zombie writes."""
    records, found = disturbed(DISTURBANCES, cluster, group, capsys, exactly=True)
    total = sum(topic == "orders" for topic, *_ in records)
    with penstock.connect(auto_offset_reset="earliest") as alone:
        alone.execute(SCRIPT)
        for topic, key, value, stamp in records:
            alone.produce(topic, key=key.encode(), value=json.dumps(value).encode(), timestamp=stamp)
        assert alone.wait_idle(300)
        for topic in OUTPUTS:
            expected: dict[bytes, list[Any]] = {}
            for record in alone.consume(topic):
                expected.setdefault(record.key, []).append(json.loads(record.value))
            assert sum(map(len, found[topic].values())) == total, f"{topic}\n{group.logs()}"
            assert found[topic] == expected, f"{topic}\n{group.logs()}"


@pytest.mark.parametrize("guarantee", ["at_least_once"])
def test_at_least_once_loses_nothing(cluster: Cluster, group: Group, capsys: pytest.CaptureFixture[str]) -> None:
    """Every order is placed and counted, some more than once."""
    records, found = disturbed(max(1, DISTURBANCES // 2), cluster, group, capsys, exactly=False)
    sent = {value["ITEM"]: key for topic, key, value, _ in records if topic == "orders"}
    placed = Counter(value["ITEM"] for values in found["PLACED"].values() for value in values)
    missing = sorted(sent.keys() - placed.keys())
    assert not missing, f"{len(missing)} of {len(sent)} are missing: {missing[:20]}\n{group.logs()}"
    wanted = Counter(sent.values())
    counted = {key.decode(): values[-1]["N"] for key, values in found["sums"].items()}
    few = {key: (counted.get(key, 0), count) for key, count in wanted.items() if counted.get(key, 0) < count}
    with capsys.disabled():
        print(f"{placed.total() - len(sent):,} of {len(sent):,} came twice; {sum(counted.values()):,} are counted")
    assert not few, f"{few}\n{group.logs()}"
