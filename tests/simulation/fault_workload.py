"""What a client does when the disk fails under it, at one call after the other.

A scenario is a list of events on a prepared database.  `run` arms one fault, lets the events meet it, and acts as a careful
program does: it reads on, waits until the disk works again, opens the database again where the error says so, resumes the
queries that stopped, and repeats what did not happen.  At the end everything must be as if the disk had never failed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from engine_workload import DRAIN, QUERIES, REPLACEMENTS, SOURCES, Event, open_on, outcome

from penstock.engine.database import Database
from penstock.errors import StorageError
from penstock.storage.log.protocol import TopicConfig
from penstock.tests.support.faulty_files import FAULTS, Fault, FaultyFiles

ROWS_MAX = 40
BASE_ROWS = 60
RETAINED = "retained"
COMPACTED = "compacted"
Records = dict[str, list[Any]]


def orders(first: int, count: int) -> list[dict[str, Any]]:
    return [
        {"ID": i % 12, "CUSTOMER": "abc"[i % 3], "AMOUNT": i % 10, "ITEMS": [], "ROWTIME": 5 * i}
        for i in range(first, first + count)
    ]


def base() -> FaultyFiles:
    """A small database: rows, queries with state and checkpoints, a topic to retain and one to compact; closed."""
    files = FaultyFiles(0)
    db = open_on(files, ROWS_MAX)
    for text in (*SOURCES, QUERIES["BIG"], QUERIES["SPEND"], QUERIES["VISITS"], QUERIES["PAIRS"]):
        db.execute(text)
    log = db._engine.log
    log.create_topic(RETAINED, TopicConfig(retention_bytes=3000))
    log.create_topic(COMPACTED, TopicConfig(cleanup_policy="compact"))
    db.insert("ORDERS", orders(0, BASE_ROWS))
    db.insert("PAYMENTS", [{"ID": i, "PAID": i, "ROWTIME": 20 * i} for i in range(12)])
    for number in range(40):
        db.produce(RETAINED, value=b"r%d" % number + b"x" * 300)
        db.produce(COMPACTED, key=b"k%d" % (number % 5), value=b"c%d" % number + b"x" * 300)
    db.drain()
    db.close()
    return files


def _insert(first: int, count: int) -> Event:
    number = first + count
    return Event(
        f"insert rows {first}..{number - 1}",
        lambda db: db.insert("ORDERS", orders(first, count)),
        lambda db: sum(1 for _ in db.consume("orders")) >= number,
    )


def _statement(text: str, happened: Any) -> Event:
    return Event(text, lambda db: db.execute(text), happened)


def _there(name: str, db: Database) -> bool:
    return name in db.catalog.sources


def _read(db: Database) -> None:
    db.sql("SELECT CUSTOMER, sum(TOTAL) FROM SPEND GROUP BY CUSTOMER").fetchall()
    db.sql("SELECT * FROM ORDERS WHERE ID = 3").fetchall()
    db.sql("SELECT * FROM VISITS WHERE CUSTOMER = 'a';").fetchall()
    for topic in db.topic_names():
        list(db.consume(topic))
    db._engine.log.offset_for_time("orders", 0, 100)


def _again(db: Database) -> None:
    """Close and open: `run` does the opening."""
    db.close()


NEVER = partial(lambda db: False)
SCENARIOS: dict[str, list[Event]] = {
    "open": [],
    "insert": [_insert(60, 1), DRAIN, _insert(61, 40), DRAIN],
    "roll": [_insert(60 + 30 * i, 30) for i in range(9)],
    "checkpoint": [e for i in range(3) for e in (_insert(60 + 30 * i, 30), DRAIN)],
    "maintain": [
        _insert(60, 200),
        Event("maintain", lambda db: db._engine.log.maintain(0), lambda db: False),
        Event("maintain later", lambda db: db._engine.log.maintain(10**15), lambda db: False),
    ],
    "statements": [
        _statement(
            "CREATE STREAM NEW (ID BIGINT KEY, V BIGINT) WITH (KAFKA_TOPIC='new', PARTITIONS=2, VALUE_FORMAT='JSON');",
            partial(_there, "NEW"),
        ),
        _statement(QUERIES["DOUBLED"], partial(_there, "DOUBLED")),
        DRAIN,
        _statement(REPLACEMENTS["SPEND"], lambda db: "< 8" in db.catalog.sources["SPEND"].statement),
        _insert(60, 20),
        DRAIN,
        _statement("DROP TABLE VISITS DELETE TOPIC;", lambda db: "VISITS" not in db.catalog.sources),
        _statement("DROP STREAM NEW DELETE TOPIC;", lambda db: "NEW" not in db.catalog.sources),
        DRAIN,
    ],
    "read": [Event("read", _read, lambda db: False)],
    "close": [_insert(60, 30), Event("close", _again, lambda db: True)],
}


def inputs(db: Database) -> Records:
    """What clients wrote, by topic and partition."""
    found: Records = {}
    for topic in ("orders", "payments"):
        for record in db.consume(topic):
            found.setdefault(f"{topic} {record.partition}", []).append((record.offset, record.key, record.value))
    return found


def result(db: Database) -> dict[str, Any]:
    """All that must be equal in the end; where retention and compaction are depends on when they ran."""
    found = outcome(db)
    del found["topic ksql_processing_log"], found[f"topic {RETAINED}"]
    kept = {r.key: r.value for r in db.consume(COMPACTED)}
    found[f"topic {COMPACTED}"] = kept
    return found


def check_error(error: StorageError) -> None:
    """It says what failed and where, and what an operator can do."""
    assert error.path, error
    assert error.action, error
    assert "cannot" in str(error) or "takes no more commits" in str(error), error


def trace(prepared: FaultyFiles, name: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The outcome of a scenario without a fault, and the calls that it makes."""
    files = prepared.copy(1)
    calls: list[tuple[str, str]] = []
    if name == "open":
        files.trace = calls
    db = open_on(files, ROWS_MAX)
    files.trace = calls
    for event in SCENARIOS[name]:
        event.do(db)
    files.trace = None
    if name == "close":
        db = open_on(files, ROWS_MAX)
    db.drain()
    return result(db), calls


