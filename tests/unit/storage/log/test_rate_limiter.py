"""How fast maintenance may be, on a clock of its own."""

from __future__ import annotations

import pytest

from penstock.storage.log.local.maintenance.rewriting import Interrupted, RateLimiter


class Clock:
    """Time that passes when somebody sleeps or works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = self.slept_s = 0.0
        monkeypatch.setattr("penstock.storage.log.local.maintenance.rewriting.time", self)

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self.now_s += seconds


@pytest.mark.parametrize(("work_s", "slept_s"), [(0.0, 9.0), (0.25, 6.75), (1.0, 0.0), (3.0, 0.0)])
def test_only_what_work_leaves_of_the_time_is_slept(work_s: float, slept_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the bytes of a second: nine seconds lie between the first and the last, whatever part of them is work."""
    clock = Clock(monkeypatch)
    limiter = RateLimiter(100, lambda: False)
    for _ in range(10):
        limiter.spend(100)
        clock.now_s += work_s
    assert clock.slept_s == pytest.approx(slept_s)


def test_time_in_which_nothing_was_done_is_not_saved_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an hour of rest the bound is what it was."""
    clock = Clock(monkeypatch)
    limiter = RateLimiter(100, lambda: False)
    limiter.spend(100)
    clock.now_s += 3600
    limiter.spend(100)
    limiter.spend(100)
    assert clock.slept_s == pytest.approx(1.0)


def test_it_stops_while_it_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is closed does not wait for the end of a long sleep."""
    clock = Clock(monkeypatch)
    limiter = RateLimiter(1, lambda: clock.now_s >= 1.0)
    limiter.spend(1000)
    with pytest.raises(Interrupted):
        limiter.spend(1)
    assert clock.slept_s == pytest.approx(1.0)
