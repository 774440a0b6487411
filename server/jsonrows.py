"""Converts rows from JSON objects (the values of `/inserts-stream`) to the form of `Database.insert`.

A value must fit its column: a JSON number for numbers, a string for STRING, a string in base64 for BYTES, a string in
ISO 8601 for times.  Column names are compared without regard to case, unless they are in back-quotes.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal as PythonDecimal
from decimal import InvalidOperation
from typing import Any

import msgspec

from ..engine import types as t
from ..engine.catalog import DataSource
from ..errors import StatementError

_INT32, _INT64 = 2**31, 2**63


class RowReader:
    """Reads rows of one source."""

    def __init__(self, source: DataSource) -> None:
        self._source = source
        self._columns = {c.name: c.type for c in source.schema if c.role in ("KEY", "VALUE")}
        exact = any(_has_decimal(type_) for type_ in self._columns.values())
        self._decoder = msgspec.json.Decoder(float_hook=PythonDecimal) if exact else msgspec.json.Decoder()
        self._names: dict[str, tuple[str, Callable[[Any], Any]]] = {}

    def read(self, line: bytes) -> dict[str, Any]:
        """Convert a line with one row.  Raises: StatementError, which says which value does not fit."""
        try:
            found = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation) as error:
            raise StatementError(f"the row is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise StatementError("a row is a JSON object")
        row: dict[str, Any] = {}
        names = self._names
        for given, value in found.items():
            known = names.get(given) or self._name(given)
            name = known[0]
            if name in row:
                raise StatementError(f"the column {name} is given twice in a row")
            if value is None:
                row[name] = None
                continue
            try:
                row[name] = known[1](value)
            except (ValueError, TypeError, InvalidOperation, binascii.Error, KeyError) as error:
                type_ = self._columns.get(name, "a time in ms")
                raise StatementError(f"a value for the column {name} does not fit {type_}: {error}") from error
        return row

    def read_all(self, lines: Sequence[bytes]) -> tuple[list[dict[str, Any]], StatementError | None]:
        """Convert the rows before the first bad one; returns them and the error of the bad row, if there is one."""
        rows: list[dict[str, Any]] = []
        for line in lines:
            try:
                rows.append(self.read(line))
            except StatementError as error:
                return rows, error
        return rows, None

    def _name(self, given: str) -> tuple[str, Callable[[Any], Any]]:
        if len(given) > 1 and given[0] == given[-1] == "`":
            candidates = [given[1:-1].replace("``", "`")]
        else:
            candidates = [given.upper(), given, *(c for c in self._columns if c.upper() == given.upper())]
        for name in candidates:
            if name in self._columns:
                self._names[given] = name, _reader(self._columns[name])
                return self._names[given]
            if name == "ROWTIME":
                self._names[given] = name, _whole(_INT64)
                return self._names[given]
        raise StatementError(f"{self._source.name} has no column {given}", suggestion=f"It has {', '.join(self._columns)}.")


def _has_decimal(type_: t.SqlType) -> bool:
    match type_:
        case t.Decimal():
            return True
        case t.Array(item) | t.Map(_, item):
            return _has_decimal(item)
        case t.Struct(fields):
            return any(_has_decimal(field) for _, field in fields)
    return False


def _reader(type_: t.SqlType) -> Callable[[Any], Any]:
    """Make the function that converts JSON values to Python values of an SQL type.

    The function raises ValueError for a value that does not fit.
    """
    match type_:
        case t.BOOLEAN:
            return _of(bool)
        case t.INTEGER:
            return _whole(_INT32)
        case t.BIGINT:
            return _whole(_INT64)
        case t.DOUBLE:
            return _double
        case t.STRING:
            return _of(str)
        case t.BYTES:
            return lambda value: base64.b64decode(_text(value), validate=True)
        case t.DATE:
            return lambda value: datetime.date.fromisoformat(_text(value))
        case t.TIME:
            return lambda value: datetime.time.fromisoformat(_text(value))
        case t.TIMESTAMP:
            return _timestamp
        case t.Decimal(precision, scale):
            return lambda value: _decimal(value, precision, scale)
        case t.Array(item):
            of_item = _nullable(item)
            return lambda value: [of_item(v) for v in _container(value, list)]
        case t.Map(key, item):
            of_key, of_value = _key(key), _nullable(item)
            return lambda value: {of_key(k): of_value(v) for k, v in _container(value, dict).items()}
        case t.Struct(fields):
            return _struct(fields)
    raise StatementError(f"rows with {type_} cannot be inserted as JSON")


def _nullable(type_: t.SqlType) -> Callable[[Any], Any]:
    reader = _reader(type_)
    return lambda value: None if value is None else reader(value)


def _key(type_: t.SqlType) -> Callable[[str], Any]:
    """Make the function that converts a member's name, a string in JSON, to a map's key of an SQL type."""
    if type_ == t.STRING:
        return lambda key: key
    reader = _reader(type_)
    if type_ in (t.INTEGER, t.BIGINT):
        return lambda key: reader(int(key))
    if type_ == t.DOUBLE:
        return lambda key: reader(float(key))
    if type_ == t.BOOLEAN:
        return lambda key: {"true": True, "false": False}[key.lower()]
    return reader


def _struct(fields: tuple[tuple[str, t.SqlType], ...]) -> Callable[[Any], Any]:
    readers = {name: _nullable(type_) for name, type_ in fields}
    folded = {name.upper(): name for name in readers}

    def read(value: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for given, item in _container(value, dict).items():
            name = given if given in readers else folded.get(given.strip("`").upper())
            if name is None:
                raise ValueError(f"there is no field {given}")
            found[name] = readers[name](item)
        return found

    return read


def _of(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{_shown(value)} is a {_kind(value)}")
        return value

    return read


def _whole(bound: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int:
            raise ValueError(f"{_shown(value)} is a {_kind(value)}, not a whole number")
        if not -bound <= value < bound:
            raise ValueError(f"{value} is out of its range")
        return value

    return read


def _double(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) in (int, PythonDecimal):
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    raise ValueError(f"{_shown(value)} is a {_kind(value)}")


def _decimal(value: Any, precision: int, scale: int) -> PythonDecimal:
    if type(value) is bool or not isinstance(value, int | float | str | PythonDecimal):
        raise ValueError(f"{_shown(value)} is a {_kind(value)}")
    number = PythonDecimal(str(value)) if not isinstance(value, PythonDecimal) else value
    if not number.is_finite():
        raise ValueError(f"{value} is not a number")
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if -exponent > scale and any(digits[exponent + scale :] if exponent + scale else ()):
        raise ValueError(f"{value} has more than {scale} digits behind the point")
    if number and number.adjusted() >= precision - scale:
        raise ValueError(f"{value} has more than {precision - scale} digits before the point")
    return number


def _timestamp(value: Any) -> Any:
    if type(value) is int:
        return value
    moment = datetime.datetime.fromisoformat(_text(value))
    return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{_shown(value)} is a {_kind(value)}, not a text")
    return value


def _container(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{_shown(value)} is a {_kind(value)}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)


_KINDS: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    PythonDecimal: "number",
    str: "text",
    list: "list",
    dict: "object",
}


__all__ = ["RowReader"]
