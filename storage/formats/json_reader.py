"""What a JSON value means as a value of a SQL type: the rule of JSON, record by record.

====================  ==============================================================================================
BOOLEAN               ``true`` and ``false`` only
INTEGER, BIGINT       a number in the type's range, its fraction dropped, or the text of an integer
DOUBLE                a number, or the text of one
DECIMAL(p, s)         a number or the text of one that fits without rounding
STRING                anything: numbers and booleans as text, objects and arrays as JSON text
BYTES                 base64 text
DATE TIME TIMESTAMP   days, ms of the day, ms as BIGINT
ARRAY, MAP            an array; an object, whose keys are texts of the key type
STRUCT                an object; a field is found by its exact name, else by its name in upper case (the last one counts);
                      unknown ones are ignored, missing ones are null
====================  ==============================================================================================

``null`` is null in every type.  Numbers are read exactly, never by way of a double.  A byte order mark before the document
is passed over; anything after it makes the record malformed (ksqlDB drops what follows the document unseen).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

import pyarrow as pa

from ..values.java_texts import fit_decimal, fit_integer, parse_decimal, parse_double, parse_integer
from ..values.texts import check_date, check_time, parse_base64, text_parser
from ..values.type_names import type_name

Reader = Callable[[Any], Any]
"""A function that takes a parsed JSON value, never null, and raises `ValueError`."""

_HALF_A_PAIR = re.compile("[\ud800-\udfff]")

_INTEGER_DIGITS_MAX = 4_000
"""Python refuses to parse longer integers by default; they are kept as decimals."""


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < _INTEGER_DIGITS_MAX else Decimal(text)


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=_integer, parse_constant=_refuse_constant)


def parse_json(blob: bytes) -> Any:
    """Parse a document.  Fractions become `Decimal` with all their digits.  A document of blanks only is None.

    Raises:
        ValueError: it is not UTF-8 or not JSON.
    """
    try:
        text = blob.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    text = text.removeprefix("\ufeff")
    if not text.strip(" \t\r\n"):
        return None
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None


def json_text(value: Any) -> str:
    """The compact JSON text of a parsed value, with all digits."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def kind_of(value: Any) -> str:
    """What kind of value a parsed value is, for messages."""
    if isinstance(value, bool):
        return "a boolean"
    kinds = {dict: "an object", list: "an array", str: "a text", int: "a number", Decimal: "a number"}
    return kinds.get(type(value), "null")


def _mismatch(value: Any, type_: pa.DataType) -> NoReturn:
    raise ValueError(f"{kind_of(value)} is not a valid {type_name(type_)}")


def reader(type_: pa.DataType) -> Reader:
    """A function that reads parsed JSON values as values of an Arrow type."""
    if pa.types.is_decimal(type_):
        return _decimal_reader(type_)
    if pa.types.is_map(type_):
        return _map_reader(type_)
    if pa.types.is_list(type_):
        return _array_reader(type_)
    if pa.types.is_struct(type_):
        return struct_reader(type_)
    readers: dict[Any, Reader] = {
        pa.bool_(): _boolean,
        pa.int32(): _integer_reader(32, type_),
        pa.int64(): _integer_reader(64, type_),
        pa.float64(): _double,
        pa.string(): _string,
        pa.binary(): _bytes,
        pa.date32(): _checked(_integer_reader(64, type_), check_date),
        pa.time32("ms"): _checked(_integer_reader(64, type_), check_time),
        pa.timestamp("ms"): _integer_reader(64, type_),
    }
    return readers[type_]


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return value
    _mismatch(value, pa.bool_())


def _integer_reader(bits: int, type_: pa.DataType) -> Reader:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def read(value: Any) -> int:
        if isinstance(value, Decimal):
            if value.adjusted() > _INTEGER_DIGITS_MAX:
                raise ValueError("the number is too large")
            value = int(value)
        if type(value) is int:
            return fit_integer(value, bits)
        if isinstance(value, str):
            return parse_integer(value, low, high)
        _mismatch(value, type_)

    return read


def _checked(read: Reader, check: Callable[[int], int]) -> Reader:
    return lambda value: check(read(value))


def _double(value: Any) -> float:
    if type(value) is int or isinstance(value, Decimal):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, str):
        return parse_double(value)
    _mismatch(value, pa.float64())


def _decimal_reader(type_: Any) -> Reader:
    precision, scale = type_.precision, type_.scale

    def read(value: Any) -> Decimal:
        if type(value) is int or isinstance(value, Decimal):
            return fit_decimal(value, precision, scale)
        if isinstance(value, str):
            return fit_decimal(parse_decimal(value), precision, scale)
        _mismatch(value, type_)

    return read


def _string(value: Any) -> str:
    text = value if isinstance(value, str) else json_text(value)
    if not text.isascii() and _HALF_A_PAIR.search(text):
        raise ValueError("the text has half of a surrogate pair, which is not a character")
    return text


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return parse_base64(value)
    _mismatch(value, pa.binary())


def _array_reader(type_: Any) -> Reader:
    item = reader(type_.value_type)

    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            _mismatch(value, type_)
        return [None if x is None else item(x) for x in value]

    return read


def _map_reader(type_: Any) -> Reader:
    key, item = text_parser(type_.key_type), reader(type_.item_type)

    def read(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            _mismatch(value, type_)
        return {key(k): None if x is None else item(x) for k, x in value.items()}

    return read


def struct_reader(fields: Any) -> Callable[[Any], dict[str, Any]]:
    """A function that reads a JSON object as all fields of a struct type or schema, in order."""
    readers = [(field.name, reader(field.type)) for field in fields]

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"{kind_of(value)} where an object should be")
        upper: dict[str, Any] | None = None
        row: dict[str, Any] = {}
        for name, convert in readers:
            if name in value:
                found = value[name]
            else:
                if upper is None:
                    upper = {k.upper(): v for k, v in value.items()}
                found = upper.get(name)
            if found is not None:
                try:
                    found = convert(found)
                except ValueError as error:
                    raise ValueError(f"`{name}`: {error}") from None
            row[name] = found
        return row

    return read
