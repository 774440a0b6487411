"""Calendar arithmetic on integers: days since 1970-01-01 in the ISO calendar, for any year."""

from __future__ import annotations


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_length(year: int, month: int) -> int:
    return (29 if is_leap(year) else 28) if month == 2 else 30 if month in (4, 6, 9, 11) else 31


def days_of(year: int, month: int, day: int) -> int:
    """The number of days from 1970-01-01 to a date.  (The calculation lets years begin in March: a leap day then comes
    last.)
    """
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def date_of(days: int) -> tuple[int, int, int]:
    """The year, month and day of a number of days since the epoch."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + (3 if shifted_month < 10 else -9)
    year = year_of_era + era * 400 + (month <= 2)
    return year, month, day_of_year - (153 * shifted_month + 2) // 5 + 1


def weekday(days: int) -> int:
    """1 for Monday to 7 for Sunday."""
    return (days + 3) % 7 + 1


def day_of_year(days: int) -> int:
    return days - days_of(date_of(days)[0], 1, 1) + 1


def week_year_start(year: int) -> int:
    """The first day of a week-based year by US rules: the Sunday on or before January 1st."""
    first = days_of(year, 1, 1)
    return first - weekday(first) % 7


def week_of(days: int) -> tuple[int, int]:
    """The week-based year and the week of a day, by US rules."""
    year = date_of(days)[0]
    if days >= week_year_start(year + 1):
        year += 1
    return year, (days - week_year_start(year)) // 7 + 1
