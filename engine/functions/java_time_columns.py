"""Date and time patterns over whole columns: quick where each row's text has the same layout, row by row elsewhere.

A pattern has a layout if all its fields have a fixed number of digits (``yyyy-MM-dd'T'HH:mm:ss.SSS``, an ``X`` at the
end standing for ``Z``).  Its texts are then a matrix of bytes, and all rows are worked out at once.  Rows that do not
fit the layout, or whose values need judgement (February 30th), are left to `java_time`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...runtime.kernel import Evaluated, Failures
from .calendar import DAY_MS
from .columns import Bools, Int64s, from_numpy, int64s, null_mask, text_offsets
from .java_time import Field, Literal, format_timestamp, parse_timestamp, parts_of
from .zones import UTC_ZONE, Zone, zone_of

_WIDTHS = {"yyyy": 4, "uuuu": 4, "MM": 2, "dd": 2, "HH": 2, "mm": 2, "ss": 2}
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the digits of each letter stand, and the bytes in between (lower case)."""

    width: int
    digits: tuple[tuple[str, int, int], ...]
    literals: tuple[tuple[int, int], ...]
    says_utc: bool


@lru_cache(maxsize=256)
def _layout(pattern: str) -> _Layout | None:
    width = 0
    digits: list[tuple[str, int, int]] = []
    literals: list[tuple[int, int]] = []
    says_utc = False
    for part in parts_of(pattern):
        match part:
            case Literal(text) if text.isascii():
                literals.extend((width + i, ord(c)) for i, c in enumerate(text))
                width += len(text)
            case Field(letter, count) if letter * count in _WIDTHS or letter == "S":
                digits.append(("y" if letter == "u" else letter, width, count))
                width += count
            case Field("X", _):
                literals.append((width, ord("Z")))
                width += 1
                says_utc = True
            case _:
                return None
    letters = [letter for letter, _, _ in digits]
    return _Layout(width, tuple(digits), tuple(literals), says_utc) if len(set(letters)) == len(letters) else None


# --- parsing -------------------------------------------------------------------------------


def parse_timestamps(texts: Any, pattern: str, zone: str | Zone = UTC_ZONE) -> tuple[Int64s, Bools, Failures | None]:
    """The instants of a string column.

    Returns:
        milliseconds since the epoch, int64[n]; bool[n], true where there is none (null or failed); the failed rows.

    Raises:
        ValueError: for a bad pattern or zone.
    """
    to_ms = parse_timestamp(pattern, zone)
    default = zone if isinstance(zone, Zone) else zone_of(zone)
    missing = null_mask(texts)
    layout = _layout(pattern)
    fixed_ms = 0 if layout is not None and layout.says_utc else default.fixed_ms
    if layout is None or fixed_ms is None:
        result, done = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    else:
        result, done = _parse_layout(texts, layout, missing)
        result -= fixed_ms
    failures = _finish(texts, result, done, missing, to_ms)
    return result, missing, failures


def _finish(texts: Any, result: Int64s, done: Bools, missing: Bools, function: Callable[[str], int]) -> Failures | None:
    """Work out the rows that are neither done nor missing, one by one."""
    rows = np.flatnonzero(~done & ~missing)
    if len(rows) == 0:
        return None
    failed: list[int] = []
    reasons: list[str] = []
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist()):
        try:
            result[row] = function(text)
        except (ValueError, OverflowError) as error:
            failed.append(row)
            reasons.append(str(error))
    if not failed:
        return None
    missing[failed] = True
    return Failures(np.asarray(failed, np.int64), tuple(reasons))


