"""Regular expressions that are prepared once give what single matches give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.engine.functions import regexp
from penstock.engine.java.regex import replacement
from penstock.engine.java.regex_matching import compile_java, compile_uncaptured

PARTS = (
    "a",
    "b",
    "[ab]",
    "(a)",
    "(a|b)",
    "(?<n>b)",
    "(a)?",
    "(b*)",
    "x*",
    "\\b",
    "(?=a)",
    "^",
    "$",
    "|",
    "+",
    "?",
    "(?i)A",
    ".",
)
PARTS += ("\\1", "\\k<n>", "(?:ab)", "(?<=a)", "\\s", "\u00e9")
texts = st.text(st.sampled_from("abAx \n\u00e9\U0001f600"), max_size=7)


def usable(pattern: str) -> bool:
    try:
        compile_java(pattern)
    except ValueError:
        return False
    return True


patterns = st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("".join).filter(usable)


def pieces(compiled: Any, text: str) -> list[str]:
    """REGEXP_SPLIT_TO_ARRAY, match by match."""
    gaps_too = compiled.matches_nothing
    found: list[str] = []
    begin = 0
    for match in compiled.finditer(text):
        if gaps_too and begin == 0 and match.end() == 0:
            continue
        found.append(text[begin : match.start()])
        begin = match.end()
    if gaps_too and not found:
        return [text]
    found.append(text[begin:])
    while gaps_too and found and not found[-1]:
        found.pop()
    return found


@settings(max_examples=500)
@given(patterns, texts)
@example("(a)|(b)", "ab")
@example("(a)|b", "ab")
@example("\\b", "ab ab")
@example("(?=a)", "baa")
def test_matches(pattern: str, text: str) -> None:
    """Extracting, splitting and replacing, with groups and without."""
    compiled = compile_java(pattern)
    matches = list(compiled.finditer(text))
    for group in range(compiled.groups + 1):
        assert regexp.all_matches(pattern, group)(text) == [m[group] for m in matches]
        assert regexp.first_match(pattern, group)(text) == (matches[0][group] if matches else None)
    assert regexp.all_matches(pattern, compiled.groups + 1)(text) is None
    assert regexp.splitter(pattern)(text) == pieces(compiled, text)
    for new in ("", "<b>", "<$0>", "\\$"):
        made = replacement(new, compiled)
        assert regexp.replacer(pattern, new)(text) == compiled.sub(made, text)
    plain = compile_uncaptured(pattern)
    assert plain is not None or "\\1" in pattern or "\\k" in pattern
    if plain is not None:
        assert plain.groups == 0
        assert [m.span() for m in plain.finditer(text)] == [m.span() for m in matches]


@given(st.lists(st.tuples(st.none() | texts, st.none() | st.sampled_from(("a", "(", "(b)", "x*"))), min_size=1, max_size=6))
def test_patterns_by_row(rows: list[tuple[str | None, str | None]]) -> None:
    """A pattern for each row; a bad one fails the rows that have it, unless the text is null."""
    column, own = (pa.array(values, pa.string()) for values in zip(*rows))
    made: Any = regexp.regexp_extract_all(own, column)
    failed = [] if made.failures is None else made.failures.rows.tolist()
    assert failed == [i for i, (text, pattern) in enumerate(rows) if text is not None and pattern == "("]
    for found, (text, pattern) in zip(made.values.to_pylist(), rows):
        known = text is not None and pattern not in (None, "(")
        assert found == ([m[0] for m in compile_java(pattern).finditer(text)] if known else None)


def test_a_replacement_that_names_no_group_fails_only_texts_that_match() -> None:
    """As Java does, which reads the replacement at the first match."""
    refuse = regexp.replacer("a", "$1")
    assert refuse("b") == "b"
    with pytest.raises(ValueError, match="group"):
        refuse("a")


def matches_of(compiled: Any, text: str) -> list[Any]:
    return [(m.span(), m.groups()) for m in compiled.finditer(text)]


@settings(max_examples=500)
@given(patterns, st.text(st.sampled_from("abAx \n\r\u2028\u00e9\U0001f600"), max_size=9))
@example("(a|ab)(c|bcd)?$", "abcd\n")
@example("(?i)k", "\u212a")
def test_every_engine_gives_the_same_matches(pattern: str, text: str) -> None:
    """`re`, RE2 where it is used, and `regex`, with a limit."""
    expected, found = compile_java(pattern), compile_java.__wrapped__(pattern)
    found._plain_chars_max = -1
    assert [(m.span(), m.groups()) for m in found.finditer(text)] == [
        (m.span(), m.groups()) for m in expected.finditer(text)
    ]
    assert found.sub("-", text) == expected.sub("-", text)
    first, other = expected.search(text), found.search(text)
    assert (first and first.span()) == (other and other.span())
    found._translated = replace(found._translated, refers=True)  # not RE2
    found.__dict__["_linear"] = None
    assert [(m.span(), m.groups()) for m in found.finditer(text)] == [
        (m.span(), m.groups()) for m in expected.finditer(text)
    ]
    if not found.groups:
        assert found.findall(text) == expected.findall(text)
    if not found.matches_nothing:
        assert found.split(text) == expected.split(text)


@pytest.mark.parametrize("function", ["first_match", "all_matches", "splitter"])
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * 26 + "!"),
        ("^(a+)+$", "a" * 34 + "!"),
        ("^(a+)+$", "a" * 5000 + "!"),
        ("(x+x+)+y", "x" * 5000),
        ("(a|aa)+$", "a" * 3000 + "b"),
        ("(.*)*,(.*)*,(.*)*!", "a" * 2000),
        ("a*a*a*a*a*a*a*a*a*a*b", "a" * 2000),
        ("(a?){40}a{40}", "a" * 40 + "b"),
        ("((a|b)*c|d)*e", "ab" * 3000),
        ("(\\w+\\s?)+:", "word " * 500),
    ],
)
def test_patterns_with_many_ways_to_match_are_quick(function: str, pattern: str, text: str) -> None:
    """Linear, so that a thousand rows are a matter of seconds; no limit is reached."""
    getattr(regexp, function)(pattern)(text)


@pytest.mark.parametrize("function", ["first_match", "all_matches", "splitter", "replacer"])
def test_what_only_backtracking_can_match_has_a_limit(function: str) -> None:
    """The row fails; the thread, and all others, go on."""
    pattern = "^(.*)(.*)(.*)(.*)\\4\\3\\2\\1[xy][xz]"
    made = getattr(regexp, function)(pattern, *["x"] * (function == "replacer"))
    with pytest.raises(ValueError, match="took longer than"):
        made("ab" * 200 + "cx")
