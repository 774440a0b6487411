"""Looks up and reads a single key without the fixed costs of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...kernels import index as kernels

_WORD: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Point:
    """A key as the index compares it: words and texts (see `keys.encode`)."""

    words: tuple[int, ...]
    texts: tuple[bytes, ...]
    text_bits: tuple[int, ...]

    def batch(self) -> kernels.KeyBatch:
        """The key as a batch of one row."""
        words = [np.array([word], np.uint64) for word in self.words]
        texts = [
            kernels.BatchText(np.array([0, len(data)], np.int32), np.frombuffer(data, np.uint8), bit)
            for data, bit in zip(self.texts, self.text_bits)
        ]
        return kernels.KeyBatch(1, words, texts, None)


def key_kinds(types: Sequence[Any]) -> tuple[type | None, ...]:
    """For `point`: the Python type of the values of each key column; None if it takes other types than numbers and texts."""
    kinds: list[type | None] = []
    for type_ in types:
        if pa.types.is_integer(type_):
            kinds.append(int)
        else:
            kinds.append(str if pa.types.is_string(type_) else bytes if pa.types.is_binary(type_) else None)
    return tuple(kinds)


def point(kinds: Sequence[type | None], values: Sequence[Any]) -> Point | None:
    """The key with these Python values, for columns of the given kinds (see `key_kinds`).

    None if a value does not have its type, an integer has more than 64 bits, or a text is not ASCII.
    """
    words: list[int] = []
    texts: list[bytes] = []
    bits: list[int] = []
    for number, (kind, value) in enumerate(zip(kinds, values, strict=True)):
        if kind is int and type(value) is int and -(1 << 63) <= value < 1 << 63:
            words.append(value & _WORD)
        elif kind is str and isinstance(value, str) and value.isascii():
            texts.append(value.encode())
            bits.append(number)
        elif kind is bytes and isinstance(value, bytes):
            texts.append(value)
            bits.append(number)
        else:
            return None
    return Point(tuple(words), tuple(texts), tuple(bits))
