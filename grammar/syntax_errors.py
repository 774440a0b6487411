"""Syntax errors in words: what is wrong, what could have stood there, and what was probably meant."""

from __future__ import annotations

import difflib
import re

from ..errors import StatementError
from .lexer import Lines, Token
from .tables import END, Tables, accepts

EXPECTED_MAX = 10
"""Alternatives that an error lists: more than that does not help anybody."""

_NAMES = frozenset({"IDENTIFIER", "DIGIT_IDENTIFIER", "BACKTICKED", "DOUBLE_QUOTED"})
_WORDS_FOR = {
    "IDENTIFIER": "a name",
    "DIGIT_IDENTIFIER": "a name",
    "BACKTICKED": "a name",
    "DOUBLE_QUOTED": "a name",
    "TEXT": "a text in single quotes",
    "INTEGER": "a whole number",
    "DECIMAL_NUMBER": "a number",
    "DOUBLE_NUMBER": "a number",
    "LAMBDA_OPEN": "a lambda",
    "ARRAY_OPEN": "ARRAY[",
    "MAP_OPEN": "MAP(",
    "STRUCT_OPEN": "STRUCT(",
    "ARRAY_TYPE": "ARRAY<",
    "MAP_TYPE": "MAP<",
    "STRUCT_TYPE": "STRUCT<",
    END: "the end of the statement",
}
_NOT_NULL = re.compile(r"NOT\s+NULL", re.IGNORECASE)
_OPERATORS = frozenset(["+", "-", "*", "/", "%", "||", "=", "<>", "!=", "<", "<=", ">", ">=", "[", "->"])
_FOREIGN = {
    "ORDER": "ORDER BY: a stream has no end to be sorted by; a pull query through sql() may sort",
    "UNION": "UNION: write INSERT INTO .. SELECT for each of the inputs",
    "INTERSECT": "INTERSECT",
    "EXCEPT": "EXCEPT",
    "OFFSET": "OFFSET",
    "OVER": "OVER: use a WINDOW clause with GROUP BY",
    "CROSS": "CROSS JOIN",
    "UPDATE": "UPDATE: insert a row with the same key instead",
    "DISTINCT": "SELECT DISTINCT: write GROUP BY",
    "DELETE": "DELETE: a table's row goes away with a record of its key that has no value (produce(), value=None)",
    "MERGE": "MERGE: insert a row with the same key instead",
    "USING": "JOIN .. USING: write ON a.x = b.x",
}
"""What other dialects have at this place and this one has not."""


def syntax_error(text: str, token: Token, previous: list[Token], states: list[int], grammar: Tables) -> StatementError:
    """The error for a token that cannot stand where it stands."""
    group, start, end = token
    lexeme = text[start:end]
    accepted = _accepted(grammar, states)
    suggestion: str | None = None
    if group == "bad":
        message, suggestion, end = _bad_character(text, start)
    elif group == "end" or lexeme == ";":
        message = "the statement is incomplete"
        if group == "end" and previous:
            start = previous[-1][2] - 1
            end = start + 1
        suggestion = _suggestion(text, (group, token[1], token[2]), previous, accepted, grammar) if lexeme == ";" else None
    else:
        message = f"{_shown(lexeme)} was not expected here"
        suggestion = _suggestion(text, token, previous, accepted, grammar)
    span = Lines(text).span(start, end)
    return StatementError(message, span=span, text=text, suggestion=suggestion, expected=_readable(accepted, grammar))


def _accepted(grammar: Tables, states: list[int]) -> list[str]:
    row = grammar.actions[states[-1]]
    return [symbol for symbol in row if not symbol.islower() and accepts(grammar, states, symbol)]


def _shown(lexeme: str) -> str:
    return lexeme if len(lexeme) <= 40 else lexeme[:37] + "..."


def _bad_character(text: str, start: int) -> tuple[str, str | None, int]:
    character = text[start]
    if character == "'":
        return "this text has no closing quote", "Close it with ', and write a quote inside of it as ''.", start + 1
    if character in '"`':
        return f"this name has no closing {character}", None, start + 1
    variable = re.compile(r"\$\{([^}]*)\}").match(text, start)
    if variable is not None:
        suggestion = f"DEFINE {variable[1]} = '..'; gives it a value."
        return f"the variable {variable[1]} is not defined", suggestion, variable.end()
    return f"the character {character} has no meaning here", None, start + 1


