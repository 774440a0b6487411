"""Finds the columns that can be passed on as references to their rows, to be gathered by whoever reads them.

A source leaves a column in the log's frames until somebody reads it.  An exchange, or an aggregation that needs few of its
rows, gathers only these from there.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ..dataflow import Dataflow, Exchange, Node, OperatorNode, Source, inputs_of

Columns = frozenset[int] | None
"""Columns of a node's output, by index; None stands for all but its keys."""

_NONE: frozenset[int] = frozenset()


def late_columns(dataflow: Dataflow) -> Mapping[int, Columns]:
    """For each source and exchange, the output columns that every node after it takes as a `Later`, too."""
    followers: dict[int, list[tuple[int, Node]]] = {number: [] for number in range(len(dataflow.nodes))}
    for number, node in enumerate(dataflow.nodes):
        for input_ in inputs_of(node):
            followers[input_].append((number, node))

    def passed_on(number: int) -> Columns:
        if len(followers[number]) != 1:
            return _NONE
        follower, node = followers[number][0]
        if isinstance(node, Exchange) or (isinstance(node, OperatorNode) and node.takes_later):
            return None
        if not isinstance(node, OperatorNode) or len(node.inputs) != 1:
            return _NONE
        further = passed_on(follower)
        carried = (c for c, places in node.carried.items() if further is None or places <= further)
        return frozenset(carried) | (_NONE if dataflow.every_update else node.picked)

    return {n: passed_on(n) for n, node in enumerate(dataflow.nodes) if isinstance(node, (Source, Exchange))}


def late_names(source: Source, columns: Columns) -> frozenset[str]:
    """Those value columns of a source that are not nested and not used for a timestamp."""
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
