"""Whatever users' functions raise, and however long they take: it is that row's failure, and nobody else's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.engine.functions.registry import BUILT_INS, Registry
from penstock.engine.functions.user import USER_FUNCTIONS


class Panic(BaseException):
    """As pyo3's PanicException is: no Exception."""


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise SystemExit("no text")


RAISED = [
    ValueError("x"),
    asyncio.CancelledError("x"),
    SystemExit(3),
    GeneratorExit(),
    Panic("x"),
    KeyboardInterrupt(),
    Mute(),
    StopIteration(),
    MemoryError(),
    RecursionError(),
]


def named(error: BaseException) -> str:
    return type(error).__name__


@pytest.fixture(autouse=True)
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Functions of this test alone."""
    mine = Registry(BUILT_INS)
    monkeypatch.setattr("penstock.engine.functions.user.USER_FUNCTIONS", mine)
    monkeypatch.setattr("penstock.engine.opened.USER_FUNCTIONS", mine)
    assert USER_FUNCTIONS is not mine
    yield mine


def raising(error: BaseException) -> Callable[[int], int]:
    def thirteen(v: int) -> int:
        if v == 13:
            raise error
        return v

    return thirteen


STREAM = "CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);"
ROWS = [{"k": i % 3, "v": i} for i in range(20)]


@pytest.mark.parametrize("error", RAISED, ids=named)
@pytest.mark.parametrize("kind", ["scalar", "table", "vectorized"])
def test_a_function_that_raises_fails_its_row(kind: str, error: BaseException) -> None:
    """Scalar, table and vectorised functions, on workers: the row is NULL (or gives no rows), the query goes on."""
    function = raising(error)
    if kind == "scalar":
        penstock.udf(name="f")(function)
        select = "SELECT k, f(v) AS w FROM s"
    elif kind == "table":
        penstock.udtf(name="f", signature="(v INT) -> INT")(lambda v: [function(v)])
        select = "SELECT k, f(v) AS w FROM s"
    else:
        penstock.udf(name="f", signature="(v INT) -> INT", vectorized=True)(lambda v: [function(x) for x in v.to_pylist()])
        select = "SELECT k, f(v) AS w FROM s"
    with penstock.connect(auto_offset_reset="earliest") as db:
        db.execute(STREAM)
        db.execute(f"CREATE STREAM o AS {select} EMIT CHANGES; CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
        db.insert("s", ROWS)
        assert db.wait_idle(20)
        found = [row[0] for row in db.sql("SELECT w FROM o;").fetchall()]
        wanted = [None if i == 13 and kind != "table" else i for i in range(20) if not (i == 13 and kind == "table")]
        assert found == wanted
        assert {q.state for q in db.queries.values()} == {"RUNNING"}
        db.insert("s", [{"k": 1, "v": 99}])
        assert db.wait_idle(20), "the workers are alive"
        assert db.sql("SELECT n FROM t WHERE k = 1;").fetchall() == [(8,)]
        assert db.sql("SELECT COUNT(*) FROM KSQL_PROCESSING_LOG").fetchall() == [(1,)]


def counting(error: BaseException) -> None:
    @penstock.udaf(name="add_up")
    class AddUp:
        def initialize(self) -> int:
            return 0

        def aggregate(self, state: int, v: int) -> int:
            return state + raising(error)(v)


@pytest.mark.parametrize("error", RAISED, ids=named)
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("on_disk", [False, True])
def test_an_aggregate_that_raises_leaves_its_row_out(
    error: BaseException, threads: int, on_disk: bool, tmp_path: Path
) -> None:
    """On workers and in drain(): the row is bad, counted and logged; a reopened database does not meet it again."""
    if isinstance(error, KeyboardInterrupt) and threads == 0:
        pytest.skip("in the main thread it is the user's")
    if isinstance(error, MemoryError):
        pytest.skip("memory that is used up is no row's fault")
    counting(error)
    path = tmp_path / "db" if on_disk else None
    with penstock.connect(path, threads=threads, auto_offset_reset="earliest") as db:
        db.execute(STREAM + "CREATE TABLE t AS SELECT k, ADD_UP(v) AS total FROM s GROUP BY k;")
        db.insert("s", ROWS)
        assert db.wait_idle(20)
        (query,) = db.queries.values()
        assert query.state == "RUNNING", query.progress()
        wanted = {k: sum(i for i in range(20) if i % 3 == k and i != 13) for k in range(3)}
        assert dict(db.sql("SELECT k, total FROM t;").fetchall()) == wanted
        account = query.progress().account
        assert (account.read, account.bad, account.used) == (20, 1, 19)
        (logged,) = db.sql("SELECT * FROM KSQL_PROCESSING_LOG;").to_dicts()
        assert logged["MESSAGE"]["recordProcessingError"]["offset"] == 13
        assert "AddUp" in logged["MESSAGE"]["recordProcessingError"]["errorMessage"]
    if on_disk:
        with penstock.connect(path, threads=threads) as db:
            db.insert("s", [{"k": 0, "v": 1000}])
            assert db.wait_idle(20)
            wanted[0] += 1000
            assert dict(db.sql("SELECT k, total FROM t;").fetchall()) == wanted
            assert db.sql("SELECT COUNT(*) FROM KSQL_PROCESSING_LOG").fetchall() == [(1,)]


@dataclass
class Kept:
    items: list[int]


def _lists_in_list() -> None:
    @penstock.udaf(name="kept")
    class Lists:
        def initialize(self) -> list[list[int]]:
            return [[]]

        def aggregate(self, state: list[list[int]], v: int) -> list[list[int]]:
            state[0].append(raising_late(state[0], v))
            return state

        def map(self, state: list[list[int]]) -> list[int]:
            return state[0]


def _lists_in_map() -> None:
    @penstock.udaf(name="kept")
    class Lists:
        def initialize(self) -> dict[str, list[int]]:
            return {"x": []}

        def aggregate(self, state: dict[str, list[int]], v: int) -> dict[str, list[int]]:
            state["x"].append(raising_late(state["x"], v))
            return state

        def map(self, state: dict[str, list[int]]) -> list[int]:
            return state["x"]


def _lists_in_dataclass() -> None:
    @penstock.udaf(name="kept")
    class Lists:
        def initialize(self) -> Kept:
            return Kept([])

        def aggregate(self, state: Kept, v: int) -> Kept:
            state.items.append(raising_late(state.items, v))
            return state

        def map(self, state: Kept) -> list[int]:
            return state.items


def raising_late(items: list[int], v: int) -> int:
    """Changes the state in place before it fails."""
    if v == 13:
        items.append(-1)
        raise ValueError("x")
    return v


@pytest.mark.parametrize("define", [_lists_in_list, _lists_in_map, _lists_in_dataclass])
@pytest.mark.parametrize("every", [False, True])
def test_a_state_that_is_changed_in_place_is_not_shared(define: Callable[[], None], every: bool) -> None:
    """Lists inside of lists, maps and dataclasses: a row that fails leaves no trace, the rows of its step are counted once,
    and an update that was shown keeps its value.
    """
    define()
    settings = {"cache.max.bytes.buffering": "0"} if every else {}
    with penstock.connect(threads=0, auto_offset_reset="earliest", settings=settings) as db:
        db.execute(STREAM + "CREATE TABLE t AS SELECT k, KEPT(v) AS w FROM s GROUP BY k;")
        shown = db.subscribe("SELECT w FROM t EMIT CHANGES;")
        for rows in ([0, 1], [12, 13, 14], [15]):
            db.insert("s", [{"k": 1, "v": v} for v in rows])
            db.drain()
        assert db.sql("SELECT w FROM t").fetchall() == [([0, 1, 12, 14, 15],)]
        if every:
            updates = [shown.poll(5) for _ in range(5)]
            assert [row.values[0] for row in updates if row] == [[0, 1, 12, 14, 15][: n + 1] for n in range(5)]
        shown.close()


def test_a_list_of_a_class_of_its_own_that_fails_when_read_fails_its_row() -> None:
    """Arrow crashes the process where a list's own length raises an error."""

    class Lazy(list[int]):
        def __len__(self) -> int:
            raise SystemExit("not loaded")

    penstock.udf(name="f", signature="(v INT) -> ARRAY<INT>")(lambda v: Lazy([v]) if v == 13 else [v])
    penstock.udf(name="g", signature="(v INT) -> STRUCT<X ARRAY<INT>>")(lambda v: {"X": Lazy([v]) if v == 13 else [v]})
    with penstock.connect(threads=0, auto_offset_reset="earliest") as db:
        db.execute(STREAM)
        db.insert("s", ROWS)
        rows = db.sql("SELECT v, f(v), g(v)->X FROM s").fetchall()
        assert rows == [(v, None, None) if v == 13 else (v, [v], [v]) for v in range(20)]


