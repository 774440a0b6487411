"""URLs and percent coding by column give what their rules for one text give."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.engine.functions import percent, url

PIECES = (*"%+&=~* aZ09\n", "%4", "%41", "%2B", "%c3%A9", "%c3", "%A9", "%F0%9F%98%80", "%ED%A0%80", "\u00e9", "\U0001f600")
texts = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(max_size=4)
columns = st.lists(st.none() | texts, min_size=1, max_size=6)


def column_of(values: list[str | None]) -> Any:
    """A slice, with text where it has nulls."""
    array = pa.array(["%41%", *("%e9%+" if v is None else v for v in values)], pa.string())
    hidden = pa.array([False, *(v is None for v in values)])
    buffers = array.buffers()
    validity = pc.invert(hidden).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(array), [validity, *buffers[1:]]).slice(1)


@given(columns)
@example([None, "\u00e9 ~*", "", "a"])
def test_form_encoding(values: list[str | None]) -> None:
    """URL_ENCODE_PARAM is form encoding, with Java's set of characters that stay."""
    found = url.url_encode_param(column_of(values))
    found.validate(full=True)
    assert found.to_pylist() == [
        None if v is None else quote(v, safe="*.-_ ").replace("~", "%7E").replace(" ", "+") for v in values
    ]


def decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


@settings(max_examples=300)
@given(columns)
@example(["%c3", "%A9"])
@example(["%c3", None, "%A9x", "", "%", "a%4"])
def test_percent_decoding(values: list[str | None]) -> None:
    """URL_DECODE_PARAM and the escapes in parts of URLs: malformed ones are found, broken characters replaced."""
    malformed = [v is not None and re.search(r"%(?![0-9A-Fa-f]{2})", v) is not None for v in values]
    for form in (True, False):
        found, bad = percent.decoded(column_of(values), form=form)
        assert bad.tolist() == malformed
        found.validate(full=True)
        expected = [v if v is None else decoded(v.replace("+", " ") if form else v) for v in values]
        assert [v for v, b in zip(found.to_pylist(), malformed) if not b] == [
            v for v, b in zip(expected, malformed) if not b
        ]
    made = url.url_decode_param(column_of(values))
    assert ([] if made.failures is None else made.failures.rows.tolist()) == [i for i, b in enumerate(malformed) if b]


queries = st.lists(st.sampled_from(("a", "page", "=", "==", "&", "&&", "\n", "\u00e9", ".", "1")), max_size=8).map("".join)


@settings(max_examples=300)
@given(st.lists(st.none() | queries, min_size=1, max_size=6), queries | st.sampled_from(["", "page", "a", ".", "\u00e9"]))
@example(["=1", "&=1", "", "&"], "")
def test_parameters_of_queries(values: list[str | None], name: str) -> None:
    """The first parameter of the name, by one regular expression and by the rule."""
    found = url._parameters(pa.array(values, pa.string()), name)
    assert found.values.to_pylist() == [None if v is None else url._parameter(v, name) for v in values]
