"""Which columns may be handed on as references to where their rows lie, to be gathered by whoever looks at them.

From a source on, a column is left in the frames of the log for as long as nobody reads it; an exchange, or an
aggregation that wants few of its rows, gathers these at once from there.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ..dataflow import Dataflow, Exchange, Node, OperatorNode, Source

Columns = frozenset[int] | None
"""Columns of a node's output by place; None stands for all but its keys."""

_NONE: frozenset[int] = frozenset()


def late_columns(dataflow: Dataflow) -> Mapping[int, Columns]:
    """For each source and exchange, which columns of its output whatever follows it takes as a `Later`, too."""
    followers: dict[int, list[tuple[int, Node]]] = {number: [] for number in range(len(dataflow.nodes))}
    for number, node in enumerate(dataflow.nodes):
        if not isinstance(node, Source):
            for input_ in node.inputs if isinstance(node, OperatorNode) else (node.input,):
                followers[input_].append((number, node))

    def slices(number: int) -> Columns:
        if len(followers[number]) != 1:
            return _NONE
        follower, node = followers[number][0]
        if isinstance(node, Exchange) or (isinstance(node, OperatorNode) and node.takes_later):
            return None
        if not isinstance(node, OperatorNode) or len(node.inputs) != 1:
            return _NONE
        further = slices(follower)
        carried = (c for c, places in node.carried.items() if further is None or places <= further)
        return frozenset(carried) | (_NONE if dataflow.every_update else node.picked)

    return {n: slices(n) for n, node in enumerate(dataflow.nodes) if isinstance(node, (Source, Exchange))}


def late_names(source: Source, columns: Columns) -> frozenset[str]:
    """The value columns of a source among them that are not nested, and that no timestamp is made of."""
    first = len(source.key_schema)
    if source.value_serde is not None or columns == _NONE:
        return frozenset()
    return frozenset(
        field.name
        for place, field in enumerate(source.value_schema, first)
        if (columns is None or place in columns)
        and field.name != source.timestamp_column
        and not pa.types.is_nested(field.type)
    )
