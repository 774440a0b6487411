"""Date and time patterns applied to whole columns.

A pattern has a layout if all its fields have a fixed number of digits (``yyyy-MM-dd'T'HH:mm:ss.SSS``, with an ``X`` at the
end for ``Z``).  Its texts form a matrix of bytes, and all rows are computed at once.

Other patterns are parsed by one regular expression over the column, which reads each distinct text of a field once.  They
are formatted field by field, and each distinct value is written once.

Rows that fit neither way, or that need a rule (February 30th), are left to `time_parsing` and `time_formatting`, which
define what a pattern means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import Failures
from ...storage.values.arrow_calls import index_array
from ...storage.values.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from ..columns.arrow import (
    Bools,
    Int64s,
    ascii_rows,
    broadcast,
    flat,
    from_numpy,
    int64s,
    null_mask,
    text_offsets,
    with_nulls,
)
from . import time_formatting, time_parsing
from .time_parsing import field_value
from .time_patterns import DATE_LETTERS, TIME_LETTERS, Field, LiteralText, parts_of
from .zones import SYSTEM_ZONE, UTC_ZONE, Zone, zone_of

_WIDTHS = {"yyyy": 4, "uuuu": 4, "MM": 2, "dd": 2, "HH": 2, "mm": 2, "ss": 2}
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The places of the digits of each letter, and the bytes between them in lower case."""

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
            case LiteralText(text) if text.isascii():
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


# --- zones ---------------------------------------------------------------------------------


def offsets_ms(zone: Zone, instants: Int64s) -> Int64s:
    """The zone's offset from UTC at each instant."""
    return _by_day(zone, instants, _offset_at)


def to_instants(zone: Zone, local: Int64s) -> Int64s:
    """The instants of local times, see `Zone.to_instant`."""
    return local - _by_day(zone, local, _offset_of_local)


def _offset_at(zone: Zone, instant_ms: int) -> int:
    return zone.offset_ms(instant_ms)


def _offset_of_local(zone: Zone, local_ms: int) -> int:
    return local_ms - zone.to_instant(local_ms)


