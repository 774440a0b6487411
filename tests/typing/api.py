"""The documented usage of penstock, checked by mypy --strict (`make types`); it is never run."""

# pyright: strict

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import penstock
from penstock.engine.surface import DatabaseSurface, SessionSurface
from penstock.server.remote import RemoteDatabase

version: str = penstock.__version__


def open_and_execute(directory: Path) -> None:
    """A database is a context manager; settings by name or as keywords."""
    with penstock.connect(directory, settings={"auto.offset.reset": "earliest"}, threads=2) as database:
        results: list[penstock.Result] = database.execute("SHOW STREAMS;")
        for result in results:
            if isinstance(result, penstock.Message):
                print(result.kind, result.text, result.details.get("query_id"))
            elif isinstance(result, penstock.Listing):
                print(result.columns, result.rows)
            elif isinstance(result, penstock.Description):
                print(result.title, result.sections)
            elif isinstance(result, penstock.PushResult):
                for pushed in result:
                    print(pushed.values, pushed.tombstone)
        rows: list[tuple[object, ...]] = results[0].relation.fetchall()
        print(rows, results[0].kind, results[0].statement)
        for change in database.execute("SELECT * FROM spend EMIT CHANGES;")[0].pushed:
            print(change.as_dict())
        submitted: penstock.Submitted = database.submit("CREATE TYPE t AS INT;", "shop.sql")
        print(submitted.known, submitted.results)
    memory: penstock.Database = penstock.connect(auto_offset_reset="earliest")
    memory.close()


def write_and_read(database: penstock.Database) -> None:
    """Rows in, a token out, and a read that waits for it."""
    token: penstock.Token = database.insert("orders", [{"id": 1, "item": "pen"}])
    token = token | database.insert_many({"orders": [], "items": []}, producer="loader", sequence=1)
    last: int | None = database.last_sequence("loader")
    table: penstock.Table = database.sql("SELECT * FROM counts", ["x"], after=token)
    table = database.duckdb("SELECT ?", [1], after=token)
    rows: list[tuple[object, ...]] = table.fetchall()
    first: tuple[object, ...] | None = table.fetchone()
    dicts: list[dict[str, object]] = table.to_dicts()
    names: tuple[str, ...] = table.columns
    table.show()
    idle: bool = database.wait_idle(1.0)
    database.wait(token, ["counts"], timeout_s=5)
    print(last, rows, first, dicts, names, idle, len(table), table.df(), table.pl(), table.arrow())


def sessions(database: penstock.Database) -> None:
    """Settings and variables of one's own."""
    with database.session({"auto.offset.reset": "earliest"}, variables={"n": "1"}, user="ada") as session:
        results: list[penstock.Result] = session.execute("SHOW STREAMS;")
        table: penstock.Table = session.sql("SELECT 1")
        other: penstock.Session = database.session()
        other.close()
        print(results, table, session.settings["auto.offset.reset"], session.variables["N"], session.user)


def push(database: penstock.Database) -> None:
    """A push query is a loop."""
    with database.subscribe("SELECT * FROM counts EMIT CHANGES;", overflow="drop") as rows:
        for row in rows:
            pushed: penstock.PushRow = row
            print(pushed.values, pushed.tombstone, pushed.missed)


def relations(database: penstock.Database, path: Path) -> None:
    """What comes out becomes what one needs."""
    table: penstock.Relation = database.sql("SELECT * FROM counts")
    some: list[tuple[object, ...]] = table.fetchmany(10)
    described: list[str] = [column[0] for column in table.description]
    written: Path = table.to_parquet(path)
    counts: penstock.TableHandle = database.table("counts")
    row: dict[str, object] | None = counts.get("ann")
    orders: penstock.StreamHandle = database.stream("orders")
    token: penstock.Token = orders.insert({"id": 1})
    print(some, described, written, row, token, counts.filter("n > ?", parameters=[1]), table.to_csv(path), orders.schema)


def handled(database: penstock.Database) -> None:
    """Errors say what they are and what to do."""
    try:
        database.execute("SELECT")
    except penstock.PenstockError as error:
        code: str = error.code
        hint: str | None = error.hint
        print(code, hint, error.span)


def tested() -> None:
    """Time that passes at will."""
    clock = penstock.ManualClock(0)
    with penstock.connect(clock=clock) as database:
        now: int = database.advance(minutes=5)
        print(now)


async def asynchronous(path: Path) -> None:
    """The same methods, awaited."""
    async with penstock.connect_async(path) as database:
        same: penstock.AsyncDatabase = database
        token: penstock.Token = await same.insert("orders", {"id": 1})
        table: penstock.Table = await same.sql("SELECT * FROM counts", after=token)
        async with same.subscribe("SELECT * FROM counts EMIT CHANGES;", resume="me") as rows:
            async for row in rows:
                values: dict[str, object] = row.as_dict()
                print(values, table)


async def push_async(database: penstock.Database) -> None:
    """An asynchronous one as well."""
    subscription: penstock.Subscription = database.subscribe("SELECT * FROM counts EMIT CHANGES;")
    async for row in subscription:
        print(row.values)


