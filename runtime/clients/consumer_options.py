"""The options of a consumer."""

from __future__ import annotations

from dataclasses import dataclass

from ...arguments import check_fields
from ...errors import ClientError, unwritable
from ...storage.log.protocol import OffsetReset

__all__ = ["ConsumerOptions"]


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """Kafka's settings of a consumer, with its names and defaults.

    Attributes:
        group: ``group.id``; without one the consumer reads all partitions and commits nothing.
        auto_offset_reset: where to begin in a partition without a committed offset, or whose offset is gone.
        isolation_level: only ``read_committed``: nobody sees records that are not committed, or were aborted.
        enable_auto_commit: commit what earlier polls returned: in a poll, every ``auto_commit_interval_ms``, and when
            partitions are revoked or the consumer is closed.
        max_poll_records: the largest number of records that one `Consumer.poll` returns.
        max_poll_interval_ms: a member that does not poll for so long is expelled.
        partition_assignment_strategy: ``cooperative-sticky``, ``sticky``, ``range`` or ``roundrobin``.
        consumer_timeout_ms: iteration ends after so long without a record; None waits for ever.
        client_id: the prefix of member ids.
        durable: whether commits wait for the disk.
    """

    group: str | None = None
    auto_offset_reset: OffsetReset = "latest"
    isolation_level: str = "read_committed"
    enable_auto_commit: bool = True
    auto_commit_interval_ms: int = 5_000
    max_poll_records: int = 500
    max_poll_interval_ms: int = 300_000
    partition_assignment_strategy: str = "cooperative-sticky"
    consumer_timeout_ms: int | None = None
    client_id: str = "consumer"
    durable: bool = True

    def check(self) -> None:
        """Check the values.  Raises: ClientError."""
        check_fields(self, ClientError)
        for name in ("group", "client_id"):
            if (refused := unwritable(getattr(self, name) or "")) is not None:
                raise ClientError(f"{name} holds {refused}")
        if self.auto_offset_reset not in ("earliest", "latest", "none"):
            raise ClientError(f"auto_offset_reset must be earliest, latest or none, not {self.auto_offset_reset!r}")
        if self.isolation_level != "read_committed":
            raise ClientError(
                f"isolation_level {self.isolation_level!r} is not supported: only committed records can be read, "
                "so it is always read_committed"
            )
        for name in ("max_poll_records", "max_poll_interval_ms"):
            if getattr(self, name) < 1:
                raise ClientError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.auto_commit_interval_ms < 0:
            raise ClientError(f"auto_commit_interval_ms must be at least 0, not {self.auto_commit_interval_ms}")
