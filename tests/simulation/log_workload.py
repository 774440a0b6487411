"""A random workload on the log, and the lists and dicts it must equal, also after a crash at any moment.

A run is a seed.  The workload commits transactions (durable and relaxed), creates, alters and deletes topics, trims,
maintains and reopens, on files that fail as disks do.  Beside it grows a history: the state after every event that
happened.  After a crash the log must show exactly one of these states: none older than the last event that was durable.
"""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.errors import StorageError
from penstock.storage.log.local.commit.transaction import LocalTransaction
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.partitioner import partitions_of
from penstock.storage.log.protocol import Committing, FetchedRecords, Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import Crash, FaultyFiles

Row = tuple[int, int, int, bytes | None, Any]
"""Offset, arrival, timestamp, key, value."""


@dataclass
class TopicModel:
    """A topic as lists."""

    config: TopicConfig
    rows: list[list[Row]]
    starts: list[int]


@dataclass
class State:
    """The log as lists and dicts."""

    epoch: int = 0
    arrival: int = 0
    topics: dict[str, TopicModel] = field(default_factory=dict)
    positions: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)


def value_of(config: TopicConfig, number: int) -> Any:
    """A value that fits the topic; every seventh is a tombstone."""
    if number % 7 == 0:
        return None
    if config.value_type is None:
        return b"v%d" % number * (1 + number % 5)
    return {f.name: number + i for i, f in enumerate(config.value_type)}


