"""kill -9 of the serving process under producers and transactions: nothing acknowledged is lost, nothing is doubled.

``PENSTOCK_KAFKA_KILLS`` says how often (`make kafka-kills`: 100).
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import penstock
from tests.support.waiting import until

confluent_kafka = pytest.importorskip("confluent_kafka")
pytest.importorskip("kio")

KILLS = int(os.environ.get("PENSTOCK_KAFKA_KILLS", "3"))
TIMEOUT_S = 60.0


class Served:
    """The serving process, which is killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        script = str(Path(__file__).with_name("serving.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, str(self.directory), str(self.port)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def idempotent(address: str, stop: threading.Event, acknowledged: list[bytes]) -> None:
    """Sends numbers one after the other; what is acknowledged is noted."""
    sender = confluent_kafka.Producer(
        {"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 2, "message.timeout.ms": 120_000}
    )

    def delivered(error: Any, message: Any) -> None:
        assert error is None, error
        acknowledged.append(message.value())

    number = 0
    while not stop.is_set():
        sender.produce("plain", b"%d" % number, on_delivery=delivered)
        number += 1
        sender.poll(0.001)
    assert sender.flush(TIMEOUT_S) == 0


def transactional(address: str, stop: threading.Event, committed: list[int], unknown: list[int]) -> None:
    """Commits pairs of records; after an error that needs it a transaction is aborted, or the producer made anew."""
    made: Any = None
    number = 0
    while not stop.is_set():
        try:
            if made is None:
                made = confluent_kafka.Producer(
                    {"bootstrap.servers": address, "transactional.id": "tx", "transaction.timeout.ms": 20_000}
                )
                made.init_transactions(TIMEOUT_S)
            number += 1
            made.begin_transaction()
            for partition in range(2):
                made.produce("pairs", b"%d" % number, partition=partition)
            unknown.append(number)
            made.commit_transaction(TIMEOUT_S)
            committed.append(number)
        except confluent_kafka.KafkaException as raised:
            error = raised.args[0]
            if error.txn_requires_abort():
                try:
                    made.abort_transaction(TIMEOUT_S)
                    unknown.pop()
                    continue
                except confluent_kafka.KafkaException:
                    pass
            made = None


@pytest.mark.xdist_group("kafka-kills")
def test_killed_under_load(tmp_path: Path) -> None:
    """Plain batches in their order, each once; of transactions all or nothing, what was acknowledged for sure."""
    with penstock.connect(tmp_path / "db") as database:
        database.create_topic("plain")
        database.create_topic("pairs", partitions=2)
    served = Served(tmp_path / "db")
    stop = threading.Event()
    acknowledged: list[bytes] = []
    committed: list[int] = []
    unknown: list[int] = []
    threads = [
        threading.Thread(target=idempotent, args=(served.address, stop, acknowledged)),
        threading.Thread(target=transactional, args=(served.address, stop, committed, unknown)),
    ]
    for thread in threads:
        thread.start()
    choose = random.Random(KILLS)
    for _ in range(KILLS):
        time.sleep(choose.uniform(0.3, 2.0))
        served.kill()
        served.start()
    until(lambda: committed and len(acknowledged) > KILLS)
    stop.set()
    for thread in threads:
        thread.join(3 * TIMEOUT_S)
        assert not thread.is_alive()
    served.kill()
    with penstock.connect(tmp_path / "db") as database:
        plain = [record.value for record in database.consume("plain", offset=0)]
        pairs = [
            Counter(int(record.value) for record in database.consume("pairs", offset=0, partition=number))
            for number in range(2)
        ]
    assert len(set(plain)) == len(plain)
    assert plain == [b"%d" % number for number in range(len(plain))]
    assert set(acknowledged) <= set(plain)
    assert pairs[0] == pairs[1]
    assert max(pairs[0].values()) == 1
    assert set(committed) <= set(pairs[0]) <= set(unknown)
    assert committed and len(acknowledged) > KILLS  # (how many depends on how quickly the client finds the server again)
