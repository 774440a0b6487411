"""Exact sums of DOUBLEs.  Rows may come in any order and any batches, and may be undone; the sum is the same to the bit.

A sum is kept exact.  A reader sees the exact sum of the rows, rounded once to the nearest double (of two, to the even one).
NaN and the infinities are counted instead of added, so that undoing them leaves the sum of the rest.

**The state** of a group is three columns:

======== ======= ==========================================================================================
``SUM``  float64 the result: the exact sum rounded; NaN or infinite as the counted values and the range want it
``REST`` float64 what rounding left: as long as ``MORE`` is None, the sum is exactly ``SUM`` + ``REST``
``MORE`` object  None, or (then ``REST`` is 0.0) bytes: the counts of NaN, of +Infinity and of -Infinity as int64, and the
                 finite sum in units of 2**-1074 as a signed integer of any length; all little-endian
======== ======= ==========================================================================================

Equal sums and counts have equal states.  ``MORE`` is for values that are not finite, for sums beyond the range of a double,
and for sums whose binary digits span more than two doubles hold (some 106, or more if there are zeros in between).

**A batch** is summed in limbs: a number is a row of integers, limb k in units of 2**(base + 32 k).  Every double is exact in
limbs, and sums need no carry before 2**31 rows.  ``base`` and the number of limbs follow from the batch's values and its
groups' states: 3 or 4 limbs for most data, 66 at worst.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .batch import Bools, Int64s
from .kernel import Segments, State, StateField
from .segmented import running_sums

Floats = npt.NDArray[np.float64]

EXPONENT_MIN: Final = -1074
"""Every double is a multiple of 2 to this power."""
_LIMB_BITS: Final = 32
_MASK: Final = np.int64((1 << _LIMB_BITS) - 1)
_FRACTION: Final = np.int64((1 << 52) - 1)
_WEIGHTED_ROWS_MAX: Final = 1 << 20
"""How many rows `numpy.bincount`, which adds doubles, sums exactly: 2**20 numbers below 2**32 stay below 2**53."""
_FEW_ROWS: Final = 64
_COUNTS: Final = struct.Struct("<qqq")
BEYOND_SHIFT: Final = 64
"""Divided by 2 to this power, sums of fewer than 2**64 doubles are doubles."""
_RANGE: Final = 1 << (1024 - EXPONENT_MIN)


def fields(prefix: str = "") -> tuple[StateField, StateField, StateField]:
    """The columns of a sum's state, see the module's text.

    (Older stores have ``SUM`` only; the others are then 0 and None.)
    """
    float64 = np.dtype(np.float64)
    return (
        StateField(f"{prefix}SUM", float64, pa.float64(), np.float64(0.0)),
        StateField(f"{prefix}REST", float64, pa.float64(), np.float64(0.0)),
        StateField(f"{prefix}MORE", np.dtype(object), pa.binary(), None),
    )


def scan(
    state: State, segments: Segments, values: Floats, undo: Bools | None, every: bool, repeats: int = 1
) -> tuple[State, Floats | None]:
    """`Aggregator.scan` for one sum.

    Args:
        state: ``SUM``, ``REST``, ``MORE`` of each group.
        values: float64[repeats * n]; 0.0 adds nothing.  With ``repeats``, row r adds the values r, n + r, 2 n + r, ..
        undo: bool[n], rows to take back.

    Returns:
        the state of each group after the batch, and, if ``every``, ``SUM`` after each row.
    """
    final, running = scan_leading(state, segments, values, undo, every, repeats, 1)
    return final, None if running is None else running[0]


def scan_leading(
    state: State, segments: Segments, values: Floats, undo: Bools | None, every: bool, repeats: int, parts: int
) -> tuple[State, list[Floats] | None]:
    """`scan` whose sums after each row (with ``every``) have the form of `leading`."""
    if len(values) <= _FEW_ROWS:
        return _scan_few(state, segments, values, undo, every, repeats, parts)
    groups, count = segments.groups, segments.count
    negative = undo
    if repeats > 1:
        groups = np.tile(groups, repeats)
        negative = None if undo is None else np.tile(undo, repeats)
    sums, more = state[0], state[2]
    rests = np.where(np.isfinite(state[1]), state[1], 0.0)
    special = _special(values, negative, repeats)
    values = np.where(np.isfinite(values), values, 0.0)
    known = [None if m is None else unpacked(m) for m in more.tolist()] if any(m is not None for m in more) else None
    if not np.isfinite(sums).all() and known is None:
        known = [None] * count
    counts = None
    finite_sums, wide = sums, {}
    if known is not None:
        finite_sums = sums.copy()
        counts = np.zeros((3, count), np.int64)
        for group, held in enumerate(known):
            if held is None and not np.isfinite(sums[group]):  # of a version that did not count them
                held = ExactSum(0, *_as_counts(float(sums[group])))
            if held is not None:
                finite_sums[group] = 0.0
                counts[:, group] = held.nan, held.plus, held.minus
                wide[group] = held.units
    frame = _Frame.around((values, finite_sums, rests), wide.values())
    initial = frame.placed(finite_sums, np.arange(count), count)
    initial += frame.placed(rests, np.arange(count), count)
    for group, units in wide.items():
        initial[:, group] += frame.limbs_of_units(units)
    running: list[Floats] | None = None
    if every:
        limbs = frame.to_limbs(values)
        if negative is not None:
            limbs = np.where(negative, -limbs, limbs)
        if repeats > 1:
            limbs = limbs.reshape(len(limbs), repeats, -1).sum(axis=1)
        running_limbs = np.stack([running_sums(segments, i, v) for i, v in zip(initial, limbs)])
        running = frame.leading(running_limbs, parts)
        last = segments.order[np.append(segments.starts[1:], len(segments.order)) - 1] if count else segments.order[:0]
        final = running_limbs[:, last]
    else:
        final = initial + frame.placed(values, groups, count, negative)
    if special is not None or counts is not None:
        held_counts = np.zeros((3, count), np.int64) if counts is None else counts
        step = np.zeros((3, len(segments.groups)), np.int64) if special is None else special
        after = np.stack([running_sums(segments, c, s) for c, s in zip(held_counts, step)])
        if running is not None:
            beside = (after != 0).any(axis=0)
            running = [_with_special(running[0], after), *(np.where(beside, 0.0, part) for part in running[1:])]
        counts = held_counts.copy()
        for kind in range(3):
            np.add.at(counts[kind], segments.groups, step[kind])
    return frame.state(final, counts), running


def _scan_few(
    state: State, segments: Segments, values: Floats, undo: Bools | None, every: bool, repeats: int, parts: int
) -> tuple[State, list[Floats] | None]:
    """`scan_leading` with Python's integers, which for few rows is faster than many NumPy calls."""
    final = [column.copy() for column in state]
    held = {g: held_of(float(final[0][g]), float(final[1][g]), final[2][g]) for g in set(segments.groups.tolist())}
    running = np.zeros((parts, len(segments.groups)), np.float64)
    numbers = values.reshape(repeats, -1)
    for row, group in enumerate(segments.groups.tolist()):
        sign = -1 if undo is not None and undo[row] else 1
        for value in numbers[:, row].tolist():
            held[group] = held[group].plus_value(value, sign)
        if every:
            running[:, row] = held[group].leading(parts)
    for group, number in held.items():
        final[0][group], final[1][group], final[2][group] = number.columns()
    return final, list(running) if every else None


