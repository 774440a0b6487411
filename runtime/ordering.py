"""The order in which a step takes the records of its inputs.

Every record of a step gets a *position*, its rank in that order; operators compare positions.

* ``arrival``: as the log received them (the log has one total order over all topics).
* ``timestamp``: the input whose next record has the smallest timestamp goes first, ties by arrival, as in Kafka Streams.  An
  input is a queue, so a record never overtakes an earlier one of its own input.  So taking heads of queues by timestamp is
  the same as sorting by each queue's *running maximum* of timestamps.  The result does not depend on how the records are cut
  into steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..kernels.merging import merge_queues
from .batch import Int64s

Order = Literal["timestamp", "arrival"]


@dataclass(frozen=True, slots=True)
class Queue:
    """The next records of one input.

    Attributes:
        timestamps, arrivals: int64[n] of the records at hand.
        truncated: more records follow, so nothing that may come after the last one can be taken yet.
    """

    timestamps: Int64s
    arrivals: Int64s
    truncated: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """The records that a step takes.

    Attributes:
        taken: how many records of each queue.
        positions: for each queue, int64[taken], ascending; the ranks of all queues together are 0..total-1.
        total: the number of records taken.
    """

    taken: tuple[int, ...]
    positions: tuple[Int64s, ...]
    total: int


def merge(queues: Sequence[Queue], order: Order, rows_max: int) -> Merged:
    """Order the records of all queues and take the first ones, at most ``rows_max``.

    From a truncated queue, only records are taken that cannot come after its unseen ones.  So nothing is taken if a
    truncated queue has no record at hand (compaction left a gap there); else at least one record is, if there is any.
    """
    if len(queues) == 1:
        taken = min(len(queues[0].timestamps), rows_max)
        return Merged((taken,), (np.arange(taken, dtype=np.int64),), taken)
    ranks = [_ranks(q, order) for q in queues]
    positions, total = merge_queues([k for k, _ in ranks], [t for _, t in ranks], [q.truncated for q in queues], rows_max)
    return Merged(tuple(map(len, positions)), tuple(positions), total)


def _ranks(queue: Queue, order: Order) -> tuple[Int64s, Int64s]:
    """The sort key of a queue's records, and the tie-breaker.

    By timestamp: a record older than one before it goes right after that one, so it gets its running maximum *and* its
    arrival.
    """
    if order == "arrival" or not len(queue.timestamps):
        return queue.arrivals, queue.arrivals
    if bool((queue.timestamps[1:] >= queue.timestamps[:-1]).all()):
        return queue.timestamps, queue.arrivals  # mostly, and then every record leads
    highest = np.maximum.accumulate(queue.timestamps)
    leader = np.maximum.accumulate(np.where(queue.timestamps == highest, np.arange(len(highest)), 0))
    return highest, queue.arrivals[leader]
