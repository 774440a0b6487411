"""Opens a database while the prompt is already there, since importing the engine takes longer than showing a prompt.

Meanwhile the prompt's toolbar, or a line on stderr, shows how much of the queries' state has been recovered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

_PATIENCE_S: Final = 0.5
"""How long opening may take before progress is shown, in seconds."""
_REDRAW_S: Final = 0.1
_BAR_CHARS: Final = 24


def bar(progress: Any, width: int = 120) -> str:
    """One line for a `RecoveryProgress`: a bar, the part done, and the remaining time."""
    share = progress.rows / progress.rows_total if progress.rows_total else 1.0
    filled = int(share * _BAR_CHARS)
    left = progress.left_s
    rest = "" if left is None else f", {max(1, round(left))} s left" if share < 1 else ", nearly ready"
    done = f"{progress.rows:,} of {progress.rows_total:,} rows"
    return f"recovering [{'#' * filled}{'.' * (_BAR_CHARS - filled)}] {share:4.0%}  {done}{rest}"[: max(1, width - 1)]


def opened(connect: Callable[[Callable[[Any], None] | None], Any], out: TextIO, width: Callable[[], int]) -> Any:
    """Open a database.  If it takes long and ``out`` is a terminal, a bar shows the progress and disappears at the end.

    Raises:
        PenstockError: it cannot be opened.
    """
    if not out.isatty():
        return connect(None)
    began_s = time.monotonic()
    drawn_s = 0.0

    def show(progress: Any) -> None:
        nonlocal drawn_s
        now_s = time.monotonic()
        if now_s - began_s >= _PATIENCE_S and now_s - drawn_s >= _REDRAW_S:
            drawn_s = now_s
            out.write(f"\r\x1b[K{bar(progress, width())}")
            out.flush()

    try:
        return connect(show)
    finally:
        if drawn_s:
            out.write("\r\x1b[K")
            out.flush()


class Opening:
    """Opens a database on a thread of its own.

    Args:
        connect: takes a progress callback, and returns the open database or raises a PenstockError.

    Attributes:
        state: one line for the person while the database is opening.
        on_progress: called when ``state`` has changed, every 0.1 s at most.
    """

    def __init__(self, connect: Callable[[Callable[[Any], None]], Any]) -> None:
        self._connect = connect
        self._database: Any = None
        self._problem: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._told_s = 0.0
        self.state = "opening .."
        self.on_progress: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Begin, unless that was done before."""
        with self._guard:  # the toolbar may ask for the database meanwhile, and cannot wait for a thread not yet started
            if self._thread is None:
                thread = threading.Thread(target=self._open, name="penstock-opening", daemon=True)
                thread.start()
                self._thread = thread

    def _open(self) -> None:
        try:
            self._database = self._connect(self._progress)
        except BaseException as problem:  # raised again by whoever asks for the database
            self._problem = problem

    def _progress(self, progress: Any) -> None:
        now_s = time.monotonic()
        if progress.rows and now_s - self._told_s >= _REDRAW_S:
            self._told_s = now_s
            self.state = bar(progress)
            self.on_progress()

    @property
    def done(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def database(self) -> Any:
        """Wait until the database is open, and return it.  Raises: what opening it raised."""
        self.start()
        assert self._thread is not None
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self._database
