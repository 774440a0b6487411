"""Functions that work on whole columns give, for every row, what their meaning for one value gives."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.engine.functions import json_text, json_values, load_built_ins, numeric, splitting, temporal, text, url
from penstock.engine.java import decimals, time_formatting, time_parsing, time_patterns
from penstock.engine.java.text import from_units, to_units
from penstock.engine.java.time_columns import offsets_ms, to_instants
from penstock.engine.java.zones import zone_of
from penstock.runtime.kernel import Evaluated

DAY_MS = 86_400_000
ZONES = ("UTC", "+05:30", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca")
FIELDS = (
    *(
        "yyyy",
        "yy",
        "y",
        "u",
        "M",
        "MM",
        "MMM",
        "MMMM",
        "d",
        "dd",
        "D",
        "E",
        "EEEE",
        "Q",
        "QQQ",
        "w",
        "Y",
        "G",
        "H",
        "HH",
        "k",
    ),
    *("h", "K", "a", "m", "mm", "s", "ss", "S", "SSS", "SSSSSS", "n", "A", "X", "XXX", "Z", "z", "O", "VV"),
)
BETWEEN = (" ", "-", "/", ":", "'T'", "' at '", ".")
USUAL = (
    *("yyyy-MM-dd HH:mm:ss.SSS", "yyyy-MM-dd", "dd MMM yyyy HH:mm:ss Z", "EEE, d MMM y h:mm a", "[yyyy-]MM-dd", "HH:mm"),
    "yyyyMMdd'T'HHmmssX",
)
patterns = st.sampled_from(USUAL) | st.lists(
    st.tuples(st.sampled_from(FIELDS), st.sampled_from(BETWEEN)), min_size=1, max_size=6
).map(lambda parts: "".join(field + between for field, between in parts))
instants = (
    st.integers(-(10**13), 10**13)
    | st.integers(0, 2 * 10**12)
    | st.sampled_from([0, -1, DAY_MS, 2**62, -(2**63), 2**63 - 1])
)


def rows_of(made: Any) -> tuple[list[Any], dict[int, str]]:
    """Values (temporal ones as numbers) and reasons of failures by row."""
    evaluated = made if isinstance(made, Evaluated) else Evaluated(made)
    values = evaluated.values
    if pa.types.is_temporal(values.type):
        values = values.view(pa.int64() if values.type.bit_width == 64 else pa.int32())
    failures = evaluated.failures
    return values.to_pylist(), {} if failures is None else dict(zip(failures.rows.tolist(), failures.reasons, strict=True))


def one_by_one(function: Any, *columns: list[Any]) -> tuple[list[Any], dict[int, str]]:
    """What a function of single values gives, with failures; a null argument gives null."""
    values: list[Any] = []
    failed: dict[int, str] = {}
    for row, arguments in enumerate(zip(*columns, strict=True)):
        value = None
        if None not in arguments:
            try:
                value = function(*arguments)
            except (ValueError, OverflowError) as error:
                failed[row] = str(error)
        values.append(value)
    return values, failed


@settings(max_examples=150)
@given(patterns, st.lists(st.none() | instants, min_size=1, max_size=8), st.sampled_from(ZONES))
@example("dd MMM yyyy HH:mm:ss Z", [1603587600000, 1603591200000], "Europe/London")
def test_timestamps_as_text_and_back(pattern: str, values: list[int | None], zone: str) -> None:
    """FORMAT_TIMESTAMP is `time_formatting.format_timestamp` of each row, PARSE_TIMESTAMP `time_parsing.parse_timestamp`."""
    column = pa.array(values, pa.int64()).view(pa.timestamp("ms"))
    made = rows_of(temporal.format_timestamp(column, pa.scalar(pattern), pa.scalar(zone)))
    expected = one_by_one(lambda ms: time_formatting.format_timestamp(pattern, ms, zone_of(zone)), values)
    assert made == expected
    texts = [t if t is None or i % 3 else t + "x" for i, t in enumerate(made[0])] + [
        "",
        "30 Feb 2021",
        "2021-02-30 24:00:00.000",
    ]
    texts += [t.upper() for t in texts if t]
    parsed = rows_of(temporal.parse_timestamp(pa.array(texts, pa.string()), pa.scalar(pattern), pa.scalar(zone)))

    def parse(t: str) -> int:
        return int(np.int64(time_parsing.parse_timestamp(pattern, zone)(t)))  # int64 holds it, or it fails

    values_back, failed = one_by_one(parse, texts)
    assert parsed[1] == failed
    assert parsed[0] == values_back


@settings(max_examples=100)
@given(patterns, st.lists(st.none() | st.integers(-(10**6), 10**6), min_size=1, max_size=8))
def test_dates_and_times_as_text_and_back(pattern: str, values: list[int | None]) -> None:
    """FORMAT_DATE, FORMAT_TIME, PARSE_DATE, STRINGTODATE and PARSE_TIME, with patterns that suit and others."""
    days = pa.array(values, pa.int32()).view(pa.date32())
    times = [None if v is None else v * 977 % DAY_MS for v in values]
    clock = pa.array(times, pa.int32()).view(pa.time32("ms"))
    format_ = pa.scalar(pattern)
    registry = load_built_ins()

    def call(name: str, *arguments: Any) -> Any:
        function = registry.find(name)
        assert function is not None
        return rows_of(function.overloads[0].implementation(*arguments))

    local = time_formatting.format_local
    as_dates = one_by_one(lambda d: local(pattern, d * DAY_MS, time_patterns.DATE_LETTERS), values)
    as_times = one_by_one(lambda ms: local(pattern, ms, time_patterns.TIME_LETTERS), times)
    assert call("FORMAT_DATE", days, format_) == as_dates
    assert call("FORMAT_TIME", clock, format_) == as_times
    texts = [*as_dates[0], *as_times[0], *(f"{t} more" for t in as_dates[0] if t), "31 Feb 2020", "24:00", None]
    column = pa.array(texts, pa.string())
    small = range(-(2**31), 2**31)

    def days_of(whole: bool) -> Any:
        def day(t: str) -> int:
            if (found := time_parsing.parse_date(pattern, t, whole)) in small:
                return found
            raise ValueError("the date is out of range")

        return one_by_one(day, texts)

    assert call("PARSE_DATE", column, format_) == days_of(False)
    assert call("STRINGTODATE", column, format_) == days_of(True)
    assert call("PARSE_TIME", column, format_) == one_by_one(lambda t: time_parsing.parse_time(pattern, t), texts)


@pytest.mark.parametrize("name", ZONES)
def test_offsets_of_a_zone(name: str) -> None:
    """At any instant and for any local time, around changes of the clocks above all."""
    zone, chance = zone_of(name), random.Random(1)
    hours = [1_585_443_600_000 + h * 1_800_000 for h in range(-60, 60)] + [
        1_603_587_600_000 + h * 900_000 for h in range(-90, 90)
    ]
    times = [*hours, *(chance.randrange(-(4 * 10**12), 4 * 10**12) for _ in range(500)), -(10**15), 10**15]
    assert offsets_ms(zone, np.array(times)).tolist() == [zone.offset_ms(ms) for ms in times]
    assert to_instants(zone, np.array(times)).tolist() == [zone.to_instant(ms) for ms in times]


words = st.text(st.sampled_from("aZ\u00e9\u00df\u0130 \t\x1c-1_\U0001f600\u00a0"), max_size=8)


@given(st.lists(st.none() | words, min_size=1, max_size=8))
def test_case_of_text(texts: list[str | None]) -> None:
    """INITCAP, UCASE and LCASE over texts of which some are ASCII."""
    column = pa.array(texts, pa.string()).slice(1) if len(texts) > 1 else pa.array(texts, pa.string())
    given_texts = texts[1:] if len(texts) > 1 else texts

    def initcap(t: str) -> str:
        return re.sub(r"\S+", lambda word: word[0][:1].upper() + word[0][1:].lower(), t)

    assert text.initcap(column).to_pylist() == one_by_one(initcap, given_texts)[0]


MASKS = st.none() | st.sampled_from(("X", "\u00e9", "12"))


@given(
    st.lists(st.tuples(st.none() | words, st.none() | st.integers(-1, 9)), min_size=1, max_size=6),
    st.just(()) | st.tuples(MASKS, MASKS, MASKS, MASKS | st.just("")),
    st.booleans(),
)
def test_masks(rows: list[tuple[str | None, int | None]], given_masks: tuple[str | None, ...], literal: bool) -> None:
    """Each character in the part by its class; counts and masks as literals and as columns."""
    upper, lower, digit, other = (m and m[0] for m in given_masks or ("X", "x", "n", "-"))

    def masked(unit: str) -> str:
        sign = upper if unit.isupper() else lower if unit.islower() else digit if unit.isdecimal() else other
        return unit if sign is None else sign

    def part(name: str, size: int, count: int) -> range:
        from_end = max(size - count, 0)
        return {
            "MASK": range(size),
            "MASK_LEFT": range(min(count, size)),
            "MASK_RIGHT": range(from_end, size),
            "MASK_KEEP_LEFT": range(count, size),
            "MASK_KEEP_RIGHT": range(from_end),
        }[name]

    texts, counts = (pa.array(values, type_) for values, type_ in zip(zip(*rows), (pa.string(), pa.int32())))
    signs = [pa.scalar(m, pa.string()) for m in given_masks]
    columns = signs if literal else [pa.array([m] * len(rows), pa.string()) for m in given_masks]
    for name in ("MASK", "MASK_LEFT", "MASK_RIGHT", "MASK_KEEP_LEFT", "MASK_KEEP_RIGHT"):
        function = load_built_ins().find(name)
        assert function is not None
        arguments = (texts, *columns) if name == "MASK" else (texts, counts, *columns)
        expected: list[str | None] = []
        failed = []
        for row, (given_text, count) in enumerate(rows):
            no_count = name != "MASK" and (count is None or count < 0)
            if no_count or (given_text is not None and "" in given_masks):
                failed.append(row)
            if given_text is None or row in failed:
                expected.append(None)
            else:
                units = to_units(given_text)
                inside = part(name, len(units), count or 0)
                expected.append(from_units("".join(masked(u) if i in inside else u for i, u in enumerate(units))))
        values, reasons = rows_of(function.overloads[0].implementation(*arguments))
        assert (values, list(reasons)) == (expected, failed)


@given(
    st.lists(
        st.none()
        | st.floats(allow_subnormal=False)
        | st.decimals(-(10**6), 10**6, places=3).map(float)
        | st.sampled_from([0.5, 1.005, 2.675, -0.0, 1e300, 0.1 + 0.2, 1e15 + 0.3]),
        min_size=1,
        max_size=8,
    ),
    st.integers(-4, 17),
)
def test_places_of_doubles(values: list[float | None], places: int) -> None:
    """ROUND and TRUNC to decimal places are those of the number's text."""
    column = pa.array(values, pa.float64())
    for function, rounding in (
        (numeric.round_double_places, decimals.half_towards_infinity),
        (numeric.trunc_double_places, decimals.truncated),
    ):
        expected = one_by_one(lambda v, by=rounding: numeric._double_to_places(v, places, by), values)
        for count in (pa.scalar(places, pa.int32()), pa.array([places] * len(values), pa.int32())):
            found = rows_of(function(column, count))
            assert (list(map(repr, found[0])), found[1]) == (list(map(repr, expected[0])), expected[1])


