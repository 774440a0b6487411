"""The process that is killed, and how what it left is checked.

``python kill_workload.py DIRECTORY SEED`` opens a database on real files, with small segments, small journals and early
checkpoints, and lets several producers insert at once while queries of every stateful kind run on two worker threads.
It prints ``open`` with each producer's last sequence, one line for every insert that was acknowledged, and ``done``.

Which rows a producer writes follows from the seed, the producer and the sequence number.  In which order the log took them
does not; but in arrival order the sinks are a function of the log, so `check` lets a fresh engine read the same log once
more, without a crash, and compares.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from penstock.engine.database import Database, connect
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

PRODUCERS = 3
SEQUENCES = 40
ROWS_MAX = 40
CHECKPOINT_CHANGES = 150
SETTINGS = {
    "auto.offset.reset": "earliest",
    "processing.order": "arrival",
    "cache.max.bytes.buffering": "0",
    "penstock.rows.per.step": "97",
}
INPUTS = ("orders", "payments", "customers")
KEPT = "kept"
"""A compacted topic of bytes: the newest value of every key must survive."""

SCRIPT = """
CREATE STREAM ORDERS (ID BIGINT KEY, CUSTOMER STRING, AMOUNT BIGINT)
  WITH (KAFKA_TOPIC='orders', PARTITIONS=3, VALUE_FORMAT='ARROW');
CREATE STREAM PAYMENTS (ID BIGINT KEY, PAID BIGINT) WITH (KAFKA_TOPIC='payments', PARTITIONS=3, VALUE_FORMAT='JSON');
CREATE TABLE CUSTOMERS (NAME STRING PRIMARY KEY, CITY STRING)
  WITH (KAFKA_TOPIC='customers', PARTITIONS=3, VALUE_FORMAT='JSON');
CREATE STREAM BIG AS SELECT ID, CUSTOMER, AMOUNT FROM ORDERS WHERE AMOUNT > 20;
CREATE TABLE BIG_SPEND AS SELECT CUSTOMER, COUNT(*) AS N, SUM(AMOUNT) AS TOTAL FROM BIG GROUP BY CUSTOMER;
CREATE STREAM PAIRS AS SELECT O.ID AS ID, O.CUSTOMER AS C, P.PAID AS P FROM ORDERS O LEFT JOIN PAYMENTS P
  WITHIN 300 MILLISECONDS GRACE PERIOD 200 MILLISECONDS ON O.ID = P.ID;
CREATE TABLE PAID AS SELECT C, COUNT(*) AS N, SUM(P) AS TOTAL FROM PAIRS GROUP BY C;
CREATE STREAM PLACED AS SELECT O.CUSTOMER AS CUSTOMER, O.ID AS ID, C.CITY AS CITY FROM ORDERS O
  LEFT JOIN CUSTOMERS C ON O.CUSTOMER = C.NAME;
CREATE TABLE TUMBLED AS SELECT CUSTOMER, COUNT(*) AS N, SUM(AMOUNT) AS TOTAL FROM ORDERS
  WINDOW TUMBLING (SIZE 200 MILLISECONDS, GRACE PERIOD 300 MILLISECONDS) GROUP BY CUSTOMER;
CREATE TABLE FINALS AS SELECT CUSTOMER, COUNT(*) AS N FROM ORDERS
  WINDOW TUMBLING (SIZE 200 MILLISECONDS, GRACE PERIOD 100 MILLISECONDS) GROUP BY CUSTOMER EMIT FINAL;
CREATE TABLE VISITS AS SELECT CUSTOMER, COUNT(*) AS N, COLLECT_LIST(AMOUNT) AS L FROM ORDERS
  WINDOW SESSION (40 MILLISECONDS, GRACE PERIOD 200 MILLISECONDS) GROUP BY CUSTOMER;