def raw(database: penstock.Database) -> None:
    """The log below the streams."""
    database.create_topic("raw", partitions=2, config={"retention.ms": 3_600_000})
    database.alter_topic("raw", {"retention.ms": None, "cleanup.policy": "compact"}, partitions=3)
    topic = database.describe_topic("raw")
    names: dict[str, str] = dict(topic.config)
    ends: list[int] = [partition.end_offset for partition in topic.partitions]
    database.delete_topic("raw")
    print(names, ends, topic.size_bytes, topic.sources)
    database.produce("raw", key=b"k", value=b"v", timestamp=0, headers=[("name", b"value")])
    for record in database.consume("raw", offset=0):
        found: penstock.RawRecord = record
        print(found.key, found.value, found.timestamp, found.partition, found.offset)


def clients(database: penstock.Database) -> None:
    """Producers, transactions, consumers and groups."""
    with database.producer("loader", compression="lz4", linger_ms=5) as producer:
        sent = producer.send("raw", key=b"k", value=b"v", headers=[("name", None)])
        offset: int = sent.result(10).offset
        last: int | None = producer.last_sequence("raw", 0)
        copied = producer.send_batch("raw", [{"value": b"v"}]).result().offsets
    consumer: penstock.Consumer = database.consumer(["raw"], group="g", auto_offset_reset="earliest", on_revoked=print)
    while records := consumer.poll(100):
        with database.producer().transaction() as transaction:
            for record in records:
                transaction.send("raw", key=record.key, value=record.value)
            transaction.send_offsets(consumer)
    for batch in consumer.poll_batches():
        print(batch.topic, batch.partition, len(batch), batch.arrow())
    try:
        consumer.commit({("raw", 0): offset})
    except penstock.CommitFailedError as moved:
        print(moved)
    consumer.close()
    group: penstock.GroupDescription = database.groups["g"]
    print(last, copied, group.lag, group.members, database.groups.reset("g", to="earliest", dry_run=True))


def queries(database: penstock.Database) -> None:
    """Persistent queries by id."""
    handles: Mapping[str, penstock.QueryHandle] = database.queries
    handle = handles["CTAS_COUNTS_1"]
    lag: int = handle.lag
    plan: str = handle.explain()
    message: penstock.Message = handle.pause()
    handle.resume()
    handle.terminate()
    print(lag, plan, message, handle.state, handle.statement, handle.progress().account.used)


def errors(database: penstock.Database) -> None:
    """One family, by who must act."""
    try:
        database.execute("SELECT")
    except penstock.UnsupportedError as refused:
        print(refused)
    except penstock.StatementError as wrong:
        print(wrong.message, wrong.span, wrong.suggestion)
    except penstock.StorageError as damaged:
        print(damaged.path, damaged.action)
    except (penstock.DataError, penstock.InternalError) as other:
        problem: penstock.PenstockError = other
        print(problem)


@penstock.udf
def shout(text: str) -> str:
    """A scalar function; it stays what it is in Python."""
    return text.upper() + "!"


@penstock.udf(name="HALF", signature="(x BIGINT) -> DOUBLE", nulls=False)
def half(x: int) -> float:
    return x / 2


@penstock.udtf
def letters(text: str) -> list[str]:
    """One row per letter."""
    return list(text)


@penstock.udaf
class Longest:
    """The longest text of a group."""

    def initialize(self) -> str:
        return ""

    def aggregate(self, state: str, text: str) -> str:
        return max(state, text, key=len)


loud: str = shout("hello")
halves: float = half(3)
split_up: list[str] = letters("abc")
longest: str = Longest().aggregate("", "a")


def look_and_listen(database: penstock.Database) -> None:
    """The flow of queries, faults of statements that are not run, progress, live rows, errors."""
    flow: penstock.Flow = database.flow()
    path: Path = flow.to_svg("flow.svg")
    names: list[str] = [box.name for box in flow.nodes]
    faults: list[penstock.StatementError] = database.examiner().faults(["SELECT a FROM b;"])
    for fault in faults:
        print(fault.code, fault.hint, None if fault.span is None else (fault.span.line, fault.span.column), path, names)

    def show(advance: penstock.Advance) -> None:
        print(advance.done, advance.total, advance.unit)

    with penstock.listening(show):
        database.execute("CREATE STREAM orders FROM 'orders.csv' WITH (FOLLOW = TRUE);")
    live = penstock.LiveRows(("K", "V"), (0,))
    for row in database.subscribe("SELECT * FROM spend EMIT CHANGES"):
        live.take(row)
    print(live.latest(10))
    watermark: int | None = database.queries["CTAS_SPEND_1"].progress().stream_time
    print(watermark)


def one_surface(
    here: penstock.Database, session: penstock.Session, there: RemoteDatabase
) -> tuple[list[SessionSurface], list[DatabaseSurface]]:
    """What is written for the surface takes a database of this process and one of a server."""
    return [here, session, there], [here, there]
