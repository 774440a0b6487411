"""Ctrl-C and calls that must not be interrupted, also where the user's code and calls of ours are inside each other."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

import pytest

import penstock
from penstock.storage import interrupts
from penstock.storage.combining import Combiner

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be sent SIGINT there")


def interrupt() -> None:
    """Ctrl-C: Python runs its handler before the next line."""
    os.kill(os.getpid(), signal.SIGINT)


def test_a_call_ends_first() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.DEFERRED:
        interrupt()
        done.append("the call")
    assert done == ["the call"]


def test_code_of_the_users_ends_at_once() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.DEFERRED, interrupts.UserCode():
        interrupt()
        done.append("more of it")
    assert done == []


def test_a_call_that_code_of_the_users_makes_ends_first() -> None:
    """Then the interruption is for that code."""
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.DEFERRED, interrupts.UserCode():
        with interrupts.DEFERRED:
            interrupt()
            done.append("the inner call")
        done.append("more of the code")
    assert done == ["the inner call"]


def test_code_in_a_call_in_code() -> None:
    done = []
    with interrupts.DEFERRED, interrupts.UserCode():
        with interrupts.DEFERRED:
            with pytest.raises(KeyboardInterrupt), interrupts.UserCode():
                interrupt()
                done.append("more of the inner code")
            done.append("the inner call goes on")
        with pytest.raises(KeyboardInterrupt):
            interrupt()
            done.append("more of the outer code")
    assert done == ["the inner call goes on"]


def test_a_function_that_inserts_leaves_the_other_database_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit that its insert makes is not broken off, with its lock held for ever."""
    other = penstock.connect()
    other.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);")
    armed = True
    lead = Combiner._lead

    def interrupted(self: Combiner, *given: Any) -> None:
        nonlocal armed
        if armed and threading.current_thread() is threading.main_thread():
            with self._lock:
                armed = False
                interrupt()
                lead(self, *given)
        else:
            lead(self, *given)

    @penstock.udf
    def copied(v: int) -> int:
        monkeypatch.setattr(Combiner, "_lead", interrupted)
        other.insert("s", {"v": v})
        return v

    with penstock.connect(threads=0, auto_offset_reset="earliest") as db:
        db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);")
        db.execute("CREATE STREAM t AS SELECT copied(v) AS v FROM s;")
        db.insert("s", {"v": 1})
        with pytest.raises(KeyboardInterrupt):
            db.drain()
        assert not armed
    assert other.sql("SELECT v FROM s;").fetchall() == [(1,)]
    beside = threading.Thread(target=other.insert, args=("s", {"v": 2}), daemon=True)
    beside.start()
    beside.join(60)
    assert not beside.is_alive()
    other.close()
