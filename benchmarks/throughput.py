"""Rows a second of persistent and push queries: SQL text in, durable commits included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

import penstock

from . import bids
from .measure import Measurement, MemoryPeak, Options, database, end_query, rate, timed, until_taken_in, workload

FILTER_MIN_PRICE = 1_000_000


_TYPED = "WITH (KAFKA_TOPIC='{}', VALUE_FORMAT='ARROW', PARTITIONS=1);"
PAYMENTS = "CREATE STREAM payments (account BIGINT, amount BIGINT) " + _TYPED.format("payments")
TOTALS = "CREATE TABLE totals AS SELECT account, COUNT(*) AS n, SUM(amount) AS total FROM payments GROUP BY account;"


def insert_bids(db: penstock.Database, rows: int) -> penstock.Token:
    """Fill a stream with bids, all columns."""
    db.execute(f"CREATE STREAM bids ({bids.BID_COLUMNS}) {_TYPED.format('bids')}")
    token = penstock.Token()
    for block in bids.bids(rows):
        token |= db.insert("bids", block, durable=False)
    return token


def insert_payments(db: penstock.Database, rows: int, keys: int) -> penstock.Token:
    """Fill a stream with payments for evenly spread accounts."""
    db.execute(PAYMENTS)
    token = penstock.Token()
    for block in bids.payments(rows, keys):
        token |= db.insert("payments", block, durable=False)
    return token


@workload
def stateless(options: Options) -> Iterator[Measurement]:
    """Filter and projection: into a push query whose rows are counted and dropped, and into streams."""
    rows, memory = options.rows, MemoryPeak()
    with database() as db:
        token = insert_bids(db, rows)
        memory.take_mb()
        expected = sum(int((np.asarray(b["price"]) > FILTER_MIN_PRICE).sum()) for b in bids.bids(rows, strings=False))
        select = f"SELECT auction, bidder, price * 2 AS price FROM bids WHERE price > {FILTER_MIN_PRICE} EMIT CHANGES"

        def count() -> None:
            seen = 0
            with db.subscribe(f"{select};") as subscription:
                while seen < expected:
                    batch = subscription.poll_batch(60)
                    assert batch is not None, f"{seen} of {expected} rows came"
                    seen += len(batch)

        yield Measurement("filter and projection, rows dropped", rate(rows, timed(count)), "M rows/s", 5.0)
        seconds = until_taken_in(db, token, f"CREATE STREAM dear AS {select};")
        end_query(db, "DEAR")
        yield Measurement("filter and projection into a stream", rate(rows, seconds), "M rows/s")
        columns = "auction, bidder, price, date_time"
        seconds = until_taken_in(db, token, f"CREATE STREAM copied AS SELECT {columns} FROM bids EMIT CHANGES;")
        end_query(db, "COPIED")
        yield Measurement("projection of all rows into a stream", rate(rows, seconds), "M rows/s")
        yield Measurement("memory peak, stateless", memory.take_mb(), "MB", yardstick="none")


@workload
def aggregate(options: Options) -> Iterator[Measurement]:
    """COUNT and SUM by 100,000 evenly spread keys, and by the bidders of the auction (skewed)."""
    rows, memory = options.rows, MemoryPeak()
    with database() as db:
        token = insert_payments(db, rows, 100_000)
        seconds = until_taken_in(db, token, TOTALS)
        yield Measurement("COUNT and SUM by 100,000 keys", rate(rows, seconds), "M rows/s", 2.0)
        (total,) = db.sql("SELECT SUM(n), SUM(total) FROM totals").fetchall()
        assert total[0] == rows
    with database() as db:
        token = insert_bids(db, rows)
        seconds = until_taken_in(
            db,
            token,
            "CREATE TABLE per_bidder AS SELECT bidder, COUNT(*) AS n, SUM(price) AS total FROM bids GROUP BY bidder;",
        )
        yield Measurement("COUNT and SUM by bidder", rate(rows, seconds), "M rows/s")
        yield Measurement("memory peak, aggregation", memory.take_mb(), "MB", yardstick="none")


def _every_account(db: penstock.Database, keys: int) -> penstock.Token:
    """One payment for each account, in no order."""
    token = penstock.Token()
    numbers = np.random.default_rng(0).permutation(keys)
    for start in range(0, keys, 65_536):
        piece = numbers[start : start + 65_536]
        columns = {"account": piece, "amount": np.ones(len(piece), np.int64), "rowtime": np.full(len(piece), bids.START_MS)}
        token |= db.insert("payments", pa.table(columns), durable=False)
    return token


def _cost_ns(keys: int, touched: int, rows: int, settings: dict[str, object]) -> float:
    """Nanoseconds a payment takes when the state holds ``keys`` accounts and payments go to ``touched`` of them."""
    with database(settings) as db:
        db.execute(PAYMENTS)
        db.execute(TOTALS)
        db.wait(_every_account(db, keys), timeout_s=1800)
        query_id = db.catalog.source("TOTALS").query_id
        db.execute(f"PAUSE `{query_id}`;")
        token = penstock.Token()
        spread = keys // touched
        for block in bids.payments(rows, touched):
            if spread > 1:
                block = block.set_column(0, "account", pa.array(np.asarray(block["account"]) * spread))
            token |= db.insert("payments", block, durable=False)
        os.sync()  # what the filling wrote (ten million rows in one case) must not be waited for by the commits measured
        return until_taken_in(db, token, f"RESUME `{query_id}`;") / rows * 1e9


@workload
def state(options: Options) -> Iterator[Measurement]:
    """What a payment costs when the table holds 10,000 accounts, and when it holds 10,000,000.

    ``same traffic``: payments go to 10,000 accounts in both cases (spread over the whole state in the large one), so the
    steps have as many changes to log and to emit, and the difference is what the size of the state costs.
    ``evenly spread``: payments go to all accounts.  Then a step changes 65,536 accounts instead of 10,000, and writes 6.5
    times as many changes; every update is emitted (caching off) in both.
    """
    rows, memory = options.rows, MemoryPeak()
    small = _cost_ns(10_000, 10_000, rows, {})
    large = _cost_ns(10_000_000, 10_000, rows, {})
    yield Measurement("state of 10 k keys", small, "ns/row", yardstick="none")
    yield Measurement("state of 10 M keys, same traffic", large, "ns/row", yardstick="none")
    yield Measurement("10 M keys / 10 k keys, same traffic", large / small, "x", 1.5, "none")
    uncached: dict[str, object] = {"cache.max.bytes.buffering": 0}
    small = _cost_ns(10_000, 10_000, rows, uncached)
    large = _cost_ns(10_000_000, 10_000_000, rows, uncached)
    yield Measurement("state of 10 k keys, every update", small, "ns/row", yardstick="none")
    yield Measurement("state of 10 M keys, evenly spread, every update", large, "ns/row", yardstick="none")
    yield Measurement("10 M keys / 10 k keys, evenly spread", large / small, "x", None, "none")
    yield Measurement("memory peak, 10 M keys", memory.take_mb(), "MB", yardstick="none")


@workload
def formats(options: Options) -> Iterator[Measurement]:
    """Writing JSON from typed rows, and reading it."""
    rows = options.rows // 2
    columns = "auction, bidder, price, channel, date_time"
    with database() as db:
        token = insert_bids(db, rows)
        for name in ("JSON", "DELIMITED", "AVRO"):
            create = f"CREATE STREAM as_{name} WITH (VALUE_FORMAT='{name}') AS SELECT {columns} FROM bids EMIT CHANGES;"
            seconds = until_taken_in(db, token, create)
            yield Measurement(f"{name}, written", rate(rows, seconds), "M rows/s")
            create = (
                f"CREATE STREAM from_{name} WITH (VALUE_FORMAT='ARROW') AS SELECT {columns} FROM as_{name} EMIT CHANGES;"
            )
            seconds = until_taken_in(db, token, create)
            yield Measurement(f"{name}, read", rate(rows, seconds), "M rows/s")
            end_query(db, f"AS_{name}")
            end_query(db, f"FROM_{name}")


@workload
def windows(options: Options) -> Iterator[Measurement]:
    """COUNT by bidder in windows of all kinds."""
    rows = options.rows
    kinds = {
        "tumbling": "TUMBLING (SIZE 10 SECONDS)",
        "hopping, 5 windows a row": "HOPPING (SIZE 10 SECONDS, ADVANCE BY 2 SECONDS)",
        "session": "SESSION (10 SECONDS)",
    }
    with database() as db:
        token = insert_bids(db, rows)
        for number, (kind, window) in enumerate(kinds.items()):
            group = f"SELECT bidder, COUNT(*) AS n FROM bids WINDOW {window} GROUP BY bidder"
            seconds = until_taken_in(db, token, f"CREATE TABLE windowed_{number} AS {group};")
            end_query(db, f"WINDOWED_{number}")
            yield Measurement(f"COUNT by bidder, {kind}", rate(rows, seconds), "M rows/s")


@workload
def joins(options: Options) -> Iterator[Measurement]:
    """Bids with the table of auctions, and with the stream of auctions within ten seconds."""
    blocks = bids.blocks_of(options.rows)
    with database() as db:
        token, rows = insert_site(db, blocks)
        seconds = until_taken_in(
            db,
            token,
            "CREATE TABLE auction_table (id BIGINT PRIMARY KEY, seller BIGINT, category BIGINT) "
            "WITH (KAFKA_TOPIC='auctions', VALUE_FORMAT='ARROW');",
            "CREATE STREAM priced AS SELECT b.auction, b.price, a.category FROM bids b "
            "JOIN auction_table a ON b.auction = a.id EMIT CHANGES;",
        )
        end_query(db, "PRICED")
        yield Measurement("stream-table join", rate(rows, seconds), "M rows/s")
        seconds = until_taken_in(
            db,
            token,
            "CREATE STREAM matched AS SELECT b.auction, b.price, a.category FROM bids b "
            "JOIN auctions a WITHIN 10 SECONDS GRACE PERIOD 1 SECOND ON b.auction = a.id EMIT CHANGES;",
        )
        end_query(db, "MATCHED")
        yield Measurement("stream-stream join", rate(rows, seconds), "M rows/s")


def insert_site(db: penstock.Database, blocks: int) -> tuple[Any, int]:
    """Bids, auctions (keyed) and persons (keyed); gives the token and the number of all rows."""
    db.execute(
        f"CREATE STREAM bids ({bids.BID_COLUMNS}) WITH (KAFKA_TOPIC='bids', VALUE_FORMAT='ARROW', PARTITIONS=1);"
        f"CREATE STREAM auctions ({bids.AUCTION_COLUMNS.replace('id BIGINT', 'id BIGINT KEY', 1)}) "
        "WITH (KAFKA_TOPIC='auctions', VALUE_FORMAT='ARROW', PARTITIONS=1);"
        f"CREATE STREAM persons ({bids.PERSON_COLUMNS.replace('id BIGINT', 'id BIGINT KEY', 1)}) "
        "WITH (KAFKA_TOPIC='persons', VALUE_FORMAT='ARROW', PARTITIONS=1);"
    )
    token, rows = penstock.Token(), 0
    for block in range(blocks):
        for name, make in (("persons", bids.person_block), ("auctions", bids.auction_block), ("bids", bids.bid_block)):
            made = make(block)
            token |= db.insert(name, made, durable=False)
            rows += len(made)
    return token, rows
