"""Window functions: they compute a value of a row from the other rows of its partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import DataError, StatementError
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Aggregator, Evaluated, Segments, failures_of
from ..expressions.nodes import Literal, WindowFunction
from ..query_options import QueryOptions
from ..types import to_arrow
from .evaluation import Evaluation, evaluate
from .faults import CallError, Folded, initial, rows_to_leave_out
from .groups import aggregator_of, with_empty
from .rows import Rows, SortKey, row_codes, whole

_BLOCK_ROWS = 1 << 20
"""The number of frame rows that are aggregated at a time."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The rows sorted by partition, and within partitions by ORDER BY.

    Attributes:
        order: int64[n], the row numbers in this order.
        starts, ends: int64[n], by index in ``order``: the bounds of the row's partition.
        peer_starts, peer_ends: int64[n], by index in ``order``: the bounds of the rows that are equal to it in ORDER BY.
    """

    order: Int64s
    starts: Int64s
    ends: Int64s
    peer_starts: Int64s
    peer_ends: Int64s


def window_values(call: WindowFunction, rows: Rows, options: QueryOptions, *, how: Evaluation) -> Any:
    """The values of a window function, one for each row.

    Raises:
        StatementError: an argument is not constant but must be, or the frame is not supported.
    """
    layout = _layout(call, rows, how=how)
    arguments = [evaluate(e, rows, how=how).take(pa.array(layout.order)) for e in call.inputs]
    values = _ranked(call, layout) if call.function is None else None
    if values is None:
        first, last = _frames(call, layout)
        if call.function is None:
            values = _offset_values(call, layout, arguments, first, last)
        else:
            values = _aggregated(call, layout, arguments, first, last, options, how)
    type_ = to_arrow(call.type)
    values = whole(values)
    values = values if values.type == type_ else values.cast(type_)
    back = np.empty(rows.length, np.int64)
    back[layout.order] = np.arange(rows.length)
    return values.take(pa.array(back))


def _layout(call: WindowFunction, rows: Rows, *, how: Evaluation) -> _Layout:
    partitions, _ = row_codes([evaluate(e, rows, how=how) for e in call.partition_by], rows.length)
    keys = [
        SortKey(evaluate(e, rows, how=how), descending, nulls_first).numbers()
        for e, (descending, nulls_first) in zip(call.order_by, call.directions, strict=True)
    ]
    order = np.lexsort([*reversed(keys), partitions]).astype(np.int64) if rows.length else np.zeros(0, np.int64)
    new_partition = _changes([partitions[order]])
    new_peer = new_partition | _changes([k[order] for k in keys])
    starts, ends = _bounds(new_partition)
    peer_starts, peer_ends = _bounds(new_peer)
    return _Layout(order, starts, ends, peer_starts, peer_ends)


def _changes(columns: list[Int64s]) -> Bools:
    """bool[n]: whether a row differs from the one before it.  True for the first row; without columns, for no other row."""
    length = len(columns[0]) if columns else 0
    if not columns:
        return np.zeros(1, np.bool_)  # without columns, this sets all rows
    found = np.zeros(length, np.bool_)
    found[:1] = True
    for column in columns:
        found[1:] |= column[1:] != column[:-1]
    return found


def _bounds(new: Bools) -> tuple[Int64s, Int64s]:
    firsts = np.flatnonzero(new).astype(np.int64)
    sizes = np.diff(np.append(firsts, len(new)))
    return np.repeat(firsts, sizes), np.repeat(firsts + sizes, sizes)


def _ranked(call: WindowFunction, layout: _Layout) -> Any:
    """The values of functions that only count rows; None for other functions."""
    place = np.arange(len(layout.order), dtype=np.int64)
    sizes = layout.ends - layout.starts
    match call.name:
        case "ROW_NUMBER":
            return pa.array(place - layout.starts + 1)
        case "RANK":
            return pa.array(layout.peer_starts - layout.starts + 1)
        case "DENSE_RANK":
            numbers = np.cumsum(layout.peer_starts == place)
            return pa.array(numbers - numbers[layout.starts] + 1) if len(place) else pa.array(place)
        case "PERCENT_RANK":
            return pa.array((layout.peer_starts - layout.starts) / np.maximum(sizes - 1, 1))
        case "CUME_DIST":
            return pa.array((layout.peer_ends - layout.starts) / np.maximum(sizes, 1))
        case "NTILE":
            buckets = _whole_number(call, 0, least=1)
            if buckets is None:
                return pa.nulls(len(place), pa.int64())
            small, larger = sizes // buckets, sizes % buckets
            within = place - layout.starts
            in_larger = larger * (small + 1)
            late = larger + (within - in_larger) // np.maximum(small, 1)
            return pa.array(np.where(within < in_larger, within // (small + 1), late) + 1)
    return None


def _whole_number(call: WindowFunction, place: int, least: int) -> int | None:
    """An argument that must be a constant integer.

    Raises:
        StatementError: it is not, or is below ``least``.
    """
    argument = call.arguments[place]
    if not isinstance(argument, Literal):
        raise StatementError(f"{call.name} needs a constant here", span=argument.span)
    if argument.value is not None and argument.value < least:
        raise StatementError(f"{call.name} needs a whole number of at least {least} here", span=argument.span)
    return None if argument.value is None else int(argument.value)


def _frames(call: WindowFunction, layout: _Layout) -> tuple[Int64s, Int64s]:
    """The frame of each row: int64[n], its start, and int64[n], its end (exclusive)."""
    place = np.arange(len(layout.order), dtype=np.int64)
    unit, (start, start_rows), (end, end_rows) = call.frame

    def bound(kind: str, rows: int, *, is_end: bool) -> Int64s:
        match kind:
            case "UNBOUNDED PRECEDING":
                return layout.starts
            case "UNBOUNDED FOLLOWING":
                return layout.ends
            case "CURRENT ROW" if unit == "RANGE":
                return layout.peer_ends if is_end else layout.peer_starts
            case "CURRENT ROW":
                return place + is_end
            case "PRECEDING":
                return place - rows + is_end
        return place + rows + is_end

    first = np.clip(bound(start, start_rows, is_end=False), layout.starts, layout.ends)
    last = np.clip(bound(end, end_rows, is_end=True), layout.starts, layout.ends)
    return first, np.maximum(first, last)


def _offset_values(call: WindowFunction, layout: _Layout, arguments: list[Any], first: Int64s, last: Int64s) -> Any:
    """The values of LAG, LEAD and the functions that take the value of one position of the frame."""
    place = np.arange(len(layout.order), dtype=np.int64)
    if call.name in ("LAG", "LEAD"):
        distance = 1 if len(call.arguments) < 2 else _whole_number(call, 1, least=-(2**31))
        if distance is None:
            return pa.nulls(len(place), arguments[0].type)
        at = place - distance if call.name == "LAG" else place + distance
        inside = (at >= layout.starts) & (at < layout.ends)
    else:
        number = 1 if call.name != "NTH_VALUE" else _whole_number(call, 1, least=1)
        if number is None:
            return pa.nulls(len(place), arguments[0].type)
        at = last - 1 if call.name == "LAST_VALUE" else first + number - 1
        inside = (at >= first) & (at < last)
    if len(arguments) < 3 or call.name not in ("LAG", "LEAD"):
        return arguments[0].take(pa.array(np.where(inside, at, 0), mask=~inside)) if len(place) else arguments[0]
    both = pa.concat_arrays([whole(arguments[0]), whole(arguments[2])])
    return both.take(pa.array(np.where(inside, at, place + len(place))))


def _aggregated(
    call: WindowFunction,
    layout: _Layout,
    arguments: list[Any],
    first: Int64s,
    last: Int64s,
    options: QueryOptions,
    how: Evaluation,
) -> Any:
    """The values of an aggregate over each row's frame."""
    types: list[Any] = [a.type for a in call.arguments]
    literals = [a.value if isinstance(a, Literal) else None for a in call.arguments]
    assert call.function is not None
    aggregator = aggregator_of(call.function, types, literals, options, how.functions)
    if not len(layout.order):
        return pa.nulls(0, to_arrow(call.type))
    starts = layout.starts
    partitions = (np.cumsum(starts == np.arange(len(starts))) - 1).astype(np.int64)
    while True:
        try:
            if (first == starts).all():
                found = _running(aggregator, partitions, arguments, starts, last)
            else:
                found = _sliding(aggregator, arguments, first, last)
            how.faults.add_results(call.name, found.failures)
            return found.values
        except DataError as error:
            own, count = Folded(call, aggregator, arguments), int(partitions.max(initial=-1)) + 1
            failed = rows_to_leave_out([own], partitions, count, options, how.faults, CallError(call, error))
        # The part of each frame that this block has.
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(~failed)]).astype(np.int64)
        starts, first, last = before[starts], before[first], before[last]
        arguments = [a.filter(pa.array(~failed)) for a in arguments]
        partitions = np.unique(partitions[~failed], return_inverse=True)[1].reshape(-1).astype(np.int64)


