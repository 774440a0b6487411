"""The nodes that only physical plans have, beside those of logical ones: what is kept in stores and copied to topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ...analysis.with_clause import CleanupPolicy
from ...catalog import DataSource
from ...expressions.nodes import TypedExpression
from ..logical.nodes import LogicalNode, Scan, ScanColumn
from ..tree import PlanNode, Unary


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredScan(Scan):
    """Reads a table's topic and keeps its rows in a store, so that its changes carry the rows before them.

    All columns are kept, so that a replaced query finds what it needs in the old one's store.
    """

    def keeps(self, column: ScanColumn) -> bool:
        return column.extra is None or Scan.keeps(self, column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Materialise(Unary):
    """Keeps a table's rows in a store, for pull queries and for the rows before each change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Unary):
    """Hands the rows on as they are, and writes a copy of them to an internal topic.

    Attributes:
        target: the topic's formats and columns.
        expressions: parallel to the target's schema, over the input's.
        window_store: the keys have the row's timestamp and a number behind them, as in the changelogs of Kafka Streams'
            window stores, where rows of one key and time are all kept; rows without a key are not in such a store.
        cleanup_policy, retention_ms: of the topic.
    """

    target: DataSource
    expressions: tuple[TypedExpression, ...]
    window_store: bool = False
    cleanup_policy: CleanupPolicy = "delete"
    retention_ms: int | None = None


PhysicalNode = LogicalNode | StoredScan | Materialise | Copy
"""Every node that a physical plan can have."""


def known(node: PlanNode) -> PhysicalNode:
    """The node as one of all that there are, so that a ``match`` over them can be checked to have no gap."""
    return cast(PhysicalNode, node)
