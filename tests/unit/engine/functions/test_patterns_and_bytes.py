"""Regular expressions in Java's dialect, URLs, bytes, and functions about null."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from penstock.engine.java.regex_matching import compile_java

Call = Callable[..., Any]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a.c", "a\rc", None),
        ("(?s)a.c", "a\rc", "a\rc"),
        ("[a-z&&[^aeiou]]+", "aeihello", "h"),
        ("[^a-y&&[^0-9]]+", "abz1", "z1"),
        (r"(?<y>\d+)-\k<y>", "12-12", "12-12"),
        (r"\Qa.b\E+", "a.bbb", "a.bbb"),
        ("a(?i)b|C", "xc", "c"),
        ("a(?i)b", "Ab", None),
        (r"[\w.-]+@\p{L}+", "x.y-z@ä", "x.y-z@ä"),
        (r"\w+", "äb", "b"),
        (r"(?U)\w+", "äb", "äb"),
        ("^b$", "a\nb", None),
        ("(?m)^b$", "a\nb\rc", "b"),
        ("b$", "b\r\n", "b"),
        (r"b\z", "b\n", None),
        ("x++x", "xxx", None),
        ("[]a]+", "a]", "a]"),
        (r"\x{1F600}|\u0041|\07", "A", "A"),
        (r"(a)\1\2", "aa", None),
        ("[[a-c][x-z]]+", "maxz", "axz"),
        (r"\p{Punct}\P{Lu}", "A!a", "!a"),
        (r"(?x) a b # comment", "ab", "ab"),
        (r"\R\h", "a\r\n\t", "\r\n\t"),
        ("(?i)É", "é", None),
        ("(?iu)É", "é", "é"),
    ],
)
def test_java_regex(pattern: str, text: str, expected: str | None) -> None:
    """What differs from Python's dialect finds what Java finds."""
    found = compile_java(pattern).search(text)
    assert (found[0] if found else None) == expected


@pytest.mark.parametrize(
    "pattern", ["(a", "a)", "*a", "a{", r"\G", "(?<=a+)b", r"\y", "[a", "a\\", "(?P<n>a)", r"\p{Klingon}"]
)
def test_bad_regex_is_refused(pattern: str) -> None:
    """What is not Java's, or what Python's engine lacks, raises and names the pattern."""
    with pytest.raises(ValueError, match="bad regular expression"):
        compile_java(pattern)


def test_extract(call: Call, fails: Call) -> None:
    """The first match or its group; no such group is null, a negative one fails."""
    rows = [("(.*) (.*)", "a b", 2), ("(.*) (.*)", "ab", 2), ("a", "a", 1), (None, "a", 0), ("(x)?a", "a", 1)]
    assert call("REGEXP_EXTRACT", ["STRING", "STRING", "INT"], *rows).values == ["b", None, None, None, None]
    assert "0 or more" in fails("REGEXP_EXTRACT", "STRING;STRING;INT", "a", "a", -1)
    assert "bad regular" in fails("REGEXP_EXTRACT", "STRING;STRING", "(", "a")
    rows = [(r"(\w+) (\w*)", "a b c d", 2), ("x", "a", 0), ("x", "x", 3)]
    assert call("REGEXP_EXTRACT_ALL", ["STRING", "STRING", "INT"], *rows).values == [["b", "d"], [], None]


def test_replace(call: Call, fails: Call) -> None:
    """Replacements may name groups and escape signs."""
    rows = [
        ("baab", "(a)(a)", "<$2$1>"),
        ("ab", "(?<n>a)", "${n}!"),
        ("a", "a", r"\$1"),
        ("abc", "x*", "-"),
        ("a", "(b)?a", "[$1]"),
    ]
    assert call("REGEXP_REPLACE", ["STRING"] * 3, *rows).values == ["b<aa>b", "a!b", "$1", "-a-b-c-", "[]"]
    assert "group 3" in fails("REGEXP_REPLACE", "STRING;STRING;STRING", "a", "a", "$3")
    assert "$" in fails("REGEXP_REPLACE", "STRING;STRING;STRING", "a", "a", "$")


def test_split(call: Call) -> None:
    """Empty pieces stay, unless the pattern matches nothing at all."""
    rows = [("aabcda", "(ab|cd)"), ("ab", "a|b"), ("abc", ""), ("a1b", r"\d*"), (None, "a"), ("", "x")]
    expected = [["a", "", "a"], ["", "", ""], ["a", "b", "c"], ["a", "", "b"], None, [""]]
    assert call("REGEXP_SPLIT_TO_ARRAY", ["STRING", "STRING"], *rows).values == expected


URL = "https://me@test.io:8080/a%20b/c?x=1&flag&y=%C3%A4#frag%21"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("PROTOCOL", "https"),
        ("HOST", "test.io"),
        ("PORT", 8080),
        ("PATH", "/a b/c"),
        ("QUERY", "x=1&flag&y=ä"),
        ("FRAGMENT", "frag!"),
    ],
)
def test_url_parts(one: Call, part: str, expected: Any) -> None:
    """Parts are decoded; what a URL lacks is null, but an empty path is empty."""
    assert one(f"URL_EXTRACT_{part}", "STRING", URL) == expected
    assert one(f"URL_EXTRACT_{part}", "STRING", "relative") == ("relative" if part == "PATH" else None)
    assert one("URL_EXTRACT_PATH", "STRING", "http://x.y?q") == ""


