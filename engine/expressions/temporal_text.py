"""Reads and writes dates, times and timestamps as ISO text.  Trailing parts of a text may be missing.

A timestamp is ``yyyy[-MM[-dd[THH[:mm[:ss[.S..]]]]]]`` with an optional ``Z`` or ``+hh[:]mm``.  A missing part has its
smallest value, and a missing zone is UTC.  Digits after the millisecond are dropped.  ``T24`` is the end of the day.
"""

from __future__ import annotations

import datetime
import re

from ...storage.values.time_units import DAY_MS
from ..java.text import BLANKS
from ..java.zones import offset_of

_DATE = re.compile(r"([+-]?\d{1,9})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", re.ASCII)
_TIME = re.compile(r"(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?", re.ASCII)
_ZONE = re.compile(r"(Z|z|[+-]\d{2}(?::?\d{2})?)$", re.ASCII)
_TIME_OF_DAY = re.compile(r"(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?", re.ASCII)
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def parse_date(text: str) -> int:
    """Parse a date.

    Returns:
        the days since 1970-01-01.

    Raises:
        ValueError: the text is not a date.
    """
    match = _DATE.fullmatch(text.strip(BLANKS))
    if match is None:
        raise ValueError(f"'{text}' is not a date of the form yyyy-MM-dd")
    year, month, day = (int(part or 1) for part in match.groups())
    try:
        return datetime.date(year, month, day).toordinal() - _EPOCH
    except ValueError as error:
        raise ValueError(f"'{text}' is not a date: {error}") from None


def parse_time(text: str) -> int:
    """Parse a time, ``HH:mm[:ss[.S..]]``.

    Returns:
        the milliseconds since midnight.

    Raises:
        ValueError: the text is not a time.
    """
    match = _TIME_OF_DAY.fullmatch(text.strip(BLANKS))
    if match is None:
        raise ValueError(f"'{text}' is not a time of the form HH:mm:ss")
    return _milliseconds(match, text)


def _milliseconds(match: re.Match[str], text: str) -> int:
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"'{text}' is not a time")
    return ((hour * 60 + minute) * 60 + second) * 1000 + int((match[4] or "").ljust(3, "0")[:3])


def parse_timestamp(text: str) -> int:
    """Parse a timestamp.

    Returns:
        the milliseconds since 1970-01-01 UTC.

    Raises:
        ValueError: the text is not a timestamp.
    """
    stripped = text.strip(BLANKS)
    date_text, mark, time_text = stripped.partition("T")
    zone_ms = 0
    rest = time_text if mark else date_text
    zone = _ZONE.search(rest) if mark else re.search(r"[Zz]$", rest)
    if zone is not None:
        rest = rest[: zone.start()]
        word = zone[0]
        if word not in "Zz":
            offset = offset_of(word)
            if offset is None:
                raise ValueError(f"'{text}' has the offset {word}: they go from -18:00 to +18:00")
            zone_ms = offset
    if mark:
        time_text = rest
    else:
        date_text = rest
    try:
        days = parse_date(date_text)
    except ValueError:
        raise ValueError(_not_a_timestamp(text)) from None
    of_day = 0
    if mark and time_text:
        match = _TIME.fullmatch(time_text)
        if match is None:
            raise ValueError(_not_a_timestamp(text))
        of_day = DAY_MS if time_text.rstrip(":0.") == "24" else _milliseconds(match, text)
    return days * DAY_MS + of_day - zone_ms


def _not_a_timestamp(text: str) -> str:
    reason = f"'{text}' is not a timestamp of the form yyyy-MM-ddTHH:mm:ss.SSS"
    blank = re.fullmatch(r"(\d+-\d+-\d+) +(\d.*)", text.strip(BLANKS))
    return reason if blank is None else f"{reason}: a T stands before the time, '{blank[1]}T{blank[2]}'"


def format_date(days: int) -> str:
    """Write a date as ``yyyy-MM-dd``; outside of the years 1 to 9999 as the number of days since 1970-01-01."""
    try:
        return datetime.date.fromordinal(days + _EPOCH).isoformat()
    except (ValueError, OverflowError):
        return f"{days} days"


def format_time(of_day_ms: int) -> str:
    """Write a time as ``HH:mm:ss``, or ``HH:mm`` if the seconds are zero.  Milliseconds are dropped."""
    minutes, second = divmod(of_day_ms // 1000, 60)
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{second:02}" if second else text


def format_timestamp(milliseconds: int) -> str:
    """Write a timestamp as ``yyyy-MM-ddTHH:mm:ss.SSS``."""
    days, of_day_ms = divmod(milliseconds, DAY_MS)
    seconds, rest = divmod(of_day_ms, 1000)
    return f"{format_date(days)}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
