"""Decides which query takes the next step.

The core is deterministic: `Scheduler.drain` steps the queries one after the other in order of creation, each to the end of
its input, on the calling thread.  With threads, workers do the same whenever a commit brings something new; a query is
stepped by one thread at a time.  Queries with brief steps are left to one worker: in such steps Python's global lock
is let go of and taken back all the time, so that two workers would mostly wait for each other.

Workers look only at queries that may have something to do: those that read a partition which has grown, those added or
resumed, and those that a step has not brought to the end of their input.  So idle queries cost nothing, however many there
are. The readers of a topic are stepped one after the other while its decoded records are at hand, and they commit together,
with one sync (`GroupCommit`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextvars import copy_context

from ..errors import InternalError, PenstockError, StorageError
from ..storage import interrupts
from ..storage.log.protocol import Log, TopicPartition
from .query.group_commit import GroupCommit
from .query.lifecycle import QueryRun

_LOGGER = logging.getLogger("penstock.scheduler")
_IDLE_WAIT_S = 0.5
"""The longest sleep of an idle worker before it checks whether it must stop, in seconds."""
STOP_S = 10.0
"""How long `Scheduler.stop` waits for each worker, in seconds: a function of the user's may never come back."""
_BRIEF_S = 0.01
"""A step that takes less is brief: what it costs is mostly calls, not rows; in seconds."""
_PATIENCE_S = 0.02
"""How long the brief steps are left to a worker that takes none, since it is in a longer step or commits; in seconds."""


