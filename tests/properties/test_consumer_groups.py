"""Members of a group come, go, fall silent and crash in any order: nothing is skipped, and between commits nothing is
read by two of them."""

from __future__ import annotations

import gc
import os
import random
from collections import Counter

import pytest

from penstock.errors import CommitFailedError
from penstock.runtime.clients.clients import Clients
from penstock.runtime.clients.consumer import Consumer
from penstock.runtime.clients.consumer_options import ConsumerOptions
from penstock.runtime.clients.producer import ProducerOptions
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import TopicConfig
from penstock.storage.log.settings import LogSettings

Place = tuple[str, int]
STRATEGIES = ("cooperative-sticky", "sticky", "range", "roundrobin")
RUNS = int(os.environ.get("PENSTOCK_SIMULATIONS", "30"))


class Simulation:
    """A group over two topics, and what its members have read and committed, kept by the simplest means."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.log = LocalLog.open(None, LogSettings(background=False))
        self.seconds = 0.0
        self.strategy = self.chance.choice(STRATEGIES)
        self.count = {name: self.chance.randint(1, 5) for name in ("a", "b")}
        for name, partitions in self.count.items():
            self.log.create_topic(name, TopicConfig(partitions))
        self.start()
        self.done: Counter[tuple[str, int, int]] = Counter()
        """Records whose reading was committed, and how often."""

    def start(self) -> None:
        """A process: its clients, and no member yet."""
        self.clients = Clients(self.log, clock_ms=lambda: 0, seconds=lambda: self.seconds)
        self.producer = self.clients.producer(None, ProducerOptions(background=False))
        self.members: list[Consumer] = []
        self.read: dict[int, list[tuple[str, int, int]]] = {}
        """What each member has read and not committed."""

    def join(self) -> None:
        if len(self.members) < 5:
            topics = self.chance.choice((["a"], ["a", "b"], ["b"]))
            options = ConsumerOptions(
                group="g",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                max_poll_interval_ms=1000,
                partition_assignment_strategy=self.strategy,
            )
            mine: list[tuple[str, int, int]] = []

            def forget(places: list[Place]) -> None:
                mine[:] = [r for r in mine if r[:2] not in places]

            member = self.clients.consumer(topics, options, on_revoked=forget)
            self.members.append(member)
            self.read[id(member)] = mine

    def produce(self) -> None:
        for name, partitions in self.count.items():
            for _ in range(self.chance.randint(0, 4)):
                self.producer.send(name, value=b"x", partition=self.chance.randrange(partitions))
        self.producer.flush()

    def poll(self) -> None:
        if self.members:
            self.poll_one(self.chance.choice(self.members))

    def poll_one(self, member: Consumer, rows: int | None = None) -> int:
        found = member.poll(0, rows or self.chance.randint(1, 5))
        self.read[id(member)].extend((r.topic, r.partition, r.offset) for r in found)
        self.check_owners()
        return len(found)

    def commit(self) -> None:
        if self.members:
            member = self.chance.choice(self.members)
            mine = self.read[id(member)]
            try:
                member.commit()
            except CommitFailedError:
                return
            self.done.update(mine)
            mine.clear()

    def leave(self) -> None:
        if self.members:
            member = self.members.pop(self.chance.randrange(len(self.members)))
            del self.read[id(member)]
            if self.chance.random() < 0.5:
                member.close()
            else:
                del member
                gc.collect(0)

    def fall_silent(self) -> None:
        self.seconds += self.chance.choice((0.4, 2.0))

    def crash(self) -> None:
        """All of the process is gone; the log stays."""
        self.start()

    def check_owners(self) -> None:
        """No partition has two owners among the members that the group knows."""
        owners: Counter[Place] = Counter()
        for places in self.clients.groups.describe("g").members.values():
            owners.update(places)
        assert all(n == 1 for n in owners.values()), owners

    def finish(self) -> None:
        """Everybody polls until all is read."""
        if not any(m.subscription() == {"a", "b"} for m in self.members):
            while len(self.members) == 5:
                self.leave()
            options = ConsumerOptions(
                group="g",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                partition_assignment_strategy=self.strategy,
            )
            member = self.clients.consumer(["a", "b"], options)
            self.members.append(member)
            self.read[id(member)] = []
        for _ in range(4):
            for member in self.members:
                self.poll_one(member, 1000)
        wanted = {(name, number) for name, partitions in self.count.items() for number in range(partitions)}
        owned = [place for member in self.members for place in member.assignment()]
        assert sorted(owned) == sorted(wanted), "every partition has exactly one reader"
        for member in self.members:
            member.commit()
            self.done.update(self.read[id(member)])
        ends = {place: self.log.end_offset(*place) for place in wanted}
        assert self.done == Counter((*place, offset) for place, end in ends.items() for offset in range(end))
        assert self.clients.groups["g"].lag == 0


@pytest.mark.parametrize("seed", range(RUNS))
def test_every_record_is_committed_by_exactly_one_member(seed: int) -> None:
    """Whatever happens between; a commit that is refused is as if it was never read."""
    simulation = Simulation(seed)
    actions = {
        simulation.join: 2,
        simulation.produce: 3,
        simulation.poll: 8,
        simulation.commit: 3,
        simulation.leave: 1,
        simulation.fall_silent: 1,
        simulation.crash: 0.2,
    }
    for _ in range(120):
        simulation.chance.choices(list(actions), list(actions.values()))[0]()
    simulation.finish()
    simulation.log.close()
