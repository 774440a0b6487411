"""What `kernels/json_objects.py` makes, row by row in Python: the oracle of its tests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


def objects(names: Sequence[str], columns: Sequence[Sequence[int | str | None]], count: int) -> list[str]:
    """One JSON object per row; texts stand in quotes."""
    rows = [dict(zip(names, [column[row] for column in columns])) for row in range(count)]
    return [msgspec.json.encode(row).decode() for row in rows]
