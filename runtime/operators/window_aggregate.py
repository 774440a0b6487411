"""GROUP BY over tumbling and hopping windows.

A row at 7 in windows of 10 that advance by 5, grace 5::

    0    5   7  10   15   20
    |--------*---|                [0, 10)   takes rows while stream time < 15
         |---*--------|           [5, 15)   takes rows while stream time < 20
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ...storage.state.scalar_store import ScalarStore
from ...storage.state.store import StateStore
from ..batch import Batch, Int64s, empty_batch, moment
from ..metrics import Waiting
from ..windows import TimeWindows, running_stream_times
from .aggregate import rowtime_field
from .base import Operator, OperatorContext
from .group_states import NO_TIME, ROWTIME, WINDOWSTART, BoundAggregator, GroupStates, Updates, closed_batch, output_batch
from .panes import Panes
from .suppress import PUT_OUT, ClosingWindows, emission_order, held_back, put_out_field

STORE = "windows"
STREAM_TIME = "STREAM_TIME"


class WindowAggregate(Operator):
    """Keeps one row per group and window.

    A row counts for every window that contains its timestamp and is still open: ``end > stream time - grace``, where stream
    time, the largest timestamp so far, includes the row.  A row that no window takes is late; it is only counted.

    EMIT CHANGES puts out the updated window for every row and window, ascending by start.  EMIT FINAL (``final``) puts each
    window out once, at the row that closes it, however far ahead that row is; pull queries see it from then on. Without
    ``emit_expired`` that holds only for windows still retained then, as in ksqlDB: a window that starts more than
    ``retention_ms`` before the latest window of the closing row is lost.  So input that pauses for longer than a window
    loses windows.

    The output's timestamp is the largest of the window's rows.  A window is removed from the store when it starts more than
    ``retention_ms`` before the latest window.

    Args:
        schema: group keys, one column per call, then ``extras``.
        key_count: of the input, and of the schema.
        calls: the aggregates.
        retention_ms: at least size + grace, which is also the default.
        final: EMIT FINAL.
        emit_expired: see above.
        before: the output carries ``before`` images (HAVING needs them).
        extras: which of ROWTIME, WINDOWSTART and WINDOWEND the output has as columns.
    """

    def __init__(
        self,
        context: OperatorContext,
        schema: pa.Schema,
        key_count: int,
        calls: Sequence[BoundAggregator],
        windows: TimeWindows,
        *,
        retention_ms: int | None = None,
        final: bool = False,
        emit_expired: bool = True,
        before: bool = False,
        extras: Sequence[str] = (),
    ) -> None:
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._windows = windows
        self._retention_ms = max(retention_ms or 0, windows.size_ms + windows.grace_ms)
        self._final = final
        self._emit_expired = emit_expired
        self._before = before
        self._extras = tuple(extras)
        keys = pa.schema([*(schema.field(i) for i in range(key_count)), pa.field(WINDOWSTART, pa.int64())])
        extra = [rowtime_field(), put_out_field()] if final else [rowtime_field()]
        self._states = GroupStates(STORE, keys, calls, extra, expiry=WINDOWSTART)
        self._scalars = ScalarStore("time", {STREAM_TIME: NO_TIME})
        self._advance_to = NO_TIME
        self._closing = ClosingWindows(self._states.store, self._starts)
        self._panes = Panes(self._states, windows)

    @property
    def stores(self) -> Sequence[StateStore]:
        return (self._states.store, self._scalars)

    def _starts(self, slots: Int64s) -> Int64s:
        return np.asarray(self._states.store.keys_of(slots)[-1].to_numpy(), np.int64)

    def advance(self, time_ms: int) -> None:
        """See `Operator`."""
        self._advance_to = time_ms

    def waiting(self) -> Waiting | None:
        """See `Operator`."""
        if not self._final:
            return None
        starts = self._starts(self._states.store.snapshot().index.slots())
        return held_back(self._windows.closing_times(starts), self._scalars[STREAM_TIME])

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        self.context.counters.rows_in += len(batch)
        time_before = self._scalars[STREAM_TIME]
        if not len(batch) and self._advance_to > time_before:
            return self._pass_time(batch, time_before)
        if not len(batch):
            return self._nothing()
        times = running_stream_times(batch.timestamps, time_before)
        self.note_lateness(batch.timestamps, times)
        output = self._updated(batch, times, time_before)
        self._scalars[STREAM_TIME] = int(times[-1])
        if self._final:
            output = self._close(batch, times, time_before)
        self._expire(int(times[-1]))
        self.context.counters.rows_out += len(output)
        return output

    def _pass_time(self, batch: Batch, time_before: int) -> Batch:
        """Close and expire windows as a row at the new time would."""
        passed = moment(batch.schema, batch.key_count, self._advance_to)
        output = self._nothing()
        self._scalars[STREAM_TIME] = self._advance_to
        if self._final:
            output = self._close(passed, passed.timestamps, time_before)
        self._expire(self._advance_to)
        self.context.counters.rows_out += len(output)
        return output

    def _updated(self, batch: Batch, times: Int64s, time_before: int) -> Batch:
        """The updates that a batch makes.

        Args:
            times: stream time right after each row.
        """
        starts = self._windows.all_in_time(batch.timestamps, time_before)
        if starts is not None:
            return self._update(batch, None, starts)
        by_panes = self._by_panes(batch, int(times[-1]))
        return self._by_rows(batch, times) if by_panes is None else by_panes

    def _by_rows(self, batch: Batch, times: Int64s) -> Batch:
        """Process one entry per pair of row and window, without those that are late.

        Args:
            times: stream time right after each row.
        """
        rows, starts = self._windows.assign(batch.timestamps)
        accepted = self._windows.accepted(starts, times[rows])
        if not accepted.all():
            rows, starts = rows[accepted], starts[accepted]
        if len(rows) == len(batch) and bool((rows == np.arange(len(rows))).all()):
            return self._update(batch, None, starts)
        taken = np.zeros(len(batch), np.bool_)
        taken[rows] = True
        self.leave_out_late(batch, np.flatnonzero(~taken), "its windows are closed")
        return self._update(batch, rows, starts)

    def _update(self, batch: Batch, rows: Int64s | None, starts: Int64s) -> Batch:
        """Add entries of a row (None: each row is one) and a window."""
        columns, timestamps = batch.columns, batch.timestamps
        if rows is not None:
            index = pa.array(rows)
            columns, timestamps = tuple(c.take(index) for c in columns), timestamps[rows]
        updates = self._states.update(
            [*columns[: self._key_count], pa.array(starts)],
            columns,
            timestamps,
            every=self.context.every_update,
            before=self._before,
            emit=not self._final,
        )
        if updates is None:
            return self._nothing()
        starts = starts[updates.rows]
        return self._output(batch, updates if rows is None else replace(updates, rows=rows[updates.rows]), starts)

    def _by_panes(self, batch: Batch, stream_time: int) -> Batch | None:
        """Like `_by_rows`, but by panes, where that is possible and pays off."""
        if (self.context.every_update and not self._final) or not self._panes.fits(batch.timestamps, stream_time):
            return None
        done = self._panes.update(batch.keys, batch.columns, batch.timestamps, before=self._before, emit=not self._final)
        if done is None:
            return None
        return self._nothing() if done.updates is None else self._output(batch, done.updates, done.starts)

    def _nothing(self) -> Batch:
        return empty_batch(self._schema, self._key_count, windowed=True, before=self._before)

    def _output(self, batch: Batch, updates: Updates, starts: Int64s) -> Batch:
        """Put out updates, each at a row of the batch, of the windows with these starts."""
        self.report_results(batch, updates.rows, updates.failures)
        return output_batch(
            batch,
            self._schema,
            self._key_count,
            updates.rows,
            updates.results,
            updates.timestamps,
            self._extras,
            bounds=(starts, self._windows.ends(starts)),
            before=updates.before,
            before_absent=updates.before_absent,
        )

    def _close(self, batch: Batch, times: Int64s, time_before: int) -> Batch:
        """Put out the windows that this batch's rows close, each at the row that closes it."""
        length_ms = self._windows.size_ms + self._windows.grace_ms
        slots = self._closing.closed(int(times[-1]) - length_ms + 1, time_before - length_ms + 1)
        starts = self._starts(slots)
        rows = np.searchsorted(times, self._windows.closing_times(starts))
        if not self._emit_expired:
            retained = starts >= self._windows.latest_starts(times[rows]) - self._retention_ms
            slots, starts, rows = slots[retained], starts[retained], rows[retained]
        order = emission_order(rows, [starts], self._states.store.keys_of(slots)[: self._key_count])
        slots, starts, rows = slots[order], starts[order], rows[order]
        self._states.store.write(PUT_OUT, slots, np.ones(len(slots), np.bool_))
        results, failures = self._states.evaluated(self._states.read(slots))
        self.report_results(batch, rows, failures)
        return closed_batch(
            batch,
            self._schema,
            self._key_count,
            rows,
            self._states.store.keys_of(slots),
            results,
            self._states.store.read(ROWTIME, slots),
            (starts, self._windows.ends(starts)),
            self._extras,
            before=self._before,
        )

    def _expire(self, stream_time: int) -> None:
        oldest = stream_time - stream_time % self._windows.advance_ms - self._retention_ms
        slots = self._closing.expired(oldest) if self._final else self._states.store.expired(oldest)
        self._states.store.remove(slots)
        self.context.counters.expired += len(slots)
