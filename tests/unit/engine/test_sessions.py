"""Sessions: settings and variables of one's own over a database that all share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import Database, PrintResult, PushResult, Session, StatementError, connect
from penstock.engine.query_options import PROPERTIES

STREAM = "CREATE STREAM s (k INT KEY, a INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"


@pytest.fixture
def db() -> Iterator[Database]:
    with connect(threads=0) as opened:
        opened.execute(STREAM)
        yield opened


def rows_of(session: Session | Database) -> list[int]:
    """What a push query of this session sees of the stream, from where it begins."""
    with session.subscribe("SELECT a FROM s EMIT CHANGES;") as subscription:
        session._engine.host.drain()
        found = []
        while (row := subscription.poll()) is not None:
            found.append(row.values[0])
        return found


def test_each_session_has_its_own_set(db: Database) -> None:
    """One reads from the start, the other from the end; the default session is a third."""
    db.insert("s", [{"k": 1, "a": 1}])
    one, other = db.session(), db.session()
    one.execute("SET 'auto.offset.reset' = 'earliest';")
    assert rows_of(one) == [1] and rows_of(other) == [] and rows_of(db) == []
    assert one.settings.level("auto.offset.reset") == "SESSION" and other.settings.level("auto.offset.reset") == "DEFAULT"
    one.execute("UNSET 'auto.offset.reset';")
    other.execute("SET 'auto.offset.reset' = 'earliest';")
    assert rows_of(one) == [] and rows_of(other) == [1]
    assert db.settings["auto.offset.reset"] == "latest"


def test_each_session_has_its_own_variables(db: Database) -> None:
    """The same name stands for two things, and for nothing in a third session."""
    one, other = db.session(variables={"name": "x"}), db.session()
    other.execute("DEFINE name = 'y';")
    one.execute("CREATE STREAM ${name}_1 AS SELECT * FROM s;")
    other.execute("CREATE STREAM ${name}_2 AS SELECT * FROM s;")
    assert {"X_1", "Y_2"} <= set(db.catalog.sources)
    assert one.variables == {"NAME": "x"} and other.variables == {"NAME": "y"}
    with pytest.raises(StatementError):
        db.execute("CREATE STREAM ${name}_3 AS SELECT * FROM s;")
    one.execute("UNDEFINE name;")
    assert one.variables == {} and other.variables == {"NAME": "y"}


def test_a_session_begins_with_what_it_was_made_with(db: Database) -> None:
    """SET goes over it, UNSET back to it; ksqlDB's prefix may stand before a name."""
    session = db.session({"ksql.streams.auto.offset.reset": "earliest", "cache.max.bytes.buffering": 0})
    assert session.settings["auto.offset.reset"] == "earliest" and session.settings["cache.max.bytes.buffering"] == "0"
    session.execute("SET 'auto.offset.reset' = 'latest';")
    assert session.settings["auto.offset.reset"] == "latest"
    session.execute("UNSET 'auto.offset.reset';")
    assert session.settings["auto.offset.reset"] == "earliest"
    session.execute("CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
    assert next(iter(db.catalog.queries.values())).properties == {
        "auto.offset.reset": "earliest",
        "cache.max.bytes.buffering": "0",
    }


def test_what_connect_was_given_counts_in_all_sessions() -> None:
    """As their base; the default session's SET is no base of theirs."""
    with connect(threads=0, settings={"auto.offset.reset": "earliest"}) as db:
        db.execute("SET 'processing.order' = 'arrival';")
        session = db.session()
        assert session.settings["auto.offset.reset"] == "earliest" and session.settings["processing.order"] == "timestamp"


@pytest.mark.parametrize("name", sorted(n for n, p in PROPERTIES.items() if p.at_connect))
def test_what_belongs_to_the_database_is_in_no_session(db: Database, name: str) -> None:
    """Neither when it is made nor later; the deny list among it, or a session could lift it."""
    value = PROPERTIES[name].default
    with pytest.raises(StatementError, match="cannot be set in a session"):
        db.session({name: value})
    with pytest.raises(StatementError, match="cannot be set in a session"):
        db.session().execute(f"SET '{name}' = '{value}';")


def test_the_deny_list_holds_for_what_a_session_is_made_with() -> None:
    """Also under the name with ksqlDB's prefix."""
    for listed in ("auto.offset.reset", "x, ksql.streams.auto.offset.reset"):
        with connect(threads=0, settings={"ksql.properties.overrides.denylist": listed}) as db:
            for given in ("auto.offset.reset", "ksql.streams.auto.offset.reset"):
                with pytest.raises(StatementError, match="denylist"):
                    db.session({given: "earliest"})


def test_a_session_lowers_limits_only() -> None:
    """Above the database's, its own counts for nothing."""
    with connect(threads=0, settings={"ksql.query.persistent.active.limit": "1", "ksql.max.push.queries": 1}) as db:
        db.execute(STREAM)
        with pytest.raises(StatementError, match="limit"):
            db.session({"ksql.query.persistent.active.limit": "0"}).execute("CREATE STREAM a AS SELECT * FROM s;")
        greedy = db.session({"ksql.query.persistent.active.limit": "9", "ksql.max.push.queries": "9"})
        greedy.execute("CREATE STREAM a AS SELECT * FROM s;")
        with pytest.raises(StatementError, match="limit"):
            greedy.execute("CREATE STREAM b AS SELECT * FROM s;")
        with greedy.subscribe("SELECT a FROM s EMIT CHANGES;"), pytest.raises(StatementError, match=r"max\.push"):
            greedy.subscribe("SELECT a FROM s EMIT CHANGES;")


@pytest.mark.parametrize("variables", [{"a-b": "x"}, {"": "x"}, {"a": 1}])
def test_wrong_variables_are_refused(db: Database, variables: dict[str, str]) -> None:
    with pytest.raises(StatementError, match="variable"):
        db.session(variables=variables)


def test_closing_a_session_ends_its_push_queries(db: Database) -> None:
    """And nobody else's; the database goes on, the session does not."""
    kept = db.subscribe("SELECT a FROM s EMIT CHANGES;")
    with db.session(user="ada") as session:
        mine = session.subscribe("SELECT a FROM s EMIT CHANGES;")
        (pushed,) = session.execute("SELECT a FROM s EMIT CHANGES;")
        (printed,) = session.execute("PRINT s FROM BEGINNING;")
        assert isinstance(pushed, PushResult) and isinstance(printed, PrintResult)
        assert db._engine.host.subscriptions == 3 and session.user == "ada"
    assert db._engine.host.subscriptions == 1
    db.insert("s", [{"k": 1, "a": 5}])
    db.drain()
    assert list(mine) == [] and list(pushed.subscription) == [] and list(printed) == []
    row = kept.poll()
    assert row is not None and row.values == (5,)
    for use in (
        lambda: session.execute("SHOW STREAMS;"),
        lambda: session.sql("SELECT * FROM s;"),
        lambda: session.insert("s", [{"a": 1}]),
        lambda: session.subscribe("SELECT a FROM s EMIT CHANGES;"),
    ):
        with pytest.raises(StatementError, match="session is closed"):
            use()
    session.close()


def test_a_session_of_a_closed_database_says_so() -> None:
    db = connect()
    session = db.session()
    db.close()
    with pytest.raises(StatementError, match="database is closed"):
        session.execute("SHOW STREAMS;")
    with pytest.raises(StatementError, match="database is closed"):
        db.session()


def test_sessions_end_with_the_database_that_made_them(tmp_path: Path) -> None:
    """Also where the process has the directory open a second time, whose sessions go on."""
    one, other = connect(tmp_path, threads=0), connect(tmp_path, threads=0)
    one.execute(STREAM)
    mine, others = one.session(), other.session()
    held = [mine.subscribe("SELECT a FROM s EMIT CHANGES;"), others.subscribe("SELECT a FROM s EMIT CHANGES;")]
    one.close()
    assert other._engine.host.subscriptions == 1 and len(held) == 2
    with pytest.raises(StatementError, match="closed"):
        mine.execute("SHOW STREAMS;")
    others.execute("SHOW STREAMS;")
    other.close()
    with pytest.raises(StatementError, match="closed"):
        others.execute("SHOW STREAMS;")


def test_assert_values_goes_through_a_topic_once_per_session(db: Database) -> None:
    """Each session looks at the first record first."""
    db.execute("INSERT INTO s (k, a) VALUES (1, 10); INSERT INTO s (k, a) VALUES (2, 20);")
    one, other = db.session(), db.session()
    one.execute("ASSERT VALUES s (k, a) VALUES (1, 10); ASSERT VALUES s (k, a) VALUES (2, 20);")
    other.execute("ASSERT VALUES s (k, a) VALUES (1, 10);")


def test_what_a_session_made_comes_back_with_its_properties(tmp_path: Path) -> None:
    """The journal keeps what was set where the statement was executed."""
    with connect(tmp_path, threads=0) as db:
        db.execute(STREAM)
        db.session({"auto.offset.reset": "earliest"}).execute("CREATE STREAM a AS SELECT * FROM s;")
        db.session().execute("CREATE STREAM b AS SELECT * FROM s;")
        before = db.catalog
    with connect(tmp_path, threads=0) as db:
        assert db.catalog == before
        assert db.catalog.queries["CSAS_A_1"].properties == {"auto.offset.reset": "earliest"}
        assert db.catalog.queries["CSAS_B_2"].properties == {}


def test_sessions_in_threads_do_not_mix() -> None:
    """Each of many sets a property again and again, and always finds its own value."""
    with connect() as db:
        wrong: list[str] = []

        def use(number: int) -> None:
            session = db.session()
            for turn in range(50):
                value = str(number * 1000 + turn)
                session.execute(f"SET 'max.task.idle.ms' = '{value}'; DEFINE v = '{value}';")
                if session.settings["max.task.idle.ms"] != value or session.variables["V"] != value:
                    wrong.append(value)

        threads = [threading.Thread(target=use, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