def _suggestion(text: str, token: Token, previous: list[Token], accepted: list[str], grammar: Tables) -> str | None:
    group, start, end = token
    lexeme = text[start:end]
    word = lexeme.upper()
    if group == "DOUBLE_QUOTED" and "TEXT" in accepted:
        return f"Double quotes make a name; a text is written '{lexeme[1:-1]}'."
    if word == "NOT" and _NOT_NULL.match(text, start):
        return "There is no NOT NULL: any column may be NULL."
    if group == "IDENTIFIER" and "TEXT" in accepted and "IDENTIFIER" not in accepted:
        return f"A text stands in quotes: '{lexeme}'."
    if previous and previous[-1][0] == "TEXT" and previous[-1][2] == start:
        return "A quote inside of a text is written twice: ''."
    if lexeme == "(" and previous and text[previous[-1][1] : previous[-1][2]].upper() in ("FROM", "JOIN"):
        return "There are no subqueries: make a CREATE STREAM or TABLE .. AS SELECT of it; sql() takes any SELECT."
    if lexeme == "," and "JOIN" in accepted:
        return "Sources are joined by JOIN .. ON .., not by commas."
    if lexeme == ";" and "FROM" in accepted and "AS" in accepted:
        return "Every query reads something: SELECT .. FROM ..."
    before = text[previous[-1][1] : previous[-1][2]].upper() if previous and previous[-1][0] == "IDENTIFIER" else ""
    for foreign in (word, before):
        if foreign in _FOREIGN:
            return f"There is no {_FOREIGN[foreign]}."
    if group == "IDENTIFIER" and "IDENTIFIER" in accepted and grammar.is_reserved(word):
        return f"{word} is a reserved word: to use it as a name, write `{lexeme}`."
    words = sorted({w for w, readings in grammar.keywords.items() if any(k.terminal in accepted for k in readings)})
    near = difflib.get_close_matches(word, words, 1, 0.7) if group == "IDENTIFIER" else []
    if near:
        return f"Did you mean {near[0]}?"
    if before:
        near = [] if before in grammar.keywords else difflib.get_close_matches(before, list(grammar.keywords), 1, 0.75)
        if near:
            return f"Did you mean {near[0]} instead of {before}?"
    return None


def _readable(accepted: list[str], grammar: Tables) -> tuple[str, ...]:
    """The alternatives in words: expressions and operators summed up, sorted, limited."""
    words_by_terminal = {k.terminal: word for word, readings in grammar.keywords.items() for k in readings}
    texts = {terminal: symbol for symbol, terminal in grammar.symbols.items()}
    left = set(accepted)
    shown: set[str] = set()
    if {"CASE", "CAST", "NULL"} <= left:
        start = grammar.starts["expression"]
        left -= set(grammar.actions[start])
        shown.add("an expression")
    elif {"NULL", "TRUE", "TEXT"} <= left:
        left -= {
            "NULL",
            "TRUE",
            "FALSE",
            "TEXT",
            "INTEGER",
            "DECIMAL",
            "DECIMAL_NUMBER",
            "DOUBLE_NUMBER",
            "PLUS",
            "MINUS",
        }
        shown.add("a literal")
    operators = {t for t in left if texts.get(t) in _OPERATORS}
    if len(operators) > 3:
        left -= operators
        left -= {"BETWEEN", "IN", "LIKE", "IS", "NOT", "AND", "OR", "AT"}
        shown.add("an operator")
    for terminal in left:
        if terminal in _WORDS_FOR:
            shown.add(_WORDS_FOR[terminal])
        elif terminal in texts:
            shown.add(f'"{texts[terminal]}"')
        else:
            shown.add(words_by_terminal.get(terminal, terminal))
    listed = sorted(shown, key=lambda s: (not s[:2].isupper(), s))
    return tuple(listed[:EXPECTED_MAX] + (["..."] if len(listed) > EXPECTED_MAX else []))