PIECES = (
    "http",
    "://",
    "a.example",
    ":80",
    ":",
    "/",
    "/x%20y",
    "?",
    "a=1&b=%C3%A9",
    "#",
    "top",
    "@",
    "u:p@",
    " ",
    "%",
    "%zz",
)
PIECES += ("[::1]", "\u00e9", "mailto:", "-", "..", "?q", "#f", "x")


@settings(max_examples=200)
@given(st.lists(st.none() | st.lists(st.sampled_from(PIECES), max_size=8).map("".join), min_size=1, max_size=6))
@example(["http://a.example:80/x%20y?a=1&b=%C3%A9#top", "http://u:p@a.example", "http://a.example:99999999999", None])
def test_parts_of_urls(urls: list[str | None]) -> None:
    """What `_url` makes of each."""
    for part in ("scheme", "host", "port", "path", "query", "fragment"):
        found = rows_of(url._part_of(pa.array(urls, pa.string()), part)) if part != "port" else None
        expected = one_by_one(lambda u, p=part: getattr(url._url(u), p), urls)
        if found is not None:
            assert found == expected, part
        elif all(v is None or v < 2**31 for v in expected[0]):
            assert rows_of(url._part_of(pa.array(urls, pa.string()), part)) == expected


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(max_size=8) | documents.map(lambda v: json.dumps(v)) | documents.map(lambda v: json.dumps(v)[:-1]))
@example('"\\ud800"')
@example("[1E5, 0.10, -0, 123456789012345678901234567890]")
@example('{"a": 1, "a": 2}')
def test_json_texts(given_text: str) -> None:
    """The quick decoder and Python's agree on every text, and on which texts begin with JSON."""
    try:
        expected = json_values.EXACT._read_thoroughly(given_text)
    except ValueError:
        with pytest.raises(ValueError):
            json_values.parse(given_text)
        assert not json_text.is_json_string(given_text)
        return
    found = json_values.parse(given_text)
    assert repr(found) == repr(expected)
    assert json_text.is_json_string(given_text) == (found is not json_values.MISSING)
    if found is not json_values.MISSING and "\\u" not in given_text:
        assert json_values.parse(json_values.write(found)) == found


