"""Whole queries, from their text to the records in the sink's topic."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.engine.catalog import FormatInfo
from penstock.errors import DataError, StatementError


def test_filter_and_project(any_batch: Any) -> None:
    """WHERE drops rows, SELECT makes new columns; a record without a value passes a projection only."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, V INT, NAME STRING)")
    bench.run("CREATE STREAM BIG AS SELECT ID AS K, V * 2 AS W, UCASE(NAME) AS NAME FROM S WHERE V > 1")
    bench.run("CREATE STREAM COPY AS SELECT ID, V FROM S")
    bench.produce("S", [(1, {"V": 1, "NAME": "a"}, 10), (2, {"V": 2, "NAME": "b"}, 20), (3, None, 30)])
    bench.drain()
    assert bench.rows("BIG") == [(2, {"W": 4, "NAME": "B"}, 20)]
    assert bench.rows("COPY") == [(1, {"V": 1}, 10), (2, {"V": 2}, 20), (3, None, 30)]


def test_partition_by(any_batch: Any) -> None:
    """The new key is an expression; a null key goes on without one."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, NAME STRING)")
    bench.run("CREATE STREAM O AS SELECT * FROM S PARTITION BY UCASE(NAME)")
    bench.produce("S", [(1, {"NAME": "a"}, 10), (2, {"NAME": None}, 20)])
    bench.drain()
    assert bench.rows("O") == [("A", {"NAME": "a", "ID": 1}, 10), (None, {"NAME": None, "ID": 2}, 20)]


def test_group_by(any_batch: Any) -> None:
    """Every row of a group puts the group out, and HAVING takes it away again."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, V INT, NAME STRING)")
    bench.run("CREATE TABLE O AS SELECT NAME, SUM(V) + 1 AS T, COUNT(*) AS N FROM S GROUP BY NAME HAVING SUM(V) > 5")
    rows = [(1, {"V": 4, "NAME": "a"}, 10), (2, {"V": 9, "NAME": "b"}, 5), (3, {"V": 3, "NAME": "a"}, 7)]
    bench.produce("S", [*rows, (4, {"V": -9, "NAME": "a"}, 30), (5, {"V": 1, "NAME": None}, 31)])
    bench.drain()
    assert bench.rows("O") == [("b", {"T": 10, "N": 1}, 5), ("a", {"T": 8, "N": 2}, 10), ("a", None, 30)]


def test_group_by_over_a_table(any_batch: Any) -> None:
    """A row that moves to another group is taken back from the old one first."""
    bench = any_batch
    bench.source("CREATE TABLE T (ID INT PRIMARY KEY, G STRING, V INT)")
    run = bench.run("CREATE TABLE O AS SELECT G, SUM(V) AS S, COUNT(*) AS N FROM T GROUP BY G")
    bench.produce("T", [(1, {"G": "A", "V": 5}, 1), (1, {"G": "B", "V": 7}, 2), (1, None, 3)])
    bench.drain()
    assert bench.rows("O") == [
        ("A", {"S": 5, "N": 1}, 1),
        ("A", {"S": 0, "N": 0}, 2),
        ("B", {"S": 7, "N": 1}, 2),
        ("B", {"S": 0, "N": 0}, 3),
    ]
    assert bench.table(run) == [
        {"G": "A", "S": 0, "N": 0, "ROWTIME": 2},
        {"G": "B", "S": 0, "N": 0, "ROWTIME": 3},
    ]


