"""Whatever users' functions raise, and however long they take: it is that row's failure, and nobody else's."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
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
from penstock.runtime.clock import ManualClock
from tests.support.waiting import until


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
LEFT = {"a": (2, 5, 5), "c": (2, None, 3), "d": (2, 5, 5)}


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
        (query,) = db.queries.values()
        assert query.progress().account.bad == 4
        assert db.sql("SELECT COUNT(*) FROM KSQL_PROCESSING_LOG").fetchall() == [(5,)], "four rows, and a result"
        for asked in (select, f"SELECT * FROM ({select}) ORDER BY g", f"WITH c AS ({select}) SELECT * FROM c LIMIT 9"):
            found = db.sql(asked)
            assert groups_of(found.fetchall()) == LEFT
            assert found.rows_left_out == 4
            assert found.final_message == (
                "4 rows were left out: ADD_BUT: the aggregate AddBut failed: ValueError: no thirteen; "
                "1 result is NULL: ADD_BUT: the aggregate AddBut failed: SystemExit: no three"
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


def test_a_group_without_rows_may_have_no_result() -> None:
    """It is NULL, and the answer tells."""

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
        found = db.sql("SELECT NEVER(v) FROM s")
        assert found.fetchall() == [(None,)]
        assert found.final_message == "1 result is NULL: NEVER: the aggregate Never failed: ValueError: never"


WITHOUT_A_RESULT = {
    name: f"SELECT {key} AS k, COUNT(*) AS n, SUM_BUT(v) AS a FROM {rest}"
    for name, key, rest in (
        ("grouped", "k", "s GROUP BY k"),
        ("filtered", "k", "s GROUP BY k HAVING SUM_BUT(v) > 0"),
        ("over_table", "1", "tt GROUP BY 1"),
        ("tumbling", "k", "s WINDOW TUMBLING (SIZE 2 SECONDS) GROUP BY k"),
        ("hopping", "k", "s WINDOW HOPPING (SIZE 2 SECONDS, ADVANCE BY 1 SECOND) GROUP BY k"),
        ("session", "k", "s WINDOW SESSION (700 MILLISECONDS) GROUP BY k"),
        ("final", "k", "s WINDOW TUMBLING (SIZE 1 SECOND, GRACE PERIOD 0 SECONDS) GROUP BY k EMIT FINAL"),
    )
}


def sum_but() -> None:
    """SUM_BUT has no result for a total of 3, and none that fits for 700."""

    @penstock.udaf(name="sum_but", signature="(v INT) -> INT")
    class SumBut:
        def initialize(self) -> int:
            return 0

        def aggregate(self, total: int, v: int) -> int:
            return total + v

        def undo(self, total: int, v: int) -> int:
            return total - v

        def merge(self, left: int, right: int) -> int:
            return left + right

        def map(self, total: int) -> int:
            if total == 3:
                raise SystemExit("no three")
            return total if total != 700 else 1 << 40


def without_a_result(cut: int, cache: str) -> tuple[Any, list[Any], Any]:
    """The tables, their queries' accounts, and the processing log."""
    values = [1, 2, 4, -4, 697, 3, -697, 5]
    with penstock.connect(
        threads=0, auto_offset_reset="earliest", settings={"cache.max.bytes.buffering": cache, "penstock.rows.per.step": cut}
    ) as db:
        db.execute(STREAM + "CREATE TABLE tt (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC = 'tt', PARTITIONS = 1);")
        for name, select in WITHOUT_A_RESULT.items():
            db.execute(f"CREATE TABLE t_{name} AS {select};")
        db.insert("s", [{"k": 1, "v": v, "rowtime": 1000 + n * 500} for n, v in enumerate(values)])
        db.insert("tt", [{"k": n % 5, "v": v} for n, v in enumerate(values)])
        db.drain()
        tables = {name: sorted(db.sql(f"SELECT * FROM t_{name}").fetchall(), key=repr) for name in WITHOUT_A_RESULT}
        accounts = [(q.id, q.progress().account.used, q.progress().account.bad) for q in db.queries.values()]
        logged = [
            (r["LOGGER"], r["MESSAGE"]["recordProcessingError"])
            for r in db.sql("SELECT * FROM KSQL_PROCESSING_LOG").to_dicts()
        ]
        assert db.sql(WITHOUT_A_RESULT["grouped"]).fetchall() == tables["grouped"]
        return tables, accounts, sorted(logged, key=repr)


@pytest.mark.parametrize("cache", ["0", "10000000"])
def test_a_result_that_fails_is_null_and_its_rows_stay(cache: str) -> None:
    """However the input is cut into steps, the tables and accounts are the same; a later row finds the state as it is.  With
    every update shown, each update that has no result is reported, and the same ones for every cut.
    """
    sum_but()
    tables, accounts, logged = without_a_result(1, cache)
    assert tables["grouped"] == [(1, 8, 11)]
    assert tables["over_table"] == [(1, 5, 4)]
    assert tables["final"][0] == (1, 1000, 2000, 2, None)
    assert not any(bad for _, _, bad in accounts)
    assert {logger.split("_")[2] for logger, _ in logged} >= {"GROUPED", "FINAL"}
    assert any("no three" in error["errorMessage"] for _, error in logged)
    assert any("is not a valid int32" in error["errorMessage"] for _, error in logged)
    for cut in (2, 3, 100):
        found = without_a_result(cut, cache)
        assert found[:2] == (tables, accounts)
        if cache == "0":
            assert found[2] == logged


