"""Fast JSON decoding: msgspec decoders made for the shapes that records turn out to have.

Most records have the keys of the record before, and values of the usual kind.  From one sample record a *shape* is
derived: a msgspec type that accepts only objects with exactly these keys and with values that need no conversion.  What a
shape accepts means what `json_reader` says; what it refuses (another key, a number as text, a fraction for an INTEGER, a
key twice in different cases) is left to `json_reader`.  So there is one meaning at two speeds, and a property test
compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any, Optional

import msgspec
import pyarrow as pa

from ...kernels.json_rows import KINDS
from ..values.java_texts import INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN
from ..values.time_units import DAY_MS
from .json_reader import parse_json, reader

Convert = Callable[[Any], Any]

_INT32 = Annotated[int, msgspec.Meta(ge=INT32_MIN, le=INT32_MAX)]
_INT64 = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
_USUAL: dict[Any, Any] = {
    pa.bool_(): bool,
    pa.int32(): _INT32,
    pa.int64(): _INT64,
    pa.float64(): float,
    pa.string(): str,
    pa.date32(): _INT32,
    pa.time32("ms"): Annotated[int, msgspec.Meta(ge=0, lt=DAY_MS)],
    pa.timestamp("ms"): _INT64,
}

REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError)
"""What a shape raises for a record that it leaves to `json_reader`."""


class ShapeDecoder:
    """A decoder for one shape of records.

    Attributes:
        lines: the records are objects, so `decode_lines` may be used (see `json.JsonSerde`).
        plain: for shapes of objects of numbers, texts and booleans: each key with its column (None if it has none); None for
            other shapes.
    """

    def __init__(self, schema: pa.Schema, wrapped: bool, sample: Any) -> None:
        self.lines = wrapped
        self.plain = _plain(schema, sample) if wrapped else None
        self._converts: list[Convert | None]
        if wrapped:
            type_, converts = _struct_type(schema, sample)
            self._getters: list[Callable[[Any], Any]] = [attrgetter(f"c{i}") for i in range(len(schema))]
            self._converts = converts
        else:
            type_, convert = _value_type(schema.field(0).type, sample)
            self._converts = [convert]
        self._decoder = msgspec.json.Decoder(Optional[type_])  # noqa: UP045 - type_ is a value
        self._line_decoder = msgspec.json.Decoder(type_)
        self.decode: Callable[[bytes], Any] = self._decoder.decode
        """One record; None for ``null``.  Raises: `REFUSED`."""

    def decode_lines(self, buffer: Any) -> list[Any]:
        """Decode a buffer with one record per line.  Raises: `REFUSED`."""
        result: list[Any] = self._line_decoder.decode_lines(buffer)
        return result

    def columns(self, records: Sequence[Any]) -> list[list[Any]]:
        """The values of decoded records by column; no record may be None.  Raises: `REFUSED`."""
        if self.lines:
            found = [list(map(getter, records)) for getter in self._getters]
        else:
            found = [list(records)]
        return [
            values if convert is None else [None if v is None else convert(v) for v in values]
            for values, convert in zip(found, self._converts)
        ]


def _struct_type(fields: Any, sample: Any) -> tuple[Any, list[Convert | None]]:
    """A msgspec struct with one attribute ``c<i>`` per field, named by the key that stands for it in the sample.

    Keys that stand for nothing become attributes that are skipped.  The key of a missing field is not known: a record that
    has one is refused.
    """
    keys = list(sample) if isinstance(sample, dict) else [field.name for field in fields]
    key_of = _key_of(fields, keys)
    attributes: list[tuple[str, Any, Any]] = []
    converts: list[Convert | None] = []
    for i, field in enumerate(fields):
        key = key_of.get(field.name)
        if key is None:
            attributes.append((f"c{i}", None, msgspec.field(default=None, name=f"\x00{i}")))
            converts.append(None)
            continue
        type_, convert = _value_type(field.type, sample.get(key) if isinstance(sample, dict) else None)
        attributes.append((f"c{i}", Optional[type_], msgspec.field(default=None, name=key)))  # noqa: UP045
        converts.append(convert)
    for i, key in enumerate(key for key in keys if key not in key_of.values()):
        attributes.append((f"skipped{i}", msgspec.Raw, msgspec.field(default=_NOTHING, name=key)))
    struct = msgspec.defstruct("Record", attributes, forbid_unknown_fields=True, gc=False)
    return struct, converts


def _key_of(fields: Any, keys: Sequence[str]) -> dict[str, str]:
    """The key that stands for each field, as far as one does.  Raises: ValueError."""
    names = [field.name for field in fields]
    key_of: dict[str, str] = {}
    for key in keys:
        for name in {key, key.upper()}.intersection(names):
            if name in key_of or key in key_of.values():
                # Which key counts depends on the others in the record: rare, and left to the slow reader.
                raise ValueError("two fields may read one key, or one field two keys")
            key_of[name] = key
    return key_of


def _plain(schema: pa.Schema, sample: Any) -> dict[str, int | None] | None:
    """See `ShapeDecoder.plain`."""
    if not isinstance(sample, dict) or any(field.type not in KINDS for field in schema):
        return None
    if any(ord(letter) < 32 or letter in '"\\' for key in sample for letter in key):
        return None
    column_of = {key: schema.names.index(name) for name, key in _key_of(schema, list(sample)).items()}
    return {key: column_of.get(key) for key in sample}


_NOTHING = msgspec.Raw(b"null")


def _value_type(type_: pa.DataType, sample: Any) -> tuple[Any, Convert | None]:
    """The msgspec type of a value, and what makes a value of rows of what it decodes (None: it is one)."""
    if type_ in _USUAL:
        return _USUAL[type_], None
    if pa.types.is_list(type_):
        first = next((x for x in sample if x is not None), None) if isinstance(sample, list) else None
        item, convert = _value_type(type_.value_type, first)
        return _generic(list, Optional[item]), None if convert is None else _each(convert)  # noqa: UP045
    if pa.types.is_map(type_) and pa.types.is_string(type_.key_type):
        first = next((x for x in sample.values() if x is not None), None) if isinstance(sample, dict) else None
        item, convert = _value_type(type_.item_type, first)
        return _generic(dict, (str, Optional[item])), None if convert is None else _each_entry(convert)  # noqa: UP045
    if pa.types.is_struct(type_):
        struct, converts = _struct_type(type_, sample)
        names = tuple((field.name, f"c{i}", convert) for i, (field, convert) in enumerate(zip(type_, converts)))
        return struct, _fields(names)
    return msgspec.Raw, _raw(type_)


def _generic(origin: Any, arguments: Any) -> Any:
    """``origin[arguments]``, where the arguments are types only at run time."""
    return origin[arguments]


def _each(convert: Convert) -> Convert:
    return lambda values: [None if v is None else convert(v) for v in values]


def _each_entry(convert: Convert) -> Convert:
    return lambda entries: {k: None if v is None else convert(v) for k, v in entries.items()}


def _fields(names: tuple[tuple[str, str, Convert | None], ...]) -> Convert:
    def convert_struct(record: Any) -> dict[str, Any]:
        row = {}
        for name, attribute, convert in names:
            value = getattr(record, attribute)
            row[name] = value if value is None or convert is None else convert(value)
        return row

    return convert_struct


def _raw(type_: pa.DataType) -> Convert:
    read = reader(type_)

    def convert(raw: Any) -> Any:
        value = parse_json(bytes(raw))
        return None if value is None else read(value)

    return convert
