"""GROUP BY over session windows.

Rows of a group at most the gap apart belong to one session; a row may also merge two.  Gap 5, rows at 0, 9 and then 5::

    0 *----.                      session [0, 0]
    9          .----*----.        session [9, 9]
    5      .----*----.            tombstones for [0, 0] and [9, 9], then session [0, 9]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...kernels.sessions import InOrder
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.scalar_store import ScalarStore
from ...storage.state.store import StateField, StateStore
from ..batch import Batch, Int64s, empty_batch, moment
from ..kernel import Segments, State
from ..metrics import Waiting
from ..state_values import joined, replaced
from ..windows import SessionWindows, running_stream_times
from .base import Operator, OperatorContext
from .group_states import (
    NO_TIME,
    WINDOWEND,
    WINDOWSTART,
    BoundAggregator,
    GroupStates,
    closed_batch,
    output_batch,
)
from .session_merges import merge_one_by_one, sessions_in_order
from .session_output import Emissions
from .sessions import SessionWindow
from .suppress import PUT_OUT, ClosingWindows, emission_order, held_back, put_out_field

STORE = "sessions"
STREAM_TIME = "STREAM_TIME"
ROWS_SEEN = "ROWS_SEEN"
LATEST = "LATEST"
EARLIER = "EARLIER"


class SessionAggregate(Operator):
    """Keeps one row per group and session.

    A row merges the sessions that it touches (at most the gap away) into one.  It is late, and counted as such, if the end
    of the merged session is below ``stream time - grace - gap``, where stream time includes the row.

    EMIT CHANGES puts out, for every row, a tombstone for each session that it changed, under that session's old bounds, and
    then the new session.  (There is no tombstone if the row falls on a session of a single instant: the bounds stay.)  If
    only the last update of a step is wanted, it puts out tombstones for bounds that no longer exist, and sessions as they
    are in the end. EMIT FINAL (``final``) puts each session out once, at the first row with stream time - grace - gap above
    its end; pull queries see it from then on.

    The output's timestamp is the session's end.  A session can take a row, and is kept in the store, as long as its end is
    above stream time before that row - ``retention_ms``; with ``final`` as long as it is not put out.

    There are two stores: ``sessions``, by group and start, and ``latest``, with the starts of each group's sessions.
    ``latest`` keeps the start of the session that ends last separately, since in-order input touches only that one.

    Args:
        schema: group keys, one column per call, then ``extras``.
        key_count: of the input, and of the schema; at least 1.
        calls: the aggregates; all must be able to merge.
        retention_ms: more than gap + grace, since a session that ended exactly so long ago still takes rows; 1 ms more is
            also the default.  With ``final`` at least twice gap + grace, so that a session can be read for a while after it
            was put out.
        final: EMIT FINAL.
        before: the output carries ``before`` images (HAVING needs them).
        extras: which of ROWTIME, WINDOWSTART and WINDOWEND the output has as columns.
    """

    def __init__(
        self,
        context: OperatorContext,
        schema: pa.Schema,
        key_count: int,
        calls: Sequence[BoundAggregator],
        windows: SessionWindows,
        *,
        retention_ms: int | None = None,
        final: bool = False,
        before: bool = False,
        extras: Sequence[str] = (),
    ) -> None:
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._windows = windows
        self._open_ms = windows.gap_ms + windows.grace_ms
        self._retention_ms = max(retention_ms or 0, self._open_ms * 2 if final else self._open_ms + 1)
        self._visible_ms = self._open_ms + 1 if final else self._retention_ms
        self._final = final
        self._before = before
        self._extras = tuple(extras)
        keys = [schema.field(i) for i in range(key_count)]
        end = StateField(WINDOWEND, np.dtype(np.int64), pa.int64(), NO_TIME)
        self._states = GroupStates(
            STORE,
            pa.schema([*keys, pa.field(WINDOWSTART, pa.int64())]),
            calls,
            [end, put_out_field()] if final else [end],
            expiry=WINDOWEND,
        )
        self._latest = KeyedStore(
            "latest",
            pa.schema(keys),
            [
                StateField(LATEST, np.dtype(np.int64), pa.int64(), NO_TIME),
                StateField(EARLIER, np.dtype(object), pa.list_(pa.int64()), None),
            ],
        )
        self._scalars = ScalarStore("time", {STREAM_TIME: NO_TIME, ROWS_SEEN: 0})
        self._advance_to = NO_TIME
        self._closing = ClosingWindows(self._states.store, self._ends)

    @property
    def stores(self) -> Sequence[StateStore]:
        return (self._states.store, self._latest, self._scalars)

    def _ends(self, slots: Int64s) -> Int64s:
        ends: Int64s = self._states.store.read(WINDOWEND, slots)
        return ends

    def waiting(self) -> Waiting | None:
        """See `Operator`."""
        if not self._final:
            return None
        ends = self._ends(self._states.store.snapshot().index.slots())
        return held_back(self._windows.closing_times(ends), self._scalars[STREAM_TIME])

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        counters = self.context.counters
        counters.rows_in += len(batch)
        time_before = self._scalars[STREAM_TIME]
        if not len(batch) and self._advance_to > time_before:
            return self._pass_time(batch, time_before)
        if not len(batch):
            return empty_batch(self._schema, self._key_count, windowed=True, before=self._before)
        times = running_stream_times(batch.timestamps, time_before)
        self.note_lateness(batch.timestamps, times)
        emissions = self._take_in(batch, times)
        self._scalars[STREAM_TIME] = int(times[-1])
        self._scalars[ROWS_SEEN] += len(batch)
        if self._final:
            output = self._close(batch, times, time_before)
        else:
            output = self._output(batch, emissions)
        self._expire(int(times[-1]))
        counters.rows_out += len(output)
        return output

    def advance(self, time_ms: int) -> None:
        """See `Operator`."""
        self._advance_to = time_ms

    def _pass_time(self, batch: Batch, time_before: int) -> Batch:
        """Close and expire sessions as a row at the new time would."""
        passed = moment(batch.schema, batch.key_count, self._advance_to)
        output = empty_batch(self._schema, self._key_count, windowed=True, before=self._before)
        self._scalars[STREAM_TIME] = self._advance_to
        if self._final:
            output = self._close(passed, passed.timestamps, time_before)
        self._expire(self._advance_to)
        self.context.counters.rows_out += len(output)
        return output

    # Processing rows

    def _take_in(self, batch: Batch, times: Int64s) -> Emissions:
        latest_slots, _ = self._latest.insert(batch.keys)
        groups, group_slots = self._latest.group(latest_slots)
        segments = Segments(groups, len(group_slots), self._scalars[ROWS_SEEN])
        starts = self._latest.read(LATEST, group_slots)
        keys = self._latest.keys_of(group_slots)
        slots = self._states.store.slots([*keys, pa.array(starts)])
        known = slots >= 0
        ends = np.full(len(slots), NO_TIME, np.int64)
        ends[known] = self._states.store.read(WINDOWEND, slots[known])
        # Whether a session is hidden depends on stream time before the row, as in Kafka Streams' stores.
        hidden_until = np.append(max(self._scalars[STREAM_TIME], NO_TIME + self._visible_ms), times[:-1]) - self._visible_ms
        in_order = sessions_in_order(
            segments,
            batch.timestamps,
            times,
            starts,
            ends,
            self._windows,
            hidden_until,
        )
        emissions = Emissions(self._states, self.context.every_update and not self._final)
        arguments = self._states.arguments(batch.columns)
        if len(in_order.rows):
            self._take_in_order(in_order, segments, arguments, keys, group_slots, slots, emissions)
        others = np.flatnonzero(in_order.other)
        if len(others):
            self._take_in_others(others, batch, times, hidden_until, segments, arguments, keys, group_slots, emissions)
        return emissions

    def _take_in_order(
        self,
        found: InOrder,
        segments: Segments,
        arguments: list[list[Any]],
        keys: list[Any],
        group_slots: Int64s,
        slots: Int64s,
        emissions: Emissions,
    ) -> None:
        """Process the groups whose rows only extend the latest session or begin later ones, all at once."""
        store = self._states.store
        count = len(found.starts)
        initial = self._states.initial(count)
        known = np.flatnonzero(found.continues)
        for state, old in zip(initial, self._states.read(slots[found.groups[known]])):
            state[:] = [replaced(column, known, values) for column, values in zip(state, old)]
        if len(found.rows) < len(segments.groups):
            index = pa.array(found.rows)
            arguments = [[column.take(index) for column in columns] for columns in arguments]
        by_session = Segments(found.sessions, count, segments.sequence)
        final, running = self._states.scan(initial, by_session, arguments, None, emissions.every)
        session_slots = np.empty(count, np.int64)
        session_slots[known] = slots[found.groups[known]]
        new = np.flatnonzero(~found.continues)
        new_keys = [k.take(pa.array(found.groups[new])) for k in keys]
        session_slots[new], _ = store.insert([*new_keys, pa.array(found.starts[new])])
        self._states.write(session_slots, final)
        store.write(WINDOWEND, session_slots, found.ends)
        self._note_starts(found, group_slots)
        if not self._final:
            emissions.add_in_order(found, initial, final, running)

    def _note_starts(self, found: InOrder, group_slots: Int64s) -> None:
        """Store starts: the last new session of each group becomes its latest, and the former latest an earlier one."""
        new = np.flatnonzero(~found.continues)
        groups = found.groups[new]
        last = np.empty(len(new), np.bool_)
        last[-1:] = True
        last[:-1] = groups[1:] != groups[:-1]
        slots = group_slots[groups[last]]
        before = self._latest.read(LATEST, slots)
        self._latest.write(LATEST, slots, found.starts[new[last]])
        firsts = np.flatnonzero(np.append(True, last[:-1])) if len(new) else new
        lasts = np.flatnonzero(last)
        pushed = np.flatnonzero((before != NO_TIME) | (lasts > firsts))
        if not len(pushed):
            return
        earlier = self._latest.read(EARLIER, slots[pushed])
        for i, (group, old) in enumerate(zip(pushed.tolist(), earlier.tolist())):
            starts = [] if before[group] == NO_TIME else [int(before[group])]
            starts += found.starts[new[firsts[group] : lasts[group]]].tolist()
            earlier[i] = [*(old or ()), *starts]
        self._latest.write(EARLIER, slots[pushed], earlier)

    def _take_in_others(
        self,
        groups: Int64s,
        batch: Batch,
        times: Int64s,
        hidden_until: Int64s,
        segments: Segments,
        arguments: list[list[Any]],
        keys: list[Any],
        group_slots: Int64s,
        emissions: Emissions,
    ) -> None:
        """Process the groups with rows that are late or reach earlier sessions, row by row."""
        store = self._states.store
        bounds = np.append(segments.starts, len(segments.order))
        too_late: list[int] = []
        latest = self._latest.read(LATEST, group_slots[groups])
        earlier = self._latest.read(EARLIER, group_slots[groups])
        for i, group in enumerate(groups.tolist()):
            starts: list[int] = sorted([*(earlier[i] or ()), *([] if latest[i] == NO_TIME else [int(latest[i])])])
            key = [k.slice(group, 1) for k in keys]
            repeated = [k.take(pa.array(np.zeros(len(starts), np.int64))) for k in key]
            slots = store.slots([*repeated, pa.array(starts, pa.int64())])
            ends = store.read(WINDOWEND, slots)
            states = self._states.read(slots)
            sessions = [
                SessionWindow(start, int(ends[n]), [[c[n : n + 1] for c in state] for state in states])
                for n, start in enumerate(starts)
            ]
            rows = segments.order[bounds[group] : bounds[group + 1]]
            merged, late = merge_one_by_one(
                self._states,
                sessions,
                rows,
                batch.timestamps,
                times,
                arguments,
                segments.sequence,
                self._windows,
                hidden_until,
                emissions,
            )
            too_late += late
            kept = {s.start for s in merged}
            store.remove(slots[[n for n, start in enumerate(starts) if start not in kept]])
            changed = [s for s in merged if s.changed]
            if changed:
                repeated = [k.take(pa.array(np.zeros(len(changed), np.int64))) for k in key]
                slots, _ = store.insert([*repeated, pa.array([s.start for s in changed], pa.int64())])
                self._states.write(slots, _stacked([s.states for s in changed]))
                store.write(WINDOWEND, slots, np.array([s.end for s in changed], np.int64))
            self._write_starts(group_slots[group : group + 1], merged)
        self.leave_out_late(batch, np.sort(np.array(too_late, np.int64)), "its session is closed")

    def _write_starts(self, slot: Int64s, sessions: list[SessionWindow]) -> None:
        """Store starts row by row.

        The latest session is the one that ends last: a hidden one may lie inside of an older one.
        """
        if not sessions:
            self._latest.remove(slot)
            return
        latest = max(sessions, key=lambda s: (s.end, s.start))
        earlier = np.empty(1, object)
        earlier[0] = [s.start for s in sessions if s is not latest] or None
        self._latest.write(LATEST, slot, np.array([latest.start], np.int64))
        self._latest.write(EARLIER, slot, earlier)

    # Putting sessions out

    def _output(self, batch: Batch, emissions: Emissions) -> Batch:
        e = emissions.collected()
        self.report_results(batch, e.rows, e.failures)
        results = [r.take(e.result_index) for r in e.results]
        before = [r.take(e.before_index) for r in e.results] if self._before else None
        return output_batch(
            batch,
            self._schema,
            self._key_count,
            e.rows,
            results,
            e.ends,
            self._extras,
            bounds=(e.starts, e.ends),
            tombstones=e.tombstones if e.tombstones.any() else None,
            before=before,
            before_absent=e.before_absent if self._before else None,
        )

    def _close(self, batch: Batch, times: Int64s, time_before: int) -> Batch:
        """Put out the sessions that this batch's rows close, each at the row that closes it."""
        slots = self._closing.closed(int(times[-1]) - self._open_ms, time_before - self._open_ms)
        store = self._states.store
        ends = self._ends(slots)
        keys = store.keys_of(slots)
        starts = np.asarray(keys[-1].to_numpy(), np.int64)
        rows = np.searchsorted(times, self._windows.closing_times(ends))
        order = emission_order(rows, [ends, starts], keys[: self._key_count])
        slots, starts, ends, rows = slots[order], starts[order], ends[order], rows[order]
        store.write(PUT_OUT, slots, np.ones(len(slots), np.bool_))
        results, failures = self._states.evaluated(self._states.read(slots))
        self.report_results(batch, rows, failures)
        return closed_batch(
            batch,
            self._schema,
            self._key_count,
            rows,
            self._states.store.keys_of(slots),
            results,
            ends,
            (starts, ends),
            self._extras,
            before=self._before,
        )

    def _expire(self, stream_time: int) -> None:
        """Remove sessions that can neither take rows nor be read any more."""
        oldest = stream_time - self._retention_ms + (0 if self._final else 1)
        slots = self._closing.expired(oldest) if self._final else self._states.store.expired(oldest)
        if not len(slots):
            return
        self.context.counters.expired += len(slots)
        keys = self._states.store.keys_of(slots)
        starts = np.asarray(keys[-1].to_numpy(), np.int64)
        latest_slots = self._latest.slots(keys[:-1])
        was_latest = self._latest.read(LATEST, latest_slots) == starts
        self._states.store.remove(slots)
        # The latest session of a group ends last, so when it expires all have expired.
        gone = latest_slots[was_latest]
        self._latest.remove(gone)
        left = np.flatnonzero(~was_latest & ~np.isin(latest_slots, gone))
        if not len(left):
            return
        numbers, slots = self._latest.group(latest_slots[left])
        removed: list[set[int]] = [set() for _ in range(len(slots))]
        for number, start in zip(numbers.tolist(), starts[left].tolist()):
            removed[number].add(start)
        earlier = self._latest.read(EARLIER, slots)
        for n, known in enumerate(earlier.tolist()):
            earlier[n] = [start for start in known if start not in removed[n]] or None
        self._latest.write(EARLIER, slots, earlier)


def _stacked(states: Sequence[Sequence[State]]) -> list[list[Any]]:
    """Stack states of single sessions into columns: by call, by field."""
    return [[joined(columns) for columns in zip(*call)] for call in zip(*states)]
