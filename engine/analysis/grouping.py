"""GROUP BY, HAVING and aggregates (sections 6 and 7 of the reference).

A grouped SELECT list is split in two.  The arguments of its aggregates are evaluated over the rows of the source.  The
expressions around the aggregates are evaluated over the rows of the aggregation: group keys and results of aggregates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from ...errors import StatementError
from ...storage.formats.traits import format_traits
from ..expressions.nodes import (
    AggregateCall,
    ColumnRef,
    TableCall,
    TypedExpression,
    aggregates_of,
    columns_of,
    table_calls_of,
    transform,
    walk,
    written,
)
from ..functions.registry import Registry
from ..schema import WINDOW_BOUNDS
from ..types import BIGINT
from .keys import check_key_type
from .resolved import Named, WindowSpec

_SOME_NESTED_TYPE = pa.list_(pa.int32())


def fresh_name(prefix: str, taken: set[str]) -> str:
    """Make a name that is not in use, and add it to ``taken``.

    Returns:
        ``prefix``, or ``prefix`` with the first number that makes it unique.
    """
    name, n = prefix, 0
    while name in taken:
        n += 1
        name = f"{prefix}_{n}"
    taken.add(name)
    return name


def group_keys(expressions: Sequence[TypedExpression], taken: set[str]) -> tuple[Named, ...]:
    """The columns of the GROUP BY expressions.  An expression that is a column keeps the column's name.

    Raises:
        StatementError: an expression is an aggregate, a table function or a repetition, or has a type that cannot be a key.
    """
    keys: list[Named] = []
    for expression in expressions:
        for node in walk(expression):
            if isinstance(node, AggregateCall | TableCall):
                kind = "an aggregate" if isinstance(node, AggregateCall) else "a table function"
                raise StatementError(
                    f"GROUP BY cannot use {node.name}, which is {kind}",
                    span=node.span,
                    suggestion="Compute it in a query of its own, and group that.",
                )
        if any(k.expression == expression for k in keys):
            raise StatementError(
                f"GROUP BY lists {written(expression)} twice", span=expression.span, suggestion="Leave one of them out."
            )
        check_key_type(written(expression), expression.type, expression.span)
        name = expression.name if isinstance(expression, ColumnRef) else fresh_name("KEY", taken)
        keys.append(Named(name, expression))
    return tuple(keys)


class Aggregates:
    """The distinct aggregates of a query, and the column that holds the result of each."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._names: dict[AggregateCall, str] = {}

    def name(self, call: AggregateCall) -> str:
        found = self._names.get(call)
        if found is None:
            found = self._names[call] = fresh_name("AGG", self._taken)
        return found

    @property
    def calls(self) -> tuple[tuple[str, AggregateCall], ...]:
        return tuple((name, call) for call, name in self._names.items())


def check_calls(expressions: Iterable[TypedExpression]) -> None:
    """Section 7: refuse aggregates in aggregates, and aggregates beside table functions.

    Raises:
        StatementError: the expressions have such calls, or an aggregate has DISTINCT.
    """
    for expression in expressions:
        for call in aggregates_of(expression):
            if call.distinct:
                raise StatementError(
                    f"{call.name}(DISTINCT ..) is for queries that are answered once",
                    span=call.span,
                    suggestion="Use COUNT_DISTINCT, or COLLECT_SET."
                    if call.name == "COUNT"
                    else "Group by the value first.",
                )
            for argument in call.arguments:
                inner = aggregates_of(argument)
                if inner:
                    raise StatementError(
                        f"aggregates cannot be nested: {inner[0].name} stands inside {call.name}",
                        span=inner[0].span,
                        suggestion="Aggregate the result of another query.",
                    )
        for table_call in table_calls_of(expression):
            raise StatementError(
                f"the table function {table_call.name} cannot stand in an aggregating query",
                span=table_call.span,
                suggestion="Explode in a stream of its own, and aggregate that.",
            )


def check_undoable(calls: Sequence[tuple[str, AggregateCall]], functions: Registry) -> None:
    """Section 7: over a table, every aggregate must be able to undo a row.

    Raises:
        StatementError: some cannot.  The error names them.
    """
    stubborn = [c for _, c in calls if not functions.aggregator(c.function, c.argument_types, c.literals).can_undo]
    if stubborn:
        names = list(dict.fromkeys(c.name for c in stubborn))
        raise StatementError(
            f"{', '.join(names)} cannot aggregate a table, only a stream: rows of a table change, "
            f"and {'they' if len(names) > 1 else 'it'} cannot undo a row",
            span=stubborn[0].span,
            suggestion="Declare a stream over the table's topic and aggregate that, or use COLLECT_LIST.",
        )


