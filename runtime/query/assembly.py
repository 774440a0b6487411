"""The parts of a query.  They are made at its start, after a failed step, and from the query that it replaces."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from ...storage.log.protocol import TopicConfig, partitions
from ...storage.state.store import Capture
from ..dataflow import Dataflow, Sink, Source
from ..metrics import Tally
from .commit import StepCommitter
from .inputs import Inputs
from .ledger import Ledger
from .published import Published
from .recovery import DurableStore, StateKeeper
from .repartitioning import COPY_OF, Purging
from .services import Services
from .sharing import Sharing
from .standbys import Standbys
from .step import StepComputer
from .step_size import rows_per_step
from .task import Task


class Assembly:
    """The parts of a query.  Hold the query's lock to use what can change.

    Attributes:
        partitions: the number of its tasks.
        computer, keeper, committer: `make` replaces them all.
        inputs: the same object for good, unless other partitions come (`make_anew`).
        published: its table, for readers.
        rows_max: of a step.
        tallies: of its nodes, by number.
    """

    def __init__(
        self, query_id: str, dataflow: Dataflow, services: Services, ledger: Ledger, sharing: Sharing | None
    ) -> None:
        self.query_id = query_id
        self.dataflow = dataflow
        self.services = services
        self.log = services.log
        self.ledger = ledger
        self.rows_max = rows_per_step(dataflow, services.rows_max)
        self._sharing = sharing
        sources = [n for n in dataflow.nodes if isinstance(n, Source) and n.moved_by is None]
        self.partitions = max((partitions(self.log, s.topic) for s in sources), default=1)
        self.standbys: Standbys | None = None
        if sharing is not None and dataflow.standbys and services.durable:
            self.standbys = Standbys(query_id, dataflow, services, sharing, self.partitions)
        self.purging = Purging(services.log, services.checkpointer)
        self.published = Published(query_id, dataflow)
        self.tallies = [Tally() for _ in dataflow.nodes]
        self.inputs = self._inputs()
        self.make()

    def _inputs(self) -> Inputs:
        services = self.services
        mine = None if self._sharing is None else self._sharing.mine
        return Inputs(self.dataflow, self.log, services.decoded, self.rows_max, services.pool, mine)

    def make_anew(self) -> None:
        """Make all parts, for the partitions that this process has now."""
        self.inputs = self._inputs()
        self.make()

    def make(self) -> None:
        """Make tasks without state, and what commits their steps."""
        self._ensure_copies()
        self.computer = StepComputer(
            self.query_id, self.dataflow, self.log, self.partitions, self.services.pool, self.tallies
        )
        self.keeper = self._stores_of(self.computer.tasks)
        self.committer = StepCommitter(
            self.query_id,
            self.dataflow,
            self.log,
            self.ledger,
            self.keeper,
            self.inputs,
            self.computer.input_nodes,
            self.published,
        )

    def _stores_of(self, tasks: Sequence[Task]) -> StateKeeper:
        keeper = StateKeeper(self.log, self.services.checkpoints, executor=self.services.checkpointer)
        if self.standbys is not None:
            keeper.standby = self.standbys.take
        for task in tasks:
            for number, operator in task.operators.items():
                if self._sharing is not None and not self._sharing.has(number, task.partition):
                    continue
                node = self.dataflow.nodes[number].name
                for store in operator.stores:
                    name = f"{node}-{store.name}"
                    keeper.stores.append(DurableStore(self.query_id, name, task.partition, self.partitions, store))
        return keeper

    def recover(self) -> None:
        """Set the positions and restore the state that the ledger knows; commit where inputs start that have none.

        Raises:
            StorageError: the state cannot be read.
        """
        known, missing = self.inputs.seek(self.ledger)
        self.committer.account = self.ledger.account()
        if known and self.keeps_state:
            self.keeper.recover(self.services.recovered)
        if missing and self.ledger.kept:  # else a later start could be another place
            self.committer.commit_start()
        self.published.start(self.computer.tasks)

    def go_back(self, marks: Sequence[Capture]) -> None:
        """Make all parts anew, with the marked state and the positions of the last commit."""
        keeper, account = self.keeper, self.committer.account
        self.make()
        self.keeper.go_back(marks, keeper)
        self.committer.account = account
        self.inputs.go_back()

    def adopt(self, old: Assembly) -> None:
        """Take over positions and state of the query that this one replaces (CREATE OR REPLACE)."""
        self.inputs.adopt(old.inputs)
        old.keeper.settle()
        self.keeper.adopt(old.keeper)
        self.committer.account = old.committer.account
        self.committer.commit_start()
        self.published.start(self.computer.tasks)

    @property
    def keeps_state(self) -> bool:
        """Whether the query's state is kept where a later run can read it."""
        return self.ledger.kept and self.services.durable

    def forget(self) -> None:
        """Delete the state that the query has kept."""
        if self.services.durable:
            self.keeper.forget()
        self.ledger.forget(self.inputs.sources)
        self.forget_copies(())

    # --- topics of its own -----------------------------------------------------------------

    @property
    def moving(self) -> Sequence[str]:
        """The topics that carry its rows to the partition of another key, upstream first."""
        return [n.topic for n in self.dataflow.nodes if isinstance(n, Source) and n.moved_by is not None]

    @property
    def copies(self) -> Mapping[str, TopicConfig]:
        """The topics to which it copies inner rows."""
        return {
            node.topic: replace(
                node.copy, partitions=min(node.copy.partitions, self.partitions), properties={COPY_OF: self.query_id}
            )
            for node in self.dataflow.nodes
            if isinstance(node, Sink) and node.topic is not None and node.copy is not None
        }

    def _ensure_copies(self) -> None:
        """Have the topics for copies of inner rows.  One that holds other columns is of the query that this one replaces,
        and begins anew."""
        for topic, config in self.copies.items():
            if topic in self.moving:
                continue
            have = self.log.config(topic)
            if have is not None and (have.partitions, have.value_type) != (config.partitions, config.value_type):
                self.log.delete_topic(topic)
                have = None
            if have is None:
                self.log.create_topic(topic, config, durable=False)

    def forget_copies(self, kept: Container[str]) -> None:
        """Delete the topics to which it copied inner rows, except those that the query which replaces it uses."""
        for topic in self.copies:
            if topic not in kept and self.log.config(topic) is not None:
                self.log.delete_topic(topic)
