"""The data of a step: the slices of its inputs, and what is to be committed once it is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...errors import DataError
from ...storage.state.store import Snapshot
from ..batch import Batch, Int64s
from ..dataflow import Source
from ..metrics import RowCounts
from ..processing_log import ProcessingLog
from ..source import DecodedRecords
from .recovery import DurableStore


@dataclass(slots=True)
class Input:
    """One partition of one source.

    Attributes:
        node: the number of the source in the dataflow.
        offset: of the next record to read.
        committed: the offset up to which records have been processed and committed.
        kept: the position as the log keeps it: ``committed``, or less if only marks of commits are between.
    """

    node: int
    source: Source
    partition: int
    offset: int
    committed: int = 0
    kept: int = 0


@dataclass(slots=True)
class InputSlice:
    """The records of one input that a step processes: rows ``start`` to ``stop - 1`` of a chunk.

    Attributes:
        chunk: the decoded records; None if the slice only moves the input to another offset.
        positions: int64[stop - start], ascending: the rank of each row among the rows of all inputs.
        next_offset: where the input continues after the step.
    """

    input: Input
    chunk: DecodedRecords | None
    start: int
    stop: int
    positions: Int64s
    next_offset: int


@dataclass(slots=True)
class ComputedStep:
    """A step that is computed and not yet committed.  It does not change any more, so another thread may commit it.

    Attributes:
        slices: the input.
        batches: for each task, its batches by node number.
        changes: of the stores, for their changelogs.
        account: counts of the input's rows (those of rows written are added at the commit).
        reports: bad records, for the processing log.
        published: the table that the query maintains, shown to readers after the commit; None shows nothing new.
    """

    slices: list[InputSlice]
    batches: list[dict[int, Batch]]
    changes: list[tuple[DurableStore, pa.RecordBatch]]
    account: RowCounts
    reports: ProcessingLog
    published: tuple[Snapshot, ...] | None = None


def place_of(slices: list[InputSlice], position: int) -> tuple[str, int, int]:
    """Topic, partition and offset of the record at a position of the step.

    Raises:
        DataError: no record has this position.
    """
    for item in slices:
        index = int(np.searchsorted(item.positions, position))
        if index < len(item.positions) and item.positions[index] == position:
            assert item.chunk is not None
            offset = int(item.chunk.records.offsets[item.start + index])
            return item.input.source.topic, item.input.partition, offset
    raise DataError(f"no record of this step has position {position}")
