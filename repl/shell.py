"""Reads, executes and prints.  It knows no terminal: tests give it a list of lines and collect what it prints."""

from __future__ import annotations

import difflib
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import IO, Any, TextIO

from ..errors import PenstockError, StatementError
from ..grammar.complete import CompletionNames
from ..grammar.lexer import is_complete, with_places
from ..grammar.script_files import continued
from . import render
from .charts import chart
from .cli_commands import run_cli_command
from .commands import COMMANDS, Quit
from .formats import Writer, standard_binary
from .jobs import Job, Jobs
from .pieces import Piece, cut, is_cli_command
from .working import working

Write = Callable[[str], None]
_FOR_PEOPLE = ("table", "vertical", "chart")
FILE_WIDTH = 1_000_000
"""The width of a table in a file, where nothing needs folding."""
_READS = re.compile(r"(?i)\s*(SELECT|WITH)\b")
_EMITS = re.compile(r"(?i)\bEMIT\b")
_INSERT = re.compile(r"(?i)\bINSERT\s+INTO\s+(`[^`]+`|\"[^\"]+\"|[\w$]+)")
_CATCH_UP_S = 2.0
_OFFSET_RESET = "auto.offset.reset"
"""Told to a person only: what a query does follows its typed options."""


def _inserts(script: str, names: Iterable[str], made_of: Sequence[tuple[str, Iterable[str]]]) -> bool:
    """Whether a script inserts into one of these streams, or into what queries make them of."""
    found = {_name(target) for target in _INSERT.findall(script)}
    wanted = set(names)
    while more := {s for sink, sources in made_of if sink in wanted for s in sources} - wanted:
        wanted |= more
    return bool(found & wanted)


def _joined(pieces: Sequence[Piece], first: int, later: str) -> str:
    return "\n".join([*(piece.text for piece in pieces[first:]), later])


def _name(written: str) -> str:
    return written[1:-1] if written[0] in '`"' else written.upper()


