"""The pytest plugin and `penstock.testing`, used as somebody's tests would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import penstock
from penstock import testing
from penstock.testing import assert_golden, assert_table, record_topic, replay_topic

SETUP = """
    CREATE STREAM orders (customer STRING KEY, total INT)
        WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
    CREATE TABLE spend AS SELECT customer, SUM(total) AS total FROM orders GROUP BY customer;
"""


@pytest.fixture
def db() -> object:
    clock = penstock.ManualClock(1_704_067_200_000)
    with penstock.connect(threads=0, clock=clock, auto_offset_reset="earliest") as opened:
        yield opened


def test_assert_table_shows_the_difference(db: penstock.Database) -> None:
    """Dicts name the columns to compare, tuples are whole rows; the message is a table of what differs."""
    db.execute(SETUP)
    db.insert("orders", [("ann", 1), ("bob", 2), ("ann", 3)])
    assert_table(db, "spend", [{"customer": "bob", "total": 2}, {"customer": "ann", "total": 4}])
    assert_table(db, "SPEND", [("ann", 4)], where="total > 3")
    assert_table(db, "spend", [{"total": 2}, {"total": 4}])
    with pytest.raises(AssertionError) as caught:
        assert_table(db, "spend", [{"customer": "ann", "total": 5}, {"customer": "bob", "total": 2}])
    lines = str(caught.value).splitlines()
    assert lines[0] == "SPEND holds other rows (2 rows, 2 expected); - is missing, + is too much"
    assert "- 'ann'    | 5" in lines and "+ 'ann'    | 4" in lines and "  'bob'    | 2" in lines
    for wrong in ([], [("ann", 4)], [("ann",)]):
        with pytest.raises(AssertionError):
            assert_table(db, "spend", wrong)
    with pytest.raises(penstock.StatementError):
        assert_table(db, "nobody", [])


@pytest.mark.parametrize(
    ("window", "bounds"),
    [
        ("TUMBLING (SIZE 1 MINUTE, GRACE PERIOD 10 SECONDS)", (0, 60_000)),
        ("HOPPING (SIZE 1 MINUTE, ADVANCE BY 1 MINUTE, GRACE PERIOD 10 SECONDS)", (0, 60_000)),
        ("SESSION (1 MINUTE, GRACE PERIOD 10 SECONDS)", (0, 0)),
    ],
)
def test_time_closes_windows(db: penstock.Database, window: str, bounds: tuple[int, int]) -> None:
    """EMIT FINAL puts out each window once, when it is over, without another record, in every partition."""
    db.execute(
        SETUP + f"CREATE TABLE f AS SELECT customer, COUNT(*) AS n FROM orders WINDOW {window} GROUP BY customer EMIT FINAL;"
    )
    rows = db.subscribe("SELECT customer, WINDOWSTART, WINDOWEND, n FROM f EMIT CHANGES;")
    start = 1_704_067_200_000
    db.insert("orders", [("ann", 1), ("bob", 2), ("ann", 3), ("cyd", 1)])
    assert db.advance(seconds=60) == start + 60_000 and rows.poll(0) is None
    db.advance(seconds=20)
    read = sorted(row.values for row in iter(lambda: rows.poll(0), None) if row)
    assert read == [(name, start + bounds[0], start + bounds[1], n) for name, n in (("ann", 2), ("bob", 1), ("cyd", 1))]
    db.advance(hours=1)
    assert rows.poll(0) is None
    db.insert("orders", ("ann", 1))
    db.advance(minutes=3)
    late = [row.values for row in iter(lambda: rows.poll(0), None) if row]
    assert [(values[0], values[3]) for values in late] == [("ann", 1)]


def test_time_needs_a_clock_that_can_be_moved(db: penstock.Database) -> None:
    """The machine's clock is not moved, and no clock goes backwards."""
    with pytest.raises(penstock.StatementError, match="backwards"):
        db.advance(seconds=-1)
    with penstock.connect() as real, pytest.raises(penstock.StatementError, match="ManualClock"):
        real.advance(minutes=1)


def test_an_idle_input_is_given_up_after_its_time(db: penstock.Database) -> None:
    """max.task.idle.ms goes by the clock."""
    db.execute("SET 'max.task.idle.ms' = '60000';" + SETUP)
    db.execute("""
        CREATE TABLE names (customer STRING PRIMARY KEY, name STRING) WITH (KAFKA_TOPIC = 'names', PARTITIONS = 2);
        CREATE STREAM named AS SELECT o.customer, name, total FROM orders o LEFT JOIN names n ON o.customer = n.customer;
    """)
    db.insert("orders", ("ann", 1))
    db.advance(minutes=2)
    assert_table(db, "named", [{"total": 1, "name": None}])


