"""Dates, times and timestamps: arithmetic, text, time zones, and the current time (from `runtime.clock`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from ...runtime.clock import now_ms
from ...runtime.kernel import Evaluated, Failures, failures_of
from ...storage.values.time_units import DAY_MS, UNIT_MS
from ..columns.arrow import Int64s, broadcast, by_setting, fail, from_numpy, int64s, length_of, null_mask, unit_word
from ..columns.kinds import Column, Datum, PythonValue
from ..java import time_formatting, time_parsing
from ..java.time_columns import (
    format_dates,
    format_times,
    format_timestamps,
    offsets_ms,
    parse_dates,
    parse_times,
    parse_timestamps,
)
from ..java.time_patterns import DATE_LETTERS, TIME_LETTERS
from ..java.zones import SYSTEM_ZONE, UTC_ZONE, Zone, zone_of
from .registry import scalar

CATEGORY = "DATE / TIME"


def unit_ms(unit: pa.Scalar[Any] | str) -> int:
    """The milliseconds of a unit, singular or plural.

    Raises:
        ValueError: the unit has no fixed length.
    """
    word = unit_word(unit).upper()
    found = UNIT_MS.get(word) or UNIT_MS.get(word.removesuffix("S"))
    if found is None:
        raise ValueError(f"{word} is not a unit: it must be DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS")
    return found


# --- adding and subtracting ----------------------------------------------------------------


def _define_sum(name: str, type_: str, meaning: str, sign: int, combine: Callable[[Int64s, Int64s], Int64s]) -> None:
    parameter = type_.lower()

    def function(unit: Datum, amount: Datum, value: Datum) -> Evaluated:
        length = length_of((unit, amount, value))
        amounts, values = broadcast(amount, length), broadcast(value, length)
        missing = null_mask(amounts) | null_mask(values)
        if isinstance(unit, pa.Array):
            words: list[PythonValue] = unit.to_pylist()
            factor: Int64s | int = np.array([unit_ms(word) for word in words], np.int64)
        else:
            factor = unit_ms(unit)
        with np.errstate(over="ignore"):
            result = combine(int64s(values), int64s(amounts) * factor * sign)
        if pa.types.is_date32(values.type):
            missing_too = (result > np.iinfo(np.int32).max) | (result < np.iinfo(np.int32).min)
            safe = np.where(missing_too, 0, result)
            return fail(from_numpy(safe, values.type, missing), missing_too & ~missing, "the date is out of range")
        return Evaluated(from_numpy(result, values.type, missing))

    scalar(name, meaning, f"(unit UNIT, amount INT, {parameter} {type_}) -> {type_}", style="arrow", category=CATEGORY)(
        function
    )


def _add_to_date(days: Int64s, amount_ms: Int64s) -> Int64s:
    return (days * DAY_MS + amount_ms) // DAY_MS


def _add_to_time(time_ms: Int64s, amount_ms: Int64s) -> Int64s:
    return (time_ms + amount_ms) % DAY_MS


_define_sum("DATEADD", "DATE", "The date so many units later, cut to whole days.", 1, _add_to_date)
_define_sum("DATESUB", "DATE", "The date so many units earlier, cut to whole days.", -1, _add_to_date)
_define_sum("TIMEADD", "TIME", "The time so many units later; after midnight it begins again at 00:00.", 1, _add_to_time)
_define_sum("TIMESUB", "TIME", "The time so many units earlier; before midnight it continues at 23:59.", -1, _add_to_time)
_define_sum("TIMESTAMPADD", "TIMESTAMP", "The timestamp so many units later.", 1, np.add)
_define_sum("TIMESTAMPSUB", "TIMESTAMP", "The timestamp so many units earlier.", -1, np.add)


# --- numbers -------------------------------------------------------------------------------

_UNIX_DATE = "The days since 1970-01-01 of a date (default: today, by the wall clock)."
_UNIX_TIMESTAMP = "The milliseconds since 1970-01-01 of a timestamp (default: now, by the wall clock)."


@scalar("UNIX_DATE", _UNIX_DATE, "() -> INT", volatile=True, category=CATEGORY)
def today() -> int:
    return now_ms() // DAY_MS


@scalar("UNIX_DATE", _UNIX_DATE, "(date DATE) -> INT", style="arrow", category=CATEGORY)
def unix_date(date: Column) -> Column:
    return date.view(pa.int32())


@scalar("UNIX_TIMESTAMP", _UNIX_TIMESTAMP, "() -> BIGINT", volatile=True, category=CATEGORY)
def now() -> int:
    return now_ms()


@scalar("UNIX_TIMESTAMP", _UNIX_TIMESTAMP, "(timestamp TIMESTAMP) -> BIGINT", style="arrow", category=CATEGORY)
def unix_timestamp(timestamp: Column) -> Column:
    return timestamp.view(pa.int64())


@scalar(
    "FROM_UNIXTIME",
    "The timestamp of milliseconds since 1970-01-01.",
    "(milliseconds BIGINT) -> TIMESTAMP",
    style="arrow",
    category=CATEGORY,
)
def from_unixtime(milliseconds: Column) -> Column:
    return milliseconds.view(pa.timestamp("ms"))


@scalar("FROM_DAYS", "The date of days since 1970-01-01.", "(days INT) -> DATE", style="arrow", category=CATEGORY)
def from_days(days: Column) -> Column:
    return days.view(pa.date32())


# --- text of dates and times ---------------------------------------------------------------

_DATE_PATTERN = "in a pattern such as 'yyyy-MM-dd'"


def _define_format(
    names: dict[str, str], column: str, letters: frozenset[str], unit_ms: int, kernel: Callable[[Any, str], Any]
) -> None:
    """Define FORMAT_DATE, DATETOSTRING or FORMAT_TIME.  ``kernel`` takes a column and a pattern."""

    def function(value: Datum, pattern: Datum) -> Evaluated:
        return by_setting(
            lambda values, text: Evaluated(kernel(values, text)),
            lambda number, text: time_formatting.format_local(text, number * unit_ms, letters),
            pa.string(),
            value,
            pattern,
        )

    for name, meaning in names.items():
        parameter = "days INT" if name == "DATETOSTRING" else column
        scalar(name, meaning, f"({parameter}, format STRING) -> STRING", style="arrow", category=CATEGORY)(function)


_define_format(
    {
        "FORMAT_DATE": f"A date as text, {_DATE_PATTERN}.",
        "DATETOSTRING": f"Days since 1970-01-01 as text, {_DATE_PATTERN}; FORMAT_DATE replaces it.",
    },
    "date DATE",
    DATE_LETTERS,
    DAY_MS,
    format_dates,
)
_define_format(
    {"FORMAT_TIME": "A time as text, in a pattern such as 'HH:mm:ss'."},
    "time TIME",
    TIME_LETTERS,
    1,
    format_times,
)


def _numbers(parsed: tuple[Any, Any, Failures | None], type_: pa.DataType) -> Evaluated:
    values, missing, failures = parsed
    return Evaluated(from_numpy(values, type_, missing), failures)


def _parse_days(text: Datum, pattern: Datum, type_: pa.DataType, *, whole: bool) -> Evaluated:
    return by_setting(
        lambda texts, format_: _fitting_days(parse_dates(texts, format_, whole=whole), type_),
        lambda one, format_: time_parsing.parse_date(format_, one, whole),
        type_,
        text,
        pattern,
    )


def _fitting_days(parsed: tuple[Any, Any, Failures | None], type_: pa.DataType) -> Evaluated:
    """Days as DATE or INT.  A day out of the type's range fails its row."""
    values, missing, failures = parsed
    far = ((values > np.iinfo(np.int32).max) | (values < np.iinfo(np.int32).min)) & ~missing
    if not far.any():
        return _numbers(parsed, type_)
    reasons = dict.fromkeys(np.flatnonzero(far).tolist(), "the date is out of range")
    if failures is not None:
        reasons |= dict(zip(failures.rows.tolist(), failures.reasons))
    return Evaluated(from_numpy(np.where(far, 0, values), type_, missing | far), failures_of(reasons))


