"""Assertions about the content of tables, streams and results."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..engine.database import Database
from ..engine.relation import Relation, grid
from ..engine.same_values import canonical_value
from ..engine.types import quoted

__all__ = ["assert_golden", "assert_table"]


def assert_table(
    database: Database,
    name: str,
    expected: Sequence[Mapping[str, Any] | Sequence[Any]],
    *,
    where: str | None = None,
    ordered: bool = False,
) -> None:
    """Assert the content of a table or stream after everything inserted so far has been processed.

    Args:
        name: the source's name, as in SQL.
        expected: rows as dicts (with the columns to compare, the same in each row) or as tuples of all columns.
        where: an SQL condition; only rows that meet it are compared.
        ordered: compare the order of rows, too.  By default the order does not matter, but the number of equal rows does.

    Raises:
        AssertionError: the rows differ; the message lists missing and unexpected rows.
        StatementError: there is no such table or column.
    """
    __tracebackhide__ = True
    database.drain()
    database.wait_idle(30)
    source = database.catalog.named(name)
    wanted = [dict(row) if isinstance(row, Mapping) else tuple(row) for row in expected]
    columns = "*"
    names: list[str] = []
    if wanted and isinstance(wanted[0], dict):
        known = {*source.schema.names, "ROWTIME", "WINDOWSTART", "WINDOWEND"}
        names = [key if key in known else key.upper() for key in wanted[0]]
        columns = ", ".join(map(quoted, names))
    condition = "" if where is None else f" WHERE {where}"
    found = database.sql(f"SELECT {columns} FROM {quoted(source.name)}{condition};")
    rows = [tuple(row) for row in found]
    given = [tuple(row.values()) if isinstance(row, dict) else row for row in wanted]
    same = [[tuple(map(canonical_value, row)) for row in side] for side in (rows, given)]
    if same[0] != same[1] if ordered else Counter(same[0]) != Counter(same[1]):
        if not ordered:
            rows, given = sorted(rows, key=_order), sorted(given, key=_order)
        raise AssertionError(_told(source.name, names or list(found.columns), given, rows))


def _order(row: tuple[Any, ...]) -> list[tuple[bool, str]]:
    return [(value is not None, repr(value)) for value in row]


def _told(name: str, columns: list[str], wanted: list[tuple[Any, ...]], rows: list[tuple[Any, ...]]) -> str:
    """The difference as a table: lines with ``-`` are expected and missing, lines with ``+`` exist and are not expected."""
    texts = [[_shown(value) for value in row] for row in [*wanted, *rows]]
    if any(len(row) != len(columns) for row in texts):
        return f"{name} has the columns {', '.join(columns)}, and a row that is expected has {len(texts[0])} values"
    head, rule, *lines = grid(columns, texts).splitlines()
    left, right = lines[: len(wanted)], lines[len(wanted) :]
    body = [f"{line[0]} {line[2:]}" for line in difflib.ndiff(left, right) if line[0] in "-+ "]
    counts = f"{len(rows)} rows, {len(wanted)} expected"
    return "\n".join([f"{name} holds other rows ({counts}); - is missing, + is too much", f"  {head}", f"  {rule}", *body])


def _shown(value: Any) -> str:
    return "NULL" if value is None else repr(value) if isinstance(value, str) else str(value)


def assert_golden(result: Relation | str, path: str | Path, *, bless: bool = False) -> None:
    """Assert that a result, as text, equals the content of a file.

    Args:
        result: a text, or a relation, whose text has all its rows (give the query an ORDER BY: their order counts).
        bless: write the file instead of comparing.

    Raises:
        AssertionError: the texts differ, or the file does not exist.
    """
    __tracebackhide__ = True
    target = Path(path)
    text = (result.text(len(result)) if isinstance(result, Relation) else result).rstrip("\n") + "\n"
    if bless:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return
    if not target.exists():
        raise AssertionError(f"there is no golden file {target} yet: run pytest with --penstock-bless to write it")
    wanted = target.read_text(encoding="utf-8")
    if wanted != text:
        difference = difflib.unified_diff(wanted.splitlines(), text.splitlines(), str(target), "now", lineterm="")
        raise AssertionError("the result is not that of the golden file\n" + "\n".join(difference))
