"""Dates, times, timestamps, their patterns and zones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock
from penstock.engine.columns import calendar
from penstock.engine.java.time_columns import format_timestamps, parse_timestamps
from penstock.engine.java.time_formatting import format_timestamp
from penstock.engine.java.time_parsing import parse_timestamp
from penstock.engine.java.zones import zone_of
from penstock.runtime.clock import ManualClock, use_clock

Call = Callable[..., Any]
DAY = 86_400_000


@settings(max_examples=200, deadline=None)
@given(st.dates())
def test_the_calendar_is_pythons(day: date) -> None:
    """Days, weekdays, days of the year and leap years agree with Python's calendar."""
    days = (day - date(1970, 1, 1)).days
    assert calendar.days_of(day.year, day.month, day.day) == days
    assert calendar.date_of(days) == (day.year, day.month, day.day)
    assert calendar.weekday(days) == day.isoweekday()
    assert calendar.day_of_year(days) == day.timetuple().tm_yday


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("yyyy-MM-dd'T'HH:mm:ssX", "2018-05-11T21:58:33Z", "2018-05-11T21:58:33"),
        ("yyyy-MM-dd'T'HH:mm:ss.SX", "2019-08-27T13:31:09.2+0130", "2019-08-27T12:01:09.200"),
        ("yyyy-MM-dd HH:mm:ss XXX", "2019-08-27 13:31:09 -02:00", "2019-08-27T15:31:09"),
        ("yyyyMMddHHmmssSSS", "20200102030405678", "2020-01-02T03:04:05.678"),
        ("dd-MMM-yyyy", "01-jan-2022", "2022-01-01"),
        ("MMMM d, yyyy h:mm a", "August 7, 2022 12:05 am", "2022-08-07T00:05"),
        ("EEE, d MMM yyyy", "Mon, 3 Jan 2022", "2022-01-03"),
        ("yyyy-DDD", "2020-366", "2020-12-31"),
        ("yy/M/d", "20/2/3", "2020-02-03"),
        ("yyyy-MM-dd[ HH[:mm]]", "2020-02-03 04", "2020-02-03T04:00"),
        ("yyyy-MM-dd[ HH[:mm]]", "2020-02-03", "2020-02-03"),
        ("yyyy-MM-dd", "2021-02-31", "2021-02-28"),
        ("yyyy-MM-dd HH:mm", "2020-01-01 24:00", "2020-01-02"),
        ("kk:mm", "24:30", "1970-01-01T00:30"),
        ("HH:mm", "10:30", "1970-01-01T10:30"),
        ("yyyy", "2021", "2021-01-01"),
        ("uuuu-MM-dd G", "2021-01-01 AD", "2021-01-01"),
        ("yyyy-MM-dd HH:mm VV", "2020-07-01 12:30 Europe/London", "2020-07-01T11:30"),
        ("yyyy-MM-dd HH:mm VV", "2020-07-01 12:30 EUROPE/LONDON", "2020-07-01T11:30"),
        ("yyyy-MM-dd HH:mm VV", "2020-07-01 12:30 america/st_johns", "2020-07-01T15:00"),
        ("yyyy-MM-dd HH:mm zzz", "2018-05-11 14:58 PDT", "2018-05-11T21:58"),
        ("yyyy-MM-dd HH:mm zzzz", "2018-05-11 14:58 china standard time", "2018-05-11T06:58"),
        ("YYYY-'W'ww-e", "2018-W02-7", "2018-01-13"),
        ("yyyy-MM-dd HH:mm O", "2018-05-11 14:58 GMT+8", "2018-05-11T06:58"),
        ("''yyyy''", "'2021'", "2021-01-01"),
        ("YYYY-'W'ww-e", "2018-W19-6", "2018-05-11"),
        ("A", "1500", "1970-01-01T00:00:01.500"),
    ],
)
def test_parse(pattern: str, text: str, expected: str) -> None:
    """Every letter, optional sections, literals, and what a text leaves open."""
    instant = datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert parse_timestamp(pattern)(text) == round(instant.timestamp() * 1000)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd", "20-01-01"),
        ("yyyy-MM-dd", "12020-01-01"),
        ("yyyy-MM-dd", "2020-13-01"),
        ("yyyy-MM-dd", "2020-01-32"),
        ("yyyy-MM-dd", "2020-01-01 "),
        ("MM-dd", "02-29"),
        ("HH:mm", "25:00"),
        ("HH:mm:ss", "24:00:01"),
        ("yyyy-MM-dd E", "2020-01-01 Mon"),
        ("yyyy yyyy", "2020 2021"),
        ("yyyy-DDD", "2021-366"),
        ("yyyy-MM-dd VV", "2020-01-01 Mars/Olympus"),
        ("yyyy-MM-dd j", "2020-01-01 1"),
        ("yyyy 'open", "2020 open"),
        ("HHH", "001"),
        ("{yyyy}", "2020"),
    ],
)
def test_parse_fails(pattern: str, text: str) -> None:
    """Texts that do not match, are impossible or contradict themselves, and bad patterns, are errors."""
    with pytest.raises(ValueError):
        parse_timestamp(pattern)(text)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy-MM-dd HH:mm:ss zzz", "2018-05-11 14:58:33 PDT"),
        ("EEE, d MMM yy h:mm a Z", "Fri, 11 May 18 2:58 PM -0700"),
        ("EEEE MMMM MMMMM", "Friday May M"),
        ("uuuu-'W'ww-e D Q QQQ QQQQ G", "2018-W19-6 131 2 Q2 2nd quarter AD"),
        ("SSS SSSSSS S X XX XXX x ZZZZ ZZZZZ O", "123 123000 1 -07 -0700 -07:00 -07 GMT-07:00 -07:00 GMT-7"),
        ("VV zzzz", "America/Los_Angeles Pacific Daylight Time"),
        ("k K hh A", f"14 2 02 {((14 * 60 + 58) * 60 + 33) * 1000 + 123}"),
        ("W F ''''", "2 2 '"),
    ],
)
def test_format(pattern: str, expected: str) -> None:
    """Every letter in the other direction."""
    assert format_timestamp(pattern, 1526075913123, zone_of("America/Los_Angeles")) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))), min_size=1),
    st.sampled_from(
        ["yyyy-MM-dd'T'HH:mm:ss.SSS", "yyyyMMddHHmmssSSS", "dd/MM/yyyy HH:mm:ss.SSSX", "HH:mm:ss.SSSSSS uuuu-MM-dd"]
    ),
    st.sampled_from(["UTC", "+0530", "Europe/London"]),
)
def test_columns_there_and_back(moments: list[datetime | None], pattern: str, zone: str) -> None:
    """Columns are formatted like single values, and read back to the same instants."""
    if zone == "Europe/London":
        moments = [m and m.replace(year=1980 + m.year % 40, month=1, day=min(m.day, 28)) for m in moments]
    instants = [None if m is None else (m - datetime(1970, 1, 1)) // timedelta(milliseconds=1) for m in moments]
    place = zone_of(zone)
    column = pa.array(instants, pa.int64()).cast(pa.timestamp("ms"))
    texts = format_timestamps(column, pattern, place)
    assert texts.to_pylist() == [None if i is None else format_timestamp(pattern, i, place) for i in instants]
    values, missing, failures = parse_timestamps(texts, pattern, place)
    assert [None if gone else v for v, gone in zip(values.tolist(), missing.tolist())] == instants
    assert failures is None


def test_columns_mix_quick_and_slow_rows() -> None:
    """Rows of another layout, impossible and broken rows beside each other each get what they deserve."""
    texts = pa.array(["2020-01-01", None, "2020-02-31", "x", "2020-1-01", "2020-13-01", "1969-12-31"])
    values, missing, failures = parse_timestamps(texts.slice(1), "yyyy-MM-dd")
    assert missing.tolist() == [True, False, True, True, True, False]
    assert values.tolist()[1] == parse_timestamp("yyyy-MM-dd")("2020-02-29")
    assert values.tolist()[5] == -DAY
    assert failures is not None and failures.rows.tolist() == [2, 3, 4]


def test_parse_and_format_functions(call: Call, one: Call, fails: Call) -> None:
    """The functions read patterns and zones from literals and from columns."""
    rows = [("2018-05-11", "yyyy-MM-dd"), (None, "yyyy"), ("x", "yyyy"), ("05/2018", "MM/yyyy")]
    outcome = call("PARSE_TIMESTAMP", ["STRING", "STRING"], *rows)
    assert outcome.values == [1525996800000, None, None, 1525132800000] and list(outcome.failures) == [2]
    assert one("PARSE_TIMESTAMP", "STRING;STRING;STRING", "2018-05-11", "yyyy-MM-dd", "+0200") == 1525996800000 - 7_200_000
    assert one("FORMAT_TIMESTAMP", "TIMESTAMP;STRING;STRING", 0, "HH:mm z", "Europe/Paris") == "01:00 CET"
    assert "zone" in fails("FORMAT_TIMESTAMP", "TIMESTAMP;STRING;STRING", 0, "HH", "Nowhere")
    assert one("TIMESTAMPTOSTRING", "BIGINT;STRING;STRING", 0, "yyyy-MM-dd HH:mm", "UTC") == "1970-01-01 00:00"
    assert one("STRINGTOTIMESTAMP", "STRING;STRING;STRING", "1970-01-02", "yyyy-MM-dd", "UTC") == DAY
    machine = one("TIMESTAMPTOSTRING", "BIGINT;STRING", DAY, "yyyy-MM-dd HH:mm")
    assert one("STRINGTOTIMESTAMP", "STRING;STRING", machine, "yyyy-MM-dd HH:mm") == DAY


def test_dates_and_times_as_text(call: Call, one: Call, fails: Call) -> None:
    """Dates know no hours and times no days; text after a date is passed over by PARSE_DATE alone."""
    assert one("FORMAT_DATE", "DATE;STRING", 17662, "dd/MM/yyyy") == "11/05/2018"
    assert "does not have" in fails("FORMAT_DATE", "DATE;STRING", 1, "HH")
    assert one("FORMAT_TIME", "TIME;STRING", 3_723_004, "HH:mm:ss.SSS") == "01:02:03.004"
    assert "does not have" in fails("FORMAT_TIME", "TIME;STRING", 1, "dd")
    assert one("DATETOSTRING", "INT;STRING", -1, "dd-MM-yyyy'X'") == "31-12-1969X"
    assert one("PARSE_DATE", "STRING;STRING", "JAN-2022 and more", "MMM-yyyy") == 18993
    assert "match" in fails("STRINGTODATE", "STRING;STRING", "2022-01-01 x", "yyyy-MM-dd")
    assert one("STRINGTODATE", "STRING;STRING", "2022-01-01", "yyyy-MM-dd") == 18993
    assert "time" in fails("PARSE_DATE", "STRING;STRING", "2022-01-01 10", "yyyy-MM-dd HH")
    assert call("PARSE_TIME", ["STRING", "STRING"], ("01:02", "HH:mm"), (None, "HH")).values == [3_720_000, None]
    assert "date" in fails("PARSE_TIME", "STRING;STRING", "2022 10", "yyyy HH")
    assert "hour" in fails("PARSE_TIME", "STRING;STRING", "10", "mm")


def test_arithmetic(call: Call, one: Call) -> None:
    """Dates are cut to whole days, times go round at midnight, timestamps go on; null is null."""
    assert call("DATEADD", ["UNIT", "INT", "DATE"], ("DAY", -5, 2), ("DAY", None, 2), ("DAY", 1, None)).values == [
        -3,
        None,
        None,
    ]
    assert one("DATEADD", "UNIT;INT;DATE", "HOUR", 25, 10) == 11
    assert one("DATESUB", "UNIT;INT;DATE", "DAYS", 10, 5) == -5
    assert call("TIMEADD", ["UNIT", "INT", "TIME"], ("MILLISECOND", -5, 2), ("MILLISECOND", 5, 2)).values == [DAY - 3, 7]
    assert one("TIMESUB", "UNIT;INT;TIME", "DAY", 3, 77) == 77
    assert one("TIMESTAMPADD", "UNIT;INT;TIMESTAMP", "MINUTE", 2, -1) == 119_999
    assert one("TIMESTAMPSUB", "UNIT;INT;TIMESTAMP", "SECOND", 2, 0) == -2000


def test_numbers(call: Call, one: Call) -> None:
    """Days and milliseconds go in and out unchanged."""
    assert call("UNIX_DATE", ["DATE"], (-10,), (None,)).values == [-10, None]
    assert call("FROM_DAYS", ["INT"], (-10,), (None,)).values == [-10, None]
    assert call("UNIX_TIMESTAMP", ["TIMESTAMP"], (5,), (None,)).values == [5, None]
    assert call("FROM_UNIXTIME", ["BIGINT"], (5,), (None,)).values == [5, None]


def test_the_wall_clock_is_the_one_in_force(one: Call) -> None:
    """UNIX_TIMESTAMP() and UNIX_DATE() read the clock of `runtime.clock`."""
    with use_clock(ManualClock(3 * DAY + 7)):
        assert one("UNIX_TIMESTAMP", "") == 3 * DAY + 7
        assert one("UNIX_DATE", "") == 3


def test_convert_tz(one: Call, fails: Call) -> None:
    """The difference of two zones at the instant is added."""
    assert one("CONVERT_TZ", "TIMESTAMP;STRING;STRING", 100, "+0200", "+0500") == 10_800_100
    assert (
        one("CONVERT_TZ", "TIMESTAMP;STRING;STRING", 1589234313000, "America/Los_Angeles", "America/New_York")
        == 1589245113000
    )
    assert "zone" in fails("CONVERT_TZ", "TIMESTAMP;STRING;STRING", 0, "UTC", "Nowhere/Else")


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2021-03-28T01:30", "2021-03-28T01:30"),
        ("2021-10-31T01:30", "2021-10-31T00:30"),
        ("2021-07-01T12:00", "2021-07-01T11:00"),
    ],
)
def test_changes_of_clocks(local: str, expected: str) -> None:
    """A time left out moves on by the gap; one that occurs twice is the first."""
    instant = parse_timestamp("yyyy-MM-dd'T'HH:mm", "Europe/London")(local)
    assert datetime.fromtimestamp(instant / 1000, UTC).replace(tzinfo=None) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("call", ["DATEADD(MONTHS, 1, d)", "DATESUB(YEAR, 1, d)", "TIMESTAMPADD(WEEKS, 1, t)"])
