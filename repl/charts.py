"""Charts as text: bars for rows, sparklines for values over time.

Each value is printed beside its bar, so length or colour alone carries no information.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Sequence
from typing import Any

from .render import cut_to, instant, shown, width_of

__all__ = ["chart"]

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STEPS = "▁▂▃▄▅▆▇█"
_LABEL_WIDTH_MAX = 40
_BAR_WIDTH_MIN = 8
_START, _END = "WINDOWSTART", "WINDOWEND"


def chart(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int = 120) -> str:
    """A chart of each numeric column.

    Rows of windows become a line over time for each key.  Other rows become one bar each, labelled by their columns that
    are not numbers (by the first column, if all are numbers and there are several).

    Args:
        width: columns of the terminal.
    """
    numeric = [i for i, name in enumerate(columns) if name not in (_START, _END) and _is_numeric(rows, i)]
    windowed = _START in columns and bool(numeric)
    labels = [i for i in range(len(columns)) if i not in numeric and columns[i] not in (_START, _END)]
    if not labels and len(numeric) > 1 and not windowed:
        labels, numeric = numeric[:1], numeric[1:]
    if not numeric:
        return "(no column of numbers to draw)" if rows else "(0 rows)"
    if windowed:
        return _lines(columns, rows, numeric, labels, width)
    return _bars(columns, rows, numeric, labels, width)


def _is_numeric(rows: Sequence[Sequence[Any]], place: int) -> bool:
    values = [row[place] for row in rows if row[place] is not None]
    return bool(values) and all(isinstance(v, (int, float, decimal.Decimal)) and not isinstance(v, bool) for v in values)


def _label(row: Sequence[Any], labels: Sequence[int]) -> str:
    return cut_to(", ".join(shown(row[i]) for i in labels), _LABEL_WIDTH_MAX)


def _number(value: Any) -> float | None:
    """A value to draw; None for NULL and what has no length."""
    found = None if value is None else float(value)
    return None if found is None or not math.isfinite(found) else found


def _padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def _bars(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[int], labels: Sequence[int], width: int
) -> str:
    names = [_label(row, labels) for row in rows]
    name_width = max(map(width_of, names), default=0)
    blocks = []
    for place in numeric:
        texts = [shown(row[place]) for row in rows]
        text_width = max(map(len, texts))
        room = max(width - name_width - text_width - 5, _BAR_WIDTH_MIN)
        values = [_number(row[place]) for row in rows]
        most = max((abs(v) for v in values if v is not None), default=0.0)
        below = any(v is not None and v < 0 for v in values)
        lines = [columns[place]]
        for name, text, value in zip(names, texts, values, strict=True):
            bar = "" if value is None or not most else _bar(abs(value) / most, room - below)
            sign = ("-" if value is not None and value < 0 else " ") if below else ""
            lines.append(f"{_padded(name, name_width)}  {text.rjust(text_width)}  {sign}{bar}".rstrip())
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _bar(share: float, room: int) -> str:
    eighths = round(share * room * 8)
    if share > 0:
        eighths = max(eighths, 1)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def _lines(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[int], labels: Sequence[int], width: int
) -> str:
    """A line over the windows for each key, all over the same stretch of time."""
    at = list(columns).index(_START)
    starts = sorted({row[at] for row in rows if isinstance(row[at], int)})
    room = max(min(width - _LABEL_WIDTH_MAX - 36, len(starts)), _BAR_WIDTH_MIN)
    starts = starts[-room:]
    blocks = []
    for place in numeric:
        found: dict[str, dict[int, float]] = {}
        for row in rows:
            value = _number(row[place])
            if value is not None:
                found.setdefault(_label(row, labels), {})[row[at]] = value
        name_width = max(map(width_of, found), default=0)
        drawn = {name: [values.get(start) for start in starts] for name, values in found.items()}
        known = [v for values in drawn.values() for v in values if v is not None]
        low, high = min([0.0, *known]), max([0.0, *known])
        lines = [f"{columns[place]}, {_span(starts)}"]
        for name in sorted(drawn):
            values = [v for v in drawn[name] if v is not None]
            if values:
                said = f"{_short(values[-1])} last, {_short(min(values))} to {_short(max(values))}"
                lines.append(f"{_padded(name, name_width)}  {_steps(drawn[name], low, high)}  {said}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _span(starts: Sequence[int]) -> str:
    if not starts:
        return "no windows"
    return f"windows of {instant(starts[0])} to {instant(starts[-1])} UTC" if len(starts) > 1 else f"of {instant(starts[0])}"


def _steps(values: Sequence[float | None], low: float, high: float) -> str:
    span = high - low or 1.0
    return "".join(" " if v is None else _STEPS[min(int((v - low) / span * len(_STEPS)), len(_STEPS) - 1)] for v in values)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
