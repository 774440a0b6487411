"""Plans FROM and its joins: scans, the repartitions that co-partition the sides of a join, and the columns of its result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ....errors import StatementError
from ....storage.formats import format_traits
from ....storage.schemas.avro import key_full_name
from ...analysis import grouping as g
from ...analysis.resolved import ResolvedJoin, ResolvedQuery
from ...analysis.scope import FromSource, SourceColumn
from ...catalog import DataSource, FormatInfo
from ...expressions.nodes import ColumnRef, TypedExpression
from ...schema import Column, Schema
from ...types import to_arrow
from ..tree import PlanNode
from . import nodes as p


def source_key_format(source: DataSource) -> FormatInfo:
    """A source's key format.  If the statement does not name the AVRO schema of the keys, the format has the default
    name.
    """
    format_ = source.key_format
    if format_.name != "AVRO" or "fullSchemaName" in format_.properties:
        return format_
    return replace(format_, properties={**format_.properties, "fullSchemaName": key_full_name(source.name)})


def key_format(query: ResolvedQuery) -> FormatInfo:
    """The format that new keys have inside of a query: that of its sink, otherwise that of its first source with a key."""
    if query.sink is not None and query.sink.key_format.name != "NONE" and query.sink.schema.keys:
        return query.sink.key_format
    return next(
        (source_key_format(s.source) for s in query.sources if s.source.key_format.name not in ("NONE", "KAFKA")),
        FormatInfo("JSON"),
    )


def scan(source: FromSource) -> p.Scan:
    """A scan of all columns of a source, pseudo columns included.  A rule later removes the columns that nothing reads."""

    def of(column: SourceColumn) -> p.ScanColumn:
        role = "KEY" if column.role == "KEY" else "VALUE"
        return p.ScanColumn(Column(column.internal, column.type, role), column.name, column.extra)  # type: ignore[arg-type]

    stored = [c for c in source.columns if c.extra is None]
    extras = [c for c in source.columns if c.extra is not None]
    columns = tuple(of(c) for c in (*stored, *extras))
    return p.Scan(
        source=source.source,
        alias=source.alias,
        columns=columns,
        schema=Schema(tuple(c.column for c in columns)),
        kind=source.source.kind,
        window=source.source.window,
    )


@dataclass(frozen=True, slots=True)
class JoinedSources:
    """The result of the joins so far.

    Attributes:
        equal: columns that have the value of the rows' key, see `ResolvedJoin.equal`.
        key: the first of them, if a join made the key.  Rows that are grouped by it stay in their partition.
        partitions, format: how the rows are partitioned.
        own_key: whether the key is a column that a join made, and not a column of a source.
        default: the format of new keys if no source has one.
    """

    node: PlanNode
    sources: tuple[FromSource, ...]
    equal: tuple[TypedExpression, ...]
    partitions: int
    format: FormatInfo
    default: FormatInfo
    own_key: bool = False
    key: ColumnRef | None = None


@dataclass(frozen=True, slots=True)
class _Meeting:
    """How the rows of both sides of a join are co-partitioned: which side moves, and how both are partitioned then."""

    left_exchange: bool
    right_exchange: bool
    partitions: int
    format: FormatInfo


def joined_sources(query: ResolvedQuery) -> JoinedSources:
    """Plan FROM and its joins: a scan of each source, and the nodes that co-partition the sides of each join.

    A join's result is its key, then all other columns of the left and of the right side as values.

    Raises:
        StatementError: the sources of a join are not co-partitioned and cannot be repartitioned (section 8).
    """
    first = query.sources[0]
    equal = tuple(c.ref() for c in first.keys) if len(first.keys) == 1 else ()
    format_ = source_key_format(first.source)
    joined = JoinedSources(scan(first), (first,), equal, first.source.partitions, format_, key_format(query))
    for join in query.joins:
        joined = _foreign_key_join(joined, join) if join.kind == "FOREIGN_KEY" else _join(joined, join)
    return joined


def _join(left: JoinedSources, join: ResolvedJoin) -> JoinedSources:
    right = join.right
    left_moves = join.left_on not in left.equal
    right_moves = [join.right_on] != [c.ref() for c in right.keys]
    meeting = _meeting(left, join, left_moves=left_moves, right_moves=right_moves)
    own = left.node.schema.keys
    on = ColumnRef(own[0].name, type=own[0].type) if not left_moves and left.own_key else join.left_on
    left_side = _join_input(left.node, on, join, left_moves, meeting if meeting.left_exchange else None, hidden=left.own_key)
    right_side = _join_input(scan(right), join.right_on, join, right_moves, meeting if meeting.right_exchange else None)
    (key,) = join.key
    schema = Schema((Column(key.name, key.type, "KEY"), *left_side.schema.values, *right_side.schema.values))
    node = _join_node(left_side, right_side, join, schema)
    return JoinedSources(
        node,
        (*left.sources, right),
        join.equal,
        meeting.partitions,
        meeting.format,
        left.default,
        own_key=True,
        key=next(iter(join.equivalents), None),
    )


def _meeting(left: JoinedSources, join: ResolvedJoin, *, left_moves: bool, right_moves: bool) -> _Meeting:
    """Section 8: rows with the same key meet only if both sides are partitioned by the same bytes over the same number of
    partitions.

    The side that keeps its key decides the format (the left one if both do), and the other side moves.  If key formats have
    schema ids, both sides always move: the ids are part of the bytes, and differ between topics.

    Raises:
        StatementError: neither side has a new key, and their numbers of partitions differ.
    """
    other = join.right.source
    other_format = source_key_format(other)
    if not left_moves:
        format_ = left.format
    elif not right_moves:
        format_ = other_format
    else:
        format_ = next((f for f in (left.format, other_format) if f.name != "NONE"), left.default)
    if left_moves and right_moves and format_traits(format_.name).unsupported(to_arrow(join.left_on.type)) is not None:
        format_ = FormatInfo("JSON")
    if not left_moves and not right_moves:
        _check_co_partitioned(left, join.right)
    has_ids = format_traits(format_.name).inference
    left_exchange = left_moves or (has_ids and not left.own_key) or not _same_bytes(left.format, format_)
    right_exchange = right_moves or has_ids or not _same_bytes(other_format, format_)
    if left_exchange and right_exchange:
        partitions = max(left.partitions, other.partitions)
    else:
        partitions = other.partitions if left_exchange else left.partitions
    return _Meeting(left_exchange, right_exchange, partitions, format_)


def _check_co_partitioned(left: JoinedSources, right: FromSource) -> None:
    """Section 8: sides that are not repartitioned must have the same number of partitions."""
    if left.partitions != right.source.partitions:
        names = " and ".join(s.source.name for s in left.sources)
        raise StatementError(
            f"{names} has {left.partitions} partitions and {right.source.name} has {right.source.partitions}; a join needs"
            " the same number on both sides",
            span=right.span,
            suggestion=f"Copy one of them with as many: CREATE {right.source.kind} .. WITH (PARTITIONS={left.partitions})"
            f" AS SELECT * FROM {right.source.name}.",
        )


def _same_bytes(left: FormatInfo, right: FormatInfo) -> bool:
    """Whether two formats serialise a key to the same bytes.  Then they also put it into the same partition."""
    return left.name == right.name and left.properties == right.properties and left.features == right.features


def _join_input(
    node: PlanNode,
    on: TypedExpression,
    join: ResolvedJoin,
    moves: bool,
    exchange: _Meeting | None,
    *,
    hidden: bool = False,
) -> PlanNode:
    """A side of a join with the join's key.  All its columns are values; the old key is one too, unless ``hidden``."""
    (key,) = join.key
    carried = node.schema.values if hidden else node.schema.columns
    schema = Schema((Column(key.name, key.type, "KEY"), *(Column(c.name, c.type) for c in carried)))
    expressions = (on, *(ColumnRef(c.name, type=c.type) for c in carried))
    side: PlanNode
    if moves:
        side = p.Rekey(input=node, expressions=expressions, schema=schema, kind=node.kind, window=node.window)
    else:
        side = p.Project(input=node, expressions=expressions, schema=schema, kind=node.kind, window=node.window)
    if exchange is None:
        return side
    return p.Repartition(
        input=side,
        format=exchange.format,
        partitions=exchange.partitions,
        schema=schema,
        kind=node.kind,
        window=node.window,
    )