def test_a_unit_that_a_function_does_not_count_in_is_refused(call: str) -> None:
    """It gave NULL in every row."""
    with penstock.connect() as db:
        db.execute("CREATE STREAM s (d DATE, t TIMESTAMP);")
        with pytest.raises(penstock.StatementError, match=r"does not count in .*DAYS, HOURS"):
            db.sql(f"SELECT {call} AS x FROM s")
        with pytest.raises(penstock.StatementError, match="does not count in"):
            db.execute(f"CREATE STREAM x AS SELECT {call} AS x FROM s;")


@pytest.mark.parametrize("text", ["2018-W02-8", "2018-W02-0", "2018-W02-45"])
def test_a_week_has_seven_days(text: str) -> None:
    """A number of a weekday is from 1 to 7, as Java has it; it went round."""
    with pytest.raises(ValueError, match="day of the week"):
        parse_timestamp("YYYY-'W'ww-e")(text)


@pytest.mark.parametrize(
    ("zone", "instant", "expected"),
    [
        ("Europe/Berlin", "10000-01-15 11:00", "+10000-01-15 12:00 +01:00"),
        ("Europe/Berlin", "10000-07-15 10:00", "+10000-07-15 12:00 +02:00"),
        ("America/Santiago", "12345-07-15 12:00", "+12345-07-15 08:00 -04:00"),
        ("America/Santiago", "12345-01-15 12:00", "+12345-01-15 09:00 -03:00"),
        ("Asia/Tokyo", "50000-07-15 00:00", "+50000-07-15 09:00 +09:00"),
    ],
)
def test_clocks_change_beyond_the_year_9999(zone: str, instant: str, expected: str) -> None:
    """As Java's rules of a zone, which have no end; and back again."""
    year, rest = instant.split("-", 1)
    years = (int(year) - 2000) // 400 * 400
    near = datetime.fromisoformat(f"{int(year) - years}-{rest}+00:00")
    millis = int(near.timestamp()) * 1000 + years // 400 * 146_097 * DAY
    shown = format_timestamp("uuuu-MM-dd HH:mm XXX", millis, zone_of(zone))
    assert shown == expected
    assert parse_timestamp("uuuu-MM-dd HH:mm", zone)(shown[:-7]) == millis
    column = pa.array([millis, None], pa.timestamp("ms"))
    assert format_timestamps(column, "uuuu-MM-dd HH:mm XXX", zone_of(zone)).to_pylist() == [expected, None]


@pytest.mark.parametrize("instant", [1_700_000_000_000, 1_720_000_000_000])
def test_a_long_name_means_one_offset(instant: int) -> None:
    """Clocks in Dublin do not show India's time, nor those in Shanghai that of Chicago, which have the same short names."""
    offsets: dict[str, set[int]] = {}
    for name in available_timezones():
        zone = zone_of(name)
        if zone.fixed_ms is None and zone.long_name(instant) != name:
            offsets.setdefault(zone.long_name(instant), set()).add(zone.offset_ms(instant))
    assert len(offsets) > 20 and {n: o for n, o in offsets.items() if len(o) > 1} == {}
    assert zone_of("Europe/Dublin").long_name(1_720_000_000_000) == "Irish Standard Time"
