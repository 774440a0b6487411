"""The shell's backslash commands, each registered by a decorator."""

from __future__ import annotations

import re
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Protocol

from ..errors import StatementError
from ..grammar.script_files import read_script
from ..paths import named_path
from .formats import FORMATS
from .jobs import Job, Jobs
from .working import working


class Console(Protocol):
    """What commands use of the shell."""

    @property
    def database(self) -> Any:
        """The database in which statements are executed."""
        ...

    def write(self, text: str) -> None:
        """Print a text where results go."""

    def note(self, text: str) -> None:
        """Print a message that is not a result."""

    def run(self, text: str, path: str | None = None, *, commands: bool = True) -> bool:
        """Execute statements (of a file) and show their results.  Returns: whether all succeeded."""
        ...

    def show(self, answer: Any) -> None:
        """Show a result."""

    def foreground(self, job: Job) -> None:
        """Show a push query until it ends or goes to the background."""

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees the output."""
        ...

    def width(self) -> int:
        """The width that a table may have, in columns."""
        ...

    jobs: Jobs
    """The push queries in the background."""
    output: IO[str] | None
    """The file that results go to instead of the screen."""
    timing: bool
    """Whether each statement is followed by how long it took."""
    format: str
    """How results are shown: one of `FORMATS`."""
    last: str
    """The last statement that was run."""


class Quit(Exception):
    """Raised when the person wants to leave."""


@dataclass(frozen=True, slots=True)
class Command:
    """``run(shell, argument)``; ``usage`` and ``meaning`` are what \\help shows."""

    usage: str
    meaning: str
    run: Callable[[Console, str], bool | None]
    """Runs the command.  False: it failed and has printed why."""


COMMANDS: dict[str, Command] = {}
_Run = Callable[["Console", str], "bool | None"]


def command(*names: str, usage: str, meaning: str) -> Callable[[_Run], _Run]:
    """Register a command under one or more names."""

    def register(function: _Run) -> _Run:
        for name in names:
            COMMANDS[name] = Command(usage, meaning, function)
        return function

    return register


@command("\\help", "\\?", usage="\\help", meaning="this list")
def help_(shell: Console, argument: str) -> None:
    """List the commands, and how statements are ended."""
    widest = max(len(c.usage) for c in COMMANDS.values()) + 4
    lines = []
    for usage, meaning in sorted({(c.usage, c.meaning) for c in COMMANDS.values()}):
        first, *others = textwrap.wrap(meaning, max(shell.width() - widest - 1, 24)) or [""]
        lines += [f"  {usage}".ljust(widest) + first, *(" " * widest + other for other in others)]
    keys = "Ctrl-C empties the line or ends a push query, Ctrl-D leaves, Ctrl-R searches what was typed"
    begin = textwrap.wrap(f"Statements end with ';'. TAB completes, {keys}.", max(shell.width() - 1, 24))
    shell.note("\n".join([*begin, *lines, "DESCRIBE FUNCTION name; and SHOW FUNCTIONS; explain functions."]))


@command("\\quit", "\\q", "\\exit", usage="\\quit", meaning="leave")
def quit_(shell: Console, argument: str) -> None:
    """Leave the shell."""
    raise Quit


@command("\\streams", "\\ds", usage="\\streams, \\ds", meaning="list the streams")
def streams(shell: Console, argument: str) -> bool:
    """SHOW STREAMS."""
    return shell.run("SHOW STREAMS;")


@command("\\tables", "\\dt", usage="\\tables, \\dt", meaning="list the tables")
def tables(shell: Console, argument: str) -> bool:
    """SHOW TABLES."""
    return shell.run("SHOW TABLES;")


@command("\\queries", "\\dq", usage="\\queries, \\dq", meaning="list the persistent queries")
def queries(shell: Console, argument: str) -> bool:
    """SHOW QUERIES."""
    return shell.run("SHOW QUERIES;")


@command("\\d", usage="\\d [NAME]", meaning="list the streams and tables, or describe one")
def describe(shell: Console, argument: str) -> bool:
    """DESCRIBE name, or list all sources."""
    if argument:
        return shell.run(f"DESCRIBE {argument.rstrip().removesuffix(';')};")
    streams, tables = shell.database.execute("SHOW STREAMS; SHOW TABLES;")
    rows = tuple((kind, *row) for kind, listed in (("stream", streams), ("table", tables)) for row in listed.rows)
    shell.show(type(streams)(streams.kind, ("Kind", *streams.columns), rows, streams.statement))
    if all(row[1] in _ENGINES for row in rows):
        shell.note("None of these is yours yet: CREATE STREAM orders (id INT KEY, euros DOUBLE); makes a stream.")
    return True


@command("\\duckdb", usage="\\duckdb SELECT ..", meaning="ask the same tables in DuckDB's own SQL")
def duckdb(shell: Console, argument: str) -> None:
    """One SELECT of DuckDB's."""
    if not argument:
        raise StatementError("\\duckdb takes a SELECT of DuckDB's SQL")
    with working(sys.stderr):
        rows = shell.database.duckdb(argument.rstrip().removesuffix(";"))
    shell.show(rows)


