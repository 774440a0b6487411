"""Converts a value that a program looks a row up by to the value that the key column stores."""

from __future__ import annotations

import uuid

import pyarrow as pa

from ..types import BIGINT, BOOLEAN, DOUBLE, INTEGER, STRING, Decimal, SqlType, to_arrow
from .values import Unfit, plain, stored

_AS_IT_IS: dict[SqlType, type] = {INTEGER: int, BIGINT: int, DOUBLE: float, STRING: str, BOOLEAN: bool}


def kept_as_it_is(type_: SqlType) -> type | None:
    """The Python type whose values a column of this type stores unchanged; None if there is none."""
    return _AS_IT_IS.get(type_)


def key_value(value: object, type_: SqlType) -> object:
    """The value that a key column stores for a value; None if no key can have it.

    The conversions are those of `values`, but only between values of one kind: a text is not a number, and a number not a
    text.
    """
    if type(value) is kept_as_it_is(type_):
        return value
    try:
        value = plain(value)
        if isinstance(value, str) and (type_ in (INTEGER, BIGINT, DOUBLE, BOOLEAN) or isinstance(type_, Decimal)):
            return None
        if type_ == STRING and not isinstance(value, str | uuid.UUID):
            return None
        return pa.array([stored(value, type_)], to_arrow(type_))[0].as_py()
    except (Unfit, pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError):
        return None
