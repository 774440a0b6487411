"""The database as its users see it: statements, data in and out, restarts, and that a failure changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest

from penstock.engine.database import Database, connect
from penstock.engine.results import Description, Listing, Message, PushResult, Table
from penstock.errors import StatementError, UnsupportedError
from penstock.runtime.clock import ManualClock
from penstock.runtime.query.lifecycle import QueryRun

ORDERS = "CREATE STREAM orders (id INT KEY, customer STRING, total BIGINT) WITH (KAFKA_TOPIC='orders', PARTITIONS=2);"
SPEND = "CREATE TABLE spend AS SELECT customer, SUM(total) AS total, COUNT(*) AS n FROM orders GROUP BY customer;"
EARLIEST = {"auto.offset.reset": "earliest"}


def opened(path: Path | None = None, **settings: object) -> Database:
    """A database that only works when it is drained."""
    return connect(path, threads=0, clock=ManualClock(1_000), settings={**EARLIEST, **settings})


@pytest.fixture
def db() -> Iterator[Database]:
    """In memory."""
    with opened() as database:
        yield database


def rejected(db: Database, text: str) -> StatementError:
    """The error of a statement, and that it changed nothing."""
    before, topics = db.catalog, db.topic_names()
    number = db._engine.journal.next_offset
    with pytest.raises(StatementError) as caught:
        db.execute(text)
    assert db.catalog is before and db.topic_names() == topics and db._engine.journal.next_offset == number
    return caught.value


# --- the whole way -------------------------------------------------------------------------


def test_a_script_from_rows_to_a_table(db: Database) -> None:
    """Statements, insert(), a persistent aggregation, a pull query and any SQL over its table."""
    results = db.execute(ORDERS + SPEND)
    assert [r.kind for r in results if isinstance(r, Message)] == ["create stream", "create table as select"]
    token = db.insert("orders", [{"id": i, "customer": "ann" if i % 2 else "bob", "total": i} for i in range(10)])
    assert db.sql("SELECT * FROM spend WHERE customer = 'ann'", after=token).fetchall() == [("ann", 25, 5)]
    ordered = db.sql("SELECT customer, total / n AS mean FROM spend ORDER BY total DESC LIMIT 1", after=token)
    assert ordered.fetchall() == [("ann", 5.0)]


def test_every_kind_of_rows_is_taken(db: Database) -> None:
    """Dicts in any case, Arrow, pandas and polars give the same records."""
    import pandas
    import polars

    db.execute(ORDERS)
    rows = [{"id": 1, "Customer": "ann", "TOTAL": 5}]
    table = pa.Table.from_pylist(rows)
    for given in (rows, table, table.to_batches()[0], pandas.DataFrame(rows), polars.DataFrame(rows)):
        db.insert("orders", given)
    found = db.sql("SELECT id, customer, total FROM orders").fetchall()
    assert found == [(1, "ann", 5)] * 5


@pytest.mark.parametrize("rows", [[{"nobody": 1}], [{"id": "x"}], [{"rowtime": -1, "id": 1}], 5, ["x"], [{"total": 2**70}]])
def test_rows_that_do_not_fit_are_refused(db: Database, rows: Any) -> None:
    """Unknown columns, wrong types, negative times: nothing is written."""
    db.execute(ORDERS)
    with pytest.raises(StatementError):
        db.insert("orders", rows)
    assert db.sql("SELECT * FROM orders").fetchall() == []


def test_insert_values_and_its_rules(db: Database) -> None:
    """Constant expressions, ROWTIME, missing columns; wrong counts and names are refused."""
    db.execute(ORDERS)
    db.execute("INSERT INTO orders VALUES (1, UCASE('ann'), 2 + 3);")
    db.execute("INSERT INTO orders (rowtime, id) VALUES (77, 2);")
    assert sorted(db.sql("SELECT id, customer, total, rowtime FROM orders").fetchall()) == [
        (1, "ANN", 5, 1000),
        (2, None, None, 77),
    ]
    for wrong in (
        "VALUES (1)",
        "(id, id) VALUES (1, 2)",
        "(nope) VALUES (1)",
        "(ROWOFFSET) VALUES (1)",
        "(id) VALUES (total)",
    ):
        rejected(db, f"INSERT INTO orders {wrong};")


def test_insert_values_beside_header_columns(db: Database) -> None:
    """A stream with header columns takes rows as long as these are not among the columns written."""
    db.execute("CREATE STREAM h (k INT KEY, v INT, tag BYTES HEADER('tag')) WITH (KAFKA_TOPIC='h', PARTITIONS=1);")
    db.execute("INSERT INTO h (k, v) VALUES (1, 2);")
    db.insert("h", [{"k": 3, "v": 4}])
    assert sorted(db.sql("SELECT k, v, tag FROM h").fetchall()) == [(1, 2, None), (3, 4, None)]
    for wrong in ("VALUES (1, 2, NULL)", "(k, tag) VALUES (1, NULL)"):
        assert "header column" in str(rejected(db, f"INSERT INTO h {wrong};"))


def test_queries_of_names_in_lower_case(db: Database) -> None:
    """An id holds its sink's name as it is, and is found in any case: statements put it in upper case."""
    db.execute(ORDERS)
    for name in ("my-copy", "other"):
        db.execute(f"CREATE STREAM `{name}` AS SELECT id, total FROM orders;")
    first, second = db.queries
    assert (first, second) == ("CSAS_my-copy_1", "CSAS_other_2")
    db.execute("PAUSE csas_other_2; RESUME `CSAS_other_2`; TERMINATE CSAS_OTHER_2;")
    db.execute(f"EXPLAIN `{first}`;")
    db.queries[first].terminate()
    assert not db.queries


