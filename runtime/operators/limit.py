"""LIMIT."""

from __future__ import annotations

from collections.abc import Sequence

from ..batch import Batch
from .base import Operator, OperatorContext


class Limit(Operator):
    """Passes the first ``limit`` rows and no more.  ``reached`` tells the query that it can end.

    The count is lost at a restart, which does no harm: only push and pull queries have a LIMIT, and they end with the
    process.
    """

    def __init__(self, context: OperatorContext, limit: int) -> None:
        super().__init__(context)
        self._left = limit

    @property
    def reached(self) -> bool:
        """No further row will pass."""
        return self._left <= 0

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        self.context.counters.rows_in += len(batch)
        output = batch if len(batch) <= self._left else batch.slice(0, max(self._left, 0))
        self._left -= len(output)
        self.context.counters.filtered += len(batch) - len(output)
        self.context.counters.rows_out += len(output)
        return output
