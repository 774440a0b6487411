"""A filter that is pushed into a join of streams, or into the store of a table, shows in nothing but speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import penstock

ROWS = st.lists(
    st.tuples(st.sampled_from("lr"), st.integers(0, 2), st.integers(0, 3) | st.none(), st.integers(0, 60)), max_size=30
)
WHERE = "{left} = 1 AND ({right} > 1 OR {right} IS NULL)"


def outcome(rows: list[Any], where: str, grace: str, cuts: list[int], folder: Path | None, parts: int) -> list[Any]:
    """What the join puts out, over the rows in the order given; the database is opened anew at every cut."""
    settings_ = {"cache.max.bytes.buffering": "0", "processing.order": "arrival", "auto.offset.reset": "earliest"}
    db = penstock.connect(folder, settings=settings_)
    for name in "lr":
        db.execute(
            f"CREATE STREAM {name} (k INT KEY, c INT, n INT) "
            f"WITH (KAFKA_TOPIC='{name}', VALUE_FORMAT='JSON', PARTITIONS={parts});"
        )
    db.execute(
        "CREATE STREAM j AS SELECT l.k AS k, l.n AS ln, r.n AS rn FROM l JOIN r "
        f"WITHIN 10 MILLISECONDS {grace} ON l.k = r.k WHERE {where} EMIT CHANGES;"
    )
    for number, (name, key, value, time) in enumerate(rows):
        db.insert(name, [{"k": key, "c": value, "n": number, "ROWTIME": time}])
        if number in cuts:
            db.wait_idle()
            if folder is not None:
                db.close()
                db = penstock.connect(folder, settings=settings_)
    db.wait_idle()
    found = [(r.partition, r.offset, r.key, r.value, r.timestamp) for r in db.consume("J", offset=0)]
    db.close()
    return found


@settings(max_examples=15, deadline=None)
@given(
    ROWS, st.sampled_from(["", "GRACE PERIOD 5 MILLISECONDS"]), st.lists(st.integers(0, 29), max_size=3), st.integers(1, 2)
)
def test_the_filter_pushed_into_a_join_changes_nothing(rows: list[Any], grace: str, cuts: list[int], parts: int) -> None:
    """Rows that are left out early move the times by which others are kept, as they do where they are left out late.  (What
    can fail, such as arithmetic, is not pushed.)"""
    pushed = outcome(rows, WHERE.format(left="l.c", right="r.c"), grace, cuts, None, parts)
    kept = outcome(rows, WHERE.format(left="(l.c + 0)", right="(r.c + 0)"), grace, [], None, parts)
    assert pushed == kept


def test_times_survive_a_restart(tmp_path: Path) -> None:
    """A row that the filter leaves out ends the time of others, also where the database was opened anew in between."""
    rows = [("r", 0, 3, 0), ("l", 0, 1, 5), ("r", 0, 0, 90_000_000), ("l", 0, 1, 2), ("l", 0, 1, 6), ("r", 0, 2, 7)]
    for cuts in ([], [2], [0, 1, 2, 3, 4]):
        folder = tmp_path / f"cuts{len(cuts)}"
        pushed = outcome(rows, WHERE.format(left="l.c", right="r.c"), "", cuts, folder, 1)
        kept = outcome(rows, WHERE.format(left="(l.c + 0)", right="(r.c + 0)"), "", [], None, 1)
        assert pushed == kept
        assert len(pushed) == 4  # and not with the first row, whose time is over


def test_explain_tells_what_a_join_was_told() -> None:
    """The terms of one side each, where nothing of the filter can fail."""
    with penstock.connect() as db:
        for name in "lr":
            db.execute(
                f"CREATE STREAM {name} (k INT KEY, c INT) WITH (KAFKA_TOPIC='{name}', VALUE_FORMAT='JSON', PARTITIONS=1);"
            )
        query = "SELECT l.k, l.c, r.c FROM l {kind} JOIN r WITHIN 1 SECOND ON l.k = r.k WHERE {where} EMIT CHANGES;"

        def plan(where: str, kind: str = "") -> str:
            return str(db.execute("EXPLAIN " + query.format(kind=kind, where=where))[-1])

        assert "ms, left where (L_C > 1), right where (R_C = 2) (state" in plan("l.c > 1 AND r.c = 2")
        assert "right where" not in plan("l.c > r.c")
        assert " where " not in plan("l.c > 1 AND 4 / r.c = 2")
        assert " where " not in plan("l.c > 1", "LEFT")


CHANGES = st.lists(
    st.tuples(st.integers(0, 3) | st.none(), st.sampled_from(["a", "b"]), st.integers(0, 3) | st.none()), max_size=30
)


def seen(changes: list[Any], where: str, one_by_one: bool) -> list[Any]:
    """The rows of a push query over a table; a change to NULL is a tombstone."""
    with penstock.connect(threads=0, settings={"auto.offset.reset": "earliest", "processing.order": "arrival"}) as db:
        db.execute(
            "CREATE TABLE t (k INT PRIMARY KEY, l STRING PRIMARY KEY, v INT) "
            "WITH (KAFKA_TOPIC='t', KEY_FORMAT='JSON', VALUE_FORMAT='JSON', PARTITIONS=1);"
        )
        key = '{{"K": {}, "L": "{}"}}'
        records = [
            (b"{}" if k is None else key.format(k, name).encode(), None if v is None else b'{"V": %d}' % v)
            for k, name, v in changes
        ]
        if not one_by_one:
            for one, value in records:
                db.produce("t", key=one, value=value)
        with db.subscribe(f"SELECT * FROM t WHERE {where} EMIT CHANGES;") as rows:
            if one_by_one:
                for one, value in records:
                    db.produce("t", key=one, value=value)
                    db.drain()
            db.drain()
            found = []
            while (row := rows.poll()) is not None:
                found.append((row.values, row.tombstone))
            return found


@settings(max_examples=15, deadline=None)
@given(CHANGES, st.booleans())
def test_a_store_limited_to_some_keys_changes_nothing(changes: list[Any], one_by_one: bool) -> None:
    """A push query keeps only rows whose key passes its filter; rows that leave and tombstones come as they do otherwise."""
    for where in ("{k} = 1 AND v > 1", "v > 0 AND {k} BETWEEN 1 AND 2 AND l = 'a'", "{k} <> 2", "{k} IS NULL OR l = 'b'"):
        limited = seen(changes, where.format(k="k"), one_by_one)
        assert limited == seen(changes, where.format(k="(k + 0)"), one_by_one)
