"""What statements give, asked for by whoever knows the statement."""

from __future__ import annotations

import pytest

import penstock


def test_a_result_gives_its_rows_or_says_that_it_has_none() -> None:
    """Without asking which class it is of."""
    with penstock.connect() as db:
        made, listed, described = db.execute("CREATE STREAM s (v INT); SHOW STREAMS; DESCRIBE s;")
        assert made.kind == "create stream" and made.statement.startswith("CREATE STREAM S")
        assert ("S", "S", "NONE", "ARROW", "no") in listed.relation.fetchall()
        (selected,) = db.execute("SELECT * FROM s;")
        assert selected.relation.fetchall() == [] and selected.kind == "select"
        (pushed,) = db.execute("SELECT * FROM s EMIT CHANGES LIMIT 1;")
        db.insert("s", {"v": 1})
        assert [row.values for row in pushed.pushed] == [(1,)]
        for result, message in ((made, "a create stream statement gives no table"), (pushed, "a push query")):
            with pytest.raises(penstock.StatementError, match=message):
                _ = result.relation
        with pytest.raises(penstock.StatementError, match="is not a push query"):
            _ = described.pushed
        assert all(isinstance(result, penstock.Result) for result in (made, listed, described, selected, pushed))
