"""The oracle of `kernels/json_rows.py`: Python's parser, and in words what a plain object is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa


def plain(text: bytes, keys: Mapping[str, int | None], types: Sequence[Any]) -> list[Any] | None:
    """The values of an object by column; None if it is not plain, or no object."""
    if b"\\" in text:
        return None
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs, parse_int=_Digits, parse_float=_Digits, parse_constant=_refuse)
    except ValueError:
        return None
    if not isinstance(pairs, _Pairs) or len({key for key, _ in pairs}) != len(pairs):
        return None
    row: list[Any] = [None] * len(types)
    for key, value in pairs:
        if key not in keys or isinstance(value, (_Pairs, list)):
            return None
        column = keys[key]
        if isinstance(value, _Digits) and not value.short:
            return None
        if column is None or value is None:
            continue
        try:
            row[column] = _value(value, types[column])
        except ValueError:
            return None
    return row


class _Pairs(list[tuple[str, Any]]):
    pass


class _Digits(str):
    __slots__ = ()

    @property
    def short(self) -> bool:
        """At most 18 digits that count, 22 behind the point, no exponent and no minus before zero."""
        digits = self.replace("-", "").replace(".", "")
        behind = self.partition(".")[2]
        if "e" in self.lower() or len(behind) > 22 or (self.startswith("-") and not digits.strip("0")):
            return False
        return self.significant <= 18

    @property
    def significant(self) -> int:
        return len(self.replace("-", "").replace(".", "").lstrip("0"))


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _value(value: Any, kind: Any) -> Any:
    if pa.types.is_string(kind) and isinstance(value, str) and not isinstance(value, _Digits):
        return value
    if pa.types.is_boolean(kind) and isinstance(value, bool):
        return value
    if isinstance(value, _Digits):
        if pa.types.is_floating(kind) and value.significant <= 15:
            return float(value)
        bits = 32 if kind in (pa.int32(), pa.date32()) else 64
        if not (pa.types.is_floating(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind)):
            number = int(value)
            if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
                return number
    raise ValueError(value)