def faults_of(calls: list[tuple[str, str]]) -> list[Fault]:
    """Every way in which every call can fail, once and lastingly."""
    found = []
    for number, (operation, _) in enumerate(calls):
        for kind in FAULTS[operation]:
            found.append(Fault(number, kind))  # type: ignore[arg-type]
            if operation in ("write", "sync", "create", "rename", "sync_directory"):
                found.append(Fault(number, kind, lasting=True))  # type: ignore[arg-type]
    return found


def run(prepared: FaultyFiles, name: str, fault: Fault, expected: dict[str, Any], passed: set[bytes]) -> None:
    """One scenario with one fault.

    Args:
        passed: digests of disks, left by this scenario, on which a database was opened already and had what was expected.

    Raises:
        AssertionError: something was lost, doubled, unreadable or not named.
    """
    files = prepared.copy(fault.call)
    db: Database | None = None
    if name == "open":
        files.calls, files.fault = 0, fault
        try:
            db = open_on(files, ROWS_MAX)
        except StorageError as error:
            check_error(error)
            files.heal()
            db = open_on(files, ROWS_MAX)
        files.heal()
    else:
        db = open_on(files, ROWS_MAX)
        files.calls, files.fault = 0, fault
    for event in SCENARIOS[name]:
        before = None
        for _ in range(4):
            if before is None and files.fault is not None and files.calls <= fault.call:
                armed, files.fault = files.fault, None  # looking is not what this is about
                calls = files.calls
                before = inputs(db)
                files.fault, files.calls = armed, calls
            try:
                event.do(db)
                break
            except StorageError as error:
                check_error(error)
            db, files = go_on(db, files, event, before or {}, fault)
            if event.happened(db):
                break
        else:
            raise AssertionError(f"{event.name} still fails when the disk works again")
        if event.name == "close":
            files.heal()
            db = open_on(files, ROWS_MAX)
    files.heal()
    if db._engine.log.committer.failure is not None:  # in the background: nobody was told, so nobody's work was lost
        db.close()
        db = open_on(files, ROWS_MAX)
    resume(db)
    db.drain()
    found = result(db)
    same(found, expected)
    db.close()
    power_cut = files.copy(fault.call).after_crash(tearing="lost")
    for again in (files,) if fault.call % 3 else (files, power_cut):
        if (digest := again.digest()) in passed:
            continue  # nothing but the disk is left, so it would be the same again
        db = open_on(again, ROWS_MAX)
        same(result(db), expected)
        db.close()
        passed.add(digest)


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key in expected.keys() | found.keys():
        assert found.get(key) == expected.get(key), f"{key}: {found.get(key)}, not {expected.get(key)}"


def resume(db: Database) -> None:
    for query in db.queries.values():
        if query.state == "ERROR":
            query.resume()


def go_on(db: Database, files: FaultyFiles, event: Event, before: Records, fault: Fault) -> tuple[Database, FaultyFiles]:
    """After an error: what was committed is there, also while the disk still fails; then it works again."""
    if event.name != "close":
        after = inputs(db)
        for place, rows in before.items():
            assert after[place][: len(rows)] == rows, f"{place} has lost rows"
    broken = db._engine.log.committer.failure is not None
    if event.name.startswith("insert") and not broken:
        assert not event.happened(db), "an insert that failed has happened"
    files.heal()
    if db._engine.unsettled is not None and not broken:  # the statement is in the journal: opening finishes it
        db.close()
        return open_on(files, ROWS_MAX), files
    if not broken:
        resume(db)
        return db, files
    if event.name != "close":
        try:
            db.insert("ORDERS", orders(1000, 1))
        except StorageError as error:
            check_error(error)
        else:
            raise AssertionError("a commit went through after a sync had failed")
        assert inputs(db) == after
    db.close()
    if fault.call % 2:
        files = files.after_crash()
    return open_on(files, ROWS_MAX), files