"""
CHAINED = ("BIG_SPEND", "PAID")
"""Queries that read what another query writes."""


def open_small(path: Path, *, threads: int) -> Database:
    """A database whose journal rolls and whose segments are sealed and merged all the time."""
    settings = LogSettings(
        segment_bytes_max=30_000,
        journal_bytes_max=200_000,
        embedded_bytes_max=2_000,
        in_flight_bytes_min=0,
        maintenance_interval_s=0.05,
        background=threads > 0,
    )
    with mock.patch("penstock.engine.opened.LocalLog", partial(LocalLog, settings=settings)):
        return connect(path, settings=SETTINGS, threads=threads)


def rows_of(seed: int, producer: int, sequence: int) -> dict[str, list[dict[str, Any]]]:
    """What one commit inserts, by source; the pair of producer and sequence is in every order and payment."""
    chance = random.Random(f"{seed} {producer} {sequence}")
    now = sequence * 60
    rows: dict[str, list[dict[str, Any]]] = {"ORDERS": [], "PAYMENTS": [], "CUSTOMERS": []}
    for i in range(chance.randint(1, ROWS_MAX)):
        time = max(0, now + chance.randrange(-300, 100))
        kind = chance.choice(("ORDERS", "ORDERS", "ORDERS", "PAYMENTS", "CUSTOMERS"))
        identity = chance.randrange(60)
        if kind == "ORDERS":
            customer = None if chance.random() < 0.05 else f"c{chance.randrange(9)}"
            row = {"ID": identity, "CUSTOMER": customer, "AMOUNT": (producer * 1000 + sequence) * 100 + i}
        elif kind == "PAYMENTS":
            row = {"ID": identity, "PAID": (producer * 1000 + sequence) * 100 + i}
        else:
            row = {"NAME": f"c{chance.randrange(9)}", "CITY": chance.choice(("x", "y", None))}
        rows[kind].append({**row, "ROWTIME": time})
    return {source: given for source, given in rows.items() if given}


# ------------------------------------------------------------------------------------------------- the killed process


def produce(db: Database, seed: int, producer: int, report: Any) -> None:
    """Insert what this producer has not inserted yet; now and then an insert is sent twice."""
    name = f"p{producer}"
    chance = random.Random()
    for sequence in range((db.last_sequence(name) or 0) + 1, SEQUENCES + 1):
        for _ in range(chance.choice((1, 1, 1, 2))):
            db.insert_many(rows_of(seed, producer, sequence), producer=name, sequence=sequence)
        report(f"{name} {sequence}")


def churn(db: Database, report: Any, stop: threading.Event) -> None:
    """A compacted topic grows, and others are made, filled and deleted."""
    log = db._engine.log
    if KEPT not in log.topics():
        log.create_topic(KEPT, TopicConfig(2, cleanup_policy="compact"))
    number = (db.last_sequence(KEPT) or 0) + 1
    while not stop.is_set():
        key = b"k%d" % (number % 11)
        db.produce(KEPT, key=key, value=b"%d" % number + b" " * 400, producer=KEPT, sequence=number)
        report(f"{KEPT} {number}")
        if number % 7 == 0:
            if "scratch" in db.topic_names():
                log.delete_topic("scratch")
            db.create_topic("scratch", partitions=2)
            db.produce("scratch", value=b"%d" % number)
        number += 1


def keep_history(db: Database) -> None:
    """Have no sink compacted, so that it can be compared record for record."""
    log = db._engine.log
    for topic in sinks(db):
        config = log.topics()[topic]
        if config.cleanup_policy != "delete":
            log.alter_topic(topic, replace(config, cleanup_policy="delete"))


def main() -> None:
    """The killed process."""
    path, seed = Path(sys.argv[1]), int(sys.argv[2])
    guard = threading.Lock()

    def report(line: str) -> None:
        with guard:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    errors: list[BaseException] = []

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            raise

    commit = "penstock.runtime.query.recovery.CHECKPOINT_CHANGES_MIN"
    with mock.patch(commit, CHECKPOINT_CHANGES), open_small(path, threads=2) as db:
        db.submit(SCRIPT, "script")
        if seed % 2 == 0:
            keep_history(db)
        report("open " + " ".join(f"{n} {db.last_sequence(n) or 0}" for n in (*(f"p{i}" for i in range(PRODUCERS)), KEPT)))
        stop = threading.Event()
        works = [partial(produce, db, seed, i, report) for i in range(PRODUCERS)]
        threads = [threading.Thread(target=guarded, args=(w,)) for w in works]
        churning = threading.Thread(target=guarded, args=(partial(churn, db, report, stop),))
        for thread in (*threads, churning):
            thread.start()
        for thread in threads:
            thread.join()
        db.wait_idle()
        stop.set()
        churning.join()
    if errors:
        raise errors[0]
    report("done")


# ------------------------------------------------------------------------------------------------------- the checking


Found = dict[str, list[tuple[Any, ...]]]


def topics_of(db: Database, names: list[str]) -> Found:
    """Every record of the topics: partition, offset, key, value, timestamp, headers."""
    return {
        name: [(r.partition, r.offset, r.key, r.value, r.timestamp, r.headers) for r in db.consume(name)] for name in names
    }


def tables_of(db: Database) -> Found:
    """Every table that a query fills."""
    names = [n for n, s in db.catalog.sources.items() if s.kind == "TABLE" and s.query_id is not None]
    return {n: sorted(db.sql(f"SELECT * FROM {n};").fetchall(), key=repr) for n in names}


def sinks(db: Database) -> list[str]:
    return [s.topic for s in db.catalog.sources.values() if s.query_id is not None]


def check(path: Path, seed: int, acknowledged: dict[str, int]) -> int:
    """Open what is left after a kill, let the queries finish, and compare; returns the number of records compared.

    Raises:
        AssertionError: an insert is lost or doubled, or a sink or table differs from an uncrashed run over the same log.
    """
    with open_small(path, threads=0) as db:
        for name, sequence in acknowledged.items():
            last = db.last_sequence(name) or 0
            assert last >= sequence, f"{name}: {sequence} was acknowledged, {last} is the last that is there"
        if "ORDERS" not in db.catalog.sources:
            return 0
        inserted = check_inputs(db, seed)
        check_kept(db)
        if "VISITS" not in db.catalog.sources:  # the script was not yet through
            return inserted
        db.drain()
        names = sinks(db)
        found, tables = topics_of(db, names), tables_of(db)
        expected, expected_tables = uncrashed(db, names)
        for name in names:
            compacted = db._engine.log.topics()[name].cleanup_policy != "delete"
            difference = first_difference(found[name], after_compaction(found[name], expected[name], compacted))
            assert difference is None, f"sink {name}: {difference}"
        assert tables == expected_tables
        for query in db.queries.values():
            account = query.progress().account
            assert account.read == account.used + account.filtered + account.late + account.bad
        return inserted + sum(map(len, found.values()))


def first_difference(found: list[Any], expected: list[Any]) -> str | None:
    """Where two lists differ first."""
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return f"record {number} is {one}, not {other}"
    return None if len(found) == len(expected) else f"{len(found)} records, not {len(expected)}"


def after_compaction(found: list[Any], whole: list[Any], compacted: bool) -> list[Any]:
    """Of the records that were written those that must be there: compaction may have taken what a later one replaces."""
    if not compacted:
        return whole
    there = {r[:2] for r in found}
    newest = {(r[0], r[2]): r for r in whole}
    kept = (r for r in whole if r[:2] in there or r[2] is None or newest[r[0], r[2]] is r)
    return [r for r in kept if r[:2] in there or r[3] is not None]  # tombstones go after a day of the records' time


def check_inputs(db: Database, seed: int) -> int:
    """The inputs hold exactly the rows of every producer's sequences up to its last, each row once."""
    expected: dict[str, list[str]] = {name: [] for name in INPUTS}
    for producer in range(PRODUCERS):
        for sequence in range(1, (db.last_sequence(f"p{producer}") or 0) + 1):
            for source, rows in rows_of(seed, producer, sequence).items():
                for row in rows:
                    text = [row.get("AMOUNT"), row.get("PAID"), row.get("CUSTOMER"), row.get("CITY"), row["ROWTIME"]]
                    expected[source.lower()].append(repr(text))
    count = 0
    for name, source in (("orders", "ORDERS"), ("payments", "PAYMENTS"), ("customers", "CUSTOMERS")):
        if source not in db.catalog.sources:
            continue
        nothing = "CAST(NULL AS STRING)"
        columns = {
            "orders": f"AMOUNT, {nothing}, CUSTOMER, {nothing}",
            "payments": f"{nothing}, PAID, {nothing}, {nothing}",
        }
        if name == "customers":  # the table has only the newest of each key: look at the topic
            shown = [repr([None, None, None, _city(r.value), r.timestamp]) for r in db.consume(name)]
        else:
            shown = [repr(list(row)) for row in db.sql(f"SELECT {columns[name]}, ROWTIME FROM {source}").fetchall()]
        assert sorted(shown) == sorted(expected[name]), f"{name} does not hold each inserted row once"
        count += len(shown)
    return count


