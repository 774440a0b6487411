"""The key of a result: which key the rows have before the projection, and how the projection must contain it.

Sections 5 and 8 of the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import Span, StatementError
from ..expressions.nodes import ColumnRef, TypedExpression, written
from ..schema import Column
from ..types import Array, Map, SqlType, Struct
from .projection import Item
from .resolved import OutputColumn, ResolvedJoin
from .scope import FromSource


@dataclass(frozen=True, slots=True)
class ResultKey:
    """A key column of the rows before the projection.

    Attributes:
        column: the key column in the plan.
        candidates: the SELECT items that can stand for the key, the preferred one first (several only after a join).
        written: the candidates as the user would write them.
        synthetic: whether a join made the key; such a key can only be selected by its name.
    """

    column: ColumnRef
    candidates: tuple[TypedExpression, ...]
    written: tuple[str, ...]
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class KeyRule:
    """The keys of a query, and the term for them in messages: ``key column``, ``grouping expression``, .."""

    keys: tuple[ResultKey, ...]
    noun: str


def source_key(source: FromSource) -> KeyRule:
    """The keys of a query over one source: those of the source."""
    return KeyRule(tuple(ResultKey(c.ref(), (c.ref(),), (c.name,)) for c in source.keys), "key column")


def join_key(join: ResolvedJoin, sources: Sequence[FromSource]) -> KeyRule:
    """Section 8: the keys of a join.

    Every column that the joins make equal to the key can stand for it.  A foreign-key join has the key of its left table.
    """
    written = {c.internal: f"{c.alias}.{c.name}" for s in sources for c in s.columns}
    if join.kind == "FOREIGN_KEY":
        keys = tuple(ResultKey(c, (c,), (written[c.name],)) for c in join.key)
        return KeyRule(keys, "primary key column of the left table")
    (column,) = join.key
    if not join.equivalents:
        return KeyRule((ResultKey(column, (column,), (column.name,), synthetic=True),), "join expression")
    names = tuple(written[c.name] for c in join.equivalents)
    return KeyRule((ResultKey(column, join.equivalents, names),), "join expression")


def check_key_type(name: str, type_: SqlType, span: Span) -> None:
    """Section 5: a key contains no MAP.

    Raises:
        StatementError: the type is or contains a MAP.
    """
    if _holds_map(type_):
        raise StatementError(
            f"{name} cannot be a key: its type {type_} is or holds a MAP, which has no single serialised form",
            span=span,
            suggestion="Use ENTRIES(map, true), or an element of the map.",
        )


def _holds_map(type_: SqlType) -> bool:
    match type_:
        case Map():
            return True
        case Array(item):
            return _holds_map(item)
        case Struct(fields):
            return any(_holds_map(t) for _, t in fields)
    return False


def place_keys(
    items: Sequence[Item], rule: KeyRule, *, persistent: bool, strict: bool, result: str
) -> tuple[tuple[OutputColumn, ...], tuple[int, ...]]:
    """Put the key columns first, in the order of the keys of the rows.

    Args:
        strict: no key column may be missing.

    Returns:
        the columns of the result, and the index of each SELECT item among them.

    Raises:
        StatementError: the projection of a persistent query lacks a key column, has one twice, or has no value column.
    """
    chosen: dict[int, ResultKey] = {}
    missing: list[ResultKey] = []
    for key in rule.keys:
        place = _place(items, key)
        if place is None:
            missing.append(key)
        else:
            chosen[place] = key
    if persistent:
        if missing and strict:
            raise _missing_keys(missing, rule, result, items)
        _check_once(items, chosen)
        if len(chosen) == len(items):
            raise StatementError(
                "the projection has no value columns, only the key",
                span=items[0].span,
                suggestion="Add a column, or a copy of the key: "
                f"AS_VALUE({written(items[0].expression)}) AS {items[0].name}_2.",
            )
    order = sorted(chosen, key=lambda place: rule.keys.index(chosen[place]))
    order += [i for i in range(len(items)) if i not in chosen]
    outputs = []
    for place in order:
        item = items[place]
        if place in chosen:
            expression: TypedExpression = chosen[place].column
            check_key_type(str(item.name), expression.type, item.span)
            outputs.append(OutputColumn(Column(str(item.name), expression.type, "KEY"), expression))
        else:
            outputs.append(OutputColumn(Column(str(item.name), item.expression.type), item.expression))
    return tuple(outputs), tuple(order.index(i) for i in range(len(items)))


def _place(items: Sequence[Item], key: ResultKey) -> int | None:
    for candidate in key.candidates:
        for place, item in enumerate(items):
            if item.expression == candidate:
                return place
    return None


def _missing_keys(missing: Sequence[ResultKey], rule: KeyRule, result: str, items: Sequence[Item]) -> StatementError:
    """Section 5: the projection of a persistent query must have every key column."""
    wanted = [" or ".join(k.written) for k in missing]
    plural = "s" if len(missing) > 1 else ""
    note = ""
    if any(k.synthetic for k in missing):
        note = " (the join is not on a column that could be its key, so it has a key of its own)"
    return StatementError(
        f"the SELECT list of {result} lacks the {rule.noun}{plural} {' and '.join(wanted)}{note}",
        span=items[0].span if items else None,
        suggestion=f"Select {', '.join(k.written[0] for k in missing)}, too; an alias is fine.",
    )


def _check_once(items: Sequence[Item], chosen: dict[int, ResultKey]) -> None:
    """Section 5: a second copy of a key column needs AS_VALUE."""
    for place, key in chosen.items():
        expression = items[place].expression
        copies = [i for i in items if i.expression == expression]
        if len(copies) > 1:
            raise StatementError(
                f"the SELECT list has the key column {key.written[0]} more than once: as "
                + " and ".join(str(i.name) for i in copies),
                span=copies[1].span,
                suggestion=f"Make the second one a value: AS_VALUE({written(expression)}) AS {copies[1].name}.",
            )
