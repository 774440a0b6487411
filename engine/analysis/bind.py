"""Binds AST expressions to typed expressions: resolves names and functions, and checks types.

Five other modules bind one kind of expression each: `bind_arithmetic`, `bind_comparisons`, `bind_constructors`,
`bind_calls`, and `bind_answers` (what only pull queries have).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from ...errors import Span, StatementError, UnsupportedError
from ...grammar import ast
from .. import types as t
from ..expressions import nodes as n
from ..expressions.casts import can_cast
from ..functions.registry import Registry
from .bind_answers import bind_subquery, bind_window
from .bind_arithmetic import arithmetic, negate, number
from .bind_calls import call
from .bind_comparisons import between, boolean, case, comparison, in_list, like
from .bind_constructors import array, bind_for, map_, struct
from .binding import Scope
from .coercion import coerce
from .types import resolve_type

TypedExpression = n.TypedExpression


def bind(
    expression: ast.Expression, scope: Scope, functions: Registry, types: Mapping[str, t.SqlType] | None = None
) -> TypedExpression:
    """Bind an expression.

    Args:
        scope: the columns that the expression can use.
        functions: the functions that the expression can call.
        types: custom types by name, for CAST.

    Raises:
        StatementError: the expression is wrong.  The error has the span of the wrong part.
    """
    bound = _Binder(scope, functions, types or {}).bind(expression)
    if n.is_untyped_null(bound):
        raise StatementError(
            "a bare NULL has no type", span=expression.span, suggestion="Write CAST(NULL AS STRING), or another type."
        )
    return bound


def bind_to(
    expression: ast.Expression,
    target: t.SqlType,
    scope: Scope,
    functions: Registry,
    types: Mapping[str, t.SqlType] | None = None,
) -> TypedExpression:
    """Bind an expression to a value of type ``target``, with the lenient conversions of INSERT VALUES.

    Raises:
        StatementError: the expression is wrong (see `bind`), does not fit the type, or needs a row and there is none.
    """
    bound = _Binder(scope, functions, types or {}).bind_for(expression, target)
    for node in n.walk(bound):
        if isinstance(node, n.AggregateCall | n.TableCall):
            kind = "an aggregate" if isinstance(node, n.AggregateCall) else "a table function"
            raise StatementError(
                f"only constants may stand here, and {node.name} is {kind}",
                span=node.span,
                suggestion="Write a literal, or a call whose arguments are literals.",
            )
    return coerce(bound, target, lax=True, fits_structs=True)


class _Binder:
    """Binds one node after the other.  It is the `Binder` that the other modules call."""

    def __init__(self, scope: Scope, functions: Registry, types: Mapping[str, t.SqlType]) -> None:
        self.scope = scope
        self.functions = functions
        self.parameters: dict[str, t.SqlType] = {}
        self.has_dicts = False
        self._types = types

    def bind_for(self, e: ast.Expression, target: t.SqlType) -> TypedExpression:
        return bind_for(e, target, self)

    def bind(self, e: ast.Expression) -> TypedExpression:
        """Bind one node.  A bare NULL stays untyped."""
        match e:
            case ast.NullLiteral():
                return n.Literal(None, untyped=True, type=t.STRING, span=e.span)
            case ast.BooleanLiteral(value=truth):
                return n.Literal(truth, type=t.BOOLEAN, span=e.span)
            case ast.IntegerLiteral(value=whole):
                small = -(2**31) <= whole < 2**31
                return n.Literal(whole, type=t.INTEGER if small else t.BIGINT, span=e.span)
            case ast.DecimalLiteral(text=digits):
                return self._decimal(digits, e.span)
            case ast.DoubleLiteral(value=real):
                return n.Literal(real, type=t.DOUBLE, span=e.span)
            case ast.StringLiteral(value=text):
                return n.Literal(text, type=t.STRING, span=e.span)
            case ast.NameRef():
                return self._name(e)
            case ast.IntervalUnit(unit=unit):
                raise StatementError(
                    f"{unit} is a unit of time, which only date functions take",
                    span=e.span,
                    suggestion="If a column is meant, write its name in backquotes.",
                )
            case ast.Dereference(base=base, field=field):
                return self._dereference(self.bind(base), field, e.span)
            case ast.Subscript():
                return self._subscript(e)
            case ast.FunctionCall():
                return call(e, self)
            case ast.Lambda():
                raise StatementError(
                    "a lambda can only be the argument of a function that takes one",
                    span=e.span,
                    suggestion="For example: TRANSFORM(items, x => x + 1).",
                )
            case ast.Negate(operand=operand):
                return negate(operand, e.span, self)
            case ast.Plus(operand=operand):
                return number(self.bind(operand), "+")
            case ast.Arithmetic():
                return arithmetic(e, self)
            case ast.Comparison():
                return comparison(e, self)
            case ast.Logical(operator=operator, left=left, right=right):
                sides = (boolean(left, operator, self), boolean(right, operator, self))
                return n.Logical(operator, *sides, type=t.BOOLEAN, span=e.span)
            case ast.Not(operand=operand):
                return n.Not(boolean(operand, "NOT", self), type=t.BOOLEAN, span=e.span)
            case ast.IsNull(operand=operand, negated=negated):
                inner = self.bind(operand)
                inner = n.null(t.STRING, inner.span) if n.is_untyped_null(inner) else inner
                return n.IsNull(inner, negated, type=t.BOOLEAN, span=e.span)
            case ast.Between():
                return between(e, self)
            case ast.InList():
                return in_list(e, self)
            case ast.Like():
                return like(e, self)
            case ast.Case():
                return case(e, self)
            case ast.Cast():
                return self._cast(e)
            case ast.ArrayConstructor():
                return array(e, [self.bind(item) for item in e.items])
            case ast.MapConstructor():
                return map_(e, [self.bind(k) for k, _ in e.entries], [self.bind(v) for _, v in e.entries])
            case ast.StructConstructor():
                return struct(e, [self.bind(value) for _, value in e.fields], self)
            case ast.Parameter(name=name):
                raise StatementError(
                    f"the parameter {'?' if name.isdigit() else '$' + name} has no value",
                    span=e.span,
                    suggestion="Give values beside the text: a list for ?, a dict for $name.",
                )
            case ast.ScalarSubquery() | ast.InSubquery() | ast.Exists():
                return bind_subquery(e, self)
            case ast.WindowCall():
                return bind_window(e, self)
            case ast.AtTimeZone():
                raise UnsupportedError(
                    "AT TIME ZONE is not supported", span=e.span, suggestion="Use CONVERT_TZ(timestamp, from, to)."
                )

    def _decimal(self, digits: str, span: Span) -> n.Literal:
        value = Decimal(digits)
        exponent = value.as_tuple().exponent
        assert isinstance(exponent, int)
        scale = max(-exponent, 0)
        value = value.quantize(Decimal(1).scaleb(-scale)) if exponent > 0 else value
        precision = max(len(value.as_tuple().digits), scale + 1 if abs(value) < 1 else 1)
        try:
            return n.Literal(value, type=t.Decimal(precision, scale), span=span)
        except StatementError as error:
            error.span = span
            raise

    def _name(self, ref: ast.NameRef) -> TypedExpression:
        if ref.qualifier is None and ref.name in self.parameters:
            return n.ParameterRef(ref.name, type=self.parameters[ref.name], span=ref.span)
        try:
            column = self.scope.resolve(ref)
        except StatementError as error:
            if error.span is None:
                error.span = ref.span
            raise
        return replace(column, span=ref.span)

    def _dereference(self, base: TypedExpression, field: str, span: Span) -> TypedExpression:
        if not isinstance(base.type, t.Struct):
            raise StatementError(
                f"{n.written(base)} is {base.type}, and -> reads fields of a STRUCT only",
                span=span,
                suggestion="Leave -> out.",
            )
        type_ = base.type.field(field)
        if type_ is None:
            names = [name for name, _ in base.type.fields]
            near = difflib.get_close_matches(field, names, 1)
            same = [name for name in names if name.upper() == field.upper()]
            raise StatementError(
                f"{n.written(base)} has no field {field}",
                span=span,
                suggestion=f"Did you mean {t.quoted((same or near)[0])}?"
                if same or near
                else f"Its fields are {', '.join(names)}."
                if names
                else None,
            )
        return n.FieldAccess(base, field, type=type_, span=span)

    def _subscript(self, e: ast.Subscript) -> TypedExpression:
        base, index = self.bind(e.base), self.bind(e.index)
        if isinstance(base.type, t.Array):
            if n.is_untyped_null(index) or index.type not in (t.INTEGER, t.BIGINT):
                raise StatementError(
                    f"the index of an array is an INTEGER, and {n.written(index)} is not",
                    span=e.index.span,
                    suggestion=f"Write CAST({n.written(index)} AS INTEGER).",
                )
            return n.Subscript(base, index, type=base.type.item, span=e.span)
        if isinstance(base.type, t.Map):
            return n.Subscript(base, coerce(index, base.type.key), type=base.type.value, span=e.span)
        raise StatementError(
            f"{n.written(base)} is {base.type}, and [..] reads items of an ARRAY or a MAP only", span=e.span
        )

    def _cast(self, e: ast.Cast) -> TypedExpression:
        operand, target = self.bind(e.operand), resolve_type(e.type, self._types)
        if n.is_untyped_null(operand):
            return n.null(target, e.span)
        if not can_cast(operand.type, target):
            hint = None
            if (operand.type, target) == (t.BYTES, t.STRING):
                hint = "Use FROM_BYTES(bytes, 'utf8')."
            elif operand.type == t.BIGINT and target in (t.TIMESTAMP, t.DATE):
                hint = "Use FROM_UNIXTIME(milliseconds)."
            elif operand.type == t.TIMESTAMP and target == t.BIGINT:
                hint = "Use UNIX_TIMESTAMP(timestamp)."
            raise StatementError(f"{operand.type} cannot be cast to {target}", span=e.span, suggestion=hint)
        return n.Cast(operand, type=target, span=e.span)
