"""Typed values as bytes: a record's value is one MessagePack array of its columns.

Kafka keeps bytes.  A topic with a ``value_type`` (the engine's own, and streams in the format ARROW) holds each row as
an array in the order of the fields: null, booleans, integers, floats, text, bytes; dates, times and timestamps as the
number that Arrow keeps, decimals as text, lists as arrays, structs as maps, Arrow's maps as arrays of pairs.  The type
itself is in the service's state.  A type may gain fields at its end; rows of before are shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa

from ....errors import StorageError

__all__ = ["decoded", "encoded", "type_from_text", "type_to_text"]

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list)


@lru_cache(maxsize=512)
def _plain(kind: Any) -> Any:
    """The type whose Python values MessagePack has."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_decimal(kind):
        return pa.string()
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.int32()
    if pa.types.is_temporal(kind):
        return pa.int64()
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain(kind.value_type))
    if pa.types.is_list(kind):
        return pa.list_(pa.field(kind.value_field.name, _plain(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _plain(f.type)) for f in kind])
    return kind


@lru_cache(maxsize=512)
def _holds_maps(kind: Any) -> bool:
    """Whether values hold Arrow's maps, whose pairs must be tuples."""
    if pa.types.is_map(kind):
        return True
    return any(_holds_maps(kind.field(i).type) for i in range(kind.num_fields))


def _with_tuples(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if pa.types.is_map(kind):
        return [(k, _with_tuples(v, kind.item_type)) for k, v in value]
    if pa.types.is_struct(kind):
        return {f.name: _with_tuples(value.get(f.name), f.type) for f in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_with_tuples(v, kind.value_type) for v in value]
    return value


def encoded(values: Any) -> Any:
    """binary[n] of struct[n]; null stays null."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    columns = []
    for column in values.flatten():
        plain = _plain(column.type)
        if plain != column.type:
            column = column.cast(plain)
        columns.append(column.to_pylist())
    rows: Any = zip(*columns, strict=True) if columns else ((),) * len(values)
    encode = _ENCODER.encode
    if values.null_count:
        present = values.is_valid().to_pylist()
        found = [encode(row) if there else None for row, there in zip(rows, present, strict=True)]
    else:
        found = [encode(row) for row in rows]
    return pa.array(found, pa.binary())


def decoded(values: Any, kind: Any, fields: Sequence[str] | None, where: str) -> Any:
    """struct[n] of binary[n].

    Args:
        kind: the topic's type.
        fields: those that are wanted, in this order; None: all.
        where: the topic and partition, for errors.

    Raises:
        StorageError: a value was not written by `encoded`.
    """
    wanted = list(kind) if fields is None else [kind.field(name) for name in fields]
    raw = values.to_pylist()
    try:
        rows = [None if value is None else _DECODER.decode(value) for value in raw]
        arrays = []
        for field in wanted:
            at = kind.get_field_index(field.name)
            column = [None if row is None or at >= len(row) else row[at] for row in rows]
            plain = _plain(field.type)
            if _holds_maps(plain):
                column = [_with_tuples(value, plain) for value in column]
            array = pa.array(column, plain)
            arrays.append(array if plain == field.type else array.cast(field.type))
    except (msgspec.DecodeError, pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{where} holds a value that is not one of Penstock's typed rows: {error}",
            action="name the topic's format (VALUE_FORMAT) in the statement that declares its stream",
        ) from error
    absent = pa.array([row is None for row in rows], pa.bool_()) if values.null_count else None
    if not arrays:
        return pa.array([None if row is None else {} for row in rows], pa.struct([]))
    return pa.StructArray.from_arrays(arrays, fields=[pa.field(f.name, f.type) for f in wanted], mask=absent)


def type_to_text(kind: Any) -> str:
    """A struct type as text that outlives the process."""
    return str(pa.schema(list(kind)).serialize().to_pybytes().hex())


def type_from_text(text: str) -> Any:
    """The reverse of `type_to_text`."""
    return pa.struct(list(pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(text)))))
