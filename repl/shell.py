"""Read, execute, print.  It knows no terminal: a list of lines can drive it, and a list can collect what it prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import PenstockError
from ..grammar.complete import Names
from ..grammar.lexer import is_complete, with_places
from . import render
from .commands import COMMANDS, Quit

Write = Callable[[str], None]


class Shell:
    """One session over an open database.

    Args:
        database: what `penstock.connect` gave, or a function that gives it (called when it is first needed).
        write: prints one piece of text, ended by a line end.
        width: columns of the terminal.
    """

    def __init__(self, database: Any, write: Write, width: Callable[[], int] = lambda: 120) -> None:
        self._database = database
        self.write = write
        self.width = width

    @property
    def database(self) -> Any:
        """The open database.  Raises: what opening it raised."""
        if callable(self._database):
            self._database = self._database()
        return self._database

    def is_complete(self, text: str) -> bool:
        """Whether ENTER should run the text: a backslash command, nothing, or statements ended by ``;``."""
        stripped = text.strip()
        return stripped.startswith("\\") or is_complete(stripped)

    def run(self, text: str, path: str | None = None) -> bool:
        """Run commands or statements and print what comes of them.

        Args:
            path: the file that the text is from: errors name it.

        Returns:
            whether all went well.

        Raises:
            Quit: the person wants to leave.
        """
        stripped = text.strip()
        if not stripped:
            return True
        try:
            if stripped.startswith("\\"):
                self._command(stripped)
                return True
            for statement in with_places(text):
                for outcome in self.database.execute(statement, path=path):
                    self.show(outcome)
        except PenstockError as problem:
            self.write(render.error(problem))
            return False
        return True

    def show(self, outcome: Any) -> None:
        """Print one result; the rows of a push query as they come, until Ctrl-C or its LIMIT."""
        if hasattr(outcome, "lines"):
            self._print(outcome)
            return
        subscription = getattr(outcome, "subscription", None)
        if subscription is None:
            self.write(render.result(outcome, self.width()))
            return
        count = 0
        try:
            self.write("(rows as they come; Ctrl-C ends the query)")
            for row in subscription:
                self.write(render.push_line(subscription.columns, row.values, row.tombstone, row.missed))
                count += 1
        except KeyboardInterrupt:
            self.write("")  # the terminal has shown ^C
        finally:
            subscription.close()
        ended = "limit reached, " if subscription.limit_reached else ""
        self.write(f"({ended}{count} {'row' if count == 1 else 'rows'})")

    def _print(self, printed: Any) -> None:
        """The records of PRINT as they come, until Ctrl-C or its LIMIT."""
        if not printed.tail.limited:
            self.write("(records as they come; Ctrl-C ends)")
        count = 0
        try:
            for line in printed.lines():
                self.write(line)
                count += line.startswith("rowtime: ")
        except KeyboardInterrupt:
            pass
        finally:
            printed.close()
        ended = "limit reached, " if printed.tail.limit_reached else ""
        self.write(f"({ended}{count} {'record' if count == 1 else 'records'})")

    def names(self) -> Names:
        """The catalog as completion sees it."""
        catalog = self.database.catalog
        sources = {name: [c.name for c in source.schema] + ["ROWTIME"] for name, source in catalog.sources.items()}
        return Names(
            sources,
            self.database.function_names(),
            list(catalog.queries),
            self.database.topic_names(),
            list(catalog.types),
        )

    def _command(self, text: str) -> None:
        name, _, argument = text.partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            self.write(f"there is no command {name}; \\help lists them")
            return
        command.run(self, argument.strip())


__all__ = ["Quit", "Shell"]
