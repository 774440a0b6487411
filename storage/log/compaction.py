"""Compaction: keep the last record of every key, among closed segments.

What is never touched: the segment that is appended to, segments with a record younger than ``min.compaction.lag.ms``
(``SegmentState.timestamp_max``), and all behind the first of these.  Offsets stay: there are gaps afterwards.  Records
without a key stay.

A pass reads the keys of the segments that are new since the last one, up to `KEY_BYTES_MAX` of distinct keys and `ROWS_MAX`
records, which bounds its memory; what is left waits for the next pass.  Records before it that have one of these keys go,
and of the new ones all but the last of each key.

A tombstone is kept for ``delete.retention.ms`` after the first pass that saw it (``SegmentState.cleaned_ms``), so that a
reader who is behind sees the deletion; then it goes too, with the next pass.  Its own timestamp does not count: it may be an
event's, long past.  Kafka has the same rule since version 3 (KIP-534).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..files import Files
from .manifest import SegmentState
from .partition import Partition
from .protocol import TopicConfig
from .rewriting import Pace, Rewriter, scan

if TYPE_CHECKING:
    from .local import LocalLog

__all__ = ["compact"]

KEY_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of the distinct keys of one pass."""

ROWS_MAX = 64_000_000
"""New records of one pass: each takes 8 bytes while it runs."""

_ENCODE_ROWS_MIN = 262_144
"""Keys looked up at once: every look-up hashes the keys known so far again, so there have to be about as many new ones."""

_Bools = npt.NDArray[np.bool_]
_Int64s = npt.NDArray[np.int64]


def compact(
    log: LocalLog,
    files: Files,
    partition: Partition,
    config: TopicConfig,
    sealed: Sequence[SegmentState],
    now_ms: int | None,
    pace: Pace,
) -> bool:
    """One pass, if it is due: the segments that are new have grown as large as those that were compacted before, so at
    most half of the work is done again.

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
    known = _Keys()
    taken, kept_new = _last_of_each_key(partition, config, new, known, pace)
    kept_clean = [_without(partition, config, s, known, _tombstones_end(s, config, now_ms), pace) for s in clean]
    states = [*clean, *taken]
    times = [_cleaned_ms(s, config, now_ms) for s in clean] + [-1 if now_ms is None else now_ms] * len(taken)
    rewriter = Rewriter(log, files, partition, config, states, pace, cleaned=True)
    rewriter.run([*kept_clean, *kept_new], times)
    return True


def _old_enough(sealed: Sequence[SegmentState], config: TopicConfig, now_ms: int | None) -> list[SegmentState]:
    """The segments before the first that has a record younger than the topic's lag."""
    if config.min_compaction_lag_ms == 0:
        return list(sealed)
    if now_ms is None:
        return []
    ready: list[SegmentState] = []
    for state in sealed:
        if state.timestamp_max > now_ms - config.min_compaction_lag_ms:
            break
        ready.append(state)
    return ready


def _tombstones_end(state: SegmentState, config: TopicConfig, now_ms: int | None) -> bool:
    """Whether the tombstones of a segment that was compacted before have been kept long enough."""
    return now_ms is not None and 0 <= state.cleaned_ms <= now_ms - config.delete_retention_ms


def _cleaned_ms(state: SegmentState, config: TopicConfig, now_ms: int | None) -> int:
    """What a segment says after the pass: when it was first compacted, as long as that matters for tombstones."""
    if now_ms is None or state.cleaned_ms > now_ms:  # the clock was set back: they stay for the whole time again
        return -1 if now_ms is None else now_ms
    if _tombstones_end(state, config, now_ms):
        return now_ms
    return now_ms if state.cleaned_ms < 0 else state.cleaned_ms


class _Keys:
    """Distinct keys, numbered as they come."""

    def __init__(self) -> None:
        self._known: Any = pa.array([], pa.binary())

    def __len__(self) -> int:
        return len(self._known)

    @property
    def size_bytes(self) -> int:
        return int(self._known.nbytes)

    def codes(self, keys: Any, *, grow: bool) -> _Int64s:
        """The number of each key; -1 for a null, and (without ``grow``) for one that is not known."""
        encoded = pa.chunked_array([self._known, keys]).dictionary_encode().combine_chunks()
        before = len(self._known)
        found = encoded.indices.slice(before).fill_null(-1)
        codes: _Int64s = np.asarray(found.to_numpy(zero_copy_only=False), np.int64)
        if grow:
            self._known = encoded.dictionary
        else:
            codes = np.where(codes < before, codes, -1)
        return codes


def _pieces(
    partition: Partition, config: TopicConfig, state: SegmentState, known: _Keys, pace: Pace
) -> Iterator[tuple[Any, _Bools]]:
    """Keys of a segment and where there are tombstones, so many at a time that looking them up pays."""
    keys: list[Any] = []
    tombstones: list[Any] = []
    rows = 0
    fields: list[str] | None = None if config.value_type is None else []
    for records in scan(partition.segment_of(state), config, pace, fields):
        n = len(records)
        keys.append(pa.nulls(n, pa.binary()) if records.keys is None else records.keys)
        tombstones.append(np.asarray(records.values.is_null()))
        rows += n
        if rows >= max(_ENCODE_ROWS_MIN, len(known)):
            yield pa.concat_arrays(keys), np.concatenate(tombstones)
            keys, tombstones, rows = [], [], 0
    if keys:
        yield pa.concat_arrays(keys), np.concatenate(tombstones)


def _last_of_each_key(
    partition: Partition, config: TopicConfig, new: Sequence[SegmentState], known: _Keys, pace: Pace
) -> tuple[list[SegmentState], list[_Bools]]:
    """The segments of this pass, and which of their records stay."""
    taken: list[SegmentState] = []
    codes: list[list[_Int64s]] = []
    last = np.zeros(0, np.int64)
    row = 0
    for state in new:
        if taken and (known.size_bytes > KEY_BYTES_MAX or row > ROWS_MAX):
            break
        taken.append(state)
        codes.append([])
        for keys, _ in _pieces(partition, config, state, known, pace):
            found = known.codes(keys, grow=True)
            if len(last) < len(known):
                last = np.concatenate([last, np.full(len(known) - len(last), -1, np.int64)])
            keyed = np.flatnonzero(found >= 0)
            last[found[keyed]] = row + keyed  # of equal numbers the later one counts
            codes[-1].append(found)
            row += len(found)
    keep: list[_Bools] = []
    row = 0
    for pieces in codes:
        mine = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
        rows = np.arange(row, row + len(mine))
        keep.append((mine < 0) | (last[mine] == rows) if len(last) else mine < 0)
        row += len(mine)
    return taken, keep


def _without(
    partition: Partition, config: TopicConfig, state: SegmentState, known: _Keys, tombstones_end: bool, pace: Pace
) -> _Bools:
    """Which records of a segment that was compacted before stay: those whose key has not come again."""
    keep = [np.zeros(0, np.bool_)]
    for keys, tombstones in _pieces(partition, config, state, known, pace):
        stay = known.codes(keys, grow=False) < 0
        if tombstones_end:
            stay &= ~tombstones | np.asarray(keys.is_null())
        keep.append(stay)
    return np.concatenate(keep)
