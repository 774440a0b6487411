"""Decodes requests into kio's dataclasses, by kio's descriptions of their fields.

kio's own reader allocates as many items as an array's length says before it reads them, so a length of two thousand million
would end the process.  This reader refuses a length that exceeds the remaining bytes, and a request with more items than
it is allowed: a hundred million items of a byte each would keep all other clients waiting for a minute.
"""

from __future__ import annotations

import dataclasses
import datetime
import struct
import types
import typing
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any

from kio.schema.errors import ErrorCode

__all__ = ["Items", "Malformed", "nullable_text", "reader", "uvarint"]


class Malformed(ValueError):
    """The bytes are not a well-formed request."""


class Items:
    """Counts how many more items the arrays of a request may have."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int) -> None:
        """Count ``count`` items.  Raises: Malformed, if there are too many."""
        self.left -= count
        if self.left < 0:
            raise Malformed("more items than a request may have (KAFKA_REQUEST_ITEMS_MAX)")


Read = Callable[[bytes, int, Items], tuple[Any, int]]


@cache
def reader(entity: Any) -> Read:
    """Make a function that reads an entity from bytes at a position, and returns it with the position behind it.

    The function skips unknown tagged fields, as the protocol says, and raises `Malformed`.
    """
    flexible = bool(entity.__flexible__)
    hints = typing.get_type_hints(entity)
    fields: list[tuple[str, Read]] = []
    tagged: dict[int, tuple[str, Read]] = {}
    for field in dataclasses.fields(entity):
        read = _field(hints[field.name], field.metadata.get("kafka_type"), flexible)
        if "tag" in field.metadata:
            tagged[int(field.metadata["tag"])] = (field.name, read)
        else:
            fields.append((field.name, read))

    def read_entity(data: bytes, at: int, items: Items) -> tuple[Any, int]:
        values: dict[str, Any] = {}
        for name, read in fields:
            values[name], at = read(data, at, items)
        if flexible:
            at = _tagged(data, at, tagged, values, items)
        return entity(**values), at

    return read_entity


def _tagged(data: bytes, at: int, known: dict[int, tuple[str, Read]], values: dict[str, Any], items: Items) -> int:
    count, at = uvarint(data, at)
    items.take(count)
    for _ in range(count):
        tag, at = uvarint(data, at)
        size, at = uvarint(data, at)
        end = at + size
        if end > len(data):
            raise Malformed("a tagged field is cut off")
        if tag in known:
            name, read = known[tag]
            values[name], behind = read(data, at, items)
            if behind != end:
                raise Malformed(f"the tagged field {name} does not have {size} bytes")
        at = end
    return at


def _field(type_: Any, kind: str | None, flexible: bool) -> Read:
    nullable = False
    if isinstance(type_, types.UnionType) or typing.get_origin(type_) is typing.Union:
        nullable = True
        (type_,) = [t for t in typing.get_args(type_) if t is not types.NoneType]
    if typing.get_origin(type_) is tuple:
        return _array(_field(typing.get_args(type_)[0], kind, flexible), nullable, flexible)
    if dataclasses.is_dataclass(type_):
        return reader(typing.cast(Any, type_))
    if kind in ("string", "bytes", "records"):
        return _octets(kind == "string", nullable, flexible, wide=kind != "string")
    return _PLAIN[kind or ""]


def _number(format_: str) -> Read:
    packed = struct.Struct(format_)

    def read(data: bytes, at: int, items: Items) -> tuple[Any, int]:
        try:
            (value,) = packed.unpack_from(data, at)
        except struct.error:
            raise Malformed("a number is cut off") from None
        return value, at + packed.size

    return read


def _converted(read_plain: Read, convert: Callable[[Any], Any]) -> Read:
    def read(data: bytes, at: int, items: Items) -> tuple[Any, int]:
        value, at = read_plain(data, at, items)
        try:
            return convert(value), at
        except (ValueError, OverflowError) as error:
            raise Malformed(str(error)) from None

    return read


def _uuid(data: bytes, at: int, items: Items) -> tuple[Any, int]:
    if at + 16 > len(data):
        raise Malformed("an id is cut off")
    value = uuid.UUID(bytes=data[at : at + 16])
    return (None if value.int == 0 else value), at + 16


_PLAIN: dict[str, Read] = {
    "int8": _number(">b"),
    "int16": _number(">h"),
    "int32": _number(">i"),
    "int64": _number(">q"),
    "uint16": _number(">H"),
    "uint32": _number(">I"),
    "float64": _number(">d"),
    "bool": _converted(_number(">B"), bool),
    "error_code": _converted(_number(">h"), ErrorCode),
    "timedelta_i32": _converted(_number(">i"), lambda ms: datetime.timedelta(milliseconds=ms)),
    "timedelta_i64": _converted(_number(">q"), lambda ms: datetime.timedelta(milliseconds=ms)),
    "uuid": _uuid,
}


def _length(flexible: bool, wide: bool) -> Read:
    """Make a function that reads a length in bytes or items; -1 stands for null."""
    if flexible:
        return _converted(lambda data, at, items: uvarint(data, at), lambda number: number - 1)
    return _number(">i" if wide else ">h")


def _octets(text: bool, nullable: bool, flexible: bool, *, wide: bool) -> Read:
    read_length = _length(flexible, wide)

    def read(data: bytes, at: int, items: Items) -> tuple[Any, int]:
        length, at = read_length(data, at, items)
        if length < 0:
            if nullable and length == -1:
                return None, at
            raise Malformed(f"a length of {length}")
        end = at + length
        if end > len(data):
            raise Malformed(f"{length} bytes where {len(data) - at} are left")
        value = data[at:end]
        if not text:
            return value, end
        try:
            return value.decode("utf-8"), end
        except UnicodeDecodeError:
            raise Malformed("a text that is not UTF-8") from None

    return read


def _array(item: Read, nullable: bool, flexible: bool) -> Read:
    read_length = _length(flexible, wide=True)

    def read(data: bytes, at: int, items: Items) -> tuple[Any, int]:
        count, at = read_length(data, at, items)
        if count < 0:
            if nullable and count == -1:
                return None, at
            raise Malformed(f"an array of {count} items")
        if count > len(data) - at:  # each has a byte at least
            raise Malformed(f"an array of {count} items in {len(data) - at} bytes")
        items.take(count)
        found = []
        for _ in range(count):
            value, at = item(data, at, items)
            found.append(value)
        return tuple(found), at

    return read


def uvarint(data: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned varint of at most 5 bytes; return it and the position behind it.  Raises: Malformed."""
    value = shift = 0
    while shift <= 28:
        if at >= len(data):
            raise Malformed("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Malformed("a number of more than 5 bytes")


nullable_text: Read = _octets(True, True, False, wide=False)
"""Read a string behind a length of two bytes, or null: the client id in the header of a request."""
