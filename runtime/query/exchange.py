"""Rows to the partition of their new key, within a step and before its commit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Executor

import numpy as np
import pyarrow as pa

from ...kernels.gathering import references
from ...kernels.merging import merge, scatter
from ...storage.log.partitioner import place
from ...storage.log.protocol import Log
from ..batch import Batch, Int64s, gathered
from ..dataflow import Exchange
from ..source import all_null


def exchange(
    node: Exchange, log: Log, parts: Sequence[Batch], later: Collection[int] = (), pool: Executor | None = None
) -> list[Batch]:
    """What every partition gets of what the partitions have: each row goes to that of its key, in the order of positions.

    Rows without a key stay where they are; without a serde for keys all rows go to partition 0.

    Args:
        parts: one batch per partition.
        later: columns that may become a `Later`.
        pool: gathers the rows of several partitions side by side.

    Returns:
        the same.
    """
    count = len(parts)
    if count == 1:
        return list(parts)
    filled = [origin for origin, batch in enumerate(parts) if len(batch)]  # few, where there are thousands
    pieces: list[list[Int64s]] = [[] for _ in range(count)]
    for number, origin in enumerate(filled):
        batch = parts[origin]
        if node.key_serde is None:
            pieces[0].append(references(number, np.arange(len(batch), dtype=np.int64)))
            continue
        key_schema = pa.schema(list(batch.schema)[: batch.key_count])
        encoded = node.key_serde.encode(batch.keys, key_schema, all_null(batch.keys, 0, len(batch)))
        spread = count if node.partitions is None else min(node.partitions, count)
        placed = place(encoded.data, len(batch), spread, origin, hashed=log.partitions_of)
        for target, rows in enumerate(scatter(placed.astype(np.int64), count)):
            if len(rows):
                pieces[target].append(references(number, rows))
    batches = [parts[origin] for origin in filled]
    nothing = parts[0].slice(0, 0)

    def gather(own: list[Int64s]) -> Batch:
        return _in_order(batches, own, later) if own else nothing

    return [gather(own) for own in pieces] if pool is None else list(pool.map(gather, pieces))


def _in_order(batches: Sequence[Batch], pieces: Sequence[Int64s], later: Collection[int]) -> Batch:
    """The rows that references point to, by position; those of a piece are of one batch, and in order."""
    if len(pieces) == 1:
        batch = batches[int(pieces[0][0]) >> 32]
        return batch if len(pieces[0]) == len(batch) else gathered(batches, pieces[0], later)
    positions = [batches[int(own[0]) >> 32].positions[own & 0xFFFFFFFF] for own in pieces]
    return gathered(batches, np.concatenate(pieces)[merge(positions)], later)
