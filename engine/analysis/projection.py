"""The SELECT list: expands stars and names the columns (sections 3, 5 and 8 of the reference)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from ...errors import Span, StatementError
from ...grammar import ast
from ..expressions.nodes import ColumnRef, FieldAccess, TypedExpression, written
from ..schema import RESERVED_NAMES
from ..types import Struct
from .resolved import Named
from .scope import FromSource, Scope, SourceColumn

Bind = Callable[[ast.Expression, Scope], TypedExpression]


@dataclass(frozen=True, slots=True)
class Item:
    """A column of the expanded SELECT list.

    Attributes:
        name: the name in the result, None as long as it is not chosen.  Once it is set, it does not change.
        star: whether the column comes from ``*``.
        written: the column's name, if the item is a column without an alias.
    """

    expression: TypedExpression
    name: str | None
    span: Span
    star: bool = False
    written: str | None = None


def expand(
    select: Sequence[ast.SelectItem],
    scope: Scope,
    bind: Bind,
    *,
    persistent: bool,
    partition_by: Sequence[Named] | None,
) -> tuple[Item, ...]:
    """Expand the stars of a SELECT list.

    Columns from stars and items with an alias have names afterwards; `name_items` names the others.
    """
    items: list[Item] = []
    for item in select:
        match item:
            case ast.SelectStar(qualifier=None):
                items += _star(item, scope, persistent, partition_by, select, bind)
            case ast.SelectStar(qualifier=qualifier):
                items += _source_star(item, str(qualifier), scope, persistent)
            case ast.SelectStructStar(base=base):
                items += _struct_star(item, bind(base, scope))
            case ast.SelectExpression(expression=expression, alias=alias):
                if alias in RESERVED_NAMES:
                    raise StatementError(
                        f"{alias} is a reserved name, it cannot be an alias",
                        span=item.span,
                        suggestion=f"Call it something else, {alias}_ for example.",
                    )
                written = expression.name if isinstance(expression, ast.NameRef) and alias is None else None
                items.append(Item(bind(expression, scope), alias, expression.span, written=written))
    return tuple(items)


def _star(
    item: ast.SelectStar,
    scope: Scope,
    persistent: bool,
    partition_by: Sequence[Named] | None,
    select: Sequence[ast.SelectItem],
    bind: Bind,
) -> list[Item]:
    """Expand ``*``: the synthetic key if there is one, the keys, then the values of every source.

    After PARTITION BY, ``*`` is the new key, then the other values, then the old key.  In a join, the pseudo columns of the
    sources come before the old key (section 5, as in ksqlDB).
    """
    columns: list[SourceColumn] = []
    if scope.synthetic_key is not None:
        columns.append(scope.synthetic_key)
    for source in scope.sources:
        bounds = _shown_bounds(source, scope, persistent)
        if partition_by is None:
            columns += [*source.keys, *bounds, *source.values]
        elif len(scope.sources) > 1:
            columns += [*source.values, *source.pseudo, *source.keys]
        else:
            columns += [*source.values, *source.keys]
    items = [_item(c, item.span, scope) for c in columns]
    if not partition_by:
        return items
    explicit = {bind(i.expression, scope) for i in select if isinstance(i, ast.SelectExpression)}
    keys = [k for k in partition_by if k.expression not in explicit]
    taken = {k.expression for k in partition_by}
    by_name = {c.internal: c for s in scope.sources for c in s.columns}
    first = [
        _item(by_name[k.expression.name], item.span, scope)
        if isinstance(k.expression, ColumnRef) and k.expression.name in by_name
        else Item(k.expression, None, item.span, star=True)
        for k in keys
    ]
    return first + [i for i in items if i.expression not in taken]


def _source_star(item: ast.SelectStar, qualifier: str, scope: Scope, persistent: bool) -> list[Item]:
    source = next((s for s in scope.sources if s.alias == qualifier), None)
    if source is None:
        raise StatementError(
            f"{qualifier} is not the name or alias of a stream or table of this query",
            span=item.span,
            suggestion=f"The query reads {', '.join(s.alias for s in scope.sources)}.",
        )
    bounds = _shown_bounds(source, scope, persistent)
    return [_item(c, item.span, scope) for c in (*source.keys, *bounds, *source.values)]


def _shown_bounds(source: FromSource, scope: Scope, persistent: bool) -> tuple[SourceColumn, ...]:
    """Section 4: ``*`` includes the window bounds of windowed sources.

    A persistent query over one source is an exception, because the names of the bounds are reserved there.
    """
    return source.bounds if len(scope.sources) > 1 or not persistent else ()


def _item(column: SourceColumn, span: Span, scope: Scope) -> Item:
    """Section 8: in a join, ``*`` prefixes every column with its source's alias."""
    return Item(column.ref(span), column.internal if len(scope.sources) > 1 else column.name, span, star=True)


