"""Results and errors as text for a terminal."""

from __future__ import annotations

import datetime
import decimal
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..errors import ClientError, DataError, PenstockError, StatementError, StorageError

FOLDED_WIDTH_MIN = 24
"""Characters below which a folded column would be hard to read."""
ROWS_SHOWN_MAX = 1_000
"""Rows of a result that are printed; more are counted, and `sql()` gives them all."""


def cell(value: Any) -> str:
    """One value, as the dialect would write it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={cell(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return "{" + ", ".join(f"{cell(k)}={cell(v)}" for k, v in value) + "}"
        return "[" + ", ".join(map(cell, value)) + "]"
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], width: int = 120) -> str:
    """A table with headings.

    Where it would be wider than the terminal, its widest column of texts is folded; if that column would become too
    narrow, there is one block of lines per row instead.
    """
    rows = list(rows)
    cells = [[cell(value).replace("\n", "\\n") for value in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    folded = max(range(len(columns)), key=lambda i: -1 if numeric[i] else widths[i], default=0)
    beyond = sum(widths) + 3 * len(widths) - 3 - width
    if beyond > 0 and len(columns) > 1:
        if numeric[folded] or widths[folded] - beyond < FOLDED_WIDTH_MIN:
            return vertical(columns, cells)
        widths[folded] -= beyond

    def line(values: Sequence[str]) -> str:
        padded = [v.rjust(w) if right else v.ljust(w) for v, w, right in zip(values, widths, numeric, strict=True)]
        return " | ".join(padded).rstrip()

    rule = "-+-".join("-" * w for w in widths)
    lines = [line(part) for row in cells for part in _folded(row, folded, widths[folded])] if columns else []
    return "\n".join([line(list(columns)), rule, *lines])


def _folded(row: list[str], column: int, width: int) -> Iterator[list[str]]:
    """The lines that a row takes when one of its cells is folded to a width."""
    pieces = (textwrap.wrap(row[column], width) or [""]) if len(row[column]) > width else [row[column]]
    yield [*row[:column], pieces[0], *row[column + 1 :]]
    for piece in pieces[1:]:
        yield [piece if i == column else "" for i in range(len(row))]


def _is_number(value: Any) -> bool:
    """Whether a cell is shown flush right (NULL goes with the others)."""
    return value is None or (isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool))


def vertical(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Every row as a block of ``column: value`` lines."""
    widest = max(map(len, columns), default=0)
    blocks = []
    for number, row in enumerate(cells, 1):
        lines = [f"-[ row {number} ]-".ljust(30, "-")]
        lines += [f"{name.rjust(widest)}: {value}" for name, value in zip(columns, row, strict=True)]
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def result(outcome: Any, width: int = 120) -> str:
    """The text of a result object (`penstock.Message`, `Listing`, `Description`, `Table`)."""
    name = type(outcome).__name__
    if name == "Message":
        return str(outcome.text)
    if name == "Listing":
        return listing(outcome, width)
    if name == "Description":
        return description(outcome, width)
    rows = list(outcome)
    text = table(outcome.columns, rows[:ROWS_SHOWN_MAX], width)
    more = f", {len(rows) - ROWS_SHOWN_MAX} of them not shown" if len(rows) > ROWS_SHOWN_MAX else ""
    return f"{text}\n({len(rows)} {'row' if len(rows) == 1 else 'rows'}{more})"


def listing(outcome: Any, width: int = 120) -> str:
    """The text of a `penstock.Listing`."""
    if not outcome.rows:
        return "(none)"
    return table(outcome.columns, outcome.rows, width)


def description(outcome: Any, width: int = 120) -> str:
    """The text of a `penstock.Description`: short facts side by side, tables and plans below their headings."""
    blocks: list[str] = [outcome.title] if outcome.title else []
    facts: list[tuple[str, str]] = []

    def flush() -> None:
        if facts:
            widest = max(len(heading) for heading, _ in facts) + 2
            lines = []
            for heading, text in facts:
                pieces = textwrap.wrap(text, max(width - widest, FOLDED_WIDTH_MIN), break_long_words=False) or [""]
                lines.append(f"{heading}:".ljust(widest) + pieces[0])
                lines += [" " * widest + piece for piece in pieces[1:]]
            blocks.append("\n".join(lines))
            facts.clear()

    for heading, content in outcome.sections:
        if isinstance(content, str) and heading and "\n" not in content:
            facts.append((heading, content))
            continue
        flush()
        body = content if isinstance(content, str) else listing(content, width - 2)
        blocks.append(f"{heading}\n{_indented(body)}" if heading else body)
    flush()
    return "\n\n".join(blocks)


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


def error(problem: PenstockError) -> str:
    """An error, beginning with who should act."""
    if isinstance(problem, StatementError):
        return f"error: {problem}"
    if isinstance(problem, DataError):
        return f"data error: {problem}"
    if isinstance(problem, StorageError):
        return f"storage error: {problem}"
    if isinstance(problem, ClientError):
        return f"client error: {problem}"
    return f"internal error (please report it): {problem}"


def push_line(columns: Sequence[str], values: Sequence[Any], tombstone: bool, missed: int) -> str:
    """One row of a push query on one line."""
    text = ", ".join(f"{name}={cell(value)}" for name, value in zip(columns, values, strict=True))
    mark = "- " if tombstone else "+ "
    return (f"({missed} rows were dropped: the reader was slow)\n" if missed else "") + mark + text
