"""SQL types, how they are written, and their Arrow types.

Runtime and storage do not know SQL types: they use the Arrow types instead.  `from_arrow(to_arrow(t)) == t`.

======================  =====================================================
SQL                     Arrow
======================  =====================================================
BOOLEAN                 bool
INTEGER                 int32
BIGINT                  int64
DOUBLE                  float64
DECIMAL(p, s)           decimal128(p, s), from 39 digits decimal256(p, s)
STRING                  string
BYTES                   binary
DATE TIME TIMESTAMP     date32, time32[ms], timestamp[ms] (no zone: UTC)
ARRAY<T>                list<T>
MAP<K, V>               map<K, V>
STRUCT<f T, ..>         struct<f: T, ..>
======================  =====================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pyarrow as pa

from ..errors import StatementError
from ..limits import DECIMAL_PRECISION_MAX


class Primitive(Enum):
    """The types without parameters.  The value is the name in schemas."""

    BOOLEAN = "BOOLEAN"
    INTEGER = "INTEGER"
    BIGINT = "BIGINT"
    DOUBLE = "DOUBLE"
    STRING = "STRING"
    BYTES = "BYTES"
    DATE = "DATE"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Decimal:
    """DECIMAL(precision, scale).

    Raises:
        StatementError: not 1 <= precision <= 76 and 0 <= scale <= precision.  (ksqlDB has no upper bound; Arrow does.)
    """

    precision: int
    scale: int

    def __post_init__(self) -> None:
        if self.precision < 1:
            raise StatementError(f"DECIMAL precision must be at least 1, not {self.precision}")
        if not 0 <= self.scale <= self.precision:
            raise StatementError(f"DECIMAL scale must be from 0 to the precision {self.precision}, not {self.scale}")
        if self.precision > DECIMAL_PRECISION_MAX:
            raise StatementError(
                f"DECIMAL precision {self.precision} is above the limit of {DECIMAL_PRECISION_MAX} digits",
                suggestion="CAST the operands to fewer digits first.",
            )

    def __str__(self) -> str:
        return f"DECIMAL({self.precision}, {self.scale})"


@dataclass(frozen=True, slots=True)
class Array:
    item: SqlType

    def __str__(self) -> str:
        return f"ARRAY<{self.item}>"


@dataclass(frozen=True, slots=True)
class Map:
    key: SqlType
    value: SqlType

    def __str__(self) -> str:
        return f"MAP<{self.key}, {self.value}>"


@dataclass(frozen=True, slots=True)
class Struct:
    fields: tuple[tuple[str, SqlType], ...]

    def field(self, name: str) -> SqlType | None:
        """The type of a field, by its exact name."""
        return next((t for n, t in self.fields if n == name), None)

    def __str__(self) -> str:
        return f"STRUCT<{', '.join(f'{quoted(n)} {t}' for n, t in self.fields)}>"


SqlType = Primitive | Decimal | Array | Map | Struct

BOOLEAN = Primitive.BOOLEAN
INTEGER = Primitive.INTEGER
BIGINT = Primitive.BIGINT
DOUBLE = Primitive.DOUBLE
STRING = Primitive.STRING
BYTES = Primitive.BYTES
DATE = Primitive.DATE
TIME = Primitive.TIME
TIMESTAMP = Primitive.TIMESTAMP

HEADERS_TYPE = Array(Struct((("KEY", STRING), ("VALUE", BYTES))))

_ARROW: dict[Primitive, pa.DataType] = {
    BOOLEAN: pa.bool_(),
    INTEGER: pa.int32(),
    BIGINT: pa.int64(),
    DOUBLE: pa.float64(),
    STRING: pa.string(),
    BYTES: pa.binary(),
    DATE: pa.date32(),
    TIME: pa.time32("ms"),
    TIMESTAMP: pa.timestamp("ms"),
}
_SQL = {arrow: sql for sql, arrow in _ARROW.items()}


def quoted(name: str) -> str:
    """A name in backticks, as schemas show it."""
    return "`" + name.replace("`", "``") + "`"


def to_arrow(type_: SqlType) -> Any:
    """The `pyarrow.DataType` of an SQL type."""
    match type_:
        case Primitive():
            return _ARROW[type_]
        case Decimal(precision, scale):
            return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        case Array(item):
            return pa.list_(to_arrow(item))
        case Map(key, value):
            return pa.map_(to_arrow(key), to_arrow(value))
        case Struct(fields):
            return pa.struct([pa.field(name, to_arrow(t)) for name, t in fields])


def from_arrow(type_: pa.DataType) -> SqlType:
    """The SQL type of a `pyarrow.DataType`.  Unsigned, small and large types become the nearest SQL type that holds their
    values.

    Raises:
        StatementError: no SQL type can hold the Arrow type.
    """
    if type_ in _SQL:
        return _SQL[type_]
    if pa.types.is_decimal(type_):
        return Decimal(type_.precision, type_.scale)
    if pa.types.is_map(type_):
        return Map(from_arrow(type_.key_type), from_arrow(type_.item_type))
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return Array(from_arrow(type_.value_type))
    if pa.types.is_struct(type_):
        return Struct(tuple((field.name, from_arrow(field.type)) for field in type_))
    if pa.types.is_dictionary(type_):
        return from_arrow(type_.value_type)
    if type_ in (pa.int8(), pa.int16(), pa.uint8(), pa.uint16()):
        return INTEGER
    if type_ == pa.uint32():
        return BIGINT
    if pa.types.is_floating(type_):
        return DOUBLE
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return STRING
    if pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_) or pa.types.is_fixed_size_binary(type_):
        return BYTES
    if pa.types.is_timestamp(type_):
        return TIMESTAMP
    if pa.types.is_time(type_):
        return TIME
    if pa.types.is_date(type_):
        return DATE
    raise StatementError(f"no SQL type holds the Arrow type {type_}")


def is_numeric(type_: SqlType) -> bool:
    """Whether a type is INTEGER, BIGINT, DOUBLE or DECIMAL."""
    return isinstance(type_, Decimal) or type_ in (INTEGER, BIGINT, DOUBLE)
