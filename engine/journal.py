"""The statement journal: a durable list of the changes that statements made.  Opening a database applies them again.

Every statement that changes the catalog is one record of the log topic `TOPIC`, as JSON::

    {"text": "CREATE STREAM S (A INTEGER) WITH (...)",     the statement in canonical form, for people
     "properties": {"auto.offset.reset": "earliest"},      what was set and differs from the default
     "clock": 1700000000000,                               when it was executed
     "change": {"kind": "SetSource", "source": {...}}}     what it changes, see `change_codec`

A query's number is the offset of its statement, as in ksqlDB.  A statement is written after all of its checks, and before it
has any visible effect.  So:

crash before the record is durable => the statement was not executed, and nothing was changed.  crash after it => opening
applies the change: it rebuilds the catalog, starts the query, and finishes the work on topics.  Only the last change can be
unfinished, because each one ends before the next begins.

When the database is opened, topics may differ from those that a statement was checked against: they may have been deleted,
or created again with other partitions.  So nothing is looked up again, and the change has all that is needed.

Entries of old versions have no ``text`` and no ``change``.  They have a ``statement``, and what was looked up for it:
``"topic": ["s", 3]``, the topic of the source that it defines and its partitions; ``"deleted": ["s", 12]``, the topic that
it deletes and its number in the log.  `statements.recorded` converts them to changes.  (An old version finds no
``statement`` in newer entries, and refuses to open the directory.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ..errors import PartitionsLostError, StorageError
from ..runtime.clock import now_ms
from ..storage.log.ownership import STATEMENTS
from ..storage.log.protocol import Log, Records, TopicConfig, Transaction
from .change_codec import from_plain, to_plain
from .changes import Change

TOPIC = STATEMENTS
ALONE = "statements"
"""The name of the transactions that write statements.  There is only one at a time, over all processes."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A durable statement: its offset, its canonical text, and the properties when it was executed.

    Attributes:
        change: its change; None in entries of older versions, which have ``topic`` and ``deleted`` instead.
        topic: the topic of the source that it defines, and the number of partitions; None for other statements.
        deleted: the topic that it deletes, and the topic's number in the log.
    """

    offset: int
    statement: str
    properties: Mapping[str, str]
    change: Change | None = None
    topic: tuple[str, int] | None = None
    deleted: tuple[str, int] | None = None


class JournalMovedError(StorageError):
    """Another process has written a statement that this process has not read.  Nothing was written."""

    code = "journal_moved"


class ChangeJournal:
    """Reads and writes the journal.  The caller must hold the database's lock.

    If processes share the log, each carries out the statements of all of them, in their order (`following`).  Only a process
    that has read all earlier statements can write one.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._shared = log.capabilities.shared
        self._known = 0
        """The offset up to which entries were read or written here."""
        if TOPIC not in log.topics():
            log.create_topic(TOPIC, TopicConfig(internal=True))

    @property
    def next_offset(self) -> int:
        """The number of the next durable statement."""
        return self._log.end_offset(TOPIC, 0)

    def append(
        self,
        statement: str,
        properties: Mapping[str, str],
        change: Change,
        also: Callable[[Transaction], None] | None = None,
    ) -> int:
        """Make a statement durable, and return its offset.  For the other arguments see `JournalEntry`.

        Args:
            also: adds to the transaction what must be committed together with the statement.

        Raises:
            JournalMovedError: another process has written a statement in the meantime.
            StorageError: it could not be written.  The statement was not executed.
        """
        now = now_ms()
        entry: dict[str, object] = {
            "text": statement,
            "properties": dict(properties),
            "clock": now,
            "change": to_plain(change),
        }
        try:
            transaction = self._log.transaction(alone=ALONE)
        except PartitionsLostError as error:
            raise JournalMovedError("another process is executing a statement") from error
        if self._shared and self._log.end_offset(TOPIC, 0) > self._known:
            transaction.abort()
            raise JournalMovedError("another process has executed a statement in the meantime")
        transaction.append(
            TOPIC,
            Records(None, pa.array([msgspec.json.encode(entry)], pa.binary()), np.array([now], np.int64)),
            0,
        )
        if also is not None:
            also(transaction)
        try:
            commit = transaction.commit()
        except PartitionsLostError as error:
            raise JournalMovedError("another process is executing a statement") from error
        self._known = commit.ends[TOPIC, 0]
        return self._known - 1

    @property
    def moved(self) -> bool:
        """Whether there may be statements that `entries` has not returned yet.

        Raises:
            StorageError: the log cannot be read.
        """
        return self._shared and self._log.end_offset(TOPIC, 0) > self._known

    def entries(self, *, further: bool = False) -> Iterator[JournalEntry]:
        """All durable statements, the oldest first.

        Args:
            further: only those that were neither returned nor written here before.

        Raises:
            StorageError: a record is not one that `append` writes.
        """
        start = self._known if further else self._log.start_offset(TOPIC, 0)
        end = self.next_offset
        for records in self._log.scan(TOPIC, 0, start):
            for place, value in zip(records.offsets.tolist(), records.values.to_pylist(), strict=True):
                yield self._entry(place, value)
            self._known = records.next_offset
        self._known = max(self._known, end)

    def _entry(self, offset: int, value: Any) -> JournalEntry:
        try:
            entry = msgspec.json.decode(value)
            if "change" in entry:
                return JournalEntry(offset, entry["text"], entry["properties"], from_plain(entry["change"]))
            places = [None if entry.get(p) is None else (str(entry[p][0]), int(entry[p][1])) for p in ("topic", "deleted")]
            return JournalEntry(offset, entry["statement"], entry["properties"], None, *places)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise StorageError(
                f"the statement journal holds something else than a statement at offset {offset}: {error}",
                path=TOPIC,
                action="restore the database's directory from a copy",
            ) from error
