"""Does steps 3 and 4 of commits: syncs files, then writes the journal.  It also rolls and closes the journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from .....errors import StorageError
from ....files import Files, NothingSyncedError, discard
from ....layout import journal_path, partition_directory
from ...measures import CommitMeasures
from ...settings import LogSettings
from ..manifest import Committed, Manifest, SegmentsReplaced
from ..segments.segment import Segment
from .append_plan import Pending
from .fail_stop import FailStop
from .journal import CommitJournal
from .parallel_io import ParallelIO

__all__ = ["JournalWriter", "Step3"]


class Step3(NamedTuple):
    """What must be synced before the journal records the commit."""

    segments: set[Segment]
    directories: set[str]


def _directories_of(path: str) -> Iterator[str]:
    """The directories above a file, innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


class JournalWriter:
    """The journal, and notes of the files that are not durable yet.

    It takes no lock but ``guard``.  Callers hold the `Committer`'s ``_flushing`` from `take` to the end of `write`, and the
    write lock for `roll`, `seal` and `close`.

    Args:
        guard: the lock of ``_dirty`` and ``_new_names``; the `Committer` takes it for `take` and `appended`.
        fail_stop: is stopped when it is unknown what the disk has.
    """

    def __init__(
        self,
        files: Files,
        journal: CommitJournal,
        manifest: Manifest,
        settings: LogSettings,
        guard: threading.RLock,
        fail_stop: FailStop,
        io: ParallelIO,
    ) -> None:
        self._files = files
        self._journal = journal
        self._manifest = manifest
        self._embedded_bytes_max = settings.embedded_bytes_max
        self._bytes_max = settings.journal_bytes_max
        self._guard = guard
        self._fail_stop = fail_stop
        self._io = io
        self._dirty: set[Segment] = set()
        self._new_names: set[str] = set()
        """Directories in which new names (of segments, partitions or topics) are not durable yet."""
        self.measures = CommitMeasures()

    # ------------------------------------------------------------------------------------------- what must be synced

    def appended(self, segments: Iterable[Segment], directories: Iterable[str]) -> None:
        """Note segments that were written to, and directories with new names.  The caller holds ``guard``."""
        self._dirty.update(segments)  # (only now: a sync that runs meanwhile may have come too early for them)
        self._new_names.update(directories)

    def begun(self, directories: Iterable[str]) -> None:
        """Note directories with new file names, which must be synced before the content of these files counts."""
        with self._guard:
            self._new_names.update(directories)

    def forget(self, topic: str) -> None:
        """Note that a topic's files and directories are removed, so they need no sync."""
        with self._guard:
            self._dirty = {s for s in self._dirty if not s.path.startswith(topic + "/")}
            self._new_names = {d for d in self._new_names if not f"{d}/".startswith(topic + "/")}

    def forget_segments(self, segments: set[Segment]) -> None:
        """Note that these segments' files are removed."""
        self._dirty -= segments

    # ---------------------------------------------------------------------------------------------------- steps 3, 4

    def take(self, flushing: Sequence[Pending]) -> Step3:
        """Decide what step 3 syncs: bytes are synced or embedded in the commit record.  The caller holds ``guard``."""
        sizes: dict[Segment, int] = {}
        for pending in flushing:
            for segment, size, _ in pending.writes:
                sizes[segment] = sizes.get(segment, 0) + size
        large = {s for s, size in sizes.items() if size > self._embedded_bytes_max}
        for pending in flushing:
            if isinstance(pending.entry, Committed):
                for part, (segment, _, chunks) in zip(pending.entry.appended, pending.writes, strict=True):
                    part.data = None if segment in large else b"".join(chunks)
        files = [segment.path for segment in large]
        for pending in flushing:
            match pending.entry:
                case SegmentsReplaced(topic=topic, partition=number, added=[_, *_]):  # which are synced themselves
                    files.append(f"{partition_directory(topic, self._manifest.topics[topic].id, number)}/")
        if not files:
            return Step3(set(), set())
        step = Step3(large, self._new_names & {d for file in files for d in _directories_of(file)})
        self._new_names -= step.directories
        self._dirty -= large  # before the sync: what is written meanwhile makes them dirty again
        return step

    def write(self, flushing: Sequence[Pending], step: Step3) -> None:
        """Steps 3 and 4.

        Raises:
            BaseException: the commits did not happen; or that is unknown, and the log takes no more commits.
        """
        end = self._journal.end
        began_s = time.perf_counter()
        try:
            self._sync_all(step.segments, step.directories)  # step 3
            self._journal.append([p.entry for p in flushing])  # step 4
        except BaseException:
            if self._journal.end != end:
                self._withdraw()
            with self._guard:
                self._dirty |= step.segments
                self._new_names |= step.directories
            raise
        try:
            self._journal.sync()
            self.measures.add(time.perf_counter() - began_s, len(step.segments) + len(step.directories) + 1)
        except NothingSyncedError:
            self._withdraw()
            raise
        except BaseException as error:
            self._fail_stop.stop(error)
            raise

    def _withdraw(self) -> None:
        """Take back what was appended to the journal and is not synced, so that recovery does not find it."""
        try:
            self._journal.withdraw()
        except BaseException as error:
            self._fail_stop.stop(error)
            raise

    def _sync_all(self, segments: Iterable[Segment], directories: Iterable[str]) -> None:
        """Sync several files at once.

        Raises:
            NothingSyncedError: one of them could not be opened; those that could may be synced.
            StorageError: a sync failed.  It is unknown what the disk has, so the log takes no more commits.
        """
        syncs = [s.file.sync for s in segments]
        syncs += [partial(self._files.sync_directory, d) for d in sorted(directories)]
        errors = [error for error in self._io.run_all(syncs) if error is not None]
        fatal = next((error for error in errors if not isinstance(error, NothingSyncedError)), None)
        if fatal is not None:
            self._fail_stop.stop(fatal)
        for error in errors[:1] if fatal is None else [fatal]:
            raise error

    # ----------------------------------------------------------------------------------------------------- the journal

    @property
    def too_long(self) -> bool:
        """Whether the journal is so long that it should be rolled, so that opening stays quick."""
        return self._journal.end > self._bytes_max

    @property
    def long_to_replay(self) -> bool:
        """Whether the journal is long enough to be rolled when the log is closed."""
        return self._journal.end > self._bytes_max // 64

    def roll(self) -> None:
        """Start a new journal with the present state.

        The caller holds the write lock, and all visible commits are in the old journal.

        *Crash before the new journal has its name =>* the old one counts.  *After =>* the new one counts, and the old one is
        removed.
        """
        self._sync_all(self._dirty, self._new_names)
        self._dirty.clear()
        self._new_names.clear()
        old = self._journal
        self._journal = CommitJournal.create(self._files, old.number + 1, self._manifest)
        old.close()
        discard(self._files, journal_path(old.number))

    def roll_failed(self, error: StorageError) -> None:
        """Go on with the old journal after an error, unless the new one already has its name."""
        if self._fail_stop.failure is None and self._files.exists(journal_path(self._journal.number + 1)):
            self._fail_stop.refuse(error)  # the new one may count after a crash: nothing may go to the old one
        self._bytes_max *= 2

    def seal(self, *, closed: bool) -> None:
        """See `CommitJournal.seal`."""
        self._journal.seal(closed=closed)

    def close(self) -> None:
        """Close the file."""
        self._journal.close()
