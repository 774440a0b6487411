"""The commands of ksqlDB's own prompt: HELP, EXIT, HISTORY, VERSION, CLEAR, OUTPUT, SPOOL, SET CLI .."""

from __future__ import annotations

from typing import Any

from ..errors import StatementError
from .commands import COMMANDS, Quit, open_output

__all__ = ["run_cli_command"]

_WIDTH_MAX = 1_000_000


def run_cli_command(shell: Any, text: str) -> None:
    """Run such a command.

    Raises:
        Quit: for EXIT and QUIT.
        StatementError: its argument is wrong, or its file cannot be written.
    """
    words = text.split()
    match words[0].upper():
        case "EXIT" | "QUIT":
            raise Quit
        case "HELP":
            COMMANDS["\\help"].run(shell, "")
        case "VERSION":
            from .. import __version__

            shell.note(f"penstock {__version__}")
        case "CLEAR":
            shell.clear()
        case "HISTORY":
            shell.note("\n".join(f"{number:>4}  {line}" for number, line in enumerate(shell.history(), 1)) or "(none)")
        case "OUTPUT":
            _output(shell, words[1].upper() if len(words) > 1 else "")
        case "SPOOL":
            _spool(shell, text.split(None, 1)[1].strip())
        case _:
            _setting(shell, words[words[0].upper() == "SET" :])


def _output(shell: Any, name: str) -> None:
    formats = {"JSON": "json", "TABULAR": "table", "CHART": "chart"}
    if name and name not in formats:
        raise StatementError(
            f"OUTPUT takes JSON, TABULAR or CHART, not {name}", suggestion="\\format has the other formats."
        )
    if name:
        shell.format = formats[name]
    shell.note(f"results are shown as {shell.format}")


def _spool(shell: Any, argument: str) -> None:
    if shell.spool is not None:
        shell.spool.close()
        shell.spool = None
    if argument.upper() == "OFF":
        return
    shell.spool = open_output(argument[1:-1].replace("''", "'"))


def _setting(shell: Any, words: list[str]) -> None:
    name = words[1].upper() if len(words) > 1 else ""
    value = words[2].upper() if len(words) > 2 else ""
    if name == "COLUMN-WIDTH" and (value.isdecimal() or value in ("", "OFF")):
        width = int(value) if value.isdecimal() else 0
        if width > _WIDTH_MAX:
            raise StatementError(f"COLUMN-WIDTH must be at most {_WIDTH_MAX:,} characters")
        shell.column_width = width or None
        return
    if name == "WRAP" and value in ("ON", "OFF"):
        shell.wraps = value == "ON"
        return
    raise StatementError(
        f"there is no setting of the prompt {' '.join(words[1:])}",
        suggestion="Write SET CLI COLUMN-WIDTH 20; or SET CLI WRAP ON;",
    )