def merge(left: State, right: State) -> State:
    """Add two columns of states."""
    count = len(left[0])
    parts: list[Any] = []
    for side in (left, right):
        for values in side[:2]:
            parts.append(np.where(np.isfinite(values), values, 0.0))
    frame = _Frame.around(parts, ())
    plain = np.array([a is None and b is None for a, b in zip(left[2].tolist(), right[2].tolist())], np.bool_)
    plain &= np.isfinite(left[0]) & np.isfinite(right[0])
    total = np.zeros((frame.count, count), np.int64)
    for values in parts:
        total += frame.placed(values, np.arange(count), count)
    merged = frame.state(total, None)
    for group in np.flatnonzero(~plain).tolist():
        a, b = (held_of(float(side[0][group]), float(side[1][group]), side[2][group]) for side in (left, right))
        held = ExactSum(a.units + b.units, a.nan + b.nan, a.plus + b.plus, a.minus + b.minus)
        merged[0][group], merged[1][group], merged[2][group] = held.columns()
    return merged


def leading(state: State, parts: int) -> list[Floats]:
    """The sums as ``parts`` doubles each: the nearest one, the nearest one to the remainder, and so on (at least 53 bits
    each).

    A remainder beyond that is dropped.  Zeros come after a double that is not finite; but after an infinite one for a finite
    sum beyond the range of doubles, the second is that sum divided by 2**`BEYOND_SHIFT`.
    """
    sums, rests = state[0], np.where(np.isfinite(state[1]), state[1], 0.0)
    found = [sums.copy(), rests, *(np.zeros(len(sums)) for _ in range(parts - 2))][:parts]
    for group in [g for g, m in enumerate(state[2].tolist()) if m is not None]:
        for part, value in zip(found, unpacked(state[2][group]).leading(parts)):
            part[group] = value
    return found


