"""Functions about null, and AS_VALUE."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..columns.arrow import broadcast, flat, length_of, null_mask, with_nulls
from ..columns.comparing import equal
from ..columns.kinds import Column, Datum
from .registry import scalar

CATEGORY = "CONDITIONAL"


@scalar(
    "COALESCE",
    "The first argument that is not null.",
    "(first T, rest T...) -> T",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def coalesce(*arguments: Datum) -> Datum:
    if len(arguments) == 1:
        return arguments[0]
    length = length_of(arguments)
    return flat(pc.coalesce(*(broadcast(a, length) if pa.types.is_nested(a.type) else a for a in arguments)))


@scalar(
    "IFNULL",
    "The first argument, or the second where the first is null.",
    "(value T, alternative T) -> T",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def ifnull(value: Datum, alternative: Datum) -> Datum:
    return coalesce(value, alternative)


@scalar(
    "NULLIF",
    "Null where the two arguments are equal, else the first.",
    "(value T, other T) -> T",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def nullif(value: Datum, other: Datum) -> Column:
    length = length_of((value, other))
    values = broadcast(value, length)
    same = np.asarray(flat(equal(values, other)).fill_null(False).to_numpy(zero_copy_only=False), np.bool_)
    return with_nulls(values, same & ~null_mask(values))


@scalar(
    "AS_VALUE",
    "A copy of a key column among the value columns.",
    "(key T) -> T",
    style="arrow",
    nulls=True,
    category="OTHER",
)
def as_value(key: Column) -> Column:
    return key
