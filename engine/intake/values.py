"""The table of conversions from a Python value to the value that a column of an SQL type stores.

It holds for every kind of container (dicts, frames, Arrow, ..).  `arrow.py` applies the same table to whole columns.  A
value is refused if the conversion would lose something.  There is one exception: times are always truncated to milliseconds,
since no SQL type holds more.

=========================  ===========================================================================================
SQL type                   takes
=========================  ===========================================================================================
any                        None, NaT, pandas.NA: NULL.  NaN for anything but DOUBLE: NULL, as pandas writes it
BOOLEAN                    bool; the text true or false
INTEGER, BIGINT            int, float and Decimal without a fraction, a text of digits; within the range
DOUBLE                     float; int and Decimal that a float shows unchanged; the text of such a number
DECIMAL(p, s)              int, Decimal, float by its shortest text, the text of a number; within the digits
STRING                     str, UUID; a number, a boolean or a time as CAST to STRING writes it
BYTES                      bytes and what has a buffer of bytes, UUID
DATE                       date, a datetime at midnight, an ISO text, days since 1970 as int
TIME                       time, an ISO text, milliseconds of the day as int
TIMESTAMP                  datetime (without a zone: UTC), date (its midnight), an ISO text, milliseconds since 1970 as int
ARRAY, MAP, STRUCT         list, tuple or NumPy array; a mapping or pairs; a mapping, or an object with named fields
=========================  ===========================================================================================

NumPy's and Arrow's scalars count as the Python values they stand for, a member of an Enum as its value.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import re
import reprlib
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ...storage.values.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from ..expressions.casts import text_of
from ..expressions.temporal_text import parse_date, parse_time, parse_timestamp
from ..types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INTEGER,
    STRING,
    TIME,
    TIMESTAMP,
    Array,
    Decimal,
    Map,
    SqlType,
    Struct,
)

_INTEGER_BITS: dict[SqlType, int] = {INTEGER: 32, BIGINT: 64}
_INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,80}", re.ASCII)
_NUMBER_TEXT = re.compile(r"[+-]?([0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?", re.ASCII)
_SPACED = re.compile(r"(\d) (\d)", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_DAY = _EPOCH.toordinal()
_MILLISECOND = datetime.timedelta(milliseconds=1)
_EXACT = decimal.Context(prec=2000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


class Unfit(ValueError):
    """A value does not fit its column.  The error has the reason, and what to write instead."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.hint = hint


def stored(value: Any, type_: SqlType) -> Any:
    """The value that a column of a type stores, in the form that `pyarrow.array` takes.  Dates and times are numbers.

    Raises:
        Unfit: the value would lose something, or is of another kind.
    """
    value = plain(value)
    if value is None or (type_ != DOUBLE and isinstance(value, float) and value != value):
        return None
    match type_:
        case Array(item):
            return [stored(v, item) for v in _items(value)]
        case Map(key, item):
            return _entries(value, key, item)
        case Struct():
            return _fields(value, type_)
        case Decimal():
            return _decimal(value, type_)
    return _TABLE[type_](value)


def shown(value: Any) -> str:
    """A value for an error message: short, however long or deep it is.

    >>> shown("x" * 100)[:12]
    "'xxxxxxxxxxx"
    """
    try:
        return _BRIEF.repr(value)
    except Exception:  # an error in the value's __repr__ must not hide the real error
        return f"a {type(value).__name__}"


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 60
_BRIEF.maxlevel = 3


# --- what a value means ----------------------------------------------------------------