def _join_node(left: PlanNode, right: PlanNode, join: ResolvedJoin, schema: Schema) -> PlanNode:
    match join.kind:
        case "STREAM_STREAM":
            return p.StreamStreamJoin(
                left=left,
                right=right,
                type=join.type,
                before_ms=join.before_ms,
                after_ms=join.after_ms,
                grace_ms=join.grace_ms,
                schema=schema,
                kind="STREAM",
                window=left.window,
            )
        case "STREAM_TABLE":
            return p.StreamTableJoin(
                left=left, right=right, type="INNER" if join.type == "INNER" else "LEFT", schema=schema, kind="STREAM"
            )
    return p.TableTableJoin(left=left, right=right, type=join.type, schema=schema, kind="TABLE")


def _foreign_key_join(left: JoinedSources, join: ResolvedJoin) -> JoinedSources:
    """Plan a foreign-key join.

    The result keeps the left side's key.  The right side's key also becomes a value, so that it can be selected.
    """
    right = scan(join.right)
    key = right.schema.keys[0]
    name = g.fresh_name("KEY", set(left.node.schema.names) | set(right.schema.names))
    schema = Schema((Column(name, key.type, "KEY"), *(Column(c.name, c.type) for c in right.schema)))
    side = p.Project(
        input=right,
        expressions=(ColumnRef(key.name, type=key.type), *(ColumnRef(c.name, type=c.type) for c in right.schema)),
        schema=schema,
        kind="TABLE",
    )
    node = p.ForeignKeyJoin(
        left=_gathered(left.node),
        right=_gathered(side),
        type="INNER" if join.type == "INNER" else "LEFT",
        foreign_key=join.left_on,
        schema=Schema((*left.node.schema, *schema.values)),
        kind="TABLE",
    )
    moved = p.Repartition(input=node, format=left.format, partitions=left.partitions, schema=node.schema, kind="TABLE")
    return JoinedSources(moved, (*left.sources, join.right), left.equal, left.partitions, left.format, left.default)


def _gathered(node: PlanNode) -> PlanNode:
    """Move all rows of a side to one partition: a foreign key may refer to a row of any partition."""
    return p.Repartition(input=node, format=None, schema=node.schema, kind=node.kind)
