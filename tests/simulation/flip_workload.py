"""A small database, and what becomes of a bit that is flipped in one of its files.

There are hundreds of thousands of bits, and most of what follows a flip is the same for all of them.  A flip changes no
name and no size of a file.  So whatever has not read a byte of the damaged file, on the whole files, does and finds the same
on the damaged ones, and is done once for all flips (`Kept`, `Flips`); which files are read, the files themselves take down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from engine_workload import QUERIES, open_on, outcome

from penstock.engine.database import Database
from penstock.errors import PenstockError
from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.local.maintenance import verify as verify_of_log
from penstock.storage.log.settings import LogSettings
from penstock.storage.state.checkpoint import CheckpointFiles
from penstock.storage.verify import LogFault, verify_files
from penstock.tests.support.faulty_files import FaultyFiles

SOURCES = (
    "CREATE STREAM ORDERS (ID BIGINT KEY, CUSTOMER STRING, AMOUNT BIGINT, ITEMS ARRAY<STRING>) "
    "WITH (KAFKA_TOPIC='orders', PARTITIONS=2, VALUE_FORMAT='ARROW');",
    "CREATE TABLE CUSTOMERS (NAME STRING PRIMARY KEY, CITY STRING) "
    "WITH (KAFKA_TOPIC='customers', PARTITIONS=1, VALUE_FORMAT='ARROW');",
    "CREATE STREAM AVRO (ID BIGINT KEY, V STRING) WITH (KAFKA_TOPIC='avro', PARTITIONS=1, VALUE_FORMAT='AVRO');",
)


def opened(files: FaultyFiles) -> Database:
    """Small segments, so that there are closed ones; the rows that make up a step do not matter here."""
    return open_on(files, 65_536, 2_500, **{"penstock.internal.topics": "false"})


def build(crashed: bool) -> tuple[FaultyFiles, dict[str, Any]]:
    """Topics with keys, headers, tombstones, typed or packed values, compacted offsets, state, checkpoints, schemas."""
    files = FaultyFiles(0)
    db = opened(files)
    for name in ("packed", "quick"):
        db.create_topic(name, config={"compression.type": {"packed": "zstd", "quick": "lz4"}[name]})
    for text in (*SOURCES, QUERIES["BIG"], QUERIES["SPEND"], QUERIES["HOPS"]):
        db.execute(text)
    for base in range(0, 40, 10):
        rows = [{"ID": i, "CUSTOMER": "abc"[i % 3], "AMOUNT": i, "ITEMS": [], "ROWTIME": base + i} for i in range(10)]
        db.insert("ORDERS", rows)
        db.insert("CUSTOMERS", [{"NAME": "a", "CITY": str(base) * 100, "ROWTIME": base}])
        db.drain()
    db.insert("AVRO", [{"ID": 1, "V": "x", "ROWTIME": 5}])
    db.produce("customers", key=b"a", value=None, timestamp=200)
    for name in ("packed", "quick"):
        db.produce(name, key=b"h", value=b"{}" * 100, timestamp=3, headers=[("h", b"1"), ("i", None)])
    db.drain()
    db._engine.log.maintain(1_000)
    if not crashed:
        db.close()
        db = opened(files)
        db.insert("ORDERS", [{"ID": 1, "CUSTOMER": "a", "AMOUNT": 7, "ITEMS": ["z"], "ROWTIME": 300}])
        db.drain()
    whole = answers(db)
    if not crashed:
        db.close()
    return files, whole


def answers(db: Database) -> dict[str, Any]:
    """All that a user can see, and all that the log holds for itself."""
    found = outcome(db)
    read_all(db._engine.log)
    return found


Place = tuple[str, int]
"""A topic and a partition."""


def places_of(log: LocalLog) -> list[Place]:
    return [(topic, partition) for topic, config in log.topics().items() for partition in range(config.partitions)]


def read_place(log: LocalLog, place: Place) -> None:
    log.read(*place, log.start_offset(*place), rows_max=100_000)


def read_all(log: LocalLog) -> None:
    """Every record of every topic."""
    for place in places_of(log):
        read_place(log, place)


def opened_log(files: FaultyFiles) -> LocalLog:
    return LocalLog(prepare(files), LogSettings(background=False))


def reads(files: FaultyFiles, work: Callable[[], Any]) -> tuple[Any, set[str]]:
    """What comes out of the work, and the files whose bytes it has read."""
    before, files.trace = files.trace, []
    found = work()
    calls, files.trace = files.trace, before
    if before is not None:
        before += calls
    return found, {path for call, path in calls if call == "read"}


class Kept:
    """What functions found in the whole files, for as long as they need no byte of the damaged one.

    Attributes:
        damaged: the file with the flip; None while there is none, and everything is taken down.
    """

    def __init__(self) -> None:
        self.damaged: str | None = None
        self._known: dict[tuple[Any, ...], tuple[Any, Any, set[str]]] = {}

    def within(self, patch: pytest.MonkeyPatch) -> Kept:
        """Have `verify_files` use it: for the journal, each partition, each checkpoint, and the files nobody knows."""
        keep = self._keeping
        # what depends on the journal's contents, too, must get the very same object
        patch.setattr(verify_of_log, "read_log", keep(verify_of_log.read_log, lambda files: (None,)))
        patch.setattr(verify_of_log, "_strangers", keep(verify_of_log._strangers, lambda files, log: (log,)))
        patch.setattr(
            verify_of_log,
            "_partition",
            keep(verify_of_log._partition, lambda files, log, topic, number, state: (log, topic, number)),
        )
        patch.setattr(CheckpointFiles, "check", keep(CheckpointFiles.check, lambda checkpoints, path: (None, path)))
        return self

    def _keeping(self, function: Callable[..., Any], needs: Callable[..., tuple[Any, ...]]) -> Callable[..., Any]:
        def asked(*given: Any) -> Any:
            source, *key = needs(*given)
            known = self._known.get((function, *key))
            if self.damaged is None:
                files = given[0] if isinstance(given[0], FaultyFiles) else given[0]._files
                found, read = reads(files, lambda: _all_of(function(*given)))
                self._known[function, *key] = source, found, read
                return found
            if known is None or known[0] is not source or self.damaged in known[2]:
                return function(*given)
            return known[1]

        return asked


def _all_of(found: Any) -> Any:
    return list(found) if isinstance(found, Iterator) else found


class Flips:
    """The database, ready to be damaged one bit at a time.

    Args:
        files: without damage.
        whole: the answers that they give.
        kept: see `Kept.within`.
    """

    def __init__(self, files: FaultyFiles, whole: dict[str, Any], kept: Kept) -> None:
        self.files, self.whole, self.kept = files, whole, kept
        self.contents = files.contents()
        self._verified = files.copy(1)
        kept.damaged = None
        assert not [f for f in verify_files(self._verified) if not f.harmless]
        self._open = files.copy(1)
        self._log, self._opening = reads(self._open, lambda: opened_log(self._open))
        """A log of the whole files, and the files whose bytes opening needs."""
        self._places: dict[str, list[Place]] = {}
        """By file, the partitions that cannot be read without it."""
        for place in places_of(self._log):
            for path in reads(self._open, partial(read_place, self._log, place))[1]:
                self._places.setdefault(path, []).append(place)
        self._untouched = {path: self._left_alone(path) for path in self._places.keys() - self._opening}

    def _left_alone(self, path: str) -> list[bool]:
        """Which bytes of a file are still there when the log is open; others come from the journal, or are cut."""
        inverted = self.files.copy(1)
        for position in range(len(self.contents[path])):
            inverted.damage(path, position, 255)
        opened_log(inverted)
        one, other = self._open.contents()[path], inverted.contents()[path]
        left = [a != b for a, b in zip(one, other, strict=True)]
        return left + [False] * (len(self.contents[path]) - len(left))

    def look(self, path: str, position: int, bit: int) -> str:
        """What became of a flip: ``named`` or ``harmless``; anything else is an `AssertionError`."""
        place = f"{path}, byte {position}, bit {bit}"
        flip = 1 << bit
        found = self._verify(path, position, flip)
        try:
            if found:  # most damage is met by the log already, which is quick to ask
                self._read(path, position, flip)
            damaged = self.files.copy(1)
            damaged.damage(path, position, flip)
            db = opened(damaged)
            seen = answers(db)
            db.close()
        except PenstockError as error:
            assert path.rpartition("/")[2] in str(error) or "journal" in path, f"{place}: {error}"
            assert found, f"{place}: verify finds nothing, opening {error}"
            assert any(path in f.path or "journal" in path for f in found), f"{place}: {found}"
            return "named"
        assert seen == self.whole, f"{place}: other answers"
        return "harmless"

    def _verify(self, path: str, position: int, flip: int) -> list[LogFault]:
        """What is wrong with the damaged files; looking changes nothing in them."""
        self.kept.damaged = path
        self._verified.damage(path, position, flip)
        try:
            return [f for f in verify_files(self._verified) if not f.harmless]
        finally:
            self._verified.damage(path, position, flip)

    def _read(self, path: str, position: int, flip: int) -> None:
        """Open the log and read every record.

        Raises:
            PenstockError: as damage does.
        """
        if path in self._opening:
            damaged = self.files.copy(1)
            damaged.damage(path, position, flip)
            read_all(opened_log(damaged))
        elif path in self._places and self._untouched[path][position]:
            self._open.damage(path, position, flip)
            try:
                for topic, partition in self._places[path]:
                    del self._log._state.topics[topic]
                    self._log._state._open_topic(topic)  # as after opening: nothing has been read
                    read_place(self._log, (topic, partition))
            finally:
                self._open.damage(path, position, flip)
