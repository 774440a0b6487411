"""SQL values and the texts that stand for them in CSV and inside JSON strings: the rules both formats share."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from .java_texts import INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, fit_decimal, parse_decimal, parse_double, shown
from .java_texts import parse_integer as parse_integer

DAY_MS = 86_400_000
"""Milliseconds of a day: a TIME is below."""


def parse_base64(text: str) -> bytes:
    """The bytes of standard base64; the padding may be left out, blanks may not stand inside.

    Raises:
        ValueError: for any other text.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"not base64: {shown(text)}") from None


def format_base64(value: bytes) -> str:
    """Standard base64, padded."""
    return base64.b64encode(value).decode("ascii")


def check_time(ms: int) -> int:
    """A TIME's milliseconds.

    Raises:
        ValueError: unless within a day.
    """
    if not 0 <= ms < DAY_MS:
        raise ValueError(f"a TIME is from 0 to {DAY_MS - 1} ms, not {ms}")
    return ms


def check_date(days: int) -> int:
    """A DATE's days, as many as an int32 holds.

    Raises:
        ValueError: otherwise.
    """
    if not INT32_MIN <= days <= INT32_MAX:
        raise ValueError(f"a DATE of {days} days is out of range")
    return days


def parse_boolean(text: str) -> bool:
    """True for ``true`` in any case, else false (`Boolean.parseBoolean`)."""
    return text.lower() == "true"


def text_parser(type_: Any) -> Callable[[str], Any]:
    """What turns a text into a value of rows of a primitive type or DECIMAL; it raises `ValueError`."""
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