def test_a_window_that_time_closes_may_have_no_result() -> None:
    """No record has closed it: its report names none."""
    sum_but()
    with penstock.connect(threads=0, auto_offset_reset="earliest", clock=ManualClock(2_000)) as db:
        db.execute(STREAM + f"CREATE TABLE f AS {WITHOUT_A_RESULT['final']};")
        db.insert("s", [{"k": 1, "v": 3, "rowtime": 1000}])
        db.drain()
        db.advance(seconds=10)
        db.drain()
        assert db.sql("SELECT n, a FROM f").fetchall() == [(1, None)]
        (logged,) = db.sql("SELECT * FROM KSQL_PROCESSING_LOG").to_dicts()
        assert logged["MESSAGE"]["recordProcessingError"]["topic"] is None


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


# --------------------------------------------------------------------------------------- what never comes to an end


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """SPIN and SPIN_SUM, which do not return for 13 before the event is set; steps are waited for briefly."""
    monkeypatch.setattr("penstock.limits.STEP_END_SECONDS_MAX", 0.2)
    stop, began = threading.Event(), threading.Event()

    def spin(v: int) -> int:
        if v == 13:
            began.set()
            stop.wait()
        return v

    penstock.udf(name="spin")(spin)

    @penstock.udaf(name="spin_sum")
    class SpinSum:
        def initialize(self) -> int:
            return 0

        def aggregate(self, state: int, v: int) -> int:
            return state + spin(v)

    stop.began = began  # type: ignore[attr-defined]
    yield stop
    stop.set()


STOPPING = (
    "TERMINATE {};",
    "PAUSE {};",
    "PAUSE ALL;",
    "DROP TABLE slow;",
    "CREATE OR REPLACE TABLE slow AS SELECT k, SPIN_SUM(v) AS n FROM s WHERE k >= 0 GROUP BY k;",
    "EXPLAIN ANALYZE {};",
    "WHY NO ROWS FROM slow;",
)


def test_statements_do_not_wait_for_ever_for_a_function_that_does_not_return(endless: threading.Event) -> None:
    """Each is refused after a time and changes nothing; other queries go on, and this one, too, when it returns."""
    with penstock.connect(auto_offset_reset="earliest") as db:
        db.execute(
            STREAM + "CREATE TABLE slow AS SELECT k, SPIN_SUM(v) AS n FROM s GROUP BY k;"
            "CREATE TABLE quick AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;"
        )
        (slow,) = [q for q in db.queries if "SLOW" in q]
        db.insert("s", [{"k": 1, "v": 13}])
        assert endless.began.wait(60)  # type: ignore[attr-defined]
        for statement in STOPPING:
            with pytest.raises(penstock.StatementError, match="has not ended"):
                db.execute(statement.format(slow))
        assert db.queries[slow].state == "RUNNING"
        token = db.insert("s", [{"k": 1, "v": 2}])
        db.wait(token, ["quick"], 60)
        assert db.sql("SELECT n FROM quick;").fetchall() == [(2,)]
        endless.set()
        assert db.wait_idle(60)
        assert db.sql("SELECT n FROM slow;").fetchall() == [(15,)]
        db.execute(f"TERMINATE {slow};")


