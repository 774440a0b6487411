"""Time zones as Java names them: regions (``Europe/London``), offsets (``+0200``, ``-05:30``) and ``UTC+2``."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from ...storage.values.time_units import DAY_MS, HOUR_MS

_OFFSET = re.compile(r"([+-])(\d\d?)(?::(\d\d)(?::(\d\d))?|(\d\d)(\d\d)?)?")
OFFSET_MAX_MS = 18 * HOUR_MS
"""The largest offset from UTC that Java's zones have: 18 hours, in milliseconds."""
_EPOCH = datetime(1970, 1, 1)
_FIRST_MS = int((datetime(1, 1, 3) - _EPOCH).total_seconds() * 1000)
_LAST_MS = int((datetime(9999, 12, 29) - _EPOCH).total_seconds() * 1000)
"""The last instant of Python's calendar."""
_CYCLE_MS = 146_097 * DAY_MS
"""400 years.  After that the calendar repeats, with its weekdays, and so do the rules by which clocks change."""

_LONG_NAMES = {
    "UTC": "Coordinated Universal Time",
    "GMT": "Greenwich Mean Time",
    "BST": "British Summer Time",
    "IST": "India Standard Time",
    "WET": "Western European Standard Time",
    "WEST": "Western European Summer Time",
    "CET": "Central European Standard Time",
    "CEST": "Central European Summer Time",
    "EET": "Eastern European Standard Time",
    "EEST": "Eastern European Summer Time",
    "MSK": "Moscow Standard Time",
    "JST": "Japan Standard Time",
    "KST": "Korean Standard Time",
    "AEST": "Australian Eastern Standard Time",
    "AEDT": "Australian Eastern Daylight Time",
    "NZST": "New Zealand Standard Time",
    "NZDT": "New Zealand Daylight Time",
    "EST": "Eastern Standard Time",
    "EDT": "Eastern Daylight Time",
    "CST": "Central Standard Time",
    "CDT": "Central Daylight Time",
    "MST": "Mountain Standard Time",
    "MDT": "Mountain Daylight Time",
    "PST": "Pacific Standard Time",
    "PDT": "Pacific Daylight Time",
    "AKST": "Alaska Standard Time",
    "AKDT": "Alaska Daylight Time",
    "HST": "Hawaii-Aleutian Standard Time",
}
_OTHERS_SHORT_NAMES: dict[str, dict[str, str]] = {
    "IST": {
        "Europe/Dublin": "Irish Standard Time",
        "Eire": "Irish Standard Time",
        "Asia/Jerusalem": "Israel Standard Time",
        "Asia/Tel_Aviv": "Israel Standard Time",
        "Israel": "Israel Standard Time",
    },
    "CST": {
        "Asia/Shanghai": "China Standard Time",
        "Asia/Macau": "China Standard Time",
        "Asia/Macao": "China Standard Time",
        "Asia/Chongqing": "China Standard Time",
        "Asia/Chungking": "China Standard Time",
        "Asia/Harbin": "China Standard Time",
        "PRC": "China Standard Time",
        "Asia/Taipei": "Taipei Standard Time",
        "ROC": "Taipei Standard Time",
        "America/Havana": "Cuba Standard Time",
        "Cuba": "Cuba Standard Time",
    },
    "CDT": {"America/Havana": "Cuba Daylight Time", "Cuba": "Cuba Daylight Time"},
    "PST": {"Asia/Manila": "Philippine Standard Time"},
}
"""Long names of short names that do not have their usual meaning (`_LONG_NAMES`) in a zone, by the zone's identifier."""
_REGIONS = {
    "GMT": "GMT",
    "BST": "Europe/London",
    "IST": "Asia/Kolkata",
    "WET": "Europe/Lisbon",
    "WEST": "Europe/Lisbon",
    "CET": "Europe/Paris",
    "CEST": "Europe/Paris",
    "EET": "Europe/Athens",
    "EEST": "Europe/Athens",
    "MSK": "Europe/Moscow",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "AKST": "America/Anchorage",
    "AKDT": "America/Anchorage",
    "HST": "Pacific/Honolulu",
}
"""The region that a short name in a text means.  Short names are ambiguous; these are the usual meanings."""


