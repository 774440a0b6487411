"""Writes dates and times by Java's patterns (`time_patterns`)."""

from __future__ import annotations

import re
from functools import lru_cache

from ...storage.values.time_units import DAY_MS, HOUR_MS
from ..columns import calendar
from .time_patterns import (
    DATE_LETTERS,
    MONTHS,
    QUARTERS,
    TIME_LETTERS,
    WEEKDAYS,
    Field,
    LiteralText,
    OptionalPart,
    Part,
    parts_of,
)
from .zones import UTC_ZONE, Zone, offset_name


def format_local(pattern: str, local_ms: int, allowed: frozenset[str] | None = None) -> str:
    """Write a local time as text.

    Args:
        local_ms: the local time in milliseconds, as if it were UTC.
        allowed: the letters that the value has; None: all.

    Raises:
        ValueError: the pattern is wrong, or has a letter that the value does not have.
    """
    days, time_ms = divmod(local_ms, DAY_MS)
    parts = printed_parts(pattern, allowed)
    return "".join(p.text if isinstance(p, LiteralText) else _format_local_field(p, days, time_ms) for p in parts)


def format_timestamp(pattern: str, instant_ms: int, zone: Zone = UTC_ZONE) -> str:
    """Write an instant as text in a zone."""
    days, time_ms = divmod(instant_ms + zone.offset_ms(instant_ms), DAY_MS)
    parts = printed_parts(pattern)
    return "".join(p.text if isinstance(p, LiteralText) else format_field(p, days, time_ms, instant_ms, zone) for p in parts)


@lru_cache(maxsize=512)
def printed_parts(pattern: str, allowed: frozenset[str] | None = None) -> tuple[LiteralText | Field, ...]:
    """The parts that formatting writes, in order, optional ones included.

    Args:
        allowed: the letters that the value has; None: all.

    Raises:
        ValueError: the pattern is wrong, or has a letter that the value does not have.
    """
    result: list[LiteralText | Field] = []

    def add(parts: tuple[Part, ...]) -> None:
        for part in parts:
            if isinstance(part, OptionalPart):
                add(part.parts)
                continue
            if isinstance(part, Field) and allowed is not None and part.letter not in allowed:
                raise ValueError(f"the pattern {pattern!r} asks for {part.letter}, which the value does not have")
            result.append(part)

    add(parts_of(pattern))
    return tuple(result)


def _format_local_field(field: Field, days: int, time_ms: int) -> str:
    """The text of a field of a local date and time.  Fields of a zone are those of UTC."""
    return format_field(field, days, time_ms, days * DAY_MS + time_ms, UTC_ZONE)


def format_field(field: Field, days: int, time_ms: int, instant_ms: int, zone: Zone) -> str:
    """The text of a field of an instant.  ``days`` and ``time_ms`` are its local date and time."""
    letter, count = field.letter, field.count
    if letter in DATE_LETTERS:
        return _format_date_field(letter, count, days)
    if letter in TIME_LETTERS:
        return _format_time_field(letter, count, time_ms)
    offset_ms = zone.offset_ms(instant_ms)
    match letter:
        case "V":
            return zone.name
        case "z":
            return zone.long_name(instant_ms) if count == 4 else zone.short_name(instant_ms)
        case "O":
            return _format_gmt(offset_ms, full=count == 4)
        case "Z":
            if count == 4:
                return _format_gmt(offset_ms, full=True)
            return offset_name(offset_ms) if count == 5 else _format_offset(offset_ms, 2)
    return "Z" if letter == "X" and offset_ms == 0 else _format_offset(offset_ms, count)


def _format_offset(offset_ms: int, count: int) -> str:
    """An offset by the count of X: +02 or +0230, +0200, +02:00; counts 4 and 5 add the seconds to the last two, if there are
    any.
    """
    minutes, seconds = divmod(abs(offset_ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    colon = ":" if count in (3, 5) else ""
    end = "" if count == 1 and not minutes else f"{colon}{minutes:02}"
    return f"{'-' if offset_ms < 0 else '+'}{hours:02}{end}{f'{colon}{seconds:02}' if seconds and count > 3 else ''}"


def _format_gmt(offset_ms: int, full: bool) -> str:
    if offset_ms == 0:
        return "GMT"
    text = offset_name(offset_ms)
    return "GMT" + (text if full else re.sub(r"^([+-])0", r"\1", text.removesuffix(":00")))


def _number(value: int, count: int) -> str:
    return f"{'-' if value < 0 else ''}{abs(value):0{count}}"


def _format_year(value: int, count: int) -> str:
    if count == 2:
        return f"{abs(value) % 100:02}"
    return ("+" if count >= 4 and value >= 10**count else "") + _number(value, count)


def _format_date_field(letter: str, count: int, days: int) -> str:
    year, month, day = calendar.date_of(days)
    match letter:
        case "u":
            return _format_year(year, count)
        case "y":
            return _format_year(year if year > 0 else 1 - year, count)
        case "G":
            return (("BC", "AD"), ("Before Christ", "Anno Domini"), ("B", "A"))[max(0, count - 3)][year > 0]
        case "M" | "L" if count >= 3:
            return _name(MONTHS[month - 1], count)
        case "M" | "L":
            return _number(month, count)
        case "E":
            return _name(WEEKDAYS[calendar.weekday(days) - 1], max(count, 3))
        case "e" | "c":
            weekday = calendar.weekday(days)
            return _name(WEEKDAYS[weekday - 1], count) if count >= 3 else _number(weekday % 7 + 1, count)
        case "Q" | "q":
            quarter = (month + 2) // 3
            return f"Q{quarter}" if count == 3 else QUARTERS[quarter - 1] if count == 4 else _number(quarter, count % 4)
        case "D":
            return _number(calendar.day_of_year(days), count)
        case "Y":
            return _format_year(calendar.week_of(days)[0], count)
        case "w":
            return _number(calendar.week_of(days)[1], count)
        case "W":
            return str((day - 1 + calendar.weekday(days - day + 1) % 7) // 7 + 1)
        case "F":
            return str((day - 1) // 7 + 1)
    return _number(day, count)


def _name(name: str, count: int) -> str:
    return name[:3] if count == 3 else name if count == 4 else name[0]


def _format_time_field(letter: str, count: int, time_ms: int) -> str:
    hour, rest = divmod(time_ms, HOUR_MS)
    match letter:
        case "a":
            return "PM" if hour >= 12 else "AM"
        case "H":
            return _number(hour, count)
        case "k":
            return _number(hour or 24, count)
        case "K":
            return _number(hour % 12, count)
        case "h":
            return _number(hour % 12 or 12, count)
        case "m":
            return _number(rest // 60_000, count)
        case "s":
            return _number(rest // 1000 % 60, count)
        case "S":
            return f"{time_ms % 1000 * 1_000_000:09}"[:count]
        case "n":
            return _number(time_ms % 1000 * 1_000_000, count)
        case "A":
            return _number(time_ms, count)
    return _number(time_ms * 1_000_000, count)
