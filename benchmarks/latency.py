"""Milliseconds from ``insert()`` of one record until its row reaches the reader of a push query."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import penstock

from .lookups import KEYS, loaded
from .measure import Measurement, Options, database, percentile, workload
from .throughput import PAYMENTS, TOTALS

RECORDS = 1_000
PAUSE_S = 0.003
"""Between two records, so that the engine is idle when one comes."""


class Taken(NamedTuple):
    """A record's row, and the ms from the beginning of ``insert()`` until it returned, and until the row was read."""

    values: tuple[Any, ...]
    inserted_ms: float
    whole_ms: float


def one_by_one(
    database: penstock.Database,
    subscription: Any,
    records: Iterable[tuple[int, int]],
    *,
    pause_s: float = PAUSE_S,
    before: Callable[[], object] = lambda: None,
) -> Iterator[Taken]:
    """Insert records one by one, each when the row of the one before was read, and a pause later.

    Args:
        subscription: a push query that puts out one row per record.
        records: account and amount.
        before: called before each.
    """
    for account, amount in records:
        before()
        start = time.perf_counter()
        database.insert("payments", [{"account": account, "amount": amount}])
        inserted_ms = (time.perf_counter() - start) * 1e3
        row = subscription.poll(30)
        assert row is not None and row.values[0] == account, row
        yield Taken(row.values, inserted_ms, (time.perf_counter() - start) * 1e3)
        time.sleep(pause_s)
    assert subscription.poll() is None, "a row too many came, so times are not those of the records"


@contextmanager
def watched_syncs() -> Iterator[list[float]]:
    """Collects how many milliseconds each `os.fdatasync` of this process takes."""
    taken: list[float] = []
    plain = os.fdatasync

    def watched(descriptor: int) -> None:
        start = time.perf_counter()
        plain(descriptor)
        taken.append((time.perf_counter() - start) * 1e3)

    os.fdatasync = watched  # type: ignore[assignment]
    try:
        yield taken
    finally:
        os.fdatasync = plain


@workload
def latency(options: Options) -> Iterator[Measurement]:
    """Through a push query over the stream, and through a persistent aggregation and a push query over its table."""
    with watched_syncs() as syncs, database({"auto.offset.reset": "latest"}) as db:
        db.execute(PAYMENTS + TOTALS)
        for name, source in (("stream", "payments"), ("table", "totals")):
            whole, inserted, engine = [], [], []
            with db.subscribe(f"SELECT * FROM {source} EMIT CHANGES;") as subscription:
                while subscription.poll(1.0) is not None:
                    pass  # the rows that the table holds already
                records = [(number % 10, number) for number in range(RECORDS)]
                for taken in one_by_one(db, subscription, records, before=syncs.clear):
                    inserted.append(taken.inserted_ms)
                    whole.append(taken.whole_ms)
                    engine.append(taken.whole_ms - sum(syncs))
            yield Measurement(f"record to row of a {name}, p50", percentile(whole, 0.5), "ms", yardstick="fsync")
            yield Measurement(f"record to row of a {name}, p99", percentile(whole, 0.99), "ms", 10.0, "fsync")
            yield Measurement(
                f"of it, beside the disk's syncs, p50 ({name})", percentile(engine, 0.5), "ms", yardstick="none"
            )
            yield Measurement(
                f"of it, beside the disk's syncs, p99 ({name})", percentile(engine, 0.99), "ms", yardstick="none"
            )
            yield Measurement(f"insert() beside it, p50 ({name})", percentile(inserted, 0.5), "ms", yardstick="fsync")


LOADED_RECORDS = 300


@workload
def latency_loaded(options: Options) -> Iterator[Measurement]:
    """Through a persistent aggregation that takes in 500,000 other rows a second, and a push query for one of its keys."""
    with database({"auto.offset.reset": "latest"}) as db:
        db.execute(PAYMENTS + TOTALS)
        whole = []
        with loaded(db), db.subscribe(f"SELECT * FROM totals WHERE account = {KEYS} EMIT CHANGES;") as subscription:
            records = [(KEYS, number) for number in range(1, LOADED_RECORDS + 1)]
            for number, taken in enumerate(one_by_one(db, subscription, records), 1):
                assert taken.values[1] == number, taken  # COUNT
                whole.append(taken.whole_ms)
        yield Measurement("record to row of a loaded table, p50", percentile(whole, 0.5), "ms", yardstick="fsync")
        yield Measurement("record to row of a loaded table, p99", percentile(whole, 0.99), "ms", 30.0, "fsync")
