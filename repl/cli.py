"""The command line: ``penstock`` alone starts the prompt; ``penstock run``, ``serve`` and others are subcommands."""

from __future__ import annotations

import argparse
import errno
import gc
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..errors import PenstockError, StatementError
from . import log_tools
from .formats import FORMATS
from .groups import add_arguments as add_group_arguments
from .pairs import name_and_value
from .serve_arguments import add_commands as add_serve_commands
from .tools import TOOLS, add_tools, run_tool
from .topics import add_topic_commands, run_topic_command
from .user_functions import add_functions, load_functions

_FOR_PEOPLE = ("table", "vertical", "chart")
_COLLECT_AFTER = 50_000
"""How many new objects make Python look for cycles.  Its own 700 cost a tenth of the time until the prompt: loading modules
makes some 300,000 objects, and nearly all of them stay."""


class _SubCommands(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Sub-commands that take over the options which stand before them: ``penstock -d shop.db top``.

    argparse would forget such an option if the sub-command has one of the same name.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        assert isinstance(values, list)
        name, *arguments = values
        inner: argparse.ArgumentParser | None = self.choices.get(name)
        if inner is None:
            super().__call__(parser, namespace, values, option_string)  # says that there is none
            return
        before: list[str] = []
        for action in parser._actions:
            given = getattr(namespace, action.dest, action.default)
            if not action.option_strings or given == action.default:
                continue
            option = action.option_strings[-1]
            same = inner._option_string_actions.get(option)
            if same is None or same.dest != action.dest:
                inner.error(f"{option} means nothing before {name}: {inner.prog} --help shows what it takes")
            before += [f"{option}={value}" for value in (given if isinstance(given, list) else [given])]
        super().__call__(parser, namespace, [name, *before, *arguments], option_string)
        if left := getattr(namespace, argparse._UNRECOGNIZED_ARGS_ATTR, None):
            inner.error(f"unrecognized arguments: {' '.join(left)}")


class _Arguments(argparse.ArgumentParser):
    """Says what was probably meant by something that stands where a sub-command belongs."""

    def error(self, message: str) -> NoReturn:
        found = re.match(r"argument COMMAND: invalid choice: '(.+?)' \(choose from (.*)\)", message)
        if found is not None:
            known = re.findall(r"[a-z]+", found[2])
            message = f"there is no sub-command {found[1]}. {_meant(found[1], known)}"
        super().error(message)


def _meant(word: str, known: list[str]) -> str:
    import difflib  # (on the way to a usage error only)

    path = Path(word)
    near = difflib.get_close_matches(word, known, 1)
    if path.suffix == ".sql":
        return f"A script is run by: penstock -f {word}; penstock run {word} keeps its queries up."
    if path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow"):
        return f"At the prompt: CREATE STREAM name FROM '{word}';"
    if near and not path.exists():
        return f"Did you mean {near[0]}?"
    if path.is_dir() or path.suffix or len(path.parts) > 1:
        return f"A database is opened by: penstock -d {word}"
    return f"There are {', '.join(known)}."


def parser() -> argparse.ArgumentParser:
    """The arguments of every sub-command."""
    top = _Arguments(
        prog="penstock",
        description="Streaming SQL in one process: ksqlDB's dialect over a local log.",
        epilog="Without a sub-command: the REPL, or the statements given by -e or -f.",
    )
    top.add_argument("--version", action="version", version=f"penstock {__version__}")
    _common(top)
    _kafka_arguments(top)
    top.add_argument("--server", metavar="URL", help="work on the database of a server: http://[user:password@]host:8088")
    top.add_argument("-e", "-c", "--execute", metavar="SQL", action="append", help="run statements and leave (repeatable)")
    top.add_argument("-f", "--file", metavar="FILE", action="append", help="run a script and leave (repeatable; - is stdin)")
    top.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="how results are written (table); all but table and vertical put nothing but rows on standard output",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="sub-commands", action=_SubCommands)
    run = commands.add_parser(
        "run",
        help="submit a script's statements as persistent queries and keep them up",
        description="Submit a script's statements as persistent queries and keep them up, showing progress and lag, "
        "until Ctrl-C. Started again with the same data directory, it resumes where it stopped.",
    )
    run.add_argument("script", help="a file of statements")
    _common(run, "<script>.penstock beside the script")
    _kafka_arguments(run)
    run.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between progress lines (1)")
    run.add_argument("--until-idle", action="store_true", help="end as soon as all queries have taken in all there is")
    tests = commands.add_parser(
        "test",
        help="run tests written as SQL",
        description="Run the tests of SQL files: each begins with a line '--@test: its name', has an engine of its own, "
        "writes rows with INSERT and checks results with ASSERT.",
    )
    tests.add_argument("files", nargs="+", metavar="FILE", help="files of tests, or directories with *.sql files")
    tests.add_argument("-k", metavar="TEXT", dest="chosen", help="only tests whose name contains this")
    tests.add_argument("-q", "--quiet", action="store_true", help="show failures only")
    tests.add_argument(
        "--ksqldb-messages", action="store_true", help="compare messages also where a ksqlDB error class is expected"
    )
    _settings(tests)
    add_topic_commands(commands)
    log_tools.add_commands(commands)
    add_group_arguments(commands, _common)
    add_serve_commands(commands, _common)
    add_tools(commands, _settings)
    return top


