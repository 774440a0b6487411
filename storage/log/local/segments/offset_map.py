"""Key -> the last offset that has it, in bounded memory: what compaction knows about the records that it has seen.

As in Kafka's offset map, a key is known by a hash of 128 bits and nothing else, so an entry takes 24 bytes however long
the key is, and nothing is compared.  The hash is drawn anew for every map: which keys would collide is not the same
twice, and cannot be arranged.  Among ten million keys two collide with a probability of about 1e-25; see
docs/decisions/compaction.md.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from ...protocol import Int64s

__all__ = ["OffsetMap"]

_SLOTS_MIN = 1 << 12
_WORDS_MAX = 32
"""Longer keys (in words of 8 bytes) are hashed one by one: their columns would be short and many."""
_MASKS = np.array([(1 << (8 * i)) - 1 for i in range(9)], np.uint64)
_LENGTHS = np.uint64(0x9E3779B97F4A7C15)
"""Spreads the length over the word that it begins with: any odd number does."""

Hashes = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]


class OffsetMap:
    """Open addressing over columns; at most half full, so a key takes 48 bytes or more.

    Args:
        keys_max: how many it holds at most.
    """

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._used = 0
        self._secret = secrets.token_bytes(32)
        drawn = np.frombuffer(secrets.token_bytes(48), np.uint64)
        self._seeds = drawn[:2]
        self._factors = drawn[2:] | np.uint64(1)
        self._make(_SLOTS_MIN)

    def _make(self, slots: int) -> None:
        self._mask = np.int64(slots - 1)
        self._table = np.zeros((slots, 3), np.uint64)
        """Both halves of a key's hash (the first never 0) and its last offset, plus 1; zeros where there is no key.  One
        array, so that a key costs one cache miss."""

    def __len__(self) -> int:
        return self._used

    # --------------------------------------------------------------------------------------------------- hashing

    def hashes(self, keys: Any) -> Hashes:
        """The two halves of every key's hash, for binary[n] keys; the hash of a null has no meaning."""
        n = len(keys)
        if n == 0:
            return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        offsets = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset : keys.offset + n + 1].astype(np.int64)
        data_buffer = keys.buffers()[2]
        data = (
            np.frombuffer(data_buffer, np.uint8) if data_buffer is not None and data_buffer.size else np.zeros(0, np.uint8)
        )
        first, last = int(offsets[0]), int(offsets[-1])
        padded = np.zeros(last - first + 8, np.uint8)  # a word may be read where it begins, up to the very end
        padded[: last - first] = data[first:last]
        words: npt.NDArray[np.uint64] = np.ndarray((len(padded) - 7,), "<u8", padded.data, strides=(1,))
        starts = offsets[:-1] - first
        lengths = np.diff(offsets)
        counts = np.maximum((lengths + 7) >> 3, 1)  # of an empty key, too: alone or beside others it has the same hash
        longest = int(counts.max())
        order = None
        if longest > 1 and int(counts.min()) != longest:  # longest first: those not yet at their end are a prefix
            order = np.argsort(-counts, kind="stable")
            starts, lengths, counts = starts[order], lengths[order], counts[order]
        low = self._seeds[0] ^ (lengths.astype(np.uint64) * _LENGTHS)
        high = self._seeds[1] ^ (lengths.astype(np.uint64) * _LENGTHS)
        for i in range(min(longest, _WORDS_MAX)):
            count = n if order is None else int(np.searchsorted(-counts, -i, side="left"))
            rest = lengths[:count] - 8 * i
            word = words.take(starts[:count] + 8 * i) & _MASKS.take(np.minimum(rest, 8))
            _mix(low[:count], word, self._factors[0], self._factors[1])
            _mix(high[:count], word, self._factors[2], self._factors[3])
        if longest > _WORDS_MAX:
            for row in np.flatnonzero(counts > _WORDS_MAX).tolist():
                place = int(starts[row])
                digest = blake2b(padded[place : place + int(lengths[row])].data, digest_size=16, key=self._secret).digest()
                low[row], high[row] = np.frombuffer(digest, np.uint64)
        low ^= low >> np.uint64(32)
        high ^= high >> np.uint64(32)
        low[low == 0] = 1
        if order is None:
            return low, high
        found = np.empty(n, np.uint64), np.empty(n, np.uint64)
        found[0][order], found[1][order] = low, high
        return found

    # ----------------------------------------------------------------------------------------------------- the table

    def room(self, wanted: int) -> int:
        """How many rows ``put`` may take: ``wanted``, or fewer if the map is nearly full."""
        wanted = min(wanted, self._keys_max - self._used)
        slots = len(self._table)
        while 2 * (self._used + wanted) > slots:
            slots *= 2
        if slots > len(self._table):
            full = self._table[self._table[:, 0] != 0]
            self._make(slots)
            self._used = 0
            self.put((full[:, 0], full[:, 1]), full[:, 2].astype(np.int64) - 1)
        return wanted

    def put(self, hashes: Hashes, offsets: Int64s) -> None:
        """Note the offset of each key.  Offsets ascend, also from call to call; at most `room` rows."""
        low, high = hashes
        slots = low.astype(np.int64) & self._mask
        found = self._table.take(slots, axis=0)
        pending = np.flatnonzero((found[:, 0] != low) | (found[:, 1] != high))
        while len(pending):
            at = slots[pending]
            free = self._table[at, 0] == 0
            takers, taken = pending[free], at[free]
            if len(takers):
                self._table[taken, 0] = low[takers]  # of several rows the last one gets the slot, here and below
                self._table[taken, 1] = high[takers]
                numbers = np.arange(len(takers), dtype=np.uint64)
                self._table[taken, 2] = numbers
                self._used += int(np.count_nonzero(self._table[taken, 2] == numbers))
            rows = self._table.take(at, axis=0)
            pending = pending[(rows[:, 0] != low[pending]) | (rows[:, 1] != high[pending])]
            at = slots[pending] = (slots[pending] + 1) & self._mask
            rows = self._table.take(at, axis=0)
            pending = pending[(rows[:, 0] != low[pending]) | (rows[:, 1] != high[pending])]
        self._table[slots, 2] = offsets + 1  # ascending, so the last one of a key stays

    def noted(self) -> Int64s:
        """The last offset of every key, ascending."""
        offsets: Int64s = self._table[self._table[:, 0] != 0, 2].astype(np.int64) - 1
        offsets.sort()
        return offsets

    def last(self, hashes: Hashes) -> Int64s:
        """The offset noted last for each key; -1 for a key that is not known."""
        low, high = hashes
        slots = low.astype(np.int64) & self._mask
        rows = self._table.take(slots, axis=0)
        found = rows[:, 2].astype(np.int64) - 1
        pending = np.flatnonzero((rows[:, 0] != 0) & ((rows[:, 0] != low) | (rows[:, 1] != high)))
        while len(pending):
            slots[pending] = at = (slots[pending] + 1) & self._mask
            rows = self._table.take(at, axis=0)
            found[pending] = rows[:, 2].astype(np.int64) - 1
            pending = pending[(rows[:, 0] != 0) & ((rows[:, 0] != low[pending]) | (rows[:, 1] != high[pending]))]
        return found


def _mix(state: npt.NDArray[np.uint64], word: npt.NDArray[np.uint64], factor: np.uint64, other: np.uint64) -> None:
    """Take a word into the state, in place.

    The upper bits are folded down before each multiplication.  So the random factors spread a difference in any bit over
    the whole word, and no difference in the next word is certain to cancel it.
    """
    state ^= word
    state ^= state >> np.uint64(32)
    state *= factor
    state ^= state >> np.uint64(29)
    state *= other
