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


def top_running(
    held: Sequence[Sequence[int]], groups: Sequence[int], keys: Sequence[int], marked: Sequence[bool], k: int, distinct: bool
) -> tuple[list[list[int]], list[list[int]]]:
    """What each row's group keeps after the row, and each group in the end; ``held``: the keys that groups begin with."""
    numbers = iter(range(sum(map(len, held))))
    state = [[(key, next(numbers)) for key in own] for own in held]
    first, after = sum(map(len, held)), []
    for row, (group, key) in enumerate(zip(groups, keys, strict=True)):
        own = state[group]
        if marked[row] and not (distinct and key in [other for other, _ in own]):
            own = state[group] = sorted([*own, (key, first + row)])[:k]
        after.append([number for _, number in own])
    return after, [[number for _, number in own] for own in state]
