"""Works of many threads that one of them does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from penstock.storage.combining import Combiner

PATIENCE_S = 30
Together = Callable[..., list[Any]]


class Asked:
    """A request that remembers with which others it was worked on."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.along: list[int] = []


def work(requests: Sequence[Asked]) -> None:
    for request in requests:
        request.along = [r.number for r in requests]


def test_those_who_come_during_the_work_are_done_together(together: Together) -> None:
    """One at work, five behind: the five are one call, in their order."""
    combiner = Combiner()
    began, go = threading.Event(), threading.Event()
    asked = [Asked(number) for number in range(6)]

    def slow(requests: Sequence[Asked]) -> None:
        began.set()
        assert go.wait(PATIENCE_S)
        work(requests)

    def after(number: int) -> None:
        assert began.wait(PATIENCE_S)
        while combiner.waiting < number - 1:
            assert not go.is_set()
        combiner.ask(asked[number], work)

    def open_gate() -> None:
        while combiner.waiting < 5:
            assert not go.is_set()
        go.set()

    together(lambda: combiner.ask(asked[0], slow), open_gate, *[lambda n=n: after(n) for n in range(1, 6)])  # type: ignore[misc]
    assert [a.along for a in asked] == [[0], *[[1, 2, 3, 4, 5]] * 5]


def test_a_worker_that_is_interrupted_keeps_nobody_waiting(together: Together) -> None:
    """Whoever waited for it is left to do its own, and the next one works."""
    combiner = Combiner()
    asked, behind = Asked(0), Asked(1)
    waits = threading.Event()

    def interrupted(requests: Sequence[Asked]) -> None:
        waits.set()
        while not combiner.waiting:
            pass
        raise KeyboardInterrupt

    def wait() -> None:
        assert waits.wait(PATIENCE_S)
        combiner.ask(behind, work)

    got = together(lambda: combiner.ask(asked, interrupted), wait)
    assert isinstance(got[0], KeyboardInterrupt)
    assert (asked.along, behind.along) == ([], [1])