def _parse_layout(texts: Any, layout: _Layout, missing: Bools) -> tuple[Int64s, Bools]:
    """Local milliseconds of the rows that fit the layout, and which rows those are."""
    count = len(texts)
    result, done = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    offsets = text_offsets(texts).astype(np.int64)
    rows = np.flatnonzero((np.diff(offsets) == layout.width) & ~missing) if count else np.zeros(0, np.int64)
    if len(rows) == 0:
        return result, done
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    matrix = data[offsets[rows][:, None] + np.arange(layout.width)]
    good = np.ones(len(rows), np.bool_)
    for column, code in layout.literals:
        found = matrix[:, column]
        lower = code | 0x20 if chr(code).isalpha() else code
        good &= (found | 0x20 if chr(code).isalpha() else found) == lower
    values: dict[str, Int64s] = {}
    for letter, column, width in layout.digits:
        number = np.zeros(len(rows), np.int64)
        for position in range(column, column + width):
            digit = matrix[:, position].astype(np.int64) - 48
            good &= (digit >= 0) & (digit <= 9)
            number = number * 10 + digit
        values[letter] = number if letter != "S" else (number * 10**3 // 10**width)
    zero = np.zeros(len(rows), np.int64)
    year, month, day = values.get("y", zero + 1970), values.get("M", zero + 1), values.get("d", zero + 1)
    hour, minute, second = values.get("H", zero), values.get("m", zero), values.get("s", zero)
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    good &= day <= _MONTH_DAYS[np.where(good, month, 0)] + (leap & (month == 2))
    days = _days_of(year, month, day)
    local = days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + values.get("S", zero)
    done[rows] = good
    result[rows] = np.where(good, local, 0)
    return result, done


def _days_of(year: Int64s, month: Int64s, day: Int64s) -> Int64s:
    """`calendar.days_of`, for arrays."""
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    days: Int64s = era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
    return days


# --- formatting ----------------------------------------------------------------------------


def format_timestamps(instants: Any, pattern: str, zone: Zone = UTC_ZONE) -> Evaluated:
    """A string column of a timestamp column's instants, in a zone.  Raises: ValueError, for a bad pattern."""
    missing = null_mask(instants)
    values = int64s(instants)
    layout = _layout(pattern)
    fixed_ms = zone.fixed_ms
    if layout is not None and fixed_ms is not None and not (layout.says_utc and fixed_ms) and len(values):
        local = values + fixed_ms
        if int(local.min()) >= _YEAR_1_MS and int(local.max()) < _YEAR_10000_MS:
            return Evaluated(_format_layout(local, layout, missing))
    texts = [None if gone else format_timestamp(pattern, ms, zone) for ms, gone in zip(values.tolist(), missing.tolist())]
    return Evaluated(pa.array(texts, pa.string()))


_YEAR_1_MS = int(np.datetime64("0001-01-01", "ms").astype(np.int64))
_YEAR_10000_MS = int(np.datetime64("10000-01-01", "ms").astype(np.int64))


def _format_layout(local: Int64s, layout: _Layout, missing: Bools) -> Any:
    days, time_ms = local // DAY_MS, local % DAY_MS
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    years = dates.astype("datetime64[Y]")
    values: dict[str, npt.NDArray[Any]] = {
        "y": years.astype(np.int64) + 1970,
        "M": (months - years).astype(np.int64) + 1,
        "d": (dates - months).astype(np.int64) + 1,
        "H": time_ms // 3_600_000,
        "m": time_ms // 60_000 % 60,
        "s": time_ms // 1000 % 60,
    }
    matrix = np.empty((len(local), layout.width), np.uint8)
    for column, code in layout.literals:
        matrix[:, column] = code
    for letter, column, width in layout.digits:
        number = time_ms % 1000 * 10 ** max(width - 3, 0) // 10 ** max(3 - width, 0) if letter == "S" else values[letter]
        for position in range(column + width - 1, column - 1, -1):
            matrix[:, position] = number % 10 + 48
            number = number // 10
    offsets = np.arange(len(local) + 1, dtype=np.int32) * layout.width
    buffers = (pa.py_buffer(offsets), pa.py_buffer(matrix))
    validity = None
    if missing.any():
        validity = from_numpy(~missing, pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(local), [validity, *buffers])
