"""SQLAlchemy's dialect: queries, introspection, pandas and polars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import penstock

sa = pytest.importorskip("sqlalchemy")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Any]:
    """A database with a stream, a table, a windowed one and quoted names."""
    with penstock.connect(tmp_path / "shop") as db:
        db.execute("""
            CREATE STREAM orders
                (id INT KEY, customer STRING, total DECIMAL(9, 2), seen TIMESTAMP, tags ARRAY<STRING>, `mIx` INT)
                WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 1);
            CREATE STREAM `lower` (`select` INT) WITH (KAFKA_TOPIC = 'lower', PARTITIONS = 1);
            CREATE TABLE spend AS SELECT customer, SUM(total) AS total, COUNT(*) AS n FROM orders GROUP BY customer;
            CREATE TABLE hourly AS SELECT customer, COUNT(*) AS n FROM orders WINDOW TUMBLING (SIZE 1 HOUR)
                GROUP BY customer;
        """)
        rows = {"id": [1, 2, 3], "customer": ["ann", "bob", "ann"], "total": [5, 7, "1.50"], "mIx": [1, None, 3]}
        db.wait(db.insert("orders", rows))
        made = sa.create_engine(f"penstock:///{tmp_path / 'shop'}")
        yield made
        made.dispose()


def test_introspection(engine: Any) -> None:
    """Tables, columns with types, keys; names in lower case where they need no quotes."""
    inspector = sa.inspect(engine)
    assert {"orders", "spend", "hourly"} <= set(inspector.get_table_names())
    assert inspector.has_table("orders") and inspector.has_table("spend") and not inspector.has_table("nobody")
    columns = {column["name"]: column["type"] for column in inspector.get_columns("orders")}
    assert list(columns) == ["id", "customer", "total", "seen", "tags", "mIx"]
    assert isinstance(columns["id"], sa.Integer) and isinstance(columns["seen"], sa.DateTime)
    assert isinstance(columns["total"], sa.Numeric) and columns["total"].scale == 2
    assert isinstance(columns["tags"], sa.ARRAY)
    assert inspector.get_pk_constraint("spend")["constrained_columns"] == ["customer"]
    assert [column["name"] for column in inspector.get_columns("hourly")] == ["customer", "windowstart", "windowend", "n"]
    with pytest.raises(sa.exc.NoSuchTableError):
        inspector.get_columns("nobody")


def test_queries_built_by_sqlalchemy(engine: Any) -> None:
    """Reflection, parameters, ORDER BY, LIMIT, aggregates, quoted names, INSERT."""
    orders = sa.Table("orders", sa.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        query = sa.select(orders.c.id, orders.c.mIx).where(orders.c.customer == "ann").order_by(orders.c.id.desc()).limit(1)
        assert connection.execute(query).all() == [(3, 3)]
        count = sa.select(orders.c.customer, sa.func.count().label("n")).group_by(orders.c.customer)
        assert sorted(connection.execute(count).all()) == [("ann", 2), ("bob", 1)]
        assert (
            connection.execute(sa.text("SELECT total FROM spend WHERE customer = :who"), {"who": "ann"}).scalar() is not None
        )
        connection.execute(sa.insert(orders), [{"id": 4, "customer": "cyd"}, {"id": 5, "customer": "cyd"}])
        connection.commit()
        assert connection.execute(sa.text("SELECT n FROM spend WHERE customer = 'cyd'")).scalar() == 2
        with pytest.raises(sa.exc.ProgrammingError):
            connection.execute(sa.text("SELECT nothing FROM spend"))


def test_pandas_and_polars_read(engine: Any) -> None:
    """read_sql of a query and of a table; polars by SQLAlchemy and by DB-API."""
    frame = pd.read_sql("SELECT id, customer FROM orders ORDER BY id", engine)
    assert frame["id"].tolist() == [1, 2, 3]
    assert pd.read_sql_table("spend", engine).sort_values("customer")["n"].tolist() == [2, 1]
    with engine.connect() as connection:
        read = pl.read_database("SELECT id, customer FROM orders ORDER BY id", connection)
        raw = connection.connection.dbapi_connection
        assert raw is not None
        assert pl.read_database("SELECT id FROM orders ORDER BY id", raw).to_series().to_list() == [1, 2, 3]
    assert read.height == 3


def test_in_memory() -> None:
    """``penstock://`` is one database for all connections of the engine; properties stand behind ``?``."""
    made = sa.create_engine("penstock://?auto.offset.reset=earliest")
    with made.connect() as connection:
        connection.execute(sa.text("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1)"))
    with made.connect() as connection:
        assert sa.inspect(connection).has_table("s")
    made.dispose()


