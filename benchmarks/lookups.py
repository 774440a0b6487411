"""Lookups by key: through a prepared handle and through texts, idle and while rows are being processed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

import penstock

from .measure import Measurement, Options, database, percentile, workload
from .throughput import PAYMENTS, TOTALS

KEYS = 100_000
SECONDS = 3.0
BATCH = 25_000
BATCHES_PER_S = 20.4
"""Rows and inserts of the load: 510,000 rows/s, so that 500,000 are seen wherever the time that is measured cuts a batch."""

ASKED_PER_S = 10_000
_TICKS_PER_S = 1_000
"""How often paced lookups come: ten at a time, as a sleep cannot be shorter."""


def _timed(look: Callable[[int], object], keys: list[int]) -> list[float]:
    """Milliseconds of each lookup, for so many seconds."""
    taken: list[float] = []
    end = time.perf_counter() + SECONDS
    number = 0
    while (before := time.perf_counter()) < end:
        found = look(keys[number % len(keys)])
        taken.append((time.perf_counter() - before) * 1e3)
        assert found, "every key has a row"
        number += 1
    return taken


def _paced(look: Callable[[int], object], keys: list[int]) -> list[float]:
    """Look up so many keys a second; milliseconds from the time at which each was to begin until it was there.

    So a lookup that takes long counts for all that wait behind it.
    """
    taken: list[float] = []
    each, began = ASKED_PER_S // _TICKS_PER_S, time.perf_counter()
    for tick in range(int(SECONDS * _TICKS_PER_S)):
        due = began + tick / _TICKS_PER_S
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        for number in range(tick * each, (tick + 1) * each):
            found = look(keys[number % len(keys)])
            taken.append((time.perf_counter() - due) * 1e3)
            assert found, "every key has a row"
    return taken


@contextmanager
def loaded(db: penstock.Database) -> Iterator[None]:
    """Inserts `BATCHES_PER_S` times `BATCH` payments a second, relaxed, by a thread of its own."""
    random = np.random.default_rng(2)
    stop = threading.Event()

    def load() -> None:
        began, written = time.perf_counter(), 0
        while not stop.is_set():
            rows = {"account": random.integers(0, KEYS, BATCH), "amount": np.ones(BATCH, np.int64)}
            db.insert("payments", pa.table(rows), durable=False)
            written += 1
            time.sleep(max(0.0, began + written / BATCHES_PER_S - time.perf_counter()))

    writer = threading.Thread(target=load)
    writer.start()
    try:
        time.sleep(1)
        yield
    finally:
        stop.set()
        writer.join()


@workload
def lookups(options: Options) -> Iterator[Measurement]:
    """Of a table of 100,000 keys, each time another one, on one thread; beside rows at the promised pace, and unpaced."""
    random = np.random.default_rng(1)
    keys = random.integers(0, KEYS, 50_000).tolist()
    with database({"auto.offset.reset": "earliest"}) as db:
        db.execute(PAYMENTS + TOTALS)
        every = pa.table({"account": pa.array(np.arange(KEYS)), "amount": pa.array(np.ones(KEYS, np.int64))})
        db.wait(db.insert("payments", every), timeout_s=60)
        handle = db.table("totals")

        def by_text(key: int) -> object:
            return db.sql(f"SELECT * FROM totals WHERE account = {key};").fetchall()

        for name, look in (("get()", handle.get), ("sql()", by_text)):
            taken = _timed(look, keys)
            target = 50.0 if look == handle.get else 10.0
            yield Measurement(f"lookups by {name}, idle", len(taken) / SECONDS / 1e3, "k/s", target, "python")
        with loaded(db):
            for name, look in (("get()", handle.get), ("sql()", by_text)):
                for pace, looked in ((f"{ASKED_PER_S // 1000} k/s of", _paced), ("as many as can be", _timed)):
                    before, began = _read(db), time.perf_counter()
                    taken = looked(look, keys)
                    seconds = time.perf_counter() - began
                    per_s = (_read(db) - before) / seconds / 1e6
                    what, paced = f"{pace} {name} beside rows", looked is _paced
                    yield Measurement(f"{what}: rows taken in", per_s, "M rows/s", 0.5 if paced else None, "none")
                    target = 0.99 * ASKED_PER_S / 1e3 if paced else None
                    yield Measurement(f"{what}: lookups", len(taken) / seconds / 1e3, "k/s", target, "none")
                    yield Measurement(f"{what}: p99", percentile(taken, 0.99), "ms", 10.0, "none")


def _read(db: penstock.Database) -> int:
    """The rows that all queries have read so far."""
    return sum(query.progress().account.read for query in db.queries.values())