def _by_day(zone: Zone, times: Int64s, offset_of: Callable[[Zone, int], int]) -> Int64s:
    """A zone's offset from UTC at times.

    If a day begins and ends with the same offset, the offset holds for the whole day: clocks do not change twice in a day.
    """
    if zone.fixed_ms is not None:
        return np.full(len(times), zone.fixed_ms, np.int64)
    rows, places = _distinct(times // DAY_MS)
    days = (times[rows] // DAY_MS).tolist()
    at_midnight = _at_midnight if zone is not SYSTEM_ZONE else _at_midnight.__wrapped__  # may change
    midnights = dict.fromkeys([*days, *(day + 1 for day in days)])
    for day in midnights:
        midnights[day] = at_midnight(zone, day, offset_of)
    begin = np.array([midnights[day] for day in days], np.int64)
    end = np.array([midnights[day + 1] for day in days], np.int64)
    result: Int64s = begin[places]
    for row in np.flatnonzero((begin != end)[places]).tolist():
        result[row] = offset_of(zone, int(times[row]))
    return result


@lru_cache(maxsize=1 << 17)
def _at_midnight(zone: Zone, day: int, offset_of: Callable[[Zone, int], int]) -> int:
    """Cached, since the rows of a step and of the next one are mostly of the same days."""
    return offset_of(zone, day * DAY_MS)


# --- parsing -------------------------------------------------------------------------------

_Parsed = tuple[Int64s, Bools, Failures | None]
"""int64[n], the numbers; bool[n], true where there is no number (null or failed); the failed rows."""


def parse_timestamps(texts: Any, pattern: str, zone: str | Zone = UTC_ZONE) -> _Parsed:
    """Parse a string column to milliseconds since 1970-01-01 UTC.

    Raises:
        ValueError: the pattern or the zone is wrong.
    """
    to_ms = time_parsing.parse_timestamp(pattern, zone)
    default = zone if isinstance(zone, Zone) else zone_of(zone)
    missing = null_mask(texts)
    read = _read(texts, pattern, missing)
    local = read.days * DAY_MS + read.time_ms
    result = np.where(read.zoned, local - read.offset_ms, local)
    rows = np.flatnonzero(read.done & ~read.zoned)
    if len(rows):
        result[rows] = to_instants(default, local[rows])
    return _finished(texts, result, read.done, missing, to_ms)


def parse_dates(texts: Any, pattern: str, *, whole: bool) -> _Parsed:
    """Parse a string column to days since 1970-01-01.

    Args:
        whole: the pattern must match the whole text.  Otherwise more text may follow.

    Raises:
        ValueError: the pattern is wrong.
    """
    time_parsing.parser_of(pattern)
    missing = null_mask(texts)
    read = _read(texts, pattern, missing, whole, DATE_LETTERS)
    return _finished(texts, read.days, read.done, missing, lambda text: time_parsing.parse_date(pattern, text, whole))


def parse_times(texts: Any, pattern: str) -> _Parsed:
    """Parse a string column to milliseconds of the day.

    Raises:
        ValueError: the pattern is wrong.
    """
    time_parsing.parser_of(pattern)
    missing = null_mask(texts)
    read = _read(texts, pattern, missing, True, TIME_LETTERS)
    return _finished(texts, read.time_ms, read.done, missing, lambda text: time_parsing.parse_time(pattern, text))


def _finished(texts: Any, result: Int64s, done: Bools, missing: Bools, function: Callable[[str], int]) -> _Parsed:
    """Compute the rows that are neither done nor missing, one by one."""
    rows = np.flatnonzero(~done & ~missing)
    failed: list[int] = []
    reasons: list[str] = []
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist() if len(rows) else ()):
        try:
            result[row] = function(text)
        except (ValueError, OverflowError) as error:
            failed.append(row)
            reasons.append(str(error))
    if not failed:
        return result, missing, None
    missing = missing.copy()
    missing[failed] = True
    return result, missing, Failures(np.asarray(failed, np.int64), tuple(reasons))


@dataclass(slots=True)
class _Read:
    """The values that were read from texts.

    Attributes:
        done: bool[n]: the row could be read.  The numbers of other rows have no meaning.
        zoned: bool[n]: the text has an offset from UTC.
    """

    days: Int64s
    time_ms: Int64s
    offset_ms: Int64s
    done: Bools
    zoned: Bools


_Values = dict[str, Int64s]
"""Columns of numbers: by the letters of `time_parsing.field_value`, and ``zone``, an offset in milliseconds."""
_READABLE = frozenset("yuMdEahKHkmsn") | {"zone"}


def _read(texts: Any, pattern: str, missing: Bools, whole: bool = True, allowed: frozenset[str] | None = None) -> _Read:
    """Read all texts that can be read by column: first by layout, then the others by regular expression.

    Args:
        allowed: the letters that the value has.  Nothing is read if the pattern has other letters, or a time without an
        hour.
    """
    count = len(texts)
    days, time_ms, offset_ms = (np.zeros(count, np.int64) for _ in range(3))
    read = _Read(days, time_ms, offset_ms, np.zeros(count, np.bool_), np.zeros(count, np.bool_))
    for reader in (_read_layout, _read_expression):
        rows = np.flatnonzero(~read.done & ~missing)
        if not len(rows):
            break
        found = reader(texts.take(pa.array(rows)) if len(rows) < count else texts, pattern, whole)
        if found is None:
            continue
        values, fits = found
        letters = values.keys()
        if allowed is not None and not letters <= allowed:
            break
        if allowed == TIME_LETTERS and not ({"H", "k"} & letters or {"a", "h"} <= letters or {"a", "K"} <= letters):
            break
        day, time, good = _resolved(values, int(fits.sum()))
        rows = rows[fits][good]
        read.days[rows], read.time_ms[rows], read.done[rows] = day[good], time[good], True
        if "zone" in values:
            read.offset_ms[rows], read.zoned[rows] = values["zone"][good], True
    return read


def _read_layout(texts: Any, pattern: str, whole: bool) -> tuple[_Values, Bools] | None:
    """Read the texts that fit the layout.

    Returns:
        the numbers, and bool[n]: the rows that fit.  None if the pattern has no layout.
    """
    layout = _layout(pattern)
    if layout is None:
        return None
    offsets = text_offsets(texts).astype(np.int64)
    lengths = np.diff(offsets)
    fits = lengths == layout.width if whole else lengths >= layout.width
    rows = np.flatnonzero(fits)
    matrix = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[rows][:, None] + np.arange(layout.width)]
    good = np.ones(len(rows), np.bool_)
    for column, code in layout.literals:
        found = matrix[:, column]
        lower = code | 0x20 if chr(code).isalpha() else code
        good &= (found | 0x20 if chr(code).isalpha() else found) == lower
    values: _Values = {}
    for letter, column, width in layout.digits:
        number = np.zeros(len(rows), np.int64)
        for position in range(column, column + width):
            digit = matrix[:, position].astype(np.int64) - 48
            good &= (digit >= 0) & (digit <= 9)
            number = number * 10 + digit
        values["n" if letter == "S" else letter] = number * 10 ** (9 - width) if letter == "S" else number
    if layout.says_utc:
        values["zone"] = np.zeros(len(rows), np.int64)
    fits[rows] = good
    return {letter: number[good] for letter, number in values.items()}, fits


