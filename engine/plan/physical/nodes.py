"""The nodes that only physical plans have: for stores and copies to topics."""

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
    """Reads a table's topic and keeps its rows in a store, so that each change also has the row before it.

    All columns are kept, so that a query that replaces this one finds the columns that it needs in the store.

    Attributes:
        only: over the key columns; rows for whose key it is not true are neither kept nor passed on.  None: all rows are.
    """

    only: TypedExpression | None = None

    def keeps(self, column: ScanColumn) -> bool:
        return column.extra is None or Scan.keeps(self, column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Materialise(Unary):
    """Keeps a table's rows in a store, for pull queries and for the row before each change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Unary):
    """Passes the rows on unchanged, and writes a copy of them to an internal topic.

    Attributes:
        target: the topic's formats and columns.
        expressions: over the input's columns, in the order of the target's schema.
        window_store: keys are followed by the row's timestamp and a number, as in the changelogs of Kafka Streams' window
            stores, which keep all rows with the same key and time.  Rows without a key are left out.
        cleanup_policy, retention_ms: of the topic.
    """

    target: DataSource
    expressions: tuple[TypedExpression, ...]
    window_store: bool = False
    cleanup_policy: CleanupPolicy = "delete"
    retention_ms: int | None = None


PhysicalNode = LogicalNode | StoredScan | Materialise | Copy
"""All nodes of physical plans."""


def known(node: PlanNode) -> PhysicalNode:
    """The node, typed as the union of all nodes, so that a type checker finds missing cases of a ``match``."""
    return cast(PhysicalNode, node)