def _running(aggregator: Aggregator, partitions: Int64s, arguments: list[Any], starts: Int64s, last: Int64s) -> Evaluated:
    """Frames that begin where the partition begins: the state after each frame's last row."""
    count = int(partitions.max(initial=-1)) + 1
    if not count:
        found = aggregator.evaluated(initial(aggregator, 0))
    else:
        _, running = aggregator.scan(initial(aggregator, count), Segments(partitions, count), arguments, None, True)
        assert running is not None
        found = aggregator.evaluated(running)
    return with_empty(aggregator, found, last - 1, last <= starts)


def _sliding(aggregator: Aggregator, arguments: list[Any], first: Int64s, last: Int64s) -> Evaluated:
    """All other frames: the rows of each frame are a group, and groups are aggregated in blocks."""
    sizes = last - first
    ends = np.cumsum(sizes)
    parts = []
    failed: dict[int, str] = {}
    begin = 0
    while begin < len(sizes):
        done = int(ends[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(ends, done + _BLOCK_ROWS, side="right")), begin + 1)
        own = sizes[begin:end]
        groups = np.repeat(np.arange(end - begin), own)
        within = np.arange(len(groups)) - np.repeat(np.cumsum(own) - own, own)
        index = pa.array(np.repeat(first[begin:end], own) + within)
        present, numbers = np.unique(groups, return_inverse=True)
        found = aggregator.evaluated(initial(aggregator, 0))
        if len(present):
            segments = Segments(numbers.reshape(-1).astype(np.int64), len(present))
            state, _ = aggregator.scan(
                initial(aggregator, len(present)), segments, [a.take(index) for a in arguments], None, False
            )
            found = aggregator.evaluated(state)
        places = np.zeros(end - begin, np.int64)
        places[present] = np.arange(len(present))
        part = with_empty(aggregator, found, places, own == 0)
        parts.append(part.values)
        if part.failures is not None:
            failed |= zip((part.failures.rows + begin).tolist(), part.failures.reasons, strict=True)
        begin = end
    return Evaluated(pa.concat_arrays(parts), failures_of(failed))
