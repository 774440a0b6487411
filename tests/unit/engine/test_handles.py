"""`db.stream` and `db.table`: sources as objects."""

from __future__ import annotations

import pytest

import penstock


def test_a_stream_and_a_table() -> None:
    """Insert, subscribe, scan, filter, get, schema; names as in SQL."""
    with penstock.connect() as db:
        db.execute("""
            CREATE STREAM orders (id INT KEY, customer STRING, total INT)
                WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
            CREATE TABLE spend AS SELECT customer, SUM(total) AS total FROM orders GROUP BY customer;
            CREATE STREAM `odd-name` (`a b` INT) WITH (KAFKA_TOPIC = 'odd', PARTITIONS = 1);
        """)
        orders, spend = db.stream("orders"), db.table("SPEND")
        assert orders.columns == ("ID", "CUSTOMER", "TOTAL") and str(orders.schema).startswith("`ID` INTEGER KEY")
        with orders.subscribe("total > 1") as rows:
            token = orders.insert([(1, "ann", 1), (2, "bob", 2)])
            row = rows.poll(20)
        assert row is not None and row.as_dict() == {"ID": 2, "CUSTOMER": "bob", "TOTAL": 2}
        assert spend.get("ann", after=token) == {"CUSTOMER": "ann", "TOTAL": 1}
        assert spend.get("nobody") is None and spend.get(None) is None
        assert spend.get("x' OR 'a' = 'a") is None
        assert sorted(spend.scan().fetchall()) == [("ann", 1), ("bob", 2)] and len(spend) == 2
        assert spend.filter("total > ?", ["CUSTOMER"], parameters=[1]).fetchall() == [("bob",)]
        odd = db.stream("`odd-name`")
        odd.insert({"a b": 5})
        assert odd.scan(["a b"]).fetchall() == [(5,)]
        for wrong in (
            lambda: db.stream("spend"),
            lambda: db.table("orders"),
            lambda: db.table("nobody"),
            lambda: spend.get(),
        ):
            with pytest.raises(penstock.StatementError):
                wrong()
        db.execute("DROP STREAM `odd-name`;")
        with pytest.raises(penstock.StatementError):
            _ = odd.schema


def test_a_windowed_table_has_no_row_of_a_key() -> None:
    """It has one per window: `filter` gives them."""
    with penstock.connect(threads=0) as db:
        db.execute("""
            CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
            CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY k;
        """)
        db.insert("s", {"k": "a", "rowtime": 5})
        db.drain()
        with pytest.raises(penstock.StatementError, match="windowed"):
            db.table("w").get("a")
        assert db.table("w").filter("k = 'a'", ["N"]).fetchall() == [(1,)]
