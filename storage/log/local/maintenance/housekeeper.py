"""The log's background thread: it makes relaxed commits durable and runs maintenance."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from .....errors import StorageError
from ...settings import LogSettings

__all__ = ["Housekeeper"]

_logger = logging.getLogger("penstock.storage.log")


class MaintainedLog(Protocol):
    """The log that the housekeeper works for."""

    def flush_beside(self) -> None:
        """See `Committer.flush_beside`."""

    @property
    def appended_bytes(self) -> int:
        """See `LocalLog.appended_bytes`."""
        ...

    def maintain(self, now_ms: int | None = None) -> None:
        """See `LocalLog.maintain`."""


class Housekeeper:
    """The thread.  It starts at the first ``wake``: a log that is only read, or used without background work, has no
    thread.
    """

    def __init__(self, log: MaintainedLog, settings: LogSettings, clock_ms: Callable[[], int] | None) -> None:
        self._log = weakref.ref(log)  # a log that was dropped without being closed is not kept alive by its thread
        self._settings = settings
        self._clock_ms = clock_ms
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._appended = 0

    def start(self) -> None:
        """Start the thread if there is maintenance by the clock."""
        if self._clock_ms is not None and self._settings.background:
            self._start()

    def wake(self) -> None:
        """Tell the thread that there are relaxed commits.  The caller holds the write lock."""
        if not self._settings.background:
            return
        self._woken.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="penstock-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait until the thread has ended."""
        self._stopped.set()
        self._woken.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        settings = self._settings
        looked_s = maintained_s = time.monotonic()
        while not self._stopped.is_set():
            if self._woken.wait(settings.maintenance_interval_s):
                self._stopped.wait(settings.relaxed_delay_s)  # commits that come meanwhile share the sync
                self._woken.clear()
                self._try(lambda log: log.flush_beside(), "make relaxed commits durable")
            passed_s = time.monotonic() - looked_s
            if self._stopped.is_set() or passed_s < settings.maintenance_interval_s:
                continue
            if not self._busy(passed_s) or time.monotonic() - maintained_s >= settings.maintenance_patience_s:
                self._try(self._maintain, "maintain the log")
                maintained_s = time.monotonic()
            looked_s = time.monotonic()

    def _busy(self, passed_s: float) -> bool:
        """Whether much has been appended since the last call."""
        log = self._log()
        before, self._appended = self._appended, 0 if log is None else log.appended_bytes
        return self._appended - before > passed_s * self._settings.busy_bytes_per_s

    def _maintain(self, log: MaintainedLog) -> None:
        log.maintain(None if self._clock_ms is None else self._clock_ms())

    def _try(self, work: Callable[[MaintainedLog], None], doing: str) -> None:
        """Run something and log its storage errors, as no caller is there to get them.  A later commit meets them too."""
        log = self._log()
        if log is None:
            self._stopped.set()
            return
        try:
            work(log)
        except StorageError as error:
            if not self._stopped.is_set():
                _logger.error("cannot %s: %s", doing, error)
                self._stopped.wait(self._settings.maintenance_interval_s)
