"""Results and errors as text for a terminal."""

from __future__ import annotations

import datetime
import decimal
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..errors import ClientError, DataError, PenstockError, StatementError, StorageError

FOLDED_WIDTH_MIN = 24
"""Characters below which a folded column would be hard to read."""


def cell(value: Any) -> str:
    """The text of one value, as the dialect writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
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


def instant(timestamp_ms: int) -> str:
    """Milliseconds since the epoch as a UTC time on one line, with milliseconds only if there are any.

    >>> instant(1_500), instant(2_000)
    ('1970-01-01 00:00:01.500', '1970-01-01 00:00:02')
    """
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return f"{timestamp_ms} ms"
    return moment.isoformat(sep=" ", timespec="milliseconds" if timestamp_ms % 1000 else "seconds")


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n", 13: "\\r", 9: "\\t"}
"""Control characters: a terminal would obey them, and a value must not move the cursor or rename the window."""


def shown(value: Any) -> str:
    """One value on one line, with control characters as escapes."""
    return cell(value).translate(_CONTROLS)


_OUTSIDE_CELLS = {code: escape for code, escape in _CONTROLS.items() if code not in (9, 10)}


def harmless(text: str) -> str:
    """A text of several lines with control characters as escapes, so that foreign text cannot command the terminal."""
    return text if text.isprintable() else text.translate(_OUTSIDE_CELLS)


def width_of(text: str) -> int:
    """The width of a text in columns of a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    found: int = wcswidth(text)
    return len(text) if found < 0 else found


def _left(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def _right(text: str, width: int) -> str:
    return " " * (width - width_of(text)) + text


def _cut(text: str, width: int) -> tuple[str, str]:
    """As much of a text as a width holds (at least one character, with what combines with it), and the rest."""
    end = min(len(text), max(1, width))
    while end > 1 and width_of(text[:end]) > width:
        end -= 1
    while end < len(text) and width_of(text[: end + 1]) == width_of(text[:end]):
        end += 1
    return text[:end], text[end:]


def cut_to(text: str, width: int) -> str:
    """The text, cut to a width with an ellipsis if it is longer."""
    return text if width_of(text) <= width else _cut(text, max(width - 1, 1))[0] + "…"


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most a width, broken at blanks where there are any."""
    if text.isascii():
        return (textwrap.wrap(text, width) or [""]) if len(text) > width else [text]
    lines = []
    while width_of(text) > width:
        line, rest = _cut(text, width)
        blank = line.rfind(" ") if not rest.startswith(" ") else -1
        if blank > 0:
            line, rest = line[:blank], text[blank:]
        lines.append(line.rstrip())
        text = rest.lstrip()
    return [*lines, text] if text or not lines else lines


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], width: int = 120, cell_width: int | None = None) -> str:
    """A table with headings.

    If it is wider than the terminal, its widest text column is folded; if that column would become too narrow, each row
    becomes a block of lines.

    Args:
        cell_width: text columns wider than this are folded.
    """
    rows = list(rows)
    cells = [[shown(value) for value in row] for row in rows]
    columns = [name.translate(_CONTROLS) for name in columns]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    widths = [max([width_of(name), *(width_of(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    if cell_width is not None:
        widths = [
            w if right else min(w, max(cell_width, width_of(name)))
            for w, right, name in zip(widths, numeric, columns, strict=True)
        ]
    folded = max(range(len(columns)), key=lambda i: -1 if numeric[i] else widths[i], default=0)
    beyond = sum(widths) + 3 * len(widths) - 3 - width
    if beyond > 0 and len(columns) > 1:
        if numeric[folded] or widths[folded] - beyond < FOLDED_WIDTH_MIN:
            return vertical(columns, cells)
        widths[folded] -= beyond

    def line(values: Sequence[str]) -> str:
        padded = [_right(v, w) if right else _left(v, w) for v, w, right in zip(values, widths, numeric, strict=True)]
        return " | ".join(padded).rstrip()

    rule = "-+-".join("-" * w for w in widths)
    lines = [line(part) for row in cells for part in _folded(row, widths)] if columns else []
    return "\n".join([line(list(columns)), rule, *lines])


def _folded(row: list[str], widths: Sequence[int]) -> Iterator[list[str]]:
    """The lines that a row takes when its cells are folded to widths."""
    pieces = [_wrapped(text, max(width, 1)) for text, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, pieces), default=1)):
        yield [lines[number] if number < len(lines) else "" for lines in pieces]


def _is_number(value: Any) -> bool:
    """Whether a cell is shown flush right (NULL goes with the others)."""
    return value is None or (isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool))


def vertical(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Every row as a block of ``column: value`` lines."""
    widest = max(map(width_of, columns), default=0)
    blocks = []
    for number, row in enumerate(cells, 1):
        lines = [f"-[ row {number} ]-".ljust(30, "-")]
        lines += [f"{_right(name, widest)}: {value}" for name, value in zip(columns, row, strict=True)]
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def result(outcome: Any, width: int = 120, *, upright: bool = False, cell_width: int | None = None) -> str:
    """The text of a result (`penstock.Message`, `Listing`, `Description`, `Table`) with all its rows.

    Args:
        upright: rows as blocks of lines.
        cell_width: see `table`.
    """
    name = type(outcome).__name__
    if name == "Message":
        return str(outcome.text)
    if name == "Listing" and not upright:
        return listing(outcome, width)
    if name == "Description":
        return description(outcome, width)
    from .. import LiveRows

    rows = [LiveRows.with_times(outcome.columns, row) for row in outcome]
    if upright:
        text = vertical(outcome.columns, [[shown(value) for value in row] for row in rows])
    else:
        text = table(outcome.columns, rows, width, cell_width)
    count = f"({len(rows):,} {'row' if len(rows) == 1 else 'rows'})"
    return f"{text}\n{count}" if text else count


def listing(outcome: Any, width: int = 120) -> str:
    """The text of a `penstock.Listing`."""
    if not outcome.rows:
        return "(none)"
    return table(outcome.columns, outcome.rows, width)


def description(outcome: Any, width: int = 120) -> str:
    """The text of a `penstock.Description`: short facts side by side, then tables and plans under their headings."""
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
    """The text of an error; it begins with who must act."""
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
    text = ", ".join(f"{name}={shown(value)}" for name, value in zip(columns, values, strict=True))
    mark = "- " if tombstone else "+ "
    return (f"({missed} rows were dropped: the reader was slow)\n" if missed else "") + mark + text