@lru_cache(maxsize=256)
def _expression(pattern: str, whole: bool) -> tuple[str, tuple[Field, ...]] | None:
    """A regular expression with a named group for each field, and the fields.

    None for patterns that it does not cover: those with optional parts, a field that occurs twice, or fields that
    `_resolved` does not know.
    """
    fields: list[Field] = []
    text = []
    for part in parts_of(pattern):
        match part:
            case LiteralText(literal) if literal.isascii():
                text.append("".join(c if c.isalnum() else f"\\x{ord(c):02x}" for c in literal))
            case Field(letter, count) if letter in "uyMLdEaHkKhmsSnXxZ" and not (letter == "Z" and count == 4):
                text.append(f"(?P<f{len(fields)}>{time_parsing.field_expression(part)})")
                fields.append(part)
            case _:
                return None
    names = [{"u": "y", "L": "M", "S": "n", "X": "zone", "x": "zone", "Z": "zone"}.get(f.letter, f.letter) for f in fields]
    if not fields or len(set(names)) < len(names):
        return None
    end = r"\z" if whole else ""
    return rf"(?i)\A(?:{''.join(text)}){end}", tuple(fields)


def _read_expression(texts: Any, pattern: str, whole: bool) -> tuple[_Values, Bools] | None:
    """Like `_read_layout`, for patterns that have an expression.

    Texts beyond ASCII do not fit, because engines fold their letters differently.
    """
    known = _expression(pattern, whole)
    if known is None:
        return None
    expression, fields = known
    matched: Any = flat(pc.extract_regex(texts, expression))
    fits = ~null_mask(matched) & ascii_rows(texts)
    kept = matched.filter(pa.array(fits))
    values: _Values = {}
    for place, field in enumerate(fields):
        encoded = kept.field(place).dictionary_encode()
        read = [field_value(field, text) for text in encoded.dictionary.to_pylist()]
        numbers = [_fitting(v.fixed_ms if isinstance(v, Zone) else v) for _, v in read]
        if read:
            values[read[0][0]] = np.array(numbers, np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
    return (values, fits) if values.keys() <= _READABLE and values else None


def _fitting(number: int | None) -> int:
    """A number that int64 cannot hold becomes one that is out of every range."""
    return number if number is not None and abs(number) < 2**62 else 2**62


def _resolved(values: _Values, count: int) -> tuple[Int64s, Int64s, Bools]:
    """The days, the milliseconds of the day, and bool[n]: the rows that are certain.

    `time_parsing` gives the same results for these rows.
    """
    good = np.ones(count, np.bool_)
    for letter, number in values.items():
        low, high = (0, 1) if letter == "a" else time_parsing.RANGES.get(letter, (-(2**62), 2**62 - 1))
        good &= (number >= low) & (number <= high)
    values = {letter: np.where(good, number, 1) for letter, number in values.items()}
    zero = np.zeros(count, np.int64)
    year = values.get("u", values.get("y", zero + 1970))
    month, day = values.get("M", zero + 1), values.get("d", zero + 1)
    good &= (year >= 1) & (year <= 9999)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    good &= day <= _MONTH_DAYS[month] + (leap & (month == 2))
    days = _days_of(np.where(good, year, 1970), month, day)
    if "E" in values:
        good &= (days + 3) % 7 + 1 == values["E"]
    hour = values.get("H", values["k"] % 24 if "k" in values else zero)
    if not {"H", "k"} & values.keys() and "a" in values and ("h" in values or "K" in values):
        hour = (values["h"] % 12 if "h" in values else values["K"]) + 12 * values["a"]
    good &= hour < 24
    minute, second, nano = values.get("m", zero), values.get("s", zero), values.get("n", zero)
    return days, ((hour * 60 + minute) * 60 + second) * 1000 + nano // 1_000_000, good


def _days_of(year: Int64s, month: Int64s, day: Int64s) -> Int64s:
    """`calendar.days_of` for arrays."""
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    days: Int64s = era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
    return days


# --- formatting ----------------------------------------------------------------------------


def format_timestamps(instants: Any, pattern: str, zone: Zone = UTC_ZONE) -> Any:
    """Format instants in a zone, as a string column.

    Raises:
        ValueError: the pattern is wrong.
    """
    missing, values = null_mask(instants), int64s(instants)
    if len(values) and max(abs(int(values.min())), abs(int(values.max()))) >= _EXTREME_MS:
        texts = [
            None if gone else time_formatting.format_timestamp(pattern, ms, zone)
            for ms, gone in zip(values.tolist(), missing)
        ]
        return pa.array(texts, pa.string())
    offsets = offsets_ms(zone, values)
    return _format(values + offsets, values, offsets, pattern, zone, missing, None)


def format_dates(days: Any, pattern: str) -> Any:
    """Format days since 1970-01-01, as a string column.

    Raises:
        ValueError: the pattern is wrong, or has a time of day.
    """
    return _format_local(int64s(days) * DAY_MS, null_mask(days), pattern, DATE_LETTERS)


def format_times(times: Any, pattern: str) -> Any:
    """Format milliseconds of the day, as a string column.

    Raises:
        ValueError: the pattern is wrong, or has a date.
    """
    return _format_local(int64s(times), null_mask(times), pattern, TIME_LETTERS)


def _format_local(local: Int64s, missing: Bools, pattern: str, allowed: frozenset[str]) -> Any:
    return _format(local, local, np.zeros(len(local), np.int64), pattern, UTC_ZONE, missing, allowed)


def _format(
    local: Int64s,
    instants: Int64s,
    offsets: Int64s,
    pattern: str,
    zone: Zone,
    missing: Bools,
    allowed: frozenset[str] | None,
) -> Any:
    parts = time_formatting.printed_parts(pattern, allowed)
    layout = _layout(pattern)
    in_utc = layout is None or not layout.says_utc or not offsets.any()
    if layout is not None and in_utc and len(local) and int(local.min()) >= _YEAR_1_MS and int(local.max()) < _YEAR_10000_MS:
        return _format_layout(local, layout, missing)
    days, time_ms = local // DAY_MS, local % DAY_MS
    pieces: list[Any] = []
    for part in parts:
        if isinstance(part, LiteralText):
            pieces.append(pa.scalar(part.text))
            continue
        keys = _keys(part, days, time_ms, instants, offsets)
        rows, places = _distinct(keys)
        texts = [
            time_formatting.format_field(part, int(days[row]), int(time_ms[row]), int(instants[row]), zone)
            for row in rows.tolist()
        ]
        pieces.append(pa.array(texts, pa.string()).take(index_array(places)))
    joined = flat(pc.binary_join_element_wise(*pieces, "")) if pieces else pa.scalar("")
    return with_nulls(broadcast(joined, len(local)), missing)


def _keys(field: Field, days: Int64s, time_ms: Int64s, instants: Int64s, offsets: Int64s) -> Int64s:
    """A number for each row.  Rows with the same number have the same text in this field."""
    letter = field.letter
    if letter in "uyGMLQqd":
        dates = days.astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        if letter == "d":
            of_month: Int64s = (dates - months).astype(np.int64)
            return of_month
        years = months.astype("datetime64[Y]")
        key: Int64s = (years if letter in "uyG" else months - years).astype(np.int64)
        return key
    if letter in "Eec":
        return (days + 3) % 7
    if letter in DATE_LETTERS:
        return days
    if letter in TIME_LETTERS:
        unit, size = {"m": (MINUTE_MS, 60), "s": (SECOND_MS, 60), "S": (1, 1000), "n": (1, 1000)}.get(letter, (HOUR_MS, 24))
        within: Int64s = time_ms // unit % size
        return time_ms if letter in "AN" else within
    if letter == "V":
        return np.zeros(len(days), np.int64)
    if letter != "z":
        return offsets
    named: Int64s = instants // DAY_MS * (2 * DAY_MS) + offsets
    return named


_DENSE_MAX = 1 << 16
"""If keys differ by no more than this, a table of all keys between them is faster than sorting."""


def _distinct(keys: Int64s) -> tuple[Int64s, Int64s]:
    """A row for each distinct key, and for every row the index of its key among these."""
    if not len(keys):
        return keys, keys
    low = int(keys.min())
    if int(keys.max()) - low >= _DENSE_MAX:
        _, rows, places = np.unique(keys, return_index=True, return_inverse=True)
        return rows, places
    near = keys - low
    row_of = np.full(int(near.max()) + 1, -1, np.int64)
    row_of[near] = np.arange(len(keys))
    used = np.flatnonzero(row_of >= 0)
    place_of = np.zeros(len(row_of), np.int64)
    place_of[used] = np.arange(len(used))
    return row_of[used], place_of[near]


_EXTREME_MS = 2**62
"""Local times of instants beyond this (in both directions) may not fit int64."""
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
        "H": time_ms // HOUR_MS,
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
    buffers = (pa.py_buffer(offsets.data), pa.py_buffer(matrix.data))
    validity = None
    if missing.any():
        validity = from_numpy(~missing, pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(local), [validity, *buffers])
