"""Variables in statements."""

from __future__ import annotations

import pytest

from penstock.errors import StatementError
from penstock.grammar.substitute import substitute


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("SELECT ${c} FROM ${S};", "SELECT amount FROM s_1;"),
        ("SELECT `${c}`, \"${c}\", '${c}${c}' FROM s", "SELECT `amount`, \"amount\", 'amountamount' FROM s"),
        ("LIMIT ${n}", "LIMIT 5"),
        ("WHERE x = ${t}", "WHERE x = 'it''s'"),
        ("SELECT '$${c}', $${c}", "SELECT '${c}', ${c}"),
        ("SELECT ${unknown}", "SELECT ${unknown}"),
        ("-- ${evil}\nSELECT 1", "-- ${evil}\nSELECT 1"),
        ("CREATE STREAM ${c}_2", "CREATE STREAM amount_2"),
    ],
)
def test_substitution(text: str, result: str) -> None:
    """Names without regard to case, inside and outside of quotes, escapes, unknown ones, comments."""
    variables = {"c": "amount", "s": "s_1", "N": "5", "t": "'it''s'", "evil": "'"}
    assert substitute(text, variables) == result


@pytest.mark.parametrize("value", ["a; DROP STREAM s", "a b", "1 OR 1=1", "'a' || 'b'", "", "a--", "SELECT(1)", "'a"])
def test_a_bare_variable_cannot_bring_in_sql(value: str) -> None:
    """Outside of quotes only one name or literal may stand."""
    with pytest.raises(StatementError) as caught:
        substitute("SELECT\n ${x} FROM s", {"x": value})
    assert caught.value.span is not None and caught.value.span.line == 2


@pytest.mark.parametrize(("text", "value"), [("'${x}'", "a' OR 'b"), ("`${x}`", "a`"), ('"${x}"', 'a" ')])
def test_a_quoted_variable_cannot_end_its_quotes(text: str, value: str) -> None:
    """Inside of quotes the value may hold anything but the quote."""
    with pytest.raises(StatementError):
        substitute(text, {"x": value})
    assert substitute(text, {"x": "a; b"}) == text.replace("${x}", "a; b")
