"""Window arithmetic against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtime.windows import SessionWindows, TimeWindows, running_stream_times


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 50).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size))),
    st.lists(st.integers(-20, 300), max_size=20),
)
def test_assign_finds_every_window_that_holds_the_row(shape: tuple[int, int], timestamps: list[int]) -> None:
    """A row belongs to exactly the windows [s, s + size) with s >= 0 a multiple of the advance, in ascending order."""
    size, advance = shape
    rows, starts = TimeWindows(size, advance).assign(np.array(timestamps, np.int64))
    expected = [
        (row, start) for row, ts in enumerate(timestamps) for start in range(0, 400, advance) if start <= ts < start + size
    ]
    assert list(zip(rows.tolist(), starts.tolist())) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 50),
    st.integers(0, 40) | st.just(2**63 - 1),
    st.integers(0, 300) | st.just(-(1 << 62)),
    st.lists(st.integers(-20, 300) | st.integers(100, 110), max_size=20),
)
def test_rows_in_time_are_those_that_assign_and_accepted_name(
    size: int, grace: int, before: int, timestamps: list[int]
) -> None:
    """One pass over tumbling windows says the same, as long as no row is late or from before the epoch."""
    windows, times = TimeWindows(size, size, grace), np.array(timestamps, np.int64)
    running = running_stream_times(times, before)
    rows, starts = windows.assign(times)
    found = windows.all_in_time(times, before)
    if len(rows) < len(times) or not windows.accepted(starts, running[rows]).all():
        assert found is None
    else:
        assert found is not None
        assert found.tolist() == starts.tolist()


def test_a_window_closes_when_stream_time_reaches_its_end_plus_grace() -> None:
    """``accepted`` and ``closing_times`` say the same: end > stream time - grace."""
    windows = TimeWindows(10, 10, grace_ms=5)
    starts = np.zeros(3, np.int64)
    assert windows.accepted(starts, np.array([12, 14, 15])).tolist() == [True, True, False]
    assert windows.closing_times(starts[:1]).tolist() == [15]


def test_a_session_takes_rows_at_a_distance_of_the_gap() -> None:
    """The gap itself still merges; the session closes after end + gap + grace."""
    windows = SessionWindows(5, grace_ms=6)
    assert windows.touches(0, 14, 19)
    assert not windows.touches(0, 14, 20)
    assert windows.accepted(np.array([14, 14]), np.array([25, 26])).tolist() == [True, False]
    assert windows.closing_times(np.array([14])).tolist() == [26]


def test_windows_of_impossible_shape_are_refused() -> None:
    """An advance beyond the size, a zero size and negative grace make no windows."""
    for arguments in ((10, 11), (0, 0), (10, 0), (10, 10, -1)):
        with pytest.raises(ValueError):
            TimeWindows(*arguments)
    with pytest.raises(ValueError):
        SessionWindows(0)


def test_stream_time_never_goes_back() -> None:
    """It is the largest timestamp so far, over batches too."""
    assert running_stream_times(np.array([3, 9, 1]), 5).tolist() == [5, 9, 9]
    assert running_stream_times(np.zeros(0, np.int64), 5).tolist() == []


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(-1, 10))
def test_stream_time_is_found_whether_timestamps_rise_or_not(timestamps: list[int], before: int) -> None:
    """As one row after the other would say."""
    expected, latest = [], before
    for timestamp in timestamps:
        latest = max(latest, timestamp)
        expected.append(latest)
    assert running_stream_times(np.array(timestamps, np.int64), before).tolist() == expected
