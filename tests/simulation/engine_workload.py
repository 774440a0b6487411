"""A seeded script over a whole engine, run by a client who checks after a crash what had happened, and goes on.

Everything that is not fixed by the script follows from the seed.  The client knows of each event how to see whether it
happened, as a careful program would: an insert by its records in the topic, a statement by the catalog.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

from penstock.engine.database import Database, connect
from penstock.runtime.clock import ManualClock
from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import FaultyFiles

SETTINGS = {
    "auto.offset.reset": "earliest",
    "processing.order": "arrival",
    "cache.max.bytes.buffering": "0",
    "penstock.internal.topics": "true",
}


def open_on(files: FaultyFiles, rows_max: int, segment_bytes: int = 4_000, **properties: str) -> Database:
    """A database without threads on faulty files: everything it does is on the caller's thread, in a fixed order."""
    settings = LogSettings(
        segment_bytes_max=segment_bytes,
        journal_bytes_max=20_000,
        embedded_bytes_max=300,
        in_flight_bytes_min=0,
        background=False,
        sync_threads=1,
        index_frames_min=2,
    )
    log = partial(LocalLog, settings=settings)
    with (
        mock.patch("penstock.engine.opened.open_directory", lambda path, create=True: prepare(files)),
        mock.patch("penstock.engine.opened.LocalLog", log),
    ):
        return connect(
            f"faulty-{next(_numbers)}",  # what has crashed is never closed, and is not to be shared
            settings={**SETTINGS, "penstock.rows.per.step": str(rows_max), **properties},
            threads=0,
            clock=ManualClock(1_000),
        )


_numbers = itertools.count()


@dataclass(frozen=True)
class Event:
    """Something the client does; ``happened`` tells whether it did, on a database opened after a crash."""

    name: str
    do: Callable[[Database], Any]
    happened: Callable[[Database], bool]


SOURCES = (
    "CREATE STREAM ORDERS (ID BIGINT KEY, CUSTOMER STRING, AMOUNT BIGINT, ITEMS ARRAY<STRING>) "
    "WITH (KAFKA_TOPIC='orders', PARTITIONS=3, VALUE_FORMAT='ARROW');",
    "CREATE STREAM PAYMENTS (ID BIGINT KEY, PAID BIGINT) WITH (KAFKA_TOPIC='payments', PARTITIONS=3, VALUE_FORMAT='JSON');",
    "CREATE TABLE CUSTOMERS (NAME STRING PRIMARY KEY, CITY STRING) "
    "WITH (KAFKA_TOPIC='customers', PARTITIONS=3, VALUE_FORMAT='ARROW');",
)
QUERIES = {
    "BIG": "CREATE STREAM BIG AS SELECT ID, CUSTOMER, AMOUNT * 2 AS TWICE FROM ORDERS WHERE AMOUNT > 3;",
    "SPEND": "CREATE TABLE SPEND AS SELECT CUSTOMER, COUNT(*) AS N, SUM(AMOUNT) AS TOTAL FROM ORDERS GROUP BY CUSTOMER;",
    "HOPS": "CREATE TABLE HOPS AS SELECT CUSTOMER, COUNT(*) AS N, MAX(AMOUNT) AS TOP FROM ORDERS "
    "WINDOW HOPPING (SIZE 20 MILLISECONDS, ADVANCE BY 10 MILLISECONDS, GRACE PERIOD 30 MILLISECONDS) GROUP BY CUSTOMER;",
    "FINALS": "CREATE TABLE FINALS AS SELECT CUSTOMER, COUNT(*) AS N FROM ORDERS "
    "WINDOW TUMBLING (SIZE 20 MILLISECONDS, GRACE PERIOD 0 MILLISECONDS) GROUP BY CUSTOMER EMIT FINAL;",
    "VISITS": "CREATE TABLE VISITS AS SELECT CUSTOMER, COUNT(*) AS N, COLLECT_LIST(AMOUNT) AS L FROM ORDERS "
    "WINDOW SESSION (10 MILLISECONDS, GRACE PERIOD 40 MILLISECONDS) GROUP BY CUSTOMER;",
    "PAIRS": "CREATE STREAM PAIRS AS SELECT O.ID AS ID, O.CUSTOMER AS C, P.PAID AS P FROM ORDERS O LEFT JOIN PAYMENTS P "
    "WITHIN 30 MILLISECONDS GRACE PERIOD 20 MILLISECONDS ON O.ID = P.ID;",
    "PLACED": "CREATE STREAM PLACED AS SELECT O.CUSTOMER AS CUSTOMER, O.ID AS ID, C.CITY AS CITY FROM ORDERS O "
    "LEFT JOIN CUSTOMERS C ON O.CUSTOMER = C.NAME;",
    "CITIES": "CREATE TABLE CITIES AS SELECT CITY, COUNT(*) AS N FROM CUSTOMERS GROUP BY CITY;",
    "ITEMS": "CREATE STREAM ITEMS AS SELECT ID, EXPLODE(ITEMS) AS ITEM FROM ORDERS;",
    "LATEST": "CREATE TABLE LATEST AS SELECT S.CUSTOMER AS CUSTOMER, S.TOTAL AS TOTAL, C.CITY AS CITY FROM SPEND S "
    "FULL JOIN CUSTOMERS C ON S.CUSTOMER = C.NAME;".replace("S.CUSTOMER AS CUSTOMER", "ROWKEY"),
    "DOUBLED": "CREATE TABLE DOUBLED AS SELECT CUSTOMER, SUM(TWICE) AS T FROM BIG GROUP BY CUSTOMER;",
}
REPLACEMENTS = {
    "BIG": "CREATE OR REPLACE STREAM BIG AS SELECT ID, CUSTOMER, AMOUNT * 2 AS TWICE, AMOUNT AS ONCE FROM ORDERS "
    "WHERE AMOUNT > 5;",
    "SPEND": "CREATE OR REPLACE TABLE SPEND AS SELECT CUSTOMER, COUNT(*) AS N, SUM(AMOUNT) AS TOTAL FROM ORDERS "
    "WHERE AMOUNT < 8 GROUP BY CUSTOMER;",
}
CUSTOMERS = ("ann", "bob", "cyd", "dan", "eve", None)


