"""Reads numbers from text as Java's `Integer.parseInt`, `Double.parseDouble` and `new BigDecimal(String)` do.

`java_doubles` writes doubles.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache

__all__ = [
    "INT32_MAX",
    "INT32_MIN",
    "INT64_MAX",
    "INT64_MIN",
    "fit_decimal",
    "format_decimal",
    "parse_decimal",
    "parse_double",
    "parse_integer",
    "fit_integer",
]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,10})?", re.ASCII)
_DOUBLE = re.compile(r"([+-]?)(?:(NaN|Infinity)|((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fFdD]?)", re.ASCII)
_HEX_DOUBLE = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?\d+[fFdD]?", re.ASCII)
_BLANKS = "".join(map(chr, range(0x21)))
"""What `String.trim` removes: everything up to the space."""


def format_decimal(value: Decimal) -> str:
    """A decimal without exponent, with all digits of its scale.

    >>> format_decimal(Decimal("1E-7")), format_decimal(Decimal("10.00"))
    ('0.0000001', '10.00')
    """
    return format(value, "f")


def parse_integer(text: str, minimum: int = INT32_MIN, maximum: int = INT32_MAX) -> int:
    """The integer that a text means: digits with an optional sign, no blanks.

    Raises:
        ValueError: any other text, or a value out of range.
    """
    if len(text) > 64 or not _INTEGER.fullmatch(text):
        raise ValueError(f"not an integer: {shown(text)}")
    value = int(text)
    if not minimum <= value <= maximum:
        raise ValueError(f"integer out of range: {shown(text)}")
    return value


def parse_double(text: str) -> float:
    """The double that a text means.  Blanks around it, ``NaN``, ``Infinity``, hexadecimal forms and a suffix d or f are
    allowed.

    Raises:
        ValueError: any other text.
    """
    trimmed = text.strip(_BLANKS)
    match = _DOUBLE.fullmatch(trimmed)
    if match is None:
        if _HEX_DOUBLE.fullmatch(trimmed):
            return float.fromhex(trimmed.rstrip("fFdD") if trimmed[-1] in "fFdD" else trimmed)
        raise ValueError(f"not a number: {shown(text)}")
    sign, special, digits = match.groups()
    return float(sign + (special or digits))


def parse_decimal(text: str) -> Decimal:
    """The exact decimal that a text means; no blanks, no NaN.

    Raises:
        ValueError: any other text.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"not a number: {shown(text)}")
    return Decimal(text)


@lru_cache(maxsize=256)
def _fitting(precision: int, scale: int) -> tuple[Decimal, Context]:
    return Decimal(1).scaleb(-scale), Context(prec=precision, traps=[Inexact, InvalidOperation])


def fit_decimal(value: Decimal | int, precision: int, scale: int) -> Decimal:
    """The value with exactly ``scale`` digits after the point.

    Raises:
        ValueError: it needs more than ``precision`` digits, or would have to be rounded.
    """
    quantum, context = _fitting(precision, scale)
    try:
        return Decimal(value).quantize(quantum, context=context)
    except Inexact:
        raise ValueError(f"{shown(str(value))} has more than {scale} digits after the point") from None
    except InvalidOperation:
        raise ValueError(f"{shown(str(value))} does not fit DECIMAL({precision}, {scale})") from None


def fit_integer(value: int, bits: int) -> int:
    """The value itself, if a signed integer of ``bits`` bits can hold it.

    Raises:
        ValueError: it cannot.
    """
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise ValueError(f"{shown(str(value))} does not fit {bits} bits")
    return value


def shown(text: str, length: int = 40) -> str:
    """A text as errors show it: quoted, and cut if it is long."""
    return repr(text if len(text) <= length else text[: length - 3] + "...")
