"""Date and time patterns of Java's ``DateTimeFormatter``, compiled to parsers and formatters.

======  ==========================================  =================================================
letter  meaning                                     by count of letters
======  ==========================================  =================================================
u y     year, year of era                           2: two digits of 2000-2099; 4: at least four digits
G       era                                         1-3: AD, 4: Anno Domini
M L     month                                       1, 2: number; 3: Jan; 4: January
d D     day of month, day of year
E e c   day of week                                 E: Mon, 4: Monday; e, c: number (Sunday is 1) or text
Q q     quarter                                     1, 2: number; 3: Q1; 4: 1st quarter
Y w W   week-based year, week of year, of month     US weeks
F       which one of its weekday in the month
a       AM or PM
H k     hour of day, 0-23 and 1-24
K h     hour of half a day, 0-11 and 1-12
m s     minute, second
S n     fraction of a second; nanosecond
A N     milliseconds, nanoseconds of the day
V z O   zone: identifier, name, GMT+8
X x Z   offset: +02, +0200, +02:00                  X writes no offset as Z
'text'  literal text; '' is a quote
[ ]     an optional section
======  ==========================================  =================================================

Parsing ignores case.  What a text leaves open is taken from 1970-01-01 00:00.  A day that its month does not have becomes
the month's last (as in Java's SMART mode).  Names are English.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ...storage.values.time_units import DAY_MS, HOUR_MS
from ..columns import calendar
from .zones import UTC_ZONE, ZONE_TEXT, Zone, fixed_zone, offset_name, offset_of, zone_of, zone_of_text

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")

DATE_LETTERS = frozenset("uyGMLdDEecQqYwWF")
TIME_LETTERS = frozenset("aHkKhmsSnAN")
_MOST = {
    "d": 2,
    "H": 2,
    "h": 2,
    "k": 2,
    "K": 2,
    "m": 2,
    "s": 2,
    "w": 2,
    "W": 1,
    "F": 1,
    "a": 1,
    "D": 3,
    "S": 9,
    "V": 2,
    "z": 4,
}
_MOST |= {"M": 5, "L": 5, "E": 5, "e": 5, "c": 5, "Q": 5, "q": 5, "G": 5, "X": 5, "x": 5, "Z": 5, "O": 4}


@dataclass(frozen=True, slots=True)
class LiteralText:
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    letter: str
    count: int


@dataclass(frozen=True, slots=True)
class OptionalPart:
    parts: tuple[Part, ...]


Part = LiteralText | Field | OptionalPart


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says, with defaults filled in.

    Attributes:
        days: the date, in days since the epoch.
        time_ms: milliseconds of the day.
        zone: the zone or offset in the text; None if it has none.
    """

    days: int
    time_ms: int
    zone: Zone | None

    def local_ms(self) -> int:
        return self.days * DAY_MS + self.time_ms


# --- patterns ------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def parts_of(pattern: str) -> tuple[Part, ...]:
    """The parts of a pattern.

    Raises: ValueError, if it is not a pattern, or needs something that we lack (which it names).
    """
    stack: list[list[Part]] = [[]]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character.isascii() and character.isalpha():
            end = position
            while end < len(pattern) and pattern[end] == character:
                end += 1
            stack[-1].append(_field(character, end - position, pattern))
            position = end
            continue
        position += 1
        if character == "'":
            literal, position = _quoted(pattern, position)
            stack[-1].append(LiteralText(literal))
        elif character == "[":
            stack.append([])
        elif character == "]":
            if len(stack) == 1:
                raise ValueError(f"bad pattern {pattern!r}: ] without [")
            inner = OptionalPart(tuple(stack.pop()))
            stack[-1].append(inner)
        elif character in "{}#":
            raise ValueError(f"bad pattern {pattern!r}: {character} is reserved, write it in quotes")
        else:
            stack[-1].append(LiteralText(character))
    while len(stack) > 1:
        inner = OptionalPart(tuple(stack.pop()))
        stack[-1].append(inner)
    return tuple(stack[0])


def _quoted(pattern: str, position: int) -> tuple[str, int]:
    """The literal that begins after a quote, and where it ends."""
    text = []
    while position < len(pattern):
        if pattern[position] != "'":
            text.append(pattern[position])
        elif pattern[position + 1 : position + 2] == "'":
            text.append("'")
            position += 1
        else:
            return ("".join(text) or "'"), position + 1
        position += 1
    raise ValueError(f"bad pattern {pattern!r}: a quoted text is not closed")