@command("\\i", usage="\\i FILE", meaning="run a script: statements only, no commands of the prompt")
def include(shell: Console, argument: str) -> bool:
    """Run the statements of a file."""
    if not argument:
        raise StatementError("\\i takes the name of a file of statements")
    path = named_path(argument.strip("'"))
    return shell.run(read_script(path), str(path), commands=False)


@command("\\backup", usage="\\backup DIR", meaning="copy the database to a new directory")
def backup(shell: Console, argument: str) -> None:
    """Back up the database while its queries go on."""
    if not argument:
        raise StatementError("\\backup takes the name of a new directory")
    with working(sys.stderr):
        made = shell.database.backup(named_path(argument))
    shell.note(f"{argument}: all commits up to {made.epoch}, {made.files} files, {made.bytes:,} bytes")


@command("\\time", usage="\\time STATEMENT", meaning="run a statement and say how long it took")
def timed(shell: Console, argument: str) -> bool:
    """Execute statements and print how long they took."""
    began = time.perf_counter()
    done = shell.run(_ended(argument))
    shell.note(f"({(time.perf_counter() - began) * 1000:.1f} ms)")
    return done


@command("\\timing", usage="\\timing [on|off]", meaning="say after each statement how long it took")
def timing(shell: Console, argument: str) -> None:
    """Switch the printing of durations on or off."""
    shell.timing = _switched(argument, shell.timing)
    shell.note(f"timing is {'on' if shell.timing else 'off'}")


@command("\\x", usage="\\x [on|off|SELECT ..]", meaning="show rows as blocks of lines: always, or of one statement")
def upright(shell: Console, argument: str) -> bool:
    """Switch between tables and blocks of lines, or show one statement's result as blocks."""
    before = shell.format
    if argument and argument.lower() not in _SWITCH:
        shell.format = "vertical"
        try:
            return shell.run(_ended(argument))
        finally:
            shell.format = before
    shell.format = "vertical" if _switched(argument, before == "vertical") else "table"
    shell.note(f"rows are shown as {'blocks of lines' if shell.format == 'vertical' else 'a table'}")
    return True


@command("\\format", usage="\\format NAME", meaning="show results as " + ", ".join(FORMATS))
def format_(shell: Console, argument: str) -> None:
    """Choose the format of results."""
    name = argument.lower()
    if name and name not in FORMATS:
        raise StatementError(f"there is no format {argument}", suggestion=f"There are {', '.join(FORMATS)}.")
    shell.format = name or shell.format
    shell.note(f"results are shown as {shell.format}")


@command("\\o", usage="\\o [FILE]", meaning="write results to a new file; without a name: to the screen again")
def output(shell: Console, argument: str) -> None:
    """Send results to a file, or back to the screen."""
    if shell.output is not None:
        shell.output.close()
        shell.output = None
    if argument:
        shell.output = open_output(argument.strip("'"))


@command("\\explain", usage="\\explain STATEMENT", meaning="how a statement or a query would run")
def explain(shell: Console, argument: str) -> bool:
    """EXPLAIN."""
    if not argument:
        raise StatementError("\\explain takes a statement, or the id of a query")
    return shell.run(f"EXPLAIN {_ended(argument)}")


@command(
    "\\jobs", usage="\\jobs", meaning="the queries: persistent ones with their progress, push queries behind the prompt"
)
def jobs(shell: Console, argument: str) -> None:
    """List the push queries, one per line."""
    from .progress import COLUMNS, rows_of, sample
    from .render import table

    rate = COLUMNS.index("ROWS/S")
    rows = [row[:rate] for row in rows_of(sample(shell.database), None)]
    shell.note(table(COLUMNS[:rate], rows, shell.width()) if rows else "(no persistent queries)")
    own = [(job.number, job.state, job.rows.read, len(job.rows), " ".join(job.statement.split())) for job in shell.jobs]
    if own:
        shell.note("\n" + table(("JOB", "STATE", "READ", "ROWS", "PUSH QUERY"), own, shell.width()))


@command("\\bg", usage="\\bg SELECT ..", meaning="run a push query behind the prompt")
def background(shell: Console, argument: str) -> None:
    """Start a push query in the background."""
    if not argument:
        raise StatementError("\\bg takes a push query", suggestion="Write \\bg SELECT .. EMIT CHANGES;")
    for answer in shell.database.execute(_ended(argument)):
        if not hasattr(answer, "subscription"):
            shell.show(answer)
            continue
        job = shell.jobs.new(answer, argument)
        shell.jobs.keep(job)
        shell.note(f"[{job.number}] goes on behind the prompt: \\fg {job.number} shows it, \\kill {job.number} ends it")


