"""The end of the log behind all commits in flight.  The next commit is planned from there."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..manifest import Manifest
from ..segments.partition import Partition
from ..segments.segment import Segment

__all__ = ["LogEnd", "Tail"]


@dataclass(slots=True)
class Tail:
    """The place of the next frame of a partition."""

    partition: Partition
    segment: Segment | None
    position: int
    placed: int
    """The offset after the last frame that has a place."""
    end: int
    """The offset after the last record that has an offset."""
    segment_bytes: int
    fresh: bool = False


@dataclass(slots=True)
class LogEnd:
    """The state of the log when all commits in flight will have happened: what the manifest will be then.

    Attributes:
        broken: a commit in flight has failed, so no commit that was planned behind it can happen.
    """

    manifest: Manifest
    epoch: int
    arrival: int
    tails: dict[tuple[str, int], Tail] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    numbers: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """(producer, topic, partition) -> the sequence number of the last record."""
    broken: bool = False

    @classmethod
    def after(cls, manifest: Manifest) -> LogEnd:
        """The end of a log without commits in flight."""
        return cls(manifest, manifest.epoch, manifest.next_arrival)
