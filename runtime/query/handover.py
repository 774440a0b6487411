"""How a query gives up partitions to other processes, takes over new ones, and leaves the group."""

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
    """Stops a query's work before its partitions go to another process, and rebuilds it for partitions that come.

    Args:
        ended: whether the query was stopped.
    """

    def __init__(self, sharing: Sharing, assembly: Assembly, steps: Steps, ended: Callable[[], bool]) -> None:
        self.sharing = sharing
        self._assembly = assembly
        self._steps = steps
        self._ended = ended

    def join(self) -> None:
        """Join the group.  Raises: StorageError."""
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
        """Whether the query can take a step here.  If partitions have come, their state is restored first.

        The caller holds the lock.  Raises: StorageError.
        """
        sharing = self.sharing
        if sharing.moved and sharing.waits_s > 0:
            return False
        sharing.check_topics()
        if not sharing.moved:
            return True
        self._steps.start_anew()
        sharing.settled()
        self._tell()
        return True

    def take_place(self) -> None:
        """Restore the state of this process's partitions.  Raises: StatementError, StorageError."""
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
        """Whether the query continues by itself after this failure, from what is committed."""
        if not isinstance(error, (LogUnavailableError, PartitionsLostError)):
            return False
        if str(error) != str(self.sharing.error):
            _LOGGER.warning("query %s waits: %s", self._assembly.query_id, error)
        self._steps.settle(failed=True)
        self._steps.refused()
        self.sharing.again(error)
        return True