def test_an_interrupt_in_the_main_thread_is_the_users() -> None:
    """Ctrl-C while drain() calls a function stops drain(), and no row is failed by it."""
    stops = [True]

    @penstock.udf(name="f")
    def f(v: int) -> int:
        if v == 13 and stops:
            stops.clear()
            raise KeyboardInterrupt
        return v

    with penstock.connect(threads=0, auto_offset_reset="earliest") as db:
        db.execute(STREAM + "CREATE STREAM o AS SELECT k, f(v) AS w FROM s;")
        db.insert("s", ROWS)
        with pytest.raises(KeyboardInterrupt):
            db.drain()
        db.drain()
        assert [r[0] for r in db.sql("SELECT w FROM o;").fetchall()] == list(range(20))


def test_row_failure_stop_stops_the_query() -> None:
    """By choice a bad row is not left out."""
    counting(SystemExit(1))
    with penstock.connect(auto_offset_reset="earliest", settings={"penstock.row.failure": "stop"}) as db:
        db.execute(STREAM + "CREATE TABLE t AS SELECT k, ADD_UP(v) AS total FROM s GROUP BY k;")
        db.insert("s", ROWS)
        (query,) = db.queries.values()
        deadline = time.monotonic() + 10
        while query.state == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert query.state == "ERROR" and "SystemExit" in (query.progress().error or "")


