"""Rows to the partition of their new key, within a step and before its commit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ...storage.log.partitioner import place
from ...storage.log.protocol import Log
from ..batch import Batch, concat
from ..dataflow import Exchange
from ..source import all_null


def exchange(node: Exchange, log: Log, parts: Sequence[Batch]) -> list[Batch]:
    """What every partition gets of what the partitions have: each row goes to that of its key, in the order of positions.

    Rows without a key stay where they are; without a serde for keys all rows go to partition 0.

    Args:
        parts: one batch per partition.

    Returns:
        the same.
    """
    count = len(parts)
    if count == 1:
        return list(parts)
    gathered: list[list[Batch]] = [[] for _ in range(count)]
    for origin, batch in enumerate(parts):
        if len(batch) == 0:
            continue  # most of them, where there are thousands
        if node.key_serde is None:
            gathered[0].append(batch)
            continue
        key_schema = pa.schema(list(batch.schema)[: batch.key_count])
        encoded = node.key_serde.encode(batch.keys, key_schema, all_null(batch.keys, 0, len(batch)))
        spread = count if node.partitions is None else min(node.partitions, count)
        placed = place(encoded.data, len(batch), spread, origin, hashed=log.partitions_of)
        for target in np.unique(placed).tolist():
            gathered[target].append(batch.filter(placed == target))
    nothing = parts[0].slice(0, 0)
    return [concat(pieces) if pieces else nothing for pieces in gathered]