def _city(value: bytes) -> Any:
    return json.loads(value)["CITY"]


def check_kept(db: Database) -> None:
    """The compacted topic has the newest value of every key."""
    if KEPT not in db.topic_names():
        return
    last = db.last_sequence(KEPT) or 0
    newest = {b"k%d" % (n % 11): n for n in range(1, last + 1)}
    assert {r.key: int(r.value) for r in db.consume(KEPT)} == newest


def uncrashed(db: Database, names: list[str]) -> tuple[Found, Found]:
    """What a fresh engine makes of the same inputs, in the order in which this log took them."""
    records = []
    log = db._engine.log
    for topic in INPUTS:
        for partition in range(log.topics()[topic].partitions):
            offset = 0
            while offset < log.end_offset(topic, partition):
                read = log.read(topic, partition, offset, rows_max=10_000)
                records.append((topic, partition, read))
                offset = read.next_offset
    order = sorted(
        (arrival, number, row) for number, (_, _, read) in enumerate(records) for row, arrival in enumerate(read.arrivals)
    )
    with connect(settings={**SETTINGS, "penstock.rows.per.step": "65536"}, threads=0) as fresh:
        fresh.execute(SCRIPT)
        transaction = fresh._engine.log.transaction()
        start = 0
        while start < len(order):
            _, number, row = order[start]
            stop = start
            while stop < len(order) and order[stop][1:] == (number, row + stop - start):
                stop += 1
            topic, partition, read = records[number]
            transaction.append(topic, part_of(read, row, row + stop - start), partition)
            start = stop
        transaction.commit()
        fresh.drain()
        return topics_of(fresh, names), tables_of(fresh)


def part_of(read: Any, start: int, stop: int) -> Any:
    """Some rows of what was read, to be appended again."""
    headers = None if read.headers is None else read.headers[start:stop]
    keys = None if read.keys is None else read.keys[start:stop]
    return Records(keys, read.values[start:stop], read.timestamps[start:stop], headers)


if __name__ == "__main__":
    main()
