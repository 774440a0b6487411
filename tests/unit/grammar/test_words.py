"""Words for completion, token classes for highlighting."""

from __future__ import annotations

from penstock.grammar.tables import tables
from penstock.grammar.words import _CLASSES, classified, keywords, reserved_words, statement_words


def test_reserved_and_other_words() -> None:
    """The grammar's own marks decide."""
    assert {"SELECT", "FROM", "DAYS", "MATERIALIZED"} <= reserved_words()
    assert {"KEY", "EMIT", "TYPE", "MAP", "DAY"} <= keywords() - reserved_words()
    assert reserved_words() <= keywords()


def test_statements_begin_with() -> None:
    """First words only."""
    assert {"SELECT", "CREATE", "PRINT", "LIST", "DEFINE"} <= statement_words()
    assert not {"FROM", "STREAM", "EMIT"} & statement_words()


def test_classes_of_tokens() -> None:
    """Each token and comment once, blanks left out, unclosed quotes as errors."""
    text = "SELECT x, `Y`, 1.5 /* c */ FROM s WHERE a = 'b' -- end\n 'open"
    found = [(text[a:b], kind) for a, b, kind in classified(text)]
    assert ("SELECT", "keyword") in found and ("x", "name") in found and ("`Y`", "quoted_name") in found
    assert ("1.5", "number") in found and ("/* c */", "comment") in found and ("'b'", "text") in found
    assert ("-- end", "comment") in found and ("'", "error") in found
    assert list(classified("x /* open ; y")) == [(0, 1, "name"), (2, 13, "comment")]
    assert list(classified("$who")) == [(0, 4, "name")]
    assert set(tables().token.groupindex) - {"IDENTIFIER", "end"} == set(_CLASSES)
