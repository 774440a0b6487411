"""Reads dates and times by Java's patterns (`time_patterns`).

Case is ignored.  Parts that a text does not have come from 1970-01-01 00:00.  If a month does not have the day of a text,
the day becomes the month's last one (as in Java's SMART mode).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ...storage.values.time_units import DAY_MS
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
from .zones import UTC_ZONE, ZONE_TEXT, Zone, fixed_zone, offset_of, zone_in_any_case, zone_of, zone_of_text


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of a text, with defaults for those that it does not have.

    Attributes:
        days: the date, in days since 1970-01-01.
        time_ms: the time, in milliseconds of the day.
        zone: the zone or offset in the text; None if it has none.
    """

    days: int
    time_ms: int
    zone: Zone | None

    def local_ms(self) -> int:
        return self.days * DAY_MS + self.time_ms


def _names(names: list[str] | tuple[str, ...], length: int | None = None) -> str:
    return "|".join(sorted((re.escape(n[:length]) for n in names), key=len, reverse=True))


def _offset_pattern(letter: str, count: int) -> str:
    zero = "Z|" if letter == "X" else ""
    if letter == "Z":
        if count == 4:
            return r"GMT(?:[+-]\d\d:\d\d(?::\d\d)?)?"
        return r"[+-]\d{4}" if count < 4 else r"Z|[+-]\d\d:\d\d(?::\d\d)?"
    return (
        zero
        + (r"[+-]\d\d(?:\d\d)?", r"[+-]\d{4}", r"[+-]\d\d:\d\d", r"[+-]\d{4}(?:\d\d)?", r"[+-]\d\d:\d\d(?::\d\d)?")[
            count - 1
        ]
    )


def field_expression(field: Field) -> str:
    """A regular expression that matches the texts of a field."""
    letter, count = field.letter, field.count
    match letter:
        case "u" | "y" | "Y":
            if count == 2:
                return r"\d\d"
            return rf"\+\d{{{count + 1},19}}|-\d{{{count},19}}|\d{{{count}}}" if count >= 4 else rf"-?\d{{{count},19}}"
        case "M" | "L" if count >= 3:
            return _names(MONTHS, 3 if count == 3 else None)
        case "E" | "e" | "c" if count >= 3 or letter == "E":
            return _names(WEEKDAYS, None if count == 4 else 3)
        case "Q" | "q" if count >= 3:
            return r"Q[1-4]" if count == 3 else _names(QUARTERS)
        case "G":
            return "Anno Domini|Before Christ" if count == 4 else "AD|BC"
        case "a":
            return "AM|PM"
        case "D":
            return rf"\d{{{count},3}}" if count > 1 else r"\d{1,19}"
        case "S":
            return rf"\d{{{count}}}"
        case "n" | "N" | "A":
            return rf"\d{{{count},19}}"
        case "X" | "x" | "Z":
            return _offset_pattern(letter, count)
        case "O":
            return r"GMT(?:[+-]\d\d:\d\d(?::\d\d)?)?" if count == 4 else r"GMT(?:[+-]\d\d?(?::\d\d(?::\d\d)?)?)?"
        case "V" | "z":
            return ZONE_TEXT
    return r"-?\d{1,19}" if count == 1 else rf"\d{{{count}}}"