def test_close_does_not_wait_for_ever_for_a_function_that_does_not_return(
    endless: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the function was called for is done again by whoever opens the database next, once."""
    monkeypatch.setattr("penstock.runtime.scheduler.STOP_S", 0.2)
    db = penstock.connect(tmp_path / "db", auto_offset_reset="earliest")
    db.execute(STREAM + "CREATE STREAM o AS SELECT k, SPIN(v) AS w FROM s EMIT CHANGES;")
    db.insert("s", [{"k": 1, "v": 13}, {"k": 2, "v": 14}])
    assert endless.began.wait(60)  # type: ignore[attr-defined]
    with db.subscribe("SELECT SPIN(v) FROM s EMIT CHANGES;"):
        pass
    db.close()
    with penstock.connect(tmp_path / "db") as again:
        endless.set()
        assert again.wait_idle(60)
        assert again.sql("SELECT w FROM o;").fetchall() == [(13,), (14,)]
    assert not penstock.verify_directory(tmp_path / "db")


def test_drain_can_be_interrupted_while_it_waits_for_a_worker(endless: threading.Event) -> None:
    """Ctrl-C ends the waiting, and the workers go on afterwards."""
    with penstock.connect(auto_offset_reset="earliest") as db:
        db.execute(STREAM + "CREATE STREAM o AS SELECT k, SPIN(v) AS w FROM s EMIT CHANGES;")
        db.insert("s", [{"k": 1, "v": 13}])
        assert endless.began.wait(60)  # type: ignore[attr-defined]
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            db.drain()
        endless.set()
        db.insert("s", [{"k": 2, "v": 1}])
        assert db.wait_idle(60)
        assert db.sql("SELECT w FROM o;").fetchall() == [(13,), (1,)]


# ---------------------------------------------------------------------------------------------------- rows to insert


def test_a_generator_without_an_end_is_refused_and_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken piece by piece, up to a number of bytes; Ctrl-C ends it at once, and nothing was written."""

    def rows() -> Iterator[dict[str, int]]:
        for i in itertools.count():
            if i == interrupted_at:
                os.kill(os.getpid(), signal.SIGINT)
            yield {"k": i}

    with penstock.connect() as db:
        db.execute(STREAM)
        interrupted_at = 10_000
        with pytest.raises(KeyboardInterrupt):
            db.insert("s", rows())
        interrupted_at = -1
        monkeypatch.setattr("penstock.engine.intake.rows.INSERTED_BYTES_MAX", 1_000_000)
        with pytest.raises(penstock.StatementError, match="INSERTED_BYTES_MAX"):
            db.insert("s", rows())
        with pytest.raises(penstock.StatementError, match="INSERTED_BYTES_MAX"):
            db.insert("s", ({} for _ in itertools.count()))
        monkeypatch.setattr("penstock.engine.intake.containers.ITERATED_ROWS_MAX", 1_000)
        with pytest.raises(penstock.StatementError, match="ITERATED_ROWS_MAX"):
            db.create_stream("made", rows())
        assert db.sql("SELECT * FROM s;").fetchall() == []
        db.insert("s", [{"k": 1, "v": 1}])


def test_an_iterable_is_stored_as_a_list_is() -> None:
    """Columns that come late, other spellings, times, and the numbers of rows in errors: whatever the pieces are."""
    given: list[Any] = [{"k": 1}, {"K": 2, "v": 2}, {"k": 3, "rowtime": 7}, (4, 4)] + [{"v": i} for i in range(5, 100)]
    with penstock.connect() as db:
        db.execute(STREAM + STREAM.replace(" s ", " l ").replace("'s'", "'l'"))
        db.insert("l", given)
        db.insert("s", iter(given))
        db.insert("s", iter([]))
        select = "SELECT k, v, CASE WHEN ROWTIME = 7 THEN 7 END FROM {};"
        assert db.sql(select.format("s")).fetchall() == db.sql(select.format("l")).fetchall()
        for bad, told in (({"v": "x"}, "row 100, column V"), ({"k": 1, "K": 1}, "row 100 of S"), (7, "row 100 is of type")):
            for container in (list, iter):
                with pytest.raises(penstock.StatementError, match=told):
                    db.insert("s", container([*given[:3], *given[4:], {"k": 0}, bad]))


def test_a_value_that_raises_is_its_own_inserts_failure() -> None:
    """Inserts of many threads are made together, but only the one whose value raises something meets it."""
    began, go = threading.Event(), threading.Event()
    outcomes: dict[str, str] = {}

    class Slow(int):
        def __int__(self) -> int:
            began.set()
            go.wait(60)
            return 1

    class Bad(int):
        def __int__(self) -> int:
            raise SystemExit("its own")

    with penstock.connect() as db:
        db.execute(STREAM)

        def insert(name: str, value: int) -> None:
            try:
                db.insert("s", [{"k": value, "v": 1}])
                outcomes[name] = "stored"
            except BaseException as error:
                outcomes[name] = type(error).__name__

        threads = []
        for name, value in (("first", Slow(1)), ("beside", 2), ("bad", Bad(3)), ("behind", 4)):
            waiting = db._engine.combiner.waiting
            threads.append(threading.Thread(target=insert, args=(name, value)))
            threads[-1].start()
            if name == "first":
                assert began.wait(60)
            else:
                until(lambda n=waiting: db._engine.combiner.waiting > n)  # type: ignore[misc]
        go.set()
        for thread in threads:
            thread.join(60)
        assert outcomes == {"first": "stored", "beside": "stored", "bad": "SystemExit", "behind": "stored"}
        assert sorted(db.sql("SELECT k FROM s;").fetchall()) == [(1,), (2,), (4,)]


@pytest.mark.parametrize(("producer", "sequence"), [("p", -1), ("p", 10**30), ("p", 1.5), ("p", "1"), (7, 1), (b"p", 1)])
def test_a_sequence_is_a_number_that_the_log_can_hold(producer: Any, sequence: Any) -> None:
    """What cannot be one is refused, and the next insert works."""
    with penstock.connect() as db:
        db.execute(STREAM)
        with pytest.raises(penstock.StatementError, match=r"producer is a name|sequence is a whole number"):
            db.insert("s", [{"k": 1}], producer=producer, sequence=sequence)
        with pytest.raises(penstock.StatementError, match=r"producer is a name|sequence is a whole number"):
            db.produce("s", value={"V": 1}, producer=producer, sequence=sequence)
        db.insert("s", [{"k": 1}], producer="p", sequence=2**63 - 1)
        assert db.last_sequence("p") == 2**63 - 1
