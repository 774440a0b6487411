"""The clock in force, and the manual clock."""

from __future__ import annotations

import time

from penstock.runtime.clock import ManualClock, now_ms, use_clock


def test_the_system_clock_is_in_force_by_default() -> None:
    """Without any block, the time is the machine's."""
    before = time.time_ns() // 1_000_000
    assert before <= now_ms() <= time.time_ns() // 1_000_000


def test_a_block_puts_its_clock_in_force_and_takes_it_back() -> None:
    """Blocks nest, and leave the clock before them in force when they end, even by an error."""
    outer, inner = ManualClock(5), ManualClock(7)
    with use_clock(outer):
        assert now_ms() == 5
        try:
            with use_clock(inner):
                assert now_ms() == 7
                raise KeyError
        except KeyError:
            assert now_ms() == 5
    assert now_ms() > 7, "the machine's again"


def test_a_manual_clock_moves_only_when_told() -> None:
    """``advance`` moves by an amount, ``set`` jumps, also backwards."""
    clock = ManualClock()
    assert clock.now_ms() == 0
    assert clock.advance(1500) == 1500
    clock.set(-1)
    assert clock.now_ms() == -1