def test_the_raw_log(db: Database) -> None:
    """produce() and consume() carry bytes, timestamps and headers as they are."""
    db.create_topic("raw", partitions=2)
    db.produce("raw", key=b"k", value=b"v", timestamp=5, headers=[("h", b"1"), ("n", None)])
    (record,) = db.consume("raw")
    assert (record.key, record.value, record.timestamp, record.headers) == (b"k", b"v", 5, (("h", b"1"), ("n", None)))
    with pytest.raises(StatementError):
        db.produce("missing", value=b"")


def test_push_queries(db: Database) -> None:
    """A subscription gives rows as they come, in the order of the SELECT list."""
    db.execute(ORDERS)
    (push,) = db.execute("SELECT total, id FROM orders WHERE total > 1 EMIT CHANGES LIMIT 2;")
    assert isinstance(push, PushResult) and push.subscription.columns == ("TOTAL", "ID")
    db.insert("orders", [{"id": i, "total": i} for i in range(4)])
    db.drain()
    assert [row.values for row in push.subscription] == [(2, 2), (3, 3)]
    with pytest.raises(StatementError, match="push query"):
        db.subscribe("SELECT * FROM orders")
    with pytest.raises(StatementError, match="no end"):
        db.sql("SELECT * FROM orders EMIT CHANGES")


