"""The join of two streams within a window of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...kernels.gathering import gather_columns, references
from ...kernels.merging import merge
from ...storage.state.interval_store import NEVER, Arrivals, IntervalStore, Matches, join
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.order import key_ranks
from ...storage.state.scalar_store import ScalarStore
from ...storage.state.store import StateStore
from ..batch import Batch, Bools, Int64s, whole
from ..kernel import Kernel, as_mask
from ..metrics import Waiting
from ..windows import running_stream_times
from .base import Operator, OperatorContext
from .joining import ROWTIME, WINDOW_BOUNDS, JoinKind, headers_of, keys_of, orders, store_keys, take, takes_part
from .suppress import held_back

LEGACY_GRACE_MS: Final = 24 * 3_600_000
"""How long rows are kept without a GRACE PERIOD, as in Kafka Streams' ``JoinWindows.of``."""

_NEVER_PLACE: Final = 1 << 62


@dataclass(slots=True)
class _Side:
    """The rows of one input that take part in the join in this step.

    Attributes:
        places: the place of each row in the step's order.
        first_row: the number of the first row; the others follow.
        matches: the rows of the other side's buffer that each row (``queries``) found.
        found: whether it found any.
    """

    batch: Batch
    keys: list[Any]
    places: Int64s
    first_row: int
    matches: Matches
    found: Bools


@dataclass(slots=True)
class _Padded:
    """Rows that are put out without a match.

    Attributes:
        triggers: for each the place of the row that causes it.
    """

    triggers: Int64s
    timestamps: Int64s
    rows: Int64s
    columns: list[Any]
    """Key columns (with window bounds), then values."""


