"""Where the log ends, once all that is in flight has happened: what the next commit is planned behind."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..manifest import Manifest
from ..segments.partition import Partition
from ..segments.segment import Segment

__all__ = ["LogEnd", "Tail"]


@dataclass(slots=True)
class Tail:
    """Where the next frame of a partition goes."""

    partition: Partition
    segment: Segment | None
    position: int
    placed: int
    """The offset after the last frame that has its place."""
    end: int
    """The offset after the last record that has its offset."""
    segment_bytes: int
    fresh: bool = False


@dataclass(slots=True)
class LogEnd:
    """The manifest, and what it does not know yet, as it is in flight.

    Attributes:
        broken: some of that did not happen, so nothing that was planned behind it can.
    """

    manifest: Manifest
    epoch: int
    arrival: int
    tails: dict[tuple[str, int], Tail] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    numbers: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """By producer, topic and partition the number of the last record."""
    broken: bool = False

    @classmethod
    def after(cls, manifest: Manifest) -> LogEnd:
        """Nothing is in flight."""
        return cls(manifest, manifest.epoch, manifest.next_arrival)
