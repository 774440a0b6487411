"""EARLIEST_BY_OFFSET and LATEST_BY_OFFSET of one value, without a Python loop over rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...kernels.gathering import Later, gather, references, take
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Segments, State, StateField
from ...runtime.segmented import final_first, final_last, running_last
from ...runtime.state_values import chosen, picked
from .. import types as t
from .aggregate_values import Codec, mask_of_nulls, object_array, to_objects
from .aggregator_base import AggregatorBase


class OneByOffset(AggregatorBase):
    """The first or the last value in processing order.  NULLs are skipped if ``ignore_nulls``.

    The state has the sequence number of its value: when two sessions are merged, the earlier (or later) value stays.  The
    last value needs no sequence number if states are never merged (``merges`` is false).  Strings and bytes need no flag
    PRESENT.
    """

    nested_state = True

    def __init__(self, type_: t.SqlType, *, latest: bool, ignore_nulls: bool, merges: bool = True) -> None:
        self._type = type_
        self._codec = Codec(type_)
        self._latest = latest
        self._ignore_nulls = ignore_nulls
        self.can_merge = merges
        self.picks_from = 0 if latest else None
        self.result_type = self._codec.result
        self._sequenced = merges or not latest
        self._marked = not self._codec.columnar
        self.fields = (
            *([StateField("SEQUENCE", np.dtype(np.int64), pa.int64(), -1)] if self._sequenced else []),
            self._codec.field("VALUE"),
            *([StateField("PRESENT", np.dtype(np.bool_), pa.bool_(), False)] if self._marked else []),
        )

    def unmerged(self) -> OneByOffset:
        """The same function for states that are never merged."""
        return OneByOffset(self._type, latest=self._latest, ignore_nulls=self._ignore_nulls, merges=False)

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        array = arguments[0]
        nulls = array.may_be_null if isinstance(array, Later) else array.null_count > 0
        if self._latest and not every and not (nulls and self._ignore_nulls):
            return self._last_rows(segments, array), None
        if isinstance(array, Later):
            array = array.all()
        present = ~mask_of_nulls(array)
        seen = present if self._ignore_nulls else np.ones(len(present), np.bool_)
        if self._latest:
            final = final_last(segments, seen)
            running = running_last(segments, seen) if every else None
        else:
            seen = seen & (state[0] < 0)[segments.groups]
            final = final_first(segments, seen)
            running = self._running_first(segments, final) if every else None
        after = self._new_states(state, segments, array, present, np.arange(segments.count), final)
        if running is None:
            return after, None
        return after, self._new_states(state, segments, array, present, segments.groups, running)

    def _last_rows(self, segments: Segments, array: Any) -> State:
        """The states if only the last row of each group counts, whatever the state was before."""
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        last = array.take(segments.last) if isinstance(array, Later) else take(array, segments.last)
        return self._state(lambda: segments.sequence + segments.last, self._codec.decode(last), lambda: ~mask_of_nulls(last))

    def _state(self, sequences: Callable[[], Any], values: Any, present: Callable[[], Any]) -> State:
        """Put together the columns of `fields`."""
        return [*([sequences()] if self._sequenced else []), values, *([present()] if self._marked else [])]

    @staticmethod
    def _running_first(segments: Segments, first: Int64s) -> Int64s:
        rows = first[segments.groups]
        return np.where(rows <= np.arange(len(rows)), rows, -1)

    def _new_states(
        self, state: State, segments: Segments, array: Any, present: Bools, groups: Int64s, rows: Int64s
    ) -> State:
        """The state of each entry of ``groups``: from the row that ``rows`` names, or the group's old state if it names none
        (-1).
        """
        new = rows >= 0
        some = np.where(new, rows, 0)
        if len(array) == 0:
            return [picked(s, groups) for s in state]
        held = state[int(self._sequenced)]
        if self._codec.columnar:
            places = np.where(new, references(1, some), groups)
            values = gather([held, self._codec.decode(array)], places)
        elif self._codec.fixed:
            values = np.where(new, self._codec.decode(array)[some], held[groups])
        else:
            fresh = object_array(to_objects(array.take(pa.array(rows, mask=~new))))
            values = np.where(new, fresh, held[groups])
        return self._state(
            lambda: np.where(new, segments.sequence + rows, state[0][groups]),
            values,
            lambda: np.where(new, present[some], state[-1][groups]),
        )

    def merge(self, left: State, right: State) -> State:
        if self._latest:
            take_left = left[0] >= right[0]
        else:
            take_left = (right[0] < 0) | ((left[0] >= 0) & (left[0] <= right[0]))
        return [chosen(take_left, a, b) for a, b in zip(left, right)]

    def result(self, state: State) -> Any:
        return self._codec.encode(state[-2], state[-1]) if self._marked else state[-1]