def _common(arguments: argparse.ArgumentParser, otherwise: str = "in memory only") -> None:
    arguments.add_argument("-d", "--data", metavar="DIR", default=None, help=f"data directory (default: {otherwise})")
    _settings(arguments)


def _kafka_arguments(arguments: argparse.ArgumentParser) -> None:
    arguments.add_argument(
        "--kafka", metavar="HOST:PORT", dest="kafka_servers", help="the log is in Kafka, at these brokers"
    )
    arguments.add_argument("--service-id", metavar="NAME", help="with --kafka: processes with the same one share the work")
    arguments.add_argument(
        "--kafka-config", metavar="FILE", help="with --kafka: NAME=VALUE lines for Kafka's client (security.protocol, ..)"
    )


def _kafka(options: argparse.Namespace) -> dict[str, str]:
    """What the arguments about Kafka are as settings.  Raises: StatementError, for a file that cannot be read."""
    found: dict[str, str] = {}
    if getattr(options, "kafka_config", None) is not None:
        try:
            text = Path(options.kafka_config).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StatementError(f"{options.kafka_config} cannot be read: {error}") from error
        lines = [line.strip() for line in text.splitlines()]
        found.update(name_and_value("--set", line) for line in lines if line and not line.startswith("#"))
    if getattr(options, "kafka_servers", None) is not None:
        found["bootstrap.servers"] = options.kafka_servers
    if getattr(options, "service_id", None) is not None:
        found.update({"ksql.service.id": options.service_id})
    return found


