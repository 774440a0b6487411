"""Binds calls: chooses the function and its overload, binds lambdas, and checks where aggregates and table functions
stand.
"""

from __future__ import annotations

from typing import Any

from ...errors import StatementError
from ...grammar import ast
from ...storage.values.time_units import UNIT_MS
from .. import types as t
from ..expressions import nodes as n
from ..functions import near_misses
from ..functions.registry import AggregateOverload, Function, LambdaOf, Special
from .binding import Binder
from .overloads import Argument, Chosen, choose, expand_parameters

TypedExpression = n.TypedExpression
_UNITS = {
    unit: unit.removesuffix("S")
    for base in ("YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND")
    for unit in (base, base + "S")
}


def call(e: ast.FunctionCall, binder: Binder, *, over: bool = False) -> TypedExpression:
    """Bind a call.

    Args:
        over: the call has an OVER clause, so its arguments may contain aggregates.

    Raises:
        StatementError: there is no such function, or its arguments do not fit.
    """
    function = binder.functions.find(e.name)
    if function is None:
        raise StatementError(
            f"there is no function named {e.name.upper()}",
            span=e.span,
            suggestion=near_misses.suggestion(e.name, binder.functions.names()),
        )
    if e.distinct and function.kind != "AGGREGATE":
        raise StatementError(
            f"DISTINCT is for aggregates, and {function.name} is not one", span=e.span, suggestion="Leave DISTINCT out."
        )
    arguments = _arguments(function, e, binder)
    without = any(expand_parameters(o.signature, 0) is not None for o in function.overloads)
    if function.kind == "AGGREGATE" and not arguments and not without:
        arguments = [binder.scope.rowtime(e.span)]  # section 7: MAX(*) and MAX() aggregate ROWTIME
    chosen = choose(function, function.overloads, arguments, lambda own, types: _lambda(own, types, binder), e.span)
    if function.kind == "AGGREGATE":
        return _aggregate(function, chosen.overload, chosen, e, over)
    type_ = chosen.result
    if type_ is None:
        returns = chosen.overload.returns
        if returns is None:
            raise StatementError(
                f"the function {function.name} was registered without the type of its result",
                span=e.span,
                suggestion="Register it with a signature.",
            )
        try:
            type_ = returns([a.type for a in chosen.arguments], [_literal_value(a) for a in chosen.arguments])
        except ValueError as error:
            raise StatementError(f"{function.name}: {error}", span=e.span) from None
        except StatementError as error:
            error.span = error.span or e.span
            raise
    if function.kind == "TABLE":
        for argument in chosen.arguments:
            if n.table_calls_of(argument):
                raise StatementError(
                    "the arguments of a table function cannot have rows of another table function",
                    span=argument.span,
                    suggestion="Explode in a stream of its own first.",
                )
        return n.TableCall(function.name, chosen.overload.ref(function.name), chosen.arguments, type=type_, span=e.span)
    return n.Call(function.name, chosen.overload.ref(function.name), chosen.arguments, type=type_, span=e.span)


def _arguments(function: Function, e: ast.FunctionCall, binder: Binder) -> list[Argument]:
    signatures = [expand_parameters(o.signature, len(e.arguments)) for o in function.overloads]
    arguments: list[Argument] = []
    for place, argument in enumerate(e.arguments):
        asked = [s[place].type for s in signatures if s is not None]
        word = None
        if isinstance(argument, ast.IntervalUnit):
            word = argument.unit
        elif isinstance(argument, ast.NameRef) and argument.qualifier is None:
            word = argument.name
        if word is not None and word.upper() in _UNITS and Special("UNIT") in asked:
            if _UNITS[word.upper()] not in UNIT_MS:
                raise StatementError(
                    f"{function.name} does not count in {word.upper()}: its units are DAYS, HOURS, MINUTES, SECONDS and "
                    "MILLISECONDS",
                    span=argument.span,
                    suggestion="7 DAYS are a week; months and years have no fixed length.",
                )
            arguments.append(n.UnitWord(_UNITS[word.upper()], type=t.STRING, span=argument.span))
        elif isinstance(argument, ast.Lambda):
            if asked and not any(isinstance(a, LambdaOf) for a in asked):
                raise StatementError(
                    f"{function.name} takes no lambda here",
                    span=argument.span,
                    suggestion=f"DESCRIBE FUNCTION {function.name}; shows what it takes.",
                )
            arguments.append(argument)
        else:
            arguments.append(binder.bind(argument))
    return arguments


def _aggregate(
    function: Function, overload: AggregateOverload, chosen: Chosen[AggregateOverload], e: ast.FunctionCall, over: bool
) -> TypedExpression:
    for argument, parameter in zip(chosen.arguments, chosen.parameters, strict=True):
        if n.aggregates_of(argument) and not over:
            raise StatementError(
                "an aggregate cannot stand inside of another aggregate",
                span=argument.span,
                suggestion="Aggregate the result of another query.",
            )
        if n.table_calls_of(argument):
            raise StatementError(
                "a table function cannot stand inside of an aggregate",
                span=argument.span,
                suggestion="Explode in a stream of its own, and aggregate that.",
            )
        if parameter.name in overload.literals and not isinstance(argument, n.Literal):
            raise StatementError(
                f"{function.name} needs a literal for {parameter.name}, not {n.written(argument)}",
                span=argument.span,
                suggestion="Write the value itself: a query cannot compute it.",
            )
    type_ = chosen.result
    if type_ is None:
        try:
            made = overload.make([a.type for a in chosen.arguments], [_literal_value(a) for a in chosen.arguments])
        except ValueError as error:
            raise StatementError(f"{function.name}: {error}", span=e.span) from None
        type_ = t.from_arrow(made.result_type)
    names = tuple(parameter.name for parameter in chosen.parameters)
    return n.AggregateCall(
        function.name, overload.ref(function.name), chosen.arguments, names, e.star, e.distinct, type=type_, span=e.span
    )


def _lambda(e: ast.Lambda, parameters: tuple[tuple[str, t.SqlType], ...], binder: Binder) -> n.LambdaNode:
    seen: set[str] = set()
    for name, _ in parameters:
        if name in seen or name in binder.parameters:
            raise StatementError(f"{name} already is a parameter here", span=e.span, suggestion="Give it another name.")
        seen.add(name)
        try:
            binder.scope.resolve(ast.NameRef(name, span=e.span))
        except StatementError:
            continue
        raise StatementError(
            f"the lambda's parameter {name} is also a column", span=e.span, suggestion="Give it another name."
        )
    binder.parameters |= dict(parameters)
    try:
        body = binder.bind(e.body)
    finally:
        for name, _ in parameters:
            del binder.parameters[name]
    if n.aggregates_of(body) or n.table_calls_of(body):
        raise StatementError(
            "a lambda can call neither aggregates nor table functions",
            span=e.body.span,
            suggestion="Call them outside of the lambda.",
        )
    return n.LambdaNode(parameters, body, type=body.type, span=e.span)


def _literal_value(argument: TypedExpression) -> Any:
    if isinstance(argument, n.UnitWord):
        return argument.unit
    return argument.value if isinstance(argument, n.Literal) else None