def _insert(source: str, rows: list[dict[str, Any]], number: int) -> Event:
    """An insert whose last row's ROWTIME is unique, so that the client can find it again."""
    topic = source.lower()
    return Event(
        f"insert {len(rows)} rows into {source}",
        lambda db: db.insert(source, rows),
        lambda db: sum(1 for _ in db.consume(topic)) >= number,
    )


def _statement(text: str, happened: Callable[[Database], bool]) -> Event:
    return Event(text, lambda db: db.execute(text), happened)


def _create(text: str, name: str) -> Event:
    """A statement that has happened once its source is in the catalog."""
    return _statement(text, lambda db: name in db.catalog.sources)


DRAIN = Event("drain", lambda db: db.drain(), lambda db: False)


def script(seed: int, length: int) -> list[Event]:
    """The events of a seed.  Statements whose effect depends on progress follow a drain."""
    chance = random.Random(seed)
    events = [_create(s, s.split()[2]) for s in SOURCES]
    chosen = [n for n in QUERIES if chance.random() < 0.6]
    if "LATEST" in chosen and "SPEND" not in chosen:
        chosen.insert(0, "SPEND")
    if "DOUBLED" in chosen and "BIG" not in chosen:
        chosen.insert(0, "BIG")
    chosen.sort(key=list(QUERIES).index)
    counts = {"ORDERS": 0, "PAYMENTS": 0, "CUSTOMERS": 0}
    clock, waiting, running, replaced = 0, list(chosen), [], set()
    for _ in range(length):
        clock += chance.randrange(12)
        kind = chance.choice(("orders", "orders", "payments", "customers", "drain", "create", "create", "statement"))
        if kind == "create" and waiting:
            name = waiting.pop(0)
            running.append(name)
            events += [DRAIN, _create(QUERIES[name], name)]
        elif kind == "drain":
            events.append(DRAIN)
        elif kind == "statement" and running:
            events += _change(chance, chance.choice(running), running, waiting, replaced)
        else:
            source = kind.upper() if kind in ("payments", "customers") else "ORDERS"
            rows = [_row(chance, source, max(0, clock + chance.randrange(-40, 10))) for _ in range(chance.randrange(1, 30))]
            counts[source] += len(rows)
            events.append(_insert(source, rows, counts[source]))
    return [*events, DRAIN]


