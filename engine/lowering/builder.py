"""The state of lowering: the options and functions of a query, and the dataflow built so far."""

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
"""``(format, is key, topic, number of columns)`` -> serde; None for typed (ARROW) values and for NONE keys."""


@dataclass(frozen=True, slots=True)
class LoweringContext:
    """What lowering needs besides the plan.

    Attributes:
        options: the settings of the query.
        receive: takes the batches of a push query.
        partitions: the real numbers of partitions of the log's topics, where they differ from the catalog's.
    """

    functions: Registry
    make_serde: MakeSerde
    options: QueryOptions = field(default_factory=QueryOptions)
    receive: Callable[[Batch], None] | None = None
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class Lowered:
    """A node of the dataflow by its number, and the store from which its rows can be read."""

    number: int
    stored: StoredTable | None = None


class DataflowBuilder:
    """Builds a dataflow.

    Attributes:
        nodes: the nodes so far; nodes name each other by index.
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
        """Begin a plan node; returns its number.  Nodes are counted from the sink down, as EXPLAIN shows them."""
        self._begun += 1
        return self._begun - 1

    def end_line(self, line: int) -> None:
        """End a plan node: all dataflow nodes that no node below it has added belong to it."""
        self.lines += [line] * (len(self.nodes) - len(self.lines))

    def add(self, node: d.Node) -> int:
        """Add a node; returns its number."""
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
        """Add an operator (for the last two arguments see `Step`); returns its number."""
        inputs_ = tuple(i.number for i in inputs)
        return self.add(d.OperatorNode(self.name(name), inputs_, make, carried=carried or {}, takes_later=takes_later))

    def name(self, kind: str) -> str:
        """``filter``, ``filter-2``, ..: numbered by kind, so that adding stateless nodes does not rename stateful ones."""
        count = self._names[kind] = self._names.get(kind, 0) + 1
        return kind if count == 1 else f"{kind}-{count}"

    def kernels(self, expressions: Sequence[TypedExpression], schema: Schema) -> tuple[Kernel, ...]:
        """Compile expressions over the columns of a schema."""
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
