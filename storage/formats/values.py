"""Arrow columns <-> Python values, for formats that convert record by record.

DATE is an int (days), TIME and TIMESTAMP an int (ms), DECIMAL a `Decimal`, BYTES bytes, ARRAY a list, MAP and STRUCT a
dict (a struct has all its fields).  Times are integers instead of `datetime`, since SQL's dates have a wider range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..values import arrow_calls
from .base import Decoded, Encoded, Malformed


def binary_array(data: Any) -> Any:
    """Any binary or string data as one `pa.BinaryArray`."""
    if isinstance(data, pa.ChunkedArray):
        data = data.combine_chunks()
        if isinstance(data, pa.ChunkedArray):
            data = pa.concat_arrays(data.chunks) if data.num_chunks else pa.array([], data.type)
    elif not isinstance(data, pa.Array):
        data = pa.array(data, pa.binary())
    return data if data.type == pa.binary() else data.cast(pa.binary())


def binary_parts(array: Any) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """The offsets of a `pa.BinaryArray`, int32[n + 1], and its content, uint8."""
    _, offsets, content = array.buffers()
    starts = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    if not len(array):
        starts = np.zeros(1, np.int32)
    return starts, np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)


def without_prefix(array: Any, size: int) -> Any:
    """A `pa.BinaryArray` without nulls, with the first bytes of every value cut off (no value may be shorter).

    `pyarrow.compute.binary_slice` does this, but fails in Arrow 26 ("Negative buffer resize").
    """
    offsets, content = binary_parts(array)
    kept = np.ones(offsets[-1] - offsets[0], np.bool_)
    kept[(offsets[:-1] - offsets[0])[:, None] + np.arange(size)] = False
    rest = content[offsets[0] : offsets[-1]][kept]
    starts = (offsets - offsets[0] - np.arange(len(offsets)) * size).astype(np.int32)
    return pa.Array.from_buffers(pa.binary(), len(array), [None, pa.py_buffer(starts.tobytes()), pa.py_buffer(rest.data)])


def plain_array(column: Any) -> Any:
    """A column as one array (chunks joined)."""
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


def is_nested(type_: pa.DataType) -> bool:
    """Whether a type is an array, a map or a struct."""
    return bool(pa.types.is_nested(type_))


def storage_type(type_: pa.DataType) -> Any:
    """The type with dates and times replaced by their integers, at every depth."""
    if pa.types.is_date32(type_) or pa.types.is_time32(type_):
        return pa.int32()
    if pa.types.is_timestamp(type_):
        return pa.int64()
    if pa.types.is_map(type_):
        return pa.map_(storage_type(type_.key_type), storage_type(type_.item_type))
    if pa.types.is_list(type_):
        return pa.list_(storage_type(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(f.name, storage_type(f.type)) for f in type_])
    return type_


def to_rows(column: Any) -> list[Any]:
    """The Python values of a column."""
    array = plain_array(column)
    type_ = array.type
    if pa.types.is_list(type_) or pa.types.is_map(type_):
        offsets = array.offsets.to_numpy().tolist()
        valid = array.is_valid().to_pylist()
        if pa.types.is_list(type_):
            items = to_rows(array.values)
            return [items[a:b] if ok else None for a, b, ok in zip(offsets, offsets[1:], valid)]
        keys, values = to_rows(array.keys), to_rows(array.items)
        return [dict(zip(keys[a:b], values[a:b])) if ok else None for a, b, ok in zip(offsets, offsets[1:], valid)]
    if pa.types.is_struct(type_):
        names = [f.name for f in type_]
        columns = [to_rows(child) for child in array.flatten()]
        rows = zip(*columns) if columns else iter([()] * len(array))
        return [dict(zip(names, row)) if ok else None for row, ok in zip(rows, array.is_valid().to_pylist())]
    stored = storage_type(type_)
    result: list[Any] = (array if stored == type_ else array.view(stored)).to_pylist()
    return result


def from_rows(values: Sequence[Any], type_: pa.DataType) -> Any:
    """A column from Python values.

    Raises:
        pa.ArrowException, ValueError, TypeError, OverflowError: a value does not fit the type.
    """
    if pa.types.is_list(type_) or pa.types.is_map(type_):
        counts = np.fromiter((0 if v is None else len(v) for v in values), np.int64, len(values))
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        null = np.fromiter((v is None for v in values), np.bool_, len(values))
        mask = pa.array(null) if null.any() else None
        if pa.types.is_list(type_):
            items = from_rows([x for v in values if v is not None for x in v], type_.value_type)
            return arrow_calls.list_array(pa.array(offsets), items, type_, mask)
        keys = from_rows([k for v in values if v is not None for k in v], type_.key_type)
        entries = from_rows([x for v in values if v is not None for x in v.values()], type_.item_type)
        return map_array(offsets, keys, entries, type_, null)
    if pa.types.is_struct(type_):
        null = np.fromiter((v is None for v in values), np.bool_, len(values))
        children = [from_rows([None if v is None else v.get(f.name) for v in values], f.type) for f in type_]
        if not children:
            return pa.array([None if n else {} for n in null], type_)
        return pa.StructArray.from_arrays(children, fields=list(type_), mask=pa.array(null))
    stored = storage_type(type_)
    array = pa.array(values, stored)
    return array if stored == type_ else array.view(type_)


def map_array(offsets: npt.NDArray[np.int32], keys: Any, items: Any, type_: pa.DataType, null: npt.NDArray[np.bool_]) -> Any:
    """A map column with a mask of nulls; `pa.MapArray.from_arrays` can mark nulls only by null offsets."""
    marked = pa.array(offsets, mask=np.append(null, False)) if null.any() else pa.array(offsets)
    return arrow_calls.map_array(marked, keys, items, type_)


def nulls_of(array: Any) -> npt.NDArray[np.bool_]:
    """bool[n]: the value is null."""
    if not array.null_count:
        return np.zeros(len(array), np.bool_)
    result: npt.NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return result


def malformed(reasons: dict[int, str]) -> Malformed | None:
    """Reasons by row as a `Malformed`."""
    if not reasons:
        return None
    rows = sorted(reasons)
    return Malformed(np.array(rows, dtype=np.int64), tuple(reasons[row] for row in rows))


def or_none(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    """The mask; None if nothing is set."""
    return mask if mask.any() else None


def reason_of(error: BaseException) -> str:
    """One line of text that says what is wrong."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


