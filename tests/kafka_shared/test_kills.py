"""Exactly once over Apache Kafka: processes of one service are killed, stopped and continued while they work; what is
committed is what one process that nobody disturbed makes of the same input.

`make test-kafka` has 10 kills, `make kafka-group-kills` 200; PENSTOCK_KAFKA_SHARED_KILLS says how many.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

pytest.importorskip("confluent_kafka")

import confluent_kafka
from apache_kafka import empty, wanted_address
from committed_records import committed

import penstock

KILLS = int(os.environ.get("PENSTOCK_KAFKA_SHARED_KILLS", "10"))
PROCESSES = 3
PARTITIONS = 4
SESSION_MS = 6_000
TIMEOUT_S = 180.0
KEYS = 40
T0 = int(time.time() * 1000) - 3_600_000
"""Of now: Kafka closes and compacts segments whose records are old."""

pytestmark = [
    pytest.mark.skipif(wanted_address() is None, reason="PENSTOCK_KAFKA does not name a broker: see `make test-kafka`"),
    pytest.mark.xdist_group("apache-kafka"),
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
import sys, time, logging
import penstock
logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
path, address = sys.argv[1:]
with penstock.connect(path, kafka=address, service_id="kills",
                      settings={"session.timeout.ms": 6000, "transaction.timeout.ms": 5000}) as db:
    print("up", flush=True)
    time.sleep(3600)
"""


class Group:
    """Processes of one service.  One that is killed is begun again, with the directory that it had."""

    def __init__(self, address: str, place: Path) -> None:
        self._address = address
        self._place = place
        self.processes = [self._begin(number) for number in range(PROCESSES)]

    def _begin(self, number: int) -> subprocess.Popen[bytes]:
        with (self._place / f"{number}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", WORKER, str(self._place / str(number)), self._address],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

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
        return "\n".join((self._place / f"{number}.log").read_text()[-3000:] for number in range(PROCESSES))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    address = wanted_address()
    assert address is not None
    empty(address)
    with penstock.connect(tmp_path / "0", kafka=address, service_id="kills") as first:
        first.execute(SCRIPT)
    made = Group(address, tmp_path)
    yield made
    made.end()


def sent(number: int) -> list[tuple[str, str, dict[str, Any], int]]:
    """Topic, key, value and time of the records of one round."""
    made = random.Random(number)
    records: list[tuple[str, str, dict[str, Any], int]] = []
    for i in range(60):
        key = f"k{made.randrange(KEYS)}"
        records.append(
            ("orders", key, {"ITEM": number * 60 + i, "EUROS": made.randrange(100)}, T0 + number * 60_000 + i * 1_000)
        )
    return records


def people() -> list[tuple[str, str, dict[str, Any], int]]:
    return [("people", f"k{i}", {"TOWN": f"t{i % 5}"}, T0 - 1000) for i in range(KEYS)]


def by_key(address: str, topic: str, total: int) -> dict[bytes, list[Any]]:
    """What is read with read_committed: for each key its values, in their order."""
    found: dict[bytes, list[Any]] = {}
    for key, value in committed(address, topic, lambda records: len(records) >= total, seconds=TIMEOUT_S, quiet_s=5.0):
        found.setdefault(key, []).append(value)
    return found


def test_what_is_committed_is_what_one_undisturbed_process_makes(group: Group) -> None:
    """Record for record per key: nothing is lost, nothing comes twice, and no zombie writes."""
    address = wanted_address()
    assert address is not None
    chance = random.Random(7)
    sender = confluent_kafka.Producer(
        {"bootstrap.servers": address, "partitioner": "murmur2_random", "enable.idempotence": True}
    )

    def send(records: list[tuple[str, str, dict[str, Any], int]]) -> None:
        for topic, key, value, stamp in records:
            sender.produce(topic, json.dumps(value), key, timestamp=stamp)
        assert sender.flush(30) == 0

    every = people()
    send(every)
    time.sleep(15)  # the table is there before the orders: which is first is not told by Kafka
    for number in range(KILLS):
        records = sent(number)
        send(records)
        every += records
        time.sleep(chance.uniform(2.0, 9.0))
        if number % 5 == 4:
            group.pause(chance.randrange(PROCESSES), SESSION_MS / 1000 + 2)
        else:
            group.kill(chance.randrange(PROCESSES))
    total = sum(topic == "orders" for topic, *_ in every)
    with penstock.connect(auto_offset_reset="earliest") as alone:
        alone.execute(SCRIPT)
        for topic, key, value, stamp in every:
            alone.produce(topic, key=key.encode(), value=json.dumps(value).encode(), timestamp=stamp)
        assert alone.wait_idle(60)
        for topic in OUTPUTS:
            expected: dict[bytes, list[Any]] = {}
            for record in alone.consume(topic):
                expected.setdefault(record.key, []).append(json.loads(record.value))
            found = by_key(address, topic, total)
            assert sum(map(len, found.values())) == total, group.logs()
            assert found == expected, group.logs()