class _Parser:
    """The regular expression of a pattern, with a group for each field."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._fields: list[Field] = []
        self._matcher = re.compile(self._expression(parts_of(pattern)), re.IGNORECASE | re.ASCII)

    def _expression(self, parts: tuple[Part, ...]) -> str:
        result = []
        for part in parts:
            match part:
                case LiteralText(text):
                    result.append(re.escape(text))
                case OptionalPart(inner):
                    result.append(f"(?:{self._expression(inner)})?")
                case Field(letter, count):
                    if count == 5 and letter in "MLEecQqG":
                        raise ValueError(f"bad pattern {self.pattern!r}: {letter * 5} is ambiguous, it cannot be parsed")
                    if letter in "WF":
                        raise ValueError(f"bad pattern {self.pattern!r}: {letter} is supported for output only")
                    self._fields.append(part)
                    result.append(f"({field_expression(part)})")
        return "".join(result)

    def fields(self, text: str, whole: bool = True) -> dict[str, int | Zone]:
        """The values by letter.  Fields that mean the same have the same letter here.

        Args:
            whole: the pattern must match the whole text.  Otherwise more text may follow.

        Raises:
            ValueError: the text does not match, or gives two values for one field.
        """
        match = self._matcher.fullmatch(text) if whole else self._matcher.match(text)
        if match is None:
            raise ValueError(f"{text!r} does not match the pattern {self.pattern!r}")
        values: dict[str, int | Zone] = {}
        for field, found in zip(self._fields, match.groups()):
            if found is None:
                continue
            name, value = field_value(field, found)
            if not isinstance(value, Zone) and values.setdefault(name, value) != value:
                raise ValueError(f"{text!r} contradicts itself: {name} is {values[name]} and {value}")
            values[name] = value
        return values


def field_value(field: Field, text: str) -> tuple[str, int | Zone]:
    """The value that a field's text means, and its letter.  Fields that mean the same have the same letter here."""
    letter, count = field.letter, field.count
    match letter:
        case "u" | "y" | "Y":
            return letter, int(text) + (2000 if count == 2 else 0)
        case "M" | "L":
            return "M", _index(MONTHS, text) if count >= 3 else int(text)
        case "E":
            return "E", _index(WEEKDAYS, text)
        case "e" | "c" if count >= 3:
            return "E", _index(WEEKDAYS, text)
        case "e" | "c":
            day = int(text)
            if not 1 <= day <= 7:
                raise ValueError(f"{text!r} is no day of the week: they go from 1 (Sunday) to 7")
            return "E", (day + 5) % 7 + 1
        case "Q" | "q":
            return "Q", int(text[1] if count == 3 else text[0] if count == 4 else text)
        case "G":
            return "G", int(text[0] in "aA")
        case "a":
            return "a", int(text[0] in "pP")
        case "S":
            return "n", int(text.ljust(9, "0"))
        case "X" | "x" | "Z" | "O":
            words = text.upper().removeprefix("GMT")
            offset = 0 if words in ("", "Z") else offset_of(words)
            if offset is None:
                raise ValueError(f"{text!r} is not an offset: they go from -18:00 to +18:00")
            return "zone", fixed_zone(offset)
        case "V":
            return "zone", zone_in_any_case(text)
        case "z":
            return "zone", zone_of_text(text)
    return letter, int(text)


def _index(names: list[str], text: str) -> int:
    return next(i for i, name in enumerate(names, 1) if name.lower().startswith(text.lower()))


RANGES = {
    "M": (1, 12), "d": (1, 31), "D": (1, 366), "Q": (1, 4), "E": (1, 7), "w": (1, 53), "H": (0, 24), "k": (1, 24),
    "K": (0, 11), "h": (1, 12), "m": (0, 59), "s": (0, 59), "n": (0, 999_999_999), "N": (0, DAY_MS * 1_000_000 - 1),
    "A": (0, DAY_MS - 1), "u": (-999_999_999, 999_999_999), "y": (1, 999_999_999), "Y": (-999_999_999, 999_999_999),
}  # fmt: skip
"""The lowest and the highest value by letter.  A letter that is missing has 0 and 1."""


def _resolved(fields: dict[str, int | Zone], text: str) -> Parsed:
    numbers: dict[str, int] = {}
    zone: Zone | None = None
    for name, value in fields.items():
        if isinstance(value, Zone):
            zone = value
            continue
        low, high = RANGES.get(name, (0, 1))
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not possible: {value} is not from {low} to {high}")
        numbers[name] = value
    time_ms, next_day = _resolved_time(numbers, text)
    return Parsed(_resolved_date(numbers, text) + next_day, time_ms, zone)


