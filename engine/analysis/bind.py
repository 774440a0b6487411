"""Binds AST expressions to typed expressions: names, types, functions, and all rules about which types go together.

Some rules may surprise (all are ksqlDB's): logic is two-valued; a comparison with NULL is false, and comparing with a NULL
literal is refused; the branches of CASE must have one type; arithmetic on a NULL literal is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from ...errors import Span, StatementError, UnsupportedError
from ...grammar import ast
from ...storage.values.time_units import UNIT_MS
from .. import types as t
from ..expressions import nodes as n
from ..expressions.arithmetic import as_decimal
from ..expressions.casts import can_cast
from ..expressions.temporal_text import parse_timestamp
from ..functions import near_misses
from ..functions.registry import AggregateOverload, Function, LambdaOf, Registry, Special
from ..schema import WINDOW_BOUNDS
from .bind_answers import bind_subquery, bind_window
from .coercion import TEMPORAL, cast_hint, coerce, common_type, list_type
from .overloads import Argument, Chosen, choose, expand_parameters
from .types import resolve_type

TypedExpression = n.TypedExpression
TIME_COLUMNS = ("ROWTIME", *WINDOW_BOUNDS)
_UNITS = {
    unit: unit.removesuffix("S")
    for base in ("YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND")
    for unit in (base, base + "S")
}


class Scope(Protocol):
    """The columns that an expression can see."""

    def resolve(self, reference: ast.NameRef) -> n.ColumnRef:
        """The column that a name stands for.

        Raises:
            StatementError: no column has this name, or several have; with a suggestion.
        """
        ...

    def rowtime(self, span: Span) -> n.ColumnRef:
        """ROWTIME; in a join, that of the first source.

        Raises:
            StatementError: there is no source.
        """
        ...

    def rows_of(self, query: ast.AnyQuery, span: Span) -> tuple[Sequence[t.SqlType], Sequence[Any]]:
        """The rows of a subquery: the types of its columns, and the columns.

        Raises:
            StatementError: no subquery is allowed here, or it is wrong.
        """
        ...

    def check_window(self, span: Span) -> None:
        """Check that OVER is allowed here.  Raises: StatementError."""


class NoColumns:
    """The scope of INSERT VALUES and other places that allow only constants."""

    def resolve(self, reference: ast.NameRef) -> n.ColumnRef:
        raise StatementError(
            f"only constants may stand here, and {reference.name} is a name",
            span=reference.span,
            suggestion="Write a literal, or a call whose arguments are literals.",
        )

    def rowtime(self, span: Span) -> n.ColumnRef:
        return self.resolve(ast.NameRef("ROWTIME", span=span))

    def rows_of(self, query: ast.AnyQuery, span: Span) -> tuple[Sequence[t.SqlType], Sequence[Any]]:
        raise StatementError(
            "only constants may stand here, no subqueries",
            span=span,
            suggestion="Write a literal, or a call whose arguments are literals.",
        )

    def check_window(self, span: Span) -> None:
        raise StatementError(
            "only constants may stand here", span=span, suggestion="Write a literal, or a call whose arguments are literals."
        )


def bind(
    expression: ast.Expression, scope: Scope, functions: Registry, types: Mapping[str, t.SqlType] | None = None
) -> TypedExpression:
    """Bind an expression.

    Args:
        scope: its columns.
        functions: the functions it may call.
        types: custom types by name, for CAST.

    Raises:
        StatementError: with the span of the part that is wrong.
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
        StatementError: see `bind`; or it does not fit the type, or needs rows where there are none.
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


_CONSTRUCTORS = (ast.ArrayConstructor, ast.MapConstructor, ast.StructConstructor)


