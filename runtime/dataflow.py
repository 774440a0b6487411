"""A lowered query as data: everything that engine passes to runtime.

The nodes are in topological order; a node names its inputs by their index.  A query has as many partitions as its
(co-partitioned) sources; every operator node has one instance per partition.  An `Exchange` moves rows to the partition of
their new key, within the step and before its commit, so that re-keying needs no round trip through the log
(docs/decisions/in-memory-exchange.md).  Where processes share the partitions of a query, a topic takes its place
(`query.repartitioning`).
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
"""The header of a row that the aggregation of a table must undo; its value is empty."""

WindowType = Literal["TUMBLING", "HOPPING", "SESSION"]


@dataclass(frozen=True, slots=True)
class Source:
    """Reads a topic as batches of columns.

    A batch has the key columns, the value columns, then ``extras``.

    Attributes:
        name: unique in the dataflow; counters and positions are kept by it.
        topic: the topic.
        is_table: rows are changes of a table (null keys are bad rows there).
        key_serde, key_schema: None and empty for a source without a key.
        value_serde: None for typed (``ARROW``) topics.
        value_schema: the wanted value columns.
        stored_schema: all value columns of the records; a record is malformed if any of them is.  None: there are no others,
            or they are not checked (``ARROW``).
        keys_only: the source has no value columns, and a record without a value is a row nevertheless.
        moved_by: the number of the node whose output the source reads: rows moved to the partition of another key (see
            `query.repartitioning`).  They are not input of the query.
        extras: further columns, each (name, what): ``ROWTIME``, ``ROWPARTITION``, ``ROWOFFSET``, ``WINDOWSTART``,
            ``WINDOWEND``, ``HEADERS`` or ``HEADER:key``.
        timestamp: a kernel over the batch's columns giving int64 ms; a row where it is null or fails is dropped as bad.
        timestamp_column: the value column that the kernel reads, if it is a single column.
        needs_timestamps: such a row makes the query fail instead, after all records before it.
        window: the key is windowed: its bytes end in the window's start (time windows, 8 bytes) or in its end and start
            (sessions, 8 bytes each), big-endian, as Kafka Streams writes windowed keys.
        window_size_ms: for time windows.
        from_beginning: where a new query starts: the topic's start, or its end.
        shared_key: sources with equal topic, columns and ``shared_key`` decode alike, so they may share decoded batches
            (lowering puts the source's name and formats here).
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
    """An operator of the dataflow.  ``make`` is called once per partition.

    Attributes:
        picked: columns of its single input that it accepts as a `Later`, because it reads few of their rows (unless every
            update is wanted).
        carried: columns of its single input that it passes on unread, with their places in the output.  It accepts them as a
            `Later`, too.
        takes_later: it accepts any column of its inputs, except keys, as a `Later`.
        folds: it puts out one row for many of a step (unless every update is wanted).
    """

    name: str
    inputs: tuple[int, ...]
    make: Callable[[OperatorContext], Operator]
    picked: frozenset[int] = frozenset()
    carried: Mapping[int, frozenset[int]] = field(default_factory=dict)
    takes_later: bool = False
    folds: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """Moves each row to the partition of its key; keeps the order of positions.

    ``key_serde`` encodes the key columns to bytes, whose murmur2 hash chooses the partition.  None moves all rows to
    partition 0 (a global aggregate, a foreign-key join).

    Attributes:
        partitions: the largest number of partitions over which rows are spread: that of the topic that they are joined with.
            None: all.
        schema, key_count: of the batches.
        before: batches carry the rows before changes (see `Batch.before`).
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
    """Writes batches to a topic: key columns first, then the value columns, as in the batch.

    Attributes:
        topic: None discards the rows (but counts them).
        timestamp: a kernel giving the record's timestamp (int64 ms); None takes the row's.
        window: keys are written with the row's window bounds appended (see `Source.window`).
        is_table: rows are changes of a table.
        nulls_are_a_key: a key of several columns that are all null is a key (as PARTITION BY makes it), not a missing one.
        copy: the rows are a copy of the output of an inner node, for people and tools.  The query creates a topic of this
            configuration (with at most its own number of partitions), deletes it when it ends, and does not count the rows
            as written.  Rows to undo (`Batch.undo`) have the header `UNDO_HEADER`.
        moves: a `Source.moved_by` reads the copy, and the rows go on from there.
        window_store: keys are followed by the row's timestamp (8 bytes) and a number (4 bytes, distinct within the
            partition), big-endian, as Kafka Streams stores both sides of a join; rows without a key are left out.
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
class TableView:
    """Says how pull queries read a query's table: the store of a node, and how to turn its rows into the table's.

    Attributes:
        node: the operator node's name.
        store: the store's name within it.
        transform: the store's columns (Arrow arrays by name, in the order of its schema) -> the table's: key columns, for
            windowed tables WINDOWSTART and WINDOWEND, value columns, and last ROWTIME.
        schema: the schema of the result of ``transform``.
        key_count: how many of its columns are the key (without window bounds).
    """

    node: str
    store: str
    transform: Callable[[Mapping[str, Any]], Sequence[Any]]
    schema: pa.Schema
    key_count: int
    windowed: bool = False


@dataclass(frozen=True, slots=True)
class Tap:
    """Passes the batches of a node to the subscription of a push query, instead of a topic."""

    name: str
    input: int
    receive: Callable[[Batch], None]


Node = Source | OperatorNode | Exchange | Sink | Tap


def inputs_of(node: Node) -> tuple[int, ...]:
    """The numbers of the nodes whose output a node takes."""
    match node:
        case Source():
            return ()
        case OperatorNode(inputs=inputs):
            return inputs
        case _:
            return (node.input,)


@dataclass(frozen=True, slots=True)
class Dataflow:
    """A whole query.

    Attributes:
        nodes: in topological order.
        partitions: the number of instances of each operator.
        order: how records of different inputs are ordered: by ``timestamp`` (the smallest next one first, ties by arrival)
            or by ``arrival`` in the log.
        every_update, log_late: see `OperatorContext`.
        durable: a step's commit is on disk before the next step; else commits are relaxed (docs/commit.md).
        row_failure: what happens to a row that an operator or a sink cannot process: it is skipped and goes to the
            processing log (``log``), or the query stops before it (``stop``).
        lines: for each node its line in the plan (as EXPLAIN shows it, from 0); empty without a plan.
        once: a step happens once, as a whole; else it may happen in parts, and again, if something fails meanwhile and the
            log is quicker so.
        standbys: how many processes may end at once while others still have copies of their state.
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
    view: TableView | None = None
    lines: tuple[int, ...] = ()
    standbys: int = 0
    once: bool = True