@command("\\fg", usage="\\fg [JOB]", meaning="show a push query that is behind the prompt: the latest one, or this one")
def foreground(shell: Console, argument: str) -> None:
    """Bring a push query to the foreground; without a terminal, print its rows."""
    job = shell.jobs.take(argument)
    if job.error is not None:
        error, job.error = job.error, None
        job.close()
        raise error
    if shell.is_terminal:
        shell.foreground(job)
        return
    from .render import table

    shell.note(table(job.rows.columns, [job.rows.readable(row) for row in job.rows.latest()], shell.width()))
    shell.jobs.keep(job)


@command("\\kill", usage="\\kill JOB", meaning="end a push query that is behind the prompt")
def kill(shell: Console, argument: str) -> None:
    """End a push query."""
    job = shell.jobs.take(argument)
    job.close()
    shell.note(f"[{job.number}] ended after {job.rows.read:,} {'row' if job.rows.read == 1 else 'rows'}")


@command("\\chart", usage="\\chart SELECT ..", meaning="draw the numbers of a query; a push query's chart changes in place")
def chart(shell: Console, argument: str) -> bool:
    """One statement's result as a chart."""
    if not argument:
        raise StatementError("\\chart takes a SELECT", suggestion="\\format chart; draws all results.")
    before, shell.format = shell.format, "chart"
    try:
        return shell.run(_ended(argument))
    finally:
        shell.format = before


@command("\\graph", usage="\\graph [FILE.svg]", meaning="what flows into what, in words, or as a picture in a new file")
def graph(shell: Console, argument: str) -> None:
    """Show the flow of all queries."""
    from .graph import write_picture

    flow = shell.database.flow()
    if argument:
        shell.note(write_picture(flow, argument.strip("'")))
    else:
        shell.write(flow.text())


@command(
    "\\watch",
    usage="\\watch SECONDS [STATEMENT]",
    meaning="run the last statement (or this one) again and again, until Ctrl-C",
)
def watch(shell: Console, argument: str) -> bool:
    """Run a statement repeatedly.  Only statements that return rows at once are allowed, so that no INSERT is repeated."""
    seconds, _, statement = argument.partition(" ")
    try:
        pause_s = float(seconds or "2")
    except ValueError:
        pause_s = 0.0
    if not 0.1 <= pause_s <= 86_400:
        raise StatementError(
            "\\watch takes a number of seconds (0.1 or more), and a statement if it is not to repeat the last one"
        )
    statement = _ended(statement.strip() or shell.last)
    words = statement.split(None, 1)
    if not words or words[0].upper() not in _WATCHED:
        raise StatementError(
            "\\watch repeats SELECT, SHOW, DESCRIBE, EXPLAIN and WHY, and the last statement was none of these"
        )
    try:
        while shell.run(statement, commands=False):
            time.sleep(pause_s)
    except KeyboardInterrupt:
        shell.note("")
        return True
    return False


@command(
    "\\copy", usage="\\copy SELECT .. TO FILE", meaning="write rows to a .csv, .parquet, .jsonl, .json, .md or .arrow file"
)
def copy(shell: Console, argument: str) -> None:
    """Write the rows of a SELECT, or of a whole source, to a new file."""
    from .exporting import write_rows

    statement, target = _copied(argument)
    path = named_path(target)
    with working(sys.stderr) as tell_progress:
        rows = shell.database.sql(_ended(statement))
        write_rows(rows, path, tell_progress)
    shell.note(f"{path}: {len(rows):,} {'row' if len(rows) == 1 else 'rows'}")


def _copied(argument: str) -> tuple[str, str]:
    found = re.fullmatch(r"(?is)(.+?)\s+TO\s+('[^']+'|\S+)\s*;?", argument.strip())
    if found is None:
        raise StatementError(
            "\\copy takes a SELECT or a source, and a file", suggestion="Write \\copy SELECT .. TO rows.csv"
        )
    statement = found.group(1).strip()
    if re.fullmatch(r"[\w@]+|`[^`]+`", statement):
        statement = f"SELECT * FROM {statement}"
    return statement, found.group(2).strip("'")


_ENGINES = {"KSQL_PROCESSING_LOG"}
"""Sources that are there in every database."""
_WATCHED = {"SELECT", "SHOW", "LIST", "DESCRIBE", "EXPLAIN", "WHY", "WITH", "VALUES"}
_SWITCH = {"on": True, "off": False}


def _switched(argument: str, before: bool) -> bool:
    if not argument:
        return not before
    if argument.lower() not in _SWITCH:
        raise StatementError(f"write on or off, not {argument}")
    return _SWITCH[argument.lower()]


def _ended(statement: str) -> str:
    stripped = statement.rstrip()
    return stripped if stripped.endswith(";") else stripped + ";"


def open_output(name: str) -> IO[str]:
    """Open a new file for results.

    Raises:
        StatementError: it exists, or cannot be written.
        StorageError: no path has this name.
    """
    path = named_path(name)
    try:
        return open(path, "x", encoding="utf-8")
    except FileExistsError:
        raise StatementError(f"{path} is there already", suggestion="Name a new file.") from None
    except (OSError, ValueError) as error:
        raise StatementError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