BadValue = (ValueError, TypeError, OverflowError, RecursionError, ArithmeticError)
"""The errors that converting a record can raise because of its content.  Others are bugs and are not caught."""


def decode_rows(
    blobs: Sequence[bytes | None], schema: pa.Schema, decode_one: Callable[[bytes], Sequence[Any] | None]
) -> Decoded:
    """Decode record by record.

    Args:
        decode_one: gives the values in the order of the schema, or None for a record that stands for null.  Raises
            `ValueError` (or another of `BadValue`) for a malformed record.
    """
    count = len(blobs)
    blank: tuple[Any, ...] = (None,) * len(schema)
    rows: list[Sequence[Any]] = [blank] * count
    null = np.zeros(count, np.bool_)
    reasons: dict[int, str] = {}
    for i, blob in enumerate(blobs):
        if blob is None:
            null[i] = True
            continue
        try:
            row = decode_one(blob)
        except BadValue as error:
            reasons[i] = reason_of(error)
            continue
        if row is None:
            null[i] = True
        else:
            rows[i] = row
    return Decoded(columns_of(rows, schema, reasons), or_none(null), malformed(reasons))


def columns_of(rows: list[Sequence[Any]], schema: pa.Schema, reasons: dict[int, str]) -> tuple[Any, ...]:
    """Columns from rows of values.  A row that Arrow refuses gets a reason in ``reasons``, and nulls in all columns."""
    try:
        return tuple(from_rows([row[c] for row in rows], field.type) for c, field in enumerate(schema))
    except (pa.ArrowException, *BadValue):
        blank: tuple[Any, ...] = (None,) * len(schema)
        for i, row in enumerate(rows):
            try:
                for c, field in enumerate(schema):
                    from_rows([row[c]], field.type)
            except (pa.ArrowException, *BadValue) as error:
                reasons[i] = reason_of(error)
                rows[i] = blank
        return tuple(from_rows([row[c] for row in rows], field.type) for c, field in enumerate(schema))


def encode_rows(
    columns: Sequence[Any],
    absent: npt.NDArray[np.bool_] | None,
    count: int,
    encode_one: Callable[[tuple[Any, ...]], bytes | None],
) -> Encoded:
    """Encode record by record.

    ``encode_one`` raises `ValueError` (or another of `BadValue`) for a row that the format cannot hold.
    """
    rows = list(zip(*map(to_rows, columns))) if columns else [()] * count
    result: list[bytes | None] = [None] * count
    reasons: dict[int, str] = {}
    for i, row in enumerate(rows):
        if absent is not None and absent[i]:
            continue
        try:
            result[i] = encode_one(row)
        except BadValue as error:
            reasons[i] = reason_of(error)
    return Encoded(pa.array(result, pa.binary()), malformed(reasons))


def row_count(columns: Sequence[Any], absent: npt.NDArray[np.bool_] | None) -> int:
    """The number of rows to encode."""
    return len(columns[0]) if len(columns) else (0 if absent is None else len(absent))


def without(array: Any, absent: npt.NDArray[np.bool_] | None) -> Any:
    """The array with nulls where ``absent`` is set."""
    if absent is None or not absent.any():
        return array
    return pc.if_else(pa.array(~absent), array, pa.scalar(None, array.type))