# --- failures change nothing ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='nope');", "no topic"),
        ("CREATE STREAM x WITH (KAFKA_TOPIC='orders');", "no columns"),
        ("CREATE STREAM x (a INT, a INT) WITH (KAFKA_TOPIC='n', PARTITIONS=1);", "twice"),
        ("CREATE STREAM x (rowtime INT) WITH (KAFKA_TOPIC='n', PARTITIONS=1);", "reserved"),
        ("CREATE STREAM x (a INT PRIMARY KEY) WITH (KAFKA_TOPIC='n', PARTITIONS=1);", "Write KEY"),
        ("CREATE TABLE x (a INT KEY) WITH (KAFKA_TOPIC='n', PARTITIONS=1);", "PRIMARY KEY"),
        ("CREATE TABLE x (a INT) WITH (KAFKA_TOPIC='n', PARTITIONS=1);", "no PRIMARY KEY"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='n', PARTITIONS=1, PARTITION=1);", "Did you mean PARTITIONS"),
        ("CREATE STREAM x (a NOPE) WITH (KAFKA_TOPIC='n', PARTITIONS=1);", "NOPE"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='n', PARTITIONS=0);", "at least 1"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='orders', VALUE_FORMAT='JSON');", "typed values"),
        ("CREATE STREAM x (total STRING) WITH (KAFKA_TOPIC='orders');", "TOTAL"),
        ("CREATE STREAM orders (a INT) WITH (KAFKA_TOPIC='orders');", "already"),
        ("CREATE OR REPLACE STREAM orders (id INT KEY, total BIGINT) WITH (KAFKA_TOPIC='orders');", "CUSTOMER"),
        ("CREATE OR REPLACE TABLE orders AS SELECT id, COUNT(*) AS n FROM orders GROUP BY id;", "orders"),
        ("CREATE TABLE x AS SELECT id, total FROM orders;", "CREATE STREAM"),
        ("CREATE STREAM x WITH (PARTITIONS=3, KAFKA_TOPIC='orders') AS SELECT * FROM orders;", "partitions"),
        ("CREATE STREAM `a b` (a INT) WITH (KAFKA_TOPIC='n', PARTITIONS=1);", "cannot be called"),
        ("DROP TABLE orders;", "is a stream"),
        ("DROP STREAM ordres;", "ORDERS"),
        ("ALTER STREAM orders ADD COLUMN total INT;", "twice"),
        ("TERMINATE nobody;", "nobody"),
        ("SET 'auto.offset.rest' = 'earliest';", "auto.offset.reset"),
        ("SET 'auto.offset.reset' = 'middle';", "earliest"),
        ("DESCRIBE nobody;", "NOBODY"),
        ("PRINT nothing FROM BEGINNING;", "nothing"),
        ("EXPLAIN DROP STREAM orders;", "EXPLAIN"),
        ("ASSERT TOPIC nope TIMEOUT 0 SECONDS;", "nope"),
        ("ASSERT NOT EXISTS TOPIC orders TIMEOUT 0 SECONDS;", "exists"),
        ("ASSERT TOPIC orders WITH (PARTITIONS=7) TIMEOUT 0 SECONDS;", "2 partitions"),
        ("RUN SCRIPT 'no/such/file';", "no/such/file"),
    ],
)
def test_wrong_statements_change_nothing(db: Database, text: str, says: str) -> None:
    """Each is refused with words that help, and catalog, topics and journal stay as they were."""
    db.execute(ORDERS)
    assert says.upper() in str(rejected(db, text)).upper()


@pytest.mark.parametrize(
    "text",
    [
        "CREATE SOURCE CONNECTOR c WITH ('connector.class'='x');",
        "SHOW CONNECTORS;",
        "DROP CONNECTOR c;",
        "ALTER SYSTEM 'a'='b';",
        "SET 'num.stream.threads'='4';",
    ],
)
def test_what_is_not_supported_is_refused_by_name(db: Database, text: str) -> None:
    """Never accepted and ignored."""
    db.execute(ORDERS)
    with pytest.raises(UnsupportedError):
        db.execute(text)


def test_a_script_stops_at_its_first_error(db: Database) -> None:
    """Syntax errors come before anything is executed; others leave what came before them."""
    with pytest.raises(StatementError):
        db.execute(ORDERS + "SELEKT;")
    assert "ORDERS" not in db.catalog.sources
    with pytest.raises(StatementError) as caught:
        db.execute(ORDERS + "\nDROP STREAM nobody;\n" + SPEND)
    assert "ORDERS" in db.catalog.sources and "SPEND" not in db.catalog.sources
    assert caught.value.span is not None and caught.value.span.line == 2


# --- definitions ---------------------------------------------------------------------------


