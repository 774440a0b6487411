"""Answers have a bound in bytes, as the steps that compute them have."""

from __future__ import annotations

import pytest

import penstock
from penstock.engine.pull import rows
from penstock.errors import StatementError


@pytest.mark.parametrize("clause", ["", "ORDER BY 1", "LIMIT 1000"])
def test_the_answer_of_a_stream(monkeypatch: pytest.MonkeyPatch, clause: str) -> None:
    """It is refused when it outgrows the bound, not when it is whole."""
    query = f"SELECT LPAD(t, 10000, t) AS t FROM s {clause};"
    with penstock.connect() as db:
        db.execute("CREATE STREAM s (t STRING) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);")
        db.insert("s", [{"t": "x"}] * 1000)
        assert len(db.sql(query).fetchall()) == 1000
        monkeypatch.setattr(rows, "QUERY_BYTES_MAX", 1_000_000)
        with pytest.raises(StatementError, match="more than 1,000,000 bytes"):
            db.sql(query).fetchall()
        assert len(db.sql("SELECT t FROM s").fetchall()) == 1000
