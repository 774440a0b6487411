"""What a consumer can be told."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ClientError
from ...storage.log.protocol import OffsetReset

__all__ = ["ConsumerOptions"]


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """Kafka's settings of a consumer, with its names and defaults.

    Attributes:
        group: ``group.id``; None reads all partitions and commits nothing.
        auto_offset_reset: where to read a partition without a committed offset, or whose offset is gone.
        isolation_level: only ``read_committed`` is there: nobody sees what is not committed, or was aborted.
        enable_auto_commit: commit what earlier polls returned, every ``auto_commit_interval_ms`` in a poll, and when
            partitions are given up or the consumer is closed.
        max_poll_records: records that one `Consumer.poll` returns at most.
        max_poll_interval_ms: a member that does not poll for so long is expelled.
        partition_assignment_strategy: ``cooperative-sticky``, ``sticky``, ``range`` or ``roundrobin``.
        consumer_timeout_ms: iteration ends after so long without a record; None waits for ever.
        client_id: the first part of member ids.
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
        """Raises: ClientError, for a value that an option cannot have."""
        if self.auto_offset_reset not in ("earliest", "latest", "none"):
            raise ClientError(f"auto_offset_reset is earliest, latest or none, not {self.auto_offset_reset!r}")
        if self.isolation_level != "read_committed":
            raise ClientError(
                f"isolation_level {self.isolation_level!r} is not supported: records that are not committed cannot be read, "
                "so it is always read_committed"
            )
        for name in ("max_poll_records", "max_poll_interval_ms"):
            if getattr(self, name) < 1:
                raise ClientError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.auto_commit_interval_ms < 0:
            raise ClientError(f"auto_commit_interval_ms is at least 0, not {self.auto_commit_interval_ms}")