def short_script() -> list[Event]:
    """A stream-stream and a stream-table join, windowed aggregates and a chain of two queries, in few operations."""
    chance = random.Random(11)
    names = ("BIG", "DOUBLED", "HOPS", "VISITS", "PAIRS", "PLACED")
    events = [_create(s, s.split()[2]) for s in SOURCES]
    events += [_create(QUERIES[n], n) for n in names]
    counts = {"ORDERS": 0, "PAYMENTS": 0, "CUSTOMERS": 0}
    for clock in (0, 25, 90):
        for source in ("CUSTOMERS", "ORDERS", "PAYMENTS"):
            rows = [_row(chance, source, clock + chance.randrange(20)) for _ in range(8)]
            counts[source] += len(rows)
            events.append(_insert(source, rows, counts[source]))
        events.append(DRAIN)
    return events


def _row(chance: random.Random, source: str, rowtime: int) -> dict[str, Any]:
    if source == "CUSTOMERS":
        return {"NAME": chance.choice(CUSTOMERS[:-1]), "CITY": chance.choice(("x", "y", None)), "ROWTIME": rowtime}
    if source == "PAYMENTS":
        return {"ID": chance.randrange(12), "PAID": chance.randrange(10), "ROWTIME": rowtime}
    items = [chance.choice("abc") for _ in range(chance.randrange(3))]
    return {
        "ID": chance.randrange(12),
        "CUSTOMER": chance.choice(CUSTOMERS),
        "AMOUNT": chance.randrange(10),
        "ITEMS": items,
        "ROWTIME": rowtime,
    }


def _change(chance: random.Random, name: str, running: list[str], waiting: list[str], replaced: set[str]) -> list[Event]:
    """Pause and resume, replace, or drop (with or without the topic) and create again."""
    query_id = partial(_query_of, name)
    kind = chance.choice(("pause", "replace", "drop", "drop", "again"))
    if kind == "pause":
        return [
            DRAIN,
            Event(f"pause {name}", lambda db: db.queries[query_id(db)].pause(), lambda db: _state(db, name) == "PAUSED"),
            Event(f"resume {name}", lambda db: db.queries[query_id(db)].resume(), lambda db: _state(db, name) == "RUNNING"),
        ]
    if kind == "replace" and name in REPLACEMENTS and name not in replaced:
        replaced.add(name)
        text = REPLACEMENTS[name]
        marker = text.split("WHERE")[1][:12].strip()
        return [DRAIN, _statement(text, lambda db: marker in db.catalog.sources[name].statement)]
    users = {"BIG": "DOUBLED", "SPEND": "LATEST"}
    if kind in ("drop", "again") and users.get(name) not in (*running, *waiting):
        kind_of = QUERIES[name].split()[1]
        delete = " DELETE TOPIC" if kind == "again" or chance.random() < 0.5 else ""
        events = [DRAIN, _statement(f"DROP {kind_of} {name}{delete};", lambda db: name not in db.catalog.sources)]
        replaced.discard(name)
        if kind == "drop" and not delete:
            running.remove(name)
            return events
        return [*events, _create(QUERIES[name], name)]
    return [DRAIN]


def _query_of(name: str, db: Database) -> str:
    return str(db.catalog.sources[name].query_id)


def _state(db: Database, name: str) -> str:
    return db.queries[_query_of(name, db)].state


def outcome(db: Database) -> dict[str, Any]:
    """All that a user can see: every topic partition by partition, every table, every account."""
    found: dict[str, Any] = {}
    for name, source in db.catalog.sources.items():
        if source.kind == "TABLE" and source.query_id is not None:
            found[f"table {name}"] = sorted(map(repr, db.sql(f"SELECT * FROM {name};").fetchall()))
    for topic in db.topic_names():
        found[f"topic {topic}"] = [
            (r.partition, r.offset, r.key, _without_time(topic, r.value), r.timestamp) for r in db.consume(topic)
        ]
    for query in db.queries.values():
        for topic, target in query.internal_topics.items():
            found[f"copy {target.name} of {query.statement}"] = [
                (r.partition, r.offset, r.key, r.value, r.timestamp, r.headers) for r in db.consume(topic)
            ]
    for query in db.queries.values():
        account = query.progress().account
        found[f"account {query.statement}"] = account
        assert account.read == account.used + account.filtered + account.late + account.bad
    return found


def _without_time(topic: str, value: Any) -> Any:
    return {**value, "LOGGER": None} if topic == "ksql_processing_log" else value
