"""What happens where retention has removed records that a reader has not read."""

from __future__ import annotations

from pathlib import Path

import pytest

import penstock


@pytest.mark.parametrize(("reset", "left"), [("earliest", [6, 7, 8, 9, 10]), ("latest", [10])])
def test_a_query_that_is_behind_says_what_it_missed(tmp_path: Path, reset: str, left: list[int]) -> None:
    """It reads on where auto.offset.reset says, the processing log has a line, and a restart repeats nothing."""
    with penstock.connect(tmp_path / "db", threads=0) as db:
        db.execute(f"""
            SET 'auto.offset.reset' = '{reset}';
            CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
            CREATE STREAM o AS SELECT v FROM s;
        """)
        db.drain()
        db.queries["CSAS_O_1"].pause()
        for i in range(10):
            db.insert("s", [{"v": i}])
        db._engine.log.delete_before("s", 0, 6)
        db.queries["CSAS_O_1"].resume()
        db.drain()
        db.insert("s", [{"v": 10}])
        db.drain()
        assert [r.value["V"] for r in db.consume("O")] == left
        rows = db.sql("SELECT MESSAGE FROM KSQL_PROCESSING_LOG").fetchall()
        said = [row[0]["recordProcessingError"] for row in rows]
        assert [(s["topic"], s["offset"]) for s in said] == [("s", 0)]
        assert "up to 6 records were removed unread" in said[0]["errorMessage"]
    with penstock.connect(tmp_path / "db", threads=0) as db:
        db.drain()
        assert [r.value["V"] for r in db.consume("O")] == left
        assert db.queries["CSAS_O_1"].lag == 0


def test_consume_is_told_or_reads_on() -> None:
    """An offset that is gone is an error, unless the reader says where to go on."""
    with penstock.connect(threads=0) as db:
        db.create_topic("t")
        for i in range(6):
            db.produce("t", value=b"%d" % i)
        db._engine.log.delete_before("t", 0, 4)
        assert [r.offset for r in db.consume("t")] == [4, 5]
        with pytest.raises(penstock.OffsetOutOfRangeError, match="4 to 5"):
            list(db.consume("t", offset=0))
        assert [r.offset for r in db.consume("t", offset=0, reset="earliest")] == [4, 5]
        assert [r.offset for r in db.consume("t", offset=0, reset="latest")] == []
        assert [r.offset for r in db.consume("t", offset=5)] == [5]
        with pytest.raises(penstock.OffsetOutOfRangeError, match="have not been written"):
            list(db.consume("t", offset=7))
