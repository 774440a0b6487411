"""Apache Kafka's own tools, clients and Streams, as they are.  `make foreign-kafka` fetches them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import penstock

confluent_kafka = pytest.importorskip("confluent_kafka")

HERE = Path(__file__).parent
JARS = HERE.parent.parent / "build" / "kafka" / "jars"
TIMEOUT_S = 120.0
WORDS = ("alpha", "beta", "gamma")

pytestmark = [
    pytest.mark.skipif(
        shutil.which("java") is None or not JARS.is_dir(),
        reason="java or build/kafka/jars is missing: `make foreign-kafka` fetches them where Maven Central is to be had",
    ),
    pytest.mark.xdist_group("java"),
]


def command(main: str, *arguments: str, classes: Path | None = None) -> list[str]:
    """A class of the tools with its arguments, in a small JVM that starts fast."""
    path = f"{JARS}/*" if classes is None else f"{JARS}/*:{classes}"
    small = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    return ["java", *small, "-cp", path, main, *arguments]


def tool(main: str, *arguments: str) -> str:
    """What a tool prints, which must succeed."""
    done = subprocess.run(
        command(f"org.apache.kafka.tools.{main}", *arguments), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_topics(address: str, database: penstock.Database) -> None:
    """kafka-topics creates, describes, alters, lists and deletes."""
    server = ("--bootstrap-server", address)
    tool("TopicCommand", *server, "--create", "--topic", "t", "--partitions", "2", "--config", "retention.ms=5000")
    described = tool("TopicCommand", *server, "--describe", "--topic", "t")
    assert re.search(r"PartitionCount: 2\s+ReplicationFactor: 1\s+Configs:.*retention\.ms=5000", described)
    assert len(re.findall(r"Leader: 1\s+Replicas: 1\s+Isr: 1", described)) == 2
    tool("TopicCommand", *server, "--alter", "--topic", "t", "--partitions", "3")
    assert database.describe_topic("t").config["retention.ms"] == "5000"
    assert "t" in tool("TopicCommand", *server, "--list").split()
    tool("TopicCommand", *server, "--delete", "--topic", "t")
    assert "t" not in tool("TopicCommand", *server, "--list").split()


def test_performance_of_producers(address: str, database: penstock.Database) -> None:
    """kafka-producer-perf-test's records are there, all of them."""
    config = (f"bootstrap.servers={address}", "acks=all", "compression.type=lz4")
    printed = tool(
        "ProducerPerformance",
        *("--topic", "perf", "--num-records", "20000", "--record-size", "100", "--throughput", "-1"),
        *("--producer-props", *config),
    )
    assert "20000 records sent" in printed
    assert database.log.end_offset("perf", 0) == 20_000


def test_verifiable_clients_and_groups(address: str) -> None:
    """What kafka-verifiable-producer was told is written is what kafka-verifiable-consumer reads, each once;
    kafka-consumer-groups shows the group with no lag, and moves it back."""
    server = ("--bootstrap-server", address)
    tool("TopicCommand", *server, "--create", "--topic", "v", "--partitions", "1")
    lines = tool("VerifiableProducer", *server, "--topic", "v", "--max-messages", "300").splitlines()
    told = [json.loads(line) for line in lines]
    sent = [line["value"] for line in told if line["name"] == "producer_send_success"]
    assert sorted(map(int, sent)) == list(range(300))
    consumer = ("--topic", "v", "--group-id", "g", "--reset-policy", "earliest", "--max-messages", "300", "--verbose")
    read = [json.loads(line) for line in tool("VerifiableConsumer", *server, *consumer).splitlines()]
    assert sorted(int(line["value"]) for line in read if line["name"] == "record_data") == list(range(300))
    assert any(line["name"] == "offsets_committed" and line["success"] for line in read)
    groups = "consumer.group.ConsumerGroupCommand"
    assert tool(groups, *server, "--list").split() == ["g"]

    def lags() -> list[tuple[str, ...]]:
        printed = tool(groups, *server, "--describe", "--group", "g")
        return sorted(re.findall(r"^g\s+v\s+(\d)\s+(\d+)\s+(\d+)\s+(\d+)", printed, re.MULTILINE))

    assert lags() == [("0", "300", "300", "0")]
    tool(groups, *server, "--group", "g", "--topic", "v", "--reset-offsets", "--to-earliest", "--execute")
    assert lags() == [("0", "0", "300", "300")]
    tool(groups, *server, "--delete", "--group", "g")
    assert tool(groups, *server, "--list").split() == []


@contextmanager
def word_count(classes: Path, address: str, state: Path, log: Path) -> Iterator[Any]:
    """The Streams application, running."""
    run = command("WordCount", address, "lines", "counts", str(state), classes=classes)
    with log.open("a") as errors:
        process = subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n", log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def counted(source: Any, found: dict[str, list[int]], total: int) -> None:
    """Read on until ``total`` counts were found, as far as what is committed goes."""
    end = time.monotonic() + TIMEOUT_S
    while sum(map(len, found.values())) < total and time.monotonic() < end:
        for message in source.consume(100, 0.2):
            assert message.error() is None, message.error()
            found.setdefault(message.key().decode(), []).append(int(message.value()))


@pytest.mark.skipif(shutil.which("javac") is None, reason="there is no javac")
def test_streams_counts_each_word_exactly_once(address: str, database: penstock.Database, tmp_path: Path) -> None:
    """With exactly_once_v2, a store with its changelog and a repartition topic; also when the application is killed."""
    classes, state, log = tmp_path / "classes", tmp_path / "state", tmp_path / "streams.log"
    subprocess.run(["javac", "-cp", f"{JARS}/*", "-d", str(classes), str(HERE / "java" / "WordCount.java")], check=True)
    database.create_topic("lines", partitions=2)
    database.create_topic("counts", partitions=2)
    sender = confluent_kafka.Producer({"bootstrap.servers": address})
    source = confluent_kafka.Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "reader",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    source.subscribe(["counts"])
    found: dict[str, list[int]] = {}

    def send(lines: int) -> None:
        for number in range(lines):
            sender.produce("lines", f"{' '.join(WORDS)} word{number % 5}", str(number))
        assert sender.flush(TIMEOUT_S) == 0

    send(500)
    with word_count(classes, address, state, log) as first:
        counted(source, found, 100)
        send(500)
        first.kill()
    with word_count(classes, address, state, log) as second:
        counted(source, found, 4000)
        second.stdin.close()
        assert second.wait(TIMEOUT_S) == 0, log.read_text()
    assert source.consume(1, 0.5) == []
    source.close()
    expected = {**dict.fromkeys(WORDS, 1000), **{f"word{number}": 200 for number in range(5)}}
    assert found == {word: list(range(1, count + 1)) for word, count in expected.items()}