@scalar(
    "PARSE_DATE",
    f"The date of a text, {_DATE_PATTERN}.",
    "(text STRING, format STRING) -> DATE",
    style="arrow",
    category=CATEGORY,
)
def parse_date(text: Datum, pattern: Datum) -> Evaluated:
    """Text after the date is ignored, as in ksqlDB."""
    return _parse_days(text, pattern, pa.date32(), whole=False)


@scalar(
    "STRINGTODATE",
    f"The days since 1970-01-01 of a text, {_DATE_PATTERN}; PARSE_DATE replaces it.",
    "(text STRING, format STRING) -> INT",
    style="arrow",
    category=CATEGORY,
)
def string_to_date(text: Datum, pattern: Datum) -> Evaluated:
    return _parse_days(text, pattern, pa.int32(), whole=True)


@scalar(
    "PARSE_TIME",
    "The time of a text, in a pattern such as 'HH:mm:ss'.",
    "(text STRING, format STRING) -> TIME",
    style="arrow",
    category=CATEGORY,
)
def parse_time(text: Datum, pattern: Datum) -> Evaluated:
    return by_setting(
        lambda texts, format_: _numbers(parse_times(texts, format_), pa.time32("ms")),
        lambda one, format_: time_parsing.parse_time(format_, one),
        pa.time32("ms"),
        text,
        pattern,
    )


