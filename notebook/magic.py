"""The IPython extension with ``%ksql`` and ``%%ksql``.

They run statements in a database and show each result.  A table is shown as HTML.  A push query is shown as a table that
updates in place until it reaches its LIMIT, its time is up or the cell is interrupted.

    %load_ext penstock
    %ksql --open shop.db
    %%ksql --rows 50 --seconds 10
    SELECT * FROM spend EMIT CHANGES;
"""

from __future__ import annotations

import argparse
import shlex
import time
from contextlib import suppress
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display

from ..engine.database import Database, connect, is_closed
from ..engine.results import Description, Listing, Message, PrintResult, PushResult, Result, Table
from ..errors import PenstockError
from .live import LiveTable
from .show import Chart, MonospacedText, shown

SECONDS_DEFAULT = 60.0
"""How long a cell shows a push query by default, in seconds."""
_CATCH_UP_S = 2.0
"""How long, in seconds, a statement that wrote rows waits at most until the tables include them."""


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(f"{message}\n{self.format_usage()}")


def _arguments() -> argparse.ArgumentParser:
    parser = _Arguments(prog="%%ksql", add_help=False, description="Run statements of Penstock's SQL.")
    parser.add_argument(
        "--open",
        metavar="DIR",
        help="use this database from now on (else: that of the notebook's one variable, or one in memory)",
    )
    parser.add_argument("--db", metavar="NAME", help="use the database that this variable holds from now on")
    parser.add_argument("--close", action="store_true", help="close the database that --open has opened")
    parser.add_argument("--into", metavar="NAME", help="put the last result into this variable, too")
    parser.add_argument("--seconds", type=float, default=SECONDS_DEFAULT, help="show push queries for so long")
    parser.add_argument("--chart", action="store_true", help="draw the numbers of results, live ones too")
    parser.add_argument("--flow", action="store_true", help="show what flows into what, after the statements")
    parser.add_argument("--rows", type=int, default=20, help="rows to show of a live table")
    parser.add_argument("statement", nargs=argparse.REMAINDER)
    return parser


@magics_class
class KsqlMagics(Magics):  # type: ignore[misc]
    """The magics ``%ksql`` (one line) and ``%%ksql`` (a cell), and the database that they use."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.names: dict[str, Any] = shell.user_ns
        self.database: Database | None = None
        self._own = False
        self._told: Database | None = None

    @line_cell_magic  # type: ignore[misc]
    def ksql(self, line: str, cell: str | None = None) -> Any:
        """Run statements and show their results; the last result is the value of the cell."""
        try:
            options, text = self._parsed(line, cell)
            self._choose(options)
            found = None
            if text.strip():
                found = self._run(text if text.rstrip().endswith(";") else text + "\n;", options)
            if options.flow:
                if found is not None:
                    display(found)
                return self._opened().flow()
            return found
        except PenstockError as error:
            display(MonospacedText(str(error), error=True))
            raise UsageError(f"{type(error).__name__}: {str(error).splitlines()[0]}") from None

    def _parsed(self, line: str, cell: str | None) -> tuple[argparse.Namespace, str]:
        words = line.split()
        if cell is None and words and not words[0].startswith("--"):
            return _arguments().parse_args([]), line
        given, rest = shlex.split(line), ""
        options = _arguments().parse_args(given)
        if options.statement:
            first = line.find(options.statement[0])
            rest = line[first:]
        return options, rest if cell is None else f"{rest}\n{cell}"

    def _choose(self, options: argparse.Namespace) -> None:
        if options.close:
            self.close()
        if options.open is not None:
            self.close()
            self.database, self._own = connect(options.open), True
        if options.db is not None:
            found = self.names.get(options.db)
            if not isinstance(found, Database):
                raise UsageError(f"{options.db} is not a penstock.Database")
            self.close()
            self.database, self._own = found, False

    def _opened(self) -> Database:
        """Return the database to use: the one chosen with ``--open`` or ``--db``, or the only open one in a variable of the
        notebook.  If there is none, open a new one in memory.

        Raises:
            UsageError: variables of the notebook hold several open databases.
        """
        if self.database is None:
            theirs = {id(found): name for name, found in self._databases()}
            if len(theirs) > 1:
                names = " or ".join(f"%ksql --db {name}" for name in sorted(theirs.values()))
                raise UsageError(f"there are several databases: choose one with {names}")
            for name, found in self._databases():  # asked again next time: the variable may hold another one then
                if self._told is not found:
                    display(MonospacedText(f"statements run in the database of the variable {name}"))
                    self._told = found
                return found
            self.database, self._own = connect(), True
        return self.database

    def _databases(self) -> list[tuple[str, Database]]:
        """The open databases in variables of the notebook, each with its variable's name."""
        found = ((name, value) for name, value in list(self.names.items()) if isinstance(value, Database))
        return [(name, value) for name, value in found if not name.startswith("_") and not is_closed(value)]

    def _run(self, text: str, options: argparse.Namespace) -> Any:
        last: Any = None
        for result in self._opened().steps(text):
            if last is not None:
                display(shown(last))
            last = self._read(result, options)
        if options.into:
            self.names[options.into] = last
        if options.chart and isinstance(last, Table):
            return Chart(last)
        return None if isinstance(last, LiveTable) else shown(last)

    def _read(self, result: Result, options: argparse.Namespace) -> Any:
        match result:
            case PushResult():
                live = LiveTable(result, rows_max=options.rows, charted=options.chart)
                live.run(options.seconds)
                return live
            case PrintResult():
                deadline = time.monotonic() + options.seconds
                lines: list[str] = []
                try:
                    while (left := deadline - time.monotonic()) > 0 and (record := result.poll(min(left, 0.5))) is not None:
                        lines.append(str(record))
                    return MonospacedText("\n".join(lines))
                except KeyboardInterrupt:
                    return MonospacedText("\n".join(lines))
                finally:
                    result.close()
        assert isinstance(result, Message | Listing | Description | Table)
        if isinstance(result, Message):
            self._let_tables_catch_up(result)
        return result

    def _let_tables_catch_up(self, done: Message) -> None:
        """Wait, for `_CATCH_UP_S` at most, until the tables include what a statement wrote.

        A user who runs INSERT or creates a query, and then SELECT in this cell or the next one, expects to see the rows.
        """
        token = done.details.get("token")
        with suppress(PenstockError):  # a query that is behind, paused or failed is no reason not to answer
            if token is not None:
                self._opened().wait(token, (), _CATCH_UP_S)
            elif done.kind.endswith("as select"):
                self._opened().wait_idle(_CATCH_UP_S)

    def close(self) -> None:
        """Close the database if this extension opened it."""
        if self.database is not None and self._own:
            self.database.close()
        self.database, self._own = None, False


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics.  IPython calls this for ``%load_ext penstock``."""
    ipython.register_magics(KsqlMagics(ipython))


def unload_ipython_extension(ipython: Any) -> None:
    """Close the extension's database.  IPython calls this for ``%unload_ext penstock``."""
    magics = ipython.magics_manager.registry.get("KsqlMagics")
    if magics is not None:
        magics.close()