def _struct_star(item: ast.SelectStructStar, base: TypedExpression) -> list[Item]:
    if not isinstance(base.type, Struct):
        raise StatementError(
            f"->* needs a STRUCT, but {written(base)} is {base.type}", span=item.span, suggestion="Select it as it is."
        )
    return [Item(FieldAccess(base, f, type=type_, span=item.span), None, item.span) for f, type_ in base.type.fields]


def name_items(items: Sequence[Item], scope: Scope) -> tuple[Item, ...]:
    """Give each item its name in the result (section 5).

    An item's name is its alias; or its column's name, with a prefix if several sources have the column; or the name of a
    struct's field; or KSQL_COL_n.

    Raises:
        StatementError: two columns have the same name.
    """
    taken = {i.name for i in items if i.name is not None} | {c.name for s in scope.sources for c in s.columns}
    columns = {c.internal: c for s in scope.sources for c in s.columns}
    generated = _generated_names(taken)
    # If a column or an alias has the name X of a field, the field is called X_1, the next one X_2.
    shown = {i.name or _own_name(i.expression, columns, scope) for i in items if not isinstance(i.expression, FieldAccess)}
    shown |= {i.name for i in items}
    fields: dict[str, int] = {}
    named: list[Item] = []
    for item in items:
        name = item.name
        if name is None:
            match item.expression:
                case ColumnRef(name=internal) if internal in columns:
                    name = _column_name(columns[internal], scope)
                case ColumnRef(name=internal):
                    name = internal
                case FieldAccess(field=field):
                    name = _field_name(field, fields, shown)
                case _:
                    name = next(generated)
        named.append(replace(item, name=name))
    _check_distinct(named)
    return tuple(named)


def _own_name(expression: TypedExpression, columns: Mapping[str, SourceColumn], scope: Scope) -> str | None:
    if not isinstance(expression, ColumnRef):
        return None
    found = columns.get(expression.name)
    return expression.name if found is None else _column_name(found, scope)


def _field_name(field: str, used: dict[str, int], shown: Container[str | None]) -> str:
    """The first of X, X_1, X_2, .. that is not the name of another item."""
    while True:
        used[field] = used.get(field, -1) + 1
        name = f"{field}_{used[field]}" if used[field] else field
        if name not in shown:
            return name


def _generated_names(taken: set[str]) -> Iterator[str]:
    """KSQL_COL_0, KSQL_COL_1, .. without the names that are in use."""
    return (name for name in (f"KSQL_COL_{n}" for n in count()) if name not in taken)


def _column_name(column: SourceColumn, scope: Scope) -> str:
    """Section 8: a column's name has a prefix only if several sources have a column of this name."""
    sources = [s for s in scope.sources if s.find(column.name) is not None]
    return column.internal if len(sources) > 1 else column.name


def _check_distinct(items: Sequence[Item]) -> None:
    seen: dict[str | None, Item] = {}
    for item in items:
        other = seen.setdefault(item.name, item)
        if other is not item:
            raise StatementError(
                f"the SELECT list has two columns called {item.name}",
                span=item.span,
                suggestion=f"Give one an alias: {written(item.expression)} AS {item.name}_2.",
            )
