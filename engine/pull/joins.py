"""Joins rows.  Equal values are found by their codes; other conditions are tested on the pairs that remain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from ...errors import StatementError
from ...limits import JOINED_PAIRS_MAX
from ...runtime.batch import Int64s
from ...storage import interrupts
from ..expressions.nodes import Cast, Compare, Logical, TypedExpression, columns_of, is_volatile
from ..types import BOOLEAN, DOUBLE, is_numeric
from .evaluation import Evaluation, evaluate
from .rows import Rows, is_null, row_codes, whole

JoinType = Literal["INNER", "LEFT", "RIGHT", "FULL", "CROSS"]
_BLOCK_PAIRS = 1 << 20
"""The number of pairs on which a condition is tested at a time."""


@dataclass(frozen=True, slots=True)
class _Condition:
    """ON in parts: pairs of expressions that must be equal, and the other conditions."""

    left: list[TypedExpression]
    right: list[TypedExpression]
    rest: TypedExpression | None


def conjuncts(expression: TypedExpression | None) -> Iterator[TypedExpression]:
    """The operands of a chain of ANDs."""
    stack = [] if expression is None else [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Logical) and node.operator == "AND":
            stack += [node.right, node.left]
        else:
            yield node


def all_of(conditions: Sequence[TypedExpression]) -> TypedExpression | None:
    """The conditions as a chain of ANDs."""
    found: TypedExpression | None = None
    for condition in conditions:
        found = condition if found is None else Logical("AND", found, condition, type=BOOLEAN, span=condition.span)
    return found


def _taken_apart(on: TypedExpression, left: Rows, right: Rows) -> _Condition:
    lefts: list[TypedExpression] = []
    rights: list[TypedExpression] = []
    rest: list[TypedExpression] = []
    for condition in conjuncts(on):
        sides = _sides(condition, left, right)
        if sides is None:
            rest.append(condition)
            continue
        one, other = sides
        if one.type != other.type:
            if not (is_numeric(one.type) and is_numeric(other.type)):
                rest.append(condition)
                continue
            rest.append(condition)  # values that differ may be equal as DOUBLEs
            one, other = (e if e.type == DOUBLE else Cast(e, implicit=True, type=DOUBLE) for e in (one, other))
        lefts.append(one)
        rights.append(other)
    return _Condition(lefts, rights, all_of(rest))


def _sides(condition: TypedExpression, left: Rows, right: Rows) -> tuple[TypedExpression, TypedExpression] | None:
    if not isinstance(condition, Compare) or condition.operator != "=" or is_volatile(condition):
        return None
    for one, other in ((condition.left, condition.right), (condition.right, condition.left)):
        first, second = ({c.name for c in columns_of(e)} for e in (one, other))
        if first and second and first <= set(left.columns) and second <= set(right.columns):
            return one, other
    return None


def join(left: Rows, right: Rows, type_: JoinType, on: TypedExpression | None, *, how: Evaluation) -> Rows:
    """Join two sides.

    Rows are in the order of the left side, then of the right side.  Right rows without a match come last.

    Raises:
        StatementError: there are too many pairs to test.
    """
    pairs = _pairs(left, right, on, how=how)
    lefts, rights = pairs
    if type_ in ("LEFT", "FULL"):
        missing = np.ones(left.length, np.bool_)
        missing[lefts] = False
        lonely = np.flatnonzero(missing).astype(np.int64)
        lefts, rights = np.concatenate([lefts, lonely]), np.concatenate([rights, np.full(len(lonely), -1, np.int64)])
        order = np.argsort(lefts, kind="stable")
        lefts, rights = lefts[order], rights[order]
    if type_ in ("RIGHT", "FULL"):
        missing = np.ones(right.length, np.bool_)
        missing[pairs[1]] = False
        lonely = np.flatnonzero(missing).astype(np.int64)
        lefts, rights = np.concatenate([lefts, np.full(len(lonely), -1, np.int64)]), np.concatenate([rights, lonely])
    return Rows({**left.take(lefts).columns, **right.take(rights).columns}, len(lefts))


def _pairs(left: Rows, right: Rows, on: TypedExpression | None, *, how: Evaluation) -> tuple[Int64s, Int64s]:
    """The row numbers of all pairs that match, in the order of the left side."""
    condition = _Condition([], [], None) if on is None else _taken_apart(on, left, right)
    if condition.left:
        starts, counts, order = _matches(left, right, condition, how=how)
    else:
        starts, counts = np.zeros(left.length, np.int64), np.full(left.length, right.length, np.int64)
        order = np.arange(right.length, dtype=np.int64)
    total = int(counts.sum())
    if total > JOINED_PAIRS_MAX:
        raise StatementError(
            f"the join has {total:,} pairs of rows to look at, more than {JOINED_PAIRS_MAX:,}",
            span=None if on is None else on.span,
            suggestion="Give it a condition with = in ON, or filter its sides in subqueries first.",
        )
    if condition.rest is None:
        return _expanded(starts, counts, order, 0)
    names = [c.name for c in columns_of(condition.rest)]
    found: list[tuple[Int64s, Int64s]] = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    ends = np.cumsum(counts)
    begin = 0
    while begin < left.length:
        interrupts.check()
        done = int(ends[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(ends, done + _BLOCK_PAIRS, side="right")), begin + 1)
        lefts, rights = _expanded(starts[begin:end], counts[begin:end], order, begin)
        block = Rows({**left.take(lefts, names).columns, **right.take(rights, names).columns}, len(lefts))
        keep = np.asarray(evaluate(condition.rest, block, how=how).fill_null(False).to_numpy(zero_copy_only=False), bool)
        found.append((lefts[keep], rights[keep]))
        begin = end
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def _matches(left: Rows, right: Rows, condition: _Condition, *, how: Evaluation) -> tuple[Int64s, Int64s, Int64s]:
    """For each left row, where its matches begin and how many they are.

    Returns:
        the beginnings, the numbers of matches, and ``order``: the right rows in the order that the beginnings refer to.
    """
    sides = [
        [evaluate(e, left, how=how) for e in condition.left],
        [evaluate(e, right, how=how) for e in condition.right],
    ]
    both = [pa.concat_arrays([whole(a), whole(b)]) for a, b in zip(*sides, strict=True)]
    codes, _ = row_codes(both, left.length + right.length)
    nothing = np.zeros(left.length + right.length, np.bool_)
    for column in both:
        nothing |= is_null(column)
    codes = np.where(nothing, -1, codes)
    lefts, rights = codes[: left.length], codes[left.length :]
    order = np.argsort(rights, kind="stable").astype(np.int64)
    ordered = rights[order]
    starts = np.searchsorted(ordered, lefts, side="left").astype(np.int64)
    counts = np.searchsorted(ordered, lefts, side="right").astype(np.int64) - starts
    counts[lefts < 0] = 0
    return starts, counts, order


def _expanded(starts: Int64s, counts: Int64s, order: Int64s, first: int) -> tuple[Int64s, Int64s]:
    lefts = np.repeat(np.arange(first, first + len(counts), dtype=np.int64), counts)
    ends = np.cumsum(counts)
    within = np.arange(len(lefts), dtype=np.int64) - np.repeat(ends - counts, counts)
    return lefts, order[np.repeat(starts, counts) + within]
