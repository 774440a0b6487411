"""Finds Python values that are the same SQL value, by the equality of `storage/values/canonical.py`."""

from __future__ import annotations

__all__ = ["canonical_value"]


def canonical_value(value: object) -> object:
    """A hashable value that is equal for equal SQL values, at every depth.  Maps have no order.

    >>> canonical_value([float("nan"), -0.0]) == canonical_value([float("nan"), 0.0])
    True
    """
    if isinstance(value, float):
        return "NaN" if value != value else value + 0.0
    if isinstance(value, dict):
        return frozenset((canonical_value(key), canonical_value(item)) for key, item in value.items())
    if isinstance(value, list) and value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        return canonical_value(dict(value))  # Arrow gives maps as lists of pairs
    if isinstance(value, list | tuple):
        return tuple(map(canonical_value, value))
    return bytes(value) if isinstance(value, bytearray) else value
