"""Carries out the statements of other processes of the service.

Each process has read the journal up to some place (`ChangeJournal`).  It checks a statement against the state at that place,
and journals it only if no other process has written in between.  A thread reads the changes that other processes journal,
and carries them out in this process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

from ...errors import PenstockError, StorageError
from ..journal import TOPIC, JournalMovedError
from ..state import Engine
from .carry_out import carry_out_elsewhere_written

__all__ = ["Following", "catch_up", "up_to_date"]

_LOGGER = logging.getLogger("penstock.statements")
_LOOK_S = 0.5
_TRIES = 50
_T = TypeVar("_T")


def catch_up(engine: Engine) -> None:
    """Carry out what other processes have journaled.  The caller holds the engine's lock.

    Raises:
        StorageError: the journal cannot be read, or a change cannot be carried out here.
    """
    while engine.journal.moved and engine.unsettled is None:
        for entry in engine.journal.entries(further=True):
            carry_out_elsewhere_written(engine, entry)


def up_to_date(engine: Engine, work: Callable[[], _T]) -> _T:
    """Check and carry out a statement on the newest state.  If another process writes first, this starts again.

    Raises:
        StorageError: other processes write statements all the time.
        Exception: the errors of ``work``.
    """
    if not engine.log.capabilities.shared:
        return work()
    for last in range(_TRIES):
        catch_up(engine)
        try:
            return work()
        except JournalMovedError:
            if last == _TRIES - 1:
                raise
    raise AssertionError


class Following:
    """The thread that carries out the statements of other processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closing = False
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._run,), name="penstock-statements", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        log, seen = self._engine.log, -1
        while not self._closing:
            epoch = log.epoch
            try:
                _, ends = log.end_offsets([(TOPIC, 0)])
                if ends[TOPIC, 0] != seen:
                    with self._engine.lock:
                        if self._closing or self._engine.closed:
                            return
                        catch_up(self._engine)
                    seen = ends[TOPIC, 0]
            except StorageError as error:
                _LOGGER.error("statements of other processes: %s", error)
            except PenstockError:
                _LOGGER.exception("statements of other processes")
            log.wait(epoch, _LOOK_S, lambda: self._closing)

    def close(self) -> None:
        """End the thread.  Trap: the caller must not hold the engine's lock."""
        self._closing = True
        self._engine.log.wake()
        self._thread.join()