def rounded_totals(columns: Sequence[Floats]) -> Floats:
    """float64[n]: the exact sum of the finite numbers in each row, rounded to the nearest double."""
    frame = _Frame.around(columns, ())
    limbs = np.zeros((frame.count, len(columns[0])), np.int64)
    for values in columns:
        limbs += frame.to_limbs(values)
    return frame.rounded(limbs)


# --- one number ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExactSum:
    """A sum as Python objects: the finite part in units of 2**-1074, and the counts of values that are not finite."""

    units: int
    nan: int = 0
    plus: int = 0
    minus: int = 0

    def plus_value(self, value: float, sign: int) -> ExactSum:
        """The sum after adding a value (``sign`` 1) or undoing it (-1)."""
        if isfinite(value):
            return ExactSum(self.units + sign * units_of(value), self.nan, self.plus, self.minus)
        nan, plus, minus = _as_counts(value)
        return ExactSum(self.units, self.nan + sign * nan, self.plus + sign * plus, self.minus + sign * minus)

    @property
    def result(self) -> float:
        if self.nan or (self.plus and self.minus):
            return float("nan")
        if self.plus or self.minus:
            return float("inf") if self.plus else float("-inf")
        return _rounded_units(self.units)

    def leading(self, parts: int) -> list[float]:
        """See `leading`, the function."""
        found = [self.result]
        left = self.units
        if parts > 1 and not (isfinite(found[0]) or self.nan or self.plus or self.minus):
            found.append(_rounded_units(left, BEYOND_SHIFT))
        while len(found) < parts:
            left = left - units_of(found[-1]) if isfinite(found[0]) else 0
            found.append(_rounded_units(left))
        return found

    def columns(self) -> tuple[float, float, bytes | None]:
        """The columns of the state."""
        result = self.result
        if isfinite(result):
            rest = _rounded_units(left := self.units - units_of(result))
            if units_of(rest) == left:
                return result, rest, None
        size = (self.units.bit_length() + 8) // 8
        counts = _COUNTS.pack(self.nan, self.plus, self.minus)
        return result, 0.0, counts + self.units.to_bytes(size, "little", signed=True)


def unpacked(more: bytes) -> ExactSum:
    """Decode ``MORE``."""
    units = int.from_bytes(more[_COUNTS.size :], "little", signed=True)
    return ExactSum(units, *_COUNTS.unpack_from(more))


def held_of(sum_: float, rest: float, more: bytes | None) -> ExactSum:
    """The sum of a state."""
    if more is not None:
        return unpacked(more)
    if not isfinite(sum_):
        return ExactSum(0, *_as_counts(sum_))
    return ExactSum(units_of(sum_) + (units_of(rest) if isfinite(rest) else 0))


