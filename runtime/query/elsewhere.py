"""The rows of a query's table that other processes of the service have: asked for over their HTTP servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...errors import LogUnavailableError, StatementError
from ...storage.formats.base import Serde
from ...storage.log.protocol import Log, Owner
from ..dataflow import Dataflow, Exchange, Sink, Source, inputs_of
from ..source import all_null
from .peers import ask
from .sharing import Sharing

__all__ = ["Elsewhere"]

_PATIENCE_S: Final = 15.0
"""So long it asks again while partitions go from one process to another."""
_PAUSE_S: Final = 0.2


class Elsewhere:
    """See the module's text.  Thread-safe."""

    def __init__(self, log: Log, query_id: str, dataflow: Dataflow, sharing: Sharing) -> None:
        self._log = log
        self._query_id = query_id
        self._sharing = sharing
        self._place = _partitioner(log, dataflow, sharing.partitions)

    def rows(self, keys: Sequence[Any] | None, have: Collection[int]) -> list[pa.Table]:
        """Rows in the shape of the query's `TableView`, of the partitions that are not among ``have``.

        Args:
            keys: as in `TableSnapshot.lookup`: only rows of these; None: all.
            have: the partitions that this process has read itself.

        Raises:
            StatementError: a process that has some of them cannot be asked: it has no server.  The error names it.
            StorageError: one does not answer.
        """
        wanted = set(range(self._sharing.partitions)) - set(have)
        if keys is not None and (placed := self._place(keys)) is not None:
            wanted &= placed
        deadline = time.monotonic() + _PATIENCE_S
        while wanted:
            try:
                return self._asked(self._by_owner(wanted), keys)
            except LogUnavailableError:  # partitions are on their way, or a process has died
                if time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE_S)
        return []

    def _by_owner(self, wanted: Collection[int]) -> Mapping[Owner, list[int]]:
        owners = self._sharing.owners()
        found: dict[Owner, list[int]] = {}
        for partition in sorted(wanted):
            owner = owners.get(partition)
            if owner is None:
                raise LogUnavailableError(
                    f"no process has partition {partition} of the table of {self._query_id} now",
                    action="try again soon: partitions are being given out",
                )
            found.setdefault(owner, []).append(partition)
        silent = {owner: numbers for owner, numbers in found.items() if owner.address is None}
        if silent:
            places = "; ".join(
                f"{', '.join(map(str, n))} of {self._sharing.partitions} with {owner.name}" for owner, n in silent.items()
            )
            raise StatementError(
                f"this process has only some partitions of the table of {self._query_id}: {places}",
                suggestion="Run a server there (`penstock serve`), so that it can be asked; or ask that"
                " process, or read the table's topic: SELECT .. EMIT CHANGES.",
            )
        return found

    def _asked(self, by_owner: Mapping[Owner, list[int]], keys: Sequence[Any] | None) -> list[pa.Table]:
        secret = self._log.service_key()
        body = None if keys is None else pa.table(list(keys), names=[f"k{i}" for i in range(len(keys))])

        def one(owner: Owner, partitions: Sequence[int]) -> pa.Table:
            assert owner.address is not None
            return ask(owner.address, self._query_id, partitions, body, secret)

        calls: list[Callable[[], pa.Table]] = [lambda o=o, p=p: one(o, p) for o, p in by_owner.items()]  # type: ignore[misc]
        if len(calls) == 1:
            return [calls[0]()]
        with ThreadPoolExecutor(len(calls), thread_name_prefix="penstock-ask") as pool:
            running = [pool.submit(copy_context().run, call) for call in calls]
        return [future.result() for future in running]


def _partitioner(log: Log, dataflow: Dataflow, partitions: int) -> Callable[[Sequence[Any]], set[int] | None]:
    """Where rows of keys lie, if the query itself has placed them: a topic's other writers may place them as they like."""
    serde, is_placed = _last_serde(dataflow)

    def place(keys: Sequence[Any]) -> set[int] | None:
        if not is_placed or len(keys) != 1 or not len(keys[0]):  # (several columns have names in some formats)
            return None
        if serde is None:
            return {0}
        encoded = serde.encode(tuple(keys), pa.schema([pa.field("K", keys[0].type)]), all_null(tuple(keys), 0, len(keys[0])))
        found = set(np.unique(log.partitions_of(encoded.data, partitions)).tolist())
        return None if -1 in found or encoded.malformed is not None else found

    return place


def _last_serde(dataflow: Dataflow) -> tuple[Serde | None, bool]:
    """What encodes the keys by which the rows of the query's view were moved last; False if they were not."""
    view = dataflow.view
    number = next((n for n, node in enumerate(dataflow.nodes) if view is not None and node.name == view.node), None)
    while number is not None:
        node = dataflow.nodes[number]
        if isinstance(node, Source):
            mover = None if node.moved_by is None else dataflow.nodes[node.moved_by]
            if not isinstance(mover, Sink) or view is None or view.windowed:
                return None, False
            return mover.key_serde, True
        if isinstance(node, Exchange):
            return node.key_serde, True
        number = inputs_of(node)[0]
    return None, False
