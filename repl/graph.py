"""``penstock graph``: the flow of a script's sources and queries, as a picture and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import StatementError
from ..grammar.script_files import read_script
from ..paths import named_path

__all__ = ["graph_script", "write_picture"]


def graph_script(
    file: str, out: str | None, settings: Mapping[str, str], tell: Callable[[str], None], print_error: Callable[[str], None]
) -> int:
    """Print the flow of a script, or write its picture.  The script runs in a new database in memory only.

    Args:
        out: a new ``.svg`` file; None prints words.

    Returns:
        the exit code: 1 if the script has faults; what its other statements make is shown nevertheless.

    Raises:
        StatementError: the script cannot be read, or the picture cannot be written.
    """
    from .validate import CheckedScript

    script = CheckedScript(settings, print_error).check(read_script(Path(file), named_by_person=True), file)
    tell(script.flow.text() if out is None else write_picture(script.flow, out))
    return 1 if script.faults else 0


def write_picture(flow: Any, name: str) -> str:
    """Write the picture of a flow to a new file.  Returns: a message.  Raises: StatementError, if it cannot be written."""
    path = named_path(name)
    if path.suffix.lower() != ".svg":
        raise StatementError(f"the picture is SVG, and {path} has another ending", suggestion=f"Write {path.stem}.svg.")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(flow.svg() + "\n")
    except FileExistsError:
        raise StatementError(f"{path} is there already", suggestion="Name a new file.") from None
    except (OSError, ValueError) as error:
        raise StatementError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return f"{path}: {len(flow.nodes)} boxes, {len(flow.edges)} arrows"
