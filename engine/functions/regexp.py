"""Regular expressions in Java's dialect.

A pattern (with a group or a replacement) is compiled once to a function of one text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

import pyarrow as pa

from ...limits import GROWN_CHARS_MAX
from ...runtime.kernel import Evaluated
from ..columns.arrow import by_prepared
from ..columns.kinds import Datum
from ..columns.sizes import check_grown
from ..java.regex import replacement
from ..java.regex_matching import compile_java, compile_uncaptured
from .registry import scalar

CATEGORY = "STRING"

_remembered = lru_cache(maxsize=256)
_TEXTS = pa.list_(pa.string())


# --- pieces that match ---------------------------------------------------------------------


@scalar(
    "REGEXP_EXTRACT",
    "The first piece of the text that matches the pattern, or a group of it; null if there is none.",
    "(pattern STRING, text STRING) -> STRING",
    "(pattern STRING, text STRING, group INT) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def regexp_extract(pattern: Datum, text: Datum, *group: Datum) -> Evaluated:
    return by_prepared(first_match, pa.string(), text, pattern, *group)


@_remembered
def first_match(pattern: str, group: int = 0) -> Callable[[str], str | None]:
    compiled = compile_java(pattern)
    if not _has_group(compiled.groups, group):
        return _nothing

    def extract(text: str) -> str | None:
        match = compiled.search(text)
        return match[group] if match else None

    return extract


@scalar(
    "REGEXP_EXTRACT_ALL",
    "All pieces of the text that match the pattern, or a group of each.",
    "(pattern STRING, text STRING) -> ARRAY<STRING>",
    "(pattern STRING, text STRING, group INT) -> ARRAY<STRING>",
    style="arrow",
    category=CATEGORY,
)
def regexp_extract_all(pattern: Datum, text: Datum, *group: Datum) -> Evaluated:
    return by_prepared(all_matches, _TEXTS, text, pattern, *group)


@_remembered
def all_matches(pattern: str, group: int = 0) -> Callable[[str], list[str | None] | None]:
    compiled = compile_java(pattern)
    if not _has_group(compiled.groups, group):
        return _nothing
    if group == 0 and (plain := compile_uncaptured(pattern)) is not None:
        return plain.findall

    def extract(text: str) -> list[str | None]:
        return [match[group] for match in compiled.finditer(text)]

    def extract_only_group(text: str) -> list[str | None]:
        found: list[str | None] = compiled.findall(text)
        return extract(text) if "" in found else found  # here "" may stand for a group without a match, which must give None

    return extract_only_group if compiled.groups == group == 1 else extract


def _has_group(groups: int, group: int) -> bool:
    """Whether a pattern has a group of this number.

    Raises:
        ValueError: the number is negative.
    """
    if group < 0:
        raise ValueError(f"a group's number must be 0 or more, not {group}")
    return group <= groups


def _nothing(text: str) -> None:
    return None


# --- replacing and splitting ---------------------------------------------------------------


@scalar(
    "REGEXP_REPLACE",
    "The text with all matches of the pattern replaced; $1 stands for what its first group matched.",
    "(text STRING, pattern STRING, new STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def regexp_replace(text: Datum, pattern: Datum, new: Datum) -> Evaluated:
    return by_prepared(replacer, pa.string(), text, pattern, new)


@_remembered
def replacer(pattern: str, new: str) -> Callable[[str], str]:
    """Make a function that replaces all matches.  If the replacement names a missing group, only texts with a match fail."""
    compiled = compile_java(pattern)

    def check(text: str) -> None:
        whole = len(text) * (1 + new.count("$"))
        if (len(text) + 1) * len(new) + whole > GROWN_CHARS_MAX:
            check_grown(sum(1 for _ in compiled.finditer(text)) * len(new) + whole, len(text))

    def replaced(replacing: str | Callable[[re.Match[str]], str], text: str) -> str:
        check(text)
        return compiled.sub(replacing, text)

    if "\\" not in new and "$" not in new:
        return partial(replaced, new)
    try:
        made = replacement(new, compiled)
    except ValueError as error:
        reason = str(error)

        def refuse(text: str) -> str:
            if compiled.search(text):
                raise ValueError(reason)
            return text

        return refuse
    return partial(replaced, made)


@scalar(
    "REGEXP_SPLIT_TO_ARRAY",
    "The pieces between matches of the pattern, empty ones included; the single characters, for an empty pattern.",
    "(text STRING, pattern STRING) -> ARRAY<STRING>",
    style="arrow",
    category=CATEGORY,
)
def regexp_split_to_array(text: Datum, pattern: Datum) -> Evaluated:
    return by_prepared(splitter, _TEXTS, text, pattern)


@_remembered
def splitter(pattern: str) -> Callable[[str], list[str]]:
    """Make a function that splits a text.

    A pattern that matches the empty text splits as Java's ``Pattern.split`` does: there is no empty piece at the end.
    """
    compiled = compile_java(pattern)
    if compiled.matches_nothing:
        return lambda text: _split_at_gaps(compiled.finditer(text), text)
    if (plain := compile_uncaptured(pattern)) is not None:
        return plain.split
    step = compiled.groups + 1  # Python puts the matches of groups between the pieces
    return lambda text: compiled.split(text)[::step]


def _split_at_gaps(matches: Iterator[re.Match[str]], text: str) -> list[str]:
    pieces: list[str] = []
    begin = 0
    for match in matches:
        if begin == 0 and match.end() == 0:
            continue
        pieces.append(text[begin : match.start()])
        begin = match.end()
    if not pieces:
        return [text]
    pieces.append(text[begin:])
    while pieces and not pieces[-1]:
        pieces.pop()
    return pieces
