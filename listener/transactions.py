"""Transactions of Kafka's clients.  Each is collected in memory; its end writes it to the log as one commit.

So no client sees records of an open or aborted transaction, whatever its isolation level, and the log has no gaps and no
transaction markers.  It also means that an open transaction ends with the process: its client is told to abort it, and then
begins again, as Kafka's clients do after such an error.

The begin of a transaction is made durable before anything is added to it.  So after a crash a client that asks how its lost
transaction ended is not answered with the end of an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import StorageError
from ..limits import KAFKA_TRANSACTION_BYTES_MAX
from ..storage.log.protocol import Commit, Records, TopicPartition
from .appender import Append, Gathering
from .log_access import LogAccess, group_name
from .producers import Accepted, ProducerStates
from .protocol import ErrorCode
from .state import Entry, StateTopic, TransactionalId

__all__ = ["OffsetText", "OpenTransaction", "Refused", "SeenTransaction", "Transactions"]


class Refused(Exception):
    """A request is refused with one of Kafka's error codes, and an optional text."""

    def __init__(self, code: ErrorCode, message: str = "") -> None:
        super().__init__(message or code.name)
        self.code = code


OffsetText = tuple[str, TopicPartition, str | None]
"""A group, a partition, and the metadata of the group's offset there."""


@dataclass(slots=True)
class OpenTransaction:
    """An open transaction.

    Attributes:
        places: the partitions that were added to it, with the numbers (`Log.topic_id`) of their topics.
        ending: the client has asked for its end.
        over: it is committed or aborted, so it takes nothing any more.
    """

    began_s: float
    began_ms: int
    places: dict[TopicPartition, int] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    batches: list[tuple[TopicPartition, Records]] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    offsets: dict[str, dict[TopicPartition, tuple[int, str | None]]] = field(default_factory=dict)
    size: int = 0
    ending: bool = False
    over: bool = False


@dataclass(frozen=True, slots=True)
class SeenTransaction:
    """The state of a transactional id for DescribeTransactions.

    ``began_ms`` is the begin of the open transaction in milliseconds since 1970; -1 if none is open.
    """

    name: str
    producer_id: int
    epoch: int
    timeout_ms: int
    state: str
    began_ms: int
    places: frozenset[TopicPartition]


_STATES = {"empty": "Empty", "ongoing": "Ongoing", "committed": "CompleteCommit", "aborted": "CompleteAbort"}


