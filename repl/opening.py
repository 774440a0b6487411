"""A database that opens while the prompt is already there: importing the engine takes longer than showing a prompt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Opening:
    """Opens a database on a thread of its own.

    Args:
        connect: gives the open database, or raises a PenstockError.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._database: Any = None
        self._problem: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def start(self) -> None:
        """Begin, unless that was done."""
        with self._guard:  # the toolbar may ask for the database meanwhile, and cannot wait for a thread not yet started
            if self._thread is None:
                thread = threading.Thread(target=self._open, name="penstock-opening", daemon=True)
                thread.start()
                self._thread = thread

    def _open(self) -> None:
        try:
            self._database = self._connect()
        except BaseException as problem:  # raised again by whoever asks for the database
            self._problem = problem

    @property
    def done(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def database(self) -> Any:
        """The database, once it is open.  Raises: what opening it raised."""
        self.start()
        assert self._thread is not None
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self._database