def plain(value: Any) -> Any:
    """The Python value of a NumPy or Arrow scalar, a member of an Enum or a mark for "missing".

    Times are unchanged: `datetime.datetime` (and pandas' subclass of it) and `numpy.datetime64`.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else value
    if isinstance(value, np.void) and value.dtype.names:
        return {name: value[name] for name in value.dtype.names}
    if isinstance(value, np.generic):
        return float(value) if value.dtype == np.longdouble else value.item()
    if isinstance(value, pa.Scalar):
        return _arrow_scalar(value)
    module = kind.__module__
    if module.startswith("pandas.") and kind.__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, np.ndarray) and value.ndim == 0:
        item = value[()]
        return None if item is np.ma.masked else plain(item)
    return value


_PLAIN = frozenset({type(None), bool, int, float, str, bytes, decimal.Decimal, list, dict, tuple, datetime.datetime})


def _arrow_scalar(value: Any) -> Any:
    if not value.is_valid:
        return None
    if pa.types.is_timestamp(value.type):
        return np.datetime64(value.value, value.type.unit)
    if pa.types.is_date64(value.type) and value.value % DAY_MS:
        raise Unfit("it is damaged: it has a time of day")
    if pa.types.is_time(value.type):
        return _TICKS[value.type.unit](value.value)
    try:
        return plain(value.as_py())
    except (ValueError, OverflowError) as error:
        raise Unfit(str(error)) from error


def _time_of(milliseconds: int) -> Any:
    return (datetime.datetime.min + datetime.timedelta(milliseconds=milliseconds)).time()


_TICKS: dict[str, Callable[[int], Any]] = {
    "s": lambda ticks: _time_of(ticks * 1000),
    "ms": _time_of,
    "us": lambda ticks: _time_of(ticks // 1000),
    "ns": lambda ticks: _time_of(ticks // 1_000_000),
}


def fields_of(value: Any) -> Mapping[Any, Any] | None:
    """The named fields of a row; None if the value has none.

    A row may be a mapping, a dataclass, a named tuple, an object of pydantic, attrs or msgspec, a row of a structured array,
    or a row of a database with ``keys()``, such as sqlite3's.
    """
    if isinstance(value, Mapping):
        return value
    kind = type(value)
    if isinstance(value, type):
        return None
    if isinstance(value, tuple):
        names = getattr(kind, "_fields", None)
        return None if names is None else dict(zip(names, value, strict=True))
    if dataclasses.is_dataclass(value):  # class variables are not fields
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if hasattr(value, field.name)}
    if isinstance(value, np.void):
        return None if value.dtype.names is None else {name: value[name] for name in value.dtype.names}
    if isinstance(value, types.SimpleNamespace):
        return vars(value)
    for mark in ("__pydantic_fields__", "__struct_fields__"):
        names = getattr(kind, mark, None)
        if names is not None:
            found = {name: getattr(value, name) for name in names if hasattr(value, name)}
            extra = getattr(value, "__pydantic_extra__", None) if mark == "__pydantic_fields__" else None
            return {**found, **extra} if extra else found
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return {attribute.name: getattr(value, attribute.name) for attribute in attributes}
    if kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "Series":
        names = list(value.index)
        return dict(zip(names, value, strict=True)) if all(isinstance(name, str) for name in names) else None
    if kind.__module__.partition(".")[0] not in ("pandas", "polars", "pyarrow", "numpy") and callable(
        getattr(kind, "keys", None)
    ):
        names = list(value.keys())
        return {name: value[name] for name in names} if hasattr(kind, "__getitem__") else None
    return None


# --- primitive types ------------------------------------------------------------------------


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _of_another_kind(value, "True or False")


def _integer(type_: SqlType) -> Callable[[Any], int]:
    bits = _INTEGER_BITS[type_]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def convert(value: Any) -> int:
        if isinstance(value, bool):
            raise _of_another_kind(value, "a whole number", "Write int(value).")
        if isinstance(value, int):
            number = int(value)
        elif isinstance(value, (float, decimal.Decimal)):
            number = _whole(value)
        elif isinstance(value, str):
            text = value.strip()
            if _INTEGER_TEXT.fullmatch(text) is None:
                raise Unfit("it is not the text of a whole number")
            number = int(text)
        else:
            raise _of_another_kind(value, "a whole number")
        if not low <= number <= high:
            raise Unfit(f"it is outside of {low} .. {high}")
        return number

    return convert


def _whole(value: float | decimal.Decimal) -> int:
    finite = value.is_finite() if isinstance(value, decimal.Decimal) else value - value == 0
    if not finite:
        raise Unfit("it is not finite")
    if isinstance(value, decimal.Decimal) and value.adjusted() > 80:
        raise Unfit("it is too large")
    number = int(value)
    if number != value:
        raise Unfit("it has a fraction", "Round it first.")
    return number


def _double(value: Any) -> float:
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, decimal.Decimal, str)):
        raise _of_another_kind(value, "a number")
    if isinstance(value, int):
        try:
            real = float(value)
        except OverflowError:
            raise Unfit("it is beyond the range") from None
        if int(real) != value:
            raise Unfit("a DOUBLE does not have so many digits", "Write float(value) to have it rounded.")
        return real
    number = _number(value) if isinstance(value, str) else value
    if not number.is_finite():
        raise Unfit("it is not finite")
    real = float(number)
    if real - real != 0:
        raise Unfit("it is beyond the range")
    if decimal.Decimal(repr(real)) != number:
        raise Unfit("a DOUBLE does not have so many digits", "Write float(value) to have it rounded.")
    return real


def _number(text: str) -> decimal.Decimal:
    trimmed = text.strip()
    if _NUMBER_TEXT.fullmatch(trimmed) is None:
        raise Unfit("it is not the text of a number")
    return decimal.Decimal(trimmed)


def _decimal(value: Any, type_: Decimal) -> decimal.Decimal:
    if isinstance(value, bool):
        raise _of_another_kind(value, "a number")
    if isinstance(value, int):
        if abs(value) >= 10**80:
            raise Unfit("it has too many digits")
        number = decimal.Decimal(value)
    elif isinstance(value, float):
        number = decimal.Decimal(repr(float(value)))
    elif isinstance(value, str):
        number = _number(value)
    elif isinstance(value, decimal.Decimal):
        number = value
    else:
        raise _of_another_kind(value, "a number")
    if not number.is_finite():
        raise Unfit("it is not finite")
    if number and number.adjusted() + 1 > type_.precision - type_.scale:
        raise Unfit("it has too many digits before the point")
    digits = _scaled(number, type_.scale)
    if digits is None:
        raise Unfit(f"it has more than {type_.scale} digits behind the point", "Round it first.")
    return digits


def _scaled(number: decimal.Decimal, scale: int) -> decimal.Decimal | None:
    """The number with exactly this number of decimal places; None if it has more."""
    if not number:
        return decimal.Decimal(0).scaleb(-scale)
    if number.adjusted() < -scale:
        return None
    scaled = number.quantize(decimal.Decimal(1).scaleb(-scale), context=_EXACT)
    return scaled if scaled == number else None


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = str(value)
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise Unfit("it has half of a surrogate pair, which is not a character")
        return text
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bool):
        return text_of(value, BOOLEAN)
    if isinstance(value, int):
        if value.bit_length() > 512:
            raise Unfit("it has too many digits")
        return str(int(value))
    if isinstance(value, float):
        return text_of(float(value), DOUBLE)
    if isinstance(value, decimal.Decimal) and value.is_finite() and abs(value.adjusted()) < 400:
        return format(value, "f")
    if isinstance(value, datetime.time):
        return text_of(_time(value), TIME)
    if isinstance(value, (datetime.datetime, np.datetime64)):
        return text_of(_timestamp(value), TIMESTAMP)
    if isinstance(value, datetime.date):
        return text_of(_date(value), DATE)
    hint = "Write value.decode()." if isinstance(value, (bytes, bytearray, memoryview)) else None
    raise _of_another_kind(value, "a text", hint)


def _bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, memoryview):
        return value.tobytes()
    if isinstance(value, uuid.UUID):
        return value.bytes
    raise _of_another_kind(value, "bytes", "Write value.encode()." if isinstance(value, str) else None)


# --- times ----------------------------------------------------------------------------------

_SECONDS = "A float may be seconds or milliseconds: give a datetime, or an int of milliseconds."


def _date(value: Any) -> int:
    if isinstance(value, (datetime.datetime, np.datetime64)):
        days, rest = divmod(_timestamp(value), DAY_MS)
        if rest:
            raise Unfit("it has a time of day", "Write value.date().")
        return days
    if isinstance(value, datetime.date):
        return value.toordinal() - _EPOCH_DAY
    if isinstance(value, str):
        return _read(parse_date, value)
    return _count(value, "a date", -(2**31), 2**31 - 1, "days since 1970")


def _time(value: Any) -> int:
    if isinstance(value, datetime.time):
        if value.tzinfo is not None:
            raise Unfit("a TIME has no time zone")
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000
    if isinstance(value, str):
        return _read(parse_time, value)
    return _count(value, "a time of day", 0, DAY_MS - 1, "milliseconds of the day")


def _timestamp(value: Any) -> int:
    if isinstance(value, datetime.datetime):
        in_nanoseconds = getattr(value, "asm8", None)  # a value of pandas has a unit and a range of its own
        if in_nanoseconds is not None:
            return _timestamp(in_nanoseconds)
        if value.tzinfo is not None:
            offset = value.utcoffset()
            value = value.replace(tzinfo=None)
            return int((value - _EPOCH - (offset or datetime.timedelta())) // _MILLISECOND)
        return int((value - _EPOCH) // _MILLISECOND)
    if isinstance(value, np.datetime64):
        return _ticks(value)
    if isinstance(value, datetime.date):
        return (value.toordinal() - _EPOCH_DAY) * DAY_MS
    if isinstance(value, str):
        return _read(parse_timestamp, _SPACED.sub(r"\1T\2", value.strip(), count=1))
    return _count(value, "a time", -(2**63), 2**63 - 1, "milliseconds since 1970")


_PER_UNIT = {"D": (DAY_MS, 1), "h": (HOUR_MS, 1), "m": (MINUTE_MS, 1), "s": (SECOND_MS, 1), "ms": (1, 1), "us": (1, 1000)}
_PER_UNIT |= {"ns": (1, 10**6), "ps": (1, 10**9), "fs": (1, 10**12), "as": (1, 10**15), "W": (7 * DAY_MS, 1)}


def _ticks(value: np.datetime64) -> int:
    unit, many = np.datetime_data(value.dtype)
    if unit not in _PER_UNIT:
        value, unit, many = value.astype("datetime64[D]"), "D", 1
    times, over = _PER_UNIT[unit]
    milliseconds = int(value.astype(np.int64)) * many * times // over
    if not -(2**63) <= milliseconds < 2**63:
        raise Unfit("it is beyond the range")
    return milliseconds


def _read(parse: Callable[[str], int], text: str) -> int:
    if len(text) > 100:
        raise Unfit("it is not the text of a time")
    try:
        return parse(text)
    except ValueError as error:
        raise Unfit(str(error)) from None


def _count(value: Any, what: str, low: int, high: int, unit: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if not low <= value <= high:
            raise Unfit(f"as {unit} it is outside of {low} .. {high}")
        return int(value)
    raise _of_another_kind(value, what, _SECONDS if isinstance(value, float) else None)


_TABLE: dict[SqlType, Callable[[Any], Any]] = {
    BOOLEAN: _boolean,
    INTEGER: _integer(INTEGER),
    BIGINT: _integer(BIGINT),
    DOUBLE: _double,
    STRING: _text,
    BYTES: _bytes,
    DATE: _date,
    TIME: _time,
    TIMESTAMP: _timestamp,
}


# --- types with parts -----------------------------------------------------------------------


def _items(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and getattr(type(value), "_fields", None) is None:
        return value
    if isinstance(value, (np.ndarray, pa.Array, pa.ChunkedArray)) or is_series(value):
        return value
    raise _of_another_kind(value, "a list")


def is_series(value: Any) -> bool:
    """Whether an object is a column of pandas or polars, including pandas' arrays."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if library == "pandas" and hasattr(value, "_from_sequence") and hasattr(value, "isna"):
        return True
    return library in ("pandas", "polars") and hasattr(value, "to_list")