def test_if_not_exists_and_if_exists_warn(db: Database) -> None:
    """They change nothing and say so."""
    db.execute(ORDERS)
    for text in (
        "CREATE STREAM IF NOT EXISTS orders (x INT) WITH (KAFKA_TOPIC='n', PARTITIONS=1);",
        "DROP STREAM IF EXISTS nobody;",
        "DROP TYPE IF EXISTS nobody;",
    ):
        (result,) = db.execute(text)
        assert isinstance(result, Message) and result.warning


def test_drop_minds_who_reads(db: Database) -> None:
    """A source is dropped after what was derived from it; its own query ends with it; topics go when asked."""
    db.execute(ORDERS + SPEND + "CREATE STREAM copy AS SELECT * FROM orders; INSERT INTO copy SELECT * FROM orders;")
    assert "SPEND" in str(rejected(db, "DROP STREAM orders;"))
    assert "INSERTQUERY_3" in str(rejected(db, "DROP STREAM copy;"))
    db.execute("TERMINATE insertquery_3; DROP STREAM copy DELETE TOPIC; DROP TABLE spend; DROP STREAM orders;")
    assert not db.queries and db.topic_names() == ["SPEND", "ksql_processing_log", "orders"]


def test_types_are_expanded_where_they_are_used(db: Database) -> None:
    """Dropping a type does not touch what was made with it."""
    db.execute("CREATE TYPE point AS STRUCT<x INT, y INT>;")
    db.execute("CREATE STREAM s (p point) WITH (KAFKA_TOPIC='s', PARTITIONS=1); DROP TYPE point;")
    assert str(db.catalog.sources["S"].schema) == "`P` STRUCT<`X` INTEGER, `Y` INTEGER>"
    db.insert("s", [{"p": {"x": 1, "Y": 2}}])
    assert db.sql("SELECT p->y FROM s").fetchall() == [(2,)]


def test_alter_adds_columns_to_old_records(db: Database) -> None:
    """Records from before have NULL in the new column, also in typed topics."""
    db.execute(ORDERS)
    db.insert("orders", [{"id": 1, "total": 1}])
    db.execute("ALTER STREAM orders ADD COLUMN note STRING;")
    db.insert("orders", [{"id": 2, "note": "n"}])
    assert sorted(db.sql("SELECT id, note FROM orders").fetchall()) == [(1, None), (2, "n")]


def test_query_ids_count_statements(db: Database) -> None:
    """An id has the number of its statement among the durable ones; INSERT may choose its own."""
    db.execute(ORDERS + "CREATE STREAM a AS SELECT * FROM orders;" + SPEND)
    db.execute("INSERT INTO a WITH (QUERY_ID='mine') SELECT * FROM orders;")
    assert list(db.queries) == ["CSAS_A_1", "CTAS_SPEND_2", "MINE"]
    rejected(db, "INSERT INTO a WITH (QUERY_ID='mine') SELECT * FROM orders;")


def test_replacing_a_query_goes_on_where_it_was(db: Database) -> None:
    """New columns and filters count from now on; the id stays."""
    db.execute(ORDERS + "CREATE STREAM o AS SELECT id, total FROM orders;")
    db.insert("orders", [{"id": 1, "total": 1}])
    db.drain()
    db.execute("CREATE OR REPLACE STREAM o AS SELECT id, total, customer FROM orders WHERE total > 1;")
    db.insert("orders", [{"id": 2, "total": 1}, {"id": 3, "total": 3, "customer": "c"}])
    db.drain()
    assert sorted(db.sql("SELECT * FROM o").fetchall()) == [(1, 1, None), (3, 3, "c")]
    assert list(db.queries) == ["CSAS_O_1"]
    rejected(db, "CREATE OR REPLACE STREAM o AS SELECT id, total, customer FROM orders PARTITION BY total;")


# --- queries -------------------------------------------------------------------------------


