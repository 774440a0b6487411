"""Helpers for tests of programs that use Penstock: functions, and fixtures for pytest."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .recording import record_topic, replay_topic
    from .tables import assert_golden, assert_table

__all__ = ["assert_golden", "assert_table", "record_topic", "replay_topic"]

_HOMES = {"assert_golden": "tables", "assert_table": "tables", "record_topic": "recording", "replay_topic": "recording"}


def __getattr__(name: str) -> Any:
    """Import a helper when it is first used: pytest loads this package, for `plugin`, in every run."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'penstock.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{home}", __name__), name)