@pytest.mark.parametrize("format_", ["JSON", "ARROW"])
def test_a_topic_is_recorded_and_replayed(db: penstock.Database, tmp_path: Path, format_: str) -> None:
    """Keys, values of all types, timestamps, partitions and headers; the recording of the replay is the same."""
    columns = "k STRING KEY, d DECIMAL(5, 2), at_ TIMESTAMP, b BYTES, a ARRAY<INT>, m MAP<STRING, DATE>, s STRUCT<x TIME>"
    for name in ("one", "two"):
        db.execute(f"CREATE STREAM {name} ({columns}) WITH (KAFKA_TOPIC='{name}', PARTITIONS=2, VALUE_FORMAT='{format_}');")
    rows = [
        {"k": "ä", "d": "1.50", "at_": 5, "b": b"\xff", "a": [1, None], "m": {"x": "2024-01-01"}, "s": {"x": "10:11"}},
        {"k": "z", "rowtime": 77},
    ]
    db.insert("one", rows)
    db.produce("one", key=b"\xfe", value=None, headers=[("h", b"\xff"), ("n", None)], timestamp=9)
    assert record_topic(db, "one", tmp_path / "one.jsonl") == 3
    assert replay_topic(db, tmp_path / "one.jsonl", "two") == 3
    record_topic(db, "two", tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_text("utf-8") == (tmp_path / "two.jsonl").read_text("utf-8")
    good = (tmp_path / "one.jsonl").read_text("utf-8").splitlines()[0]
    for bad in ('{"key": 1}', "{not JSON", "[1]", '{"partition": "x"}', "[" * 100_000):
        (tmp_path / "bad.jsonl").write_text(f"{good}\n\n{bad}\n")
        with pytest.raises(penstock.StatementError, match="line 3"):
            replay_topic(db, tmp_path / "bad.jsonl", "three")
    with pytest.raises(penstock.StatementError):
        db.describe_topic("three")


def test_golden_files(db: penstock.Database, tmp_path: Path) -> None:
    """A file that is not there or differs fails; blessing writes it."""
    db.execute(SETUP)
    db.insert("orders", ("ann", 1))
    db.drain()
    table = db.sql("SELECT * FROM spend ORDER BY customer")
    path = tmp_path / "golden" / "spend.txt"
    with pytest.raises(AssertionError, match="--penstock-bless"):
        assert_golden(table, path)
    assert_golden(table, path, bless=True)
    assert_golden(table, path)
    db.insert("orders", ("ann", 1))
    db.drain()
    with pytest.raises(AssertionError, match=r"\+ann"):
        assert_golden(db.sql("SELECT * FROM spend ORDER BY customer"), path)


def test_the_fixtures_in_a_project_of_their_own(tmp_path: Path) -> None:
    """pytest finds the plugin by its entry point; functions with @udf are plain functions."""
    (tmp_path / "test_shop.py").write_text('''
import penstock
from penstock.testing import assert_table

@penstock.udf
def doubled(x: int) -> int:
    return x * 2

def test_shop(penstock_db, penstock_clock, penstock_golden):
    assert doubled(4) == 8
    penstock_db.execute("""
        CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
        CREATE TABLE t AS SELECT k, SUM(DOUBLED(v)) AS v FROM s GROUP BY k;
    """)
    penstock_db.insert("s", ("a", 2))
    assert_table(penstock_db, "t", [{"k": "a", "v": 4}])
    before = penstock_clock.now_ms()
    penstock_db.advance(minutes=5)
    assert penstock_clock.now_ms() == before + 300_000
    penstock_golden(penstock_db.sql("SELECT * FROM t"))
''')
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    for arguments, code, said in (([], 1, "--penstock-bless"), (["--penstock-bless"], 0, "1 passed"), ([], 0, "1 passed")):
        done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == code and said in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "golden" / "test_shop.txt").read_text().splitlines()[-1] == "a | 4"


def test_the_plugin_imports_nothing_slow() -> None:
    """It is loaded in every project where Penstock is installed."""
    code = (
        "import sys, penstock.testing.plugin; print([m for m in ('pyarrow', 'numpy', 'lark', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    assert testing.assert_table is assert_table
