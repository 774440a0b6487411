"""Producers, consumers and groups, as methods of `Database`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..arguments import checked
from ..errors import ClientError, unwritable
from ..runtime.clients.consumer import Consumer
from ..runtime.clients.consumer_options import ConsumerOptions
from ..runtime.clients.membership import Topics
from ..runtime.clients.producer import Producer, ProducerOptions
from ..storage import interrupts
from ..storage.log.protocol import Compression, OffsetReset, TopicPartition

if TYPE_CHECKING:
    from ..runtime.clients.clients import Clients
    from ..runtime.clients.groups import Groups
    from .settings import Settings

__all__ = ["ClientMethods"]

Listener = Callable[[list[TopicPartition]], object]


@interrupts.doors()
@checked("producer", "consumer")
class ClientMethods:
    """The methods of a database for clients of the log, see docs/reference/clients.md."""

    _clients: Clients
    _use: object

    if TYPE_CHECKING:

        @property
        def settings(self) -> Settings: ...

        def _check_open(self) -> None: ...

    def producer(
        self,
        id: str | None = None,
        *,
        compression: Compression | None = None,
        linger_ms: float = 0,
        batch_bytes: int = 1024 * 1024,
        max_in_flight: int = 5,
        buffer_memory: int = 32 * 1024 * 1024,
        max_block_ms: int = 60_000,
        durable: bool = True,
        background: bool = True,
    ) -> Producer:
        """Make a producer.  It sends records in batches, and each batch is one commit.

        Args:
            id: with an id, records are numbered.  A record that is sent again after a crash is not written twice, and an
                older producer with the same id cannot write any more.
            compression, linger_ms, batch_bytes, max_in_flight, buffer_memory, max_block_ms, durable, background: see
                `ProducerOptions`.

        Raises:
            ClientError: the value of an option is not allowed.
        """
        self._check_open()
        if id is not None and (refused := unwritable(id)) is not None:
            raise ClientError(f"the id of a producer holds {refused}")
        options = ProducerOptions(
            compression, linger_ms, batch_bytes, max_in_flight, buffer_memory, max_block_ms, durable, background
        )
        made = self._clients.producer(id, options)
        made.use = self._use
        return made

    def consumer(
        self,
        topics: Topics | None = None,
        *,
        group: str | None = None,
        auto_offset_reset: OffsetReset | None = None,
        isolation_level: str = "read_committed",
        enable_auto_commit: bool = True,
        auto_commit_interval_ms: int = 5_000,
        max_poll_records: int = 500,
        max_poll_interval_ms: int = 300_000,
        partition_assignment_strategy: str = "cooperative-sticky",
        consumer_timeout_ms: int | None = None,
        client_id: str = "consumer",
        durable: bool = True,
        on_assigned: Listener | None = None,
        on_revoked: Listener | None = None,
        on_lost: Listener | None = None,
    ) -> Consumer:
        """Make a consumer.  It reads records of topics, alone or as a member of a group that shares the partitions.

        Args:
            topics: names, or a compiled pattern; None: call `Consumer.assign`.
            auto_offset_reset: by default the property ``auto.offset.reset``.
            isolation_level: only ``read_committed``, since records that are not committed cannot be read.
            on_assigned, on_revoked, on_lost: see `Consumer`; the other options: see `ConsumerOptions`.

        Raises:
            ClientError: the value of an option is not allowed.
        """
        self._check_open()
        options = ConsumerOptions(
            group=group,
            auto_offset_reset=auto_offset_reset or self.settings.options.auto_offset_reset,
            isolation_level=isolation_level,
            enable_auto_commit=enable_auto_commit,
            auto_commit_interval_ms=auto_commit_interval_ms,
            max_poll_records=max_poll_records,
            max_poll_interval_ms=max_poll_interval_ms,
            partition_assignment_strategy=partition_assignment_strategy,
            consumer_timeout_ms=consumer_timeout_ms,
            client_id=client_id,
            durable=durable,
        )
        made = self._clients.consumer(topics, options, on_assigned=on_assigned, on_revoked=on_revoked, on_lost=on_lost)
        made.use = self._use
        return made

    @property
    def groups(self) -> Groups:
        """The consumer groups, with `Groups.describe`, `Groups.reset` and `Groups.delete`."""
        self._check_open()
        return self._clients.groups
