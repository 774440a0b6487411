"""Table functions: several rows out of one."""

from __future__ import annotations

from itertools import product
from typing import Any

from .registry import table_function

_CUBE_ITEMS_MAX = 20
"""Each item doubles the rows: twenty make a million."""


@table_function("EXPLODE", "One row for each item of an array.", "(items ARRAY<T>) -> T", style="arrow")
def explode(items: Any) -> Any:
    return items


@table_function(
    "CUBE_EXPLODE", "One row for each way of replacing items of an array by null.", "(items ARRAY<T>) -> ARRAY<T>"
)
def cube_explode(items: list[Any]) -> list[list[Any]]:
    """All nulls first, the array itself last; an item that is null has one choice only.

    Raises: ValueError, for too many items.
    """
    if len(items) > _CUBE_ITEMS_MAX:
        raise ValueError(f"CUBE_EXPLODE takes at most {_CUBE_ITEMS_MAX} items, not {len(items)}")
    return [list(row) for row in product(*([None] if item is None else [None, item] for item in items))]
