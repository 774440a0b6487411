"""JOIN: which sources can be joined, on which columns, and the key of the result (section 8 of the reference).

Joins are left-deep: they are made in the order in which they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import Span, StatementError
from ...grammar import ast
from ...storage.formats import format_traits
from ..expressions.nodes import ColumnRef, TypedExpression, aggregates_of, columns_of, table_calls_of
from .durations import milliseconds
from .keys import check_key_type
from .projection import Bind
from .resolved import JoinKind, ResolvedJoin, SourceKind
from .scope import SYNTHETIC_KEY, FromSource, Scope

LEGACY_GRACE_MS = 24 * 60 * 60 * 1000
"""How long Kafka Streams keeps the rows of a join without GRACE PERIOD, in milliseconds."""


@dataclass(frozen=True, slots=True)
class _Side:
    """The result of the joins so far.

    Attributes:
        equal: the columns that have the key's value, the preferred one first; empty after a FULL join.
    """

    sources: tuple[FromSource, ...]
    kind: SourceKind
    key: tuple[ColumnRef, ...]
    equal: tuple[TypedExpression, ...]


def resolve_joins(joins: Sequence[ast.Join], sources: Sequence[FromSource], bind: Bind) -> tuple[ResolvedJoin, ...]:
    """Resolve the joins of a query.

    Args:
        sources: the source of FROM, then the source of each join.

    Raises:
        StatementError: section 8 does not allow a join.
    """
    first = sources[0]
    keys = tuple(c.ref() for c in first.keys)
    side = _Side((first,), first.source.kind, keys, keys if len(keys) == 1 else ())
    synthetic = synthetic_key_name(sources)
    found: list[ResolvedJoin] = []
    for join, right in zip(joins, sources[1:], strict=True):
        resolved = _resolve(join, side, right, bind, synthetic, whole=tuple(sources))
        found.append(resolved)
        side = _Side(
            (*side.sources, right),
            side.kind,
            resolved.key,
            resolved.equal,
        )
    return tuple(found)


def synthetic_key_name(sources: Sequence[FromSource]) -> str:
    """The name of a key that a join makes: ROWKEY, or ROWKEY_1, .. if a source has a column of that name."""
    taken = {name for s in sources for c in s.columns for name in (c.name, c.internal)}
    name, n = SYNTHETIC_KEY, 0
    while name in taken:
        n += 1
        name = f"{SYNTHETIC_KEY}_{n}"
    return name


def _resolve(
    join: ast.Join, left: _Side, right: FromSource, bind: Bind, synthetic: str, whole: tuple[FromSource, ...]
) -> ResolvedJoin:
    left_on, right_on = _sides(join, left, right, bind, whole)
    _check_types(join, left_on, right_on)
    kind = _kind(join, left, right, left_on, right_on)
    _check_windows(join, left, right, left_on, right_on)
    before_ms, after_ms, grace_ms = _within(join, kind)
    if kind == "FOREIGN_KEY":
        return ResolvedJoin(join.type, kind, right, left_on, right_on, left.key, left.equal)
    key = ColumnRef(synthetic, type=left_on.type, span=join.on.span)
    equal = _equal(join, left, left_on, right_on)
    return ResolvedJoin(join.type, kind, right, left_on, right_on, (key,), equal, before_ms, after_ms, grace_ms)


def _sides(
    join: ast.Join, left: _Side, right: FromSource, bind: Bind, whole: tuple[FromSource, ...]
) -> tuple[TypedExpression, TypedExpression]:
    """Split ON into the side of the joined sources and the side of the new source.

    ON must be one equality between these two sides.
    """
    on = join.on
    if isinstance(on, ast.Logical):
        raise StatementError(
            "a join has a single condition, not several",
            span=on.span,
            suggestion="Join on one equality and put the rest into WHERE.",
        )
    if not isinstance(on, ast.Comparison) or on.operator != "=":
        raise StatementError("a join condition is an equality: ON a.x = b.y", span=on.span)
    scope = Scope(whole, "JOIN ON")
    first, second = bind(on.left, scope), bind(on.right, scope)
    alias_of = {c.internal: s.alias for s in whole for c in s.columns}
    first_alias = _single_source(first, alias_of, on.left.span)
    second_alias = _single_source(second, alias_of, on.right.span)
    if first_alias == second_alias:
        raise StatementError(
            f"both sides of the join condition are about {first_alias}; one must be about another source", span=on.span
        )
    if right.alias not in (first_alias, second_alias):
        raise StatementError(
            f"the join condition must use {right.alias}, the source that is joined; it is about {first_alias} and"
            f" {second_alias}",
            span=on.span,
        )
    if second_alias == right.alias:
        other, sides = first_alias, (first, second)
    else:
        other, sides = second_alias, (second, first)
    if other not in {s.alias for s in left.sources}:
        raise StatementError(
            f"{other} is not joined yet when {right.alias} is", span=on.span, suggestion="Reorder the joins."
        )
    return sides


def _single_source(expression: TypedExpression, alias_of: dict[str, str], span: Span) -> str:
    if aggregates_of(expression) or table_calls_of(expression):
        raise StatementError(
            "a join condition cannot use aggregates or table functions",
            span=span,
            suggestion="Compute them in a query of its own, and join its result.",
        )
    aliases = {alias_of[c.name] for c in columns_of(expression)}
    if len(aliases) != 1:
        found = "no source" if not aliases else " and ".join(sorted(aliases))
        raise StatementError(
            f"each side of a join condition must be about exactly one source, this one is about {found}",
            span=span,
            suggestion="Compare a column of one source with a column of the other: ON a.x = b.y.",
        )
    return aliases.pop()


def _check_types(join: ast.Join, left_on: TypedExpression, right_on: TypedExpression) -> None:
    """Check that both sides have the same type.  Join keys are not coerced."""
    if left_on.type != right_on.type:
        raise StatementError(
            f"the two sides of the join condition have different types: {left_on.type} and {right_on.type}",
            span=join.on.span,
            suggestion=f"CAST one of them, for example CAST(.. AS {right_on.type}).",
        )
    check_key_type("the join condition", left_on.type, join.on.span)


def _kind(join: ast.Join, left: _Side, right: FromSource, left_on: TypedExpression, right_on: TypedExpression) -> JoinKind:
    if left.kind == "STREAM" and right.source.kind == "STREAM":
        return "STREAM_STREAM"
    if left.kind == "STREAM":
        _check_stream_table(join, right, right_on)
        return "STREAM_TABLE"
    if right.source.kind == "STREAM":
        raise StatementError(
            f"a table cannot be joined with the stream {right.alias}, only a stream with a table",
            span=join.span,
            suggestion="Swap them: name the stream first.",
        )
    return _table_table(join, left, right, left_on, right_on)


def _is_primary_key(source: FromSource, expression: TypedExpression) -> bool:
    return len(source.keys) == 1 and expression == source.keys[0].ref()


def _check_stream_table(join: ast.Join, right: FromSource, right_on: TypedExpression) -> None:
    if join.type in ("RIGHT", "FULL"):
        raise StatementError(
            f"a stream and a table have INNER and LEFT joins only, not {join.type}",
            span=join.span,
            suggestion="Use LEFT JOIN.",
        )
    if not _is_primary_key(right, right_on):
        raise StatementError(
            f"a stream and a table are joined ON the key of the table, which is {_key_text(right)}", span=join.on.span
        )


def _key_text(source: FromSource) -> str:
    names = ", ".join(f"{source.alias}.{c.name}" for c in source.keys)
    return names if len(source.keys) == 1 else f"({names}); a key of several columns cannot be joined on"


def _table_table(
    join: ast.Join, left: _Side, right: FromSource, left_on: TypedExpression, right_on: TypedExpression
) -> JoinKind:
    if not _is_primary_key(right, right_on):
        raise StatementError(
            f"the condition must use the primary key of the right-hand table, which is {_key_text(right)}",
            span=join.on.span,
            suggestion="Swap the tables if the condition uses the other one's primary key.",
        )
    if left_on in left.equal:
        return "TABLE_TABLE"
    if len(left.sources) > 1:
        raise StatementError(
            "a foreign-key join must be the first join of several",
            span=join.on.span,
            suggestion="Write it to a table of its own first.",
        )
    if join.type not in ("INNER", "LEFT"):
        raise StatementError(
            f"foreign-key joins are INNER and LEFT joins only, not {join.type}", span=join.span, suggestion="Use LEFT JOIN."
        )
    return "FOREIGN_KEY"


def _check_windows(
    join: ast.Join, left: _Side, right: FromSource, left_on: TypedExpression, right_on: TypedExpression
) -> None:
    """Windowed sources join only windowed sources, on their keys."""
    windows = [s.source.window for s in (*left.sources, right)]
    if not any(windows):
        return
    classes = {None if w is None else "session" if w.type == "SESSION" else "time" for w in windows}
    if len(classes) > 1:
        found = " with ".join(sorted("no" if c is None else c for c in classes))
        raise StatementError(
            f"a join of windowed sources needs the same kind of windows on both sides, not {found} windows",
            span=join.span,
            suggestion="Window both sources in the same way, or join what they are made of.",
        )
    if left_on not in left.equal or not _is_primary_key(right, right_on):
        raise StatementError(
            "windowed sources cannot be repartitioned, so they join on their keys only",
            span=join.on.span,
            suggestion="Join ON the keys of both, or join the sources before they are windowed.",
        )


def check_window_sizes(sources: Sequence[FromSource]) -> None:
    """Check the sizes of the windows of joined sources.

    Keys contain only the start of a window, so windows of different sizes are joined on their starts.  As in ksqlDB, only
    key formats with a schema id allow that.

    Queries of existing databases are not checked: those that were created before this rule find no matches.

    Raises:
        StatementError: the sizes differ, and a format has no schema id.
    """
    sizes = {s.source.window.size_ms for s in sources if s.source.window is not None}
    if len(sizes) < 2:
        return
    for source in sources:
        if not format_traits(source.source.key_format.name).inference:
            shown = " and ".join(f"{s.alias} ({s.source.window})" for s in sources)
            raise StatementError(
                f"windows of different sizes are not joined: {shown}",
                span=source.span,
                suggestion="Give both keys a format with a schema id (AVRO, JSON_SR, PROTOBUF), or the windows one size.",
            )


def _within(join: ast.Join, kind: JoinKind) -> tuple[int, int, int | None]:
    within = join.within
    if kind != "STREAM_STREAM":
        if within is not None:
            raise StatementError("WITHIN is for joins of two streams", span=within.span, suggestion="Leave it out.")
        return 0, 0, None
    if within is None:
        raise StatementError(
            "a join of two streams needs a WITHIN clause", span=join.span, suggestion="For example: WITHIN 1 HOUR ON .."
        )
    before = milliseconds(within.before)
    after = before if within.after is None else milliseconds(within.after)
    grace = None if within.grace_period is None else milliseconds(within.grace_period)
    return before, after, grace


def _equal(join: ast.Join, left: _Side, left_on: TypedExpression, right_on: TypedExpression) -> tuple[TypedExpression, ...]:
    """The expressions that equal the result's key: both sides of ON, and those that equalled the left side before.

    After a FULL join there are none, since either side may be missing.
    """
    if join.type == "FULL":
        return ()
    before = left.equal if left_on in left.equal else ()
    return tuple(dict.fromkeys((*before, left_on, right_on)))
