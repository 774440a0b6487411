"""The base of all plan nodes: trees of frozen data.  Each node has the schema of its output rows.

A node's schema has its columns in the order that batches have at run time, keys first.  The names are the internal names
that expressions use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..analysis.resolved import SourceKind
from ..catalog import WindowInfo
from ..schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNode:
    """The base class of nodes.

    Attributes:
        schema: the columns of the output rows.
        kind: whether the rows are events (STREAM) or changes of a table (TABLE).
        window: the window of the rows' key, if it has one.
    """

    schema: Schema
    kind: SourceKind
    window: WindowInfo | None = None

    @property
    def inputs(self) -> tuple[PlanNode, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(PlanNode):
    """A node with one input."""

    input: PlanNode

    @property
    def inputs(self) -> tuple[PlanNode, ...]:
        return (self.input,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(PlanNode):
    """A node with two inputs."""

    left: PlanNode
    right: PlanNode

    @property
    def inputs(self) -> tuple[PlanNode, ...]:
        return (self.left, self.right)


def with_inputs(node: PlanNode, inputs: tuple[PlanNode, ...]) -> PlanNode:
    """The node with other inputs, which must have the same schemas."""
    match node:
        case Unary():
            (input_,) = inputs
            return node if input_ is node.input else replace(node, input=input_)
        case Binary():
            left, right = inputs
            return node if left is node.left and right is node.right else replace(node, left=left, right=right)
    return node


def walk(node: PlanNode) -> Iterator[PlanNode]:
    """The node and all nodes below it, each before its inputs."""
    yield node
    for input_ in node.inputs:
        yield from walk(input_)


def rewrite(node: PlanNode, change: Callable[[PlanNode], PlanNode]) -> PlanNode:
    """Apply ``change`` to every node, inputs first."""
    return change(with_inputs(node, tuple(rewrite(i, change) for i in node.inputs)))
