"""A query after analysis: names are resolved, types are known, rules are checked.

The expressions of a `ResolvedQuery` use internal column names (see `scope`).  Each is evaluated over the columns that exist
at its place in the query.  ON and WHERE use the columns of the sources.  HAVING and the outputs use the columns that exist
after grouping, re-partitioning and table functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ..catalog import FormatInfo, WindowInfo
from ..expressions.nodes import AggregateCall, ColumnRef, TableCall, TypedExpression
from ..schema import Column, Schema
from .scope import FromSource
from .with_clause import CleanupPolicy

JoinKind = Literal["STREAM_STREAM", "STREAM_TABLE", "TABLE_TABLE", "FOREIGN_KEY"]
SourceKind = Literal["STREAM", "TABLE"]


@dataclass(frozen=True, slots=True)
class Named:
    """An expression and the internal column that holds its value."""

    name: str
    expression: TypedExpression

    @property
    def ref(self) -> ColumnRef:
        return ColumnRef(self.name, type=self.expression.type, span=self.expression.span)


@dataclass(frozen=True, slots=True)
class ResolvedJoin:
    """One join of a left-deep tree.

    Attributes:
        kind: decides which operator runs the join.
        left_on, right_on: the two sides of ON.  The left one uses columns of all sources that are joined before.
        key: the key columns of the result: one, or for FOREIGN_KEY those of the left side.
        equal: expressions over the sources that have the key's value, the preferred one first.
        before_ms, after_ms: in a stream-stream join, a left row matches the right rows from ``ts - before_ms`` to ``ts +
            after_ms``.
        grace_ms: None for joins without GRACE PERIOD; an outer join then emits rows without a match at once.
    """

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]
    kind: JoinKind
    right: FromSource
    left_on: TypedExpression
    right_on: TypedExpression
    key: tuple[ColumnRef, ...]
    equal: tuple[TypedExpression, ...]
    before_ms: int = 0
    after_ms: int = 0
    grace_ms: int | None = None

    @property
    def equivalents(self) -> tuple[ColumnRef, ...]:
        """The columns in ``equal``.  Each can be selected as the key.  There are none if the key is synthetic."""
        return tuple(e for e in self.equal if isinstance(e, ColumnRef))


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """A window.

    Attributes:
        size_ms: the size; for a SESSION its gap.
        advance_ms: the distance between the starts of two windows; for a TUMBLING window its size.
        grace_ms: for how long after its end the window accepts late rows.
        retention_ms: for how long after its start the window is kept.
    """

    type: Literal["TUMBLING", "HOPPING", "SESSION"]
    size_ms: int
    advance_ms: int
    grace_ms: int
    retention_ms: int

    @property
    def info(self) -> WindowInfo:
        return WindowInfo(self.type, None if self.type == "SESSION" else self.size_ms)


@dataclass(frozen=True, slots=True)
class Grouping:
    """GROUP BY.

    Attributes:
        aggregates: the calls, each with the name of the column that holds its result.
        having: an expression over the columns of keys and aggregates.
        is_global: whether there is no GROUP BY, so that all rows are one group.  Its only key is a constant.
    """

    keys: tuple[Named, ...]
    aggregates: tuple[tuple[str, AggregateCall], ...]
    window: WindowSpec | None
    having: TypedExpression | None
    is_global: bool = False


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of the result."""

    column: Column
    expression: TypedExpression


@dataclass(frozen=True, slots=True)
class ResolvedSink:
    """The sink of a persistent query.

    Attributes:
        replicas: the log ignores it unless it is in Kafka; SHOW and DESCRIBE print it.
        retention_ms: of the topic; None if the statement does not say it.
        cleanup_policy: of the topic; None if it is the default.
        insert: whether the sink is an existing stream (INSERT INTO); then nothing is created.
    """

    name: str
    kind: SourceKind
    schema: Schema
    topic: str
    key_format: FormatInfo
    value_format: FormatInfo
    partitions: int
    replicas: int = 1
    retention_ms: int | None = None
    cleanup_policy: CleanupPolicy | None = None
    window: WindowInfo | None = None
    timestamp_column: str | None = None
    timestamp_format: str | None = None
    insert: bool = False
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A resolved query, see the text of this module.

    Attributes:
        table_calls: the calls of table functions, each with the name of the column for its rows.
        partition_by: None if the rows keep their key; empty for PARTITION BY NULL.
        outputs: the columns of the result, keys first.
        select_order: for each item of the SELECT list, its index in ``outputs``.  Transient queries show this order.
        kind: the kind of the result.
        window: the window of the result's key.
        sink: None for transient queries.
    """

    sources: tuple[FromSource, ...]
    joins: tuple[ResolvedJoin, ...]
    where: TypedExpression | None
    table_calls: tuple[tuple[str, TableCall], ...]
    partition_by: tuple[Named, ...] | None
    grouping: Grouping | None
    outputs: tuple[OutputColumn, ...]
    select_order: tuple[int, ...]
    kind: SourceKind
    window: WindowInfo | None
    emit: Literal["CHANGES", "FINAL"]
    limit: int | None = None
    sink: ResolvedSink | None = None

    @property
    def schema(self) -> Schema:
        """The result's columns, keys first."""
        return Schema(tuple(o.column for o in self.outputs))

    @property
    def select_schema(self) -> tuple[Column, ...]:
        """The result's columns in the order of the SELECT list, as push queries show them.  No column is marked as a key."""
        return tuple(replace(self.outputs[i].column, role="VALUE") for i in self.select_order)
