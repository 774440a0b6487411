"""Moves rows to the partition of their new key, within a step and before its commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor, wait
from contextvars import copy_context
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.gathering import references
from ...kernels.merging import merge_beside, scatter
from ...storage.log.partitioner import place
from ...storage.log.protocol import Log
from ..batch import Batch, Int64s, gathered, whole
from ..dataflow import Exchange
from ..source import all_null

T = TypeVar("T")
R = TypeVar("R")


def exchange(
    node: Exchange,
    log: Log,
    parts: Sequence[Batch],
    later: Collection[int] | None = (),
    pool: Executor | None = None,
) -> list[Batch]:
    """Move each row to the partition of its key, keeping the order of positions.

    Rows without a key stay in their partition.  Without a serde for keys all rows go to partition 0.

    Args:
        parts: one batch per partition.
        later: columns that may be, or become, a `Later`; None: all but the keys.
        pool: works on several partitions side by side; None works on one after the other.

    Returns:
        one batch per partition.
    """
    count = len(parts)
    if later is None:
        later = range(parts[0].key_count, len(parts[0].columns))
    if count == 1:
        return [whole(batch, later) for batch in parts]
    filled = [origin for origin, batch in enumerate(parts) if len(batch)]  # few, where there are thousands
    batches = [parts[origin] for origin in filled]

    def scattered(origin: int) -> list[Int64s]:
        return _scattered(node, log, parts[origin], origin, count)

    pieces: list[list[Int64s]] = [[] for _ in range(count)]
    for number, targets in enumerate(_side_by_side(pool, scattered, filled)):
        for own, rows in zip(pieces, targets):
            if len(rows):
                own.append(references(number, rows))
    received = [target for target, own in enumerate(pieces) if own]
    nothing = parts[0].slice(0, 0)
    result = [nothing] * count
    for target, batch in zip(received, _side_by_side(pool, lambda t: _in_order(batches, pieces[t], later), received)):
        result[target] = batch
    return [whole(batch, later) for batch in result]


def _side_by_side(pool: Executor | None, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The function's results, in the order of the items."""
    items = list(items)
    if pool is None or len(items) < 2:
        return [function(item) for item in items]
    running = [pool.submit(copy_context().run, function, item) for item in items]
    wait(running)  # all of them, also where one fails: none may run on behind the back of a restart
    return [future.result() for future in running]


def _scattered(node: Exchange, log: Log, batch: Batch, origin: int, count: int) -> list[Int64s]:
    """The rows of one partition's batch that go to each partition, as far as some do."""
    if node.key_serde is None:
        return [np.arange(len(batch), dtype=np.int64)]
    key_schema = pa.schema(list(batch.schema)[: batch.key_count])
    one_key = _has_one_key(batch)
    keys = tuple(column.slice(0, 1) for column in batch.keys) if one_key else batch.keys
    encoded = node.key_serde.encode(keys, key_schema, all_null(keys, 0, len(keys[0])))
    targets = count if node.partitions is None else min(node.partitions, count)
    placed = place(encoded.data, len(keys[0]), targets, origin, hashed=log.partitions_of)
    if one_key:
        everything, nothing = np.arange(len(batch), dtype=np.int64), np.zeros(0, np.int64)
        return [everything if target == placed[0] else nothing for target in range(count)]
    return scatter(placed.astype(np.int64), count)


def _has_one_key(batch: Batch) -> bool:
    """Whether all rows have the same key, of numbers and texts, as those of GROUP BY a constant have."""
    for column in batch.keys:
        if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_string(column.type)):
            return False
        if column[0] != column[-1]:
            return False
        bounds = pc.min_max(column)
        if bounds["min"] != bounds["max"]:
            return False
    return len(batch.keys) > 0


def _in_order(batches: Sequence[Batch], pieces: Sequence[Int64s], later: Collection[int]) -> Batch:
    """The rows that references point to, by position; those of a piece are of one batch, and in order."""
    if len(pieces) == 1:
        batch = batches[int(pieces[0][0]) >> 32]
        return batch if len(pieces[0]) == len(batch) else gathered(batches, pieces[0], later)
    rows, positions = merge_beside([_positions(batches[int(own[0]) >> 32], own) for own in pieces], pieces)
    return gathered(batches, rows, later, positions)


def _positions(batch: Batch, rows: Int64s) -> Int64s:
    """The positions of rows of a batch, given by references."""
    return batch.positions if len(rows) == len(batch) else batch.positions[rows & 0xFFFFFFFF]
