"""Compaction: keep the last record of every key, among closed segments.

A pass never touches the segment that is appended to, nor segments with a record younger than ``min.compaction.lag.ms``
(``SegmentState.timestamp_max``), nor any segment behind the first of these.  Records keep their offsets, so there are gaps
afterwards.  Records without a key stay.

As Kafka's cleaner, a pass first notes the last offset of every key in the segments that are new since the last one, then
writes all of them and the older ones again, without the records that these offsets supersede.  It notes up to
`COMPACTION_KEYS_MAX` distinct keys; new segments beyond that wait for the next pass.

A tombstone is kept for ``delete.retention.ms`` after the first pass that saw it (``SegmentState.cleaned_ms``), so that a
reader who is behind sees the deletion; then it goes too, with the next pass.  Its own timestamp does not count: it may be an
event's, long past.  Kafka has the same rule since version 3 (KIP-534).  The instant is rounded up to an eighth of that time,
so that segments of different age stay few; a tombstone may stay so much longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import numpy as np
import pyarrow as pa

from .....limits import COMPACTION_KEYS_MAX
from ...protocol import FetchedRecords, TopicConfig
from ..manifest import SegmentState
from ..segments.offset_map import OffsetMap
from ..segments.partition import Partition
from .rewriting import Kept, RateLimiter, Rewriter, scan, sliced
from .subject import Maintained

__all__ = ["compact"]

_AGES = 8
"""Into how many steps ``delete.retention.ms`` is divided to tell segments by age."""


def compact(
    log: Maintained,
    partition: Partition,
    config: TopicConfig,
    sealed: Sequence[SegmentState],
    now_ms: int | None,
    limiter: RateLimiter,
) -> bool:
    """One pass, if it is due: the segments that are new have grown as large as those that were compacted before, so at
    most half of the work is done again (Kafka's ``min.cleanable.dirty.ratio`` of 0.5).

    Args:
        sealed: the closed segments, in order.
        now_ms: None leaves out what depends on it: a lag, the end of tombstones.

    Returns:
        whether there was a pass.

    Raises:
        StorageError: a file is damaged, or the disk is full.
        Interrupted: the log is being closed.
    """
    ready = _old_enough(sealed, config, now_ms)
    clean = [s for s in ready if s.cleaned]
    new = [s for s in ready if not s.cleaned]
    size = sum(s.length for s in new)
    if not size or size < sum(s.length for s in clean):
        return False
    offsets = OffsetMap(COMPACTION_KEYS_MAX)
    count, end = _note(offsets, partition, config, new, limiter)
    noted = offsets.noted()

    def choose(state: SegmentState, records: FetchedRecords) -> list[Kept]:
        cleaned_ms, over = _age(state, config, now_ms)
        inside = int(np.searchsorted(records.offsets, end))
        found: list[Kept] = []
        if inside:
            part = sliced(records, 0, inside)
            keep = np.ones(inside, np.bool_)
            if part.keys is not None:
                if state.cleaned:
                    keep = offsets.last(offsets.hashes(part.keys)) <= part.offsets
                else:  # its keys were noted: the last offset of each is what stays
                    some = noted[slice(*np.searchsorted(noted, (part.offsets[0], part.offsets[-1] + 1)))]
                    keep = np.zeros(inside, np.bool_)
                    keep[np.searchsorted(part.offsets, some)] = True
                if over:
                    keep &= ~np.asarray(part.values.is_null())
                if part.keys.null_count:
                    keep |= np.asarray(part.keys.is_null())
            found.append(Kept(part, keep, True, cleaned_ms))
        if inside < len(records):  # its keys are not known: it waits
            found.append(Kept(sliced(records, inside, len(records)), None, False, -1))
        return found

    Rewriter(log, partition, config, [*clean, *new[:count]], limiter).run(choose)
    return True


def _old_enough(sealed: Sequence[SegmentState], config: TopicConfig, now_ms: int | None) -> list[SegmentState]:
    """The segments before the first that has a record younger than the topic's lag."""
    if config.min_compaction_lag_ms == 0:
        return list(sealed)
    if now_ms is None:
        return []
    youngest = now_ms - config.min_compaction_lag_ms
    return list(takewhile(lambda s: s.timestamp_max <= youngest, sealed))


def _age(state: SegmentState, config: TopicConfig, now_ms: int | None) -> tuple[int, bool]:
    """When the segment's tombstones were first seen, to be noted after the pass; and whether this pass removes them."""
    step_ms = max(1, config.delete_retention_ms // _AGES)
    met_ms = -1 if now_ms is None else -(-now_ms // step_ms) * step_ms
    known_ms = state.cleaned_ms if state.cleaned else -1
    if known_ms < 0 or (now_ms is not None and known_ms > met_ms):  # or the clock was set back
        return met_ms, False
    if now_ms is not None and known_ms <= now_ms - config.delete_retention_ms:
        return 0, True
    return known_ms, False


def _note(
    offsets: OffsetMap, partition: Partition, config: TopicConfig, new: Sequence[SegmentState], limiter: RateLimiter
) -> tuple[int, int]:
    """Note the keys of new segments while there is room.  Returns how many segments were read, and up to which offset."""
    fields: list[str] | None = None if config.value_type is None else []
    for number, state in enumerate(new):
        for records in scan(partition.segment_of(state), config, limiter, fields):
            start, n = 0, len(records)
            while start < n:
                room = offsets.room(n - start)
                if room < n - start and room <= COMPACTION_KEYS_MAX // 16:
                    end = int(records.offsets[start])
                    return (number if end <= state.base else number + 1), end
                rows = np.arange(start, start + room)
                if records.keys is not None:
                    keys = records.keys.slice(start, room)
                    if keys.null_count:
                        valid = np.flatnonzero(np.asarray(keys.is_valid()))
                        keys, rows = keys.take(pa.array(valid)), rows[valid]
                    offsets.put(offsets.hashes(keys), records.offsets[rows])
                start += room
    return len(new), new[-1].end