def _resolved_date(fields: dict[str, int], text: str) -> int:
    year = fields.get("u")
    if year is None and "y" in fields:
        year = fields["y"] if fields.get("G", 1) else 1 - fields["y"]
    if year is None and "Y" in fields and "w" in fields and "E" in fields:
        return calendar.week_year_start(fields["Y"]) + (fields["w"] - 1) * 7 + fields["E"] % 7
    complete = year is not None
    if year is None:
        year = 1970
    if "D" in fields and "M" not in fields and "d" not in fields:
        if fields["D"] > 365 + calendar.is_leap(year):
            raise ValueError(f"{text!r} is not possible: {year} has no day {fields['D']}")
        days = calendar.days_of(year, 1, 1) + fields["D"] - 1
    else:
        month, day = fields.get("M", 1), fields.get("d", 1)
        last = calendar.month_length(year, month)
        if day > last and not (complete and "M" in fields):
            raise ValueError(f"{text!r} is not possible: month {month} of {year} has no day {day}")
        days = calendar.days_of(year, month, min(day, last))
    if "E" in fields and complete and "d" in fields and calendar.weekday(days) != fields["E"]:
        raise ValueError(f"{text!r} contradicts itself: that day is a {WEEKDAYS[calendar.weekday(days) - 1]}")
    return days


def _resolved_time(fields: dict[str, int], text: str) -> tuple[int, int]:
    """The milliseconds of the day, and 1 if the text has 24:00, which is midnight of the next day."""
    if "N" in fields:
        return fields["N"] // 1_000_000, 0
    if "A" in fields:
        return fields["A"], 0
    hour = fields.get("H")
    if hour is None and "k" in fields:
        hour = fields["k"] % 24
    if hour is None and "a" in fields and ("h" in fields or "K" in fields):
        hour = (fields["h"] % 12 if "h" in fields else fields["K"]) + 12 * fields["a"]
    minute, second, nano = fields.get("m", 0), fields.get("s", 0), fields.get("n", 0)
    hour = hour or 0
    if hour == 24:
        if minute or second or nano:
            raise ValueError(f"{text!r} is not possible: 24 is only an hour of 24:00")
        return 0, 1
    return ((hour * 60 + minute) * 60 + second) * 1000 + nano // 1_000_000, 0


@lru_cache(maxsize=512)
def parser_of(pattern: str) -> _Parser:
    """The parser of a pattern.

    Raises:
        ValueError: the pattern is wrong, or can only be used for formatting.
    """
    return _Parser(pattern)


def parse_date(pattern: str, text: str, whole: bool = True) -> int:
    """Parse a date to days since 1970-01-01.

    Args:
        whole: the pattern must match the whole text.  Otherwise more text may follow.

    Raises:
        ValueError: the text does not match, or the pattern has a time of day.
    """
    fields = parser_of(pattern).fields(text, whole)
    if not TIME_LETTERS.isdisjoint(fields):
        raise ValueError(f"a date's pattern must not hold a time: {pattern!r}")
    return _resolved(fields, text).days


def parse_time(pattern: str, text: str) -> int:
    """Parse a time to milliseconds of the day.

    Raises:
        ValueError: the text does not match, has a date, or lacks the hour.
    """
    fields = parser_of(pattern).fields(text)
    if not (DATE_LETTERS | {"Q"}).isdisjoint(fields):
        raise ValueError(f"a time's pattern must not hold a date: {pattern!r}")
    if not {"H", "k", "N", "A"} & fields.keys() and not ("a" in fields and ("h" in fields or "K" in fields)):
        raise ValueError(f"a time's pattern must hold the hour: {pattern!r}")
    return _resolved(fields, text).time_ms


def parse_timestamp(pattern: str, zone: str | Zone = UTC_ZONE) -> Callable[[str], int]:
    """Make a function that parses a text to milliseconds since 1970-01-01 UTC.

    Args:
        zone: used if the text has no zone or offset of its own.

    Raises:
        ValueError: the pattern or the zone is wrong.  The returned function raises it for a text that does not match.
    """
    parser = parser_of(pattern)
    default = zone if isinstance(zone, Zone) else zone_of(zone)

    def to_ms(text: str) -> int:
        parsed = _resolved(parser.fields(text), text)
        return (parsed.zone or default).to_instant(parsed.local_ms())

    return to_ms
