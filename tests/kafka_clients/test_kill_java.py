"""kill -9 of the serving process under Apache Kafka's own clients: a transactional producer, an exactly-once copier and
a read_committed reader.

``PENSTOCK_KAFKA_KILLS`` says how often (`make kafka-kills`: 100).  `make foreign-kafka` fetches the clients.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import penstock

from .test_kill import Served

pytest.importorskip("kio")

HERE = Path(__file__).parent
JARS = HERE.parent.parent / "build" / "kafka" / "jars"
KILLS = int(os.environ.get("PENSTOCK_KAFKA_KILLS", "3"))
TIMEOUT_S = 120.0

pytestmark = [
    pytest.mark.skipif(
        shutil.which("javac") is None or not JARS.is_dir(),
        reason="javac or build/kafka/jars is missing: `make foreign-kafka` fetches them where Maven Central is to be had",
    ),
    pytest.mark.xdist_group("java"),
]


class Clients:
    """The clients' process, and what they have said so far."""

    def __init__(self, classes: Path, address: str, errors: Path) -> None:
        self.lines: list[list[str]] = []
        small = ["-Xmx256m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
        command = ["java", *small, "-cp", f"{JARS}/*:{classes}", "KillClients", address]
        self._errors = errors.open("w")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.split())

    def said(self, word: str) -> list[list[str]]:
        return [line[1:] for line in list(self.lines) if line[0] == word]

    def wait(self, true: object, what: str) -> None:
        end_s = time.monotonic() + TIMEOUT_S
        while not true():  # type: ignore[operator]
            assert time.monotonic() < end_s and self.process.poll() is None, what
            time.sleep(0.1)

    def end(self) -> None:
        """Have them end by themselves."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(TIMEOUT_S) == 0

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join()
        self._errors.close()


def test_apache_kafkas_clients_while_the_server_is_killed(tmp_path: Path) -> None:
    """What was acknowledged is there once, what was aborted never; every record is copied and read once, in order."""
    classes = tmp_path / "classes"
    subprocess.run(["javac", "-cp", f"{JARS}/*", "-d", str(classes), str(HERE / "java" / "KillClients.java")], check=True)
    with penstock.connect(tmp_path / "db") as database:
        database.create_topic("pairs", partitions=2)
        database.create_topic("copies", partitions=2)
    served = Served(tmp_path / "db")
    clients = Clients(classes, served.address, tmp_path / "clients.log")
    choose = random.Random(KILLS)
    try:
        clients.wait(lambda: clients.said("read"), "the clients have not begun")
        for number in range(KILLS):
            before = len(clients.said("committed"))
            time.sleep(choose.uniform(0.1, 1.5))
            served.kill()
            served.start()
            clients.wait(lambda before=before: len(clients.said("committed")) > before, f"no commit after kill {number + 1}")
        seen = len(clients.said("committed"))
        for partition in "01":
            clients.wait(
                lambda at=partition: sum(line[0] == at for line in clients.said("read")) >= seen, "the copies have not come"
            )
        clients.end()
    finally:
        clients.close()
        served.kill()
    with penstock.connect(tmp_path / "db") as database:
        found = {
            topic: [[int(r.value) for r in database.consume(topic, offset=0, partition=number)] for number in range(2)]
            for topic in ("pairs", "copies")
        }
    committed, aborted = ({int(number) for (number,) in clients.said(word)} for word in ("committed", "aborted"))
    for pairs, copies in zip(found["pairs"], found["copies"], strict=True):
        assert pairs == sorted(set(pairs))
        assert committed <= set(pairs) and not aborted & set(pairs)
        assert copies == pairs[: len(copies)]
    assert Counter(found["pairs"][0]) == Counter(found["pairs"][1])
    for partition, copies in enumerate(found["copies"]):
        read = [(int(offset), int(value)) for at, offset, value in clients.said("read") if int(at) == partition]
        assert read == list(enumerate(copies))[: len(read)]
        assert len(read) >= seen
    print(f"{KILLS} kills, {len(committed):,} commits, {len(aborted):,} aborts: each once, none lost")
