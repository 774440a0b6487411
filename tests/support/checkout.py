"""The checkout that is tested, and its rooms: the folders with the product's code."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "aio",
    "dbapi",
    "engine",
    "grammar",
    "kernels",
    "listener",
    "notebook",
    "repl",
    "runtime",
    "server",
    "storage",
    "testing",
)