class StreamStreamJoin(Operator):
    """Joins rows of two streams (inputs 0 and 1) with equal keys whose timestamps are near each other.

    A left row L and a right row R match if ``L.ts - before <= R.ts <= L.ts + after``::

                    R.ts of matches
               |<---- before ----|---- after ---->|
        -------+-----------------L----------------+------> time

    Each row, when it comes, is matched with the rows of the other side that came before it and are still kept, in the order
    of their timestamps; the pair's timestamp is the larger one.  A row without a value is filtered, one without a key is bad
    (both move stream time).

    A side keeps rows while ``ts >= largest ts of that side - (before + after + grace)`` (``>`` if ``early``, or without
    GRACE). A late row is matched with all rows that are kept, except rows of an outer side whose time is up (see below; not
    if ``early``): those have been put out padded, or may have been.  A row of an inner side counts as late if it finds
    nothing and either is not kept, or came too late for the rows that it would have matched.

    Rows of an outer side that find no match when they come:

    * without GRACE: are put out padded with nulls at once, and again in each later match;
    * with GRACE: are set aside, and put out padded when a row that is not out of order moves stream time beyond ``ts + after
      + grace``, before that row's own matches, ordered by timestamp, right side first, then key.  A row that is matched
      before is not put out padded.  If stream time is there already, the row is put out padded at once; with ``early`` also
      if only its window is over (``ts + after < stream time``), as in ksqlDB, though a match may still come.  For rows of
      the right side it is ``before`` instead of ``after``.

    Stream time is the largest timestamp of either side.

    State: ``left`` and ``right``, the rows kept; ``left_unmatched`` and ``right_unmatched``, those set aside; ``times``; and
    ``observed``, the largest timestamp of each side, where there are predicates.
    """

    def __init__(
        self,
        context: OperatorContext,
        kind: JoinKind,
        schema: pa.Schema,
        key_count: int,
        left: pa.Schema,
        right: pa.Schema,
        *,
        before_ms: int,
        after_ms: int,
        grace_ms: int | None,
        early: bool = False,
        windowed: bool = False,
        window_size_ms: int | None = None,
        wheres: tuple[Kernel | None, Kernel | None] = (None, None),
    ) -> None:
        """Args:
        kind: RIGHT mirrors LEFT, windows included.  (ksqlDB runs it as a LEFT join of swapped inputs without swapping
            ``before`` and ``after``; for that the caller must swap them.)
        schema: the output: the key columns, ``len(left)`` columns and ``len(right)`` columns, under any names.
        key_count: how many key columns the output and both inputs have; the inputs are joined on all of them.
        left, right: the value columns of the inputs; types must be as in ``schema``.
        before_ms, after_ms: the window, see the class.
        grace_ms: None if the statement has no GRACE PERIOD.
        early: see the class.
        windowed: rows of both inputs have window bounds, which are joined on too.
        window_size_ms: of the result's windows, where those of the inputs differ in size: their starts are joined on.
        wheres: for INNER, a predicate for each side.  Rows for which it is not true only move stream time.  They are not
            counted, since a filter after the join would drop all their results.
        """
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._windowed = windowed
        self._window_size_ms = window_size_ms
        self._outer = kind in ("LEFT", "FULL"), kind in ("RIGHT", "FULL")
        self._eager = grace_ms is None
        grace_ms = LEGACY_GRACE_MS if grace_ms is None else grace_ms
        # A row is kept until its grace is over: one instant longer than ksqlDB does, which shows where the window has one
        # half only.
        self._retention_ms = max(1, before_ms + after_ms + grace_ms + (0 if early or self._eager else 1))
        # For a row of either side: how far before and after it matches may be.
        self._reach = (before_ms, after_ms), (after_ms, before_ms)
        self._closes_ms = after_ms + grace_ms, before_ms + grace_ms
        self._closing = not early and not self._eager
        self._at_once_ms = (after_ms, before_ms) if early else self._closes_ms
        keys = store_keys(schema, key_count, windowed)
        self._buffers = tuple(
            IntervalStore(name, keys, values, self._retention_ms) for name, values in (("left", left), ("right", right))
        )
        self._unmatched = tuple(
            KeyedStore(
                f"{name}_unmatched",
                pa.schema([("row", pa.int64())]),
                [ROWTIME],
                pa.schema([*_anonymous(keys, "k"), *_anonymous(values, "v")]),
                expiry=ROWTIME.name,
            )
            for name, values in (("left", left), ("right", right))
        )
        self._wheres = wheres
        self._observed = ScalarStore("observed", {"left": NEVER, "right": NEVER}) if any(wheres) else None
        self._times = ScalarStore("times", {"stream_time": NEVER, "left_rows": 0, "right_rows": 0})

    @property
    def stores(self) -> Sequence[StateStore]:
        kept: tuple[StateStore, ...] = (*self._buffers, *self._unmatched, self._times)
        return kept if self._observed is None else (*kept, self._observed)

    def waiting(self) -> Waiting | None:
        """See `Operator`: rows of an outer side that are set aside."""
        due = [
            np.asarray(store.snapshot().table()[ROWTIME.name].to_numpy(), np.int64) + closes_ms + 1
            for store, closes_ms in zip(self._unmatched, self._closes_ms)
        ]
        return held_back(np.concatenate(due), self._times["stream_time"])

    def process(self, inputs: Sequence[Batch]) -> Batch:
        total = len(inputs[0]) + len(inputs[1])
        all_places = orders(inputs[0], inputs[1])
        timestamps = np.empty(total, np.int64)
        valid = np.ones(total, np.bool_)
        batches: list[Batch] = []
        places: list[Int64s] = []
        for batch, place in zip(inputs, all_places):
            timestamps[place] = batch.timestamps
            keep = takes_part(self, batch)
            if keep is not None:
                valid[place] = keep
                batch, place = batch.filter(keep), place[keep]
            batches.append(batch)
            places.append(place)
        stream_times = running_stream_times(timestamps, self._times["stream_time"])
        self.note_lateness(timestamps, stream_times)
        observed = [self._observe(side, batches[side], places[side], total) for side in (0, 1)]
        for side, where in enumerate(self._wheres):
            if where is not None and len(batches[side]):
                keep = as_mask(where(batches[side].columns, len(batches[side])))
                batches[side], places[side] = batches[side].filter(keep), places[side][keep]
        batches = [whole(batch) for batch in batches]
        sides = self._match(batches, places, observed, stream_times)
        padded: list[list[_Padded]] = [[], []]
        if any(self._outer):
            # A row is in order if stream time is its timestamp.
            clock = np.flatnonzero(valid & (timestamps == stream_times))
            for side in (0, 1):
                if self._outer[side]:
                    padded[side] = self._pad(side, sides, stream_times, clock)
        output = self._assemble(sides, padded, total)
        for side, own in enumerate(sides):
            self._buffers[side].settle()
            self._times["left_rows" if side == 0 else "right_rows"] = own.first_row + len(own.batch)
        if total:
            self._times["stream_time"] = int(stream_times[-1])
        return output

    def _observe(self, side: int, batch: Batch, place: Int64s, total: int) -> Int64s:
        """int64[total]: the largest timestamp of a side up to each place of the step's order."""
        buffer, name = self._buffers[side], ("left", "right")[side]
        if self._observed is not None:
            buffer.observe(self._observed[name])
        seen = np.full(total, NEVER, np.int64)
        seen[place] = batch.timestamps
        seen = np.maximum.accumulate(np.maximum(seen, buffer.observed_ms))
        if self._observed is not None and total:
            self._observed[name] = int(seen[-1])
        return seen

    def _match(
        self, batches: list[Batch], places: list[Int64s], observed: list[Int64s], stream_times: Int64s
    ) -> list[_Side]:
        """Buffer the step's rows, and find the matches of each row among the rows before it."""
        coming = []
        for side, (batch, place) in enumerate(zip(batches, places)):
            seen, times = observed[side][place], batch.timestamps
            kept = times > seen - self._retention_ms
            first = self._times["left_rows" if side == 0 else "right_rows"]
            before, after = self._reach[side]
            coming.append(
                Arrivals(
                    keys_of(batch, self._windowed, self._window_size_ms),
                    times,
                    first + np.arange(len(batch), dtype=np.int64),
                    batch.values,
                    None if kept.all() else np.flatnonzero(kept),
                    place,
                    # Rows that the other side no longer kept at that moment cannot match.
                    np.maximum(times - before, observed[1 - side][place] - self._retention_ms + 1),
                    times + after,
                )
            )
        found = join(self._buffers, coming)
        sides: list[_Side] = []
        for side, (batch, place, own_rows, matches) in enumerate(zip(batches, places, coming, found)):
            if self._observed is not None:
                self._buffers[side].observe(self._observed[("left", "right")[side]])
            first = self._times["left_rows" if side == 0 else "right_rows"]
            sides.append(_Side(batch, list(own_rows.keys), place, first, matches, np.zeros(len(batch), bool)))
        for side, own in enumerate(sides):
            times, matches = own.batch.timestamps, own.matches
            expired = times <= observed[side][own.places] - self._retention_ms
            if self._outer[1 - side] and self._closing:
                over = matches.timestamps + self._closes_ms[1 - side] < stream_times[own.places[matches.queries]]
                expired[matches.queries[over]] = True
                matches = matches.filter(~over)
            own.matches = matches
            own.found[matches.queries] = True
            if not self._outer[side]:
                # Too late to be kept or to match kept rows, and nothing matched before it.
                self.leave_out_late(own.batch, np.flatnonzero(expired & ~own.found), "rows to join are no longer kept")
        return sides

    def _pad(self, side: int, sides: list[_Side], stream_times: Int64s, clock: Int64s) -> list[_Padded]:
        """The rows of an outer side to put out padded in this step; sets others aside."""
        own, other = sides[side], sides[1 - side]
        rows = np.flatnonzero(~own.found)
        times = own.batch.timestamps[rows]
        at_once = np.ones(len(rows), np.bool_)
        if not self._eager:
            at_once = times + self._at_once_ms[side] < stream_times[own.places[rows]]

        def padded(rows: Int64s, triggers: Int64s) -> _Padded:
            columns = take([*own.keys, *own.batch.values], rows)
            return _Padded(triggers, own.batch.timestamps[rows], own.first_row + rows, columns)

        parts = [padded(rows[at_once], own.places[rows[at_once]])]
        if self._eager:
            return parts
        aside = self._unmatched[side]
        # The first match in this step of each row of this side, by row number.
        matched, first_match = _first_of_each(other.matches.rows, other.places[other.matches.queries])
        clock_times = stream_times[clock]

        def when(rows: Int64s, times: Int64s) -> tuple[Int64s, Int64s]:
            """The places at which rows are matched, and those at which their time is up."""
            at = np.minimum(np.searchsorted(matched, rows), max(0, len(matched) - 1))
            match = np.full(len(rows), _NEVER_PLACE, np.int64)
            if len(matched):
                hit = matched[at] == rows
                match[hit] = first_match[at[hit]]
            tick = np.searchsorted(clock_times, times + self._closes_ms[side], "right")
            close = np.append(clock, _NEVER_PLACE)[tick]
            return match, close

        if len(clock):
            due = aside.expired(int(clock_times[-1]) - self._closes_ms[side])
            numbers = np.asarray(aside.keys_of(due)[0], np.int64)
            due_times = aside.read(ROWTIME.name, due)
            match, close = when(numbers, due_times)
            out = close <= match
            parts.append(_Padded(close[out], due_times[out], numbers[out], aside.read_rows(due[out])))
            aside.remove(due)
        slots = aside.slots([pa.array(matched)])
        aside.remove(slots[slots >= 0])

        waiting = rows[~at_once]
        match, close = when(own.first_row + waiting, own.batch.timestamps[waiting])
        out = (close <= match) & (close < _NEVER_PLACE)
        parts.append(padded(waiting[out], close[out]))
        still = waiting[(match == _NEVER_PLACE) & (close == _NEVER_PLACE)]
        slots, _ = aside.insert([pa.array(own.first_row + still)])
        aside.write(ROWTIME.name, slots, own.batch.timestamps[still])
        aside.write_rows(slots, take([*own.keys, *own.batch.values], still))
        return parts

    def _assemble(self, sides: list[_Side], padded: list[list[_Padded]], total: int) -> Batch:
        """Put pairs and padded rows into the order of the rows that cause them."""
        key_width = len(sides[0].keys)
        # What references (`kernels/gathering.py`) are of, per side: the step's rows, then those padded and those matched.
        pieces: list[list[Sequence[Any]]] = [[own.batch.values] for own in sides]
        keys: list[Sequence[Any]] = [own.keys for own in sides]
        sources = np.empty(total, np.int64)
        events: list[list[Int64s]] = []
        for side, own in enumerate(sides):
            sources[own.places] = np.arange(len(own.batch), dtype=np.int64) + (len(sides[0].batch) if side else 0)
        late = [(side, part) for side in (0, 1) for part in padded[side][1:] if len(part.triggers)]
        if late:
            order = _late_order(late, key_width)
            key_rows, values = [], []
            for side, part in late:
                rows = np.arange(len(part.triggers), dtype=np.int64)
                key_rows.append(references(len(keys), rows))
                values.append((side, references(len(pieces[side]), rows)))
                keys.append(part.columns[:key_width])
                pieces[side].append(part.columns[key_width:])
            lefts = np.concatenate([v if s == 0 else np.full(len(v), -1) for s, v in values])[order]
            rights = np.concatenate([v if s == 1 else np.full(len(v), -1) for s, v in values])[order]
            triggers = np.concatenate([p.triggers for _, p in late])[order]
            times = np.concatenate([p.timestamps for _, p in late])[order]
            events.append([triggers, triggers * 2, times, np.concatenate(key_rows)[order], lefts, rights])
        for side, own in enumerate(sides):
            matches = own.matches
            if len(matches.queries):
                found = self._buffers[1 - side].references(matches, len(pieces[1 - side]))
                pieces[1 - side].extend(self._buffers[1 - side].pieces)
                triggers = own.places[matches.queries]
                times = np.maximum(own.batch.timestamps[matches.queries], matches.timestamps)
                pair = (matches.queries, found) if side == 0 else (found, matches.queries)
                events.append([triggers, triggers * 2 + 1, times, references(side, matches.queries), *pair])
            for at_once in padded[side][:1]:
                queries = at_once.rows - own.first_row
                none = np.full(len(queries), -1, np.int64)
                pair = (queries, none) if side == 0 else (none, queries)
                triggers = at_once.triggers
                events.append([triggers, triggers * 2 + 1, at_once.timestamps, references(side, queries), *pair])
        if len(events) == 1 and not late:
            triggers, _, times, key_refs, lefts, rights = events[0]
        elif events:
            ranks = [e[1] for e in events]
            order = np.argsort(np.concatenate(ranks), kind="stable") if late else merge(ranks)
            triggers, times, key_refs, lefts, rights = (
                np.concatenate([e[i] for e in events])[order] for i in (0, 2, 3, 4, 5)
            )
        else:
            triggers = times = key_refs = lefts = rights = np.zeros(0, np.int64)
        values_ = [*gather_columns(pieces[0], lefts), *gather_columns(pieces[1], rights)]
        return self._batch(sides, gather_columns(keys, key_refs), values_, sources[triggers], times)

    def _batch(self, sides: list[_Side], keys: list[Any], values: list[Any], sources: Int64s, timestamps: Int64s) -> Batch:
        left, right = sides[0].batch, sides[1].batch
        count = self._key_count
        starts, ends = (
            (np.asarray(k, np.int64) for k in keys[count : count + len(WINDOW_BOUNDS)]) if self._windowed else (None, None)
        )
        return Batch(
            self._schema,
            count,
            (*keys[:count], *values),
            timestamps,
            np.concatenate((left.positions, right.positions))[sources],
            window_starts=starts,
            window_ends=ends,
            headers=headers_of(left, right, sources),
        )


def _anonymous(schema: pa.Schema, prefix: str) -> list[Any]:
    """The schema's fields under names that cannot clash."""
    return [pa.field(f"{prefix}{i}", f.type) for i, f in enumerate(schema)]


def _first_of_each(rows: Int64s, places: Int64s) -> tuple[Int64s, Int64s]:
    """The distinct rows, ascending, and the smallest place of each."""
    order = np.lexsort((places, rows))
    rows, places = rows[order], places[order]
    first = np.ones(len(rows), np.bool_)
    first[1:] = rows[1:] != rows[:-1]
    return rows[first], places[first]


def _late_order(parts: Sequence[tuple[int, _Padded]], key_width: int) -> Int64s:
    """The order in which rows set aside are put out: by timestamp, right side first, key, row number."""
    sides = np.concatenate([np.full(len(p.triggers), side) for side, p in parts])
    keys = [pa.concat_arrays([p.columns[i] for _, p in parts]) for i in range(key_width)]
    times = np.concatenate([p.timestamps for _, p in parts])
    rows = np.concatenate([p.rows for _, p in parts])
    return np.lexsort((rows, *reversed(key_ranks(keys)), -sides, times))