UNLUCKY = "CREATE STREAM s (k STRING KEY, g STRING, v INT) WITH (VALUE_FORMAT='JSON', PARTITIONS=1);"


def unlucky() -> None:
    """ADD_BUT raises for 13, and has no result for a total of 3."""

    @penstock.udaf(name="add_but", signature="(v INT) -> INT")
    class AddBut:
        def initialize(self) -> int:
            return 0

        def aggregate(self, total: int, v: int | None) -> int:
            if v == 13:
                raise ValueError("no thirteen")
            return total + (v or 0)

        def map(self, total: int) -> int:
            if total == 3:
                raise SystemExit("no three")
            return total


GROUPS = {"a": [1, 13, 4], "b": [13], "c": [1, 2], "d": [5, None, 13, 13]}
LEFT = {"a": (2, 5, 5), "c": (1, 1, 1), "d": (2, 5, 5)}


def groups_of(rows: Any) -> dict[str, Any]:
    return {g: tuple(values) for g, *values in rows}


@pytest.mark.parametrize("cut", [1, 100])
def test_a_row_that_an_aggregate_cannot_take_is_left_out_however_the_query_is_asked(cut: int) -> None:
    """A running query and one that is answered once leave it out of all aggregates, and of the groups; both tell."""
    unlucky()
    rows = [{"k": g, "g": g, "v": v} for g, values in GROUPS.items() for v in values]
    select = "SELECT g, COUNT(*) AS n, ADD_BUT(v) AS a, SUM(v) AS s FROM s GROUP BY g"
    with penstock.connect(threads=0, auto_offset_reset="earliest", settings={"cache.max.bytes.buffering": "0"}) as db:
        db.execute(UNLUCKY + f"CREATE TABLE t AS {select};")
        for start in range(0, len(rows), cut):
            db.insert("s", rows[start : start + cut])
            db.drain()
        assert groups_of(db.sql("SELECT g, n, a, s FROM t").fetchall()) == LEFT
        bad = db.sql("SELECT COUNT(*) FROM KSQL_PROCESSING_LOG").fetchall()[0][0]
        for asked in (select, f"SELECT * FROM ({select}) ORDER BY g", f"WITH c AS ({select}) SELECT * FROM c LIMIT 9"):
            found = db.sql(asked)
            assert groups_of(found.fetchall()) == LEFT
            assert found.rows_left_out == bad == 5
            assert (
                found.final_message == "5 rows were left out: ADD_BUT: the aggregate AddBut failed: ValueError: no thirteen"
            )
        assert db.sql(f"{select} HAVING g = 'a'").fetchall() == [("a", *LEFT["a"])]
        assert db.sql("SELECT ADD_BUT(DISTINCT v), COUNT(DISTINCT v) FROM s WHERE g <> 'c'").fetchall() == [(10, 3)]
        assert db.sql("SELECT COUNT(*) FROM s").rows_left_out == 0
        for frame in ("", "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"):
            ordered = "ORDER BY ROWTIME" if frame else ""
            over = f"SELECT g, ADD_BUT(v) OVER (PARTITION BY g {ordered} {frame}) AS a FROM s WHERE g <> 'c'"
            assert set(db.sql(over).fetchall()) == {("a", 5), ("b", 0), ("d", 5)}
        sliding = (
            "SELECT v, ADD_BUT(v) OVER (ORDER BY k, v ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a FROM s WHERE g = 'a'"
        )
        assert sorted(db.sql(sliding).fetchall()) == [(1, 1), (4, 5), (13, 4)]
        db.execute("SET 'penstock.row.failure' = 'stop';")
        for asked in (select, over):
            with pytest.raises(penstock.StatementError, match="no thirteen") as refused:
                db.sql(asked)
            assert "ADD_BUT" in str(refused.value).splitlines()[1]