def _check_spelling(a: t.SqlType, b: t.SqlType, span: Span | None) -> None:
    """Refuse STRUCTs that could never be equal because one has ``x`` where the other has X.  Raises: StatementError."""
    match a, b:
        case t.Array(x), t.Array(y):
            _check_spelling(x, y, span)
        case t.Map(_, x), t.Map(_, y):
            _check_spelling(x, y, span)
        case t.Struct(fields), t.Struct(others):
            left, right = dict(fields), dict(others)
            spelled = {name.upper(): name for name in right if name not in left}
            for name, type_ in fields:
                if name in right:
                    _check_spelling(type_, right[name], span)
                elif name.upper() in spelled:
                    raise StatementError(
                        f"the STRUCTs spell a field differently: {t.quoted(name)} and {t.quoted(spelled[name.upper()])}",
                        span=span,
                        suggestion="Names without quotes are in upper case; those in a dict of a parameter are as written.",
                    )


class _Binder:
    def __init__(self, scope: Scope, functions: Registry, types: Mapping[str, t.SqlType]) -> None:
        self.scope = scope
        self._functions = functions
        self._types = types
        self._parameters: dict[str, t.SqlType] = {}
        self._over = False
        self._has_dicts = False
        """Whether STRUCTs have names that are keys of dicts, see `ast.StructConstructor.of_dict`."""

    def bind_for(self, e: ast.Expression, target: t.SqlType) -> TypedExpression:
        """Bind a value whose type is known: ARRAY[], MAP() and STRUCT() take types of bare NULLs from it, or are empty."""
        match e, target:
            case ast.NullLiteral(), _:
                return n.null(target, e.span)
            case ast.ArrayConstructor(items=()), t.Array():
                return n.ArrayMake((), type=target, span=e.span)
            case ast.ArrayConstructor(items=items), t.Array(item):
                return self._array(e, [self.bind_for(i, item) for i in items])
            case ast.MapConstructor(entries=()), t.Map():
                return n.MapMake((), type=target, span=e.span)
            case ast.MapConstructor(entries=entries), t.Map(value=value):
                return self._map(e, [self.bind(k) for k, _ in entries], [self.bind_for(v, value) for _, v in entries])
            case ast.StructConstructor(fields=fields), t.Struct(fields=wanted):
                known = dict(wanted)
                return self._struct(e, [self.bind_for(v, known[f]) if f in known else self.bind(v) for f, v in fields])
        return self.bind(e)

    def bind(self, e: ast.Expression) -> TypedExpression:
        """Bind one node; a bare NULL stays untyped."""
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
                return self._call(e)
            case ast.Lambda():
                raise StatementError(
                    "a lambda can only be the argument of a function that takes one",
                    span=e.span,
                    suggestion="For example: TRANSFORM(items, x => x + 1).",
                )
            case ast.Negate(operand=operand):
                return self._negate(operand, e.span)
            case ast.Plus(operand=operand):
                return self._number(self.bind(operand), "+")
            case ast.Arithmetic():
                return self._arithmetic(e)
            case ast.Comparison():
                return self._comparison(e)
            case ast.Logical(operator=operator, left=left, right=right):
                sides = (self._boolean(left, operator), self._boolean(right, operator))
                return n.Logical(operator, *sides, type=t.BOOLEAN, span=e.span)
            case ast.Not(operand=operand):
                return n.Not(self._boolean(operand, "NOT"), type=t.BOOLEAN, span=e.span)
            case ast.IsNull(operand=operand, negated=negated):
                inner = self.bind(operand)
                inner = n.null(t.STRING, inner.span) if n.is_untyped_null(inner) else inner
                return n.IsNull(inner, negated, type=t.BOOLEAN, span=e.span)
            case ast.Between():
                return self._between(e)
            case ast.InList():
                return self._in(e)
            case ast.Like():
                return self._like(e)
            case ast.Case():
                return self._case(e)
            case ast.Cast():
                return self._cast(e)
            case ast.ArrayConstructor():
                return self._array(e, [self.bind(item) for item in e.items])
            case ast.MapConstructor():
                return self._map(e, [self.bind(k) for k, _ in e.entries], [self.bind(v) for _, v in e.entries])
            case ast.StructConstructor():
                return self._struct(e, [self.bind(value) for _, value in e.fields])
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

    # --- names -----------------------------------------------------------------------------

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
        if ref.qualifier is None and ref.name in self._parameters:
            return n.ParameterRef(ref.name, type=self._parameters[ref.name], span=ref.span)
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

    # --- arithmetic ------------------------------------------------------------------------

    def _number(self, operand: TypedExpression, operator: str) -> TypedExpression:
        self._no_null(operand, operator)
        if not t.is_numeric(operand.type):
            raise StatementError(
                f"{operator} needs a number, and {n.written(operand)} is {operand.type}",
                span=operand.span,
                suggestion=f"Write CAST({n.written(operand)} AS DOUBLE).",
            )
        return operand

    def _no_null(self, operand: TypedExpression, operator: str) -> None:
        if n.is_untyped_null(operand):
            raise StatementError(
                f"{operator} cannot work on NULL",
                span=operand.span,
                suggestion="Write CAST(NULL AS ..) with the type that you mean.",
            )

    def _negate(self, operand: ast.Expression, span: Span) -> TypedExpression:
        inner = self._number(self.bind(operand), "-")
        return n.Negate(inner, type=inner.type, span=span)

    def _arithmetic(self, e: ast.Arithmetic) -> TypedExpression:
        left, right = self.bind(e.left), self.bind(e.right)
        if e.operator == "||":
            sides = [n.null(t.STRING, s.span) if n.is_untyped_null(s) else s for s in (left, right)]
            for side in sides:
                if side.type != t.STRING:
                    raise StatementError(
                        f"|| joins strings, and {n.written(side)} is {side.type}",
                        span=side.span,
                        suggestion=f"Write CAST({n.written(side)} AS STRING).",
                    )
            return n.Arithmetic("||", *sides, type=t.STRING, span=e.span)
        self._no_null(left, e.operator)
        self._no_null(right, e.operator)
        if e.operator == "+" and left.type == right.type == t.STRING:
            return n.Arithmetic("+", left, right, type=t.STRING, span=e.span)
        if not (t.is_numeric(left.type) and t.is_numeric(right.type)):
            raise StatementError(
                f"{left.type} {e.operator} {right.type} is not possible: {n.written(left)} {e.operator} {n.written(right)}",
                span=e.span,
                suggestion=cast_hint(left, right),
            )
        try:
            type_ = arithmetic_type(e.operator, left.type, right.type)
        except StatementError as error:
            error.span = error.span or e.span
            raise
        return n.Arithmetic(e.operator, left, right, type=type_, span=e.span)

    # --- comparisons and logic -------------------------------------------------------------

    def _boolean(self, e: ast.Expression, operator: str) -> TypedExpression:
        bound = self.bind(e)
        if n.is_untyped_null(bound):
            return n.null(t.BOOLEAN, bound.span)
        if bound.type != t.BOOLEAN:
            raise StatementError(
                f"{operator} needs BOOLEANs, and {n.written(bound)} is {bound.type}",
                span=bound.span,
                suggestion="Compare it with something.",
            )
        return bound

    def _magic_time(self, e: ast.Expression, others: Sequence[ast.Expression]) -> ast.Expression:
        """Convert what is compared with ROWTIME or a window's bound to milliseconds: a text, a TIMESTAMP or a DATE."""
        if not any(isinstance(o, ast.NameRef) and o.name in TIME_COLUMNS for o in others):
            return e
        if isinstance(e, ast.StringLiteral):
            try:
                return ast.IntegerLiteral(parse_timestamp(e.value), span=e.span)
            except ValueError as error:
                raise StatementError(str(error), span=e.span) from None
        if isinstance(e, ast.IntegerLiteral | ast.NullLiteral) or (isinstance(e, ast.NameRef) and e.name in TIME_COLUMNS):
            return e
        given = self.bind(e).type
        if given == t.DATE:
            e = ast.Cast(e, ast.TypeName("TIMESTAMP"), span=e.span)
        return ast.FunctionCall("UNIX_TIMESTAMP", (e,), span=e.span) if given in (t.DATE, t.TIMESTAMP) else e

    def _comparison(self, e: ast.Comparison) -> TypedExpression:
        one, other = self._magic_time(e.left, (e.right,)), self._magic_time(e.right, (e.left,))
        if isinstance(one, _CONSTRUCTORS):
            right = self.bind(other)
            left = self.bind_for(one, right.type)
        else:
            left = self.bind(one)
            right = self.bind_for(other, left.type) if isinstance(other, _CONSTRUCTORS) else self.bind(other)
        return self._compare(e.operator, left, right, e.span)

    def _compare(
        self, operator: n.ComparisonOperator, left: TypedExpression, right: TypedExpression, span: Span
    ) -> n.Compare:
        if n.is_untyped_null(left) or n.is_untyped_null(right):
            if "DISTINCT" not in operator:
                raise StatementError(
                    f"a comparison with NULL is never true: {n.written(left)} {operator} {n.written(right)}",
                    span=span,
                    suggestion="Use IS NULL or IS NOT NULL.",
                )
            known = right if n.is_untyped_null(left) else left
            type_ = t.STRING if n.is_untyped_null(known) else known.type
            left, right = coerce(left, type_), coerce(right, type_)
        left, right = self.comparable(operator, left, right, span)
        return n.Compare(operator, left, right, type=t.BOOLEAN, span=span)

    def comparable(
        self, operator: str, left: TypedExpression, right: TypedExpression, span: Span
    ) -> tuple[TypedExpression, TypedExpression]:
        a, b = left.type, right.type
        equality = operator in ("=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
        if t.is_numeric(a) and t.is_numeric(b):
            return left, right
        if a == b and (equality or not (a == t.BOOLEAN or isinstance(a, t.Array | t.Map | t.Struct))):
            return left, right
        if isinstance(a, t.Array | t.Map | t.Struct) and equality:
            common = common_type(a, b)
            if common is not None:
                if self._has_dicts:
                    _check_spelling(a, b, span)
                return coerce(left, common), coerce(right, common)
        pair = {a, b} if not isinstance(a, t.Array | t.Map | t.Struct | t.Decimal) else set()
        if pair == {t.DATE, t.TIMESTAMP}:
            return self._as(left, t.TIMESTAMP), self._as(right, t.TIMESTAMP)
        if a == t.STRING and b in TEMPORAL:
            return coerce(left, b), right
        if b == t.STRING and a in TEMPORAL:
            return left, coerce(right, a)
        raise StatementError(
            f"{n.written(left)} ({a}) cannot be compared with {n.written(right)} ({b}) by {operator}",
            span=span,
            suggestion=cast_hint(left, right),
        )

    def _as(self, e: TypedExpression, type_: t.SqlType) -> TypedExpression:
        return e if e.type == type_ else n.Cast(e, implicit=True, type=type_, span=e.span)

    def _between(self, e: ast.Between) -> TypedExpression:
        operand = self.bind(e.operand)
        low, high = (self.bind(self._magic_time(bound, (e.operand,))) for bound in (e.low, e.high))
        for part in (operand, low, high):
            if n.is_untyped_null(part):
                raise StatementError("BETWEEN cannot work on NULL", span=part.span, suggestion="Use IS NULL.")
        above = self._compare(">=", operand, low, e.span)
        below = self._compare("<=", operand, high, e.span)
        if above.left == below.left:
            return n.Between(above.left, above.right, below.right, e.negated, type=t.BOOLEAN, span=e.span)
        both = n.Logical("AND", above, below, type=t.BOOLEAN, span=e.span)
        return n.Not(both, type=t.BOOLEAN, span=e.span) if e.negated else both

    def _in(self, e: ast.InList) -> TypedExpression:
        operand = self.bind(e.operand)
        given = [self._magic_time(item, (e.operand,)) for item in e.items]
        items = [self.bind_for(i, operand.type) if isinstance(i, _CONSTRUCTORS) else self.bind(i) for i in given]
        if n.is_untyped_null(operand):
            raise StatementError("IN cannot look for NULL", span=operand.span, suggestion="Use IS NULL.")
        common = list_type([operand, *items])
        assert common is not None
        for item in items if self._has_dicts else ():
            _check_spelling(operand.type, item.type, e.span)
        found = tuple(coerce(item, common, lax=True) for item in items if not n.is_untyped_null(item))
        return n.In(coerce(operand, common, lax=True), found, e.negated, type=t.BOOLEAN, span=e.span)

    def _like(self, e: ast.Like) -> TypedExpression:
        operand, pattern = self.bind(e.operand), self.bind(e.pattern)
        for part in (operand, pattern):
            if part.type != t.STRING:
                raise StatementError(
                    f"LIKE compares strings, and {n.written(part)} is {part.type}",
                    span=part.span,
                    suggestion=f"Write CAST({n.written(part)} AS STRING).",
                )
        if e.escape is not None and len(e.escape) != 1:
            raise StatementError(
                "ESCAPE takes one character", span=e.span, suggestion="For example: LIKE '10!%' ESCAPE '!'."
            )
        operand, pattern = coerce(operand, t.STRING), coerce(pattern, t.STRING)
        return n.Like(operand, pattern, e.escape, e.negated, type=t.BOOLEAN, span=e.span)

    def _case(self, e: ast.Case) -> TypedExpression:
        operand = None if e.operand is None else self.bind(e.operand)
        conditions: list[TypedExpression] = []
        for when, _ in e.branches:
            if operand is None:
                conditions.append(self._boolean(when, "WHEN"))
            else:
                assert e.operand is not None
                value = self.bind(self._magic_time(when, (e.operand,)))
                conditions.append(self._compare("=", operand, value, when.span))
        results = [self.bind(then) for _, then in e.branches]
        default = n.Literal(None, untyped=True, type=t.STRING, span=e.span) if e.default is None else self.bind(e.default)
        typed = [r for r in (*results, default) if not n.is_untyped_null(r)]
        if not typed:
            raise StatementError(
                "all results of the CASE are NULL", span=e.span, suggestion="CAST one of them to the type you want."
            )
        type_ = typed[0].type
        for result in typed[1:]:
            if result.type != type_:
                raise StatementError(
                    f"the results of a CASE have one type, and {n.written(result)} is {result.type}, not {type_}",
                    span=result.span,
                    suggestion=f"Write CAST({n.written(result)} AS {type_}).",
                )
        for part in (*conditions, *results, default):
            if n.table_calls_of(part):
                raise StatementError(
                    "a table function cannot stand inside CASE",
                    span=part.span,
                    suggestion="Explode the rows in a query of its own, and use CASE on its column.",
                )
        branches = tuple(zip(conditions, (coerce(r, type_) for r in results), strict=True))
        return n.Case(branches, coerce(default, type_), type=type_, span=e.span)

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

    # --- constructors ----------------------------------------------------------------------

    def _array(self, e: ast.ArrayConstructor, items: Sequence[TypedExpression]) -> TypedExpression:
        type_ = list_type(items)
        if type_ is None:
            raise StatementError(
                "an ARRAY needs an item that is not a bare NULL, to know its type",
                span=e.span,
                suggestion="Write CAST(NULL AS ..) for one of its items.",
            )
        return n.ArrayMake(tuple(coerce(i, type_, lax=True) for i in items), type=t.Array(type_), span=e.span)

    def _map(
        self, e: ast.MapConstructor, keys: Sequence[TypedExpression], values: Sequence[TypedExpression]
    ) -> TypedExpression:
        key, value = list_type(keys), list_type(values)
        if key is None or value is None:
            raise StatementError(
                "a MAP needs a key and a value that are not bare NULLs, to know its types",
                span=e.span,
                suggestion="Write CAST(NULL AS ..) for one of them.",
            )
        entries = tuple((coerce(k, key, lax=True), coerce(v, value, lax=True)) for k, v in zip(keys, values, strict=True))
        return n.MapMake(entries, type=t.Map(key, value), span=e.span)

    def _struct(self, e: ast.StructConstructor, values: Sequence[TypedExpression]) -> TypedExpression:
        self._has_dicts |= e.of_dict
        members: list[tuple[str, TypedExpression]] = []
        for (name, _), bound in zip(e.fields, values, strict=True):
            if any(name == known for known, _ in members):
                raise StatementError(
                    f"the STRUCT has two fields named {name}", span=e.span, suggestion="Give one of them another name."
                )
            if n.is_untyped_null(bound):
                raise StatementError(
                    f"the field {name} has no type",
                    span=bound.span,
                    suggestion="Write CAST(NULL AS STRING), or another type.",
                )
            members.append((name, bound))
        type_ = t.Struct(tuple((name, value.type) for name, value in members))
        return n.StructMake(tuple(members), type=type_, span=e.span)

    # --- functions -------------------------------------------------------------------------

    def call_over(self, e: ast.FunctionCall) -> TypedExpression:
        """Bind a call with OVER, whose arguments may be aggregates."""
        self._over = True
        try:
            return self._call(e)
        finally:
            self._over = False

    def _call(self, e: ast.FunctionCall) -> TypedExpression:
        function = self._functions.find(e.name)
        if function is None:
            raise StatementError(
                f"there is no function named {e.name.upper()}",
                span=e.span,
                suggestion=near_misses.suggestion(e.name, self._functions.names()),
            )
        if e.distinct and function.kind != "AGGREGATE":
            raise StatementError(
                f"DISTINCT is for aggregates, and {function.name} is not one", span=e.span, suggestion="Leave DISTINCT out."
            )
        arguments = self._arguments(function, e)
        without = any(expand_parameters(o.signature, 0) is not None for o in function.overloads)
        if function.kind == "AGGREGATE" and not arguments and not without:
            arguments = [self.scope.rowtime(e.span)]  # section 7: what MAX(*) and MAX() aggregate
        chosen = choose(function, function.overloads, arguments, self._bind_lambda, e.span)
        if function.kind == "AGGREGATE":
            return self._aggregate(function, chosen.overload, chosen, e)
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

    def _arguments(self, function: Function, e: ast.FunctionCall) -> list[Argument]:
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
                arguments.append(self.bind(argument))
        return arguments

    def _aggregate(
        self, function: Function, overload: AggregateOverload, chosen: Chosen[AggregateOverload], e: ast.FunctionCall
    ) -> TypedExpression:
        for argument, parameter in zip(chosen.arguments, chosen.parameters, strict=True):
            if n.aggregates_of(argument) and not self._over:
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

    def _bind_lambda(self, e: ast.Lambda, parameters: tuple[tuple[str, t.SqlType], ...]) -> n.LambdaNode:
        seen: set[str] = set()
        for name, _ in parameters:
            if name in seen or name in self._parameters:
                raise StatementError(f"{name} already is a parameter here", span=e.span, suggestion="Give it another name.")
            seen.add(name)
            try:
                self.scope.resolve(ast.NameRef(name, span=e.span))
            except StatementError:
                continue
            raise StatementError(
                f"the lambda's parameter {name} is also a column", span=e.span, suggestion="Give it another name."
            )
        self._parameters |= dict(parameters)
        try:
            body = self.bind(e.body)
        finally:
            for name, _ in parameters:
                del self._parameters[name]
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


def arithmetic_type(operator: str, left: t.SqlType, right: t.SqlType) -> t.SqlType:
    """The result type of arithmetic on two numbers.

    Raises:
        StatementError: a DECIMAL result needs too many digits.
    """
    if t.DOUBLE in (left, right):
        return t.DOUBLE
    if not isinstance(left, t.Decimal) and not isinstance(right, t.Decimal):
        return t.BIGINT if t.BIGINT in (left, right) else t.INTEGER
    a, b = as_decimal(left), as_decimal(right)
    p1, s1, p2, s2 = a.precision, a.scale, b.precision, b.scale
    scale = max(s1, s2)
    if operator in "+-":
        return t.Decimal(scale + max(p1 - s1, p2 - s2) + 1, scale)
    if operator == "*":
        return t.Decimal(p1 + p2 + 1, s1 + s2)
    if operator == "/":
        scale = max(6, s1 + p2 + 1)
        return t.Decimal(p1 - s1 + s2 + scale, scale)
    return t.Decimal(min(p1 - s1, p2 - s2) + scale, scale)
