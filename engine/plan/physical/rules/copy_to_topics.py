"""Copies rows that are moved or kept to topics with ksqlDB's names (``penstock.internal.topics``).

Before::

    Repartition by ROWKEY (KAFKA)
      Rekey by S_V
        Scan S

After::

    Repartition by ROWKEY (KAFKA)
      Copy to topic _confluent-ksql-default_query_CSAS_O_3-Join-repartition (key KAFKA, value JSON: S_ID INTEGER)
        Rekey by S_V
          Scan S

The topics are only copies: the query itself moves its rows in memory (docs/decisions/in-memory-exchange.md).  A topic exists
if and only if rows are moved or kept at that place of the plan.  The names of the topics are facts about ksqlDB and Kafka
Streams:

* The last of several joins is ``Join``, the one before it ``L_Join``, then ``L_L_Join``.  The sources and re-keyings of a
  join have its prefix.
* A moved side of two streams: ``Join-left-repartition``, ``Join-right-repartition``.  A RIGHT join is named as a LEFT one
  with its sides swapped.  A moved stream beside a table: ``Join-repartition``.
* A moved table: ``LeftSourceKeyed-SelectKey-repartition`` or ``Right..``, and for the rows that the join keeps of it
  ``LeftSourceKeyed-Materialize-changelog``.  A table that a join keeps and does not move:
  ``KafkaTopic_Left-Reduce-changelog``.
* The right table of a foreign-key join counts as moved if its keys carry schema ids.
* Rows under the key of a GROUP BY: ``Aggregate-GroupBy-repartition``.
* The two stores of a join of streams are named by the numbers of their processors, which Kafka Streams counts as it builds
  them: ``KSTREAM-JOINTHIS-0000000016-store-changelog``, ``..-JOINOTHER-..17-..``.  OUTER stands in place of JOIN for the
  side whose rows may find that rows of the other side were padded already.  A stream counts as 3 processors (source, pseudo
  columns, alias), a table as 5.  A new key of a stream counts as 1, and moving its rows as 3 (filter, sink, source); moving
  a table counts as 7.  A join of streams counts as 5: one for the windows of each side, one for each side, and one that
  merges.  A join of a stream with a table counts as 1.  Tables are built before the stream that joins them.

PARTITION BY has no topic of its own, because the topic of the sink holds the rows under their new key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa

from .....errors import StatementError
from .....limits import INTERNAL_TOPIC_RETENTION_MS
from .....storage.formats import format_traits
from .....storage.formats.traits import check_columns
from ....analysis.joins import LEGACY_GRACE_MS
from ....analysis.sink import key_features
from ....analysis.with_clause import CleanupPolicy
from ....catalog import DataSource, FormatInfo
from ....expressions.nodes import ColumnRef, TypedExpression
from ....schema import Column, Schema
from ....types import to_arrow
from ...logical import nodes as p
from ...logical.joins import source_key_format
from ...tree import PlanNode, walk, with_inputs
from ..nodes import Copy

_PASSING = (p.Project, p.Filter, p.Rekey, p.Repartition)
_JOINS = (p.StreamStreamJoin, p.StreamTableJoin, p.TableTableJoin, p.ForeignKeyJoin)


def copy_to_topics(plan: PlanNode, prefix: str) -> PlanNode:
    """Add a `Copy` wherever ksqlDB has a topic for rows that the plan moves or keeps.

    Args:
        prefix: the prefix of the topics' names, which is made of the service and the query.

    Raises:
        StatementError: a source's value format cannot hold the rows of a copy.
    """
    return _Copies(prefix).visit(plan, "")


class _Copies:
    """Walks a plan in the order in which ksqlDB builds its topology.  ``_number`` is the number of the next processor."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._number = 0

    def visit(self, node: PlanNode, joined: str) -> PlanNode:
        """Add copies to a node.

        Args:
            joined: the prefix of the next join's name.
        """
        match node:
            case p.StreamStreamJoin():
                return self._stream_stream(node, joined)
            case p.StreamTableJoin():
                return self._stream_table(node, joined)
            case p.TableTableJoin():
                left = self._table(node.left, joined, "Left")
                return replace(node, left=left, right=self._table(node.right, joined, "Right"))
            case p.ForeignKeyJoin():
                return self._foreign_key(node, joined)
            case p.Repartition(input=p.GroupBy() as grouped) if node.format is not None:
                grouped = replace(grouped, input=self.visit(grouped.input, joined))
                return replace(node, input=self._grouped(grouped, node))
            case p.Scan():
                self._number += 3
        return with_inputs(node, tuple(self.visit(i, joined) for i in node.inputs))

    # --- joins -----------------------------------------------------------------------------

    def _stream_stream(self, node: p.StreamStreamJoin, joined: str) -> PlanNode:
        sides = {"left": node.left, "right": node.right}
        for name, side in sides.items():
            sides[name] = self.visit(side, f"{joined}L_")
            self._number += _moved(side) is not None
        this, other = ("right", "left") if node.type == "RIGHT" else ("left", "right")
        for word, name in (("left", this), ("right", other)):
            if _moved(sides[name]) is not None:
                self._number += 3
                sides[name] = self._repartition(sides[name], f"{joined}Join-{word}-repartition")
        self._number += 2
        padded = {this: node.type == "FULL", other: node.type != "INNER"}
        reach_ms = node.before_ms + node.after_ms + (LEGACY_GRACE_MS if node.grace_ms is None else node.grace_ms)
        for word, name in (("THIS", this), ("OTHER", other)):
            store = f"KSTREAM-{'OUTER' if padded[name] else 'JOIN'}{word}-{self._number:010}-store-changelog"
            self._number += 1
            sides[name] = self._copy(
                sides[name],
                store,
                _lying_format(sides[name]),
                window_store=True,
                cleanup_policy="compact,delete",
                retention_ms=reach_ms + INTERNAL_TOPIC_RETENTION_MS,
            )
        self._number += 1
        return replace(node, left=sides["left"], right=sides["right"])

    def _stream_table(self, node: p.StreamTableJoin, joined: str) -> PlanNode:
        right = self._table(node.right, joined, "Right")
        left = self.visit(node.left, f"{joined}L_")
        if _moved(left) is not None:
            self._number += 4
            left = self._repartition(left, f"{joined}Join-repartition")
        self._number += 1
        return replace(node, left=left, right=right)

    def _table(self, side: PlanNode, joined: str, name: str) -> PlanNode:
        """Add copies to a table that is a side of a join.

        The table is a source, or on the left the result of earlier joins, which ksqlDB does not keep.
        """
        below = side
        while isinstance(below, _PASSING):
            below = below.inputs[0]
        if isinstance(below, _JOINS):
            return self.visit(side, f"{joined}L_")
        self._number += 5
        moved = _moved(side)
        if moved is None or moved.format is None:
            return _replaced(side, p.Scan, lambda scan: self._source(scan, f"KafkaTopic_{joined}{name}-Reduce-changelog"))
        self._number += 7
        side = self._repartition(side, f"{joined}{name}SourceKeyed-SelectKey-repartition")
        return self._kept(side, moved.format, f"{joined}{name}SourceKeyed-Materialize-changelog")

    def _foreign_key(self, node: p.ForeignKeyJoin, joined: str) -> PlanNode:
        left, right = self._table(node.left, joined, "Left"), node.right
        source = _first_scan(right).source
        if not format_traits(source.key_format.name).inference:
            return replace(node, left=left, right=self._table(right, joined, "Right"))
        format_ = source_key_format(_first_scan(node.left).source)
        if any(format_traits(format_.name).unsupported(to_arrow(c.type)) for c in right.schema.keys):
            format_ = source_key_format(source)
        right = self._repartition(right, f"{joined}RightSourceKeyed-SelectKey-repartition", format_)
        return replace(node, left=left, right=self._kept(right, format_, f"{joined}RightSourceKeyed-Materialize-changelog"))

    # --- the copies ------------------------------------------------------------------------

    def _repartition(self, side: PlanNode, name: str, format_: FormatInfo | None = None) -> PlanNode:
        """Add to a side of a join a copy of the input of its `Repartition`."""

        def copied(node: PlanNode) -> PlanNode:
            assert isinstance(node, p.Repartition)
            chosen = format_ or node.format
            assert chosen is not None
            return replace(node, input=self._copy(node.input, name, chosen, partitions=node.partitions))

        return _replaced(side, p.Repartition, copied)

    def _kept(self, side: PlanNode, format_: FormatInfo, name: str) -> PlanNode:
        return self._copy(side, name, format_, cleanup_policy="compact", retention_ms=None)

    def _source(self, node: PlanNode, name: str) -> PlanNode:
        """A table as it is read, under the names of its own columns."""
        assert isinstance(node, p.Scan)
        stored = [c for c in node.columns if c.extra is None]
        values = tuple((c.source_name, _ref(c.column)) for c in stored if c.column.role != "KEY")
        keys = tuple(c.source_name for c in stored if c.column.role == "KEY")
        format_ = source_key_format(node.source)
        return self._copy(node, name, format_, keys=keys, values=values, cleanup_policy="compact", retention_ms=None)

    def _grouped(self, node: p.GroupBy, moved: p.Repartition) -> PlanNode:
        """Add a copy of rows that have the key of their group.

        ksqlDB also has the GROUP BY expressions among the values, and names computed ones KSQL_INTERNAL_COL_0,
        KSQL_INTERNAL_COL_1, ..
        """
        values: list[tuple[str, TypedExpression]] = []
        computed = 0
        for named in (*node.keys, *node.arguments):
            name = f"KSQL_INTERNAL_COL_{computed}"
            if isinstance(named.expression, ColumnRef):
                name = named.expression.name
            else:
                computed += 1
            if name not in dict(values):
                values.append((name, ColumnRef(named.name, type=named.expression.type)))
        assert moved.format is not None
        return self._copy(node, "Aggregate-GroupBy-repartition", moved.format, values=values, partitions=moved.partitions)

    def _copy(
        self,
        node: PlanNode,
        name: str,
        format_: FormatInfo,
        *,
        keys: Sequence[str] | None = None,
        values: Sequence[tuple[str, TypedExpression]] | None = None,
        partitions: int | None = None,
        window_store: bool = False,
        cleanup_policy: CleanupPolicy = "delete",
        retention_ms: int | None = INTERNAL_TOPIC_RETENTION_MS,
    ) -> Copy:
        """Add a copy of a node's rows.  Keys are in ``format_``, values in the format of their source.

        The schema ids of a source apply only to its own topic, and WRAP_SINGLE_VALUE only to its own values.
        """
        scan = _first_scan(node)
        own_keys = node.schema.keys
        if values is None:
            values = [(c.name, _ref(c)) for c in node.schema.values]
        value_format = _without_id(scan.source.value_format, frozenset())
        if value_format.name == "NONE":
            values = []
        elif not values:  # only the key is read, but a value has at least one column
            values = [(c.name, _ref(c)) for c in own_keys]
        key_columns = [Column(n, c.type, "KEY") for n, c in zip(keys or [c.name for c in own_keys], own_keys, strict=True)]
        value_columns = [Column(n, e.type) for n, e in values]
        topic = f"{self._prefix}{name}"
        key_format = _without_id(format_, key_features(format_.name, len(own_keys)))
        _check(topic, key_format, key_columns, is_key=True)
        _check(topic, value_format, value_columns, is_key=False)
        target = DataSource(
            name,
            node.kind,
            Schema((*key_columns, *value_columns)),
            topic,
            key_format,
            value_format,
            partitions or _partitions(node),
            node.window,
        )
        return Copy(
            input=node,
            target=target,
            expressions=(*(_ref(c) for c in own_keys), *(e for _, e in values)),
            window_store=window_store,
            cleanup_policy=cleanup_policy,
            retention_ms=retention_ms,
            schema=node.schema,
            kind=node.kind,
            window=node.window,
        )


