"""What can be set about a log."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LogSettings"]


@dataclass(slots=True)
class LogSettings:
    """The defaults suit one machine with a solid-state disk.

    Attributes:
        segment_bytes_max: a segment that would grow beyond it is sealed and a new one started, unless its topic has a
            ``segment_bytes`` of its own.
        journal_bytes_max: a longer commit journal is replaced by one that starts from the present state: bounds what
            opening replays.
        embedded_bytes_max: a segment that gets at most this many bytes in a commit is not synced: they go into the commit
            record.  Above, writing them twice costs more than the sync that it saves.
        in_flight_bytes_min: a durable transaction that appends more is written while the disk still works for those before
            it; smaller ones wait for each other, and share frames and syncs.
        index_frames_min: a segment with fewer frames has no index file: walking its headers takes less than opening one.
        relaxed_delay_s: relaxed commits are durable after about this long.
        relaxed_bytes_max: and before there are more of them than this.
        sync_threads: files synced at the same time.
        maintenance_interval_s: how often the background thread looks for work.
        maintenance_patience_s: while much is appended, maintenance waits so long at most: it would take disk and processor
            from those who append, and rewrite what they are about to supersede.
        busy_bytes_per_s: how much that is.
        maintenance_bytes_per_s: what compaction and merging read and write at most, as Kafka's
            ``log.cleaner.io.max.bytes.per.second``; None: no bound.
        background: whether a thread of the log flushes relaxed commits and runs maintenance; without it both wait for
            ``flush`` and ``maintain``.
    """

    segment_bytes_max: int = 64 * 1024 * 1024
    journal_bytes_max: int = 16 * 1024 * 1024
    embedded_bytes_max: int = 32 * 1024
    in_flight_bytes_min: int = 32 * 1024
    index_frames_min: int = 256
    relaxed_delay_s: float = 0.2
    relaxed_bytes_max: int = 256 * 1024 * 1024
    sync_threads: int = 4
    maintenance_interval_s: float = 1.0
    maintenance_patience_s: float = 30.0
    busy_bytes_per_s: float = 16 * 1024 * 1024
    maintenance_bytes_per_s: float | None = 512 * 1024 * 1024
    background: bool = True
