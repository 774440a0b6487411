"""The logical plan: a tree of frozen nodes, each with the schema of the rows it gives.

Columns of a node's schema are in the order of the batches at run time, keys first; their names are the internal names that
expressions are bound to.  Every movement of rows between partitions is a `Repartition` node of its own, so EXPLAIN shows
it.  ``kind`` says whether the rows are events (STREAM) or changes of a table; ``window`` that their key is windowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ..analysis.resolved import Named, ResolvedSink, SourceKind, WindowSpec
from ..analysis.with_clause import CleanupPolicy
from ..catalog import DataSource, FormatInfo, WindowInfo
from ..expressions.nodes import AggregateCall, TableCall, TypedExpression
from ..schema import Column, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNode:
    """What every node is."""

    schema: Schema
    kind: SourceKind
    window: WindowInfo | None = None

    @property
    def inputs(self) -> tuple[PlanNode, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unary(PlanNode):
    input: PlanNode

    @property
    def inputs(self) -> tuple[PlanNode, ...]:
        return (self.input,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Binary(PlanNode):
    left: PlanNode
    right: PlanNode

    @property
    def inputs(self) -> tuple[PlanNode, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class ScanColumn:
    """A column as the scan calls it, and where it comes from.

    ``extra`` is None for the key's and value's own columns, else the runtime source's word (ROWTIME, HEADERS, ..).
    """

    column: Column
    source_name: str
    extra: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(PlanNode):
    """Reads a source's topic.

    Attributes:
        columns: parallel to the schema: key columns, value columns, extras.
        materialised: a table is kept in a store, so that its changes carry the rows before them.
    """

    source: DataSource
    alias: str
    columns: tuple[ScanColumn, ...]
    materialised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter(_Unary):
    """Rows for which a predicate is true; over a table, rows that stop passing become tombstones."""

    predicate: TypedExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(_Unary):
    """New columns from old ones, parallel to the schema; the key keeps its value (it may change its name)."""

    expressions: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explode(_Unary):
    """Table functions: the input's columns and one per call, one row per item of the longest list."""

    calls: tuple[tuple[str, TableCall], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekey(_Unary):
    """A stream under a new key: PARTITION BY, and join conditions.  Expressions are parallel to the schema."""

    expressions: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBy(_Unary):
    """Rows under the key of their group, with what the aggregates need; rows of a NULL group are dropped.

    Over a table each change becomes the row to take back and the row to add.
    """

    keys: tuple[Named, ...]
    arguments: tuple[Named, ...]

    @property
    def expressions(self) -> tuple[TypedExpression, ...]:
        """Parallel to the schema."""
        return tuple(n.expression for n in (*self.keys, *self.arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repartition(_Unary):
    """Moves rows to the partition of their key.

    Attributes:
        format: how the key is serialised for that: rows that are to meet must be placed by the same bytes.  None for all
            to one.
        partitions: over how many they are spread, where they are to meet rows that stay where they are; None for any
            number.
    """

    format: FormatInfo | None
    partitions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(_Unary):
    """Hands the rows on as they are, and writes a copy of them to an internal topic.

    Attributes:
        target: the topic's formats and columns.
        expressions: parallel to the target's schema, over the input's.
        window_store: the keys have the row's timestamp and a number behind them, as in the changelogs of Kafka Streams'
            window stores, where rows of one key and time are all kept; rows without a key are not in such a store.
        cleanup_policy, retention_ms: of the topic.
    """

    target: DataSource
    expressions: tuple[TypedExpression, ...]
    window_store: bool = False
    cleanup_policy: CleanupPolicy = "delete"
    retention_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AggregateColumn:
    """An aggregate over argument columns of the `GroupBy` below."""

    name: str
    call: AggregateCall
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(_Unary):
    """One row per group, updated by every row.  The schema: group keys, then aggregates."""

    aggregates: tuple[AggregateColumn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowAggregate(_Unary):
    """One row per group and tumbling or hopping window.  The schema: group keys, aggregates, then those of WINDOWSTART and
    WINDOWEND that are read above.

    ``final``: EMIT FINAL, only the last row of every window, once it is closed.
    """

    aggregates: tuple[AggregateColumn, ...]
    spec: WindowSpec
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAggregate(_Unary):
    """One row per group and session; see `WindowAggregate`."""

    aggregates: tuple[AggregateColumn, ...]
    spec: WindowSpec
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStreamJoin(_Binary):
    """Pairs of rows of one key whose timestamps are near; ``grace_ms`` None is the eager kind without GRACE PERIOD.

    ``left_where``, ``right_where``: rows of that side for which it is not true need not be kept nor matched: a filter above
    leaves out all pairs that they are in (the rule `push_filters`).
    """

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]
    before_ms: int
    after_ms: int
    grace_ms: int | None
    left_where: TypedExpression | None = None
    right_where: TypedExpression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTableJoin(_Binary):
    """Every row of the stream with the table's current row of its key."""

    type: Literal["INNER", "LEFT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTableJoin(_Binary):
    """The table of both sides' rows of one key."""

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeyJoin(_Binary):
    """Every row of the left table with the right one's row that ``foreign_key`` points to; keyed as the left table."""

    type: Literal["INNER", "LEFT"]
    foreign_key: TypedExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class Materialise(_Unary):
    """Keeps a table's rows in a store, for pull queries and for the rows before each change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(_Unary):
    """Writes the rows to the sink's topic."""

    sink: ResolvedSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(_Unary):
    """Hands the rows to the client of a push query; ``select_order``: the places of its columns as it selected them."""

    select_order: tuple[int, ...]
    limit: int | None = None


def with_inputs(node: PlanNode, inputs: tuple[PlanNode, ...]) -> PlanNode:
    """The node over other inputs (of the same schemas)."""
    match node:
        case _Unary():
            (input_,) = inputs
            return node if input_ is node.input else replace(node, input=input_)
        case _Binary():
            left, right = inputs
            return node if left is node.left and right is node.right else replace(node, left=left, right=right)
    return node


def walk(node: PlanNode) -> Iterator[PlanNode]:
    """The node and all below it, inputs last."""
    yield node
    for input_ in node.inputs:
        yield from walk(input_)


def rewrite(node: PlanNode, change: Callable[[PlanNode], PlanNode]) -> PlanNode:
    """The tree with ``change`` applied to every node, inputs first."""
    return change(with_inputs(node, tuple(rewrite(i, change) for i in node.inputs)))