def _ref(column: Column) -> ColumnRef:
    return ColumnRef(column.name, type=column.type)


def _without_id(format_: FormatInfo, features: frozenset[str]) -> FormatInfo:
    properties = {name: value for name, value in format_.properties.items() if name != "schemaId"}
    return FormatInfo(format_.name, properties, features)


def _check(topic: str, format_: FormatInfo, columns: Sequence[Column], *, is_key: bool) -> None:
    """Check that a format can hold columns.

    Raises:
        StatementError: it cannot.
    """
    try:
        check_columns(format_.name, pa.schema([(c.name, to_arrow(c.type)) for c in columns]), is_key)
    except StatementError as error:
        raise StatementError(
            f"the internal topic {topic} cannot be written: {error.message}",
            suggestion="SET 'penstock.internal.topics' = 'false'; or copy the source in another format first.",
        ) from error


def _moved(side: PlanNode) -> p.Repartition | None:
    """The `Repartition` node that moves the rows of a side, if there is one."""
    while not isinstance(side, p.Repartition):
        if not isinstance(side, p.Project | p.Rekey | p.Filter):
            return None
        side = side.input
    return side


def _replaced(side: PlanNode, kind: type[PlanNode], change: Callable[[PlanNode], PlanNode]) -> PlanNode:
    """A side of a join with its first node of a kind replaced by another one."""
    if isinstance(side, kind):
        return change(side)
    (input_,) = side.inputs
    return with_inputs(side, (_replaced(input_, kind, change),))


def _first_scan(node: PlanNode) -> p.Scan:
    """The scan of the left-most source."""
    while not isinstance(node, p.Scan):
        node = node.inputs[0]
    return node


def _lying_format(node: PlanNode) -> FormatInfo:
    """The format whose bytes decide the partition of the rows: that of the last exchange, otherwise that of their source."""
    while not isinstance(node, p.Scan):
        if isinstance(node, p.Repartition) and node.format is not None:
            return node.format
        if isinstance(node, _JOINS):
            moved = next((m.format for m in map(_moved, node.inputs) if m is not None and m.format is not None), None)
            if moved is not None:
                return moved
        node = node.inputs[0]
    return source_key_format(node.source)


def _partitions(node: PlanNode) -> int:
    """The number of partitions of the topics that a node reads from."""
    return max(n.source.partitions for n in walk(node) if isinstance(n, p.Scan))
