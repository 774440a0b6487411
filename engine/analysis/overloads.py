"""Chooses the overload of a function for a call.

There are three rounds, and each tries all overloads: with the arguments unchanged; with implicit casts; with the types of
generic parameters widened to a common type.  The first round with a match decides.  If several overloads match, these are
preferred: a fixed number of parameters to a variadic one, then more parameters to fewer, then fewer generic ones.  If two
are still equal, the call is ambiguous and refused.  A bare NULL and a lambda match in any round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ...errors import Span, StatementError
from ...grammar import ast
from .. import types as t
from ..expressions import nodes as n
from ..expressions.arithmetic import as_decimal
from ..functions.registry import (
    AggregateOverload,
    ArrayOf,
    Function,
    FunctionParameter,
    LambdaOf,
    MapOf,
    Overload,
    Signature,
    Special,
    StructOf,
    TypePattern,
    Variable,
)
from .coercion import can_coerce, coerce, common_type

BindLambda = Callable[[ast.Lambda, tuple[tuple[str, t.SqlType], ...]], n.LambdaNode]
Argument = n.TypedExpression | ast.Lambda
"""An argument of a call.  Lambdas are bound last: the types of their parameters come from the other arguments."""

OverloadT = TypeVar("OverloadT", Overload, AggregateOverload)


@dataclass(slots=True)
class Chosen(Generic[OverloadT]):
    """The chosen overload, the arguments for it, and the parameter of each argument."""

    overload: OverloadT
    arguments: tuple[n.TypedExpression, ...]
    parameters: tuple[FunctionParameter, ...]
    result: t.SqlType | None
    """The type of the result; None where the signature says ``*``."""


@dataclass(slots=True)
class _Types:
    """The types that the variables of a signature stand for while one overload is tried."""

    casts: bool
    widen: bool
    bound: dict[str, t.SqlType] = field(default_factory=dict)

    def accepts(self, pattern: TypePattern, type_: t.SqlType) -> bool:
        """Whether a value of ``type_`` matches the pattern.  If so, the pattern's variables now stand for parts of the
        type.
        """
        match pattern:
            case Variable(name):
                known = self.bound.get(name)
                if known is None or known == type_:
                    self.bound[name] = type_
                    return True
                common = common_type(known, type_) if self.widen else None
                if common is None and self.widen and known in (t.DATE, t.TIME, t.TIMESTAMP) and type_ == t.STRING:
                    common = known
                if common is None:
                    return False
                self.bound[name] = common
                return True
            case Special("ANY"):
                return True
            case Special("DECIMAL"):
                return isinstance(type_, t.Decimal) or (self.casts and type_ in (t.INTEGER, t.BIGINT))
            case Special():
                return False
            case ArrayOf(item):
                return isinstance(type_, t.Array) and self.accepts(item, type_.item)
            case MapOf(key, value):
                return isinstance(type_, t.Map) and self.accepts(key, type_.key) and self.accepts(value, type_.value)
            case StructOf(fields):
                return (
                    isinstance(type_, t.Struct)
                    and [name for name, _ in fields] == [name for name, _ in type_.fields]
                    and all(self.accepts(p, found) for (_, p), (_, found) in zip(fields, type_.fields, strict=True))
                )
            case LambdaOf():
                return False
        return pattern == type_ or (self.casts and can_coerce(type_, pattern))

    def resolve(self, pattern: TypePattern) -> t.SqlType | None:
        """The type of a pattern; None if one of its variables has no type yet."""
        match pattern:
            case Variable(name):
                return self.bound.get(name)
            case Special() | LambdaOf():
                return None
            case ArrayOf(item):
                inner = self.resolve(item)
                return None if inner is None else t.Array(inner)
            case MapOf(key, value):
                k, v = self.resolve(key), self.resolve(value)
                return None if k is None or v is None else t.Map(k, v)
            case StructOf(fields):
                resolved: list[tuple[str, t.SqlType]] = []
                for name, p in fields:
                    part = self.resolve(p)
                    if part is None:
                        return None
                    resolved.append((name, part))
                return t.Struct(tuple(resolved))
        return pattern


def expand_parameters(signature: Signature, count: int) -> tuple[FunctionParameter, ...] | None:
    """The parameter for each of ``count`` arguments; None if the signature does not take so many.

    One parameter of a signature may be variadic.
    """
    parameters = signature.parameters
    place = next((i for i, p in enumerate(parameters) if p.variadic), None)
    if place is None:
        return parameters if len(parameters) == count else None
    repeats = count - len(parameters) + 1
    if repeats < 0:
        return None
    return (*parameters[:place], *([parameters[place]] * repeats), *parameters[place + 1 :])


def has_variable(pattern: TypePattern) -> bool:
    match pattern:
        case Variable():
            return True
        case ArrayOf(item):
            return has_variable(item)
        case MapOf(key, value):
            return has_variable(key) or has_variable(value)
        case StructOf(fields):
            return any(has_variable(p) for _, p in fields)
        case LambdaOf(parameters, result):
            return any(map(has_variable, parameters)) or has_variable(result)
    return False


def _rank(signature: Signature) -> tuple[int, int, int]:
    variadic = any(p.variadic for p in signature.parameters)
    generics = sum(has_variable(p.type) or p.type == Special("ANY") for p in signature.parameters)
    return (0 if variadic else 1, len(signature.parameters), -generics)


def choose(
    function: Function, overloads: Sequence[OverloadT], arguments: Sequence[Argument], bind_lambda: BindLambda, span: Span
) -> Chosen[OverloadT]:
    """Choose an overload by the rules of this module.

    Args:
        arguments: bound arguments; lambdas are not bound yet.
        bind_lambda: binds a lambda for given types of parameters.

    Raises:
        StatementError: no overload fits, or several fit equally well.
    """
    trouble: StatementError | None = None
    for casts, widen in ((False, False), (True, False), (True, True)):
        matches: list[Chosen[OverloadT]] = []
        for overload in overloads:
            try:
                found = _try(overload, arguments, bind_lambda, casts, widen)
            except StatementError as error:
                trouble = trouble or error
                continue
            if found is not None:
                matches.append(found)
        if not matches:
            continue
        matches.sort(key=lambda match: _rank(match.overload.signature), reverse=True)
        if len(matches) > 1 and _rank(matches[0].overload.signature) == _rank(matches[1].overload.signature):
            raise StatementError(
                f"the call {function.name}({_types(arguments)}) could mean several functions",
                span=span,
                suggestion="CAST the arguments to the types of one of these:\n" + _alternatives(function, matches),
            )
        return matches[0]
    if trouble is not None:
        raise trouble
    raise StatementError(
        f"{function.name} cannot be called with ({_types(arguments)})",
        span=span,
        suggestion="It can be called as:\n" + "\n".join(f"  {function.name}{o.signature}" for o in overloads),
    )


def _types(arguments: Sequence[Argument]) -> str:
    return ", ".join(
        "lambda"
        if isinstance(a, ast.Lambda)
        else "NULL"
        if n.is_untyped_null(a)
        else a.unit
        if isinstance(a, n.UnitWord)
        else str(a.type)
        for a in arguments
    )


def _alternatives(function: Function, matches: Sequence[Chosen[Any]]) -> str:
    return "\n".join(f"  {function.name}{match.overload.signature}" for match in matches)


def _try(
    overload: OverloadT, arguments: Sequence[Argument], bind_lambda: BindLambda, casts: bool, widen: bool
) -> Chosen[OverloadT] | None:
    parameters = expand_parameters(overload.signature, len(arguments))
    if parameters is None:
        return None
    types = _Types(casts, widen)
    for argument, parameter in zip(arguments, parameters, strict=True):
        if isinstance(argument, ast.Lambda):
            if not isinstance(parameter.type, LambdaOf) or len(parameter.type.parameters) != len(argument.parameters):
                return None
        elif isinstance(argument, n.UnitWord) or parameter.type == Special("UNIT"):
            if not (isinstance(argument, n.UnitWord) and parameter.type == Special("UNIT")):
                return None
        elif isinstance(parameter.type, LambdaOf):
            return None
        elif n.is_untyped_null(argument):
            continue
        elif not types.accepts(parameter.type, argument.type):
            return None
    lambdas = _lambdas(arguments, parameters, types, bind_lambda)
    if lambdas is None:
        return None
    bound = tuple(
        lambdas[i] if isinstance(a, ast.Lambda) else _fit(a, p.type, types)
        for i, (a, p) in enumerate(zip(arguments, parameters, strict=True))
    )
    return Chosen(overload, bound, parameters, _result(overload, types))


def _lambdas(
    arguments: Sequence[Argument], parameters: Sequence[FunctionParameter], types: _Types, bind_lambda: BindLambda
) -> dict[int, n.LambdaNode] | None:
    """Bind the lambdas.

    If a body widens a variable (REDUCE's state), the lambdas are bound once more with the wider type.
    """
    lambdas: dict[int, n.LambdaNode] = {}
    for _ in range(3):
        before = dict(types.bound)
        lambdas = {}
        for i, (argument, parameter) in enumerate(zip(arguments, parameters, strict=True)):
            if not isinstance(argument, ast.Lambda):
                continue
            assert isinstance(parameter.type, LambdaOf)
            resolved = [types.resolve(p) for p in parameter.type.parameters]
            if None in resolved:
                return None
            pairs = tuple(zip(argument.parameters, resolved, strict=True))
            node = bind_lambda(argument, pairs)  # type: ignore[arg-type]
            if n.is_untyped_null(node.body):
                wanted = types.resolve(parameter.type.result)
                if wanted is None:
                    return None
                node = n.LambdaNode(node.parameters, n.null(wanted, node.span), type=wanted, span=node.span)
            if not types.accepts(parameter.type.result, node.type):
                return None
            lambdas[i] = node
        if types.bound == before or not any(before.get(k, v) != v for k, v in types.bound.items()):
            break
    for i, node in lambdas.items():
        pattern = parameters[i].type
        assert isinstance(pattern, LambdaOf)
        wanted = types.resolve(pattern.result)
        if wanted is not None and wanted != node.type:
            body = coerce(node.body, wanted)
            lambdas[i] = n.LambdaNode(node.parameters, body, type=wanted, span=node.span)
    return lambdas


def _fit(argument: n.TypedExpression, pattern: TypePattern, types: _Types) -> n.TypedExpression:
    """Cast an argument to the type of its parameter."""
    if isinstance(argument, n.UnitWord):
        return argument
    if pattern == Special("DECIMAL"):
        if n.is_untyped_null(argument):
            return n.null(t.Decimal(1, 0), argument.span)
        return coerce(argument, as_decimal(argument.type))
    target = types.resolve(pattern)
    if target is None:
        # The parameter takes ANY, or only NULLs gave its type: every type is right, so STRING is used.
        return n.null(t.STRING, argument.span) if n.is_untyped_null(argument) else argument
    return coerce(argument, target)


def _result(overload: Overload | AggregateOverload, types: _Types) -> t.SqlType | None:
    pattern = overload.signature.result
    if pattern == Special("*"):
        return None
    resolved = types.resolve(pattern)
    if resolved is None:
        # Only NULLs gave the variable its type.
        return t.STRING
    return resolved