def test_pause_resume_terminate(db: Database) -> None:
    """A paused query takes nothing in; a terminated one is gone, its stream stays."""
    db.execute(ORDERS + "CREATE STREAM o AS SELECT * FROM orders;")
    query = db.queries["CSAS_O_1"]
    query.pause()
    token = db.insert("orders", [{"id": 1}])
    db.drain()
    assert (query.state, query.lag) == ("PAUSED", 1)
    with pytest.raises(StatementError, match="paused"):
        db.execute(SPEND)
        db.queries["CTAS_SPEND_3"].pause()
        db.sql("SELECT * FROM spend", after=token)
    query.resume()
    db.drain()
    assert (query.state, query.lag) == ("RUNNING", 0) and "Scan" in query.explain()
    query.terminate()
    assert "CSAS_O_1" not in db.queries and "O" in db.catalog.sources


def test_variables(db: Database) -> None:
    """DEFINE is seen by the statements after it, also in the same script, and forgotten by UNDEFINE."""
    db.execute("DEFINE name = 'orders'; CREATE STREAM ${name} (a INT) WITH (KAFKA_TOPIC='${name}', PARTITIONS=1);")
    (listed,) = db.execute("SHOW VARIABLES;")
    assert isinstance(listed, Listing) and listed.rows == (("NAME", "orders"),)
    db.execute("UNDEFINE name;")
    assert "not defined" in str(rejected(db, "DROP STREAM ${name};"))


def test_run_script(db: Database, tmp_path: Path) -> None:
    """The statements of a file stand in for RUN SCRIPT."""
    script = tmp_path / "a.sql"
    script.write_text(ORDERS + SPEND)
    assert len(db.execute(f"RUN SCRIPT '{script}'; SHOW STREAMS;")) == 3


@pytest.mark.parametrize(
    "text",
    [
        "SHOW STREAMS;",
        "SHOW TABLES;",
        "LIST TOPICS;",
        "SHOW ALL TOPICS EXTENDED;",
        "SHOW QUERIES;",
        "SHOW FUNCTIONS;",
        "SHOW TYPES;",
        "SHOW PROPERTIES;",
        "SHOW VARIABLES;",
    ],
)
def test_listings(db: Database, text: str) -> None:
    """Every SHOW gives rows as wide as its headings."""
    db.execute(ORDERS + SPEND + "CREATE TYPE t AS INT; DEFINE v = 'x';")
    db.insert("orders", [{"id": 1}])
    (result,) = db.execute(text)
    assert isinstance(result, Listing) and result.rows
    assert all(len(row) == len(result.columns) for row in result.rows)


@pytest.mark.parametrize(
    "text",
    [
        "DESCRIBE orders;",
        "DESCRIBE spend EXTENDED;",
        "DESCRIBE STREAMS EXTENDED;",
        "SHOW TABLES EXTENDED;",
        "SHOW QUERIES EXTENDED;",
        "DESCRIBE FUNCTION sum;",
        "DESCRIBE QUERY ctas_spend_1;",
        "EXPLAIN ctas_spend_1;",
        "EXPLAIN SELECT * FROM orders EMIT CHANGES;",
        "EXPLAIN " + SPEND.replace("spend", "other"),
    ],
)
def test_descriptions(db: Database, text: str) -> None:
    """Every DESCRIBE and EXPLAIN gives sections."""
    db.execute(ORDERS + SPEND)
    (result,) = db.execute(text)
    assert isinstance(result, Description) and result.sections


