"""Standby replicas: copies of state that other processes work with, kept up from changelogs (``num.standby.replicas``).

A process that takes over partitions then reads only what its copy lacks.  Which partitions a process keeps copies of is
what it would get if others ended (`Membership.spares`).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from ...errors import PenstockError
from ...storage.log.protocol import TopicPartition
from ...storage.state.interval_store import IntervalStore
from ..dataflow import Dataflow
from .changelog import DELETIONS_KNOWN_MS
from .recovery import DurableStore, StateKeeper, as_schema
from .services import Services
from .sharing import Sharing
from .task import Task

__all__ = ["Standbys"]

_LOGGER = logging.getLogger("penstock.queries")
_CHOOSE_S: Final = 3.0
"""So often it is asked who the members of the group are."""
_IDLE_S: Final = 0.5
_KEEP_S: Final = 30.0
"""So long a copy is kept that is not wanted any more."""


class Standbys:
    """The copies that this process keeps of one query's state, on a thread of its own.

    Args:
        partitions: tasks that the query has.
    """

    def __init__(self, query_id: str, dataflow: Dataflow, services: Services, sharing: Sharing, partitions: int) -> None:
        self._query_id = query_id
        self._dataflow = dataflow
        self._services = services
        self._sharing = sharing
        self._partitions = partitions
        self._keeper = StateKeeper(services.log, services.checkpoints)
        self._guard = threading.Lock()
        self._stores: dict[tuple[str, int], DurableStore] = {}
        self._places: frozenset[TopicPartition] = frozenset()
        self._wanted: frozenset[tuple[str, int]] = frozenset()
        self._unwanted_s: dict[tuple[str, int], float] = {}
        self._chosen_s = float("-inf")
        self._caught_up_s: dict[tuple[str, int], float] = {}
        """When a copy was last brought up to date, by the clock of the day: it goes on while a process stands still."""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"penstock-standby-{query_id}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Keep no copies any more."""
        self._closing = True
        self._services.log.wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()
        self._stores = {}

    @property
    def places(self) -> frozenset[TopicPartition]:
        """The partitions whose state it keeps copies of."""
        return self._places

    def take(self, name: str, partition: int) -> DurableStore | None:
        """The copy of a store, which is the caller's from now on; None if there is none."""
        with self._guard:
            return self._stores.pop((name, partition), None)

    def _run(self) -> None:
        while not self._closing:
            epoch = self._services.log.epoch
            try:
                moved = self.follow()
            except PenstockError as error:
                _LOGGER.info("standbys of %s wait: %s", self._query_id, error)
                moved = False
            except Exception:  # a copy may be half of something
                _LOGGER.exception("standbys of %s begin anew", self._query_id)
                with self._guard:
                    self._begin_anew()
                moved = False
            if not moved and not self._closing:
                self._services.log.wait(epoch, _IDLE_S, lambda: self._closing)

    def follow(self) -> bool:
        """Take in what has come; whether there was anything.  Raises: StorageError."""
        if time.monotonic() - self._chosen_s > _CHOOSE_S:
            self._choose(self._sharing.spares(self._dataflow.standbys))
            self._chosen_s = time.monotonic()
        moved = False
        for place in list(self._stores):
            with self._guard:  # for one store at a time: who takes over waits for that alone
                durable = self._stores.get(place)
                if durable is not None:
                    moved |= self._catch_up(durable)
        return moved

    def _choose(self, places: frozenset[TopicPartition]) -> None:
        """Begin with the copies that are wanted, and drop those that have not been for a while: a group may have forgotten a
        process before its partitions come to this one."""
        missing: list[DurableStore] = []
        if places != self._places or not self._wanted <= self._stores.keys():  # (one may have been taken, and given back)
            wanted = self._stores_on(places)
            missing = [durable for place, durable in wanted.items() if place not in self._stores]
            self._wanted = frozenset(wanted)
        now = time.monotonic()
        with self._guard:
            for place in list(self._stores):
                if place in self._wanted or self._sharing.moved:
                    self._unwanted_s.pop(place, None)
                elif now - self._unwanted_s.setdefault(place, now) > _KEEP_S:
                    del self._stores[place], self._unwanted_s[place]
        for durable in missing:
            if self._closing:
                return
            self._keeper.recover_one(durable)
            durable.store.numbered = False  # it has slots of its own from now on
            with self._guard:
                self._stores[durable.name, durable.partition] = durable
        self._places = places

    def _begin_anew(self) -> None:
        """Drop all copies, and choose again."""
        self._stores, self._places, self._chosen_s = {}, frozenset(), float("-inf")
        self._caught_up_s = {}

    def _stores_on(self, places: frozenset[TopicPartition]) -> dict[tuple[str, int], DurableStore]:
        """Empty stores of the tasks that belong to these partitions."""
        found: dict[tuple[str, int], DurableStore] = {}
        for partition in sorted({partition for _, partition in places}):
            for number, operator in Task(self._query_id, self._dataflow, partition).operators.items():
                if not self._sharing.reads(number, partition, places):
                    continue
                node = self._dataflow.nodes[number].name
                for store in operator.stores:
                    name = f"{node}-{store.name}"
                    found[name, partition] = DurableStore(self._query_id, name, partition, self._partitions, store)
        return found

    def _catch_up(self, durable: DurableStore) -> bool:
        log, place = self._services.log, (durable.topic, durable.partition)
        if log.config(durable.topic) is None:
            return False
        now = time.time()
        if (now - self._caught_up_s.get((durable.name, durable.partition), now)) * 1000 > DELETIONS_KNOWN_MS:
            self._begin_anew()  # this process stood still, and tombstones may be gone
            return False
        self._caught_up_s[durable.name, durable.partition] = now
        _, ends = log.end_offsets([place])
        if ends[place] <= durable.end:
            return False
        moved = False
        for batch in self._keeper.changes_after(durable, durable.end):
            durable.store.apply_changes(as_schema(batch, durable.store.change_schema))
            durable.store.discard_changes()
            durable.changes += batch.num_rows
            moved = True
        if durable.expiring is not None and isinstance(durable.store, IntervalStore):
            durable.expiring.over(durable.store)  # deleted by who works with it; here it would only grow
        return moved
