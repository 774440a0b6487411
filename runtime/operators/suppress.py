"""EMIT FINAL: finds the windows that stream time closes, and the rows that close them.

As in Kafka Streams since 3.3, a windowed aggregation holds its results back and puts a window out when it closes: right
after the row whose timestamp moved stream time that far, windows in order of time and then of their keys.  A window puts out
exactly one row, and nothing is put out without a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...storage.state.expiry import ExpiryQueue
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.order import key_ranks
from ...storage.state.store import StateField
from ..batch import Int64s
from ..metrics import Waiting

PUT_OUT: Final = "PUT_OUT"
"""Whether a window has been put out; pull queries see no others.  It is the last field of its store."""


def put_out_field() -> StateField:
    return StateField(PUT_OUT, np.dtype(np.bool_), pa.bool_(), False)


class ClosingWindows:
    """Returns each window of a store when it closes, and again when it expires.

    The store expires by an instant of the window (its start, or a session's end), which also decides when the window closes.

    Args:
        store: it has the field `PUT_OUT`, which the caller writes.
        instants: returns that instant of live slots.
    """

    def __init__(self, store: KeyedStore, instants: Callable[[Int64s], Int64s]) -> None:
        self._store = store
        self._instants = instants
        self._kept = ExpiryQueue(instants)

    def closed(self, before: int, already: int) -> Int64s:
        """Slots of the windows with an instant below ``before`` that were not returned as closed before.

        After a restart the store returns windows again that had closed before: those below ``already``.
        """
        slots = self._store.expired(before)
        instants = self._instants(slots)
        self._kept.add(slots, instants)
        before_now = slots[instants < already]
        if len(before_now):  # of a version that did not note it
            unmarked = before_now[~self._store.read(PUT_OUT, before_now)]
            self._store.write(PUT_OUT, unmarked, np.ones(len(unmarked), np.bool_))
        return slots[instants >= already]

    def expired(self, before: int) -> Int64s:
        """Slots of closed windows with an instant below ``before``, each once; the caller removes them."""
        return self._kept.due(before)


def held_back(due: Int64s, stream_time: int) -> Waiting | None:
    """What is not put out yet; ``due``: the stream times at which each kept window is put out."""
    due = due[due > stream_time]
    return Waiting(len(due), stream_time, int(due.min())) if len(due) else None


def emission_order(rows: Int64s, instants: Sequence[Int64s], keys: Sequence[Any]) -> Int64s:
    """The order in which closing windows are put out: by the row that closes them, their instants, their keys."""
    order: Int64s = np.lexsort([*reversed(key_ranks(keys)), *reversed(instants), rows])
    return order