def test_url_parameters(one: Call, fails: Call) -> None:
    """A name without a value is empty, a missing one null; bad URLs fail."""
    assert one("URL_EXTRACT_PARAMETER", "STRING;STRING", URL, "y") == "ä"
    assert one("URL_EXTRACT_PARAMETER", "STRING;STRING", URL, "flag") == ""
    assert one("URL_EXTRACT_PARAMETER", "STRING;STRING", URL, "z") is None
    for bad in ("http://a b", "http://x/%zz", "http:", "http://x/^"):
        assert "URL" in fails("URL_EXTRACT_HOST", "STRING", bad)
    assert one("URL_EXTRACT_HOST", "STRING", "mailto:a@b.c") is None


def test_url_encoding(one: Call, fails: Call) -> None:
    """Form encoding: plus for spaces, ``*-._`` as they are, UTF-8 in hexadecimal."""
    assert one("URL_ENCODE_PARAM", "STRING", "?foo $b~ä*-._/") == "%3Ffoo+%24b%7E%C3%A4*-._%2F"
    assert one("URL_DECODE_PARAM", "STRING", "%3Ffoo+%C3%A4") == "?foo ä"
    assert "%" in fails("URL_DECODE_PARAM", "STRING", "100%")


def test_bytes(one: Call, fails: Call) -> None:
    """Four encodings each way; text that is not in one fails."""
    for encoding, text in [("hex", "0AFF"), ("base64", "Cv8=")]:
        assert one("TO_BYTES", "STRING;STRING", text, encoding) == b"\x0a\xff"
        assert one("FROM_BYTES", "BYTES;STRING", b"\x0a\xff", encoding) == text
    assert one("TO_BYTES", "STRING;STRING", "ä", "ascii") == b"?"
    assert one("TO_BYTES", "STRING;STRING", "ä", "UTF8") == "ä".encode()
    assert one("FROM_BYTES", "BYTES;STRING", b"\xff", "utf8") == "\ufffd"
    for encoding, text in [("hex", "0g"), ("base64", "?"), ("rot13", "a")]:
        assert fails("TO_BYTES", "STRING;STRING", text, encoding)


def test_encode(one: Call, fails: Call) -> None:
    """Hexadecimal may be written in three ways; unknown encodings fail."""
    for text in ("4578", "0x4578", "X'4578'"):
        assert one("ENCODE", "STRING;STRING;STRING", text, "hex", "ascii") == "Ex"
    assert one("ENCODE", "STRING;STRING;STRING", "Ελλάδα", "ascii", "utf8") == "??????"
    assert one("ENCODE", "STRING;STRING;STRING", "zpU=", "base64", "ascii") == "\ufffd\ufffd"
    assert one("ENCODE", "STRING;STRING;STRING", "ä", "utf8", "hex") == "c3a4"
    assert "null" in fails("ENCODE", "STRING;STRING;STRING", "a", "ascii", "null")


def test_numbers_from_bytes(one: Call, fails: Call) -> None:
    """Both byte orders; a wrong length or order fails."""
    assert one("INT_FROM_BYTES", "BYTES", b"\xff\xff\xff\xfe") == -2
    assert one("BIGINT_FROM_BYTES", "BYTES;STRING", b"\x01" + bytes(7), "LITTLE_ENDIAN") == 1
    assert one("DOUBLE_FROM_BYTES", "BYTES", b"\x3f\xf8" + bytes(6)) == 1.5
    assert "4 bytes" in fails("INT_FROM_BYTES", "BYTES", b"\x01")
    assert "order" in fails("INT_FROM_BYTES", "BYTES;STRING", bytes(4), "MIDDLE")


def test_null_functions(call: Call) -> None:
    """The first value that is there; null for equal values; all types, nested ones too."""
    assert call("COALESCE", ["INT"] * 3, (None, 2, 3), (1, None, 3), (None, None, None)).values == [2, 1, None]
    assert call("IFNULL", ["ARRAY<INT>"] * 2, (None, [1]), ([2], [1])).values == [[1], [2]]
    assert call("COALESCE", ["STRUCT<A INT>"] * 2, (None, {"A": 1})).values == [{"A": 1}]
    assert call("COALESCE", ["MAP<STRING, INT>"] * 2, (None, {"A": 1})).values == [{"A": 1}]
    assert call("NULLIF", ["STRING"] * 2, ("a", "a"), ("a", "b"), (None, "a"), ("a", None)).values == [None, "a", None, "a"]
    assert call("NULLIF", ["ARRAY<INT>"] * 2, ([1], [1]), ([1], [2]), (None, [1])).values == [None, [1], None]
    assert call("AS_VALUE", ["BIGINT"], (1,), (None,)).values == [1, None]


@pytest.mark.parametrize("size", [0, 1, 57, 58, 200])
def test_base64_in_lines(one: Call, size: int) -> None:
    """Text as MIME and ksqlDB write it, a line break after every 76 characters, is read."""
    data = bytes(range(256))[:size]
    text = base64.encodebytes(data).decode()
    for written in (text, text.replace("\n", "\r\n"), text.rstrip("\n=")):
        assert one("TO_BYTES", "STRING;STRING", written, "base64") == data
    assert one("FROM_BYTES", "BYTES;STRING", data, "base64") == base64.b64encode(data).decode()
