"""GROUP BY: the aggregates of the registry, the user's included, over groups of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import DataError
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Aggregator, Evaluated, Failures, Segments, picked_failures
from ..expressions.nodes import AggregateCall
from ..expressions.values import merge_failures
from ..functions.aggregate import configured
from ..functions.registry import FunctionRef, Registry
from ..query_options import QueryOptions
from ..types import SqlType, to_arrow
from .evaluation import Evaluation, evaluate
from .faults import CallError, Folded, initial
from .rows import Rows, row_codes, whole


def aggregator_of(
    function: FunctionRef, types: Sequence[SqlType], literals: Sequence[Any], options: QueryOptions, functions: Registry
) -> Aggregator:
    """The aggregator of a call, with the options applied to it."""
    return configured(function.name, functions.aggregator(function, types, literals), options, merges=False)


def aggregate(
    call: AggregateCall, rows: Rows, groups: Int64s, count: int, options: QueryOptions, how: Evaluation
) -> Evaluated:
    """The results of one aggregate, one for each group.

    Args:
        groups: the group of each row, from 0 to ``count - 1``.

    Raises:
        CallError: it fails on a row, see `faults.rows_to_leave_out`.
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
    """A call, and the columns that it is evaluated over."""
    aggregator = aggregator_of(call.function, call.argument_types, call.literals, options, how.functions)
    arguments = [evaluate(e, rows, how=how) for e in call.inputs]
    if not call.distinct:
        return Folded(call, aggregator, arguments)
    _, first = row_codes([pa.array(groups), *arguments], rows.length)
    counts = np.zeros(rows.length, np.bool_)
    counts[first] = True
    return Folded(call, aggregator, arguments, counts)


def _results(aggregator: Aggregator, arguments: Sequence[Any], groups: Int64s, count: int, type_: Any) -> Evaluated:
    """The results of all groups.  Groups without rows have the result of no rows, and do not go through
    `Aggregator.scan`.
    """
    present, numbers = np.unique(groups, return_inverse=True)
    if not count:
        return Evaluated(pa.nulls(0, type_))
    found = Evaluated(pa.nulls(0, type_))
    if len(present):
        segments = Segments(numbers.reshape(-1).astype(np.int64), len(present))
        state, _ = aggregator.scan(initial(aggregator, len(present)), segments, arguments, None, False)
        found = aggregator.evaluated(state)
    places = np.zeros(count, np.int64)
    places[present] = np.arange(len(present))
    absent = np.ones(count, np.bool_)
    absent[present] = False
    return with_empty(aggregator, found, places, absent)


def with_empty(aggregator: Aggregator, found: Evaluated, places: Int64s, empty: Bools) -> Evaluated:
    """The results at these places.  Where ``empty`` is true, the result is that of no rows."""
    results, failures = whole(found.values), found.failures
    if empty.any():
        none = aggregator.evaluated(initial(aggregator, 1))
        if none.failures is not None:
            failures = merge_failures(failures, Failures(none.failures.rows + len(results), none.failures.reasons))
        last = whole(none.values)
        places = np.where(empty, len(results), places)
        results = pa.concat_arrays([results, last.cast(results.type) if last.type != results.type else last])
    return Evaluated(results.take(pa.array(places)), picked_failures(failures, places))
