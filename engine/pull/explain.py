"""Describes in words how a pull query is answered: its clauses in the order of evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...grammar import ast
from ...grammar.selects import as_table_query, nodes_of
from ...grammar.unparse import unparse_expression


def steps_of(query: ast.AnyQuery, read_how: Mapping[str, str], depth: int = 0) -> Iterator[str]:
    """One line for each step.  The lines of inner queries are indented.

    Args:
        read_how: how each source is read, by alias.
    """
    indent = "  " * depth
    whole = as_table_query(query)
    for common in whole.common_tables:
        yield f"{indent}with {common.name}:"
        yield from steps_of(common.query, read_how, depth + 1)
    yield from _body(whole.body, read_how, depth)
    if whole.order_by:
        keys = (unparse_expression(o.expression) + (" descending" if o.descending else "") for o in whole.order_by)
        yield f"{indent}sort by {', '.join(keys)}"
    if whole.limit is not None or whole.offset is not None:
        yield f"{indent}take {'all' if whole.limit is None else whole.limit} rows from row {whole.offset or 0} on"


def _body(body: ast.QueryBody, read_how: Mapping[str, str], depth: int) -> Iterator[str]:
    indent = "  " * depth
    match body:
        case ast.Query() | ast.TableQuery():
            yield from steps_of(body, read_how, depth)
        case ast.ValuesTable(rows=rows):
            yield f"{indent}make {len(rows)} rows of constants"
        case ast.SetOperation(operator=operator, all=all_, left=left, right=right):
            yield f"{indent}{operator.lower()}{' all' if all_ else ''} of:"
            for side in (left, right):
                yield from _body(side, read_how, depth + 1)
        case ast.Select() as select:
            yield from _select(select, read_how, depth)


def _select(select: ast.Select, read_how: Mapping[str, str], depth: int) -> Iterator[str]:
    indent = "  " * depth
    if select.source is not None:
        yield from _source(select.source, read_how, depth)
    for join in select.joins:
        yield from _source(join.source, read_how, depth)
        condition = f" using {', '.join(join.using)}" if join.using else ""
        condition = f" on {unparse_expression(join.on)}" if join.on is not None else condition
        yield f"{indent}{join.type.lower()} join{condition}"
    if select.where is not None:
        yield f"{indent}filter by {unparse_expression(select.where)}"
    if select.group_by:
        yield f"{indent}group by {', '.join(map(unparse_expression, select.group_by))}"
    if select.having is not None:
        yield f"{indent}filter groups by {unparse_expression(select.having)}"
    windows = [n for n in nodes_of(select.select) if isinstance(n, ast.WindowCall)]
    for window in windows:
        yield f"{indent}compute {unparse_expression(window)}"
    yield f"{indent}compute {len(select.select)} items of the SELECT list"
    if select.distinct:
        yield f"{indent}drop rows that are there twice"


def _source(source: ast.FromItem, read_how: Mapping[str, str], depth: int) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(source, ast.SubqueryRef):
        yield f"{indent}subquery{'' if source.alias is None else ' ' + source.alias}:"
        yield from steps_of(source.query, read_how, depth + 1)
        return
    alias = source.alias or source.name
    yield f"{indent}read {read_how.get(alias, source.name)}"
