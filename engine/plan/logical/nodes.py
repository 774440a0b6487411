"""The nodes of logical plans.  They say what a query means and not how it runs.

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
    """A column of a scan, and where it comes from.

    Attributes:
        extra: None for the columns of key and value; otherwise the name in the runtime's source (ROWTIME, HEADERS, ..).
    """

    column: Column
    source_name: str
    extra: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(PlanNode):
    """Reads a source's topic.

    Attributes:
        columns: the columns in the order of the schema: key columns, value columns, then the others.
    """

    source: DataSource
    alias: str
    columns: tuple[ScanColumn, ...]

    def keeps(self, column: ScanColumn) -> bool:
        """Whether a column is kept even if nothing reads it.

        That is so for the key, the column with the records' time, and all columns of a table.  In formats other than ARROW,
        a record is malformed if any of its columns is, read or not (section 11 of the reference).  The source checks them
        all (`Source.stored_schema`).
        """
        if column.column.role == "KEY" or column.source_name == self.source.timestamp_column:
            return True
        return self.kind == "TABLE" and column.extra is None and self.source.value_format.name != "ARROW"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter(Unary):
    """Rows for which a predicate is true.  Over a table, a row for which it is not true any more becomes a tombstone."""

    predicate: TypedExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Unary):
    """New columns from old ones.  The expressions have the order of the schema.  The key keeps its value, but may get a new
    name.
    """

    expressions: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explode(Unary):
    """Table functions: adds a column for each call.  A row becomes as many rows as its longest list has items."""

    calls: tuple[tuple[str, TableCall], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekey(Unary):
    """A stream with a new key, for PARTITION BY and join conditions.  The expressions have the order of the schema."""

    expressions: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBy(Unary):
    """Rows with the key of their group and the arguments of the aggregates.  Rows with a NULL in the key are dropped.

    Over a table, each change becomes a row to undo and a row to add.
    """

    keys: tuple[Named, ...]
    arguments: tuple[Named, ...]

    @property
    def expressions(self) -> tuple[TypedExpression, ...]:
        """The expressions in the order of the schema."""
        return tuple(n.expression for n in (*self.keys, *self.arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repartition(Unary):
    """Moves rows to the partition of their key.

    Attributes:
        format: the format that serialises the key to choose the partition.  Rows that must meet need the same bytes.  None:
            all rows go to one partition.
        partitions: the number of partitions, if the rows must meet rows that do not move; None: any number.
    """

    format: FormatInfo | None
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class AggregateColumn:
    """An aggregate over argument columns of the `GroupBy` node below."""

    name: str
    call: AggregateCall
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Unary):
    """One row for each group; every input row updates its group.  The schema has the group keys, then the aggregates."""

    aggregates: tuple[AggregateColumn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowAggregate(Unary):
    """One row for each group and tumbling or hopping window.

    The schema has the group keys, the aggregates, then WINDOWSTART and WINDOWEND if they are read.

    Attributes:
        final: EMIT FINAL: each window gives only its last row, after it has closed.
    """

    aggregates: tuple[AggregateColumn, ...]
    spec: WindowSpec
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAggregate(Unary):
    """One row for each group and session, see `WindowAggregate`."""

    aggregates: tuple[AggregateColumn, ...]
    spec: WindowSpec
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStreamJoin(Binary):
    """Pairs of rows with the same key and with timestamps that are close to each other.

    Attributes:
        grace_ms: None: a row without a match is padded with nulls at once.
        left_where, right_where: conditions on the rows of one side, from a filter above the join (the rule `push_filters`).
            A row that does not meet them need not be kept or matched, because the filter drops all of its pairs.
    """

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]
    before_ms: int
    after_ms: int
    grace_ms: int | None
    left_where: TypedExpression | None = None
    right_where: TypedExpression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTableJoin(Binary):
    """Every row of the stream with the row that the table has for its key at that time."""

    type: Literal["INNER", "LEFT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTableJoin(Binary):
    """A table of the rows of both sides that have the same key."""

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeyJoin(Binary):
    """Every row of the left table with the row of the right table that ``foreign_key`` refers to.  The key is the left
    table's.
    """

    type: Literal["INNER", "LEFT"]
    foreign_key: TypedExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Unary):
    """Writes the rows to the sink's topic."""

    sink: ResolvedSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Unary):
    """Passes the rows to the client of a push query.

    Attributes:
        select_order: for each item of the SELECT list, the index of its column.
    """

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