# --- text of timestamps --------------------------------------------------------------------

_TIMESTAMP_PATTERN = "in a pattern such as 'yyyy-MM-dd HH:mm:ss'"


def _parse(text: Datum, pattern: Datum, zone: Datum | None, default: Zone, type_: pa.DataType) -> Evaluated:
    return by_setting(
        lambda texts, format_, name=None: _numbers(
            parse_timestamps(texts, format_, default if name is None else name), type_
        ),
        lambda one, format_, name=None: time_parsing.parse_timestamp(format_, default if name is None else name)(one),
        type_,
        text,
        pattern,
        *(() if zone is None else (zone,)),
    )


def _format(instant: Datum, pattern: Datum, zone: Datum | None, default: Zone) -> Evaluated:
    return by_setting(
        lambda values, format_, name=None: Evaluated(
            format_timestamps(values, format_, default if name is None else zone_of(name))
        ),
        lambda ms, format_, name=None: time_formatting.format_timestamp(
            format_, ms, default if name is None else zone_of(name)
        ),
        pa.string(),
        instant,
        pattern,
        *(() if zone is None else (zone,)),
    )


_ZONED = ("(text STRING, format STRING)", "(text STRING, format STRING, zone STRING)")


@scalar(
    "PARSE_TIMESTAMP",
    f"The timestamp of a text, {_TIMESTAMP_PATTERN}, read in a time zone (default UTC).",
    *(f"{parameters} -> TIMESTAMP" for parameters in _ZONED),
    style="arrow",
    category=CATEGORY,
)
def parse_timestamp(text: Datum, pattern: Datum, zone: Datum | None = None) -> Evaluated:
    return _parse(text, pattern, zone, UTC_ZONE, pa.timestamp("ms"))


@scalar(
    "STRINGTOTIMESTAMP",
    f"The milliseconds since 1970-01-01 of a text, {_TIMESTAMP_PATTERN}, in a time zone (default: this machine's); "
    "PARSE_TIMESTAMP replaces it.",
    *(f"{parameters} -> BIGINT" for parameters in _ZONED),
    style="arrow",
    category=CATEGORY,
)
def string_to_timestamp(text: Datum, pattern: Datum, zone: Datum | None = None) -> Evaluated:
    return _parse(text, pattern, zone, SYSTEM_ZONE, pa.int64())


@scalar(
    "FORMAT_TIMESTAMP",
    f"A timestamp as text, {_TIMESTAMP_PATTERN}, in a time zone (default UTC).",
    "(timestamp TIMESTAMP, format STRING) -> STRING",
    "(timestamp TIMESTAMP, format STRING, zone STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def format_timestamp(timestamp: Datum, pattern: Datum, zone: Datum | None = None) -> Evaluated:
    return _format(timestamp, pattern, zone, UTC_ZONE)


@scalar(
    "TIMESTAMPTOSTRING",
    f"Milliseconds since 1970-01-01 as text, {_TIMESTAMP_PATTERN}, in a time zone (default: this machine's); "
    "FORMAT_TIMESTAMP replaces it.",
    "(milliseconds BIGINT, format STRING) -> STRING",
    "(milliseconds BIGINT, format STRING, zone STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def timestamp_to_string(milliseconds: Datum, pattern: Datum, zone: Datum | None = None) -> Evaluated:
    return _format(milliseconds, pattern, zone, SYSTEM_ZONE)


@scalar(
    "CONVERT_TZ",
    "The timestamp of the same wall-clock time, moved by the difference of two time zones at that instant.",
    "(timestamp TIMESTAMP, from STRING, to STRING) -> TIMESTAMP",
    style="arrow",
    category=CATEGORY,
)
def convert_tz(timestamp: Datum, from_zone: Datum, to_zone: Datum) -> Evaluated:
    def moved(instants: Column, from_name: str, to_name: str) -> Evaluated:
        values = int64s(instants)
        with np.errstate(over="ignore"):
            values = values + offsets_ms(zone_of(to_name), values) - offsets_ms(zone_of(from_name), values)
        return Evaluated(from_numpy(values, instants.type, null_mask(instants)))

    def one(ms: int, from_name: str, to_name: str) -> int:
        return ms + zone_of(to_name).offset_ms(ms) - zone_of(from_name).offset_ms(ms)

    return by_setting(moved, one, pa.timestamp("ms"), timestamp, from_zone, to_zone)
