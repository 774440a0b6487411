"""Penstock: streaming SQL inside a Python process.

The door: `connect()`, the result types, the errors and the function decorators.  Everything is imported when first
used, so that ``import penstock`` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .engine.functions.user import udaf, udf, udtf
    from .errors import DataError, InternalError, PenstockError, StatementError, StorageError, UnsupportedError

_HOMES = {
    "DataError": "errors",
    "InternalError": "errors",
    "PenstockError": "errors",
    "StatementError": "errors",
    "StorageError": "errors",
    "UnsupportedError": "errors",
    "udaf": "engine.functions.user",
    "udf": "engine.functions.user",
    "udtf": "engine.functions.user",
}

__all__ = [
    "DataError",
    "InternalError",
    "PenstockError",
    "StatementError",
    "StorageError",
    "UnsupportedError",
    "udaf",
    "udf",
    "udtf",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"penstock.{home}"), name)
    globals()[name] = value
    return value
