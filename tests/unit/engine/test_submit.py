"""`Database.submit`: every statement of a script once, through restarts and crashes; and retried inserts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import penstock

SCRIPT = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM orders (id INT KEY, item STRING) WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 1);
INSERT INTO orders VALUES (1, 'pen');
CREATE TABLE counts AS SELECT item, COUNT(*) AS n FROM orders GROUP BY item;
"""


def rows(database: Any, query: str) -> list[tuple[Any, ...]]:
    """The rows once all queries have taken in everything."""
    database.drain()
    return sorted(database.sql(query).fetchall())


def test_a_script_submitted_again_executes_nothing_again(tmp_path: Path) -> None:
    """After a restart all statements are recognised, however they are laid out, and rows are there once."""
    with penstock.connect(tmp_path / "db", threads=0) as database:
        first = database.submit(SCRIPT, "shop")
        assert (len(first.known), len(first.results)) == (0, 4)
    with penstock.connect(tmp_path / "db", threads=0) as database:
        again = database.submit(SCRIPT.lower().replace("'pen'", "'pen' /* the first */"), "shop")
        assert (len(again.known), len(again.results)) == (3, 1)
        assert rows(database, "SELECT * FROM counts;") == [("pen", 1)]


def test_a_script_may_grow_at_its_end(tmp_path: Path) -> None:
    """New statements at the end are executed, with the settings that the script makes before them."""
    with penstock.connect(tmp_path / "db", threads=0) as database:
        database.submit(SCRIPT, "shop")
    with penstock.connect(tmp_path / "db", threads=0) as database:
        grown = SCRIPT + "CREATE TABLE all_items AS SELECT item, MAX(id) AS last FROM orders GROUP BY item;"
        assert len(database.submit(grown, "shop").results) == 2
        assert rows(database, "SELECT * FROM all_items;") == [("pen", 1)]


def test_a_changed_earlier_statement_is_an_error(tmp_path: Path) -> None:
    """It is named by its place, and nothing behind it is executed."""
    with penstock.connect(tmp_path / "db", threads=0) as database:
        database.submit(SCRIPT, "shop")
        changed = SCRIPT.replace("'pen'", "'ink'") + "INSERT INTO orders VALUES (2, 'cap');"
        with pytest.raises(penstock.StatementError, match="statement 2 of shop"):
            database.submit(changed, "shop")
        assert rows(database, "SELECT * FROM counts;") == [("pen", 1)]


def test_a_script_must_not_lose_statements() -> None:
    """The next missing statement is shown."""
    with penstock.connect(threads=0) as database:
        database.submit(SCRIPT, "shop")
        with pytest.raises(penstock.StatementError, match=r"2 statements, but 3 were submitted.*COUNTS"):
            database.submit(SCRIPT[: SCRIPT.index("CREATE TABLE")], "shop")


def test_scripts_of_different_names_do_not_know_each_other() -> None:
    """The same INSERT under two names is two rows."""
    with penstock.connect(threads=0) as database:
        database.submit(SCRIPT, "shop")
        database.submit("INSERT INTO orders VALUES (1, 'pen');", "other")
        assert rows(database, "SELECT * FROM counts;") == [("pen", 2)]


def test_a_failed_statement_is_executed_when_the_script_is_submitted_again() -> None:
    """What came before it stays submitted; mended, the script goes on from there."""
    with penstock.connect(threads=0) as database:
        with pytest.raises(penstock.StatementError, match="NOWHERE"):
            database.submit(SCRIPT + "INSERT INTO nowhere VALUES (1);", "shop")
        mended = database.submit(SCRIPT + "INSERT INTO orders VALUES (3, 'pen');", "shop")
        assert len(mended.known) == 3
        assert rows(database, "SELECT * FROM counts;") == [("pen", 2)]


def test_a_push_query_cannot_be_submitted() -> None:
    """It would never end."""
    with penstock.connect(threads=0) as database, pytest.raises(penstock.StatementError, match="push query"):
        database.submit(SCRIPT + "SELECT * FROM orders EMIT CHANGES;", "shop")


def test_what_waits_for_records_cannot_be_submitted() -> None:
    """PRINT may have no end, so whoever submits it would wait."""
    with penstock.connect(threads=0) as database, pytest.raises(penstock.StatementError, match="PRINT waits"):
        database.submit("CREATE STREAM s (v INT); PRINT S LIMIT 1;", "shop")


def test_the_note_is_in_the_commit_of_the_statement(tmp_path: Path) -> None:
    """A crash right after the commit of an INSERT: the row is there, and so is the note."""
    database = penstock.connect(tmp_path / "db", threads=0)
    epochs = []
    execute = database._engine.log.transaction

    def counted(*given: Any, **named: Any) -> Any:
        transaction = execute(*given, **named)
        commit = transaction.commit

        def spy(durable: bool = True) -> Any:
            epochs.append(durable)
            return commit(durable)

        transaction.commit = spy  # type: ignore[method-assign]
        return transaction

    database.submit(SCRIPT, "shop")
    database._engine.log.transaction = counted  # type: ignore[method-assign]
    database.submit(SCRIPT + "INSERT INTO orders VALUES (2, 'pen');", "shop")
    assert len(epochs) == 1
    database.close()


def test_a_retried_insert_writes_nothing(tmp_path: Path) -> None:
    """The same sequence number of a producer again is a retry, also after a restart; its token can be waited for."""
    row = [{"id": 1, "item": "pen"}]
    with penstock.connect(tmp_path / "db", threads=0) as database:
        database.submit(SCRIPT, "shop")
        assert database.last_sequence("loader") is None
        database.insert("orders", row, producer="loader", sequence=7)
        database.insert("orders", row, producer="loader", sequence=7)
    with penstock.connect(tmp_path / "db", threads=0) as database:
        assert database.last_sequence("loader") == 7
        token = database.insert("orders", row, producer="loader", sequence=6)
        assert database.sql("SELECT * FROM counts;", after=token).fetchall() == [("pen", 2)]
        with pytest.raises(penstock.StatementError, match="go together"):
            database.insert("orders", row, producer="loader")


def test_insert_many_is_one_commit() -> None:
    """Rows for several sources become visible together; if one row does not fit, none is written."""
    with penstock.connect(threads=0) as database:
        database.submit(SCRIPT, "shop")
        database.execute("CREATE TABLE items (item STRING PRIMARY KEY, price INT) WITH (KAFKA_TOPIC='i', PARTITIONS=1);")
        good = {"orders": [{"id": 2, "item": "cap"}], "items": [{"item": "cap", "price": 3}]}
        before = database._engine.log.epoch
        token = database.insert_many(good, producer="loader", sequence=1)
        assert database._engine.log.epoch == before + 1
        assert set(token.ends) == {("orders", 0), ("i", 0)}
        with pytest.raises(penstock.StatementError, match="no value for its key"):
            database.insert_many({"orders": [{"id": 3, "item": "cap"}], "items": [{"price": 3}]})
        assert rows(database, "SELECT * FROM counts;") == [("cap", 1), ("pen", 1)]
