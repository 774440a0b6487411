"""What lowering works with: the options and functions of a query, and the dataflow that it has built so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...runtime import dataflow as d
from ...runtime.batch import Batch
from ...runtime.kernel import Kernel
from ...runtime.operators.base import Operator, OperatorContext
from ...storage.formats.base import Serde
from ..catalog import FormatInfo
from ..expressions.compile import compile_expression, compile_predicate
from ..expressions.nodes import TypedExpression
from ..functions.registry import Registry
from ..query_options import QueryOptions
from ..schema import Schema
from ..stored_tables import StoredTable

MakeSerde = Callable[[FormatInfo, bool, str, int], Serde | None]
"""Makes a serde from ``(format, is key, topic, number of columns)``; None for typed (ARROW) values and for keys of NONE."""


@dataclass(frozen=True, slots=True)
class LoweringContext:
    """What lowering needs in addition to the plan.

    Attributes:
        options: the properties of the query.
        receive: gets the batches of a push query.
        partitions: the real number of partitions of topics for which the log and the catalog differ.
    """

    functions: Registry
    make_serde: MakeSerde
    options: QueryOptions = field(default_factory=QueryOptions)
    receive: Callable[[Batch], None] | None = None
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class Lowered:
    """The number of a dataflow node, and the store from which its rows can be read, if there is one."""

    number: int
    stored: StoredTable | None = None


class DataflowBuilder:
    """Builds a dataflow.

    Attributes:
        nodes: the nodes so far.  They refer to each other by index.
        partitions: the largest number of partitions of a source.
        lines: see `Dataflow.lines`.
    """

    def __init__(self, context: LoweringContext) -> None:
        self.context = context
        self.options = context.options
        self.nodes: list[d.Node] = []
        self.partitions = 1
        self.lines: list[int] = []
        self._begun = 0
        self._names: dict[str, int] = {}

    def begin_line(self) -> int:
        """Begin a plan node, and return its number.  Nodes are counted from the sink down, as EXPLAIN shows them."""
        self._begun += 1
        return self._begun - 1

    def end_line(self, line: int) -> None:
        """End a plan node.  It gets all dataflow nodes that were added since it began, except those of plan nodes below
        it.
        """
        self.lines += [line] * (len(self.nodes) - len(self.lines))

    def add(self, node: d.Node) -> int:
        """Add a node, and return its number."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def step(
        self,
        name: str,
        inputs: Sequence[Lowered],
        make: Callable[[OperatorContext], Operator],
        carried: Mapping[int, frozenset[int]] | None = None,
        *,
        takes_later: bool = False,
    ) -> int:
        """Add an operator, and return its number.  For ``carried`` and ``takes_later`` see `OperatorNode`."""
        inputs_ = tuple(i.number for i in inputs)
        return self.add(d.OperatorNode(self.name(name), inputs_, make, carried=carried or {}, takes_later=takes_later))

    def name(self, kind: str) -> str:
        """A name for a node: ``filter``, ``filter-2``, ..

        Each kind is numbered for itself, so that the names of stateful nodes do not change when stateless nodes are added.
        """
        count = self._names[kind] = self._names.get(kind, 0) + 1
        return kind if count == 1 else f"{kind}-{count}"

    def kernels(self, expressions: Sequence[TypedExpression], schema: Schema) -> tuple[Kernel, ...]:
        """Compile expressions over the columns of a schema.  Each gives a kernel."""
        arrow = schema.arrow()
        return tuple(compile_expression(e, arrow, functions=self.context.functions, guard=self.guard) for e in expressions)

    def predicate(self, expression: TypedExpression, schema: Schema) -> Kernel:
        """Compile a condition over the columns of a schema."""
        return compile_predicate(expression, schema.arrow(), functions=self.context.functions, guard=self.guard)

    @property
    def guard(self) -> bool:
        """Whether a failure inside an expression gives NULL there."""
        return self.options.nested_errors_are_null

    def serde(self, format_: FormatInfo, is_key: bool, topic: str, columns: int) -> Serde | None:
        return self.context.make_serde(format_, is_key, topic, columns)
