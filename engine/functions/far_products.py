"""Exact sums of products that two doubles cannot hold, because their factors are near the ends of a double's range.

A product is exact in two doubles if both factors are between `_SMALL` and `_LARGE`.  `runtime/exact_sums.py` adds such
products up.  Other products (1e308 * 1e308, 1e-200 * 1e-200) are *far*: this module adds them up as integers of any length.
Only the factors decide whether a product is far, so undoing a row removes exactly what the row added.

A sum of far products is stored as None (0), or as a signed little-endian integer in units of 2**-2148.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...runtime import exact_sums
from ...runtime.batch import Bools
from ...runtime.exact_sums import ExactSum
from ...runtime.kernel import Segments, State, StateField

Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]
Parts = Sequence[Floats]
"""A column of numbers as sums of doubles, the largest first."""

_LARGE: Final = 2.0**480
"""Sums of 2**63 products of factors below this are doubles."""
_SMALL: Final = 2.0**-480
"""The rounding error of a product of factors above this is a double."""
_EXPONENT: Final = 2 * exact_sums.EXPONENT_MIN
_QUOTIENT_BITS: Final = 160


def field(name: str) -> StateField:
    """The column of a state that holds a sum of far products."""
    return StateField(name, np.dtype(object), pa.binary(), None)


def far(x: Parts, y: Parts) -> Bools | None:
    """bool[n]: whether products of finite numbers are far; None if none is."""
    found = _extreme(x) if y is x else _extreme(x) | _extreme(y)
    if not found.any():
        return None
    for factor in (x[0], y[0]):  # the largest part decides
        found &= (factor != 0.0) & np.isfinite(factor)
    return found if found.any() else None


def _extreme(x: Parts) -> Bools:
    magnitudes = np.abs(x[0])
    return (magnitudes > _LARGE) | ((magnitudes < _SMALL) & (magnitudes > 0.0))


@dataclass(frozen=True, slots=True)
class Moments:
    """The exact sums of a group that has far products.

    Attributes:
        sums: the sums of values, in units of 2**-1074.
        products: the sums of products, in units of 2**-2148.
        finite: whether all values are finite, and no product was counted as infinite, as in older versions.
    """

    sums: tuple[int, ...]
    products: tuple[int, ...]
    finite: bool


def scan(
    sums: Sequence[State],
    products: Sequence[State],
    fars: Sequence[Objects],
    segments: Segments,
    values: Sequence[Parts],
    added: Sequence[tuple[Parts, Parts, Bools | None]],
    undo: Bools | None,
    every: bool,
) -> tuple[list[Objects], Objects | None]:
    """Add the far products of a batch.

    Args:
        sums, products: the states (`exact_sums`) of the sums of values and of products *before* the batch.
        fars: object[groups], the stored sums of far products.
        values: the numbers to add to each sum of values.
        added: for each sum of products the factors, and which of the products are far.
        undo: bool[n], the rows to subtract; None if there are none.
        every: also return the moments after every row.

    Returns:
        the stored sums after the batch, and object[n]: after each row the `Moments` of its group, or None if the group has
        no far products then.  None in place of the array if not ``every``, or if no group has far products.
    """
    after = [np.array(column, object) for column in fars]
    touched = np.zeros(segments.count, np.bool_)
    for column in fars:
        touched |= np.array([c is not None for c in column.tolist()], np.bool_)
    for _, _, far_ in added:
        if far_ is not None:
            touched[segments.groups[far_]] = True
    if not touched.any():
        return after, None
    running = np.full(len(segments.groups), None, object) if every else None
    totals = {g: [_number(column[g]) for column in fars] for g in np.flatnonzero(touched).tolist()}
    held: dict[int, list[ExactSum]] = {}
    if running is None:
        rows = np.zeros(len(segments.groups), np.bool_)
        for _, _, far_ in added:
            if far_ is not None:
                rows |= far_
    else:
        rows = touched[segments.groups]
        held = {g: [_held(s, g) for s in (*sums, *products)] for g in totals}
    for row in np.flatnonzero(rows).tolist():
        group = int(segments.groups[row])
        sign = -1 if undo is not None and undo[row] else 1
        total = totals[group]
        for k, (x, y, far_) in enumerate(added):
            if far_ is not None and far_[row]:
                total[k] += sign * _units(x, row) * _units(y, row)
        if running is None:
            continue
        numbers = held[group]
        for k, parts in enumerate(values):
            for part in parts:
                numbers[k] = numbers[k].plus_value(float(part[row]), sign)
        for k, (x, y, far_) in enumerate(added, len(values)):
            if far_ is None or not far_[row]:
                for part in products_of([p[row : row + 1] for p in x], [p[row : row + 1] for p in y], None):
                    numbers[k] = numbers[k].plus_value(float(part[0]), sign)
        if any(total):
            running[row] = _moments(numbers[: len(values)], numbers[len(values) :], total)
    for group, total in totals.items():
        for column, number in zip(after, total, strict=True):
            column[group] = _stored(number)
    return after, running


def merge(left: Objects, right: Objects) -> Objects:
    """Add two columns of stored sums."""
    merged = np.full(len(left), None, object)
    for group, (a, b) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        if a is not None or b is not None:
            merged[group] = _stored(_number(a) + _number(b))
    return merged


def moments(sums: Sequence[State], products: Sequence[State], fars: Sequence[Objects]) -> dict[int, Moments]:
    """The exact sums of the groups that have far products, by group."""
    groups = {g for column in fars for g, stored in enumerate(column.tolist()) if stored is not None}
    return {
        g: _moments([_held(s, g) for s in sums], [_held(s, g) for s in products], [_number(c[g]) for c in fars])
        for g in sorted(groups)
    }


def products_of(x: Parts, y: Parts, far: Bools | None) -> list[Floats]:
    """The products of two numbers as exact sums of doubles.  Far products are 0.0."""
    if far is not None:
        x = [np.where(far, 0.0, part) for part in x]
    return [part for a in x for b in y for part in two_products(a, b)]


def two_products(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Products, and their rounding errors (Dekker).  The error of a product that is not finite is 0.0."""
    with np.errstate(over="ignore", invalid="ignore"):
        product = a * b
        a_high, b_high = _upper(a), _upper(b)
        a_low, b_low = a - a_high, b - b_high
        error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, np.where(np.isfinite(product) & np.isfinite(error), error, 0.0)


