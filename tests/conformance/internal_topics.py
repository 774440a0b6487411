"""The repartitions and changelogs of a query under the names ksqlDB gives such topics.

Penstock has neither: rows are re-keyed in memory (the plan's `Repartition` nodes), and the changes of state go to
changelogs of its own naming.  What the kit asks for is which sides of a join a plan re-partitions, and in which key
format all its rows then lie.  That is in the plan, so it is read off the plan of each query, and only there.

The last of several joins is called ``Join``, the ones it is built upon ``L_Join``, ``L_L_Join``, ..  The stores of
stream-stream joins have no names in ksqlDB but the numbers of their processors in Kafka Streams' topology, so these are
counted here as Kafka Streams would build it: see `_Names`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
from adapter import Format, TopicInfo  # the kit's module

from penstock.engine.analysis.sink import key_full_name
from penstock.engine.catalog import FormatInfo
from penstock.engine.plan import nodes as p
from penstock.engine.serdes import serde_maker

_JOINS = (p.StreamStreamJoin, p.StreamTableJoin, p.TableTableJoin, p.ForeignKeyJoin)
_PASSING = (p.Write, p.Output, p.Materialise, p.Project, p.Filter, p.Explode, p.Rekey, p.Repartition)


def internal_topics(database: Any, service_id: str) -> Iterator[TopicInfo]:
    """What every persistent query of a database re-partitions and keeps.

    The number at the end of a query's id is its place among all statements; ksqlDB's harness counts queries only.
    """
    for place, (query_id, planned) in enumerate(database._engine.planned.items()):
        name = f"{query_id.rpartition('_')[0]}_{place}"
        yield from _Names(database, f"_confluent-ksql-{service_id}query_{name}-").of(planned.plan)


class _Names:
    """Walks one plan in the order in which ksqlDB builds a topology; ``number`` is that of the next processor.

    A stream is three processors (source, pseudo columns, alias), a table five (a store's name and two for its source
    instead of one), re-keying one for a stream and three for a table, re-partitioning three (filter, sink, source) and
    for a table one more; a join of streams has two for its windows, one per side and one to merge.  Tables are built
    before the stream that joins them.
    """

    def __init__(self, database: Any, prefix: str) -> None:
        self._database = database
        self._prefix = prefix
        self._number = 0
        self._found: list[TopicInfo] = []

    def of(self, plan: p.PlanNode) -> list[TopicInfo]:
        self._visit(plan, "")
        return self._found

    def _visit(self, node: p.PlanNode, joined: str) -> None:
        while isinstance(node, _PASSING):
            node = node.inputs[0]
        match node:
            case p.StreamStreamJoin():
                self._stream_stream(node, joined)
            case p.StreamTableJoin():
                self._table_side(node.right, joined, "Right")
                self._visit(node.left, f"{joined}L_")
                if (moved := _exchange(node.left)) is not None:
                    self._number += 4
                    self._add(f"{joined}Join-repartition", moved.format, node.left)
            case p.TableTableJoin():
                self._table_side(node.left, joined, "Left")
                self._table_side(node.right, joined, "Right")
            case p.Aggregate() | p.WindowAggregate() | p.SessionAggregate():
                self._visit(node.input, joined)
                moved = _exchange(node.input)
                if moved is not None and moved.format is not None:
                    self._add("Aggregate-GroupBy-repartition", moved.format, node.input)
                self._add("Aggregate-Aggregate-Materialize-changelog", _key_format(node.input), node.input)
            case p.Scan():
                self._number += 3

    def _stream_stream(self, node: p.StreamStreamJoin, joined: str) -> None:
        sides = {"left": node.left, "right": node.right}
        moved = {name: _exchange(side) for name, side in sides.items()}
        for name, side in sides.items():
            self._visit(side, f"{joined}L_")
            self._number += moved[name] is not None
        for name, side in sides.items():
            if (exchange := moved[name]) is not None:
                self._number += 3
                self._add(f"{joined}Join-{name}-repartition", exchange.format, side)
        self._number += 2
        # a side whose rows may be padded is an "outer" one
        kinds = {"this": node.type in ("RIGHT", "FULL"), "other": node.type in ("LEFT", "FULL")}
        for (name, outer), side in zip(kinds.items(), sides.values(), strict=True):
            store = f"KSTREAM-{'OUTER' if outer else 'JOIN'}{name.upper()}-{self._number:010}-store"
            self._add(f"{store}-changelog", _key_format(node), side)
            self._number += 1
        self._number += 1

    def _table_side(self, side: p.PlanNode, joined: str, name: str) -> None:
        below = side
        while isinstance(below, _PASSING):
            below = below.inputs[0]
        if isinstance(below, _JOINS):
            self._visit(side, f"{joined}L_")
            return
        self._number += 5
        if (moved := _exchange(side)) is None:
            self._add(f"{joined}KafkaTopic_{name}-Reduce-changelog", _key_format(side), side)
            return
        self._number += 7
        self._add(f"{joined}{name}SourceKeyed-SelectKey-repartition", moved.format, side)
        self._add(f"{joined}{name}SourceKeyed-Materialize-changelog", moved.format, side)

    def _add(self, name: str, key: FormatInfo | None, side: p.PlanNode) -> None:
        """A topic of rows of one side of the plan; the values keep the format of the source they come from."""
        if key is None:
            return
        first = _first_scan(side)
        window = side.window
        key_format = Format(
            key.name,
            dict(key.properties),
            key.features,
            None if window is None else window.type,
            None if window is None else window.size_ms,
        )
        if key.name == "AVRO" and "fullSchemaName" not in key.properties:
            key_format = replace(key_format, properties={**key.properties, "fullSchemaName": self._avro_name(key)})
        values = first.source.value_format
        value_format = Format(values.name, dict(values.properties), values.features)
        self._found.append(TopicInfo(self._prefix + name, key_format, value_format, self._key_schema(key, side)))

    def _avro_name(self, key: FormatInfo) -> str:
        """An Avro schema is named for the source whose key format it is."""
        owner = next(s for s in self._database.catalog.sources.values() if s.key_format is key)
        return key_full_name(owner.name)

    def _key_schema(self, key: FormatInfo, side: p.PlanNode) -> str | None:
        """The schema that keys in a registry's format would be registered with."""
        columns = side.schema.keys
        serde: Any = serde_maker(self._database.schema_registry)(key, True, "", len(columns))
        if not hasattr(serde, "schema_of"):
            return None
        schema = pa.schema([(c.name, field.type) for c, field in zip(columns, side.schema.arrow())])
        return str(serde.schema_of(schema).text)


def _exchange(side: p.PlanNode) -> p.Repartition | None:
    """The exchange through which a side's rows come to the node above it."""
    while not isinstance(side, p.Repartition):
        if not isinstance(side, p.Project | p.Rekey | p.Filter | p.GroupBy):
            return None
        side = side.inputs[0]
    return side


def _first_scan(node: p.PlanNode) -> p.Scan:
    while not isinstance(node, p.Scan):
        node = node.inputs[0]
    return node


def _key_format(node: p.PlanNode) -> FormatInfo | None:
    """How the keys of a node's rows are serialised where they lie."""
    while not isinstance(node, p.Scan):
        if isinstance(node, p.Repartition):
            return node.format
        if isinstance(node, _JOINS):
            exchanges = [e for side in node.inputs if (e := _exchange(side)) is not None]
            if exchanges:
                return exchanges[0].format
        node = node.inputs[0]
    return node.source.key_format
