"""The appender: one thread commits what clients write.  Whenever it is free, it makes one commit of all waiting appends.

So the requests of many clients share one sync of the disk, and one thread checks the order of each producer's batches.
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
"""The result of an append that wrote nothing."""
_TOGETHER_MAX = 64
"""The largest number of appends in one commit.  Later ones wait for the next commit."""
_BYTES_MAX = 32 * 1024 * 1024
"""The size of a commit, in bytes, from which on no further append is added to it."""


class Gathering:
    """A transaction to which appends are being added.

    It counts the records of each partition, so each append knows how many records precede its own.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.changes = 0
        """The number of changes so far."""
        self._counts: dict[TopicPartition, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.changes

    def change(self) -> Transaction:
        """Return the transaction, for a change other than appended records, and count the change."""
        self.changes += 1
        return self._transaction

    def append(self, topic: str, partition: int, records: Records) -> int:
        """Append to a partition.

        Returns:
            the number of records of this transaction that precede these in the partition.

        Raises:
            StorageError: the topic or partition does not exist, or the values do not have the topic's type.
        """
        self.change().append(topic, records, partition)
        first = self._counts.get((topic, partition), 0)
        self._counts[topic, partition] = first + len(records)
        return first


@dataclass(slots=True, eq=False)
class Append:
    """One unit of work for the appender.

    Attributes:
        add: adds the work to a transaction.  If the transaction fails, ``add`` is called again with another transaction.  If
            ``add`` raises a `PenstockError`, only this append fails, and nothing that it has added is committed.
        committed: called on the appender's thread after the commit, in the order of commits.
        size: bytes, roughly.
        done: gets the commit or the error.  It cannot be cancelled after `Appender.submit`.
    """

    add: Callable[[Gathering], None]
    committed: Callable[[Commit], None] = lambda commit: None
    size: int = 0
    durable: bool = True
    done: Future[Commit] = field(default_factory=Future)


class Appender:
    """The thread that commits appends, see the module's text.  Thread-safe.  It runs until `close`.

    Args:
        begin: called on the thread before appends are added to a new transaction.
    """

    def __init__(self, log: Log, begin: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._begin = begin
        self._queue: queue.SimpleQueue[Append | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="penstock-kafka-appender", daemon=True)
        self._thread.start()

    def submit(self, append: Append) -> Future[Commit]:
        """Queue an append.  Appends are committed in the order of these calls, even if nobody waits for their results."""
        append.done.set_running_or_notify_cancel()  # a client that goes away takes nothing back
        self._queue.put(append)
        return append.done

    def close(self) -> None:
        """Commit all submitted appends, then end the thread."""
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