def check_states(calls: Sequence[tuple[str, AggregateCall]], format_name: str, functions: Registry) -> None:
    """Section 7: check that the value format can hold the states of aggregates.

    The states are written in the value format of the left-most source.

    Raises:
        StatementError: the format has flat values only, and some states are nested.  The error names the aggregates.
    """
    if format_traits(format_name).unsupported(_SOME_NESTED_TYPE) is None:
        return
    nested = [c for _, c in calls if functions.aggregator(c.function, c.argument_types, c.literals).nested_state]
    if nested:
        names = ", ".join(dict.fromkeys(c.name for c in nested))
        raise StatementError(
            f"{names} cannot aggregate a source of {format_name} values: what it keeps is nested, and {format_name} is flat",
            span=nested[0].span,
            suggestion="Copy the source in another format first, JSON for example.",
        )


def check_mergeable(calls: Sequence[tuple[str, AggregateCall]], window: WindowSpec | None, functions: Registry) -> None:
    """Session windows need aggregates that can merge two states.

    Raises:
        StatementError: an aggregate cannot.  The error names it.
    """
    if window is None or window.type != "SESSION":
        return
    for _, call in calls:
        if not functions.aggregator(call.function, call.argument_types, call.literals).can_merge:
            raise StatementError(
                f"{call.name} cannot be used in session windows: it cannot merge two sessions into one",
                span=call.span,
                suggestion="Use a TUMBLING or a HOPPING window.",
            )


def over_groups(
    expression: TypedExpression, keys: Sequence[Named], aggregates: Aggregates, clause: str, *, windowed: bool
) -> TypedExpression:
    """Rewrite an expression of SELECT or HAVING so that it uses the columns of the aggregation.

    ``SUM(a) + LEN(b)`` grouped by ``LEN(b)`` becomes ``AGG + KEY``.

    Raises:
        StatementError: it uses a column that is neither grouped nor aggregated.
    """
    by_expression = {k.expression: k for k in keys}

    def change(node: TypedExpression) -> TypedExpression | None:
        key = by_expression.get(node)
        if key is not None:
            return ColumnRef(key.name, type=node.type, span=node.span)
        if isinstance(node, AggregateCall):
            return ColumnRef(aggregates.name(node), type=node.type, span=node.span)
        if isinstance(node, ColumnRef) and windowed and node.name in WINDOW_BOUNDS:
            return node
        if isinstance(node, ColumnRef):
            raise StatementError(
                f"the {clause} expression {written(expression)} uses {written(node)}, which is neither in GROUP BY nor "
                "inside an aggregate",
                span=node.span if node.span.end else expression.span,
                suggestion=f"Add it to GROUP BY, or aggregate it: LATEST_BY_OFFSET({written(node)}).",
            )
        return None

    return transform(expression, change)


def window_bounds(windowed: bool) -> tuple[ColumnRef, ...]:
    """The columns that a windowed aggregation adds after its aggregates: the start and end of the window."""
    return tuple(ColumnRef(name, type=BIGINT) for name in WINDOW_BOUNDS) if windowed else ()


def argument_columns(keys: Sequence[Named], calls: Sequence[tuple[str, AggregateCall]]) -> tuple[Named, ...]:
    """The distinct arguments of all aggregates as columns that stand beside the keys.

    An argument that is a column keeps its name if no other column here has it.
    """
    taken = {k.name for k in keys} | {name for name, _ in calls}
    for _, call in calls:
        taken |= {c.name for argument in call.inputs for c in columns_of(argument)}
    found: dict[TypedExpression, str] = {}
    used = {k.name for k in keys}
    for _, call in calls:
        for argument in call.inputs:
            if argument in found:
                continue
            if isinstance(argument, ColumnRef) and argument.name not in used:
                name = argument.name
            else:
                name = fresh_name("ARG", taken)
            used.add(name)
            found[argument] = name
    return tuple(Named(name, argument) for argument, name in found.items())
