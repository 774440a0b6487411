"""The nodes of logical plans, which say what a query means, independent of how it runs.

Every movement of rows between partitions is a `Repartition` node, so EXPLAIN shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...analysis.resolved import Named, ResolvedSink, WindowSpec
from ...catalog import DataSource, FormatInfo
from ...expressions.nodes import AggregateCall, TableCall, TypedExpression
from ...schema import Column
from ..tree import Binary, PlanNode, Unary


@dataclass(frozen=True, slots=True)
class ScanColumn:
    """A column of a scan, and its origin.

    ``extra`` is None for the columns of key and value, else the name in the runtime's source (ROWTIME, HEADERS, ..).
    """

    column: Column
    source_name: str
    extra: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(PlanNode):
    """Reads a source's topic.

    Attributes:
        columns: parallel to the schema: key columns, value columns, extras.
    """

    source: DataSource
    alias: str
    columns: tuple[ScanColumn, ...]

    def keeps(self, column: ScanColumn) -> bool:
        """Whether a column is kept even if nothing reads it: the key, the one with the records' time, and the columns of a
        table.

        In formats other than ARROW a record is malformed if any column is, read or not (section 11 of the reference), so the
        source checks all of them (`Source.stored_schema`).
        """
        if column.column.role == "KEY" or column.source_name == self.source.timestamp_column:
            return True
        return self.kind == "TABLE" and column.extra is None and self.source.value_format.name != "ARROW"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter(Unary):
    """Rows for which a predicate is true; over a table, rows that stop passing become tombstones."""

    predicate: TypedExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Unary):
    """New columns from old ones, parallel to the schema; the key keeps its value (it may change its name)."""

    expressions: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explode(Unary):
    """Table functions: the input's columns and one per call; one row per item of the longest list."""

    calls: tuple[tuple[str, TableCall], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekey(Unary):
    """A stream with a new key: PARTITION BY, and join conditions.  Expressions are parallel to the schema."""

    expressions: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBy(Unary):
    """Rows with the key of their group and the arguments of the aggregates; rows with a NULL in the key are dropped.

    Over a table each change becomes an undo row and an add row.
    """

    keys: tuple[Named, ...]
    arguments: tuple[Named, ...]

    @property
    def expressions(self) -> tuple[TypedExpression, ...]:
        """The expressions, parallel to the schema."""
        return tuple(n.expression for n in (*self.keys, *self.arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repartition(Unary):
    """Moves rows to the partition of their key.

    Attributes:
        format: how the key is serialised for that, since rows that meet must be placed by the same bytes.  None: all rows go
            to one partition.
        partitions: the number of partitions, if the rows must meet others that do not move; None: any number.
    """

    format: FormatInfo | None
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class AggregateColumn:
    """An aggregate over argument columns of the `GroupBy` below."""

    name: str
    call: AggregateCall
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Unary):
    """One row per group, updated by every row.  The schema has group keys, then aggregates."""

    aggregates: tuple[AggregateColumn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowAggregate(Unary):
    """One row per group and tumbling or hopping window.  The schema has group keys, aggregates, then WINDOWSTART and
    WINDOWEND if they are read.

    ``final``: EMIT FINAL, only the last row of every window, after it has closed.
    """

    aggregates: tuple[AggregateColumn, ...]
    spec: WindowSpec
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAggregate(Unary):
    """One row per group and session; see `WindowAggregate`."""

    aggregates: tuple[AggregateColumn, ...]
    spec: WindowSpec
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStreamJoin(Binary):
    """Pairs of rows with the same key whose timestamps are near.  Without ``grace_ms`` rows are padded with nulls at once.

    ``left_where``, ``right_where``: rows of that side for which it is not true need not be kept or matched, since a filter
    above drops all their pairs (the rule `push_filters`).
    """

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]
    before_ms: int
    after_ms: int
    grace_ms: int | None
    left_where: TypedExpression | None = None
    right_where: TypedExpression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTableJoin(Binary):
    """Every row of the stream with the table's present row of its key."""

    type: Literal["INNER", "LEFT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTableJoin(Binary):
    """The table of both sides' rows with the same key."""

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeyJoin(Binary):
    """Every row of the left table with the right table's row that ``foreign_key`` refers to; keyed as the left table."""

    type: Literal["INNER", "LEFT"]
    foreign_key: TypedExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Unary):
    """Writes the rows to the sink's topic."""

    sink: ResolvedSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Unary):
    """Passes the rows to the client of a push query; ``select_order``: the indices of its columns in the order of SELECT."""

    select_order: tuple[int, ...]
    limit: int | None = None


LogicalNode = (
    Scan
    | Filter
    | Project
    | Explode
    | Rekey
    | GroupBy
    | Repartition
    | Aggregate
    | WindowAggregate
    | SessionAggregate
    | StreamStreamJoin
    | StreamTableJoin
    | TableTableJoin
    | ForeignKeyJoin
    | Write
    | Output
)
"""All nodes of logical plans."""
