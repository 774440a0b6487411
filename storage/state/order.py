"""The iteration order of Kafka Streams' stores: that of the serialised keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .columns import Int64s


def key_ranks(columns: Sequence[Any]) -> list[Int64s]:
    """For each key column, numbers that sort as the column's bytes do in the KAFKA format.

    Integers and doubles are big-endian there, so negative ones come last.  Texts sort by their bytes.  Keys of types that
    the KAFKA format lacks sort by the Python text of their values.
    """
    ranks: list[Int64s] = []
    for column in columns:
        type_ = column.type
        if pa.types.is_string(type_) or pa.types.is_binary(type_):
            texts = column.cast(pa.binary()) if pa.types.is_string(type_) else column
            ranks.append(np.asarray(pc.rank(texts, tiebreaker="dense"), np.int64))
        elif pa.types.is_integer(type_) or pa.types.is_temporal(type_) or pa.types.is_floating(type_):
            width = type_.bit_width
            bits = column.fill_null(0).view(pa.int64() if width == 64 else pa.int32()) if width >= 32 else column
            numbers = np.asarray(bits.fill_null(0), np.int64)
            ranks.append((numbers.view(np.uint64) ^ np.uint64(1 << 63)).view(np.int64))
        else:
            texts = pa.array([repr(v).encode() for v in column.to_pylist()], pa.binary())
            ranks.append(np.asarray(pc.rank(texts, tiebreaker="dense"), np.int64))
    return ranks
