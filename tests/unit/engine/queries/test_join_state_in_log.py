"""A join over a database in a directory, with steps large enough that what it keeps lies in the changelog."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

import penstock

ROWS = 12_000
STREAMS = """
    CREATE STREAM l (id BIGINT KEY, a STRING) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='ARROW', PARTITIONS=2);
    CREATE STREAM r (id BIGINT KEY, b STRING) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='ARROW', PARTITIONS=2);
    CREATE STREAM o AS SELECT l.id AS id, l.a AS a, r.b AS b FROM l JOIN r WITHIN 1 DAYS GRACE PERIOD 1 DAYS ON l.id = r.id;
"""


def rows(name: str, first: int) -> pa.RecordBatch:
    ids = list(range(first, first + ROWS))
    return pa.record_batch({"id": ids, name: [f"{name} of {i} " + "x" * 40 for i in ids]})


def test_rows_are_found_in_the_log_and_after_a_restart(tmp_path: Path) -> None:
    """Pairs have the texts of both sides, whether the earlier row came in this process or in one before."""
    with penstock.connect(tmp_path) as db:
        db.execute(STREAMS)
        db.wait(db.insert("l", rows("a", 0)))
        db.wait(db.insert("l", rows("a", ROWS)))
        db.wait(db.insert("r", rows("b", 0)))
    with penstock.connect(tmp_path) as db:
        db.wait(db.insert("r", rows("b", ROWS)))
        found = db.sql("SELECT id, a, b FROM o").arrow().sort_by("ID")
    assert found["ID"].to_pylist() == list(range(2 * ROWS))
    for name in ("a", "b"):
        assert found[name.upper()].to_pylist() == [f"{name} of {i} " + "x" * 40 for i in range(2 * ROWS)]