def test_a_server() -> None:
    """``penstock://host:port``: queries, introspection, own writes are read, and pandas reads."""
    with penstock.connect() as db:
        db.execute("""
            CREATE STREAM orders (id INT KEY, customer STRING) WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 1);
            CREATE TABLE counts AS SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer;
        """)
        with penstock.serve(db, port=0) as server:
            made = sa.create_engine(server.url.replace("http://", "penstock://ada:secret@"))
            assert {"orders", "counts"} <= set(sa.inspect(made).get_table_names())
            orders = sa.Table("orders", sa.MetaData(), autoload_with=made)
            with made.connect() as connection:
                connection.execute(sa.insert(orders), [{"id": 1, "customer": "ann"}, {"id": 2, "customer": "ann"}])
                counted = connection.execute(sa.text("SELECT n FROM counts WHERE customer = :who"), {"who": "ann"})
                assert counted.scalar() == 2
            assert pd.read_sql("SELECT id FROM orders ORDER BY id", made)["id"].tolist() == [1, 2]
            made.dispose()
    with pytest.raises(sa.exc.ArgumentError):
        sa.create_engine("penstock://host:8088/shop.db").connect()


def test_tables_of_metadata(tmp_path: Path) -> None:
    """With a primary key they are tables, without one streams; what would not be kept is refused."""
    made = sa.create_engine(f"penstock:///{tmp_path / 'shop'}")
    data = sa.MetaData()
    orders = sa.Table("orders", data, sa.Column("id", sa.Integer), sa.Column("note", sa.String(20)), penstock_partitions=2)
    sa.Table("users", data, sa.Column("name", sa.Text), sa.Column("uid", sa.BigInteger, primary_key=True))
    data.create_all(made)
    data.create_all(made)
    with made.connect() as connection:
        connection.execute(sa.insert(orders), [{"id": n, "note": f"it's {n}"} for n in range(500)])
        assert connection.execute(sa.select(sa.func.count()).select_from(orders)).scalar() == 500
        listed = {row[0]: row for row in connection.execute(sa.text("SHOW TOPICS")).all()}
        assert listed["orders"][1] == 2
    assert sa.inspect(made).get_pk_constraint("users")["constrained_columns"] == ["uid"]
    for column in (
        sa.Column("v", sa.Integer, nullable=False),
        sa.Column("v", sa.Integer, server_default="1"),
        sa.Column("v", sa.Integer, unique=True),
        sa.Column("v", sa.Integer, index=True),
    ):
        with pytest.raises(sa.exc.CompileError, match="Penstock"):
            sa.Table("wrong", sa.MetaData(), column).create(made)
    data.drop_all(made)
    assert not sa.inspect(made).has_table("orders") and not sa.inspect(made).has_table("users")
    made.dispose()


def test_streams_with_keys(tmp_path: Path) -> None:
    """``penstock_kind="stream"``: the primary key is a stream's key, all rows are kept, and classes can be mapped to it."""
    from uuid import UUID

    made = sa.create_engine(f"penstock:///{tmp_path / 'shop'}")
    data = sa.MetaData()
    where = sa.Column("place", sa.Text, primary_key=True)
    column = sa.Column("hour", sa.Integer, primary_key=True)
    seen = sa.Table("seen", data, where, column, sa.Column("device", sa.Uuid), penstock_kind="stream")
    data.create_all(made)
    device = UUID(int=7)
    with made.connect() as connection:
        connection.execute(sa.insert(seen), [{"place": "ea", "hour": n, "device": device} for n in (1, 2, 2)])
        hours = sa.select(seen.c.hour).order_by(seen.c.hour)
        assert connection.execute(hours.offset(1)).scalars().all() == [2, 2]
        assert connection.execute(hours.limit(1).offset(1)).scalars().all() == [2]
        assert connection.execute(hours.where(seen.c.hour.in_([]))).all() == []
        assert len(connection.execute(hours.where(seen.c.place.not_in([]))).all()) == 3
        assert connection.execute(sa.select(seen.c.device).where(seen.c.device == device)).scalars().all() == [device] * 3
    data.drop_all(made)
    with pytest.raises(sa.exc.CompileError, match="penstock_kind"):
        sa.Table("t", sa.MetaData(), sa.Column("v", sa.Integer), penstock_kind="view").create(made)
    made.dispose()


def test_pandas_writes(tmp_path: Path) -> None:
    """`to_sql` makes a stream, appends, and replaces; what it wrote is read."""
    made = sa.create_engine(f"penstock:///{tmp_path / 'shop'}")
    frame = pd.DataFrame(
        {
            "n": [1, 2],
            "x": [0.5, None],
            "s": ["a", None],
            "b": [True, False],
            "at": pd.to_datetime(["2024-01-01", "2024-01-02"]),
        }
    )
    assert frame.to_sql("frame", made, index=False) == 2
    frame.to_sql("frame", made, index=False, if_exists="append")
    read = pd.read_sql("SELECT * FROM frame WHERE n = 1", made)
    assert read["s"].tolist() == ["a", "a"] and read["at"].tolist() == [pd.Timestamp("2024-01-01")] * 2
    frame.to_sql("frame", made, index=False, if_exists="replace")
    assert len(pd.read_sql("SELECT * FROM frame", made)) == 2
    made.dispose()
