"""The oracle of `KeyedStore`: the same contract in dicts, one row at a time, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from penstock.storage.state.columns import Int64s
from penstock.storage.state.store import StateField


class DictStore:
    """Keys are tuples of Python values (compared by their text, so that NaN and nested values can be keys)."""

    def __init__(
        self,
        name: str,
        key_schema: pa.Schema,
        fields: Sequence[StateField] = (),
        row_schema: pa.Schema | None = None,
        expiry: str | None = None,
    ) -> None:
        self.name = name
        self.key_schema = key_schema
        self.fields = tuple(fields)
        self.row_schema = pa.schema([]) if row_schema is None else row_schema
        self._expiry = expiry
        self._slots: dict[str, int] = {}
        self._keys: dict[int, tuple[Any, ...]] = {}
        self._state: dict[int, dict[str, Any]] = {}
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._slots)

    @staticmethod
    def _tuples(keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        return list(zip(*(k.to_pylist() for k in keys)))

    def slots(self, keys: Sequence[Any]) -> Int64s:
        """See `KeyedStore.slots`."""
        return np.array([self._slots.get(repr(k), -1) for k in self._tuples(keys)], np.int64)

    def insert(self, keys: Sequence[Any]) -> tuple[Int64s, npt.NDArray[np.bool_]]:
        """See `KeyedStore.insert`."""
        slots: list[int] = []
        is_new: list[bool] = []
        for key in self._tuples(keys):
            is_new.append(repr(key) not in self._slots)
            if is_new[-1]:
                slot, self._next = self._next, self._next + 1
                self._slots[repr(key)] = slot
                self._keys[slot] = key
                self._state[slot] = {f.name: f.initial for f in self.fields}
                self._rows[slot] = (None,) * len(self.row_schema)
            slots.append(self._slots[repr(key)])
        return np.array(slots, np.int64), np.array(is_new, np.bool_)

    def group(self, slots: Int64s) -> tuple[Int64s, Int64s]:
        """See `KeyedStore.group`."""
        numbers: dict[int, int] = {}
        groups = [numbers.setdefault(int(s), len(numbers)) for s in slots]
        return np.array(groups, np.int64), np.array(list(numbers), np.int64)

    def keys_of(self, slots: Int64s) -> list[Any]:
        """See `KeyedStore.keys_of`."""
        keys = [self._keys[int(s)] for s in slots]
        return [pa.array([k[i] for k in keys], f.type) for i, f in enumerate(self.key_schema)]

    def read(self, field: str, slots: Int64s) -> npt.NDArray[Any]:
        """See `KeyedStore.read`."""
        dtype = next(f.dtype for f in self.fields if f.name == field)
        values = np.empty(len(slots), dtype)
        for i, slot in enumerate(slots):
            values[i] = self._state[int(slot)][field]
        return values

    def write(self, field: str, slots: Int64s, values: npt.NDArray[Any]) -> None:
        """See `KeyedStore.write`."""
        for slot, value in zip(slots, values):
            self._state[int(slot)][field] = value

    def read_rows(self, slots: Int64s) -> list[Any]:
        """See `KeyedStore.read_rows`."""
        rows = [self._rows.get(int(s), (None,) * len(self.row_schema)) for s in slots]
        return [pa.array([r[i] for r in rows], f.type) for i, f in enumerate(self.row_schema)]

    def write_rows(self, slots: Int64s, columns: Sequence[Any]) -> None:
        """See `KeyedStore.write_rows`."""
        for slot, row in zip(slots, self._tuples(columns)):
            self._rows[int(slot)] = row

    def remove(self, slots: Int64s) -> None:
        """See `KeyedStore.remove`."""
        for slot in map(int, slots):
            del self._slots[repr(self._keys.pop(slot))]
            del self._state[slot], self._rows[slot]

    def expired(self, before: int) -> Int64s:
        """See `KeyedStore.expired`."""
        names = self.key_schema.names
        due: list[int] = []
        for slot, key in self._keys.items():
            value = key[names.index(self._expiry)] if self._expiry in names else self._state[slot][str(self._expiry)]
            if value < before:
                due.append(slot)
        return np.array(due, np.int64)

    def contents(self) -> dict[str, tuple[Any, ...]]:
        """All rows: the key's text -> fields and row columns."""
        return {
            text: (*(self._state[slot][f.name] for f in self.fields), *self._rows[slot])
            for text, slot in self._slots.items()
        }
