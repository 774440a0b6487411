"""Imports packages that only some features need, when they are first used."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import StatementError


def needed(module: str, extra: str) -> Any:
    """A module of an optional package.

    Raises:
        StatementError: it is not installed; the message names the extra to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise StatementError(
            f"the {extra.upper()} format needs a package that is not installed",
            suggestion=f"pip install penstock[{extra}]",
        ) from None
