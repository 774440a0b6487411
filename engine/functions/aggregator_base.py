"""The base class of the built-in aggregators.  Class attributes say what an aggregate can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ...runtime.batch import Bools
from ...runtime.kernel import Evaluated, Segments, State, StateField

__all__ = ["AggregatorBase"]


class AggregatorBase(ABC):
    """An aggregate function.  `runtime.kernel.Aggregator` explains each member.

    A subclass sets ``fields`` and ``result_type``, and those of the attributes below in which it differs from the default.
    The planner reads them to refuse a query, and operators read them to choose a quicker way.

    Attributes:
        can_undo: ``scan`` can undo rows.  Without it, the aggregate cannot be used over a table.
        can_merge: ``merge`` works.  Without it, the aggregate cannot be used in session windows.
        orderless: states that were made separately can be merged in any order.  With it, hopping windows share panes.
        picks_from: the first argument of which ``scan`` reads only few rows; these are then fetched late.  None: it reads
        all.
        nested_state: ksqlDB keeps the state in an ARRAY, MAP or STRUCT.  As in ksqlDB, flat value formats are then refused.
    """

    fields: tuple[StateField, ...]
    result_type: pa.DataType
    can_undo: bool = False
    can_merge: bool = True
    orderless: bool = False
    picks_from: int | None = None
    nested_state: bool = False

    @abstractmethod
    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        """See `runtime.kernel.Aggregator.scan`."""

    @abstractmethod
    def merge(self, left: State, right: State) -> State:
        """See `runtime.kernel.Aggregator.merge`."""

    @abstractmethod
    def result(self, state: State) -> Any:
        """See `runtime.kernel.Aggregator.result`."""

    def evaluated(self, state: State) -> Evaluated:
        """See `runtime.kernel.Aggregator.evaluated`.  The results of built-in aggregates do not fail."""
        return Evaluated(self.result(state))