def _entries(value: Any, key_type: SqlType, item_type: SqlType) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        pairs: Any = value.items()
    elif isinstance(value, (list, tuple)):
        pairs = value
    else:
        raise _of_another_kind(value, "a mapping")
    entries: dict[Any, Any] = {}
    for pair in pairs:
        if isinstance(pair, Mapping) and set(pair) == {"key", "value"}:
            key, item = pair["key"], pair["value"]
        elif isinstance(pair, (tuple, list)) and len(pair) == 2:
            key, item = pair
        else:
            raise _of_another_kind(value, "a mapping, or a list of pairs")
        found = stored(key, key_type)
        if found is None:
            raise Unfit("a key of a map cannot be NULL")
        if not _hashable(found):
            raise Unfit("a key of a map cannot be a list or a map")
        if found in entries:
            raise Unfit(f"the key {shown(key)} is given twice")
        entries[found] = stored(item, item_type)
    return list(entries.items())


def _hashable(value: Any) -> bool:
    return not isinstance(value, (list, dict))


def _fields(value: Any, type_: Struct) -> dict[str, Any]:
    given = fields_of(value)
    if given is None:
        raise _of_another_kind(value, "a mapping, or an object with named fields")
    names = dict(type_.fields)
    found: dict[str, Any] = {}
    for name, item in given.items():
        own = next((n for n in (name, name.upper()) if n in names), None) if isinstance(name, str) else None
        if own is None:
            raise Unfit(f"there is no field {shown(name)}", f"The fields are {', '.join(names)}.")
        if own in found:
            raise Unfit(f"the field {own} is given twice")
        found[own] = stored(item, names[own])
    return {name: found.get(name) for name in names}


def _of_another_kind(value: Any, wanted: str, hint: str | None = None) -> Unfit:
    name = type(value).__name__
    return Unfit(f"{'an' if name[:1] in 'aeioAEIO' else 'a'} {name} is not {wanted}", hint)
