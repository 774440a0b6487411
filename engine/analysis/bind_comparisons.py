"""Binds comparisons, logic and CASE: which types can be compared, and how they are converted before.

Some rules of ksqlDB may surprise.  Logic is two-valued: a comparison with NULL is false.  Comparing with a NULL literal is
refused.  The branches of CASE must have one type.  ROWTIME and the bounds of windows can be compared with texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import Span, StatementError
from ...grammar import ast
from .. import types as t
from ..expressions import nodes as n
from ..expressions.temporal_text import parse_timestamp
from ..schema import WINDOW_BOUNDS
from .bind_constructors import CONSTRUCTORS
from .binding import Binder
from .coercion import TEMPORAL, cast_hint, coerce, common_type, list_type

TypedExpression = n.TypedExpression
TIME_COLUMNS = ("ROWTIME", *WINDOW_BOUNDS)


def boolean(e: ast.Expression, operator: str, binder: Binder) -> TypedExpression:
    """Bind an operand of AND, OR, NOT or WHEN.

    Raises:
        StatementError: the operand is wrong, or not a BOOLEAN.
    """
    bound = binder.bind(e)
    if n.is_untyped_null(bound):
        return n.null(t.BOOLEAN, bound.span)
    if bound.type != t.BOOLEAN:
        raise StatementError(
            f"{operator} needs BOOLEANs, and {n.written(bound)} is {bound.type}",
            span=bound.span,
            suggestion="Compare it with something.",
        )
    return bound


def comparison(e: ast.Comparison, binder: Binder) -> TypedExpression:
    """Bind ``=``, ``<``, IS DISTINCT FROM and the like.

    Raises:
        StatementError: an operand is wrong, or their types cannot be compared.
    """
    one, other = _magic_time(e.left, (e.right,), binder), _magic_time(e.right, (e.left,), binder)
    if isinstance(one, CONSTRUCTORS):
        right = binder.bind(other)
        left = binder.bind_for(one, right.type)
    else:
        left = binder.bind(one)
        right = binder.bind_for(other, left.type) if isinstance(other, CONSTRUCTORS) else binder.bind(other)
    return _compare(e.operator, left, right, e.span, binder)


def _compare(
    operator: n.ComparisonOperator, left: TypedExpression, right: TypedExpression, span: Span, binder: Binder
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
    left, right = comparable(operator, left, right, span, binder)
    return n.Compare(operator, left, right, type=t.BOOLEAN, span=span)


def comparable(
    operator: str, left: TypedExpression, right: TypedExpression, span: Span, binder: Binder
) -> tuple[TypedExpression, TypedExpression]:
    """Convert two operands to types that can be compared.

    Raises:
        StatementError: the operator cannot compare the types.
    """
    a, b = left.type, right.type
    equality = operator in ("=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
    if t.is_numeric(a) and t.is_numeric(b):
        return left, right
    if a == b and (equality or not (a == t.BOOLEAN or isinstance(a, t.Array | t.Map | t.Struct))):
        return left, right
    if isinstance(a, t.Array | t.Map | t.Struct) and equality:
        common = common_type(a, b)
        if common is not None:
            if binder.has_dicts:
                _check_spelling(a, b, span)
            return coerce(left, common), coerce(right, common)
    pair = {a, b} if not isinstance(a, t.Array | t.Map | t.Struct | t.Decimal) else set()
    if pair == {t.DATE, t.TIMESTAMP}:
        return _as(left, t.TIMESTAMP), _as(right, t.TIMESTAMP)
    if a == t.STRING and b in TEMPORAL:
        return coerce(left, b), right
    if b == t.STRING and a in TEMPORAL:
        return left, coerce(right, a)
    raise StatementError(
        f"{n.written(left)} ({a}) cannot be compared with {n.written(right)} ({b}) by {operator}",
        span=span,
        suggestion=cast_hint(left, right),
    )


def _check_spelling(a: t.SqlType, b: t.SqlType, span: Span | None) -> None:
    """Refuse two STRUCTs that can never be equal because the names of a field differ in case (``x`` and ``X``).

    Raises:
        StatementError: a field's name differs in case.
    """
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


def _as(e: TypedExpression, type_: t.SqlType) -> TypedExpression:
    return e if e.type == type_ else n.Cast(e, implicit=True, type=type_, span=e.span)


def _magic_time(e: ast.Expression, others: Sequence[ast.Expression], binder: Binder) -> ast.Expression:
    """Convert an operand that is compared with ROWTIME or a window's bound to milliseconds.

    The operand may be a text, a TIMESTAMP or a DATE.  Other operands stay as they are.
    """
    if not any(isinstance(o, ast.NameRef) and o.name in TIME_COLUMNS for o in others):
        return e
    if isinstance(e, ast.StringLiteral):
        try:
            return ast.IntegerLiteral(parse_timestamp(e.value), span=e.span)
        except ValueError as error:
            raise StatementError(str(error), span=e.span) from None
    if isinstance(e, ast.IntegerLiteral | ast.NullLiteral) or (isinstance(e, ast.NameRef) and e.name in TIME_COLUMNS):
        return e
    given = binder.bind(e).type
    if given == t.DATE:
        e = ast.Cast(e, ast.TypeName("TIMESTAMP"), span=e.span)
    return ast.FunctionCall("UNIX_TIMESTAMP", (e,), span=e.span) if given in (t.DATE, t.TIMESTAMP) else e


def between(e: ast.Between, binder: Binder) -> TypedExpression:
    """Bind BETWEEN.

    Raises:
        StatementError: an operand is wrong, or the types cannot be compared.
    """
    operand = binder.bind(e.operand)
    low, high = (binder.bind(_magic_time(bound, (e.operand,), binder)) for bound in (e.low, e.high))
    for part in (operand, low, high):
        if n.is_untyped_null(part):
            raise StatementError("BETWEEN cannot work on NULL", span=part.span, suggestion="Use IS NULL.")
    above = _compare(">=", operand, low, e.span, binder)
    below = _compare("<=", operand, high, e.span, binder)
    if above.left == below.left:
        return n.Between(above.left, above.right, below.right, e.negated, type=t.BOOLEAN, span=e.span)
    both = n.Logical("AND", above, below, type=t.BOOLEAN, span=e.span)
    return n.Not(both, type=t.BOOLEAN, span=e.span) if e.negated else both


def in_list(e: ast.InList, binder: Binder) -> TypedExpression:
    """Bind IN with a list.

    Raises:
        StatementError: an item is wrong, or its type cannot be compared with the operand's.
    """
    operand = binder.bind(e.operand)
    given = [_magic_time(item, (e.operand,), binder) for item in e.items]
    items = [binder.bind_for(i, operand.type) if isinstance(i, CONSTRUCTORS) else binder.bind(i) for i in given]
    if n.is_untyped_null(operand):
        raise StatementError("IN cannot look for NULL", span=operand.span, suggestion="Use IS NULL.")
    common = list_type([operand, *items])
    assert common is not None
    for item in items if binder.has_dicts else ():
        _check_spelling(operand.type, item.type, e.span)
    found = tuple(coerce(item, common, lax=True) for item in items if not n.is_untyped_null(item))
    return n.In(coerce(operand, common, lax=True), found, e.negated, type=t.BOOLEAN, span=e.span)


def like(e: ast.Like, binder: Binder) -> TypedExpression:
    """Bind LIKE.

    Raises:
        StatementError: an operand is wrong or not a STRING, or the escape is not one character.
    """
    operand, pattern = binder.bind(e.operand), binder.bind(e.pattern)
    for part in (operand, pattern):
        if part.type != t.STRING:
            raise StatementError(
                f"LIKE compares strings, and {n.written(part)} is {part.type}",
                span=part.span,
                suggestion=f"Write CAST({n.written(part)} AS STRING).",
            )
    if e.escape is not None and len(e.escape) != 1:
        raise StatementError("ESCAPE takes one character", span=e.span, suggestion="For example: LIKE '10!%' ESCAPE '!'.")
    operand, pattern = coerce(operand, t.STRING), coerce(pattern, t.STRING)
    return n.Like(operand, pattern, e.escape, e.negated, type=t.BOOLEAN, span=e.span)


def case(e: ast.Case, binder: Binder) -> TypedExpression:
    """Bind CASE, with an operand or with conditions.

    Raises:
        StatementError: a part is wrong, or the branches have different types.
    """
    operand = None if e.operand is None else binder.bind(e.operand)
    conditions: list[TypedExpression] = []
    for when, _ in e.branches:
        if operand is None:
            conditions.append(boolean(when, "WHEN", binder))
        else:
            assert e.operand is not None
            value = binder.bind(_magic_time(when, (e.operand,), binder))
            conditions.append(_compare("=", operand, value, when.span, binder))
    results = [binder.bind(then) for _, then in e.branches]
    default = n.Literal(None, untyped=True, type=t.STRING, span=e.span) if e.default is None else binder.bind(e.default)
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
