"""A lowered query as data: all that engine hands over to runtime.

The nodes are in topological order; a node names its inputs by their place in the tuple.  A query runs with as many
partitions as its (co-partitioned) sources have; every operator node has one instance per partition.  An `Exchange` hands
rows over to the partition of their new key, within the step and before its commit, so a re-keying costs no round trip
through the log (docs/decisions/in-memory-exchange.md).  Where processes share the partitions of a query, a topic takes
its place (`query.repartitioning`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from ..storage.formats.base import Serde
from ..storage.log.protocol import TopicConfig
from .batch import Batch
from .kernel import Kernel
from .operators.base import Operator, OperatorContext

UNDO_HEADER = "penstock.undo"
"""Of a row that a GROUP BY over a table takes back from its group; its value is empty."""

WindowType = Literal["TUMBLING", "HOPPING", "SESSION"]


@dataclass(frozen=True, slots=True)
class Source:
    """Reads a topic as batches of columns.

    The batch's columns are the key columns, the value columns, then ``extras``.

    Attributes:
        name: unique in the dataflow; counters and positions are filed under it.
        topic: the topic.
        is_table: rows are changes of a table (null keys are bad rows there).
        key_serde, key_schema: None and empty for a source without a key.
        value_serde: None for typed (``ARROW``) topics.
        value_schema: the wanted value columns.
        stored_schema: all value columns of its records, where a record is malformed if any of them is; None: there are only
            the wanted ones, or the others are not looked at (``ARROW``).
        keys_only: the data source has no value columns, and a record without a value is a row all the same.
        moved_by: it reads what this node, by number, has written for it: rows on their way to the partition of another key
            (see `query.repartitioning`), which are no input of the query's.
        extras: further columns, each (name, what): ``ROWTIME``, ``ROWPARTITION``, ``ROWOFFSET``, ``WINDOWSTART``,
            ``WINDOWEND``, ``HEADERS`` or ``HEADER:key``.
        timestamp: a kernel over the batch's columns giving int64 ms; null or failed drops the row as bad.
        timestamp_column: the value column that it reads, if it is one.
        needs_timestamps: such a row fails the query instead, once all records before it are processed.
        window: the key is windowed: its bytes end in the window's start (time windows, 8 bytes) or in its end and start
            (sessions, 8 bytes each), big-endian, as Kafka Streams writes windowed keys.
        window_size_ms: for time windows.
        from_beginning: where a new query starts: the topic's start, or its end.
        shared_key: sources with equal topic, columns and ``shared_key`` decode alike, so they may share decoded batches
            (lowering puts the data source's name and formats here).
    """

    name: str
    topic: str
    is_table: bool
    key_serde: Serde | None
    key_schema: pa.Schema
    value_serde: Serde | None
    value_schema: pa.Schema
    extras: tuple[tuple[str, str], ...] = ()
    timestamp: Kernel | None = None
    timestamp_column: str | None = None
    needs_timestamps: bool = False
    window: WindowType | None = None
    window_size_ms: int | None = None
    from_beginning: bool = True
    shared_key: str = ""
    keys_only: bool = False
    moved_by: int | None = None
    stored_schema: pa.Schema | None = None


@dataclass(frozen=True, slots=True)
class OperatorNode:
    """An operator node.  ``make`` is called once per partition.

    Attributes:
        picked: columns of its one input that it takes as a `Later`, too: it looks at few of their rows, unless every update
            is wanted.
        carried: columns of its one input that it does not look at, and hands on as they are: at which places of its output.
            It takes them as a `Later`, too.
        takes_later: it takes any column of its inputs, but for keys, as a `Later`, too.
    """

    name: str
    inputs: tuple[int, ...]
    make: Callable[[OperatorContext], Operator]
    picked: frozenset[int] = frozenset()
    carried: Mapping[int, frozenset[int]] = field(default_factory=dict)
    takes_later: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """Moves each row to the partition of its key; keeps the order of positions.

    ``key_serde`` encodes the batch's key columns to the bytes whose murmur2 hash chooses the partition; None moves all
    rows to partition 0 (a global aggregate, a foreign-key join).

    Attributes:
        partitions: over how many partitions rows are spread, at most: those of the topic that they are to meet.  None
            spreads them over all.
        schema, key_count: of the batches.
        before: they carry the rows before changes (see `Batch.before`).
    """

    name: str
    input: int
    key_serde: Serde | None
    partitions: int | None = None
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    key_count: int = 0
    before: bool = False


@dataclass(frozen=True, slots=True)
class Sink:
    """Writes a batch to a topic.  Key columns first, then the value columns, as in the batch.

    Attributes:
        topic: None discards the rows (but counts them).
        timestamp: a kernel giving the record's timestamp (int64 ms); None takes the row's.
        window: keys are written with the row's window bounds appended (see `Source.window`).
        is_table: rows are changes of a table.
        nulls_are_a_key: a key of several columns that are all null is a key all the same (as PARTITION BY makes it), not
            the absence of one.
        copy: the rows are a copy of what passes an inner node, for people and tools to look at: the query makes a topic of
            this configuration (and of no more partitions than it has itself), deletes it when it ends, and does not count
            the rows as written.  Rows to be taken back (`Batch.undo`) have the header `UNDO_HEADER`.
        moves: the copy is what a `Source.moved_by` reads: the rows go on from there.
        window_store: keys have the row's timestamp (8 bytes) and a number (4 bytes, distinct within the partition) behind
            them, big-endian, as Kafka Streams keeps both sides of a join; rows without a key are left out.
    """

    name: str
    input: int
    topic: str | None
    key_serde: Serde | None
    value_serde: Serde | None
    timestamp: Kernel | None = None
    window: WindowType | None = None
    is_table: bool = False
    nulls_are_a_key: bool = False
    copy: TopicConfig | None = None
    window_store: bool = False
    moves: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """Where pull queries find a query's table: a store of a node, and what turns its rows into the table's.

    Attributes:
        node: the operator node's name.
        store: the store's name within it.
        transform: the store's columns (Arrow arrays by name, in the order of its schema) -> the table's: key columns, for
            windowed tables WINDOWSTART and WINDOWEND, value columns, and last ROWTIME.
        schema: the schema ``transform`` gives.
        key_count: how many of its columns are the key (window bounds not counted).
    """

    node: str
    store: str
    transform: Callable[[Mapping[str, Any]], Sequence[Any]]
    schema: pa.Schema
    key_count: int
    windowed: bool = False


@dataclass(frozen=True, slots=True)
class Tap:
    """Hands the batches of a node to a push query's subscription instead of a topic."""

    name: str
    input: int
    receive: Callable[[Batch], None]


Node = Source | OperatorNode | Exchange | Sink | Tap


@dataclass(frozen=True, slots=True)
class Dataflow:
    """A whole query.

    Attributes:
        nodes: in topological order.
        partitions: how many instances every operator has.
        order: how records of different inputs are ordered: by ``timestamp`` (the smallest next one first, ties by
            arrival) or by ``arrival`` in the log.
        every_update, log_late: see `OperatorContext`.
        durable: a step's commit is on disk before the next one; else it is a relaxed one (docs/commit.md).
        row_failure: what becomes of a row that an operator or a sink cannot take: it goes to the processing log and is
            left out (``log``), or the query stops before it (``stop``).
        lines: for each node, the line of the plan (as EXPLAIN shows it, from 0) that it is of; empty where there is no plan.
        standbys: so many processes may end at once, and others have copies of the state that they had.
        view: set if the query maintains a table that pull queries can read.
    """

    nodes: tuple[Node, ...]
    partitions: int
    order: Literal["timestamp", "arrival"] = "timestamp"
    every_update: bool = False
    log_late: bool = False
    max_task_idle_ms: int = 0
    durable: bool = True
    row_failure: Literal["log", "stop"] = "log"
    view: View | None = None
    lines: tuple[int, ...] = ()
    standbys: int = 0
