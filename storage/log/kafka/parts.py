"""What the parts of a log share: its settings, its clients, and the count of what has happened."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from ....errors import StorageError
from ..protocol import TopicPartition
from .connection import KafkaConnection
from .ends import Ends
from .members import Members
from .names import TopicNames
from .producers import ProducerPool
from .reading import Seekers
from .service_state import Entry, ServiceState
from .settings import KafkaSettings

__all__ = ["Parts"]


class Parts:
    """The shared parts of one log.  Thread-safe."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.names = TopicNames(settings.service_id)
        self.connection = KafkaConnection(settings)
        self.ends = Ends(self.connection)
        self.members = Members(self.connection, self.names)
        self.producers = ProducerPool(self.connection)
        self.seekers = Seekers(self.connection)
        self.state = ServiceState(self.names.state, self.ends, self.seekers)
        self.closed = False
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._epoch = 0
        self._turns: dict[str, int] = {}
        self._guard = threading.Lock()
        self._numbering: dict[str, threading.Lock] = {}

    @property
    def foreign(self) -> bool:
        """See `protocol.Log.foreign`."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """See `protocol.Log.check_process`."""
        if self.foreign:
            raise StorageError(
                "this process was forked from the one that opened the log", action="open the database again in this process"
            )

    def check_open(self) -> None:
        """Raises: StorageError, if it is closed."""
        self.check_process()
        if self.closed:
            raise StorageError("the log is closed")

    # --- what has happened -------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """This process's own count of what it committed and of what came."""
        return self._epoch

    def advance(self) -> int:
        """Begin the next epoch: there is something new."""
        with self._changed:
            self._epoch += 1
            self._changed.notify_all()
            return self._epoch

    def wait(self, epoch: int, timeout_s: float | None, until: Callable[[], bool] | None = None) -> int:
        """See `protocol.Log.wait`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while self._epoch <= epoch and not self.closed and not (until is not None and until()):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            return self._epoch

    def wake(self) -> None:
        """See `protocol.Log.wake`."""
        with self._changed:
            self._changed.notify_all()

    # --- for transactions --------------------------------------------------------------------------------------------

    def next_turn(self, topic: str, count: int) -> int:
        """The turn, a running number for each topic, of the first of ``count`` records without a key."""
        with self._guard:
            turn = self._turns.get(topic, 0)
            self._turns[topic] = turn + count
            return turn

    @contextmanager
    def numbered(self, producer_ids: Sequence[str]) -> Iterator[None]:
        """While records of producers are numbered: those of each by one thread at a time."""
        with ExitStack() as held:
            for name in producer_ids:
                with self._guard:
                    lock = self._numbering.setdefault(name, threading.Lock())
                held.enter_context(lock)
            yield

    def group_entry(self, group: str, metadata: str | None, elsewhere: Mapping[TopicPartition, int]) -> Entry:
        """The entry of the service's state about a group, with changes."""
        known = self.state.get("group", group) or {"metadata": None, "positions": {}}
        positions = {**known["positions"], **{f"{topic}/{n}": offset for (topic, n), offset in elsewhere.items()}}
        return (("group", group), {"metadata": known["metadata"] if metadata is None else metadata, "positions": positions})
