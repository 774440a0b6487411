"""GROUP BY: all aggregates of the registry, including the user's, over groups of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import DataError
from ...runtime.batch import Int64s
from ...runtime.kernel import Aggregator, Segments
from ..expressions.nodes import AggregateCall
from ..functions.aggregate import configured
from ..functions.registry import FunctionRef, Registry
from ..query_options import QueryOptions
from ..types import SqlType, to_arrow
from .faults import CallError, Folded, initial
from .rows import Evaluation, Rows, evaluate, row_codes, whole


def aggregator_of(
    function: FunctionRef, types: Sequence[SqlType], literals: Sequence[Any], options: QueryOptions, functions: Registry
) -> Aggregator:
    """The aggregator of a call, with the options applied."""
    return configured(function.name, functions.aggregator(function, types, literals), options, merges=False)


def aggregate(call: AggregateCall, rows: Rows, groups: Int64s, count: int, options: QueryOptions, how: Evaluation) -> Any:
    """The results of one aggregate, per group; ``groups`` has the group of each row, from 0 to ``count - 1``.

    Raises:
        CallError: a row cannot be taken, see `faults.rows_to_leave_out`.
    """
    own = folded(call, rows, groups, options, how)
    aggregator, arguments = own.aggregator, own.arguments
    if own.counts is not None:
        index = pa.array(own.counts)
        groups, arguments = groups[own.counts], [a.filter(index) for a in arguments]
    try:
        return _results(aggregator, arguments, groups, count, to_arrow(call.type))
    except DataError as error:
        raise CallError(call, error) from error


def folded(call: AggregateCall, rows: Rows, groups: Int64s, options: QueryOptions, how: Evaluation) -> Folded:
    """A call, and the columns that it is folded over."""
    aggregator = aggregator_of(call.function, call.argument_types, call.literals, options, how.functions)
    arguments = [evaluate(e, rows, how=how) for e in call.inputs]
    if not call.distinct:
        return Folded(call, aggregator, arguments)
    _, first = row_codes([pa.array(groups), *arguments], rows.length)
    counts = np.zeros(rows.length, np.bool_)
    counts[first] = True
    return Folded(call, aggregator, arguments, counts)


def _results(aggregator: Aggregator, arguments: Sequence[Any], groups: Int64s, count: int, type_: Any) -> Any:
    """Only groups with rows go through `Aggregator.scan`; the others have the result for no rows."""
    present, numbers = np.unique(groups, return_inverse=True)
    parts = []
    if len(present):
        segments = Segments(numbers.reshape(-1).astype(np.int64), len(present))
        state, _ = aggregator.scan(initial(aggregator, len(present)), segments, arguments, None, False)
        parts.append(whole(aggregator.result(state)))
    if len(present) == count:
        return parts[0] if parts else pa.nulls(0, type_)
    parts.append(whole(aggregator.result(initial(aggregator, 1))))
    places = np.full(count, len(present), np.int64)
    places[present] = np.arange(len(present))
    return pa.concat_arrays([p.cast(type_) if p.type != type_ else p for p in parts]).take(pa.array(places))
