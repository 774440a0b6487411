"""A query after analysis: names are resolved, types are known, rules are checked.

The expressions of a `ResolvedQuery` use internal column names (see `scope`), each over the columns that exist where it is
evaluated: ON and WHERE over those of the sources; HAVING and the outputs over those after grouping, re-partitioning and
table functions.
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
        kind: decides the operator; a FOREIGN_KEY join keeps the left side's key.
        left_on, right_on: the two sides of ON; the left one is over the result so far.
        key: the key column of the result (for FOREIGN_KEY: those of the left side).
        equal: expressions over the sources with the key's value, best first.
        before_ms, after_ms: a left row matches right rows from ``ts - before`` to ``ts + after`` (stream-stream).
        grace_ms: None for joins without GRACE PERIOD, which pad with nulls at once.
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
        """The columns in ``equal``, each of which can be selected as the key; none if the key is synthetic."""
        return tuple(e for e in self.equal if isinstance(e, ColumnRef))


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """A window.  ``size_ms`` is a session's gap; ``advance_ms`` equals the size for tumbling windows."""

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
    """GROUP BY.  ``having`` is over the columns of keys and aggregates.

    ``is_global``: there is no GROUP BY, and all rows are one group (its only key is a constant).
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
        insert: it is an existing stream (INSERT INTO); nothing is created.
        replicas: kept for SHOW and DESCRIBE only.
        retention_ms, cleanup_policy: of the topic; None: those of the topic, or the default.
        new_topic: the statement gives a number of partitions, so the topic may be created.
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
    """A resolved query; see the module's text.

    Attributes:
        partition_by: None if the rows keep their key; empty for PARTITION BY NULL.
        table_calls: table functions, and the columns for their rows.
        outputs: key columns first.
        select_order: for each column of the SELECT list its index in ``outputs``; transient queries show them in this order.
        kind: of the result.
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
        """The result's columns in the order of the SELECT list, as push queries show them; none is marked as key."""
        return tuple(replace(self.outputs[i].column, role="VALUE") for i in self.select_order)
