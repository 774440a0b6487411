"""A query after analysis: every name resolved, every type known, every rule checked.

The expressions of a `ResolvedQuery` are bound to internal column names (see `scope`), each over the columns that exist
where it is evaluated: ON and WHERE over those of the sources, HAVING and the outputs over those that grouping,
re-partitioning and table functions leave.
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
    """An expression and the internal column it becomes."""

    name: str
    expression: TypedExpression

    @property
    def ref(self) -> ColumnRef:
        return ColumnRef(self.name, type=self.expression.type, span=self.expression.span)


@dataclass(frozen=True, slots=True)
class ResolvedJoin:
    """One step of a left-deep join.

    Attributes:
        kind: decides the operator; a FOREIGN_KEY join keeps the left side's key.
        left_on, right_on: the two sides of ON, the left one over what has been joined so far.
        key: the key column of the result (for FOREIGN_KEY: those of the left side).
        equal: expressions over the sources that hold the key's value, best first.
        before_ms, after_ms: a left row matches right rows from ``ts - before`` to ``ts + after`` (stream-stream).
        grace_ms: None for the eager null-padding of joins without GRACE PERIOD.
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
        """The columns among ``equal``, any of which can be selected as the key; none where the key is synthetic."""
        return tuple(e for e in self.equal if isinstance(e, ColumnRef))


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """``size_ms`` is a session's gap; ``advance_ms`` equals the size for tumbling windows."""

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
    """GROUP BY: ``having`` is over the keys' and aggregates' columns.

    ``is_global``: no GROUP BY, all rows are one group (its only key is a constant).
    """

    keys: tuple[Named, ...]
    aggregates: tuple[tuple[str, AggregateCall], ...]
    window: WindowSpec | None
    having: TypedExpression | None
    is_global: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result."""

    column: Column
    expression: TypedExpression


@dataclass(frozen=True, slots=True)
class ResolvedSink:
    """What a persistent query writes to.

    Attributes:
        insert: an existing stream (INSERT INTO); nothing is created.
        replicas: kept for SHOW and DESCRIBE only.
        retention_ms, cleanup_policy: of the topic; None takes the topic's or the default.
        new_topic: the statement says how many partitions, so the topic may be created.
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
    """See the module's text.

    Attributes:
        partition_by: None if the rows keep their key; empty for PARTITION BY NULL.
        table_calls: table functions and the columns their rows become.
        outputs: key columns first.
        select_order: the place in ``outputs`` of each column of the SELECT list, as transient queries show them.
        kind: of the result.
        window: the result's key is windowed so.
        sink: None for transient queries.
    """

    sources: tuple[FromSource, ...]
    joins: tuple[ResolvedJoin, ...]
    where: TypedExpression | None
    table_calls: tuple[tuple[str, TableCall], ...]
    partition_by: tuple[Named, ...] | None
    grouping: Grouping | None
    outputs: tuple[Output, ...]
    select_order: tuple[int, ...]
    kind: SourceKind
    window: WindowInfo | None
    emit: Literal["CHANGES", "FINAL"]
    limit: int | None = None
    sink: ResolvedSink | None = None

    @property
    def schema(self) -> Schema:
        """Of the result, keys first."""
        return Schema(tuple(o.column for o in self.outputs))

    @property
    def select_schema(self) -> tuple[Column, ...]:
        """The result's columns in the order of the SELECT list, as push queries show them: none is marked as key."""
        return tuple(replace(self.outputs[i].column, role="VALUE") for i in self.select_order)
