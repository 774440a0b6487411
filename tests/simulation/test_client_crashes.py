"""Producers and consumers while the process dies at any file operation: a copy is exact, and a retry doubles nothing."""

from __future__ import annotations

import os
import random

import pytest

from penstock.errors import StorageError
from penstock.runtime.clients.clients import Clients
from penstock.runtime.clients.consumer_options import ConsumerOptions
from penstock.runtime.clients.producer import ProducerOptions
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import Crash, FaultyFiles

SETTINGS = LogSettings(background=False, journal_bytes_max=20_000, embedded_bytes_max=300, in_flight_bytes_min=0)
RECORDS = 60
RUNS = int(os.environ.get("PENSTOCK_SIMULATIONS", "4"))
BY_HAND = ProducerOptions(background=False)


def opened(files: FaultyFiles) -> tuple[LocalLog, Clients]:
    log = LocalLog(files, SETTINGS)
    for name in ("in", "out"):
        if name not in log.topics():
            log.create_topic(name, TopicConfig(2))
    return log, Clients(log, clock_ms=lambda: 0)


def load(log: LocalLog, clients: Clients, chance: random.Random) -> None:
    """Write record after record, each with its number; after a crash, again from somewhere before the end."""
    producer = clients.producer("loader", BY_HAND)
    for partition in (0, 1):
        last = producer.last_sequence("in", partition)
        first = max(0, (-1 if last is None else last) + 1 - chance.randint(0, 3))
        for number in range(first, RECORDS):
            told = producer.send("in", value=b"%d" % number, partition=partition, sequence=number).result()
            assert told.offset == number, "also a record that was there before is told its place"


def copy(log: LocalLog, clients: Clients, chance: random.Random) -> None:
    """Consume, transform, produce; offsets and records in one transaction, some of them aborted."""
    options = ConsumerOptions(group="copy", auto_offset_reset="earliest", enable_auto_commit=False)
    consumer = clients.consumer("in", options)
    producer = clients.producer("copier", BY_HAND)
    while records := consumer.poll(0, chance.randint(1, 9)):
        transaction = producer.transaction()
        for record in records:
            transaction.send("out", value=b"copy of " + record.value, partition=record.partition)
        transaction.send_offsets(consumer)
        if chance.random() < 0.2:
            transaction.abort()
            consumer.seek_to_committed()
        else:
            transaction.commit()


def contents(log: LocalLog, topic: str) -> list[list[bytes]]:
    return [log.read(topic, p, 0, rows_max=10_000).values.to_pylist() for p in (0, 1)]


@pytest.mark.parametrize("seed", range(RUNS))
def test_a_copy_is_exact_and_a_retry_doubles_nothing_wherever_it_crashes(seed: int) -> None:
    """The process dies again and again, a few dozen file operations after it was opened."""
    chance = random.Random(seed)
    files = FaultyFiles(seed, crash_at=chance.randrange(100))
    deaths = 0
    for work in (load, copy):
        while True:
            try:
                log, clients = opened(files)
                work(log, clients, chance)
                break
            except (Crash, StorageError):
                deaths += 1
                again = None if deaths > 60 else chance.choice((10, 30, 100, 300))
                files = files.after_crash(crash_at=None if again is None else chance.randrange(again))
        files = files.after_crash()
        if work is load:
            files.crash_at = chance.randrange(100)
    log, _ = opened(files)
    numbers = [b"%d" % number for number in range(RECORDS)]
    assert contents(log, "in") == [numbers, numbers]
    assert contents(log, "out") == [[b"copy of " + number for number in numbers]] * 2
    assert deaths > 0
    log.close()