@pytest.mark.parametrize("setting", ["RETENTION_MS=5", "CLEANUP_POLICY='compact'", "REPLICAS=3"])
def test_a_topic_keeps_what_it_was_made_with(db: Database, setting: str) -> None:
    """A statement over an existing topic that asks for something else is refused; the same again is not."""
    name = setting.split("=")[0]
    db.execute(f"CREATE STREAM made (a INT) WITH (KAFKA_TOPIC='made', PARTITIONS=1, {setting});")
    db.execute(f"CREATE STREAM again (a INT) WITH (KAFKA_TOPIC='made', {setting});")
    db.execute(ORDERS)
    error = rejected(db, f"CREATE STREAM x (id INT KEY, customer STRING) WITH (KAFKA_TOPIC='orders', {setting});")
    assert name in error.message and error.span is not None
    sink = f"CREATE STREAM x WITH (KAFKA_TOPIC='orders', {setting}) AS SELECT id, customer, total FROM orders;"
    assert name in rejected(db, sink).message


@pytest.mark.parametrize("name", ["penstock.threads", "penstock.rows.per.step", "ksql.schema.registry.url"])
def test_what_counts_when_connecting_cannot_be_set_later(db: Database, name: str) -> None:
    """SET of a property that would change nothing any more is refused."""
    assert "connect" in str(rejected(db, f"SET '{name}' = '7';"))


def test_a_pull_query_over_a_stream_ends_though_rows_keep_coming() -> None:
    """It reads to the end that the stream had when it began, however fast others write."""
    written: list[int] = []
    with opened(None, **{"penstock.rows.per.step": 1}) as db:
        db.execute(ORDERS)
        step = QueryRun.step

        def step_and_write(run: QueryRun, **options: bool) -> bool:
            assert len(written) < 20
            written.append(len(written))
            db.insert("orders", [{"id": 1, "customer": "c", "total": 1}])
            return step(run, **options)

        db.insert("orders", [{"id": 1, "customer": "c", "total": 1}] * 3)
        with mock.patch.object(QueryRun, "step", step_and_write):
            assert len(db.sql("SELECT * FROM orders;").fetchall()) == 3


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("customer IN ('ada', 'eve')", {"ada"}),
        ("customer NOT IN ('ada', 'eve')", {"bob", "cyd"}),
        ("NOT customer IN ('ada')", {"bob", "cyd"}),
        ("customer NOT IN ('ada') AND customer IN ('ada', 'cyd')", {"cyd"}),
    ],
)
def test_keys_that_are_excluded_are_not_looked_up(db: Database, where: str, found: set[str]) -> None:
    """Only IN names the keys that are wanted; NOT IN leaves all the others."""
    db.execute(ORDERS + SPEND)
    db.insert("orders", [{"id": i, "customer": name, "total": i} for i, name in enumerate(("ada", "bob", "cyd"))])
    db.drain()
    assert {name for (name,) in db.sql(f"SELECT customer FROM spend WHERE {where};").fetchall()} == found


@pytest.mark.parametrize("pattern", ["yyyy-MM-dd{", "yyyy]", "soon", "''T"])
def test_a_timestamp_format_is_read_when_it_is_declared(db: Database, pattern: str) -> None:
    """What is no pattern is refused at once, for a source and for a sink: no record could ever have that form."""
    db.execute(ORDERS)
    clause = f"TIMESTAMP='customer', TIMESTAMP_FORMAT='{pattern}'"
    for text in (
        f"CREATE STREAM x (customer STRING) WITH (KAFKA_TOPIC='x', PARTITIONS=1, {clause});",
        f"CREATE STREAM x WITH ({clause}) AS SELECT id, customer FROM orders;",
    ):
        assert "TIMESTAMP_FORMAT" in str(rejected(db, text))


@pytest.mark.parametrize("name", ["VALUE_SCHEMA_FULL_NAME", "VALUE_AVRO_SCHEMA_FULL_NAME", "KEY_SCHEMA_FULL_NAME"])
def test_a_schema_has_a_name_or_none_is_given(db: Database, name: str) -> None:
    """An empty name is refused, under the name of the property that was written."""
    text = f"CREATE STREAM x (k INT KEY, v INT) WITH (KAFKA_TOPIC='x', PARTITIONS=1, FORMAT='AVRO', {name}='');"
    assert f"{name} is empty" in str(rejected(db, text))


