"""How the batches of a producer get their places in the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...storage.log.protocol import Committing, Log, TopicPartition
from .batch_writer import BatchWriter, Bulk, Send
from .producer_options import ProducerOptions

__all__ = ["BatchBeginner"]


class BatchBeginner:
    """Begins commits for one producer.  It has no reference to the producer, so a producer that is dropped without being
    closed becomes garbage, while its threads write what it has sent.

    Args:
        identity: the producer's id and epoch; None: its records are not numbered.
        admit: is called with the topics before a write; may wait.
    """

    def __init__(
        self,
        log: Log,
        options: ProducerOptions,
        identity: tuple[str, int] | None,
        admit: Callable[[Sequence[str]], None],
    ) -> None:
        self._log = log
        self._options = options
        self._identity = identity
        self._admit = admit
        self._turns: dict[str, int] = {}

    def begin(
        self,
        items: Sequence[Send | Bulk],
        positions: Mapping[str, Mapping[TopicPartition, int]] | None = None,
        *,
        whole: bool = False,
    ) -> tuple[BatchWriter, Committing]:
        """Give items and offsets of groups their place in the log.  Call it with `Accumulator.sending` held.

        Args:
            whole: write all of the items or none; otherwise those that can be written.
        """
        self._admit(list(dict.fromkeys(item.topic for item in items)))
        transaction = self._log.transaction()
        if self._options.compression is not None:
            transaction.set_compression(self._options.compression)
        writer = BatchWriter(self._log, transaction, self._identity, self._next_turn)
        writer.add(items)
        refused = writer.refused(items) if whole else None
        if refused is not None:
            transaction.abort()
            raise refused
        for group, places in (positions or {}).items():
            transaction.set_positions(group, places)
        return writer, transaction.begin_commit(self._options.durable)

    def _next_turn(self, topic: str, count: int) -> int:
        turn = self._turns.get(topic, 0)
        self._turns[topic] = turn + count
        return turn
