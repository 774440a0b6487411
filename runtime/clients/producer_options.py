"""The options of a producer."""

from __future__ import annotations

from dataclasses import dataclass

from ...arguments import check_fields
from ...errors import ClientError
from ...storage.log.protocol import Compression

__all__ = ["ProducerOptions"]


@dataclass(frozen=True, slots=True)
class ProducerOptions:
    """Kafka's settings of a producer, with its names where there is one.

    Attributes:
        compression: for topics whose own ``compression.type`` is none; None leaves it to the topics.
        linger_ms: how long a record may wait for others of its batch.
        batch_bytes: the size at which a batch waits no longer (``batch.size``, but over all partitions); later records go
            into the next batch.
        max_in_flight: the largest number of batches on their way to the disk (``max.in.batch.requests.per.connection``).  A
            producer with an id sends one after the other.
        buffer_memory: the largest number of bytes waiting to be written; beyond it `Producer.send` waits.
        max_block_ms: the longest time that it waits.
        durable: whether a record counts as written when it is on disk (``acks=all``), or as soon as readers see it.
        background: whether a thread writes what waits; without it `Producer.flush` and `Delivery.result` do.
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
        """Check the values.  Raises: ClientError."""
        check_fields(self, ClientError)
        if self.compression not in (None, "none", "lz4", "zstd"):
            raise ClientError(f"compression must be none, lz4 or zstd, not {self.compression!r}")
        for name in ("linger_ms", "max_block_ms"):
            if getattr(self, name) < 0:
                raise ClientError(f"{name} must be at least 0, not {getattr(self, name)}")
        for name in ("batch_bytes", "max_in_flight", "buffer_memory"):
            if getattr(self, name) < 1:
                raise ClientError(f"{name} must be at least 1, not {getattr(self, name)}")