_SPLIT: Final = 134217729.0
"""2**27 + 1: multiplying by it splits a double into two numbers of 26 bits (Veltkamp)."""
_SPLIT_MAX: Final = 2.0**996


def _upper(values: Floats) -> Floats:
    """The upper 26 bits of each number.  The result has no meaning for numbers whose squares are infinite."""
    scaled = _SPLIT * np.where(np.abs(values) < _SPLIT_MAX, values, 0.0)
    return scaled - (scaled - values)


# --- results -------------------------------------------------------------------------------


def variance(count: int, group: Moments, *, root: bool) -> float:
    """The sample variance of a group, or its square root, rounded once; NaN if a value is not finite."""
    if not group.finite:
        return float("nan")
    gap = max(_gap(count, group.products[0], group.sums[0], group.sums[0]), 0)
    below = count * (count - 1)
    if not root:
        return _double(gap, below, _EXPONENT)
    shift = _even(max(2 * _QUOTIENT_BITS - gap.bit_length() + below.bit_length(), 0))
    return _double(_root((gap << shift) // below), 1, _EXPONENT // 2 - shift // 2)


def correlation(count: int, group: Moments) -> float:
    """Pearson's coefficient of a group, rounded once.  It is NaN if a value is not finite, or all values of one side are
    equal.
    """
    if not group.finite:
        return float("nan")
    (x, y), (xx, yy, xy) = group.sums, group.products
    shared = _gap(count, xy, x, y)
    below = _gap(count, xx, x, x) * _gap(count, yy, y, y)
    if below <= 0:
        return float("nan")
    above = shared * shared
    shift = _even(max(2 * _QUOTIENT_BITS - above.bit_length() + below.bit_length(), 0))
    ratio = min(_double(_root((above << shift) // below), 1, -(shift // 2)), 1.0)
    return -ratio if shared < 0 else ratio


def _gap(count: int, products: int, x: int, y: int) -> int:
    return count * products - x * y


def _even(number: int) -> int:
    return number + (number & 1)


def _root(number: int) -> int:
    """The integer square root of a number.  Its last bit is set to 1 if there is a remainder, so that it is rounded
    correctly later.
    """
    root = isqrt(number)
    return root if root * root == number else root | 1


def _double(above: int, below: int, exponent: int) -> float:
    """The double nearest to above / below * 2**exponent.  (Python's division of integers rounds correctly.)"""
    try:
        return above / (below << -exponent) if exponent <= 0 else (above << exponent) / below
    except OverflowError:
        return float("inf")


def _moments(sums: Sequence[ExactSum], products: Sequence[ExactSum], fars: Sequence[int]) -> Moments:
    shift = exact_sums.EXPONENT_MIN - _EXPONENT
    finite = not any(s.nan or s.plus or s.minus for s in (*sums, *products))
    return Moments(
        tuple(s.units for s in sums), tuple((p.units << shift) + f for p, f in zip(products, fars, strict=True)), finite
    )


def _units(parts: Parts, row: int) -> int:
    return sum(exact_sums.units_of(float(part[row])) for part in parts)


def _held(state: State, group: int) -> ExactSum:
    return exact_sums.held_of(float(state[0][group]), float(state[1][group]), state[2][group])


def _number(stored: bytes | None) -> int:
    return 0 if stored is None else int.from_bytes(stored, "little", signed=True)


def _stored(number: int) -> bytes | None:
    return number.to_bytes((number.bit_length() + 8) // 8, "little", signed=True) if number else None
