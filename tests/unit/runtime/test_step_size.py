"""How many rows a step takes where its commit is slow."""

from __future__ import annotations

import pytest

import penstock
from penstock.limits import BATCH_ROWS_MAX, STEP_ROWS_MAX
from penstock.runtime.query.step_size import StepSize, rows_per_step


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


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("SELECT k, COUNT(*) AS n FROM s GROUP BY k", STEP_ROWS_MAX),
        ("SELECT k, MAX(v) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND) WHERE v > 3 GROUP BY k", STEP_ROWS_MAX),
        ("SELECT k, COUNT(*) AS n FROM s WINDOW SESSION (1 SECOND) GROUP BY k HAVING COUNT(*) > 1", STEP_ROWS_MAX),
        ("SELECT k, v FROM s WHERE v > 3", BATCH_ROWS_MAX),
        ("SELECT s.k AS k, COUNT(*) AS n FROM s JOIN s2 WITHIN 1 DAY ON s.k = s2.k GROUP BY s.k", BATCH_ROWS_MAX),
    ],
)
def test_only_aggregations_of_one_input_take_large_steps(query: str, most: int) -> None:
    """They put out each group once a step.  A smaller number that the user has set holds for all."""
    with penstock.connect(threads=0) as db:
        for name in ("s", "s2"):
            db.execute(f"CREATE STREAM {name} (k BIGINT, v BIGINT) WITH (VALUE_FORMAT='ARROW', PARTITIONS=1);")
        kind = "TABLE" if "GROUP BY" in query else "STREAM"
        db.execute(f"CREATE {kind} made AS {query};")
        (planned,) = db._engine.planned.values()
        assert rows_per_step(planned.dataflow, STEP_ROWS_MAX) == most
        assert rows_per_step(planned.dataflow, 7) == 7


def test_who_wants_every_update_gains_nothing_from_large_steps() -> None:
    """As many rows are put out then."""
    with penstock.connect(threads=0, settings={"cache.max.bytes.buffering": "0"}) as db:
        db.execute("CREATE STREAM s (k BIGINT) WITH (VALUE_FORMAT='ARROW', PARTITIONS=1);")
        db.execute("CREATE TABLE made AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
        (planned,) = db._engine.planned.values()
        assert rows_per_step(planned.dataflow, STEP_ROWS_MAX) == BATCH_ROWS_MAX
