"""What a step of a query takes from its inputs, and what it leaves to be committed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...errors import DataError
from ...storage.state.store import Snapshot
from ..batch import Batch, Int64s
from ..dataflow import Source
from ..metrics import Account
from ..processing_log import ProcessingLog
from ..source import Chunk
from .recovery import DurableStore


@dataclass(slots=True)
class Input:
    """One partition of one source: where the query reads on, and up to where what it read is committed."""

    node: int
    source: Source
    partition: int
    offset: int
    committed: int = 0


@dataclass(slots=True)
class Taken:
    """What a step took of one input: rows start..stop-1 of a chunk, at these positions."""

    input: Input
    chunk: Chunk | None
    start: int
    stop: int
    positions: Int64s
    next_offset: int


@dataclass(slots=True)
class Outcome:
    """What a computed step has to commit; nothing in it changes any more, so another thread may do it.

    Attributes:
        batches: each task's batches by node number.
        changes: of the stores.
        account: what became of the input (rows written are counted at the commit).
        published: the table that the query maintains, for readers once it is committed; None publishes nothing.
    """

    taken: list[Taken]
    batches: list[dict[int, Batch]]
    changes: list[tuple[DurableStore, pa.RecordBatch]]
    account: Account
    complaints: ProcessingLog
    published: tuple[Snapshot, ...] | None = None


def place_of(taken: list[Taken], position: int) -> tuple[str, int, int]:
    """Topic, partition and offset of the record at a position of the step."""
    for item in taken:
        index = int(np.searchsorted(item.positions, position))
        if index < len(item.positions) and item.positions[index] == position:
            assert item.chunk is not None
            offset = int(item.chunk.records.offsets[item.start + index])
            return item.input.source.topic, item.input.partition, offset
    raise DataError(f"no record of this step has position {position}")