class Scheduler:
    """Steps runs, on the caller's thread or on its own.  Thread-safe.

    Workers start with the first `add`, and use the clock that is current there.

    Attributes:
        counted: moves when the queries of a common commit have counted it, which is after the log shows it.  Who waits in
            `Log.wait` then looks again.

    Args:
        housekeep: workers call it now and then, between steps.
    """

    def __init__(self, log: Log, threads: int, housekeep: Callable[[], None] = lambda: None) -> None:
        self.counted = 0
        self._log = log
        self._housekeep = housekeep
        self._threads_wanted = threads
        self._runs: dict[str, QueryRun] = {}
        self._order: dict[str, int] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._busy: set[str] = set()
        self._hold = 0
        self._workers: list[threading.Thread] = []
        self._over = threading.Event()
        self._version = 0
        """Counts reasons for workers to look again, other than commits."""
        self._ready: dict[str, Callable[[], bool]] = {}
        self._after: dict[str, Callable[[bool], None]] = {}
        self._due: set[str] = set()
        """The runs that may have something to do."""
        self._readers: dict[TopicPartition, set[str]] = {}
        self._places: dict[str, list[TopicPartition]] = {}
        """The partitions that each run reads, as last asked."""
        self._ends: dict[TopicPartition, int] = {}
        """The end offsets at which the readers of each partition were last found due."""
        self._brief: set[str] = set()
        """The runs whose last step was brief."""
        self._brief_by: threading.Thread | None = None
        """The worker to which the brief steps are left ..."""
        self._brief_at_s = 0.0
        """... and when it last took one, by the monotonic clock."""

    def add(
        self,
        run: QueryRun,
        order: int,
        ready: Callable[[], bool] | None = None,
        stepped: Callable[[bool], None] | None = None,
    ) -> None:
        """Schedule a run.

        Args:
            order: its rank in the order of creation.
            ready: returns whether it may take a step now.
            stepped: a worker calls it after each step, before another worker may step the run; its argument says whether the
                run has read everything.
        """
        with self._lock:
            self._runs[run.query_id] = run
            self._order[run.query_id] = order
            self._note_places(run)
            if ready is not None:
                self._ready[run.query_id] = ready
            if stepped is not None:
                self._after[run.query_id] = stepped
            while len(self._workers) < self._threads_wanted:
                name = f"penstock-{len(self._workers)}"
                worker = threading.Thread(target=copy_context().run, args=(self._work,), name=name, daemon=True)
                self._workers.append(worker)
                worker.start()
        self.wake(run.query_id)

    def remove(self, query_id: str) -> None:
        with self._lock:
            self._runs.pop(query_id, None)
            self._order.pop(query_id, None)
            self._ready.pop(query_id, None)
            self._after.pop(query_id, None)
            self._due.discard(query_id)
            self._brief.discard(query_id)
            self._forget_places(query_id)

    def reassigned(self, query_id: str) -> None:
        """Note that a run reads other partitions than before."""
        with self._lock:
            run = self._runs.get(query_id)
            if run is None:
                return
            self._note_places(run)
        self.wake(query_id)

    def _note_places(self, run: QueryRun) -> None:
        self._forget_places(run.query_id)
        self._places[run.query_id] = list(run.places)
        for place in self._places[run.query_id]:
            self._readers.setdefault(place, set()).add(run.query_id)

    def _forget_places(self, query_id: str) -> None:
        for place in self._places.pop(query_id, ()):
            readers = self._readers[place]
            readers.discard(query_id)
            if not readers:
                del self._readers[place]
                self._ends.pop(place, None)

    def runs(self) -> list[QueryRun]:
        """The runs in order of creation."""
        with self._lock:
            return self._sorted()

    def _sorted(self) -> list[QueryRun]:
        return [self._runs[i] for i in sorted(self._runs, key=lambda i: self._order[i])]

    def drain(self) -> None:
        """Process everything, query by query, each to the end of its input; workers pause meanwhile.

        Raises:
            DataError, StorageError, InternalError: a query is in state ERROR; the others were processed to the end.
        """
        with self._changed:
            self._hold += 1
        try:
            with self._changed:
                interrupts.wait_for(self._changed, lambda: not self._busy)
            progressed = True
            while progressed:
                progressed = False
                for run in self.runs():
                    ready = self._ready.get(run.query_id)
                    while (ready is None or ready()) and self._step(run):
                        progressed = True
                        interrupts.check()
            for run in self.runs():
                if run.error is not None and run.state == "ERROR":
                    raise run.error
        finally:
            with self._changed:
                self._hold -= 1
            self.wake()

    def drain_one(self, run: QueryRun) -> None:
        """Step one query to the end of its input, on this thread; a failure shows in its state."""
        while self._step(run):
            pass

    def _step(
        self, run: QueryRun, *, patient: bool = False, group_commit: GroupCommit | None = None, bounded: bool = False
    ) -> bool:
        try:
            return run.step(patient=patient, group_commit=group_commit, bounded=bounded)
        except PenstockError as error:
            _LOGGER.error("query %s stopped: %s", run.query_id, error, exc_info=isinstance(error, InternalError))
            return False

    def _step_safely(self, run: QueryRun, group_commit: GroupCommit | None) -> bool:
        """Take a step on a worker; no error in it may end the worker."""
        try:
            moved = self._step(run, patient=True, group_commit=group_commit, bounded=True)
            after = self._after.get(run.query_id)
            if after is not None:
                after(not run.goes_on(self._ends))
            return moved
        except BaseException:
            _LOGGER.exception("a step of the query %s broke off", run.query_id)
            return False

    def _work(self) -> None:
        group_commit = GroupCommit(self._log)
        while not self._over.is_set():
            try:
                self._turn(group_commit)
            except BaseException:  # whatever it was, it ends no worker: the queries would run and never move
                _LOGGER.exception("a turn of a worker broke off")
                self._over.wait(_IDLE_WAIT_S)

    def _turn(self, group_commit: GroupCommit) -> None:
        """Step the runs that may have something to do, and wait if nothing moved."""
        epoch, version = self._log.epoch, self._version
        self._housekeep()
        progressed = False
        runs = self._due_runs()
        gathered: list[QueryRun] = []
        try:
            for run in runs:
                if not self._claim(run):
                    continue
                moved = goes_on = brief = False
                try:
                    began_s = time.monotonic()
                    moved = self._step_safely(run, group_commit if len(runs) > 1 else None)
                    brief = time.monotonic() - began_s < _BRIEF_S
                    goes_on = (moved and run.goes_on(self._ends)) or _patience_s(run) is not None
                finally:
                    with self._changed:
                        self._busy.discard(run.query_id)
                        (self._brief.add if brief else self._brief.discard)(run.query_id)
                        if goes_on:
                            self._due.add(run.query_id)
                        self._changed.notify_all()
                gathered.append(run)
                progressed |= moved
                if group_commit.due:
                    self._commit(group_commit, gathered)
        finally:
            self._commit(group_commit, gathered)
        with self._lock:
            if self._brief_by is threading.current_thread():
                self._brief_by = None
            left = self._brief_by is not None and not self._due.isdisjoint(self._brief)
        if not progressed and not self._over.is_set():
            patience = [s for run in runs if run.state == "RUNNING" and (s := _patience_s(run)) is not None]
            limits: list[float] = [_IDLE_WAIT_S, *patience]
            if left:
                limits.append(_PATIENCE_S)
            wait_s = min(limits)
            self._log.wait(epoch, wait_s, lambda: self._version != version)

    def _commit(self, group_commit: GroupCommit, runs: list[QueryRun]) -> None:
        """Make the pending commits of these runs, and tell each run its result."""
        group_commit.commit()
        for run in runs:
            try:
                run.settle()
            except PenstockError as error:
                _LOGGER.error("query %s stopped: %s", run.query_id, error, exc_info=isinstance(error, InternalError))
        if len(runs) > 1:
            with self._lock:
                self.counted += 1
            self._log.wake()
        runs.clear()

    def _due_runs(self) -> list[QueryRun]:
        """The runs that may have something to do, in order of creation."""
        with self._lock:
            try:
                _, ends = self._log.end_offsets(list(self._readers))
            except StorageError:  # a topic was deleted under a query: it will say so itself
                self._due.update(self._runs)
            else:
                if ends != self._ends:
                    for place, end in ends.items():
                        if self._ends.get(place) != end:
                            self._due |= self._readers[place]
                    self._ends = dict(ends)
            self._due &= self._runs.keys()
            return [self._runs[i] for i in sorted(self._due, key=self._order.__getitem__)]

    def _claim(self, run: QueryRun) -> bool:
        """Take a due run for this worker; returns whether it got it and the run may step now.

        The run is then no longer due.
        """
        query_id = run.query_id
        with self._lock:
            if self._over.is_set() or self._hold or query_id in self._busy or self._runs.get(query_id) is not run:
                return False
            if query_id not in self._due:
                return False  # another worker has stepped it meanwhile
            if self._leaves(query_id):
                return False
            self._due.discard(query_id)
            ready = self._ready.get(query_id)
            if run.state != "RUNNING" or (ready is not None and not ready()):
                return False  # who resumes it, or makes room, wakes it
            self._busy.add(query_id)
            return True

    def _leaves(self, query_id: str) -> bool:
        """Whether the step of a run is left to another worker, which takes the brief ones."""
        if query_id not in self._brief:
            return False
        now_s, worker = time.monotonic(), threading.current_thread()
        if self._brief_by not in (None, worker) and now_s - self._brief_at_s < _PATIENCE_S:
            return True
        self._brief_by, self._brief_at_s = worker, now_s
        return False

    def wake(self, query_id: str | None = None) -> None:
        """Make idle workers look again: at one run (added, resumed, or with room in its subscription), or at all."""
        with self._changed:
            if query_id is None:
                self._due.update(self._runs)
            elif query_id in self._runs:
                self._due.add(query_id)
            self._version += 1
            self._changed.notify_all()
        self._log.wake()

    def stop(self) -> None:
        """Stop the workers after their present steps."""
        with self._changed:
            self._over.set()
        self.wake()
        for worker in self._workers:
            worker.join(timeout=STOP_S)


def _patience_s(run: QueryRun) -> float | None:
    """See `QueryRun.patience_s`.  If the clock fails, the run is looked at again soon."""
    try:
        return run.patience_s
    except PenstockError as error:
        _LOGGER.error("how long the query %s waits is not known: %s", run.query_id, error)
        return _IDLE_WAIT_S
