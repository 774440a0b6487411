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
BATCHES_PER_S = 20
"""Rows and inserts of the load: 500,000 rows/s."""


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


@contextmanager
def loaded(db: penstock.Database) -> Iterator[None]:
    """Inserts 500,000 payments a second, relaxed, by a thread of its own."""
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
    """Of a table of 100,000 keys, each time another one, on one thread."""
    random = np.random.default_rng(1)
    keys = random.integers(0, KEYS, 50_000).tolist()
    with database({"auto.offset.reset": "earliest"}) as db:
        db.execute(PAYMENTS + TOTALS)
        every = pa.table({"account": np.arange(KEYS), "amount": np.ones(KEYS, np.int64)})
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
                before, began = db.queries, time.perf_counter()
                read = sum(q.progress().account.read for q in before.values())
                taken = _timed(look, keys)
                processed = sum(q.progress().account.read for q in db.queries.values()) - read
                per_s = processed / (time.perf_counter() - began) / 1e6
                yield Measurement(f"rows processed beside {name}", per_s, "M rows/s", None, "duckdb")
                yield Measurement(f"lookups by {name} beside it", len(taken) / SECONDS / 1e3, "k/s", 10.0, "python")
                yield Measurement(f"lookups by {name} beside it, p99", percentile(taken, 0.99), "ms", 10.0, "none")