class Run:
    """One workload."""

    def __init__(self, seed: int, files: FaultyFiles) -> None:
        self.chance = random.Random(seed)
        self.files = files
        self.settings = LogSettings(
            segment_bytes_max=self.chance.choice((600, 3000, 1 << 20)),
            journal_bytes_max=self.chance.choice((2000, 10_000, 1 << 20)),
            embedded_bytes_max=self.chance.choice((0, 300, 1 << 20)),
            relaxed_bytes_max=self.chance.choice((500, 1 << 20)),
            in_flight_bytes_min=0,
            index_frames_min=self.chance.choice((1, 256)),
            sync_threads=1,
            background=False,
        )
        self.state = State()
        self.settled = self.state
        """What has happened for certain."""
        self.history = [deepcopy(self.state)]
        self.durable = 0
        """How many events at least must survive."""
        self.pinned = False
        """The log refused to go on: what it did last may have happened or not."""
        self.log: LocalLog | None = None

    def open(self) -> None:
        """Open the log; everything in it is durable now."""
        self.log = LocalLog(self.files, self.settings)
        self.check()
        self.durable = len(self.history) - 1

    def happened(self, durable: bool) -> None:
        """The state is what an event left."""
        self.history.append(deepcopy(self.state))
        if durable:
            self.durable = len(self.history) - 1

    def run(self, events: int) -> None:
        """Do as many things as asked for.

        Raises:
            Crash: the process died on the way.
        """
        if self.log is None:
            self.open()
        for _ in range(events):
            before = self.settled = deepcopy(self.state)
            try:
                self.chance.choices(
                    (
                        self.commit,
                        self.commit_ahead,
                        self.create,
                        self.alter,
                        self.delete,
                        self.trim,
                        self.maintain,
                        self.reopen,
                        self.flush,
                    ),
                    (20, 4, 4, 1, 1, 1, 3, 1, 1),
                )[0]()
            except Crash:
                before = self.settled
                if self.state != before:  # it was under way: it may have happened
                    self.history.append(deepcopy(self.state))
                raise
            except StorageError as error:
                before = self.settled
                if self.files.fault is not None:
                    assert error.path and error.action, error
                if self.state != before:
                    self.history.append(deepcopy(self.state))
                    self.pinned = True
                self.state = before
                self.restart()

    def restart(self) -> None:
        """After a failure: go on with the same log if it can, otherwise open it again."""
        assert self.log is not None
        if self.log.committer.failure is None:
            if self.pinned:  # it said that nothing happened, so nothing may have
                self.history.pop()
                self.pinned = False
            self.check(exactly=self.state)  # also while the disk still fails
            self.files.heal()
            return
        self.pinned = False
        failing = self.files
        self.files = failing.after_crash()
        self.recover()
        self.files.crash_at = None if failing.crash_at is None else failing.crash_at - failing.operations
        self.files.full_chance, self.files.sync_fails_chance = failing.full_chance, failing.sync_fails_chance

    def recover(self) -> None:
        """Open after a crash, and find the state that is there."""
        self.log = LocalLog(self.files, self.settings)
        found = self.check()
        self.state = deepcopy(self.history[found])
        self.history = [deepcopy(self.state)]
        self.durable = 0

    # ------------------------------------------------------------------------------------------------ events

    def commit(self) -> None:
        """A transaction over some topics."""
        durable = self.chance.random() < 0.6
        transaction, after = self.transaction((1, 2, 5, 40))
        if after is None:
            transaction.commit(durable)
            return
        self.state = after
        commit = transaction.commit(durable)
        assert commit.epoch == after.epoch
        assert all(end == after.topics[t].rows[p][-1][0] + 1 for (t, p), end in commit.ends.items())
        self.happened(durable)

    def commit_ahead(self) -> None:
        """Several large ones, each begun before those before it are through; perhaps something else happens meanwhile."""
        assert self.log is not None
        begun: list[tuple[Committing, State | None]] = []
        possible: list[State] = []
        failure: StorageError | None = None
        try:
            for _ in range(self.chance.randint(1, 4)):
                kept = self.state
                transaction, after = self.transaction((70,))
                if not transaction.rows:  # it would wait for the others, and happen without them
                    break
                if after is not None:
                    self.state = after
                    possible.append(after)
                try:
                    begun.append((transaction.begin_commit(), after))
                except StorageError as error:  # those before it may happen
                    failure = error
                    if self.log.committer.failure is None and after is not None:
                        possible.pop()
                        self.state = kept
                    break
            if begun and self.chance.random() < 0.2:
                self.log.flush()
            for committing, after in begun:
                committing.result()
                if after is not None:
                    self.settled = after
                    self.history.append(deepcopy(after))
                    self.durable = len(self.history) - 1
        except (Crash, StorageError):
            if self.log.committer.failure is None and not self.files.dead:
                self.state = self.settled  # none of the others happened
            else:
                states = [state for state in possible if state.epoch > self.settled.epoch]
                self.history += [deepcopy(state) for state in states[:-1]]  # whoever called adds the last one
            raise
        if failure is not None:
            raise failure

    def transaction(self, sizes: tuple[int, ...]) -> tuple[LocalTransaction, State | None]:
        """Records of some topics, of one of these numbers for each, and what the log is with them; None: a retry."""
        assert self.log is not None
        transaction = self.log.transaction()
        arrival = self.state.arrival
        after = deepcopy(self.state)
        for name in self.chance.sample(sorted(after.topics), min(len(after.topics), self.chance.randint(0, 2))):
            topic = after.topics[name]
            n = self.chance.choice(sizes)
            numbers = [arrival + i for i in range(n)]
            keys = [None if self.chance.random() < 0.1 else b"k%d" % self.chance.randrange(6) for _ in range(n)]
            times = [self.chance.randrange(100) for _ in range(n)]
            values = [value_of(topic.config, i) for i in numbers]
            kind = pa.binary() if topic.config.value_type is None else topic.config.value_type
            records = Records(pa.array(keys, pa.binary()), pa.array(values, kind), np.array(times))
            count = topic.config.partitions
            partition = self.chance.randrange(count) if None in keys or self.chance.random() < 0.5 else None
            transaction.append(name, records, partition)
            chosen = partitions_of(records.keys, count) if partition is None else [partition] * n
            for i in range(n):
                rows = topic.rows[chosen[i]]
                offset = rows[-1][0] + 1 if rows else 0
                rows.append((offset, numbers[i], times[i], keys[i], values[i]))
            arrival += n
        if self.chance.random() < 0.3 and after.topics:
            place = (self.chance.choice(sorted(after.topics)), 0)
            after.positions.setdefault("g", {})[place] = arrival
            transaction.set_positions("g", {place: arrival})
        if self.chance.random() < 0.3:
            sequence = after.sequences.get("p", 0) + self.chance.choice((1, 0))
            transaction.set_sequence("p", sequence)
            if sequence <= after.sequences.get("p", -1):
                return transaction, None
            after.sequences["p"] = sequence
        if arrival > after.arrival or transaction.positions or transaction.sequences:
            after.epoch += 1
            after.arrival = arrival
        return transaction, after

    def create(self) -> None:
        """A topic of one kind or another."""
        assert self.log is not None
        name = self.chance.choice(("a", "B.x", "c/d"))
        if name in self.state.topics:
            return
        kind = self.chance.choice((None, pa.struct([("x", pa.int64())])))
        config = TopicConfig(
            self.chance.randint(1, 3),
            kind,
            self.chance.choice(("delete", "compact", "compact,delete")),
            retention_ms=self.chance.choice((None, None, 60)),
            retention_bytes=self.chance.choice((None, 1500)),
            segment_bytes=self.chance.choice((None, 400)),
            segment_ms=self.chance.choice((None, 30)),
            delete_retention_ms=self.chance.choice((0, 40, 1000)),
            min_compaction_lag_ms=self.chance.choice((0, 0, 30)),
            compression=self.chance.choice(("none", "none", "lz4", "zstd")),
        )
        self.state.topics[name] = TopicModel(config, [[] for _ in range(config.partitions)], [0] * config.partitions)
        durable = self.chance.random() < 0.5
        self.log.create_topic(name, config, durable=durable)
        self.happened(durable)

    def alter(self) -> None:
        """A field more, if the values have fields."""
        assert self.log is not None
        for name, topic in sorted(self.state.topics.items()):
            kind = topic.config.value_type
            if kind is not None:
                kind = pa.struct([*kind, pa.field(f"x{kind.num_fields}", pa.int64())])
                config = replace(topic.config, value_type=kind)
                rows = [
                    [(o, a, t, k, None if v is None else {f.name: v.get(f.name) for f in kind}) for o, a, t, k, v in part]
                    for part in topic.rows
                ]
                self.state.topics[name] = TopicModel(config, rows, topic.starts)
                self.log.alter_topic(name, config)
                self.happened(True)
                return

    def delete(self) -> None:
        """A topic goes."""
        assert self.log is not None
        if self.state.topics:
            name = self.chance.choice(sorted(self.state.topics))
            del self.state.topics[name]
            for places in self.state.positions.values():
                for place in [p for p in places if p[0] == name]:
                    del places[place]
            self.log.delete_topic(name)
            self.happened(True)

    def trim(self) -> None:
        """Records at the front go."""
        assert self.log is not None
        if self.state.topics:
            name = self.chance.choice(sorted(self.state.topics))
            topic = self.state.topics[name]
            rows = topic.rows[0]
            end = rows[-1][0] + 1 if rows else 0
            offset = self.chance.randint(0, end)
            moved = offset > topic.starts[0]
            topic.starts[0] = max(topic.starts[0], offset)
            self.log.delete_before(name, 0, offset)
            self.happened(moved)

    def maintain(self) -> None:
        """Close, drop, merge and compact, at any time: nothing that readers rely on changes."""
        assert self.log is not None
        self.log.maintain(self.chance.choice((None, 0, 50, 100, 200)))
        self.check(exactly=self.state)
        for name, topic in self.state.topics.items():
            for partition in range(topic.config.partitions):  # what retention dropped stays dropped
                topic.starts[partition] = self.log.start_offset(name, partition)

    def flush(self) -> None:
        """Relaxed commits become durable."""
        assert self.log is not None
        if self.chance.random() < 0.5:
            self.log.flush()
        else:
            self.log.committer.flush_beside()
        self.durable = len(self.history) - 1

    def reopen(self) -> None:
        """Close and open."""
        assert self.log is not None
        self.log.close()
        self.log = LocalLog(self.files, self.settings)
        self.durable = len(self.history) - 1
        self.check(exactly=self.state)

    # ------------------------------------------------------------------------------------------------ checking

    def check(self, exactly: State | None = None) -> int:
        """The number of the state in the history that the log shows; any since the last durable one will do."""
        if exactly is not None:
            problem = self.difference(exactly)
            assert problem is None, problem
            return -1
        problems = []
        for number in range(len(self.history) - 1, self.durable - 1, -1):
            problem = self.difference(self.history[number])
            if problem is None:
                return number
            problems.append(f"state {number}: {problem}")
        raise AssertionError("the log shows none of the states it may show\n" + "\n".join(problems))

    def difference(self, state: State) -> str | None:
        """What the log shows otherwise than ``state``."""
        log = self.log
        assert log is not None
        if (log.epoch, log.arrival_end) != (state.epoch, state.arrival):
            return f"epoch and arrival {log.epoch, log.arrival_end}, not {state.epoch, state.arrival}"
        if log.topics() != {name: t.config for name, t in state.topics.items()}:
            return f"topics {log.topics()}, not {[t.config for t in state.topics.values()]}"
        if dict(log.positions("g")) != state.positions.get("g", {}):
            return f"positions {log.positions('g')}, not {state.positions}"
        if log.last_sequence("p") != state.sequences.get("p"):
            return f"sequence {log.last_sequence('p')}, not {state.sequences}"
        for name, topic in state.topics.items():
            for partition, rows in enumerate(topic.rows):
                problem = self.partition_difference(name, partition, topic, rows)
                if problem is not None:
                    return f"{name} {partition}: {problem}"
        return None

    def partition_difference(self, name: str, partition: int, topic: TopicModel, rows: list[Row]) -> str | None:
        """What one partition shows otherwise."""
        log = self.log
        assert log is not None
        end = rows[-1][0] + 1 if rows else 0
        if log.end_offset(name, partition) != end:
            return f"end {log.end_offset(name, partition)}, not {end}"
        start = log.start_offset(name, partition)
        limited = topic.config.retention_bytes is not None or topic.config.retention_ms is not None
        retained = limited and "delete" in topic.config.cleanup_policy
        if start < topic.starts[partition] or (start > topic.starts[partition] and not retained) or start > end:
            return f"start {start}, not {topic.starts[partition]}"
        expected = [r for r in rows if r[0] >= start]
        shown = read_all(log, name, partition, self.chance.choice((0, 1, 7, 1000)))
        if topic.config.cleanup_policy == "delete":
            return None if shown == expected else f"rows {shown}, not {expected}"
        latest = {r[3]: r for r in expected if r[3] is not None}
        must = [r for r in expected if r[3] is None or (latest[r[3]] is r and r[4] is not None)]
        if not set(map(repr, shown)) <= set(map(repr, expected)):
            return f"rows that never were: {shown}, not of {expected}"
        if not set(map(repr, must)) <= set(map(repr, shown)):
            return f"rows {shown} without some of {must}"
        for key, row in latest.items():  # a tombstone goes after what it deletes, never before
            of_key = [r[0] for r in shown if r[3] == key]
            if row[4] is None and of_key and row[0] not in of_key:
                return f"rows {shown}, where {key!r} is back from before its tombstone at {row[0]}"
        return None if [r[0] for r in shown] == sorted(r[0] for r in shown) else f"rows out of order: {shown}"


def rows_in(read: FetchedRecords) -> list[Row]:
    """As tuples."""
    keys = [None] * len(read) if read.keys is None else read.keys.to_pylist()
    columns = read.offsets.tolist(), read.arrivals.tolist(), read.timestamps.tolist(), keys, read.values.to_pylist()
    return list(zip(*columns, strict=True))


def read_all(log: LocalLog, name: str, partition: int, rows_max: int) -> list[Row]:
    """All rows of a partition, read in pieces; with 0 in the pieces that lie there."""
    if rows_max == 0:
        return [row for read in log.scan(name, partition, log.start_offset(name, partition)) for row in rows_in(read)]
    rows: list[Row] = []
    offset = 0
    while True:
        read = log.read(name, partition, offset, rows_max=rows_max, reset="earliest")
        rows += rows_in(read)
        if len(read) == 0:
            assert offset >= log.end_offset(name, partition) or read.next_offset >= log.end_offset(name, partition)
            return rows
        assert read.next_offset > read.offsets[-1]
        offset = read.next_offset
