"""The push queries of the prompt: each is a job, in the foreground or in the background."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from ..errors import PenstockError, StatementError

__all__ = ["Job", "Jobs"]

_POLL_S = 0.2
SCROLLED_ROWS = 1_000
"""How many rows of a stream a background job keeps."""


class Job:
    r"""A push query and its latest rows.

    Attributes:
        number: as ``\jobs`` shows it.
        rows: a `LiveRows`; a thread fills it while the job is in the background.
        windowed: the rows belong to windows, whether or not the window bounds are among the columns.
        starts_late: earlier rows are not shown; the person is told so while there are no rows.
        error: what the query failed with.
    """

    def __init__(self, number: int, pushed: Any, statement: str) -> None:
        from .. import LiveRows

        self.number = number
        self.statement = statement
        self.subscription = pushed.subscription
        places = getattr(pushed, "key_places", ())
        self.rows = LiveRows(pushed.subscription.columns, places, **({} if places else {"rows_max": SCROLLED_ROWS}))
        self.starts_late = False
        self.windowed: bool = getattr(pushed, "windowed", False)
        self.error: PenstockError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_table(self) -> bool:
        return bool(self.rows.key_places)

    @property
    def state(self) -> str:
        if self.error is not None:
            return f"failed: {self.error}"
        return "over" if self.subscription.finished else "running"

    def behind(self) -> None:
        """Continue in the background."""
        if self._thread is None and not self.subscription.finished:
            self._stop.clear()
            self._thread = threading.Thread(target=self._read, name=f"penstock-job-{self.number}", daemon=True)
            self._thread.start()

    def front(self) -> None:
        """Continue in the foreground: the caller reads the subscription."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _read(self) -> None:
        try:
            while not self._stop.is_set() and not self.subscription.finished:
                row = self.subscription.poll(_POLL_S)
                if row is not None:
                    self.rows.take(row)
        except PenstockError as problem:
            self.error = problem

    def close(self) -> None:
        """End the query."""
        self._stop.set()
        self.subscription.close()
        self.front()


class Jobs:
    """The jobs of a prompt, by number."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def new(self, pushed: Any, statement: str) -> Job:
        """Make a job in the foreground; `keep` adds it to the list."""
        return Job(self._last + 1, pushed, statement)

    def keep(self, job: Job) -> None:
        """Put a job into the background."""
        self._last = max(self._last, job.number)
        self._jobs[job.number] = job
        job.behind()

    def take(self, text: str) -> Job:
        """Take a job out of the list by its number, by default the latest one.  Raises: StatementError, if there is none."""
        if not self._jobs:
            raise StatementError(
                "no push query is behind the prompt", suggestion="\\bg SELECT .. EMIT CHANGES; puts one there."
            )
        wanted = text.strip().lstrip("%") or str(max(self._jobs))
        if not wanted.isdecimal() or int(wanted) not in self._jobs:
            raise StatementError(f"there is no job {wanted}", suggestion="\\jobs lists them.")
        return self._jobs.pop(int(wanted))

    def close(self) -> None:
        """End all jobs."""
        for job in self:
            job.close()
        self._jobs.clear()