class Zone:
    """A time zone.

    Attributes:
        name: the identifier.
        fixed_ms: the offset from UTC in milliseconds, if it is always the same; otherwise None.
    """

    def __init__(self, name: str, info: tzinfo | None, fixed_ms: int | None = None) -> None:
        self.name = name
        self.fixed_ms = fixed_ms
        self._info = info

    def _at(self, instant_ms: int) -> datetime:
        instant = _EPOCH + timedelta(milliseconds=_in_calendar(instant_ms))
        return instant.replace(tzinfo=UTC).astimezone(self._info)

    def offset_ms(self, instant_ms: int) -> int:
        """The offset from UTC at an instant, in milliseconds."""
        if self.fixed_ms is not None:
            return self.fixed_ms
        seconds = _in_calendar(instant_ms) // 1000
        if self._info is None:
            return time.localtime(seconds).tm_gmtoff * 1000
        return _milliseconds(datetime.fromtimestamp(seconds, self._info).utcoffset())

    def to_instant(self, local_ms: int) -> int:
        """The instant of a local time, which is given as if it were UTC.  Both are milliseconds.

        If a local time occurs twice, the first one is meant.  If a clock change skips it, it moves forward by the length of
        the gap.
        """
        if self.fixed_ms is not None:
            return local_ms - self.fixed_ms
        local = _EPOCH + timedelta(milliseconds=_in_calendar(local_ms))
        zoned = local.astimezone() if self._info is None else local.replace(tzinfo=self._info)
        return local_ms - _milliseconds(zoned.utcoffset())

    def short_name(self, instant_ms: int) -> str:
        """A name such as ``PDT``; the identifier if the zone has no short name."""
        if self.fixed_ms is not None:
            return self.name
        name = self._at(instant_ms).tzname() or ""
        return name if name.isalpha() else self.name

    def long_name(self, instant_ms: int) -> str:
        """A name such as ``Pacific Daylight Time``; the identifier if no long name is known."""
        short = self.short_name(instant_ms)
        return _OTHERS_SHORT_NAMES.get(short, {}).get(self.name) or _LONG_NAMES.get(short, self.name)


def _in_calendar(time_ms: int) -> int:
    """A time within Python's calendar at which the zone's clocks have the same offset.

    Before the calendar begins, clocks show local mean time, as at its beginning.
    """
    cycles = max(-((_LAST_MS - time_ms) // _CYCLE_MS), 0)
    return max(time_ms - cycles * _CYCLE_MS, _FIRST_MS)


def _milliseconds(offset: timedelta | None) -> int:
    return 0 if offset is None else int(offset.total_seconds() * 1000)


UTC_ZONE = Zone("UTC", UTC, 0)
SYSTEM_ZONE = Zone("SYSTEM", None)
"""The time zone that this machine uses."""


def offset_of(text: str) -> int | None:
    """The milliseconds of an offset such as ``+2``, ``+0200`` or ``-05:30:00``; None if the text is not an offset."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = int(match[2]), int(match[3] or match[5] or 0), int(match[4] or match[6] or 0)
    milliseconds = ((hours * 60 + minutes) * 60 + seconds) * 1000
    if minutes > 59 or seconds > 59 or milliseconds > OFFSET_MAX_MS:
        return None
    return -milliseconds if match[1] == "-" else milliseconds


def offset_name(offset_ms: int) -> str:
    """An offset as text, such as ``+02:00``; ``Z`` for zero."""
    if offset_ms == 0:
        return "Z"
    minutes, seconds = divmod(abs(offset_ms) // 1000, 60)
    end = f":{seconds:02}" if seconds else ""
    return f"{'-' if offset_ms < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}{end}"


def fixed_zone(offset_ms: int, name: str | None = None) -> Zone:
    return Zone(name or offset_name(offset_ms), timezone(timedelta(milliseconds=offset_ms)), offset_ms)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> Zone:
    """The zone with this identifier.

    Raises:
        ValueError: there is none.
    """
    if name in ("UTC", "GMT", "UT"):
        return Zone(name, UTC, 0)
    prefix = next((p for p in ("UTC", "GMT", "UT") if name.startswith(p)), "")
    if name in ("Z", "z"):
        return fixed_zone(0)
    offset = offset_of(name[len(prefix) :])
    if offset is not None:
        return fixed_zone(offset, f"{prefix}{offset_name(offset)}" if prefix and offset else prefix or None)
    try:
        return Zone(name, ZoneInfo(name))
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(f"unknown time zone {name!r}") from error


def zone_in_any_case(text: str) -> Zone:
    """The zone with this identifier, in capital or small letters.  Texts are read so.

    Raises:
        ValueError: there is none.
    """
    try:
        return zone_of(text)
    except ValueError:
        known = _identifiers().get(text.upper())
        return zone_of(known or text.upper())


@lru_cache(maxsize=1)
def _identifiers() -> dict[str, str]:
    """All identifiers of regions, by their capital letters."""
    return {name.upper(): name for name in available_timezones()}


def zone_of_text(text: str) -> Zone:
    """The zone that a text means by a short name, a long name or an identifier.

    Raises:
        ValueError: there is none.
    """
    upper = text.upper()
    if upper in _REGIONS:
        return zone_of(_REGIONS[upper])
    for short, long in _LONG_NAMES.items():
        if long.upper() == upper:
            return zone_of(_REGIONS.get(short, short))
    for regions in _OTHERS_SHORT_NAMES.values():
        for name, long in regions.items():
            if long.upper() == upper:
                return zone_of(name)
    return zone_in_any_case(text)


ZONE_TEXT = "|".join(
    [
        re.escape(name)
        for name in sorted(
            {*_LONG_NAMES.values(), *(name for names in _OTHERS_SHORT_NAMES.values() for name in names.values())},
            key=lambda name: (-len(name), name),
        )
    ]
    + [r"[A-Za-z][A-Za-z0-9~/._]+(?:[+-]\d{1,2}(?::?\d\d)?)?", r"[+-]\d\d?(?::?\d\d){0,2}", "Z"]
)
"""A regular expression for the text of a zone."""
