"""Texts of SQL values inside CSV fields and JSON strings: the rules that both formats share."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from .java_texts import INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, fit_decimal, parse_decimal, parse_double, shown
from .java_texts import parse_integer as parse_integer
from .time_units import DAY_MS


def parse_base64(text: str) -> bytes:
    """The bytes of standard base64.  The padding may be missing; blanks inside are refused.

    Raises:
        ValueError: any other text.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"not base64: {shown(text)}") from None


def format_base64(value: bytes) -> str:
    """Standard base64, padded."""
    return base64.b64encode(value).decode("ascii")


def check_time(ms: int) -> int:
    """The value itself, a TIME in milliseconds.

    Raises:
        ValueError: it is not within a day.
    """
    if not 0 <= ms < DAY_MS:
        raise ValueError(f"a TIME is from 0 to {DAY_MS - 1} ms, not {ms}")
    return ms


def check_date(days: int) -> int:
    """The value itself, a DATE in days.

    Raises:
        ValueError: it does not fit an int32.
    """
    if not INT32_MIN <= days <= INT32_MAX:
        raise ValueError(f"a DATE of {days} days is out of range")
    return days


def parse_boolean(text: str) -> bool:
    """True for ``true`` in any case, else false (`Boolean.parseBoolean`)."""
    return text.lower() == "true"


def text_parser(type_: pa.DataType) -> Callable[[str], Any]:
    """A function from text to a value of a primitive type or DECIMAL; the function raises `ValueError`."""
    if pa.types.is_decimal(type_):
        precision, scale = type_.precision, type_.scale
        return lambda text: fit_decimal(parse_decimal(text), precision, scale)
    parsers: dict[Any, Callable[[str], Any]] = {
        pa.bool_(): parse_boolean,
        pa.int32(): parse_integer,
        pa.int64(): lambda text: parse_integer(text, INT64_MIN, INT64_MAX),
        pa.float64(): parse_double,
        pa.string(): lambda text: text,
        pa.binary(): parse_base64,
        pa.date32(): lambda text: check_date(parse_integer(text, INT64_MIN, INT64_MAX)),
        pa.time32("ms"): lambda text: check_time(parse_integer(text, INT64_MIN, INT64_MAX)),
        pa.timestamp("ms"): lambda text: parse_integer(text, INT64_MIN, INT64_MAX),
    }
    return parsers[type_]
