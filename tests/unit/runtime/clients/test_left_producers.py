"""Producers that nobody closes: what was sent is written at the end of the process, and a dropped one leaves no thread."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from penstock import connect
from tests.support.waiting import until

COUNT = 500
PROGRAM = f"""
import gc, sys, threading, penstock
db = penstock.connect(sys.argv[1])
db.create_topic("t", partitions=2)
producer = db.producer({{options}})
def send():
    for n in range({COUNT}):
        producer.send("t", value=b"%d" % n)
{{end}}
"""
OPTIONS = ["", "linger_ms=60_000", "durable=False", "id='loader'", "linger_ms=60_000, batch_bytes=100, max_in_flight=1"]
ENDS = {
    "last line": "send()",
    "exit": "send(); sys.exit(3)",
    "error": "send(); raise ValueError",
    "dropped": "send(); del producer, send; gc.collect()",
    "dropped with its database": "send(); del producer, send, db; gc.collect()",
    "another thread": "thread = threading.Thread(target=send); thread.start()",
    "closed": "send(); db.close()",
}


@pytest.mark.parametrize(
    ("options", "end"), [*((option, "last line") for option in OPTIONS), *((OPTIONS[1], end) for end in list(ENDS)[1:])]
)
def test_what_was_sent_is_written_when_the_process_ends(tmp_path: Path, options: str, end: str) -> None:
    """As kafka-python does; nobody waits for its linger."""
    program = PROGRAM.format(options=options, end=ENDS[end])
    command = [sys.executable, "-c", program, str(tmp_path / "db")]
    subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=300)
    with connect(tmp_path / "db") as db:
        assert len(list(db.consume("t"))) == COUNT


@pytest.mark.parametrize("linger_ms", [0, 50, 60_000])
def test_a_dropped_producer_leaves_no_thread(linger_ms: int) -> None:
    """Its records are written all the same, after its linger at the latest."""
    with connect() as db:
        db.create_topic("t")
        before = threading.active_count()
        for n in range(5):
            producer = db.producer(linger_ms=linger_ms)
            producer.send("t", value=b"%d" % n)
        del producer
        gc.collect()
        if linger_ms < 1000:
            until(lambda: len(list(db.consume("t"))) == 5)
            until(lambda: threading.active_count() <= before)
            return
    until(lambda: threading.active_count() < before)


def test_records_of_a_dropped_producer_are_written_by_close(tmp_path: Path) -> None:
    """However long they would have waited for others."""
    with connect(tmp_path) as db:
        db.create_topic("t")
        db.producer(linger_ms=60_000).send("t", value=b"x")
        gc.collect()
    with connect(tmp_path) as db:
        assert [record.value for record in db.consume("t")] == [b"x"]


def test_a_delivery_keeps_no_producer_but_comes(tmp_path: Path) -> None:
    """The result of a record whose producer was dropped."""
    with connect() as db:
        db.create_topic("t")
        delivery = db.producer(linger_ms=20).send("t", value=b"x")
        gc.collect()
        assert delivery.result(60).offset == 0
