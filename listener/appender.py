"""One thread commits what clients write.  When it is free, everything that waits becomes one commit, with one sync.

So many requests of one or many clients share one sync of the disk, and one thread decides about the order of a producer's
batches.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from ..errors import PenstockError
from ..storage.log.protocol import Commit, Log, Records, TopicPartition, Transaction

__all__ = ["Append", "Appender", "Gathering"]

NOTHING = Commit(0, {})
"""The result of an append that had nothing to write."""
_TOGETHER_MAX = 64
"""The largest number of appends in one commit.  Later ones are collected while the disk works."""
_BYTES_MAX = 32 * 1024 * 1024
"""When a commit has about this many bytes, no further append is added to it."""


class Gathering:
    """A transaction that is being filled.

    It counts the records of each partition, so that each append knows where its own begin.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.changes = 0
        """How often something was added."""
        self._counts: dict[TopicPartition, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.changes

    def change(self) -> Transaction:
        """The transaction itself, for changes other than appended records."""
        self.changes += 1
        return self._transaction

    def append(self, topic: str, partition: int, records: Records) -> int:
        """Append to a partition.

        Returns:
            how many records of the same transaction precede these in the partition.

        Raises:
            StorageError: the topic or partition does not exist; the values have another type than the topic's.
        """
        self.change().append(topic, records, partition)
        first = self._counts.get((topic, partition), 0)
        self._counts[topic, partition] = first + len(records)
        return first


@dataclass(slots=True, eq=False)
class Append:
    """One unit of work for the appender.

    Attributes:
        add: adds the work to a transaction.  If that transaction fails, it is called again with another one.  If it raises a
            `PenstockError`, only this append fails; what it has added by then is not committed.
        committed: is called on the appender's thread after the commit, in the order of commits.
        size: bytes, roughly.
        done: gets the result or the error.  It cannot be cancelled once it is submitted.
    """

    add: Callable[[Gathering], None]
    committed: Callable[[Commit], None] = lambda commit: None
    size: int = 0
    durable: bool = True
    done: Future[Commit] = field(default_factory=Future)


class Appender:
    """The thread that commits appends; see the module's text.  Thread-safe; close it.

    Args:
        begin: is called on the thread before each transaction is filled.
    """

    def __init__(self, log: Log, begin: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._begin = begin
        self._queue: queue.SimpleQueue[Append | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="penstock-kafka-appender", daemon=True)
        self._thread.start()

    def submit(self, append: Append) -> Future[Commit]:
        """Queue an append.  Appends are committed in the order of these calls, whether somebody waits for them or not."""
        append.done.set_running_or_notify_cancel()  # a client that goes away takes nothing back
        self._queue.put(append)
        return append.done

    def close(self) -> None:
        """Commit what was submitted, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            first = self._queue.get()
            if first is None:
                return
            together, size = [first], first.size
            while len(together) < _TOGETHER_MAX and size < _BYTES_MAX:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    open_ = False
                    break
                together.append(more)
                size += more.size
            self._commit(together)

    def _commit(self, together: Sequence[Append]) -> None:
        transaction = self._log.transaction()
        gathering = Gathering(transaction)
        added: list[Append] = []
        self._begin()
        try:
            for append in together:
                before = gathering.changes
                try:
                    append.add(gathering)
                except PenstockError as error:
                    if gathering.changes != before:
                        raise  # a part of it is in the transaction, which must not be committed
                    append.done.set_exception(error)
                    continue
                added.append(append)
            if gathering.is_empty:
                transaction.abort()
                commit = NOTHING
            else:
                commit = transaction.commit(durable=any(a.durable for a in added))
        except BaseException as error:
            with suppress(PenstockError):
                transaction.abort()
            left = [append for append in together if not append.done.done()]
            if len(left) == 1:
                left[0].done.set_exception(error)
                return
            for append in left:  # one of them is at fault: each for itself, in the same order
                self._commit([append])
            return
        for append in added:
            try:
                append.committed(commit)
            except Exception as error:  # the thread goes on for the others
                append.done.set_exception(error)
            else:
                append.done.set_result(commit)
