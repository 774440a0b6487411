"""Finds the keys that a condition asks for.  If it names whole keys, they are looked up; otherwise the table is scanned."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ...errors import Span, StatementError
from ..catalog import DataSource
from ..expressions.nodes import ColumnRef, Compare, In, Logical, OuterValue, TypedExpression
from ..expressions.nodes import Literal as Constant
from ..pull.conditions import key_condition, operands
from ..serdes import key_schema, serdes_of
from ..types import BIGINT, BYTES, DOUBLE, INTEGER, STRING, to_arrow
from .context import Context


def bound_keys(where: TypedExpression | None, source: DataSource) -> list[Any] | None:
    """The keys that WHERE asks for, one array for each key column; None if it does not name whole keys."""
    names = [c.name for c in source.schema.keys]
    bound: dict[str, list[Any]] = {}
    for condition in operands(where, "AND"):
        found = _equality(condition)
        if found is not None and found[0] in names and found[0] not in bound:
            bound[found[0]] = found[1]
    if source.window is not None or len(bound) != len(names):
        return None
    rows: list[tuple[Any, ...]] = [()]
    for name in names:
        rows = [(*row, value) for row in rows for value in bound[name]]
    rows = list(dict.fromkeys(rows))
    return [pa.array([row[i] for row in rows], to_arrow(c.type)) for i, c in enumerate(source.schema.keys)]


def _equality(condition: TypedExpression) -> tuple[str, list[Any]] | None:
    """The column and the values of ``column = constant`` or ``column IN (constants)``; None if a value is not of its
    type.
    """
    match condition:
        case (
            Compare(operator="=", left=ColumnRef() as column, right=Constant() | OuterValue() as constant)
            | Compare(operator="=", left=Constant() | OuterValue() as constant, right=ColumnRef() as column)
        ) if _is_of(constant, column):
            return column.name, [constant.value]
        case In(operand=ColumnRef() as column, items=items, negated=False) if all(
            isinstance(i, Constant | OuterValue) and _is_of(i, column) for i in items
        ):
            values = [i.value for i in items if isinstance(i, Constant | OuterValue) and i.value is not None]
            return (column.name, values) if values else None
    return None


_RANGES: dict[object, int] = {INTEGER: 2**31, BIGINT: 2**63, DOUBLE: 2**53}
"""The largest whole number of each type up to which the type can represent all of them, in both directions."""


def _is_of(constant: Constant | OuterValue, column: ColumnRef) -> bool:
    """Whether a constant is a value of the column's type, or a whole number that this type can represent.

    ``7`` is an INTEGER, and a key of BIGINT is looked up by it, too.
    """
    if constant.type == column.type:
        return True
    bound = _RANGES.get(column.type) if constant.type in (INTEGER, BIGINT) else None
    return bound is not None and (constant.value is None or -bound <= constant.value < bound)


def check_scan(context: Context, where: TypedExpression | None, source: DataSource, span: Span) -> None:
    """Check that WHERE needs no scan of the table.

    It needs none if each alternative names every key column once, or a range of the only key column.

    Raises:
        StatementError: it needs a scan, and a property forbids it.
    """
    if context.options.pull_table_scan:
        return
    names = [c.name for c in source.schema.keys]
    alternatives = [[]] if where is None else _alternatives(where)
    ranged = (
        context.options.pull_range_scan
        and len(alternatives) == len(names) == 1
        and source.schema.keys[0].type in (STRING, BYTES)
    )
    for alternative in alternatives:
        found = [f for condition in alternative if (f := key_condition(condition, names)) is not None]
        if sorted(name for name, _ in found) != sorted(names) or any(how == "other" for _, how in found):
            break
        if any(how == "range" for _, how in found) and not ranged:
            break
    else:
        return
    raise StatementError(
        f"this query reads the whole table {source.name}, which ksql.query.pull.table.scan.enabled forbids",
        span=span,
        suggestion=f"Compare {', '.join(names)} with a constant, once.",
    )


def _alternatives(expression: TypedExpression) -> list[list[TypedExpression]]:
    """The disjunctive normal form: a list of alternatives, each a list of conditions."""
    match expression:
        case Logical(operator="OR", left=left, right=right):
            return _alternatives(left) + _alternatives(right)
        case Logical(operator="AND", left=left, right=right):
            return [[*a, *b] for a in _alternatives(left) for b in _alternatives(right)]
    return [[expression]]


def in_key_order(context: Context, source: DataSource, rows: pa.Table) -> pa.Table:
    """Rows in the order of their serialised keys, then of their windows.  So LIMIT always gives the same rows."""
    serde, _ = serdes_of(source, context.schemas)
    if serde is None or rows.num_rows == 0:
        return rows
    schema = key_schema(source.schema)
    arrays = [rows.column(f.name).combine_chunks() for f in schema]
    encoded = serde.encode(arrays, schema, None).data.to_pylist()
    starts = rows.column("WINDOWSTART").to_pylist() if source.window is not None else [0] * rows.num_rows
    order = sorted(range(rows.num_rows), key=lambda i: (encoded[i] or b"", starts[i]))
    return rows.take(pa.array(order, pa.int64()))
