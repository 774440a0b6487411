"""Arguments of the wrong type: an error of ours that names the argument, before anything happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import penstock
from penstock.arguments import check_arguments
from penstock.engine.database import Database
from penstock.errors import StatementError, StorageError
from penstock.listener.broker import BrokerOptions


@pytest.fixture
def db() -> Iterator[Database]:
    with penstock.connect(None, threads=0) as database:
        yield database


ODD: dict[str, tuple[Any, ...]] = {
    "settings": (5, "manual", [1], {5: 1}),
    "threads": ("two", 1.5, -1, True),
    "clock": ("manual", 5, penstock.ManualClock),
    "one_partition": (None, "yes", 1),
    "registry": ("r", 5),
    "progress": (5, "print"),
    "create": (None, "no"),
    "kafka": (5, b"x"),
    "service_id": (5, b"x"),
}


@pytest.mark.parametrize("name", ODD)
def test_arguments_of_connect(name: str) -> None:
    """By whichever door it is called."""
    doors: list[Callable[..., Any]] = [
        penstock.connect,
        lambda **how: asyncio.run(penstock.connect_async(**how)._open()),
    ]
    for value in ODD[name]:
        for door in doors:
            with pytest.raises(StatementError, match=f"{name} must be"):
                door(**{name: value}).close()
        with pytest.raises(penstock.dbapi.ProgrammingError, match=f"{name} must be"):
            penstock.dbapi.connect(**{name: value})


def test_what_an_error_says() -> None:
    for how, text in (
        ({"clock": "manual"}, r"clock must be an object with now_ms\(\) or None, not str"),
        ({"clock": penstock.ManualClock}, r"clock must be an object with now_ms\(\) or None, not the class ManualClock"),
        ({"settings": {5: 1}}, "settings must be a mapping with text as names or None, not dict"),
        ({"threads": True}, "threads must be a whole number or None, not bool"),
    ):
        with pytest.raises(StatementError, match=text):
            penstock.connect(**cast("dict[str, Any]", how))


@pytest.mark.parametrize(
    ("url", "how"),
    [
        ("http://[::1", {}),
        ("http://h:99999", {}),
        ("http://h:x", {}),
        ("http://", {}),
        ("http://127.0.0.1:1", {"auth": "ada"}),
        ("http://127.0.0.1:1", {"auth": ("ada", 5)}),
        ("http://127.0.0.1:1", {"auth": ("ada", "b", "c")}),
        ("http://127.0.0.1:1", {"token": 5}),
        ("http://127.0.0.1:1", {"token": "\ud800"}),
        ("http://127.0.0.1:1", {"token": "a\nb"}),
        ("http://127.0.0.1:1", {"token": "é"}),
        ("http://127.0.0.1:1", {"settings": 5}),
        ("https://127.0.0.1:1", {"verify": "/nowhere"}),
        ("https://127.0.0.1:1", {"verify": None}),
        ("http://127.0.0.1:1", {"timeout_s": "1"}),
        ("http://127.0.0.1:1", {"timeout_s": float("nan")}),
        ("http://127.0.0.1:1", {"timeout_s": -1}),
        ("http://127.0.0.1:1", {"timeout_s": 0}),
        ("http://127.0.0.1:1", {"threads": 2}),
        ("http://127.0.0.1:1", {"auto_offset_reset": "earliest"}),
    ],
)
def test_arguments_of_connect_to_a_server(url: str, how: dict[str, Any]) -> None:
    with pytest.raises(StatementError):
        penstock.connect(url, **how)
    with pytest.raises(penstock.dbapi.ProgrammingError):
        penstock.dbapi.connect(url, **how)


def test_arguments_of_sessions_servers_and_listeners(db: Database, tmp_path: Path) -> None:
    odd = cast("Any", 5)
    calls: list[Callable[[], Any]] = [
        lambda: db.session(odd),
        lambda: db.session({odd: 1}),
        lambda: db.session(variables=cast("Any", [1])),
        lambda: db.session(user=odd),
        lambda: db.session(headers=odd),
        lambda: db.session(headers=cast("Any", [("a", 1)])),
        lambda: db.session(headers=cast("Any", [5])),
        lambda: db.session(headers=cast("Any", "ab")),
        lambda: penstock.serve(odd),
        lambda: penstock.serve(cast("Any", None)),
        lambda: penstock.serve(db, port=cast("Any", "x")),
        lambda: penstock.serve(db, port=-1),
        lambda: penstock.serve(db, port=0, users=5),
        lambda: penstock.serve(db, port=0, hosts="x"),
        lambda: penstock.serve(db, port=0, request_timeout_s=float("nan")),
        lambda: penstock.serve(db, port=0, nonsense=5),
        lambda: penstock.serve(db, config=odd),
        lambda: penstock.serve(db, config=penstock.ServerConfig(port=0), port=0),
        lambda: penstock.ServerConfig(port=cast("Any", "x")),
        lambda: penstock.broker(odd),
        lambda: penstock.broker(db, host=odd),
        lambda: penstock.broker(db, port=cast("Any", "x")),
        lambda: penstock.broker(db, partitions="x"),
        lambda: penstock.broker(db, partitions=0),
        lambda: penstock.broker(db, producer_byte_rate=0),
        lambda: penstock.broker(db, users=odd),
        lambda: penstock.broker(db, users=cast("Any", {"ada": "secret"})),
        lambda: penstock.broker(db, users=cast("Any", {"ada": ("secret",)})),
        lambda: penstock.broker(db, users=cast("Any", {"ada": ("secret", "nobody")})),
        lambda: penstock.broker(db, insecure=odd),
        lambda: penstock.broker(db, nonsense=5),
        lambda: penstock.broker(db, key="x"),
        lambda: BrokerOptions(connections_max=cast("Any", None)),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(StatementError):
            pytest.fail(f"call {number} gave {call()}")


def test_certificates_that_are_none(db: Database, tmp_path: Path) -> None:
    """Told when the server starts, and not to the first client; the port is free again."""
    junk, missing = tmp_path / "junk.pem", str(tmp_path / "missing.pem")
    junk.write_text("no certificate")
    for how in ({"certificate": missing, "key": missing}, {"certificate": str(junk), "key": str(junk)}):
        with pytest.raises(StorageError, match="certificate"):
            penstock.broker(db, **cast("Any", how))
    with pytest.raises(StorageError, match="certificate"):
        penstock.serve(db, port=0, certificate=str(junk), private_key=junk)
    with pytest.raises(StatementError, match="there is no file"):
        penstock.serve(db, port=0, certificate=missing, private_key=missing)


def test_paths_of_a_server_may_be_texts(db: Database, tmp_path: Path) -> None:
    with penstock.serve(db, port=0, audit=str(tmp_path / "audit.log"), hosts=["here"]) as server:
        assert server.config.audit == tmp_path / "audit.log" and server.config.hosts == ("here",)


ODD_VALUES: tuple[Any, ...] = (None, 5, 1.5, b"x", [1], {5: 5}, object(), int, "\ud800")
METHODS: dict[str, dict[str, Any]] = {
    "alter_topic": {"name": "s", "config": {}},
    "consume": {"topic": "s", "offset": 0, "partition": 0},
    "consumer": {"topics": ["s"], "group": "g", "auto_commit_interval_ms": 1, "max_poll_records": 1, "client_id": "c"},
    "create_stream": {"name": "n", "key": "a", "data": {"a": [1]}},
    "create_table": {"name": "n", "key": "a", "data": {"a": [1]}},
    "create_topic": {"name": "n", "partitions": 1, "replicas": 1, "config": {}},
    "execute": {"text": "SHOW STREAMS;", "parameters": [], "path": "x"},
    "graph": {"sees": lambda source: True},
    "insert": {"source": "s", "rows": [], "durable": True, "producer": "p", "sequence": 1},
    "insert_many": {"rows": {}},
    "is_behind": {"topics": ["s"]},
    "key_lookup": {"name": "t"},
    "last_sequence": {"producer": "p"},
    "produce": {"topic": "s", "value": b"{}", "timestamp": 1, "headers": (), "partition": 0},
    "producer": {"id": "p", "linger_ms": 1, "batch_bytes": 1, "max_in_flight": 1, "buffer_memory": 1, "max_block_ms": 1},
    "register": {"name": "n", "data": {"a": [1]}},
    "session": {"properties": {}, "variables": {}, "user": "u", "headers": ()},
    "sql": {"text": "SELECT * FROM t;", "parameters": []},
    "steps": {"text": "SHOW STREAMS;", "parameters": [], "path": "x"},
    "subscribe": {"text": "SELECT * FROM s EMIT CHANGES;", "parameters": [], "overflow": "drop", "resume": "r"},
    "submit": {"text": "SHOW STREAMS;", "name": "n", "path": "x"},
}


@pytest.mark.parametrize("method", METHODS)
def test_arguments_of_methods(method: str, db: Database) -> None:
    """Each argument of each method, one odd value at a time: it works, or it is an error of ours."""
    db.execute(
        "CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"
        "CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;"
    )
    good = METHODS[method]
    for name in good:
        for value in ODD_VALUES:
            if name == "sees" and callable(value):
                continue
            with contextlib.suppress(penstock.PenstockError):
                made = getattr(db, method)(**{**good, name: value})
                if hasattr(made, "close"):
                    made.close()
    db.insert("s", {"k": "a", "v": 1})
    db.drain()
    assert db.sql("SELECT COUNT(*) FROM t WHERE k = 'a';").fetchall() == [(1,)]


def test_texts_that_have_no_bytes(db: Database) -> None:
    """Half of a surrogate pair, in what is written to the log."""
    half = "\ud800"
    db.execute("CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")
    row = {"k": "a", "v": 1}
    calls: list[Callable[[], Any]] = [
        lambda: db.insert("s", row, producer=half, sequence=1),
        lambda: db.produce("s", value=b"{}", producer=half, sequence=1),
        lambda: db.session(headers=[(half, b"x")]),
        lambda: db.producer(half),
        lambda: db.consumer(["s"], group=half),
        lambda: db.consumer(["s"], client_id=half),
    ]
    for call in calls:
        with pytest.raises(penstock.PenstockError, match="surrogate"):
            call()
    db.insert("s", row, producer="p", sequence=1)
    assert db.sql("SELECT COUNT(*) FROM s;").fetchall() == [(1,)]


def test_what_is_no_database(tmp_path: Path) -> None:
    for odd in (5, b"x", [1], object(), Database):
        with pytest.raises(penstock.dbapi.Error, match="database must be"):
            penstock.dbapi.connect(cast("Any", odd))


def test_numbers_of_other_libraries() -> None:
    """NumPy's are numbers, too."""
    np = pytest.importorskip("numpy")

    def takes(count: int, part: float, path: Path | None = None, names: tuple[str, ...] = ()) -> None: ...

    check_arguments(takes, {"count": np.int64(3), "part": np.float32(1), "path": "x", "names": ["a"]})
    check_arguments(takes, {"count": 10**400, "part": 10**400, "path": None})
    for given in ({"count": np.bool_(True)}, {"count": 1.0}, {"part": np.float64("nan")}, {"names": "a"}, {"names": [1]}):
        with pytest.raises(StatementError):
            check_arguments(takes, given)
