"""What the queries of an engine share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ...limits import STEP_ROWS_MAX
from ...storage.log.protocol import Log
from ..source import DecodedTopics
from .recovery import Checkpoints, NoCheckpoints


@dataclass(slots=True)
class Services:
    """What the queries of an engine share.

    Attributes:
        durable: changelogs and checkpoints are kept (an engine in memory keeps none).
        pool: runs the tasks of different partitions side by side; None runs one after the other.
        committer: commits a step while the next one, of any query, is computed; None commits each step at its end.
        rows_max: of a step; some queries take fewer, see `step_size.rows_per_step`.
        reassigned: called when a run gets other partitions.
        recovered: called with numbers of restored rows, see `StateKeeper.recover`.
    """

    log: Log
    decoded: DecodedTopics
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    durable: bool = True
    pool: Executor | None = None
    committer: Executor | None = None
    checkpointer: Executor | None = None
    rows_max: int = STEP_ROWS_MAX
    recovered: Callable[[int], None] = lambda rows: None
    reassigned: Callable[[str], None] = lambda query_id: None
