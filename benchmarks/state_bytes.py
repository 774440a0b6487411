"""Bytes of memory that a group takes, by aggregate."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from . import bids
from .measure import Measurement, Options, database, end_query, until_taken_in, workload

KEYS_MAX: Final = 1_000_000
"""A little below a power of two, to which columns grow."""

_SAMPLE: Final = 1_000
_AGGREGATES: Final = (
    "COUNT(*)",
    "SUM(n)",
    "SUM(d)",
    "AVG(n)",
    "AVG(d)",
    "MAX(n)",
    "MAX(t)",
    "LATEST_BY_OFFSET(n)",
    "LATEST_BY_OFFSET(t)",
    "EARLIEST_BY_OFFSET(n)",
    "TOPK(n, 4)",
    "STDDEV_SAMP(d)",
    "CORRELATION(d, n)",
    "COUNT_DISTINCT(n)",
    "COLLECT_LIST(n)",
    "COLLECT_SET(n)",
    "HISTOGRAM(t)",
)


@workload
def state_bytes(options: Options) -> Iterator[Measurement]:
    """Per group: its key, a text of 16 bytes, included, and one row taken in; ``n`` BIGINT, ``d`` DOUBLE, ``t`` 16 bytes.

    What is kept in columns is as much as these are long; of states that are Python objects, what a thousand of them take.
    """
    keys = min(options.rows, KEYS_MAX)
    with database() as db:
        db.execute(
            "CREATE STREAM rows (k STRING, n BIGINT, d DOUBLE, t STRING) "
            "WITH (KAFKA_TOPIC='rows', VALUE_FORMAT='ARROW', PARTITIONS=1);"
        )
        token = None
        for start in range(0, keys, 65_536):
            numbers = np.arange(start, min(keys, start + 65_536))
            texts = pa.array([f"{number:016d}" for number in numbers.tolist()])
            columns = {
                "k": texts,
                "n": numbers,
                "d": numbers * 0.25,
                "t": texts,
                "rowtime": np.full(len(numbers), bids.START_MS),
            }
            done = db.insert("rows", pa.table(columns), durable=False)
            token = done if token is None else token | done
        assert token is not None
        for number, aggregate in enumerate(_AGGREGATES):
            table = f"HELD_{number}"
            until_taken_in(db, token, f"CREATE TABLE {table} AS SELECT k, {aggregate} AS a FROM rows GROUP BY k;")
            run = db._engine.host.run(db.catalog.source(table).query_id)
            stores = [store for task in run.tasks() for operator in task.operators.values() for store in operator.stores]
            held = sum(store.size_bytes for store in stores) / keys
            yield Measurement(f"bytes of a group, {aggregate}", held + sum(map(_objects, stores)), "B", yardstick="none")
            end_query(db, table)


def _objects(store: Any) -> float:
    """Bytes that the Python objects of a row take."""
    names = [f.name for f in getattr(store, "fields", ()) if f.dtype.hasobject and not f.columnar]
    slots = np.arange(min(_SAMPLE, len(store)))
    return sum(_size(value) for name in names for value in store.read(name, slots)) / max(1, len(slots))


def _size(value: Any) -> int:
    """Of an object and what it holds."""
    if isinstance(value, dict):
        held = sum(_size(k) + _size(v) for k, v in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        held = sum(map(_size, value))
    else:
        held = 0
    return sys.getsizeof(value) + held