class Shell:
    """One session over an open database.

    Args:
        database: what `penstock.connect` returned, or a function that returns it, called when it is first needed.
        write: prints one text, with its line end.
        width: of the terminal, in columns.
        print_error: prints an error.
        page: shows a long text in a pager.
        height: of the terminal, in lines; longer results are paged.
        terminal: the terminal on which push queries are shown live; None if there is none.
    """

    def __init__(
        self,
        database: Any,
        write: Write,
        width: Callable[[], int] = lambda: 120,
        *,
        print_error: Write | None = None,
        page: Write | None = None,
        height: Callable[[], int] = lambda: 40,
        terminal: TextIO | None = None,
    ) -> None:
        self._database = database
        self._printed = write
        self._print_error = print_error
        self._page = page
        self._terminal_width = width
        self._height = height
        self._terminal = terminal
        self._watched = terminal or sys.stderr
        """Where to say that something takes long, if it is a terminal."""
        self.jobs = Jobs()
        """Push queries behind the prompt."""
        self.column_width: int | None = None
        self.wraps = True
        self.timing = False
        self.format = "table"
        self.history: Callable[[], list[str]] = list
        """What was typed, oldest first: none, without a prompt."""
        self.output: IO[str] | None = None
        self.spool: IO[str] | None = None
        self.last = ""
        self._written: Any = None
        """The token of the last INSERT, until somebody reads."""
        self.patience_s = 0.0
        """How long a SELECT waits for queries that were just made or opened, in seconds."""
        self.new_queries = False
        """Whether there are such queries."""
        self._later: Callable[[], str] = str
        """Gives what a script does after the present statement; long, so it is put together where it is asked for."""

    def write(self, text: str) -> None:
        """Print a text where results go."""
        if self.output is not None:
            self._to_file("output", text)
            return
        if self.format in _FOR_PEOPLE:
            text = render.harmless(text)
        self._printed(text)
        self._to_file("spool", text)

    def _to_file(self, which: str, text: str) -> None:
        """Write a text to the file of ``\\o`` or SPOOL, if there is one.

        Raises:
            StatementError: it cannot be written; it is closed.
        """
        file: IO[str] | None = getattr(self, which)
        if file is None:
            return
        try:
            file.write(text + "\n")
            file.flush()
        except (OSError, ValueError) as error:
            setattr(self, which, None)
            with suppress(OSError, ValueError):  # (it tries again what has just failed)
                file.close()
            raise StatementError(
                f"{file.name} cannot be written: {getattr(error, 'strerror', None) or error}",
                suggestion="It is closed; results go to the screen.",
            ) from error

    def print_error(self, text: str) -> None:
        """Print an error where the person sees it."""
        text = render.harmless(text)
        (self._print_error or self._printed)(text)
        with suppress(StatementError):  # an error is told already, and the next result tells of the file
            self._to_file("spool", text)

    def note(self, text: str) -> None:
        """Print a message that is not a result; programs read results only."""
        if self.format in _FOR_PEOPLE:
            self.write(text)
        else:
            self.print_error(text)

    def width(self) -> int:
        """The width that a table may have; unlimited in a file."""
        return FILE_WIDTH if self.output is not None or not self.wraps else self._terminal_width()

    def clear(self) -> None:
        """Clear the screen of a terminal."""
        if self._page is not None:
            self._printed("\x1b[H\x1b[2J")

    @property
    def database(self) -> Any:
        """The open database.  Raises: what opening it raised."""
        if callable(self._database):
            self._database = self._database()
        return self._database

    def is_complete(self, text: str) -> bool:
        """Whether ENTER should run the text: a command, an empty text, or statements that end with ``;``."""
        stripped = text.strip()
        if stripped.startswith("\\"):
            return not stripped.endswith("\\") or stripped == "\\"
        return is_cli_command(stripped) or is_complete(continued(text).strip())

    def run(self, text: str, path: str | None = None, *, commands: bool = True, later: str = "") -> bool:
        """Run commands and statements and print their results.  The first failure ends it.

        Args:
            path: the file of the text, for errors.
            commands: the text may contain commands of the shell.
            later: what will be run after this text.

        Returns:
            whether all succeeded.

        Raises:
            Quit: the person wants to leave.
        """
        text = continued(text)
        try:
            pieces = cut(text) if commands else [Piece("statement", part) for part in with_places(text)]
            for number, piece in enumerate(pieces):
                self._later = partial(_joined, pieces, number + 1, later)
                began_s = time.perf_counter()
                if not self._one(piece, path):
                    return False
                if self.timing and piece.kind == "statement":
                    self.note(f"({(time.perf_counter() - began_s) * 1000:.1f} ms)")
        except PenstockError as problem:
            self.print_error(render.error(problem))
            return False
        return True

    def _one(self, piece: Piece, path: str | None) -> bool:
        line = len(piece.text) - len(piece.text.lstrip("\n")) + 1
        place = "" if path is None else f"{path}, line {line}: "
        if piece.kind == "statement":
            self.last = piece.text.strip()
            self._let_tables_catch_up(self.last)
            try:
                steps = iter(self.database.steps(piece.text, path=path))
                while True:
                    with working(self._watched):
                        answer = next(steps, None)
                    if answer is None:
                        break
                    self._written = getattr(answer, "details", {}).get("token") or self._written
                    self.show(answer)
            except StatementError:
                raise
            except PenstockError as problem:
                self.print_error(place + render.error(problem))
                return False
            return True
        try:
            return self._cli(piece.text.strip()) if piece.kind == "cli" else self._command(piece.text.strip())
        except StatementError as problem:
            if problem.path is not None or path is None:
                raise
            self.print_error(place + render.error(problem))
            return False

    def _let_tables_catch_up(self, statement: str) -> None:
        """Who types INSERT and then SELECT expects to see the row, and who opens a database or makes a query what is in the
        log: wait for the tables to take it in, but not for long.
        """
        if not _READS.match(statement) or _EMITS.search(statement):
            return
        if self.new_queries and self.patience_s:
            self.new_queries = False
            with working(self._watched):
                done = self.database.wait_idle(self.patience_s)
            if not done and self._terminal is None:  # (a person sees it below the prompt)
                behind = sum(query.progress().lag for query in self.database.queries.values())
                self.print_error(f"the queries are {behind:,} records behind, and so is what follows")
        if self._written is None:
            return
        token, self._written = self._written, None
        with suppress(PenstockError):  # a query that is behind, paused or failed is no reason not to answer
            self.database.wait(token, (), _CATCH_UP_S)

    def show(self, answer: Any) -> None:
        """Print one result; the rows of a push query as they come, until Ctrl-C or LIMIT."""
        if hasattr(answer, "lines"):
            self._print(answer)
            return
        subscription = getattr(answer, "subscription", None)
        if subscription is None:
            self._show_rows(answer)
            if type(answer).__name__ == "Message" and answer.kind.endswith("as select"):
                self.new_queries = True
                self._say_what_is_passed_over(answer)
            return
        if self.format in ("table", "chart") and self._terminal is not None and self.output is None:
            job = self.jobs.new(answer, self.last)
            job.starts_late = self._starts_late()
            self.foreground(job)
            return
        if self.format not in _FOR_PEOPLE:
            try:
                self._writer().push(subscription)
            except KeyboardInterrupt:
                pass
            finally:
                subscription.close()
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

    def foreground(self, job: Job) -> None:
        """Show a push query until it ends or goes to the background.  Raises: PenstockError, if it failed."""
        from .live import watch

        assert self._terminal is not None
        if watch(job, self._terminal, "chart" if self.format == "chart" else "table"):
            self.jobs.keep(job)

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees the output."""
        return self._terminal is not None

    def _writer(self) -> Writer:
        binary = standard_binary() if self.output is None else None
        return Writer(self.format, self.write, self.print_error, binary)

    def _show_rows(self, answer: Any) -> None:
        if getattr(answer, "rows_left_out", 0):
            self.note(answer.final_message)
        if self.format not in _FOR_PEOPLE:
            self._writer().show(answer)
            return
        if self.format == "chart" and type(answer).__name__ == "Table":
            self.write(chart(answer.columns, list(answer), min(self.width(), 200)))
            return
        paged = self._page is not None and self.output is None
        text = render.result(answer, self.width(), upright=self.format == "vertical", cell_width=self.column_width)
        if paged and self._page is not None and text.count("\n") >= self._height():
            text = render.harmless(text)
            self._page(text)
            self._printed(text.rsplit("\n", 1)[-1])
            self._to_file("spool", text)
            return
        self.write(text)

    def _starts_late(self) -> bool:
        """Whether new queries read only what comes after them."""
        return bool(self.database.settings[_OFFSET_RESET] == "latest")

    def _say_what_is_passed_over(self, answer: Any) -> None:
        """Tell a person that a new query will not read the records that are already there, which surprises everybody once.

        Say nothing if the rest of the script inserts records: then it is what the script wants.
        """
        queries = self.database.catalog.queries
        query = queries.get(answer.details.get("query_id"))
        if query is None or not self._starts_late() or "replaced" in answer.text:
            return
        made_of = [(q.sink, q.sources) for q in queries.values()]
        describe = getattr(self.database, "describe_topic", None)
        if describe is None or _inserts(self._later(), query.sources, made_of):
            return
        count = 0
        for name in query.sources:
            source = self.database.catalog.sources.get(name)
            if source is not None and source.kind == "STREAM":
                count += sum(part.end_offset - part.start_offset for part in describe(source.topic).partitions)
        if not count:
            return
        records = "record" if count == 1 else "records"
        if self._terminal is not None:
            self.note(
                f"It reads only what comes from now on, not the {count:,} {records} already there.\n"
                "To have them read: DROP it, SET 'auto.offset.reset' = 'earliest'; and create it again."
            )
        else:
            self.print_error(
                f"{query.sink} reads only what comes from now on, not the {count:,} {records} already there: "
                f"to have {'it' if count == 1 else 'them'} read, SET 'auto.offset.reset' = 'earliest'; before the statement."
            )

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

    def names(self) -> CompletionNames:
        """The names of the catalog for completion."""
        catalog = self.database.catalog
        sources = {name: [c.name for c in source.schema] + ["ROWTIME"] for name, source in catalog.sources.items()}
        return CompletionNames(
            sources,
            self.database.function_names(),
            list(catalog.queries),
            self.database.topic_names(),
            list(catalog.types),
            {name: self.database.settings.choices(name) for name in self.database.settings},
        )

    def _command(self, text: str) -> bool:
        name, argument = [*text.split(None, 1), ""][:2]
        command = COMMANDS.get(name)
        if command is None:
            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else "\\help lists them"
            self.print_error(f"there is no command {name}; {hint}")
            return False
        return command.run(self, argument.strip()) is not False

    def _cli(self, text: str) -> bool:
        run_cli_command(self, text)
        return True

    def close(self) -> None:
        """Close output files, and end background queries."""
        self.jobs.close()
        for file in (self.output, self.spool):
            if file is not None:
                with suppress(OSError):  # whatever could not be written was told
                    file.close()
        self.output = self.spool = None


__all__ = ["Quit", "Shell"]