def _settings(arguments: argparse.ArgumentParser) -> None:
    arguments.add_argument(
        "-s", "--set", metavar="NAME=VALUE", action="append", default=[], help="a property, as SET does (repeatable)"
    )
    add_functions(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: success.  1: a statement or the storage failed.  2: wrong usage.  130: interrupted.  141: the reader of the output
       is gone.
    """
    gc.set_threshold(_COLLECT_AFTER)
    options = parser().parse_args(arguments)
    _show_all(getattr(options, "format", "table"))
    try:
        settings = {**_kafka(options), **dict(name_and_value("--set", text) for text in options.set)}
        if options.command is not None:  # (the prompt's are loaded while it is read)
            load_functions(options)
        if options.command in TOOLS:
            return run_tool(options, settings, _print, _print_error, parser, _prompt_over)
        if options.command == "run":
            from .run import run_script

            return run_script(Path(options.script), options.data, settings, options.interval, options.until_idle)
        if options.command == "test":
            from .script_tests import run_tests

            return run_tests(
                options.files,
                settings,
                _print,
                chosen=options.chosen,
                foreign_messages=options.ksqldb_messages,
                quiet=options.quiet,
            )
        if options.command == "topic":
            return run_topic_command(options, _print)
        if options.command in ("log", "backup"):
            return log_tools.run(options, _print)
        if options.command == "group":
            from .groups import run_group

            return run_group(options, settings, _print)
        if options.command == "serve":
            from .serve import run_serve

            return run_serve(options, settings, _print)
        if options.command == "password":
            from .serve import run_password

            return run_password(options, _print)
        return _shell(options, settings)
    except PenstockError as problem:
        from . import render

        print(render.harmless(render.error(problem)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read what we print has seen enough, as `head` has
        _print_no_more()
        return 141
    except UnicodeEncodeError as problem:
        _print_error(
            f"error: the output is in {problem.encoding}, which lacks a character of the rows\n"
            "hint: PYTHONIOENCODING=utf-8 makes it UTF-8"
        )
        return 1
    except OSError as problem:
        if problem.errno not in _FULL:
            raise
        _print_no_more()
        _print_error(f"error: the output cannot be written: {problem.strerror}")
        return 1


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What is wrong if a file to which the output goes takes no more.  (The database's own files raise a StorageError.)"""


def _show_all(format_: str) -> None:
    """Have characters that the terminal's encoding lacks shown as escapes.  What programs read is not changed: it fails."""
    if format_ in _FOR_PEOPLE:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict" and stream.encoding.lower() != "utf-8":
                stream.reconfigure(errors="backslashreplace")


def _print_no_more() -> None:
    """Let what was not printed be dropped: flushing at the end would meet the same error again."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _shell(options: argparse.Namespace, settings: dict[str, str]) -> int:
    scripts = [(_read(name), name) for name in options.file or ()] + [(text, None) for text in options.execute or ()]
    if not scripts and sys.stdin is not None and sys.stdin.isatty():
        waits_s = _PERSON_WAITS_S if options.server is None else 0.0
        return _interact(lambda progress: _connect(options, settings, progress), options.format, waits_s)
    from .opening import opened
    from .shell import Quit, Shell

    texts = scripts or [(_standard_input(), "<stdin>")]
    create = not all(only_reads(text) for text, _ in texts)
    with opened(lambda progress: _connect(options, settings, progress, create), sys.stderr, _width) as database:
        shell = Shell(database, _print, _width, print_error=_print_error)
        shell.format = options.format
        if options.server is None:
            shell.patience_s, shell.new_queries = _SCRIPT_WAITS_S, True
        try:
            for number, (text, path) in enumerate(texts):
                later = "\n".join(text for text, _ in texts[number + 1 :])
                if not shell.run(_ended(text), path, later=later):
                    return 1
            return 0
        except Quit:
            return 0
        finally:
            shell.close()


_PERSON_WAITS_S, _SCRIPT_WAITS_S = 2.0, 10.0
"""How long a SELECT waits for the queries of a database of this process that were just made or opened."""
_READING = {"DESCRIBE", "EXPLAIN", "FROM", "LIST", "PRINT", "SELECT", "SHOW", "VALUES", "WHY", "WITH"}


def only_reads(script: str) -> bool:
    """Whether no statement of a script can change a database.  Then a missing directory is a typing error, and is not
    created.

    >>> only_reads("SHOW STREAMS; -- all of them"), only_reads("SHOW STREAMS; CREATE TYPE t AS INT;")
    (True, False)
    """
    from ..grammar.lexer import tokens
    from .pieces import cut

    statements = [piece.text for piece in cut(script) if piece.kind == "statement"]
    words = []
    for statement in statements:
        start, end = next((start, end) for _, start, end in tokens(statement))
        words.append(statement[start:end].upper())
    return bool(words) and all(word in _READING for word in words)


def _connect(
    options: argparse.Namespace,
    settings: dict[str, str],
    progress: Callable[[Any], None] | None = None,
    create: bool = True,
) -> Any:
    from .. import connect

    load_functions(options)
    if getattr(options, "server", None) is not None:
        if options.data is not None:
            raise StatementError("--server and --data exclude each other: a database is either a server's or in a directory")
        return connect(options.server, settings=settings)
    return connect(options.data, settings=settings, progress=progress, create=create or options.data is None)


def _interact(connect: Callable[[Callable[[Any], None]], Any], format_: str, waits_s: float) -> int:
    """The prompt; the engine is loaded and the database opened while the person reads it."""
    from .opening import Opening

    opening = Opening(connect)
    _print(f"penstock {__version__}. \\help lists commands.")
    try:
        return _prompt(opening, format_, waits_s)
    finally:
        opening.database().close()


def _prompt_over(database: Any) -> int:
    """The prompt over a database that is open, and stays so.  Returns: the exit code."""
    from .opening import Opening

    return _prompt(Opening(lambda progress: database), "table", _PERSON_WAITS_S)


def _prompt(opening: Any, format_: str, waits_s: float) -> int:
    from .pager import page
    from .prompt import interact
    from .shell import Shell

    terminal = sys.stdout if sys.stdout.isatty() else None
    shell = Shell(opening.database, _print, _width, page=page, height=_height, terminal=terminal)
    shell.format, shell.patience_s = format_, waits_s
    try:
        interact(shell, history_path(), opening)
    finally:
        shell.close()
    return 0


def history_path() -> Path | None:
    """The file with the history of the prompt."""
    base = os.environ.get("XDG_STATE_HOME")
    folder = Path(base) if base else Path.home() / ".local" / "state"
    return folder / "penstock" / "history"


def _ended(text: str) -> str:
    """A script whose last statement lacks its semicolon gets it."""
    stripped = text.rstrip()
    last = stripped.rsplit("\n", 1)[-1].lstrip()
    if not stripped or stripped.endswith(";") or last.startswith("\\"):
        return text
    return stripped + ("\n;" if "--" in last else ";")


def _read(name: str) -> str:
    from ..grammar.script_files import read_script

    return _standard_input() if name == "-" else read_script(Path(name), named_by_person=True)


def _standard_input() -> str:
    if sys.stdin is None:
        raise StatementError("standard input is closed", suggestion="Give statements by -e, or a script by -f.")
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as problem:
        raise StatementError(f"standard input is not UTF-8: {problem.reason} at byte {problem.start}") from problem


def _print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print(text: str) -> None:
    print(text, flush=True)


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((120, 40)).columns


def _height() -> int:
    import shutil

    return shutil.get_terminal_size((120, 40)).lines


if __name__ == "__main__":
    sys.exit(main())