def test_explain_runs_nothing(db: Database) -> None:
    """It makes no topic and no query."""
    db.execute(ORDERS)
    topics = db.topic_names()
    db.execute("EXPLAIN CREATE STREAM x AS SELECT * FROM orders;")
    assert db.topic_names() == topics and not db.queries


# --- restarts ------------------------------------------------------------------------------


def test_everything_is_back_after_a_restart(tmp_path: Path) -> None:
    """Sources, types, queries with their ids, pauses, state and data; settings of a statement stay with its query."""
    with opened(tmp_path / "shop") as db:
        db.execute("CREATE TYPE money AS DECIMAL(10, 2);" + ORDERS + SPEND)
        db.execute("CREATE STREAM gone AS SELECT * FROM orders; DROP STREAM gone; ALTER STREAM orders ADD COLUMN m money;")
        db.execute("CREATE STREAM idle AS SELECT * FROM orders; PAUSE ALL; RESUME ctas_spend_2;")
        db.insert("orders", [{"id": 1, "customer": "ann", "total": 5, "m": "1.50"}])
        db.drain()
        before = db.catalog
    with connect(tmp_path / "shop", threads=0) as db:
        assert dict(db.catalog.sources) == dict(before.sources) and db.catalog.types == before.types
        assert dict(db.catalog.queries) == dict(before.queries)
        assert {i: q.state for i, q in db.queries.items()} == {"CTAS_SPEND_2": "RUNNING", "CSAS_IDLE_6": "PAUSED"}
        assert db.sql("SELECT * FROM spend").fetchall() == [("ann", 5, 1)]
        db.insert("orders", [{"id": 2, "customer": "ann", "total": 2}])
        db.drain()
        assert db.sql("SELECT * FROM spend").fetchall() == [("ann", 7, 2)]
        db.execute("CREATE STREAM next AS SELECT * FROM orders;")
        assert "CSAS_NEXT_9" in db.queries


def test_a_replaced_query_is_back_as_replaced(tmp_path: Path) -> None:
    """Replaying CREATE OR REPLACE starts the last version only, from where it was."""
    with opened(tmp_path / "shop") as db:
        db.execute(ORDERS + "CREATE STREAM o AS SELECT id, total FROM orders;")
        db.execute("CREATE OR REPLACE STREAM o AS SELECT id, total, customer FROM orders;")
        db.insert("orders", [{"id": 1, "total": 1, "customer": "c"}])
        db.drain()
    with opened(tmp_path / "shop") as db:
        db.drain()
        assert db.sql("SELECT * FROM o").fetchall() == [(1, 1, "c")]


def test_a_closed_database_says_so(db: Database) -> None:
    """Every use after close() is a clear error; closing twice is none."""
    db.close()
    db.close()
    with pytest.raises(StatementError, match="closed"):
        db.execute("SHOW STREAMS;")


def test_settings_are_checked_when_connecting() -> None:
    """Unknown ones are refused, keyword arguments stand for dotted names."""
    with pytest.raises(StatementError, match="nonsense"):
        connect(settings={"nonsense": 1})
    with connect(threads=0, auto_offset_reset="earliest") as db:
        assert db.settings["auto.offset.reset"] == "earliest"
        db.execute("SET 'ksql.streams.auto.offset.reset' = 'latest';")
        assert db.settings.level("auto.offset.reset") == "SESSION"
        db.execute("UNSET 'auto.offset.reset';")
        assert db.settings["auto.offset.reset"] == "earliest"


def test_workers_do_the_same_on_their_own() -> None:
    """With threads, a read after a token sees the write without drain()."""
    with connect(threads=2, settings=EARLIEST) as db:
        db.execute(ORDERS + SPEND)
        token = db.insert("orders", [{"id": i, "customer": "c", "total": 1} for i in range(1000)])
        result = db.sql("SELECT * FROM spend", after=token)
        assert isinstance(result, Table) and result.fetchall() == [("c", 1000, 1000)]
