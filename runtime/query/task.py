"""A task: the operators of one query on one partition.

A query's nodes fall into stages at its exchanges: stage 0 is all that needs no exchanged input, stage 1 what lies behind
one exchange, and so on.  Within a stage the tasks of all partitions are independent of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from ...errors import StorageError
from ..batch import Batch
from ..dataflow import Dataflow, Exchange, OperatorNode, Sink, Source, Tap
from ..kernel import Failures
from ..metrics import RowCounts
from ..operators.base import Counters, Operator, OperatorContext
from ..user_code import is_ours, text_of


def stages(dataflow: Dataflow) -> tuple[int, ...]:
    """The stage of each node: how many exchanges lie before it on its longest way from a source."""
    depths: list[int] = []
    for node in dataflow.nodes:
        if isinstance(node, Source):
            depths.append(0)
        elif isinstance(node, OperatorNode):
            depths.append(max((depths[i] for i in node.inputs), default=0))
        elif isinstance(node, Exchange):
            depths.append(depths[node.input] + 1)
        else:
            depths.append(depths[node.input])
    return tuple(depths)


@dataclass(frozen=True, slots=True)
class OperatorReport:
    """Rows that an operator could not use, or only with a null in place of a column."""

    operator: str
    batch: Batch
    failures: Failures
    dropped: bool


class NodeError(Exception):
    """A node could not take its input.

    Attributes:
        node: its name.
        cause: what it raised.
        is_sink: it writes the rows of the query.
    """

    def __init__(self, node: str, cause: BaseException, *, is_sink: bool = False) -> None:
        super().__init__(f"{'sink' if is_sink else 'operator'} {node}: {text_of(cause)}")
        self.node = node
        self.cause = cause
        self.is_sink = is_sink


@dataclass(slots=True)
class Task:
    """One partition's operator instances.

    Attributes:
        operators: by node number.
        reports: failures of the step in hand, taken by the query at its commit.
        touched: an operator with state has begun to process the step in hand.
        seconds: how long each operator took, by node number, since that was last asked for.
    """

    query_id: str
    dataflow: Dataflow
    partition: int
    operators: dict[int, Operator] = field(default_factory=dict)
    reports: list[OperatorReport] = field(default_factory=list)
    touched: bool = False
    seconds: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, node in enumerate(self.dataflow.nodes):
            if isinstance(node, OperatorNode):
                flow = self.dataflow
                context = OperatorContext(
                    node.name, self.partition, flow.every_update, self._report, Counters(), flow.log_late
                )
                self.operators[number] = node.make(context)
                self.seconds[number] = 0.0

    def _report(self, operator: str, batch: Batch, failures: Failures, *, dropped: bool) -> None:
        self.reports.append(OperatorReport(operator, batch, failures, dropped))

    def clear(self) -> None:
        """Forget what was noted in a step that is taken back."""
        self.reports = []
        for operator in self.operators.values():
            counters = operator.context.counters
            counters.filtered = counters.late = counters.bad = 0

    def run(self, stage: int, depths: Sequence[int], batches: dict[int, Batch]) -> None:
        """Call the stage's operators in order; ``batches`` holds each node's output by number and is added to.

        Raises:
            NodeError: an operator cannot take its input.
            StorageError: the registry or the disk fails, whatever the input is.
        """
        for number, operator in self.operators.items():
            if depths[number] != stage:
                continue
            node = self.dataflow.nodes[number]
            assert isinstance(node, OperatorNode)
            self.touched = self.touched or bool(operator.stores)
            began_s = perf_counter()
            try:
                batches[number] = operator.process([batches[i] for i in node.inputs])
            except StorageError:
                raise
            except BaseException as error:
                if is_ours(error):
                    raise
                raise NodeError(node.name, error) from error
            self.seconds[number] += perf_counter() - began_s
        for number, node in enumerate(self.dataflow.nodes):
            if isinstance(node, (Sink, Tap)) and depths[number] == stage:
                batches[number] = batches[node.input]


def input_nodes(dataflow: Dataflow, operators: dict[int, Operator]) -> frozenset[int]:
    """Numbers of the operators and sinks that see source rows one to one, so that what they drop is input (see `RowCounts`).

    An operator that is not row preserving itself (an aggregate, a join) still drops input rows as late or bad if what it
    sees is one to one.
    """
    plain: set[int] = set()
    found: set[int] = set()
    for number, node in enumerate(dataflow.nodes):
        if isinstance(node, Source):
            if node.moved_by is None or node.moved_by in plain:
                plain.add(number)
        elif isinstance(node, Exchange):
            if node.input in plain:
                plain.add(number)
        elif isinstance(node, OperatorNode) and all(i in plain for i in node.inputs):
            found.add(number)
            if operators[number].row_preserving:
                plain.add(number)
        elif isinstance(node, Sink) and node.input in plain and node.copy is None:
            found.add(number)
        elif isinstance(node, Sink) and node.input in plain and node.moves:
            plain.add(number)
    return frozenset(found)


def account_of(counters: Sequence[Counters]) -> RowCounts:
    """The sum of what operators dropped."""
    return RowCounts(
        filtered=sum(c.filtered for c in counters), late=sum(c.late for c in counters), bad=sum(c.bad for c in counters)
    )