class Transactions:
    """The transactional ids and their transactions.

    Use it on the event loop's thread, except where a method says otherwise.

    Args:
        run: commits an append through the appender and waits for the commit.
        seconds: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        access: LogAccess,
        producers: ProducerStates,
        state: StateTopic,
        entries: Mapping[tuple[Any, ...], Any],
        run: Callable[[Append], Any],
        seconds: Callable[[], float],
        keep_texts: Callable[[Iterable[OffsetText]], list[Entry]],
    ) -> None:
        self._access = access
        self._producers = producers
        self._state = state
        self._run = run
        self._seconds = seconds
        self._keep_texts = keep_texts
        self._known: dict[str, TransactionalId] = {}
        self._open: dict[str, OpenTransaction] = {}
        self._lost: set[str] = set()
        self._size = 0
        self._gathered: list[tuple[OpenTransaction, TopicPartition, Records, Accepted]] = []
        self._written: list[OpenTransaction] = []
        for key, value in entries.items():
            if key[0] != "transactional":
                continue
            known = TransactionalId(*value)
            self._known[key[1]] = known
            if known.status == "ongoing":
                self._lost.add(key[1])
                producers.forget(known.producer_id)  # numbers of what was lost are not known
            producers.fence(known.producer_id, known.epoch)

    # --- ids -------------------------------------------------------------------------------

    async def init(self, name: str, timeout_ms: int, producer_id: int, epoch: int) -> TransactionalId:
        """Start a new instance of a transactional producer.  The transaction of the last instance is aborted, and that
        instance is fenced.

        Args:
            timeout_ms: the transaction timeout, in milliseconds.
            producer_id, epoch: those that the producer has, or -1 if it has none.

        Raises:
            Refused: another instance has a newer id or epoch of this transactional id.
        """
        if not 0 < timeout_ms <= 24 * 60 * 60 * 1000:
            raise Refused(ErrorCode.invalid_transaction_timeout)
        known = self._known.get(name)
        if producer_id >= 0 and known is not None and (known.producer_id, known.epoch) != (producer_id, epoch):
            if (known.last_producer_id, known.last_epoch) != (producer_id, epoch) or known.status != "empty":
                raise Refused(ErrorCode.producer_fenced)
            await self._keep(name, known)
            return known  # its answer was lost
        if known is not None and self._is_ending(name):
            raise Refused(ErrorCode.concurrent_transactions)
        self._drop(name)
        if known is None:
            given, entries = self._producers.new_id()
            made = TransactionalId(given, 0, timeout_ms)
        else:
            given, next_epoch, entries = self._producers.next_epoch(known.producer_id, known.epoch)
            made = TransactionalId(given, next_epoch, timeout_ms, "empty", producer_id, epoch)
            if given != known.producer_id:
                entries = [*entries, *self._producers.forget(known.producer_id)]
        self._producers.fence(made.producer_id, made.epoch)
        self._known[name] = made
        self._lost.discard(name)
        await self._keep(name, made, entries)
        return made

    async def _keep(self, name: str, known: TransactionalId, more: Iterable[Entry] = ()) -> None:
        entries = [*more, (("transactional", name), known)]
        await self._run(Append(lambda gathering: self._state.append(gathering.change(), entries)))

    def _check(self, name: str, producer_id: int, epoch: int) -> TransactionalId:
        known = self._known.get(name)
        if known is None or known.producer_id != producer_id:
            raise Refused(ErrorCode.invalid_producer_id_mapping)
        if known.epoch != epoch:
            raise Refused(ErrorCode.producer_fenced if epoch < known.epoch else ErrorCode.invalid_producer_epoch)
        return known

    def _is_ending(self, name: str) -> bool:
        transaction = self._open.get(name)
        return transaction is not None and transaction.ending

    def _drop(self, name: str) -> None:
        transaction = self._open.pop(name, None)
        if transaction is not None:
            transaction.over = True
            self._size -= transaction.size

    # --- what a transaction gets -----------------------------------------------------------

    async def add_places(self, name: str, producer_id: int, epoch: int, places: Iterable[TopicPartition]) -> None:
        """Add partitions to which the producer will write.

        Raises:
            Refused: the producer is fenced or unknown, or its transaction is ending.
            StorageError: the begin of the transaction could not be written.
        """
        open_ = await self._begun(name, producer_id, epoch)
        for place in places:
            open_.places.setdefault(place, self._number_of(place))

    async def add_group(self, name: str, producer_id: int, epoch: int, group: str) -> None:
        """Add a group whose offsets the producer will commit.  Raises: Refused, StorageError, as `add_places`."""
        (await self._begun(name, producer_id, epoch)).groups.add(group)

    async def _begun(self, name: str, producer_id: int, epoch: int) -> OpenTransaction:
        known = self._check(name, producer_id, epoch)
        if name in self._lost:
            # of the errors that say so, clients can abort and go on after this one
            raise Refused(ErrorCode.invalid_producer_id_mapping, "the transaction was lost with the process that had it")
        transaction = self._open.get(name)
        if transaction is None:
            transaction = self._open[name] = OpenTransaction(self._seconds(), self._access.now_ms())
            before, known.status = known.status, "ongoing"
            try:
                await self._keep(name, known)
            except BaseException:  # nothing is added to what has not begun
                if self._open.get(name) is transaction:
                    self._drop(name)
                    known.status = before
                raise
        elif transaction.ending:
            raise Refused(ErrorCode.concurrent_transactions)
        return transaction

    def _of(self, name: str, producer_id: int, epoch: int) -> OpenTransaction:
        self._check(name, producer_id, epoch)
        transaction = self._open.get(name)
        if transaction is None or transaction.ending:
            raise Refused(ErrorCode.invalid_txn_state, "no transaction was begun")
        return transaction

    def _number_of(self, place: TopicPartition) -> int:
        """The number (`Log.topic_id`) of a partition's topic; -1 if the topic does not exist."""
        config = self._access.topic(place[0])
        if config is None or not 0 <= place[1] < config.partitions:
            return -1
        try:
            return self._access.log.topic_id(place[0])
        except StorageError:  # deleted meanwhile
            return -1

    def reserve(self, name: str, producer_id: int, epoch: int, place: TopicPartition, size: int) -> OpenTransaction:
        """Reserve ``size`` bytes for a batch in a transaction; return the transaction.

        Raises:
            Refused: the producer is fenced, the partition was not added, or open transactions hold too many bytes.
        """
        transaction = self._of(name, producer_id, epoch)
        if place not in transaction.places:
            raise Refused(ErrorCode.invalid_txn_state, f"{place[0]}-{place[1]} was not added to the transaction")
        if self._size + size > KAFKA_TRANSACTION_BYTES_MAX:
            raise Refused(
                ErrorCode.message_too_large,
                f"open transactions hold {self._size} bytes: more than KAFKA_TRANSACTION_BYTES_MAX is not kept",
            )
        transaction.size += size
        self._size += size
        return transaction

    # On the appender's thread: a batch counts when the commit is through with which it was gathered.  If that fails, all of
    # it is gathered again.

    def begin(self) -> None:
        """Forget the batches that were gathered for the last commit, since the next one begins."""
        self._gathered, self._written = [], []

    def takes(self, transaction: OpenTransaction) -> bool:
        """Whether a transaction still takes batches."""
        return not transaction.over and all(written is not transaction for written in self._written)

    def gather(self, transaction: OpenTransaction, place: TopicPartition, records: Records, accepted: Accepted) -> None:
        """Keep a checked batch for its transaction.  `add_batch` adds it when the appender's commit has succeeded."""
        self._gathered.append((transaction, place, records, accepted))

    def add_batch(self, transaction: OpenTransaction, place: TopicPartition, records: Records, accepted: Accepted) -> None:
        """Add a gathered batch to its transaction."""
        transaction.batches.append((place, records))
        transaction.accepted.append(accepted)

    def add_offsets(
        self,
        name: str,
        producer_id: int,
        epoch: int,
        group: str,
        offsets: Mapping[TopicPartition, tuple[int, str | None]],
    ) -> None:
        """Add a group's offsets, which are committed with the transaction.

        Raises:
            Refused: the producer is fenced, no transaction is open, or the group was not added.
        """
        transaction = self._of(name, producer_id, epoch)
        if group not in transaction.groups:
            raise Refused(ErrorCode.invalid_txn_state, f"the group {group} was not added to the transaction")
        transaction.offsets.setdefault(group, {}).update(offsets)

    def pending_offsets(self, group: str) -> set[TopicPartition]:
        """The partitions whose offsets an open transaction may change."""
        return {place for open_ in self._open.values() for place in open_.offsets.get(group, {})}

    def all(self) -> list[SeenTransaction]:
        """The states of all transactional ids.

        A transaction that was lost when the process ended is shown as ongoing until its client aborts it.
        """
        found = []
        for name, known in sorted(self._known.items()):
            open_ = self._open.get(name)
            places = frozenset() if open_ is None else frozenset(open_.places)
            began_ms = -1 if open_ is None else open_.began_ms
            state = _STATES[known.status]
            found.append(SeenTransaction(name, known.producer_id, known.epoch, known.timeout_ms, state, began_ms, places))
        return found

    # --- the end ---------------------------------------------------------------------------

    async def end(self, name: str, producer_id: int, epoch: int, commit: bool) -> None:
        """Commit or abort a transaction; durable on return.

        Raises:
            Refused: the producer is fenced, no transaction is open, or it was lost when the process ended.
        """
        known = self._check(name, producer_id, epoch)
        if name in self._lost:
            if commit:
                raise Refused(ErrorCode.invalid_producer_id_mapping, "the transaction was lost with the process that had it")
            self._lost.discard(name)
            known.status = "aborted"
            await self._keep(name, known)
            return
        transaction = self._open.get(name)
        if transaction is None:
            if known.status == ("committed" if commit else "aborted"):
                return  # its answer was lost
            raise Refused(ErrorCode.invalid_txn_state)
        if transaction.ending:
            raise Refused(ErrorCode.concurrent_transactions)
        transaction.ending = True
        ended = TransactionalId(known.producer_id, known.epoch, known.timeout_ms, "committed" if commit else "aborted")

        def over(_: Commit) -> None:
            transaction.over = True

        try:
            await self._run(
                Append(lambda gathering: self._write(gathering, name, transaction, ended), over, transaction.size)
            )
        except BaseException:
            transaction.ending = False
            raise
        known.status = ended.status
        self._drop(name)

    def _write(self, gathering: Gathering, name: str, transaction: OpenTransaction, ended: TransactionalId) -> None:
        """Write a transaction's records and offsets to the log, on the appender's thread.

        Records of topics that were deleted since are left out.  An aborted transaction writes only its end.
        """
        late = [(place, records, numbered) for of, place, records, numbered in self._gathered if of is transaction]
        self._written.append(transaction)
        accepted = [*transaction.accepted, *(numbered for _, _, numbered in late)]
        entries: list[Entry] = [(("transactional", name), ended), *self._producers.entries(accepted)]
        if ended.status == "committed":
            there = {place for place, number in transaction.places.items() if number == self._number_of(place)}
            for place, records in [*transaction.batches, *((place, records) for place, records, _ in late)]:
                if place in there:
                    gathering.append(*place, records)
            for group, offsets in transaction.offsets.items():
                positions = {place: offset for place, (offset, _) in offsets.items()}
                gathering.change().set_positions(group_name(group), positions)
                entries += self._keep_texts((group, place, text) for place, (_, text) in offsets.items())
        self._state.append(gathering.change(), entries)

    async def expire(self) -> None:
        """Abort the transactions that have exceeded their timeouts, and fence their producers."""
        now_s = self._seconds()
        for name, transaction in list(self._open.items()):
            known = self._known[name]
            if self._open.get(name) is not transaction:
                continue  # ended while another one was
            if transaction.ending or now_s - transaction.began_s <= known.timeout_ms / 1000:
                continue
            self._drop(name)
            known.status = "aborted"
            known.producer_id, known.epoch, entries = self._producers.next_epoch(known.producer_id, known.epoch)
            self._producers.fence(known.producer_id, known.epoch)
            await self._keep(name, known, entries)
