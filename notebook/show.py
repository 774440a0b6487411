"""Results as HTML and as plain text, for notebooks."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ..engine.live_rows import WINDOW_BOUNDS, LiveRows
from ..engine.relation import Relation, monospaced
from ..engine.results import Message


class MonospacedText:
    """A text that the notebook shows in a monospaced font."""

    def __init__(self, text: str, *, error: bool = False) -> None:
        self.text = text
        self._error = error

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return monospaced(self.text, "color:#b00020" if self._error else "")


class Chart:
    """A result whose HTML has a bar beside each number; its plain text is the table without bars."""

    def __init__(self, table: Relation) -> None:
        self.table = table

    def __repr__(self) -> str:
        return self.table.text()

    def _repr_html_(self) -> str:
        return bars_html(self.table.columns, list(self.table), None)


def bars_html(columns: Sequence[str], rows: Sequence[Sequence[Any]], live: LiveRows | None) -> str:
    """Rows as an HTML table with a bar beside each number.  Its length is the number's share of the column's largest one."""
    numeric = [place for place, right in enumerate(are_numbers(columns, rows)) if right]
    most = {p: max((abs(float(row[p])) for row in rows if _drawn(row[p])), default=0.0) for p in numeric}
    head = "".join(f'<th scope="col" style="text-align:left">{html.escape(name)}</th>' for name in columns)
    body = []
    for row in rows:
        cells = row if live is None else live.readable(row)
        parts = []
        for place, value in enumerate(cells):
            text = html.escape("NULL" if value is None else str(value))
            if value is not None and place in most and _drawn(value) and most[place]:
                share = abs(float(value)) / most[place]
                bar = f"display:inline-block;height:.7em;width:{share * 12:.2f}em;background:#4477aa;margin-left:.5em"
                parts.append(f'<td style="text-align:left">{text}<span aria-hidden="true" style="{bar}"></span></td>')
            else:
                parts.append(f'<td style="text-align:left">{text}</td>')
        body.append(f"<tr>{''.join(parts)}</tr>")
    return f'<table class="penstock"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def are_numbers(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[bool]:
    """For each column, whether all its values are numbers.  Window bounds do not count as numbers: they are times."""
    found = []
    for place, name in enumerate(columns):
        values = [row[place] for row in rows if row[place] is not None]
        all_numbers = all(isinstance(v, (int, float, Decimal)) and not isinstance(v, bool) for v in values)
        found.append(bool(values) and all_numbers and name not in WINDOW_BOUNDS)
    return found


def _drawn(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and math.isfinite(value)


def shown(result: Any) -> Any:
    """The object that a notebook displays for a result."""
    return MonospacedText(result.text) if isinstance(result, Message) else result
