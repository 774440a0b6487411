"""Parses text into statements: an LALR parser that runs on the tables of `tables`.

The parser has a stack of its own, so no text can exhaust Python's stack.  The depth of the tree is limited
(`limits.NESTING_DEPTH_MAX`), since other code walks it by recursion.  `syntax_errors` writes the messages of errors.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, cast

from ..errors import StatementError
from ..limits import NESTING_DEPTH_MAX, STATEMENT_CHARS_MAX
from . import ast
from .build import TreeBuilder
from .lexer import Lines, Token, is_complete, split, tokens
from .syntax_errors import syntax_error
from .tables import CALL, END, PASS, ParserTables, Rule, accepts, tables

__all__ = ["ParsedStatement", "is_complete", "parse", "parse_expression", "parse_statement", "parse_type", "split"]


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """A statement, and its own text without the semicolon.  Spans refer to the whole script."""

    statement: ast.Statement
    text: str


def parse(text: str) -> list[ParsedStatement]:
    """Parse a script.  The last statement may lack its semicolon.  Empty statements are skipped.

    Raises:
        StatementError: the syntax is wrong.  The error has the place of the first mistake.
    """
    _check_text(text)
    parsed: list[ParsedStatement] = []
    builder = TreeBuilder(text)
    stream = tokens(text)
    for token in stream:
        group, start, end = token
        if group == "end":
            break
        if group == "symbol" and text[start:end] == ";":
            continue
        statement, stop = _run("statement", text, token, stream, builder)
        parsed.append(ParsedStatement(cast("ast.Statement", statement), text[start:stop]))
    return parsed


def parse_statement(text: str) -> ast.Statement:
    """Parse a text of exactly one statement.

    Raises:
        StatementError: a syntax error, no statement, or more than one.
    """
    parsed = parse(text)
    if not parsed:
        raise StatementError("there is no statement here", text=text, suggestion="Write one: SELECT .., SHOW STREAMS, ..")
    if len(parsed) > 1:
        raise StatementError(
            "one statement was expected, but another one follows",
            span=parsed[1].statement.span,
            text=text,
            suggestion="execute() takes several; give this one by itself.",
        )
    return parsed[0].statement


def parse_expression(text: str) -> ast.Expression:
    """Parse a text of exactly one expression.

    Raises:
        StatementError: it is not one.
    """
    return cast("ast.Expression", _parse_whole("expression", text))


def parse_type(text: str) -> ast.Type:
    """Parse a text of exactly one type.

    Raises:
        StatementError: it is not one.
    """
    return cast("ast.Type", _parse_whole("type", text))


@functools.cache
def builder_functions() -> list[Any]:
    """The method of the builder for each rule of the grammar."""
    return [getattr(TreeBuilder, rule.method) if rule.action == CALL else None for rule in tables().rules]


def _parse_whole(start: str, text: str) -> Any:
    _check_text(text)
    stream = tokens(text)
    result, stop = _run(start, text, next(stream), stream, TreeBuilder(text))
    for group, begin, end in tokens(text, stop):
        if group != "end":
            raise StatementError(
                "more text follows than one expression or type",
                span=Lines(text).span(begin, end),
                text=text,
                suggestion="Leave out what follows.",
            )
    return result


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StatementError(
                "the text holds half of a surrogate pair, which is not a character",
                span=Lines(text).span(error.start, error.start + 1),
                text=text.encode(errors="replace").decode(),
            ) from error
    nul = text.find("\0")
    if nul >= 0:
        raise StatementError("the text holds the character NUL", span=Lines(text).span(nul, nul + 1), text=text)
    if len(text) > STATEMENT_CHARS_MAX:
        raise StatementError(f"the text is {len(text):,} characters long; the limit is {STATEMENT_CHARS_MAX:,} characters")


def _run(start: str, text: str, token: Token, stream: Iterator[Token], builder: TreeBuilder) -> tuple[Any, int]:
    """Parse from ``token`` to the next semicolon or the end.

    Returns:
        the tree, and the offset where its text ends.
    """
    grammar = tables()
    actions, rules, symbols, keywords = grammar.actions, grammar.rules, grammar.symbols, grammar.keywords
    functions = builder_functions()
    final = grammar.ends[start]
    states = [grammar.starts[start]]
    values: list[Any] = []
    begins: list[int] = []
    ends: list[int] = []
    previous: list[Token] = []
    count = 0
    group, begin, end = token
    while True:
        count += 1
        row = actions[states[-1]]
        lexeme = text[begin:end]
        if group == "IDENTIFIER":
            readings = keywords.get(lexeme.upper())
            terminal = group if readings is None else _keyword(grammar, lexeme.upper(), states, row, text, end)
        elif group == "symbol":
            terminal = symbols[lexeme]
        elif group == "end":
            terminal = END
        else:
            terminal = group
        while True:
            action = row.get(terminal)
            if action is None:
                raise syntax_error(text, (group, begin, end), previous, states, grammar)
            if action >= 0:
                states.append(action)
                values.append(lexeme)
                begins.append(begin)
                ends.append(end)
                break
            rule = rules[~action]
            length = rule.length
            if length == 0:
                stop = ends[-1] if ends else begin
                values.append(functions[~action](builder, [], begin, stop) if rule.action == CALL else [])
                begins.append(begin)
                ends.append(stop)
            elif length == 1:
                if rule.action != PASS:
                    values[-1] = _reduce(rule, functions[~action], builder, values[-1:], begins[-1], ends[-1])
                states.pop()
            else:
                if rule.action == PASS:
                    value = values[rule.kept - length]
                else:
                    value = _reduce(rule, functions[~action], builder, values[-length:], begins[-length], ends[-1])
                del states[-length:], values[-length:], begins[1 - length :], ends[-length:-1]
                values.append(value)
            state = actions[states[-1]][rule.origin]
            states.append(state)
            if terminal == END and state == final:
                builder.finish()
                if count > NESTING_DEPTH_MAX:
                    _check_depth(values[0], text)
                return values[0], ends[0]
            row = actions[state]
        previous.append((group, begin, end))
        group, begin, end = next(stream)


def _reduce(rule: Rule, function: Any, builder: TreeBuilder, children: list[Any], begin: int, end: int) -> Any:
    """Apply a rule to its children.

    Returns:
        a list for the rule around it, or the result of the builder's method.
    """
    kept: list[Any] = []
    for index, splice in rule.kept:
        child = children[index]
        if not splice:
            kept.append(child)
        elif kept:
            kept.extend(child)
        else:
            kept = child  # the list of a repetition can be extended: nothing else refers to it
    return function(builder, kept, begin, end) if rule.action == CALL else kept


def _keyword(grammar: ParserTables, word: str, states: list[int], row: Any, text: str, end: int) -> str:
    """The terminal of a word: a keyword if the grammar takes the keyword here, otherwise a name, unless the word is
    reserved.
    """
    reserved: str | None = None
    for reading in grammar.keywords[word]:
        terminal = reading.terminal
        if (
            terminal in row
            and (reading.lookahead is None or reading.lookahead.match(text, end))
            # LALR tables merge states, so a lookahead that allows a reduction may still fail after it.  Only a try shows it.
            and (reading.reserved or row[terminal] >= 0 or accepts(grammar, states, terminal))
        ):
            return terminal
        if reading.reserved:
            reserved = terminal
    return reserved or "IDENTIFIER"


def _check_depth(tree: Any, text: str) -> None:
    """Check the depth of a tree.

    Raises:
        StatementError: it is deeper than `limits.NESTING_DEPTH_MAX`.
    """
    level: list[Any] = [tree]
    for _ in range(NESTING_DEPTH_MAX):
        below: list[Any] = []
        for node in level:
            if isinstance(node, tuple):
                below.extend(n for n in node if isinstance(n, (ast.Node, tuple)))
            else:
                below.extend(v for f in fields(node) if isinstance(v := getattr(node, f.name), (ast.Node, tuple)) and v)
        if not below:
            return
        level = below
    deepest = next((n for n in level if isinstance(n, ast.Node)), None)
    raise StatementError(
        f"this is nested more than {NESTING_DEPTH_MAX} levels deep",
        span=None if deepest is None else deepest.span,
        text=text,
        suggestion="Split the statement into several, or build the expression in steps.",
    )