def test_stream_table_join(any_batch: Any) -> None:
    """A row of the stream finds what the table holds when it comes; the key is the joined value."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, T_ID INT, V INT)")
    bench.source("CREATE TABLE T (ID INT PRIMARY KEY, NAME STRING)")
    bench.run("CREATE STREAM O AS SELECT S.T_ID, S.ID, NAME FROM S LEFT JOIN T ON S.T_ID = T.ID WHERE V > 0")
    bench.produce("S", [(1, {"T_ID": 7, "V": 1}, 1)])
    bench.produce("T", [(7, {"NAME": "x"}, 2)])
    bench.produce("S", [(2, {"T_ID": 7, "V": 1}, 3), (3, {"T_ID": 7, "V": 0}, 4)])
    bench.produce("T", [(7, None, 5)])
    bench.produce("S", [(4, {"T_ID": 7, "V": 1}, 6)])
    bench.drain()
    names = {1: None, 2: "x", 4: None}
    assert bench.rows("O") == [(7, {"S_ID": i, "NAME": names[i]}, t) for i, t in ((1, 1), (2, 3), (4, 6))]


def test_table_table_join(any_batch: Any) -> None:
    """Either side's change puts out the joined row; the join's result can be read."""
    bench = any_batch
    bench.source("CREATE TABLE L (ID INT PRIMARY KEY, A STRING)")
    bench.source("CREATE TABLE R (ID INT PRIMARY KEY, B STRING)")
    run = bench.run("CREATE TABLE O AS SELECT L.ID, A, B FROM L LEFT JOIN R ON L.ID = R.ID WHERE A <> 'z'")
    bench.produce("L", [(1, {"A": "a"}, 1)])
    bench.produce("R", [(1, {"B": "b"}, 2)])
    bench.produce("L", [(1, {"A": "z"}, 3)])
    bench.produce("L", [(2, {"A": "c"}, 4)])
    bench.drain()
    assert bench.rows("O") == [
        (1, {"A": "a", "B": None}, 1),
        (1, {"A": "a", "B": "b"}, 2),
        (1, None, 3),
        (2, {"A": "c", "B": None}, 4),
    ]
    assert bench.table(run) == [{"L_ID": 2, "A": "c", "B": None, "ROWTIME": 4}]


def test_foreign_key_join(any_batch: Any) -> None:
    """A change of the right table reaches every left row that points to it."""
    bench = any_batch
    bench.source("CREATE TABLE L (ID INT PRIMARY KEY, R_ID INT)")
    bench.source("CREATE TABLE R (ID STRING PRIMARY KEY, B STRING)")
    bench.run("CREATE TABLE O AS SELECT L.ID, R.ID, B FROM L JOIN R ON CAST(R_ID AS STRING) = R.ID")
    bench.produce("L", [(1, {"R_ID": 7}, 1), (2, {"R_ID": 7}, 2)])
    bench.produce("R", [("7", {"B": "b"}, 3)])
    bench.drain()
    assert bench.rows("O") == [(i, {"R_ID": "7", "B": "b"}, 3) for i in (1, 2)]


def test_stream_stream_join(any_batch: Any) -> None:
    """Rows of one key within the window pair up, at the later one's time."""
    bench = any_batch
    bench.source("CREATE STREAM L (ID INT KEY, A STRING)")
    bench.source("CREATE STREAM R (ID INT KEY, B STRING)")
    bench.run("CREATE STREAM O AS SELECT L.ID, A, B FROM L JOIN R WITHIN 10 MILLISECONDS ON L.ID = R.ID")
    bench.produce("L", [(1, {"A": "a"}, 1)])
    bench.produce("R", [(1, {"B": "b"}, 11), (1, {"B": "c"}, 12)])
    bench.drain()
    assert bench.rows("O") == [(1, {"A": "a", "B": "b"}, 11)]


def test_tumbling_windows(any_batch: Any) -> None:
    """Late rows are dropped; the table knows its windows."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, V INT)")
    run = bench.run(
        "CREATE TABLE O AS SELECT ID, WINDOWSTART AS WS, COUNT(*) AS N FROM S "
        "WINDOW TUMBLING (SIZE 10 MILLISECONDS, GRACE PERIOD 0 MILLISECONDS) GROUP BY ID"
    )
    bench.produce("S", [(1, {"V": 1}, 3), (1, {"V": 1}, 12), (1, {"V": 1}, 9)])
    bench.drain()
    assert bench.rows("O") == [((1, 0), {"WS": 0, "N": 1}, 3), ((1, 10), {"WS": 10, "N": 1}, 12)]
    assert bench.table(run)[-1] == {"ID": 1, "WINDOWSTART": 10, "WINDOWEND": 20, "WS": 10, "N": 1, "ROWTIME": 12}


def test_table_functions(any_batch: Any) -> None:
    """One row per item."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, A ARRAY<INT>)")
    bench.run("CREATE STREAM O AS SELECT ID, EXPLODE(A) * 2 AS X FROM S")
    bench.produce("S", [(1, {"A": [1, 2]}, 1), (2, {"A": []}, 2)])
    bench.drain()
    assert bench.rows("O") == [(1, {"X": 2}, 1), (1, {"X": 4}, 1)]


