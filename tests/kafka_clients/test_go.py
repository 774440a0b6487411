"""Clients in Go, as they are: franz-go, kafka-go, sarama.  `make foreign-kafka` builds them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import penstock

BUILT = Path(__file__).parents[2] / "build" / "kafka" / "go"


def run(client: str, address: str) -> dict[str, Any]:
    """What a client has read and committed."""
    program = BUILT / client
    if not program.is_file():
        pytest.skip(
            f"build/kafka/go/{client} is missing: `make foreign-kafka` builds it where Go and its modules are to be had"
        )
    done = subprocess.run([str(program), address], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def check(printed: dict[str, Any], database: penstock.Database) -> None:
    """Each record with its key and header, none of an aborted transaction; offsets are committed, the topic is deleted."""
    words = sorted([f"{which} {number}"] * 2 + [str(number)] for which in ("first", "second") for number in range(50))
    found = [tuple(row) for row in printed["found"]]
    assert {*found} == {tuple(row) for row in words}
    assert printed["committed"] >= 100
    assert "t" not in database.log.topics()


def test_franz_go(address: str, database: penstock.Database) -> None:
    """Transactions that end either way, zstd, a group of two members, groups described and deleted."""
    printed = run("franz", address)
    check(printed, database)
    assert printed["state"] in ("Stable", "PreparingRebalance", "CompletingRebalance")


def test_kafka_go(address: str, database: penstock.Database) -> None:
    """Batches with lz4 for keys as Java places them, a group of two readers, offsets committed one by one."""
    check(run("segmentio", address), database)


def test_sarama(address: str, database: penstock.Database) -> None:
    """Transactions that end either way, snappy, a consumer group of two members, an admin client."""
    check(run("sarama", address), database)
