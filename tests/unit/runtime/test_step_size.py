"""How many rows a step takes where its commit is slow."""

from __future__ import annotations

from penstock.runtime.query.step_size import StepSize


def after(steps: int, rows_waiting: int, *, row_s: float, commit_s: float) -> int:
    """The rows of the next step, after some whose rows and commits each took so long."""
    size = StepSize(100_000)
    for _ in range(steps):
        rows = min(rows_waiting, size.rows(bounded=True))
        size.took(rows, rows * row_s + commit_s, rows * row_s)
    return size.rows(bounded=True)


def test_a_slow_commit_does_not_make_steps_of_a_row_each() -> None:
    """It takes as long for one row: there would be no catching up."""
    assert after(20, 100_000, row_s=1e-6, commit_s=1.0) == 4096
    assert after(20, 2, row_s=1e-6, commit_s=1.0) == 4096


def test_it_grows_again_when_commits_were_refused() -> None:
    """Each refusal halves it."""
    size = StepSize(100_000)
    for _ in range(40):
        size.refused()
    assert size.rows(bounded=True) == 1
    for _ in range(8):
        rows = size.rows(bounded=True)
        size.took(rows, 1.0, rows * 1e-6)
    assert size.rows(bounded=True) == 4096


def test_slow_rows_count() -> None:
    """A step has as many of them as fit into its time."""
    assert after(20, 100_000, row_s=0.01, commit_s=0.0) == 20
    assert after(20, 100_000, row_s=0.01, commit_s=1.0) == 20
