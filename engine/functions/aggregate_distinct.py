"""COUNT_DISTINCT: exact up to 1024 values of a group, then a HyperLogLog sketch.

A state is bytes.  Either ``E`` and the 64-bit hashes in the order in which they first occurred, or ``H`` and 2**13 registers
of one byte (standard error 1.15 %).  ksqlDB always estimates; an exact answer is better and cheap for few values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Segments, State, StateField
from ...storage.values.canonical import canonical_doubles
from .aggregate_values import hashable, mask_of_nulls, object_array, to_objects
from .aggregator_base import AggregatorBase

EXACT_MAX: Final = 1024
"""The number of values that are counted exactly.  Their hashes take 8 KiB, as much as a sketch."""

_REGISTER_BITS: Final = 13
_REGISTERS: Final = 1 << _REGISTER_BITS
_ALPHA: Final = 0.7213 / (1 + 1.079 / _REGISTERS)
_UNIT_BITS: Final = 64 - _REGISTER_BITS + 1

Hashes = npt.NDArray[np.uint64]


class CountDistinct(AggregatorBase):
    """The number of different values; NULL is not counted."""

    result_type = pa.int64()
    nested_state = True

    def __init__(self) -> None:
        self.fields = (
            StateField("COUNT", np.dtype(np.int64), pa.int64(), 0),
            StateField("SEEN", np.dtype(object), pa.binary(), b"E"),
        )

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        present = ~mask_of_nulls(arguments[0])
        order = segments.order if every else segments.order[present[segments.order]]
        bounds = [0, *np.cumsum(np.bincount(segments.groups[order], minlength=segments.count)).tolist()]
        hashes, taken, rows = hashes_of(arguments[0])[order].tolist(), present[order].tolist(), order.tolist()
        counts = state[0].copy()
        seen: list[bytes] = []
        running = np.zeros(len(rows), np.int64)
        for group, initial in enumerate(state[1].tolist()):
            sketch = Sketch(initial)
            begin, end = bounds[group], bounds[group + 1]
            if every:
                for at in range(begin, end):
                    if taken[at]:
                        sketch.add(hashes[at : at + 1])
                    running[rows[at]] = sketch.count
            else:
                sketch.add(hashes[begin:end])
            counts[group] = sketch.count
            seen.append(sketch.state())
        final: State = [counts, object_array(seen)]
        return final, [running, final[1][segments.groups]] if every else None

    def merge(self, left: State, right: State) -> State:
        sketches = []
        for a, b in zip(left[1].tolist(), right[1].tolist()):
            sketch = Sketch(a)
            sketch.merge(b)
            sketches.append(sketch)
        counts = np.array([s.count for s in sketches], np.int64)
        return [counts, object_array([s.state() for s in sketches])]

    def result(self, state: State) -> Any:
        return pa.array(state[0])


class Sketch:
    """A state that is decoded: hashes, or registers."""

    def __init__(self, state: bytes) -> None:
        self._hashes: dict[int, None] | None = None
        self._registers: Int64s | None = None
        self._units = 0
        self._zeros = 0
        if state[:1] == b"E":
            self._hashes = dict.fromkeys(np.frombuffer(state, np.uint64, offset=1).tolist())
        else:
            self._use(np.frombuffer(state, np.uint8, offset=1).astype(np.int64))

    def _use(self, registers: Int64s) -> None:
        """Switch to registers.

        The sum of 2**-register is kept exactly, as an integer in units of 2**-_UNIT_BITS.
        """
        self._hashes = None
        self._registers = registers
        counts = np.bincount(registers, minlength=_UNIT_BITS + 1).tolist()
        self._units = sum(n << (_UNIT_BITS - rank) for rank, n in enumerate(counts))
        self._zeros = counts[0]

    def add(self, values: list[int]) -> None:
        if self._hashes is not None:
            self._hashes.update(dict.fromkeys(values))
            if len(self._hashes) <= EXACT_MAX:
                return
            values = list(self._hashes)
            self._use(np.zeros(_REGISTERS, np.int64))
        for value in values:
            self._raise(value)

    def _raise(self, value: int) -> None:
        assert self._registers is not None
        register = value & (_REGISTERS - 1)
        rest = value >> _REGISTER_BITS
        rank = 64 - _REGISTER_BITS - rest.bit_length() + 1
        old = int(self._registers[register])
        if rank > old:
            self._registers[register] = rank
            self._units += (1 << (_UNIT_BITS - rank)) - (1 << (_UNIT_BITS - old))
            self._zeros -= old == 0

    def merge(self, other: bytes) -> None:
        if other[:1] == b"E":
            self.add(np.frombuffer(other, np.uint64, offset=1).tolist())
            return
        registers = np.frombuffer(other, np.uint8, offset=1).astype(np.int64)
        known = [] if self._hashes is None else list(self._hashes)
        self._use(registers if self._registers is None else np.maximum(self._registers, registers))
        for value in known:
            self._raise(value)

    @property
    def count(self) -> int:
        if self._hashes is not None:
            return len(self._hashes)
        estimate = _ALPHA * _REGISTERS * _REGISTERS / (self._units / (1 << _UNIT_BITS))
        if estimate <= 2.5 * _REGISTERS and self._zeros:
            estimate = _REGISTERS * float(np.log(_REGISTERS / self._zeros))
        return round(estimate)

    def state(self) -> bytes:
        if self._hashes is not None:
            return b"E" + np.fromiter(self._hashes, np.uint64, len(self._hashes)).tobytes()
        assert self._registers is not None
        return b"H" + self._registers.astype(np.uint8).tobytes()


def hashes_of(array: Any) -> Hashes:
    """64-bit hashes of a column's values.  They must never change, because states keep them."""
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int64() if array.type.bit_width == 64 else pa.int32())
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        if pa.types.is_floating(array.type):
            numbers = np.asarray(array.fill_null(0).to_numpy(zero_copy_only=False), np.float64)
            bits = canonical_doubles(numbers).view(np.uint64)
        else:
            bits = np.asarray(array.fill_null(0).to_numpy(zero_copy_only=False)).astype(np.int64).view(np.uint64)
        return _mixed(bits)
    if pa.types.is_nested(array.type):
        values, index = to_objects(array), np.arange(len(array))
    else:
        encoded = array.dictionary_encode()
        distinct = encoded.dictionary
        if pa.types.is_decimal(array.type):  # the text that `repr` gives for a Decimal
            distinct = pc.binary_join_element_wise("Decimal('", distinct.cast(pa.string()), "')", "")
        values = to_objects(distinct)
        index = np.asarray(encoded.indices.fill_null(0).to_numpy(zero_copy_only=False))
    digests = [hashlib.blake2b(_bytes(v), digest_size=8).digest() for v in values]
    known = np.frombuffer(b"".join(digests), np.uint64)
    hashes: Hashes = known[index] if len(known) else np.zeros(len(array), np.uint64)
    return hashes


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else repr(hashable(value))).encode()


def _mixed(bits: Hashes) -> Hashes:
    """SplitMix64's finisher: every input bit reaches every output bit."""
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Hashes = mixed ^ (mixed >> np.uint64(31))
    return result
