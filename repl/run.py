"""``penstock run``: submits a script, keeps its queries running, and shows their progress."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import connect
from ..errors import StatementError
from ..grammar.script_files import read_script
from . import render
from .opening import opened
from .progress import Display, sample

_PATIENCE_S = 2.0
"""Further Ctrl-C within this time mean the same as the first, in seconds."""
_LOOK_S = 0.05
"""How often an ``--until-idle`` run checks whether everything is processed, in seconds."""


def run_script(
    script: Path, data: str | None, settings: Mapping[str, str], interval_s: float = 1.0, until_idle: bool = False
) -> int:
    """Submit a script and keep its queries running until Ctrl-C or SIGTERM, or (``--until-idle``) until all input is
    processed.

    Args:
        data: the data directory; by default ``<script without its suffix>.penstock`` beside the script.

    Returns:
        the exit code: 1 if a query failed.

    Raises:
        StatementError: the script cannot be read, a statement is wrong, or a submitted statement was changed.
        StorageError: the data directory is damaged, or open elsewhere.
    """
    if interval_s <= 0:
        raise StatementError(f"--interval must be positive, not {interval_s}")
    text = read_script(script, named_by_person=True)
    directory = Path(data) if data is not None else script.with_suffix(".penstock")

    def opening(progress: Callable[[Any], None] | None) -> Any:
        return connect(directory, settings=settings, progress=progress)

    with _stopping() as stop, opened(opening, sys.stderr, _width) as database:
        done = database.submit(text, script.name, path=script)
        for result in done.results:
            print(render.result(result, _width()))
        known = f"{len(done.known)} statements of {script.name} were submitted before; " if done.known else ""
        print(f"{known}{database.describe_state()}. Ctrl-C ends.", flush=True)
        _watch(database, Display(sys.stdout), stop, interval_s, until_idle)
        failed = [query_id for query_id, progress in sample(database).queries.items() if progress.state == "ERROR"]
    print("stopped; the next start resumes here" if stop.is_set() else "everything is taken in", flush=True)
    return 1 if failed else 0


def _watch(database: Any, display: Display, stop: threading.Event, interval_s: float, until_idle: bool) -> None:
    """Show progress every ``interval_s`` until told to stop."""
    ended = False
    while not ended:
        if until_idle:
            waited = 0.0
            while not ended and waited < interval_s:
                ended = stop.is_set() or database.wait_idle(_LOOK_S)
                waited += _LOOK_S
        else:
            ended = stop.wait(interval_s)
        display.show(sample(database))


def _width() -> int:
    return shutil.get_terminal_size((120, 40)).columns


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; one that comes much later, because ending takes long, interrupts."""
    stop = threading.Event()
    asked_s = 0.0

    def ask(number: int, frame: object) -> None:
        nonlocal asked_s
        if stop.is_set() and time.monotonic() - asked_s > _PATIENCE_S:
            raise KeyboardInterrupt
        if not stop.is_set():
            asked_s = time.monotonic()
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["run_script"]
