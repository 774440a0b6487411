"""What can be set about a producer."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ClientError
from ...storage.log.protocol import Compression

__all__ = ["ProducerOptions"]


@dataclass(frozen=True, slots=True)
class ProducerOptions:
    """Kafka's settings of a producer, with its names where there is one.

    Attributes:
        compression: of topics whose own ``compression.type`` is none; None leaves it to the topics.
        linger_ms: how long a record may wait for others, to be written with them.
        batch_bytes: so many do not wait any longer (``batch.size``, over all partitions), and what comes behind is another
            batch.
        max_in_flight: batches that are on their way to the disk at most
            (``max.in.batch.requests.per.connection``).  A producer with an id sends one after the other.
        buffer_memory: bytes that wait to be written at most; then `Producer.send` waits.
        max_block_ms: but no longer than this.
        durable: whether a record counts as written when it is on disk (``acks=all``), or as soon as readers see it.
        background: whether a thread writes what waits; without it that is up to `Producer.flush` and `Delivery.result`.
    """

    compression: Compression | None = None
    linger_ms: float = 0
    batch_bytes: int = 1024 * 1024
    max_in_flight: int = 5
    buffer_memory: int = 32 * 1024 * 1024
    max_block_ms: int = 60_000
    durable: bool = True
    background: bool = True

    def check(self) -> None:
        """Raises: ClientError, for a value that an option cannot have."""
        if self.compression not in (None, "none", "lz4", "zstd"):
            raise ClientError(f"compression is none, lz4 or zstd, not {self.compression!r}")
        for name in ("linger_ms", "max_block_ms"):
            if getattr(self, name) < 0:
                raise ClientError(f"{name} is at least 0, not {getattr(self, name)}")
        for name in ("batch_bytes", "max_in_flight", "buffer_memory"):
            if getattr(self, name) < 1:
                raise ClientError(f"{name} is at least 1, not {getattr(self, name)}")
