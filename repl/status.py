"""The line below the prompt: the directory, what the database holds, and how its queries are doing."""

from __future__ import annotations

import time
from typing import Any

from ..errors import PenstockError
from .progress import Sample, sample

__all__ = ["StatusLine"]


class StatusLine:
    """Looks at a database from time to time, so that drawing the line never waits.

    Attributes:
        text: the line as of the last look.
    """

    def __init__(self) -> None:
        self.text = ""
        self._last: Sample | None = None

    def look(self, shell: Any) -> bool:
        """Update the line from a shell's database, on any thread.  Returns: whether it has changed."""
        database, jobs = shell.database, shell.jobs
        try:
            parts = [database.describe_state()]
            now = sample(database)
        except PenstockError as problem:
            parts, now = [str(problem).splitlines()[0]], Sample(time.monotonic(), {})
        if now.queries:
            parts += [f"lag {sum(p.lag for p in now.queries.values()):,}", f"{_rate(now, self._last):,} rows/s"]
        for state in ("ERROR", "PAUSED"):
            count = sum(p.state == state for p in now.queries.values())
            if count:
                parts.append(f"{count} {'failed' if state == 'ERROR' else 'paused'}")
        if len(jobs):
            parts.append(f"{len(jobs)} in the background (\\jobs)")
        self._last = now
        before, self.text = self.text, " · ".join(parts)
        return self.text != before


def _rate(now: Sample, before: Sample | None) -> int:
    """Rows that all queries have read per second since the last look."""
    if before is None or now.at_s <= before.at_s:
        return 0
    both = now.queries.keys() & before.queries.keys()
    rows: int = sum(now.queries[q].account.read - before.queries[q].account.read for q in both)
    return max(0, int(rows / (now.at_s - before.at_s)))
