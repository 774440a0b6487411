"""Text functions: UTF-16 units, nulls, edges."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.java.text import from_units, to_units
from penstock.storage.values.java_doubles import format_double

One = Callable[..., Any]
HAN = "𘊸"
"""A character of two UTF-16 units."""


def test_case(call: One) -> None:
    """Case changes for all of Unicode, also where the length does."""
    assert call("UCASE", ["STRING"], ("abC1",), (None,), ("straße",)).values == ["ABC1", None, "STRASSE"]
    assert call("LCASE", ["STRING"], ("ÄBC",)).values == ["äbc"]
    assert call("UCASE", ["STRING"], ("abC1",)).values == ["ABC1"]


def test_initcap_and_trim(one: One) -> None:
    """Words end at white space only; TRIM takes control characters away, but no non-breaking space."""
    assert one("INITCAP", "STRING", "the   Quick br0wn_fOx  ") == "The   Quick Br0wn_fox  "
    assert one("TRIM", "STRING", " \t\x00a b\x1f\n") == "a b"
    assert one("TRIM", "STRING", "\xa0a") == "\xa0a"


def test_length_counts_units(call: One) -> None:
    """A character beyond U+FFFF counts twice; BYTES count bytes."""
    assert call("LEN", ["STRING"], ("abc",), (f"ä{HAN}b",), (None,), ("",), (HAN * 3,)).values == [3, 4, None, 0, 6]
    assert call("LEN", ["BYTES"], (b"abc",), (None,)).values == [3, None]


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (6, None, "string"),
        (1, 4, "some"),
        (0, 2, "so"),
        (-6, 3, "str"),
        (-100, 2, "so"),
        (12, 3, ""),
        (3, 0, ""),
        (3, -1, ""),
        (100, None, ""),
        (6, 100, "string"),
        (-3, None, "ing"),
    ],
)
def test_substring(call: One, start: int, length: int | None, expected: str) -> None:
    """Positions count from 1, or from the end; what is out of range is clamped; BYTES go the same way."""
    rest = ["INT"] if length is None else ["INT", "INT"]
    row = ("some string".replace(" ", "_"), start, *([] if length is None else [length]))
    expected = expected.replace(" ", "_")
    assert call("SUBSTRING", ["STRING", *rest], row, row).values == [expected] * 2
    assert call("SUBSTRING", ["BYTES", *rest], (row[0].encode(), *row[1:])).values == [expected.encode()]


@settings(max_examples=100, deadline=None)
@given(st.text("ab𘊸ä", max_size=6), st.integers(-8, 8), st.integers(-1, 8))
def test_substring_is_that_of_utf16(text: str, start: int, length: int) -> None:
    """Slicing by UTF-16 units agrees with slicing the encoded text, half characters becoming question marks."""
    from penstock.engine.functions.text import _part_of_text

    data = text.encode("utf-16-le")
    units = len(data) // 2
    begin = max(units + start, 0) if start < 0 else min(max(start - 1, 0), units)
    piece = data[begin * 2 : max(begin + length, begin) * 2].decode("utf-16-le", "surrogatepass")
    assert _part_of_text(text, start, length) == re.sub("[\ud800-\udfff]", "?", piece)


def test_substring_with_nulls_in_arguments(call: One) -> None:
    """A null position or length gives null."""
    assert call("SUBSTRING", ["STRING", "INT"], ("abc", None), ("abc", 2)).values == [None, "bc"]
    assert call("SUBSTRING", ["STRING", "INT", "INT"], ("abc", 1, None)).values == [None]


def test_concat_leaves_nulls_out(call: One) -> None:
    """CONCAT and CONCAT_WS pass nulls over; only a null separator makes the result null."""
    assert call("CONCAT", ["STRING"] * 3, ("a", None, "b"), (None, None, None)).values == ["ab", ""]
    assert call("CONCAT", ["BYTES"] * 2, (b"a", b"b"), (None, b"c")).values == [b"ab", b"c"]
    rows = [("-", "a", None, "b"), (None, "a", "b", "c"), ("-", None, None, None)]
    assert call("CONCAT_WS", ["STRING"] * 4, *rows).values == ["a-b", None, ""]
    assert call("CONCAT_WS", ["BYTES"] * 3, (b",", b"", b"x")).values == [b",x"]


def test_replace(call: One) -> None:
    """All occurrences are replaced, the pieces are not patterns; null anywhere is null."""
    rows = [("a.c.", ".", "$1"), ("anaconda", "a", "o"), (None, "a", "b"), ("a", None, "b"), ("ab", "", "-")]
    assert call("REPLACE", ["STRING"] * 3, *rows).values == ["a$1c$1", "onocondo", None, None, "-a-b-"]


@pytest.mark.parametrize(
    ("position", "occurrence", "expected"),
    [
        (1, 1, 2),
        (4, 1, 5),
        (4, 2, 14),
        (-4, 1, 5),
        (-4, 2, 2),
        (1, 4, 0),
        (0, 1, 0),
        (-100, 1, 0),
        (1, 0, 0),
        (-1, 1, 14),
    ],
)
def test_instr(one: One, position: int, occurrence: int, expected: int) -> None:
    """Search goes forwards from a position, or backwards from one counted from the end."""
    text = "corporate floor"
    assert one("INSTR", "STRING;STRING;INT;INT", text, "or", position, occurrence) == expected


def test_instr_of_null_is_zero(one: One) -> None:
    """Null is nowhere; occurrences may overlap."""
    assert one("INSTR", "STRING;STRING", None, "or") == 0
    assert one("INSTR", "STRING;STRING", "aaa", "b") == 0
    assert one("INSTR", "STRING;STRING;INT;INT", "aaa", "aa", 1, 2) == 2
    assert one("INSTR", "STRING;STRING", f"{HAN}b", "b") == 3


def test_padding(call: One) -> None:
    """Text is padded, or cut; a negative length or empty padding gives null."""
    rows = [
        ("foo", 7, "Bar"),
        ("foo", 2, "Bar"),
        ("foo", -1, "Bar"),
        ("foo", 7, ""),
        ("foo", None, "x"),
        ("", 4, "Bar"),
    ]
    assert call("LPAD", ["STRING", "INT", "STRING"], *rows).values == ["BarBfoo", "fo", None, None, None, "BarB"]
    assert call("RPAD", ["STRING", "INT", "STRING"], *rows).values == ["fooBarB", "fo", None, None, None, "BarB"]
    assert call("LPAD", ["BYTES", "INT", "BYTES"], (b"yes", 5, b"no"), (b"yes", 0, b"no")).values == [b"noyes", b""]


def test_split(call: One) -> None:
    """Empty pieces stay; an empty delimiter gives characters."""
    rows = [("a.b", "."), ("..", "."), ("", "."), (None, "."), ("abc", "")]
    assert call("SPLIT", ["STRING", "STRING"], *rows).values == [["a", "b"], ["", "", ""], [""], None, ["a", "b", "c"]]
    assert call("SPLIT", ["STRING", "STRING"], ("a$$b", "$$"), ("c", "$$")).values == [["a", "b"], ["c"]]
    assert call("SPLIT", ["BYTES", "BYTES"], (b"a,b", b","), (b"", b",")).values == [[b"a", b"b"], [b""]]


def test_split_to_map(call: One) -> None:
    """Entries without a value are left out, the last of equal keys counts, bad delimiters give null."""
    rows = [("a:1/b:2//a:3/c", "/", ":"), ("a:1", "", ":"), ("a:1", ":", ":"), ("a:1:2", "/", ":"), ("a", None, ":")]
    assert call("SPLIT_TO_MAP", ["STRING"] * 3, *rows).values == [{"a": "3", "b": "2"}, None, None, {"a": "1"}, None]


def test_elt_and_field(call: One) -> None:
    """ELT undoes FIELD; out of range is null, absent is 0."""
    assert call("ELT", ["INT", "STRING", "STRING"], (1, "a", "b"), (3, "a", "b"), (0, "a", "b")).values == [
        "a",
        None,
        None,
    ]
    assert call("FIELD", ["STRING"] * 3, ("b", "a", "b"), (None, None, "b"), ("x", "a", "b")).values == [2, 0, 0]


def test_chr(call: One, fails: One) -> None:
    """Code points by number or escape; what is none is null, a broken escape fails."""
    assert call("CHR", ["INT"], (75,), (99000,), (-1,), (0x110000,), (0xD800,)).values == ["K", HAN, None, None, "?"]
    rows = [("\\u004b",), ("\\ud820\\udeb8",), ("75",), ("",), ("bogus!",)]
    assert call("CHR", ["STRING"], *rows).values == ["K", HAN, None, None, None]
    assert "hexadecimal" in fails("CHR", "STRING", "\\u00zz")


def test_hashes_and_identifiers(one: One) -> None:
    """MD5 is lower-case hexadecimal; a UUID is random or made of 16 bytes."""
    assert one("MD5", "STRING", "") == "d41d8cd98f00b204e9800998ecf8427e"
    assert one("UUID", "BYTES", bytes(range(16))) == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert one("UUID", "BYTES", b"short") is None
    assert one("UUID", "") != one("UUID", "")


def test_mask(one: One, fails: One) -> None:
    """Each class has its sign; NULL leaves a class, an empty mask fails; characters of two units become two signs."""
    masks = ";STRING;STRING;STRING;STRING"
    assert one("MASK", "STRING", "My Test $123") == "Xx-Xxxx--nnn"
    assert one("MASK", "STRING", HAN) == "--"
    assert one("MASK", "STRING" + masks, "aB1-", None, "*", "#", None) == "*B#-"
    assert one("MASK", "STRING", None) is None
    assert "character" in fails("MASK", "STRING" + masks, "a", "", "b", "c", "d")


def test_masks_of_a_part(one: One, fails: One) -> None:
    """The four variants mask the first, the last, or all but those."""
    row = ("STRING;INT", "My Test $123", 5)
    assert one("MASK_LEFT", *row) == "Xx-Xxst $123"
    assert one("MASK_RIGHT", *row) == "My Test--nnn"
    assert one("MASK_KEEP_LEFT", *row) == "My Texx--nnn"
    assert one("MASK_KEEP_RIGHT", *row) == "Xx-Xxxx $123"
    assert one("MASK_RIGHT", "STRING;INT", "ab", 50) == "xx"
    assert "0 or more" in fails("MASK_LEFT", "STRING;INT", "ab", -1)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=8))
def test_units_there_and_back(text: str) -> None:
    """Splitting characters into units and joining them again changes nothing."""
    assert from_units(to_units(text)) == text
    assert len(to_units(text)) == len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, "1.0"),
        (1e7, "1.0E7"),
        (9999999.0, "9999999.0"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (-123.456, "-123.456"),
        (-0.0, "-0.0"),
        (1.5e300, "1.5E300"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_doubles_are_written_like_java(value: float, expected: str) -> None:
    """Plain notation from 0.001 up to 10 million, else with an exponent."""
    assert format_double(value) == expected


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_written_doubles_read_back(value: float) -> None:
    """The text of a double is its value."""
    assert float(format_double(value)) == value
