"""The shell's backslash commands, registered by decorator."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import StatementError


class Console(Protocol):
    """What commands need of the shell that runs them."""

    @property
    def database(self) -> Any:
        """What statements are executed in."""

    @property
    def write(self) -> Callable[[str], None]:
        """Shows a text."""

    def run(self, text: str, path: str | None = None) -> bool:
        """Execute statements (of a file), and show their results; whether all went well."""

    def show(self, result: Any) -> None:
        """Show a result."""


class Quit(Exception):
    """The person wants to leave."""


@dataclass(frozen=True, slots=True)
class Command:
    """``run(shell, argument)``; ``usage`` and ``meaning`` are what \\help shows."""

    usage: str
    meaning: str
    run: Callable[[Console, str], None]


COMMANDS: dict[str, Command] = {}


def command(
    *names: str, usage: str, meaning: str
) -> Callable[[Callable[[Console, str], None]], Callable[[Console, str], None]]:
    """Register a command under one or more names."""

    def register(function: Callable[[Console, str], None]) -> Callable[[Console, str], None]:
        for name in names:
            COMMANDS[name] = Command(usage, meaning, function)
        return function

    return register


@command("\\help", "\\?", usage="\\help", meaning="this list")
def help_(shell: Console, argument: str) -> None:
    """List the commands, and how statements are ended."""
    lines = {f"  {c.usage:<18} {c.meaning}" for c in COMMANDS.values()}
    shell.write("\n".join(["Statements end with ';'. Ctrl-C ends a push query, Ctrl-D leaves.", *sorted(lines)]))


@command("\\quit", "\\q", "\\exit", usage="\\quit", meaning="leave")
def quit_(shell: Console, argument: str) -> None:
    """Leave the shell."""
    raise Quit


@command("\\streams", usage="\\streams", meaning="list the streams")
def streams(shell: Console, argument: str) -> None:
    """SHOW STREAMS."""
    shell.run("SHOW STREAMS;")


@command("\\tables", usage="\\tables", meaning="list the tables")
def tables(shell: Console, argument: str) -> None:
    """SHOW TABLES."""
    shell.run("SHOW TABLES;")


@command("\\queries", usage="\\queries", meaning="list the persistent queries")
def queries(shell: Console, argument: str) -> None:
    """SHOW QUERIES."""
    shell.run("SHOW QUERIES;")


@command("\\d", usage="\\d NAME", meaning="describe a stream or table")
def describe(shell: Console, argument: str) -> None:
    """DESCRIBE name, or list all sources."""
    shell.run(f"DESCRIBE {argument};" if argument else "SHOW STREAMS; SHOW TABLES;")


@command("\\duckdb", usage="\\duckdb SELECT ..", meaning="ask the same tables in DuckDB's own SQL")
def duckdb(shell: Console, argument: str) -> None:
    """One SELECT of DuckDB's."""
    if not argument:
        raise StatementError("\\duckdb takes a SELECT of DuckDB's SQL")
    shell.show(shell.database.duckdb(argument.rstrip().removesuffix(";")))


@command("\\i", usage="\\i FILE", meaning="run a script")
def include(shell: Console, argument: str) -> None:
    """Run the statements of a file."""
    try:
        text = Path(argument).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise StatementError(f"cannot read the script {argument}: {problem}") from problem
    shell.run(text, str(Path(argument).expanduser()))


@command("\\backup", usage="\\backup DIR", meaning="copy the database to a new directory")
def backup(shell: Console, argument: str) -> None:
    """Back up, while the queries go on."""
    if not argument:
        raise StatementError("\\backup takes the name of a new directory")
    made = shell.database.backup(Path(argument).expanduser())
    shell.write(f"{argument}: all commits up to {made.epoch}, {made.files} files, {made.bytes:,} bytes")


@command("\\time", usage="\\time STATEMENT", meaning="run a statement and say how long it took")
def timed(shell: Console, argument: str) -> None:
    """Run and measure."""
    began = time.perf_counter()
    shell.run(argument if argument.rstrip().endswith(";") else argument + ";")
    shell.write(f"({(time.perf_counter() - began) * 1000:.1f} ms)")
