"""The thread that commits: it goes on whatever becomes of those who wait, and no append is committed in part."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("kio")

import penstock
from penstock.errors import StorageError
from penstock.listener.appender import Append, Appender, Gathering
from penstock.storage.log.protocol import Log, Records

TIMEOUT_S = 60


@pytest.fixture
def log() -> Iterator[Log]:
    with penstock.connect(None, threads=0) as database:
        for name in ("a", "b"):
            database.create_topic(name)
        yield database.log


@pytest.fixture
def appender(log: Log) -> Iterator[Appender]:
    made = Appender(log)
    yield made
    made.close()


def record(text: str) -> Records:
    return Records(None, pa.array([text.encode()], pa.binary()), np.zeros(1, np.int64))


def values(log: Log, topic: str) -> list[bytes]:
    return list(log.read(topic, 0, 0, rows_max=100).values.to_pylist())


def held_up(appender: Appender) -> threading.Event:
    """Something that keeps the thread busy until the event is set, so that what follows is committed together."""
    go_on = threading.Event()
    taken = threading.Event()

    def wait(gathering: Gathering) -> None:
        taken.set()
        go_on.wait(TIMEOUT_S)

    appender.submit(Append(wait))
    assert taken.wait(TIMEOUT_S)
    return go_on


def test_who_no_longer_waits_does_not_end_the_thread(log: Log, appender: Appender) -> None:
    """A client that goes away while its records are on their way harms nobody; the records are written."""
    go_on = held_up(appender)
    gone = appender.submit(Append(lambda gathering: void(gathering.append("a", 0, record("1")))))
    gone.cancel()
    go_on.set()
    appender.submit(Append(lambda gathering: void(gathering.append("a", 0, record("2"))))).result(TIMEOUT_S)
    assert values(log, "a") == [b"1", b"2"]


def test_an_append_that_fails_half_way_leaves_nothing(log: Log, appender: Appender) -> None:
    """And those with which it shares a commit are written."""

    def both(gathering: Gathering) -> None:
        gathering.append("a", 0, record("half"))
        gathering.append("missing", 0, record("half"))

    go_on = held_up(appender)
    first = appender.submit(Append(lambda gathering: void(gathering.append("a", 0, record("1")))))
    failed = appender.submit(Append(both))
    last = appender.submit(Append(lambda gathering: void(gathering.append("b", 0, record("2")))))
    go_on.set()
    with pytest.raises(StorageError):
        failed.result(TIMEOUT_S)
    first.result(TIMEOUT_S)
    last.result(TIMEOUT_S)
    assert (values(log, "a"), values(log, "b")) == ([b"1"], [b"2"])


def test_an_error_after_a_commit_is_its_own(log: Log, appender: Appender) -> None:
    """The thread commits for the others."""

    def broken(commit: Any) -> None:
        raise ValueError("of the one that was told")

    with pytest.raises(ValueError, match="was told"):
        appender.submit(Append(lambda gathering: void(gathering.append("a", 0, record("1"))), broken)).result(TIMEOUT_S)
    appender.submit(Append(lambda gathering: void(gathering.append("a", 0, record("2"))))).result(TIMEOUT_S)
    assert values(log, "a") == [b"1", b"2"]


def void(_: object) -> None:
    """`Append.add` returns nothing."""
