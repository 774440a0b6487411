"""Arrays, maps and structs: constructors, and access to items and fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import failures_at
from .. import types as t
from ..columns.comparing import equal
from ..columns.items import distinct_keys, maps_of
from . import nodes as n
from .frames import Evaluator, RowFrame, Value, strict
from .values import (
    list_parts,
    make_lists,
    make_maps,
    make_structs,
    map_parts,
    merge_failures,
    null_mask,
    parents_of,
    to_numpy,
)


def compile_subscript(e: n.Subscript, base: Evaluator, index: Evaluator) -> Evaluator:
    """Compile ``base[index]``.

    The value is null if the base or the index is null, an array's index is zero or out of range, or a map lacks the key.
    """
    if isinstance(e.base.type, t.Map):
        return _compile_map_lookup(base, index)

    def evaluate(frame: RowFrame) -> Value:
        b, i = base(frame), index(frame)
        items, lengths = list_parts(frame.array(b.data))
        places = frame.array(i.data)
        at = to_numpy(places, np.int64)
        at = np.where(at >= 0, at - 1, lengths + at)
        outside = (at < 0) | (at >= lengths) | null_mask(places)
        starts = np.cumsum(lengths) - lengths
        result = items.take(pa.array(np.where(outside, 0, starts + at), pa.int64(), mask=outside))
        return strict(result, (b, i))

    return evaluate


def _compile_map_lookup(base: Evaluator, index: Evaluator) -> Evaluator:
    def evaluate(frame: RowFrame) -> Value:
        b, i = base(frame), index(frame)
        keys, items, lengths = map_parts(frame.array(b.data))
        parents = parents_of(lengths)
        wanted = i.data if i.is_scalar else i.data.take(pa.array(parents))
        matches = equal(keys, wanted)
        if matches.null_count:
            matches = matches.fill_null(False)
        hits = np.flatnonzero(np.asarray(matches.to_numpy(zero_copy_only=False), np.bool_))
        places = np.full(frame.length, -1, np.int64)
        # The last one of equal keys counts, because NumPy keeps the last of repeated assignments.
        places[parents[hits]] = hits
        missing = places < 0
        result = items.take(pa.array(np.where(missing, 0, places), mask=missing))
        return strict(result, (b, i))

    return evaluate


def compile_field(e: n.FieldAccess, base: Evaluator) -> Evaluator:
    """Compile ``base->field``.  It is null if the base is null."""
    assert isinstance(e.base.type, t.Struct)
    place = [name for name, _ in e.base.type.fields].index(e.field)

    def evaluate(frame: RowFrame) -> Value:
        value = base(frame)
        return strict(pc.struct_field(frame.array(value.data), [place]), (value,))

    return evaluate


def compile_array(e: n.ArrayMake, items: Sequence[Evaluator]) -> Evaluator:
    """Compile ``ARRAY[items]``.  An item that fails is null, see `frames`."""
    arrow = t.to_arrow(e.type)
    count = len(items)

    def evaluate(frame: RowFrame) -> Value:
        values = [item(frame) for item in items]
        flat = _interleave([frame.array(v.data) for v in values], frame.length, arrow.value_type)
        lengths = np.full(frame.length, count, np.int64)
        return strict(make_lists(flat, lengths, None, arrow), values)

    return evaluate


def _interleave(columns: list[Any], length: int, type_: Any) -> Any:
    """The first items of all columns, then the second items of all columns, and so on.  Without columns, an empty array."""
    if not columns:
        return pa.nulls(0, type_)
    if len(columns) == 1:
        return columns[0]
    order = np.arange(len(columns) * length, dtype=np.int64).reshape(len(columns), length).T.ravel()
    return pa.concat_arrays(columns).take(pa.array(order))


def compile_map(e: n.MapMake, keys: Sequence[Evaluator], items: Sequence[Evaluator]) -> Evaluator:
    """Compile ``MAP(key := value, ..)``.  The last one of equal keys stays.  A NULL key is the text ``null``."""
    type_ = e.type
    assert isinstance(type_, t.Map)
    key_type, arrow = type_.key, t.to_arrow(type_)
    count = len(keys)

    def evaluate(frame: RowFrame) -> Value:
        key_values = [key(frame) for key in keys]
        item_values = [item(frame) for item in items]
        columns = [frame.array(v.data) for v in key_values]
        absent = np.zeros(frame.length, np.bool_)
        if key_type == t.STRING:
            columns = [c.fill_null("null") if c.null_count else c for c in columns]
        else:
            absent = np.logical_or.reduce([null_mask(c) for c in columns], initial=False) | absent
        missing = failures_at(np.flatnonzero(absent), f"{n.text(e)}: a key is NULL")
        flat_keys = _interleave(columns, frame.length, arrow.key_type)
        flat_items = _interleave([frame.array(v.data) for v in item_values], frame.length, arrow.item_type)
        lengths = np.full(frame.length, count, np.int64)
        if missing is None and _distinct(columns):
            result = make_maps(flat_keys, flat_items, lengths, None, arrow)
        else:
            result = maps_of(distinct_keys(absent, parents_of(lengths), flat_keys, flat_items), absent)
        return strict(result, [*key_values, *item_values], missing)

    return evaluate


def _distinct(columns: list[Any]) -> bool:
    """Whether no row has a key twice."""
    for i, left in enumerate(columns):
        for right in columns[:i]:
            if pc.any(equal(left, right)).as_py():
                return False
    return True


def compile_struct(e: n.StructMake, members: Sequence[Evaluator]) -> Evaluator:
    """Compile ``STRUCT(name := value, ..)``.  A value that fails is null, see `frames`."""
    arrow = t.to_arrow(e.type)

    def evaluate(frame: RowFrame) -> Value:
        values = [member(frame) for member in members]
        made = make_structs([frame.array(v.data) for v in values], None, arrow, frame.length)
        return Value(made, None, merge_failures(*(v.guarded for v in values)))

    return evaluate