def test_filtered_copy_of_a_table(any_batch: Any) -> None:
    """A row that stops passing becomes a tombstone, and the view of the copy leaves it out."""
    bench = any_batch
    bench.source("CREATE TABLE T (ID INT PRIMARY KEY, V INT)")
    run = bench.run("CREATE TABLE O AS SELECT ID, V + 1 AS W FROM T WHERE V > 0")
    bench.produce("T", [(1, {"V": 1}, 1), (2, {"V": 0}, 2), (1, {"V": 0}, 3), (3, {"V": 5}, 4)])
    bench.drain()
    assert bench.rows("O") == [(1, {"W": 2}, 1), (1, None, 3), (3, {"W": 6}, 4)]
    assert bench.table(run) == [{"ID": 3, "W": 6, "ROWTIME": 4}]


def test_insert_into_casts(any_batch: Any) -> None:
    """INSERT INTO widens what the target wants wider."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, V INT)")
    bench.source("CREATE STREAM TARGET (ID INT KEY, V DOUBLE)")
    bench.run("INSERT INTO TARGET SELECT ID, V FROM S")
    bench.produce("S", [(1, {"V": 1}, 1)])
    bench.drain()
    assert bench.rows("TARGET") == [(1, {"V": 1.0}, 1)]


def test_session_windows(any_batch: Any) -> None:
    """A row between two sessions joins them; the old bounds get tombstones."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, V INT)")
    run = bench.run(
        "CREATE TABLE O AS SELECT ID, COUNT(*) AS N, WINDOWEND AS WE FROM S WINDOW SESSION (5 MILLISECONDS) GROUP BY ID"
    )
    bench.produce("S", [(1, {"V": 1}, 0), (1, {"V": 1}, 9), (1, {"V": 1}, 5)])
    bench.drain()
    assert bench.rows("O") == [
        ((1, 0, 0), {"N": 1, "WE": 0}, 0),
        ((1, 9, 9), {"N": 1, "WE": 9}, 9),
        ((1, 0, 0), None, 0),
        ((1, 9, 9), None, 9),
        ((1, 0, 9), {"N": 3, "WE": 9}, 9),
    ]
    assert bench.table(run) == [{"ID": 1, "WINDOWSTART": 0, "WINDOWEND": 9, "N": 3, "WE": 9, "ROWTIME": 9}]


def test_emit_final_has_no_grace_of_its_own(any_batch: Any) -> None:
    """Without GRACE PERIOD, EMIT CHANGES waits a day for late rows, EMIT FINAL closes a window at its end."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, V INT)")
    bench.run(
        "CREATE TABLE O AS SELECT ID, SUM(V) AS T FROM S WINDOW TUMBLING (SIZE 10 MILLISECONDS) GROUP BY ID EMIT FINAL"
    )
    bench.produce("S", [(1, {"V": 1}, 3), (1, {"V": 2}, 10), (1, {"V": 4}, 9)])
    bench.drain()
    assert bench.rows("O") == [((1, 0), {"T": 1}, 3)]


def test_emit_final(any_batch: Any) -> None:
    """One row per window, when a later row closes it."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, V INT)")
    bench.run(
        "CREATE TABLE O AS SELECT ID, SUM(V) AS T FROM S WINDOW TUMBLING (SIZE 10 MILLISECONDS, GRACE PERIOD 5 MILLISECONDS)"
        " GROUP BY ID EMIT FINAL"
    )
    bench.produce("S", [(1, {"V": 1}, 3), (1, {"V": 2}, 12), (1, {"V": 4}, 9), (1, {"V": 8}, 15)])
    bench.drain()
    assert bench.rows("O") == [((1, 0), {"T": 5}, 9)]


