"""Arguments and calls of ``penstock validate``, ``graph``, ``import``, ``export``, ``top``, ``doctor``, ``completion``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import StatementError
from .completion_script import SHELLS, script
from .user_functions import add_functions
from .working import working

__all__ = ["TOOLS", "add_tools", "run_tool"]

TOOLS = ("demo", "validate", "graph", "import", "export", "top", "doctor", "completion")


def add_tools(commands: Any, settings: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add these sub-commands to ``penstock``."""

    def add(name: str, text: str, more: str = "") -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.{' ' if more else ''}{more}"
        )
        return found

    demo = add(
        "demo",
        "show a stream, a windowed table over it, and its rows as they change",
        "Ctrl-C ends the table; a prompt over the same database follows.",
    )
    demo.add_argument("--rate", type=float, default=200.0, metavar="ROWS", help="payments per second (200)")
    demo.add_argument("--seconds", type=float, metavar="S", help="end after so long, without a prompt")
    demo.set_defaults(set=[])

    validate = add(
        "validate",
        "find all faults of scripts without running them",
        "Each statement is checked against what those before it would make. Exit code 1 if there are faults.",
    )
    validate.add_argument("files", nargs="+", metavar="FILE", help="files of statements")
    settings(validate)

    graph = add(
        "graph",
        "show what flows into what in a script, in words or as a picture",
        "Nothing of it is run on a database that is there. Exit code 1 if it has faults.",
    )
    graph.add_argument("file", metavar="FILE", help="a file of statements")
    graph.add_argument("-o", "--out", metavar="FLOW.svg", help="write a picture to this new file")
    settings(graph)

    for name, text, more in (
        ("import", "insert the rows of a CSV, JSON lines, Parquet or Arrow file", "50,000 rows are one commit."),
        ("export", "write rows to a new CSV, JSON, JSON lines, Markdown, Parquet or Arrow file", ""),
    ):
        moving = add(name, text, more)
        if name == "import":
            moving.add_argument("file", help="its ending says what it holds")
            moving.add_argument("into", metavar="source", help="the stream or table; it must be there")
        else:
            moving.add_argument("what", metavar="source", help="a stream or table, or a SELECT in quotes")
            moving.add_argument("file", help="its ending says what it is to hold")
        _place(moving)
        settings(moving)

    top = add(
        "top",
        "show the persistent queries: rows, rows/s, lag, state bytes, stream time, late and bad records",
        "Ctrl-C ends it.",
    )
    _place(top)
    top.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between two looks (1)")
    top.add_argument("--once", action="store_true", help="print it once and leave")
    settings(top)

    doctor = add("doctor", "examine the installation, the terminal and the disk", "Exit code 1 if something is wrong.")
    doctor.add_argument("-d", "--data", metavar="DIR", help="a data directory to be examined, too")
    add_functions(doctor)
    doctor.set_defaults(set=[])

    completion = add(
        "completion",
        "print a script that lets a shell complete penstock's arguments",
        'For example: eval "$(penstock completion bash)"',
    )
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(set=[])


def _place(arguments: argparse.ArgumentParser) -> None:
    where = arguments.add_mutually_exclusive_group(required=True)
    where.add_argument("-d", "--data", metavar="DIR", help="data directory")
    where.add_argument("--server", metavar="URL", help="a server: http://[user:password@]host:8088")


def run_tool(
    options: argparse.Namespace,
    settings: Mapping[str, str],
    tell: Callable[[str], None],
    print_error: Callable[[str], None],
    parser: Callable[[], argparse.ArgumentParser],
    prompt: Callable[[Any], int],
) -> int:
    """Run a sub-command; ``prompt`` runs a prompt over an open database.  Returns: the exit code.  Raises: PenstockError."""
    from .. import connect

    match options.command:
        case "validate":
            from .validate import validate_files

            return validate_files(options.files, settings, tell, print_error)
        case "graph":
            from .graph import graph_script

            return graph_script(options.file, options.out, settings, tell, print_error)
        case "demo":
            from .demo import run_demo

            if options.rate <= 0 or (options.seconds is not None and options.seconds <= 0):
                raise StatementError("--rate and --seconds must be positive")
            return run_demo(options.rate, options.seconds, tell, prompt)
        case "doctor":
            from .doctor import examine

            return examine(options.data, tell)
        case "completion":
            tell(script(options.shell, parser()))
            return 0
    where: dict[str, Any] = {} if options.server is not None else {"create": False}
    with connect(options.server or options.data, settings=dict(settings), **where) as database:
        if options.command == "top":
            return _top(database, options.interval, options.once)
        from .transfer import export_rows, import_rows

        if options.command == "import":
            return import_rows(database, options.file, options.into, tell)
        if options.server is None:  # (nobody else waits for its queries, which may have to catch up)
            with working(sys.stderr):
                database.wait_idle()
        return export_rows(database, options.what, options.file, tell)


def _top(database: Any, interval_s: float, once: bool) -> int:

    from .progress import Display, sample

    if interval_s <= 0:
        raise StatementError(f"--interval must be positive, not {interval_s}")
    display = Display(sys.stdout, table=True)
    try:
        display.show(sample(database))
        while not once:
            time.sleep(interval_s)
            display.show(sample(database))
    except KeyboardInterrupt:
        pass
    return 0