def test_a_failing_group_without_rows_is_refused() -> None:
    """It is no row's fault if the result for no rows cannot be had."""

    @penstock.udaf(name="never", signature="(v INT) -> INT")
    class Never:
        def initialize(self) -> int:
            return 0

        def aggregate(self, total: int, v: int | None) -> int:
            return 1

        def map(self, total: int) -> int:
            raise ValueError("never")

    with penstock.connect(threads=0) as db:
        db.execute(UNLUCKY)
        with pytest.raises(penstock.StatementError, match="never"):
            db.sql("SELECT NEVER(v) FROM s")


def test_an_endless_table_function_fails_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator without an end takes neither all memory nor all time."""
    monkeypatch.setattr("penstock.engine.functions.user.TABLE_FUNCTION_ROWS_MAX", 1000)

    @penstock.udtf(name="f", signature="(v INT) -> INT")
    def f(v: int) -> Iterator[int]:
        while True:
            yield v

    with penstock.connect(threads=0, auto_offset_reset="earliest") as db:
        db.execute(STREAM + "CREATE STREAM o AS SELECT k, f(v) AS w FROM s;")
        db.insert("s", ROWS[:2])
        db.drain()
        assert db.sql("SELECT w FROM o;").fetchall() == []
        assert db.sql("SELECT COUNT(*) FROM KSQL_PROCESSING_LOG").fetchall() == [(2,)]


# --- time ----------------------------------------------------------------------------------


def slow(seconds: float) -> None:
    @penstock.udf(name="slow")
    def slow_(v: int) -> int:
        time.sleep(seconds)
        return v


def quick(what: Callable[[], Any], seconds: float) -> Any:
    before = time.monotonic()
    result = what()
    took = time.monotonic() - before
    assert took < seconds, f"it took {took:.2f} s"
    return result


@pytest.mark.parametrize("aggregate", [False, True])
def test_a_slow_function_holds_nobody_back(aggregate: bool) -> None:
    """Two queries with a slow function and a long backlog: a third one, PAUSE, TERMINATE and close() are quick."""
    others = set(threading.enumerate())  # of tests before
    slow(0.0005)
    n = 150_000  # over a minute of each query
    made = (
        "TABLE {} AS SELECT k, SUM(slow(v)) AS w FROM s GROUP BY k"
        if aggregate
        else "STREAM {} AS SELECT k, slow(v) AS w FROM s"
    )
    db = penstock.connect(threads=2, auto_offset_reset="earliest")
    db.execute(STREAM + "CREATE STREAM other (k INT KEY, v INT) WITH (KAFKA_TOPIC = 'other', PARTITIONS = 1);")
    db.execute("CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM other GROUP BY k;")
    db.insert("s", [{"k": i % 7, "v": i} for i in range(n)])
    for name in ("a", "b", "c"):
        db.execute(f"CREATE {made.format(name)};")
    time.sleep(0.6)
    for i in range(5):
        token = db.insert("other", [{"k": 1, "v": i}])
        found = quick(lambda token=token: db.sql("SELECT n FROM t WHERE k = 1;", after=token).fetchall(), 15.0)
        assert found == [(i + 1,)]
    first, second, third = (q for q in db.queries.values() if q.id.split("_")[1] in "ABC")
    before = first.progress().account.read
    quick(first.pause, 15.0)
    quick(second.terminate, 15.0)
    assert third.state == "RUNNING" and first.state == "PAUSED"
    assert before < n, "there is still something to do"
    quick(db.close, 15.0)
    assert not [t for t in threading.enumerate() if t.name.startswith("penstock-") and t not in others]


def test_a_slow_function_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Steps that are taken back because they took too long are done again, in smaller pieces, each row once."""
    slow(0.001)
    with penstock.connect(tmp_path / "db", auto_offset_reset="earliest") as db:
        db.execute(STREAM + "CREATE TABLE t AS SELECT k, SUM(slow(v)) AS w, COUNT(*) AS n FROM s GROUP BY k;")
        db.insert("s", [{"k": i % 7, "v": i} for i in range(1500)])
        (query,) = db.queries.values()
        time.sleep(0.5)
        query.pause()
        query.resume()
        assert db.wait_idle(60)
        found = db.sql("SELECT k, w, n FROM t;").fetchall()
        assert sorted(found) == [(k, sum(range(k, 1500, 7)), len(range(k, 1500, 7))) for k in range(7)]
        assert query.progress().account.read == 1500
