"""Golden query scripts: ``tests/golden/queries/*.sql``, each case run four ways.

A case opens with a sentence after ``--`` that says what it shows, and a line that says what it asserts::

    -- Rows that do not pass a filter are dropped.
    -- changes of BIG
    CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
    CREATE STREAM big AS SELECT * FROM s WHERE v > 1;
    INSERT INTO s (ROWTIME, k, v) VALUES (1000, 1, 5);
    --> K | V | ROWTIME
    --> 1 | 5 | 1000

``changes of X``: every record of X in order, as a subscriber sees it, with the cache off; a deleted row shows its key and
``(deleted)``.  ``table X``: the rows that a pull query finds in the end, with the cache on.  A line ``-- with name = value``
sets a property.  The ways:

* ``batches``: all input in one step;
* ``rows``: one record per step;
* ``crashes``: a directory, of which a copy is made after every statement and every commit; the copy is opened and goes on;
* ``partitions``: declared topics have three partitions instead of one; the order is then that of each key.

``make bless`` (``pytest --bless``) rewrites what the cases give, as the first way has it; review the difference.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.engine.database import Database, connect
from penstock.runtime.clock import ManualClock

FOLDER = Path(__file__).parent / "golden" / "queries"
WAYS = ("batches", "rows", "crashes", "partitions")


@dataclass
class Case:
    """A case and the lines of its file: ``opening`` up to the last statement, then what is expected."""

    sentence: str
    subject: str = ""
    of_changes: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    opening: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)


def read(path: Path) -> list[Case]:
    """The cases of a file."""
    cases: list[Case] = []
    for line in path.read_text().splitlines():
        if not line.strip():
            continue
        if line.startswith("-->"):
            cases[-1].expected.append(line)
            continue
        if not cases or cases[-1].expected:
            assert line.startswith("-- "), f"{path.name}: a case opens with a sentence, not with {line!r}"
            cases.append(Case(line[3:]))
        case = cases[-1]
        case.opening.append(line)
        if not line.startswith("--"):
            case.statements.append(line)
        elif found := re.fullmatch(r"-- (changes of|table) (\w+)", line):
            case.of_changes, case.subject = found[1] != "table", found[2]
        elif found := re.fullmatch(r"-- with (\S+) = (\S+)", line):
            case.settings[found[1]] = found[2]
    for case in cases:
        assert case.subject, f"{path.name}: {case.sentence!r} does not say whether it asserts changes or a table"
    return cases


def write(path: Path, cases: list[Case]) -> None:
    """The file of some cases."""
    path.write_text("\n\n".join("\n".join((*case.opening, *case.expected)) for case in cases) + "\n")


def _open(case: Case, path: Path | None, rows_per_step: int) -> Database:
    settings = {
        "processing.order": "arrival",
        "auto.offset.reset": "earliest",
        "cache.max.bytes.buffering": "0" if case.of_changes else "10000000",
        "penstock.rows.per.step": str(rows_per_step),
        **case.settings,
    }
    return connect(path, threads=0, clock=ManualClock(0), settings=settings)


def split(statements: list[str]) -> Iterator[str]:
    """One statement at a time; they end where a line does."""
    text = ""
    for line in statements:
        text += line + "\n"
        if line.rstrip().endswith(";"):
            yield text
            text = ""
    assert not text, f"no semicolon after {text!r}"


def run(case: Case, way: str, folder: Path) -> tuple[list[str], int]:
    """What a case gives, run in one of the ways, as lines, and how many of the columns are the key."""
    statements = list(split(case.statements))
    if way == "partitions":
        statements = [s.replace("PARTITIONS=1", "PARTITIONS=3") for s in statements]
    if way != "crashes":
        with _open(case, None, 1 if way == "rows" else 65536) as database:
            for statement in statements:
                database.execute(statement)
            database.drain()
            return result(case, database)
    database = _open(case, folder / "0", 2)
    try:
        copies = 0
        for statement in statements:
            database.execute(statement)
            copies += 1
            database = _crash(case, database, folder, copies)
        while any(query.step() for query in database._engine.host._scheduler.runs()):
            copies += 1
            database = _crash(case, database, folder, copies)
        return result(case, database)
    finally:
        database.close()


def _crash(case: Case, database: Database, folder: Path, number: int) -> Database:
    """A database opened from a copy of the files as they are now."""
    shutil.copytree(folder / str(number - 1), folder / str(number))
    database.close()
    shutil.rmtree(folder / str(number - 1))
    return _open(case, folder / str(number), 2)


def result(case: Case, database: Database) -> tuple[list[str], int]:
    keys = len(database.catalog.source(case.subject).schema.keys)
    if not case.of_changes:
        table = database.sql(f"SELECT * FROM {case.subject};")
        return [_line(table.columns), *sorted(map(_line, table.fetchall()))], keys
    with_time = f"SELECT *, ROWTIME FROM {case.subject} EMIT CHANGES;"
    subscription = database.subscribe(with_time)
    database.drain()
    lines = [_line(subscription.columns)]
    while (row := subscription.poll(0)) is not None:
        if row.tombstone:
            lines.append(_line([*(v for v in row.values[:-1] if v is not None), "(deleted)", row.timestamp]))
        else:
            lines.append(_line(row.values))
    subscription.close()
    return lines, keys


def _line(values: Any) -> str:
    return "--> " + " | ".join("null" if v is None else str(v) for v in values)


def by_key(lines: list[str], keys: int) -> list[str]:
    """The lines ordered by key, those of a key as they are; without a key there is no order."""
    parts = [(line.split(" | ")[:keys], line) for line in lines[1:]]
    return [lines[0], *(line for _, line in sorted(parts, key=lambda p: p[0] if keys else [p[1]]))]


CASES = [(path, number) for path in sorted(FOLDER.glob("*.sql")) for number in range(len(read(path)))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("path", "number"), CASES, ids=[f"{p.stem}-{n + 1}" for p, n in CASES])
def test_script(path: Path, number: int, way: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case gives what was blessed, whichever way it is run."""
    for sync in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, sync, lambda descriptor: None, raising=False)  # a copy sees what is not yet on disk, too
    case = read(path)[number]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # many small files: quicker where there is no disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        lines, keys = run(case, way, Path(folder))
    if way == WAYS[0] and request.config.getoption("--bless"):
        cases = read(path)
        cases[number].expected = lines
        write(path, cases)
        return
    expected = case.expected
    if way == "partitions" and case.of_changes:
        lines, expected = by_key(lines, keys), by_key(expected, keys)
    assert "\n".join(lines) == "\n".join(expected), case.sentence