@given(st.decimals(-999, 999, places=2), st.integers(-5, 5))
def test_places_of_decimals(value: Decimal, places: int) -> None:
    """A column of places gives what a literal gives."""
    column = pa.array([value, None, value], pa.decimal128(9, 2))
    of_literal = rows_of(numeric.round_decimal_places(column, pa.scalar(places, pa.int32())))
    assert rows_of(numeric.round_decimal_places(column, pa.array([places] * 3, pa.int32()))) == of_literal


@settings(max_examples=200)
@given(
    st.lists(st.none() | st.text(st.sampled_from("a=;b\u00e9"), max_size=12), min_size=1, max_size=6),
    st.sampled_from(("", ";", "=", "a", "a;", "\u00e9")),
    st.sampled_from(("", ";", "=", "==", "b")),
)
@example(["a=1;b=2;a=3", None, "a==1;a", ""], ";", "=")
def test_split_to_map(texts: list[str | None], entry_delimiter: str, value_delimiter: str) -> None:
    """The entries, and their order, for delimiters of any length."""
    arguments = [pa.scalar(entry_delimiter), pa.scalar(value_delimiter)]
    made = splitting.split_to_map(pa.array([None, *texts], pa.string()).slice(1), *arguments).values
    made.validate(full=True)
    expected = [None if t is None else splitting._map(t, entry_delimiter, value_delimiter) for t in texts]
    assert made.to_pylist() == [None if e is None else list(e.items()) for e in expected]
