"""PEP 249's type objects and constructors."""

from __future__ import annotations

import datetime
import time


class TypeCode:
    """One of PEP 249's type objects.  It equals the names of its SQL types: the type codes in `Cursor.description`."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other.partition("(")[0].partition("<")[0].strip() in self._names
        return self is other

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        return f"<{' or '.join(self._names)}>"


STRING = TypeCode("STRING", "ARRAY", "MAP", "STRUCT")
BINARY = TypeCode("BYTES")
NUMBER = TypeCode("INTEGER", "BIGINT", "DOUBLE", "DECIMAL", "BOOLEAN")
DATETIME = TypeCode("DATE", "TIME", "TIMESTAMP")
ROWID = TypeCode("ROWID")

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:
    """A date from seconds since the epoch, in local time."""
    return datetime.date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """A time from seconds since the epoch, in local time."""
    return datetime.time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """A timestamp from seconds since the epoch, in local time."""
    return datetime.datetime(*time.localtime(ticks)[:6])