def _field(letter: str, count: int, pattern: str) -> Field:
    if letter not in DATE_LETTERS | TIME_LETTERS | frozenset("VzOXxZ"):
        raise ValueError(f"bad pattern {pattern!r}: the letter {letter} is not supported")
    if count > _MOST.get(letter, 19) or (letter == "V" and count != 2) or (letter == "O" and count not in (1, 4)):
        raise ValueError(f"bad pattern {pattern!r}: {letter * count} has a wrong number of letters")
    return Field(letter, count)


# --- parsing -------------------------------------------------------------------------------


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
    """A regular expression for the texts of a field."""
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
        """The values by letter (variants of one field have one letter).

        Args:
            whole: the pattern must cover the whole text; else more may follow.

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
    """The value that a field's text means, and its letter (variants of one field have one letter)."""
    letter, count = field.letter, field.count
    match letter:
        case "u" | "y" | "Y":
            return letter, int(text) + (2000 if count == 2 else 0)
        case "M" | "L":
            return "M", _index(MONTHS, text) if count >= 3 else int(text)
        case "E":
            return "E", _index(WEEKDAYS, text)
        case "e" | "c":
            return "E", _index(WEEKDAYS, text) if count >= 3 else (int(text) + 5) % 7 + 1
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
            return "zone", zone_of(text)
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
"""The lowest and the highest value by letter; for others 0 and 1."""


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
    """Milliseconds of the day, and 1 if 24:00 was meant, which is the next day's midnight."""
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
    """The parser of a pattern.  Raises: ValueError, if texts cannot be parsed by it."""
    return _Parser(pattern)


def parse_date(pattern: str, text: str, whole: bool = True) -> int:
    """Parse a date into days since the epoch.

    Args:
        whole: the pattern must cover the whole text; else more may follow.

    Raises:
        ValueError: the text does not match, or the pattern has a time of day.
    """
    fields = parser_of(pattern).fields(text, whole)
    if not TIME_LETTERS.isdisjoint(fields):
        raise ValueError(f"a date's pattern must not hold a time: {pattern!r}")
    return _resolved(fields, text).days


def parse_time(pattern: str, text: str) -> int:
    """Parse a time into milliseconds of the day.

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
    """A function from text to milliseconds since the epoch.

    Args:
        zone: used if the text has no zone or offset of its own.

    Raises:
        ValueError: a bad pattern or zone; the returned function raises it for bad texts.
    """
    parser = parser_of(pattern)
    default = zone if isinstance(zone, Zone) else zone_of(zone)

    def to_ms(text: str) -> int:
        parsed = _resolved(parser.fields(text), text)
        return (parsed.zone or default).to_instant(parsed.local_ms())

    return to_ms


# --- formatting ----------------------------------------------------------------------------


def format_local(pattern: str, local_ms: int, allowed: frozenset[str] | None = None) -> str:
    """A local time as text.

    Args:
        local_ms: the local time in milliseconds, as if it were UTC.
        allowed: the letters that the value has.

    Raises:
        ValueError: a bad pattern, or a letter that the value does not have.
    """
    days, time_ms = divmod(local_ms, DAY_MS)
    parts = printed_parts(pattern, allowed)
    return "".join(p.text if isinstance(p, LiteralText) else _format_local_field(p, days, time_ms) for p in parts)


def format_timestamp(pattern: str, instant_ms: int, zone: Zone = UTC_ZONE) -> str:
    """An instant as text in a zone."""
    days, time_ms = divmod(instant_ms + zone.offset_ms(instant_ms), DAY_MS)
    parts = printed_parts(pattern)
    return "".join(p.text if isinstance(p, LiteralText) else format_field(p, days, time_ms, instant_ms, zone) for p in parts)


@lru_cache(maxsize=512)
def printed_parts(pattern: str, allowed: frozenset[str] | None = None) -> tuple[LiteralText | Field, ...]:
    """The parts that formatting writes, in order; optional ones too.

    Args:
        allowed: the letters that the value has.

    Raises:
        ValueError: a bad pattern, or a letter that the value does not have.
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
    """A field of a local date and time; those of a zone are UTC's."""
    return format_field(field, days, time_ms, days * DAY_MS + time_ms, UTC_ZONE)


def format_field(field: Field, days: int, time_ms: int, instant_ms: int, zone: Zone) -> str:
    """The text of a field of an instant whose local date and time are given."""
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
    """By the count of X: +02 or +0230, +0200, +02:00, then the same two with seconds if there are any."""
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
