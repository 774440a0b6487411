"""PROTOBUF and PROTOBUF_NOSR: protobuf's binary encoding.

PROTOBUF records begin with the header of `schema_serde` and the message indexes of Confluent's wire format: their count
and the indexes, as zigzag varints; ``[0]``, the first message, is the single byte ``00``.  PROTOBUF_NOSR records are the
bare message, with the schema that follows from the columns.

`storage/schemas/protobuf.py` maps the types.  The protobuf package is imported when the format is first used.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import StatementError
from ..optional_packages import needed
from ..schemas.avro import decimal_of, unscaled_bytes
from ..schemas.protobuf import (
    DECIMAL_MESSAGE,
    LOGICAL,
    WRAPPERS,
    Messages,
    Nullable,
    ProtobufReader,
    is_map,
    load_messages,
    nullable_named,
    proto_schema,
    real_oneof_of,
    real_oneofs,
)
from ..schemas.registry import SchemaRegistry, SchemaText, resolve
from ..values.java_texts import fit_decimal, fit_integer
from ..values.time_units import DAY_MS, HOUR_MS, MINUTE_MS
from .base import Decoded, Encoded, SerdeOptions
from .coercion import struct_coercion
from .schema_serde import ReadRow, SchemaSerde, WriteRow
from .values import binary_array, decode_rows, encode_rows, row_count

Get = Callable[[Any], Any]
Put = Callable[[Any, Any], None]

_EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()
_UINT64_TYPES = (4, 6)


def nullable_of(options: SerdeOptions) -> Nullable:
    """The representation of nulls, from the property ``nullable_representation`` (or ``nullableRepresentation``).

    Raises:
        StatementError: it is neither OPTIONAL nor WRAPPER.
    """
    properties = options.properties
    return nullable_named(properties.get("nullable_representation", properties.get("nullableRepresentation", "NONE")))


class ProtobufSerde(SchemaSerde):
    """The PROTOBUF format."""

    type = "PROTOBUF"

    def __init__(self, registry: SchemaRegistry, options: SerdeOptions) -> None:
        needed("google.protobuf.descriptor_pb2", "protobuf")  # A statement says so, not its query's first record.
        super().__init__(registry, options, wrap=True)
        self._nullable: Nullable = nullable_of(options)

    def schema_of(self, schema: pa.Schema) -> SchemaText:
        """See `SchemaSerde.schema_of`."""
        return SchemaText("PROTOBUF", proto_schema(schema, self._options.full_name, self._nullable))

    def reader(self, written: SchemaText, schema: pa.Schema) -> ReadRow:
        """See `SchemaSerde.reader`."""
        messages = load_messages(written, resolve(self._registry, written))
        readers: dict[tuple[int, ...], Callable[[bytes], Sequence[Any]]] = {}

        def read(rest: memoryview) -> Sequence[Any]:
            indexes, at = read_indexes(rest)
            reader = readers.get(indexes)
            if reader is None:
                reader = readers[indexes] = message_reader(messages, messages.by_indexes(indexes), schema)
            return reader(bytes(rest[at:]))

        return read

    def writer(self, written: SchemaText, schema: pa.Schema) -> WriteRow:
        """See `SchemaSerde.writer`."""
        messages = load_messages(written, resolve(self._registry, written))
        message = messages.by_name(self._options.full_name)
        prefix = index_bytes(messages.indexes_of(message))
        write = message_writer(message, schema)
        return lambda row: prefix + write(row)


class BareProtobufSerde:
    """The PROTOBUF_NOSR format."""

    def __init__(self, options: SerdeOptions) -> None:
        needed("google.protobuf.descriptor_pb2", "protobuf")
        self._nullable: Nullable = nullable_of(options)
        self._known: tuple[pa.Schema, Messages, Any] | None = None

    def _message(self, schema: pa.Schema) -> tuple[Messages, Any]:
        if self._known is None or not self._known[0].equals(schema):
            messages = load_messages(SchemaText("PROTOBUF", proto_schema(schema, None, self._nullable)), {})
            self._known = (schema, messages, messages.by_name(None))
        return self._known[1], self._known[2]

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`."""
        return decode_rows(binary_array(data).to_pylist(), schema, message_reader(*self._message(schema), schema))

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`."""
        write = message_writer(self._message(schema)[1], schema)
        return encode_rows(columns, absent, row_count(columns, absent), write)


def read_indexes(rest: memoryview) -> tuple[tuple[int, ...], int]:
    """The message indexes at the start of a record's content, and their length in bytes.

    Raises:
        ValueError: they are cut off or absurd.
    """
    count, at = _read_varint(rest, 0)
    if count == 0:
        return (0,), at
    if not 0 < count <= len(rest):
        raise ValueError(f"{count} message indexes")
    indexes = []
    for _ in range(count):
        index, at = _read_varint(rest, at)
        indexes.append(index)
    return tuple(indexes), at


def index_bytes(indexes: tuple[int, ...]) -> bytes:
    """Message indexes as bytes."""
    if indexes == (0,):
        return b"\x00"
    return b"".join(map(_varint, (len(indexes), *indexes)))


def _varint(value: int) -> bytes:
    """A value that is not negative, zigzag."""
    value <<= 1
    pieces = bytearray()
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("the message indexes are cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at


# Reading


def message_reader(messages: Messages, message: Any, schema: pa.Schema) -> Callable[[bytes], Sequence[Any]]:
    """A function that reads the bytes of a message as columns.

    Raises:
        ValueError: the types do not go together.
    """
    factory = needed("google.protobuf.message_factory", "protobuf")
    failure = needed("google.protobuf.message", "protobuf").DecodeError
    made = factory.GetMessageClass(message)
    natural = ProtobufReader(messages.parameters).natural(message)
    to_row = _row_reader(message, natural)
    coerce = struct_coercion(list(natural), list(schema))

    def read(blob: bytes) -> Sequence[Any]:
        try:
            parsed = made.FromString(blob)
        except failure as error:
            raise ValueError(f"not a message {message.full_name}: {error}") from None
        return list(coerce(to_row(parsed)).values())

    return read


def _row_reader(message: Any, type_: Any) -> Get:
    steps: list[tuple[str, Get]] = []
    for index, oneof in real_oneofs(message):
        steps.append((f"{oneof.name}_{index}", _oneof_reader(oneof, type_.field(f"{oneof.name}_{index}").type)))
    for field in message.fields:
        if real_oneof_of(field) is None:
            steps.append((field.name, _field_reader(field, type_.field(field.name).type)))
    return lambda parsed: {name: get(parsed) for name, get in steps}


def _oneof_reader(oneof: Any, struct: Any) -> Get:
    branches = {field.name: _value_reader(field, struct.field(field.name).type) for field in oneof.fields}
    name = oneof.name

    def get(parsed: Any) -> dict[str, Any] | None:
        chosen = parsed.WhichOneof(name)
        if chosen is None:
            return None
        return {field: read(getattr(parsed, field)) if field == chosen else None for field, read in branches.items()}

    return get


def _field_reader(field: Any, type_: Any) -> Get:
    name = field.name
    if is_map(field):
        entry = field.message_type.fields_by_name
        key = _value_reader(entry["key"], type_.key_type)
        value = _value_reader(entry["value"], type_.item_type)
        if entry["value"].message_type is not None:
            return lambda parsed: {key(k): value(getattr(parsed, name)[k]) for k in getattr(parsed, name)}
        return lambda parsed: {key(k): value(v) for k, v in getattr(parsed, name).items()}
    if field.is_repeated:
        read = _value_reader(field, type_.value_type)
        return lambda parsed: [read(v) for v in getattr(parsed, name)]
    read = _value_reader(field, type_)
    if field.has_presence:
        return lambda parsed: read(getattr(parsed, name)) if parsed.HasField(name) else None
    return lambda parsed: read(getattr(parsed, name))


def _value_reader(field: Any, type_: Any) -> Get:
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names.get(number, str(number))
    if field.message_type is None:
        return (lambda value: fit_integer(value, 64)) if field.type in _UINT64_TYPES else _same
    full = field.message_type.full_name
    if full in WRAPPERS:
        if full == "google.protobuf.UInt64Value":
            return lambda wrapper: fit_integer(wrapper.value, 64)
        return lambda wrapper: wrapper.value
    if full == DECIMAL_MESSAGE:
        precision, scale = type_.precision, type_.scale
        return lambda decimal: fit_decimal(decimal_of(decimal.value, decimal.scale), precision, scale)
    if full in LOGICAL:
        return {"Date": _read_date, "TimeOfDay": _read_time, "Timestamp": _read_timestamp}[field.message_type.name]
    return _row_reader(field.message_type, type_)


def _same(value: Any) -> Any:
    return value


def _read_date(value: Any) -> int | None:
    if not (value.year or value.month or value.day):
        return None  # A message that nothing was written to, as a null item of an ARRAY leaves it.
    days: int = datetime.date(value.year, value.month, value.day).toordinal() - _EPOCH_ORDINAL
    return days


def _read_time(value: Any) -> int:
    return int(((value.hours * 60 + value.minutes) * 60 + value.seconds) * 1000 + value.nanos // 1_000_000) % DAY_MS


def _read_timestamp(value: Any) -> int:
    return int(value.seconds * 1000 + value.nanos // 1_000_000)


# Writing


def message_writer(message: Any, schema: pa.Schema) -> Callable[[tuple[Any, ...]], bytes]:
    """A function that writes columns as a message; fields without a column stay unset.

    Raises:
        StatementError: the types do not go together.
    """
    made = needed("google.protobuf.message_factory", "protobuf").GetMessageClass(message)
    fill = _filler(message, pa.struct(list(schema)))
    names = [field.name for field in schema]

    def write(row: tuple[Any, ...]) -> bytes:
        parsed = made()
        fill(parsed, dict(zip(names, row)))
        result: bytes = parsed.SerializeToString(deterministic=True)
        return result

    return write


def _filler(message: Any, type_: Any) -> Put:
    exact = {field.name: field for field in type_}
    upper = {field.name.upper(): field for field in type_}

    def column(name: str) -> Any:
        return exact.get(name) or upper.get(name.upper())

    steps: list[tuple[str, Put]] = []
    for index, oneof in real_oneofs(message):
        source = column(f"{oneof.name}_{index}")
        if source is not None:
            steps.append((source.name, _oneof_writer(oneof, source.type)))
    for field in message.fields:
        source = column(field.name) if real_oneof_of(field) is None else None
        if source is not None:
            steps.append((source.name, _field_writer(field, source.type)))

    def fill(parsed: Any, row: dict[str, Any]) -> None:
        for name, put in steps:
            value = row[name]
            if value is not None:
                put(parsed, value)

    return fill


def _oneof_writer(oneof: Any, type_: pa.DataType) -> Put:
    if not pa.types.is_struct(type_):
        raise StatementError(f"the protobuf schema has a oneof where the column has {type_}")
    by_name = {field.name.upper(): field for field in type_}
    puts = []
    for field in oneof.fields:
        source = by_name.get(field.name.upper())
        if source is not None:
            puts.append((source.name, _field_writer(field, source.type)))

    def put(parsed: Any, row: dict[str, Any]) -> None:
        for name, write in puts:
            if row[name] is not None:
                write(parsed, row[name])

    return put


def _field_writer(field: Any, type_: pa.DataType) -> Put:
    name = field.name
    if is_map(field):
        if not pa.types.is_map(type_):
            raise StatementError(f"protobuf field {field.full_name} is a map where the column has {type_}")
        return _map_writer(name, field.message_type.fields_by_name["value"], type_.item_type)
    if field.is_repeated:
        if not pa.types.is_list(type_):
            raise StatementError(f"protobuf field {field.full_name} is repeated where the column has {type_}")
        if field.message_type is None:
            convert = _scalar_writer(field, type_.value_type)
            default = _default_of(type_.value_type)
            return lambda parsed, values: getattr(parsed, name).extend(default if v is None else convert(v) for v in values)
        fill = _message_filler(field, type_.value_type)

        def put_items(parsed: Any, values: Any) -> None:
            for value in values:
                item = getattr(parsed, name).add()
                if value is not None:
                    fill(item, value)

        return put_items
    if field.message_type is None:
        convert = _scalar_writer(field, type_)
        return lambda parsed, value: setattr(parsed, name, convert(value))
    fill = _message_filler(field, type_)

    def put_message(parsed: Any, value: Any) -> None:
        inner = getattr(parsed, name)
        inner.SetInParent()
        fill(inner, value)

    return put_message


def _map_writer(name: str, value_field: Any, type_: pa.DataType) -> Put:
    if value_field.message_type is None:
        convert = _scalar_writer(value_field, type_)
        default = _default_of(type_)

        def put_scalars(parsed: Any, entries: dict[Any, Any]) -> None:
            target = getattr(parsed, name)
            for key, value in entries.items():
                target[key] = default if value is None else convert(value)

        return put_scalars
    fill = _message_filler(value_field, type_)

    def put_messages(parsed: Any, entries: dict[Any, Any]) -> None:
        target = getattr(parsed, name)
        for key, value in entries.items():
            inner = target[key]  # Reading an entry makes it.
            if value is not None:
                fill(inner, value)

    return put_messages


def _default_of(type_: pa.DataType) -> Any:
    """What stands for null inside an ARRAY or MAP, where protobuf has no absence."""
    return {pa.bool_(): False, pa.float64(): 0.0, pa.string(): "", pa.binary(): b""}.get(type_, 0)


def _scalar_writer(field: Any, type_: pa.DataType) -> Get:
    if pa.types.is_nested(type_) or pa.types.is_decimal(type_):
        raise StatementError(f"protobuf field {field.full_name} is a scalar where the column has {type_}")
    if field.enum_type is not None:
        numbers: dict[str, int] = {value.name: value.number for value in field.enum_type.values}

        def number(name: str) -> int:
            if name not in numbers:
                raise ValueError(f"{name!r} is not one of the values of {field.enum_type.full_name}")
            return numbers[name]

        return number
    if field.type in _UINT64_TYPES:
        return _unsigned
    return _same


def _unsigned(value: int) -> int:
    if value < 0:
        raise ValueError(f"{value} does not fit a field without sign")
    return value


def _message_filler(field: Any, type_: pa.DataType) -> Put:
    full = field.message_type.full_name
    if full in WRAPPERS:

        def fill_wrapper(wrapper: Any, value: Any) -> None:
            wrapper.value = value

        return fill_wrapper
    if full == DECIMAL_MESSAGE and pa.types.is_decimal(type_):
        precision, scale = type_.precision, type_.scale

        def fill_decimal(target: Any, value: Decimal) -> None:
            target.value = unscaled_bytes(value, scale)
            target.precision = precision
            target.scale = scale

        return fill_decimal
    if full in LOGICAL:
        return {"Date": _fill_date, "TimeOfDay": _fill_time, "Timestamp": _fill_timestamp}[field.message_type.name]
    if not pa.types.is_struct(type_):
        raise StatementError(f"protobuf field {field.full_name} is a message where the column has {type_}")
    return _filler(field.message_type, type_)


def _fill_date(target: Any, days: int) -> None:
    try:
        date = datetime.date.fromordinal(days + _EPOCH_ORDINAL)
    except (ValueError, OverflowError):
        raise ValueError(f"google.type.Date holds years 1 to 9999, not day {days}") from None
    target.year, target.month, target.day = date.year, date.month, date.day


def _fill_time(target: Any, ms: int) -> None:
    target.hours, target.minutes = ms // HOUR_MS, ms // MINUTE_MS % 60
    target.seconds, target.nanos = ms // 1000 % 60, ms % 1000 * 1_000_000


def _fill_timestamp(target: Any, ms: int) -> None:
    target.seconds, target.nanos = ms // 1000, ms % 1000 * 1_000_000
