"""What a query does when the group of processes that run it gives it other partitions, and when it loses its place there."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...errors import LogUnavailableError, PartitionsLostError, StatementError
from ...storage.log.protocol import TopicPartition
from .assembly import Assembly
from .sharing import Sharing
from .stepping import Steps

_LOGGER = logging.getLogger("penstock.queries")


class Handover:
    """Brings a query to rest before its partitions go to another process, and builds it anew for those that come.

    Args:
        ended: whether the query has been stopped.
    """

    def __init__(self, sharing: Sharing, assembly: Assembly, steps: Steps, ended: Callable[[], bool]) -> None:
        self.sharing = sharing
        self._assembly = assembly
        self._steps = steps
        self._ended = ended

    def join(self) -> None:
        """Become a member of the group.  Raises: StorageError."""
        self.sharing.join(self._reassign)

    def _reassign(self, mine: frozenset[TopicPartition] | None) -> None:
        """These partitions are this process's from now on.  When it returns, nothing is done any more for the others."""
        with self._steps.at_rest():
            if self._ended():
                return
            self._steps.settle(failed=True)
            self._assembly.keeper.abandon()
            self.sharing.assign(mine)
        self._tell()

    def _tell(self) -> None:
        self._assembly.services.reassigned(self._assembly.query_id)

    def take_over(self) -> bool:
        """Whether the query can be stepped here; where other partitions have come, their state is restored first.  Called
        with the lock held.  Raises: StorageError."""
        sharing = self.sharing
        if not sharing.moved:
            return True
        if sharing.waits_s > 0:
            return False
        self._steps.start_anew()
        sharing.settled()
        self._tell()
        return True

    def take_place(self) -> None:
        """Have the state of the partitions that are this process's.  Raises: StatementError, StorageError."""
        sharing = self.sharing
        if not sharing.moved:
            return
        sharing.wait()
        with self._steps.lock:
            if not self.take_over():
                raise StatementError(
                    f"query {self._assembly.query_id} waits for its partitions: {sharing.trouble or 'they are given out'}"
                )

    def goes_on_later(self, error: BaseException) -> bool:
        """Whether a failure is one after which it goes on by itself, from what is committed."""
        if not isinstance(error, (LogUnavailableError, PartitionsLostError)):
            return False
        if str(error) != str(self.sharing.error):
            _LOGGER.warning("query %s waits: %s", self._assembly.query_id, error)
        self._steps.settle(failed=True)
        self.sharing.again(error)
        return True
