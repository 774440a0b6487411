"""SQL's functions: the registry, and one module for each subject.

Importing this package or the registry is cheap.  `load_built_ins` imports the modules that define the functions.
"""

from __future__ import annotations

import threading
from importlib import import_module

from .registry import BUILT_INS, Registry

_MODULES = (
    "numeric",
    "text",
    "splitting",
    "masks",
    "regexp",
    "bytes",
    "arrays",
    "array_order",
    "maps",
    "lambdas",
    "json_text",
    "json_typed",
    "temporal",
    "url",
    "null",
    "table",
    "aggregate",
)
_lock = threading.Lock()
_loaded = False


def load_built_ins() -> Registry:
    """The registry of the built-in functions, filled on the first call."""
    global _loaded
    if not _loaded:
        with _lock:
            if not _loaded:
                for module in _MODULES:
                    import_module(f".{module}", __name__)
                _loaded = True
    return BUILT_INS
