"""What is due for a partition: closing a segment for its age, retention, compaction, merging of small frames.

All of it changes the set of a partition's segments by journal entries (`SegmentsReplaced`).  New files are written and
synced before the entry, old ones removed after it; see `rewriting`.
"""

from __future__ import annotations

from .....errors import StorageError
from ...protocol import TopicConfig
from ..manifest import SegmentsReplaced, SegmentState
from ..segments.partition import Partition
from .compaction import compact
from .rewriting import Kept, RateLimiter, Rewriter, restate
from .subject import Maintained

__all__ = ["maintain_partition"]

_SMALL_FRAME_ROWS = 1024
"""Sealed segments whose frames have fewer rows on average are rewritten with large ones."""


def maintain_partition(
    log: Maintained, partition: Partition, config: TopicConfig, now_ms: int | None, limiter: RateLimiter
) -> None:
    """Do what is due for one partition.

    Raises:
        StorageError: a file is damaged, or the disk is full.
        Interrupted: the log is being closed.
    """
    seen = partition.view.segments
    timed = now_ms is not None and (config.segment_ms is not None or config.retention_ms is not None)
    if not seen or (len(seen) == 1 and not timed and not partition.state.segments[0].sealed):
        return  # most of the partitions of a topic that has thousands
    try:
        _maintain(log, partition, config, now_ms, limiter)
    except StorageError:
        if not log.state.is_gone(partition) and partition.view.segments[: len(seen)] == seen:
            raise  # otherwise the files went away under us, which is not an error: next time


def _maintain(log: Maintained, partition: Partition, config: TopicConfig, now_ms: int | None, limiter: RateLimiter) -> None:
    if config.segment_ms is not None and now_ms is not None:
        _close_for_age(log, partition, config.segment_ms, now_ms)
    if "delete" in config.cleanup_policy:
        _retain(log, partition, config, now_ms)
    sealed = [s for s in tuple(partition.state.segments) if s.sealed]
    if "compact" in config.cleanup_policy and compact(log, partition, config, sealed, now_ms, limiter):
        return
    for state in sealed:
        if not state.merged and not state.cleaned:
            _merge(log, partition, config, state, limiter)


def _close_for_age(log: Maintained, partition: Partition, segment_ms: int, now_ms: int) -> None:
    """``segment.ms``: so that retention and compaction reach what a quiet topic holds.

    A segment's age counts from when maintenance first saw it with records, which is noted with the segment and so outlives
    the process.
    """
    segments = partition.state.segments
    state = segments[-1] if segments else None
    if state is None or state.sealed or state.end == state.base:
        return
    if state.opened_ms < 0 or state.opened_ms > now_ms:  # new, or the clock was set back
        restate(log, partition, state, opened_ms=now_ms)
    elif now_ms - state.opened_ms >= segment_ms:
        restate(log, partition, state, sealed=True)


def _retain(log: Maintained, partition: Partition, config: TopicConfig, now_ms: int | None) -> None:
    """Apply ``retention.bytes`` and ``retention.ms``: remove whole segments, oldest first; the open one only by time."""
    if _expired(partition, config, now_ms) == 0:
        return
    with log.committer.write_lock:
        if log.state.is_gone(partition):
            return
        segments = partition.state.segments
        count = _expired(partition, config, now_ms)
        if count == 0:
            return
        gone = list(segments[:count])
        doomed = {partition.segment_of(s) for s in gone}
        start = max(partition.state.start, gone[-1].end)
        keys = [(s.base, s.generation) for s in gone]
        log.committer.record(SegmentsReplaced(partition.topic, partition.number, start, keys, []))
        log.committer.forget_segments(doomed)
    for segment in doomed:
        segment.remove()


def _expired(partition: Partition, config: TopicConfig, now_ms: int | None) -> int:
    """How many segments at the front retention removes.

    As in Kafka it stops at the first segment that has to stay, so a record with a timestamp in the future also keeps all
    segments behind it.
    """
    segments = tuple(partition.state.segments)
    count = 0
    if config.retention_bytes is not None:
        total = sum(s.length for s in segments)
        while count < len(segments) - 1 and total - segments[count].length >= config.retention_bytes:
            total -= segments[count].length
            count += 1
    if config.retention_ms is not None and now_ms is not None:
        while count < len(segments) and segments[count].timestamp_max < now_ms - config.retention_ms:
            count += 1
    return count


def _merge(log: Maintained, partition: Partition, config: TopicConfig, state: SegmentState, limiter: RateLimiter) -> None:
    """Merge small frames into large ones.  A segment without small frames is only marked as merged."""
    segment = partition.segment_of(state)
    frames = len(segment.index())
    if frames <= 1 or (state.end - state.base) / frames >= _SMALL_FRAME_ROWS:
        segment.store_index(log.settings.index_frames_min)
        restate(log, partition, state, merged=True)
        return
    Rewriter(log, partition, config, [state], limiter).run(lambda _, records: [Kept(records, None, False, -1)])