def test_partition_by_several_columns(any_batch: Any) -> None:
    """Their key exists also where all of them are NULL."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, A INT, B INT)")
    bench.run("CREATE STREAM O WITH (KEY_FORMAT='JSON') AS SELECT * FROM S PARTITION BY A, B")
    bench.produce("S", [(1, {"A": 1, "B": 2}, 1), (2, {"A": None, "B": None}, 2), (3, None, 3)])
    bench.drain()
    keys = bench.log.read(bench.catalog.source("O").topic, 0, 0, rows_max=10).keys.to_pylist()
    assert keys == [b'{"A":1,"B":2}', b'{"A":null,"B":null}', b'{"A":null,"B":null}']


def test_a_missing_timestamp_can_fail_the_query(any_batch: Any) -> None:
    """What came before the record is processed, whatever the steps; without the setting the record is skipped."""
    for strict in (True, False):
        bench = type(any_batch)(rows_max=any_batch.rows_max)
        bench.properties["ksql.timestamp.throw.on.invalid"] = str(strict).lower()
        bench.source("CREATE STREAM S (ID INT KEY, DAY STRING)", timestamp_column="DAY", timestamp_format="yyyy-MM-dd")
        run = bench.run("CREATE STREAM O AS SELECT * FROM S")
        rows = [{"DAY": "1970-01-02"}, {"DAY": "1970-01-03"}, {"DAY": "soon"}, {"DAY": "1970-01-04"}]
        bench.produce("S", [(i, row, 0) for i, row in enumerate(rows)])
        if strict:
            with pytest.raises(DataError, match="s, partition 0, offset 2"):
                bench.drain()
            assert run.state == "ERROR"
        else:
            bench.drain()
        expected = [(0, rows[0], 86_400_000), (1, rows[1], 2 * 86_400_000), (3, rows[3], 3 * 86_400_000)]
        assert bench.rows("O") == (expected[:2] if strict else expected)


@pytest.mark.parametrize("call", ["CORRELATION(V, V)", "AVG(V)", "STDDEV_SAMPLE(V)", "COUNT_DISTINCT(V)"])
def test_flat_values_cannot_hold_nested_states(bench: Any, call: str) -> None:
    """An aggregate that keeps more than one number needs a source format that holds it; COUNT and SUM do not."""
    bench.source("CREATE STREAM S (ID INT KEY, V INT)", value_format=FormatInfo("DELIMITED"))
    bench.source("CREATE STREAM J (ID INT KEY, V INT)", value_format=FormatInfo("JSON"))
    with pytest.raises(StatementError, match="nested"):
        bench.resolve(f"CREATE TABLE O AS SELECT ID, {call} FROM S GROUP BY ID")
    bench.resolve(f"CREATE TABLE O AS SELECT ID, {call} FROM J GROUP BY ID")
    bench.resolve("CREATE TABLE O AS SELECT ID, COUNT(*), SUM(V), MAX(V) FROM S GROUP BY ID")


def test_a_sink_skips_rows_without_a_timestamp(any_batch: Any) -> None:
    """A row whose TIMESTAMP column is null or negative is not written."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, AT_MS BIGINT)")
    bench.run("CREATE STREAM O WITH (TIMESTAMP='AT_MS') AS SELECT * FROM S")
    bench.produce("S", [(1, {"AT_MS": 7}, 0), (2, {"AT_MS": None}, 0), (3, {"AT_MS": -1}, 0), (4, {"AT_MS": 9}, 0)])
    bench.drain()
    assert bench.rows("O") == [(1, {"AT_MS": 7}, 7), (4, {"AT_MS": 9}, 9)]


@pytest.mark.parametrize("emit", ["CHANGES", "FINAL"])
def test_a_row_a_gap_after_its_session_joins_it(any_batch: Any, emit: str) -> None:
    """Also without grace, and though the row itself moves stream time to where the session ends to be kept."""
    bench = any_batch
    bench.source("CREATE STREAM S (ID INT KEY, V INT)")
    bench.run(
        "CREATE TABLE O AS SELECT ID, COUNT(*) AS N FROM S WINDOW SESSION (1 SECOND, GRACE PERIOD 0 SECONDS)"
        f" GROUP BY ID EMIT {emit}"
    )
    bench.produce("S", [(1, {"V": 1}, 1000), (1, {"V": 2}, 2000), (2, {"V": 3}, 9000)])
    bench.drain()
    joined = ((1, 1000, 2000), {"N": 2}, 2000)
    assert (joined in bench.rows("O")) and ((1, 1000, 1000), {"N": 1}, 1000) not in bench.rows("O")[1:]
