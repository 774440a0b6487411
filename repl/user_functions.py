"""``--functions``: Python files whose functions statements may call."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from ..errors import StatementError

__all__ = ["add_functions", "load_functions"]


def add_functions(arguments: argparse.ArgumentParser) -> None:
    """Add ``--functions``."""
    arguments.add_argument(
        "--functions",
        metavar="FILE.py",
        action="append",
        default=[],
        help="a file (or module) with @penstock.udf functions for the statements (repeatable)",
    )


def load_functions(options: argparse.Namespace) -> None:
    """Import the files (``risk.py``) and modules (``shop.functions``) of the command line, whose decorators register
    functions.  A file may import its neighbours, as a script may.

    Raises:
        StatementError: one is not there, or fails; or the statements run in a server.
    """
    names: Sequence[str] = getattr(options, "functions", ())
    if names and getattr(options, "server", None) is not None:
        raise StatementError(
            "statements run in the server, which has its own functions", suggestion="Give --functions to penstock serve."
        )
    for name in names:
        _load(name)


def _load(name: str) -> None:
    path = Path(name).expanduser()
    try:
        if path.suffix == ".py":
            _import_file(path.resolve(strict=True))
        else:
            _reachable(Path.cwd())
            importlib.import_module(name)
    except Exception as error:
        places = [
            f"line {f.lineno}: " for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path.resolve())
        ]
        what = f"{''.join(places[-1:])}{type(error).__name__}: {error}"
        raise StatementError(f"the functions of {name} cannot be used: {what}") from error


def _import_file(path: Path) -> None:
    _reachable(path.parent)
    spec = importlib.util.spec_from_file_location(f"penstock_functions_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # annotations are looked up there
    spec.loader.exec_module(module)


def _reachable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
