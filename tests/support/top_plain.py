"""What `kernels/top.py` makes, by sorting: the oracle of its tests."""

from __future__ import annotations

from collections.abc import Sequence


def top_rows(groups: Sequence[int], count: int, keys: Sequence[int], marked: Sequence[bool], k: int) -> list[int]:
    """Of the marked rows of each group the ``k`` with the smallest keys, by group and then ascending."""
    found = []
    for group in range(count):
        rows = [row for row in range(len(groups)) if groups[row] == group and marked[row]]
        found += sorted(sorted(rows, key=lambda row: (keys[row], row))[:k])
    return found