def units_of(value: float) -> int:
    """A finite double in units of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << -EXPONENT_MIN) // denominator


def _rounded_units(units: int, shift: int = 0) -> float:
    """The double next to a number of units, divided by 2**shift."""
    if abs(units) >> shift >= _RANGE:
        return float("inf") if units > 0 else float("-inf")
    try:
        return units / (1 << (shift - EXPONENT_MIN))  # Python rounds quotients of whole numbers to the nearest double
    except OverflowError:
        return float("inf") if units > 0 else float("-inf")


def _as_counts(value: float) -> tuple[int, int, int]:
    return int(value != value), int(value == float("inf")), int(value == float("-inf"))


def _special(values: Floats, negative: Bools | None, repeats: int) -> npt.NDArray[np.int64] | None:
    """int64[3, n]: the counts of NaN, +Infinity and -Infinity that each row adds; None if all values are finite."""
    if np.isfinite(values).all():
        return None
    kinds = np.stack([np.isnan(values), values == np.inf, values == -np.inf]).astype(np.int64)
    if negative is not None:
        kinds = np.where(negative, -kinds, kinds)
    return kinds.reshape(3, repeats, -1).sum(axis=1) if repeats > 1 else kinds


def _with_special(sums: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    nan, plus, minus = counts != 0
    result = np.where(plus, np.inf, np.where(minus, -np.inf, sums))
    return np.where(nan | (plus & minus), np.nan, result)


# --- limbs ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Frame:
    """The limbs in use: ``count`` of them, the lowest in units of 2**base.  Arrays of limbs are int64[count, n]."""

    base: int
    count: int

    @staticmethod
    def around(arrays: Any, units: Any) -> _Frame:
        """The limbs that sums of these numbers need."""
        low, high = 1 << 20, EXPONENT_MIN
        for values in arrays:
            magnitudes = np.abs(values)
            magnitudes = magnitudes[magnitudes > 0]
            if len(magnitudes):
                low = min(low, int(np.frexp(magnitudes.min())[1]) - 53)
                high = max(high, int(np.frexp(magnitudes.max())[1]))
        for number in units:
            if number:
                low = min(low, EXPONENT_MIN + (number & -number).bit_length() - 1)
                high = max(high, EXPONENT_MIN + number.bit_length())
        low = max(min(low, high), EXPONENT_MIN)
        base = low // _LIMB_BITS * _LIMB_BITS
        return _Frame(base, max((high - base) // _LIMB_BITS + 2, 3))

    def parts(self, values: Floats) -> tuple[Int64s, tuple[Int64s, Int64s, Int64s]]:
        """For each number the lowest limb that it touches, and its signed share of that limb and of the two above."""
        bits = values.view(np.int64)
        exponents = (bits >> 52) & 0x7FF
        normal = exponents > 0
        digits = np.where(normal, (bits & _FRACTION) | (np.int64(1) << 52), bits & _FRACTION)
        shifts = np.where(digits == 0, 0, np.where(normal, exponents, 1) - 1075 - self.base)
        # A number below the base ends in zeros that fit its digits above it, or is no number of this frame.
        under = shifts < 0
        if under.any():
            digits = np.where(under, digits >> np.minimum(-shifts, 63), digits)
            shifts = np.where(under, 0, shifts)
        places, within = shifts >> 5, shifts & 31
        rising = digits >> (_LIMB_BITS - within)
        low, middle, high = (digits << within) & _MASK, rising & _MASK, rising >> _LIMB_BITS
        if (bits < 0).any():
            sign = np.where(bits < 0, np.int64(-1), np.int64(1))
            low, middle, high = low * sign, middle * sign, high * sign
        return places, (low, middle, high)

    def to_limbs(self, values: Floats) -> npt.NDArray[np.int64]:
        """Convert numbers to limbs."""
        places, parts = self.parts(values)
        limbs = np.zeros((self.count, len(values)), np.int64)
        for limb in range(self.count):
            for offset, part in enumerate(parts):
                here = places == limb - offset
                if here.all():
                    limbs[limb] += part
                elif here.any():
                    limbs[limb] += np.where(here, part, 0)
        return limbs

    def placed(self, values: Floats, groups: Int64s, count: int, negative: Bools | None = None) -> npt.NDArray[np.int64]:
        """Sum each group in limbs."""
        total = np.zeros(self.count * count, np.int64)
        for start in range(0, len(values), _WEIGHTED_ROWS_MAX):
            rows = slice(start, start + _WEIGHTED_ROWS_MAX)
            places, parts = self.parts(values[rows])
            for offset, part in enumerate(parts):
                if not part.any():
                    continue
                weights = part if negative is None else np.where(negative[rows], -part, part)
                # A share of zero may lie above the highest limb.
                at = np.minimum(places + offset, self.count - 1) * count + groups[rows]
                total += np.bincount(at, weights, self.count * count).astype(np.int64)
        return total.reshape(self.count, count)

    def limbs_of_units(self, units: int) -> npt.NDArray[np.int64]:
        """Convert an integer in units of 2**-1074 to limbs."""
        shift = self.base - EXPONENT_MIN
        rest = abs(units) >> shift if shift >= 0 else abs(units) << -shift
        limbs = [rest >> (_LIMB_BITS * k) & int(_MASK) for k in range(self.count)]
        return np.array([-limb for limb in limbs] if units < 0 else limbs, np.int64)

    def rounded(self, limbs: npt.NDArray[np.int64]) -> Floats:
        """Round each number to the nearest double."""
        limbs = _carried(limbs)
        negative = limbs[-1] < 0
        if negative.any():
            limbs = _carried(np.where(negative, -limbs, limbs))
        top = limbs[-1]
        # Two limbs of zeros below, and the highest one in two, so that each is below 2**32.
        zeros = np.zeros_like(top)
        padded = np.stack([zeros, zeros, *limbs[:-1], top & _MASK, top >> _LIMB_BITS])
        filled = padded != 0
        highest = len(padded) - 1 - np.argmax(filled[::-1], axis=0)
        highest = np.maximum(np.where(filled.any(axis=0), highest, 2), 2)
        lowest = np.argmax(filled, axis=0)
        columns = np.arange(padded.shape[1])
        first, second, third = (padded[highest - k, columns] for k in range(3))
        shifts = (_LIMB_BITS - np.frexp(first.astype(np.float64))[1]).astype(np.uint64)
        shifts = np.minimum(shifts, np.uint64(_LIMB_BITS))
        u = np.uint64
        digits = ((first.astype(u) << u(_LIMB_BITS)) | second.astype(u)) << shifts
        digits |= third.astype(u) >> (u(_LIMB_BITS) - shifts)
        # Beyond the 64 digits it only matters whether there is any 1: rounding needs 53 digits and the next ones.
        dropped = (third.astype(u) << shifts) & u(_MASK)
        sticky = (dropped != 0) | (filled.any(axis=0) & (lowest < highest - 2))
        digits |= sticky.astype(u)
        exponents = self.base + _LIMB_BITS * (highest - 3) - shifts.astype(np.int64)
        with np.errstate(over="ignore", under="ignore"):
            numbers: Floats = np.ldexp(digits.astype(np.float64), exponents.astype(np.int32))
        return np.where(negative, -numbers, numbers)

    def leading(self, limbs: npt.NDArray[np.int64], parts: int) -> list[Floats]:
        """Each number in the form of the function `leading`."""
        found = [self.rounded(limbs)]
        if parts == 1:
            return found
        wider = _Frame(self.base, self.count + 1)
        finite = np.isfinite(found[0])
        left = np.concatenate([limbs, np.zeros((1, limbs.shape[1]), np.int64)])
        for _ in range(1, parts):
            left = np.where(finite, left - wider.to_limbs(np.where(finite, found[-1], 0.0)), 0)
            found.append(wider.rounded(left))
        if not finite.all():
            found[1] = np.where(finite, found[1], _Frame(self.base - BEYOND_SHIFT, self.count).rounded(limbs))
        return found

    def state(self, limbs: npt.NDArray[np.int64], counts: npt.NDArray[np.int64] | None) -> State:
        """The state of each number."""
        size = limbs.shape[1]
        sums = self.rounded(limbs)
        finite = np.isfinite(sums)
        wider = _Frame(self.base, self.count + 1)
        left = np.concatenate([limbs, np.zeros((1, size), np.int64)])
        every = np.arange(size)
        left = left - wider.placed(np.where(finite, sums, 0.0), every, size)
        rests = wider.rounded(left)
        finite &= np.isfinite(rests)
        rests = np.where(finite, rests, 0.0)
        left = left - wider.placed(rests, every, size)
        more = np.empty(size, object)
        unusual = ~finite | (_carried(left) != 0).any(axis=0)
        if counts is not None:
            unusual |= (counts != 0).any(axis=0)
        for group in np.flatnonzero(unusual).tolist():
            held = ExactSum(self.units(limbs[:, group]), *(() if counts is None else map(int, counts[:, group])))
            sums[group], rests[group], more[group] = held.columns()
        return [sums, rests, more]

    def units(self, limbs: Int64s) -> int:
        """One number in units of 2**-1074."""
        total = sum(int(limb) << (_LIMB_BITS * k) for k, limb in enumerate(limbs))
        shift = self.base - EXPONENT_MIN
        return total << shift if shift >= 0 else total >> -shift


def _carried(limbs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Carry: the same numbers with all limbs but the highest from 0 to 2**32 - 1."""
    limbs = limbs.copy()
    for k in range(len(limbs) - 1):
        carry = limbs[k] >> _LIMB_BITS
        limbs[k] -= carry << _LIMB_BITS
        limbs[k + 1] += carry
    return limbs
