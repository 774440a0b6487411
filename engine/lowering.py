"""Plan -> `runtime.dataflow.Dataflow`: one case per node; the only file that names both plan nodes and operators.

Operators get compiled kernels and Arrow schemas, never SQL.  Names of nodes are stable: a state is filed under its
operator's name, which depends on the stateful operators of the plan only, so that a query which is replaced by one with
other filters or projections finds its state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InternalError
from ..grammar import ast
from ..runtime import dataflow as d
from ..runtime.batch import Batch
from ..runtime.kernel import Evaluated, Failures, Kernel
from ..runtime.operators.aggregate import Aggregate
from ..runtime.operators.base import Operator, OperatorContext
from ..runtime.operators.explode import Explode
from ..runtime.operators.filter import Filter
from ..runtime.operators.foreign_key_join import ForeignKeyJoin
from ..runtime.operators.group_states import AggregateCall, view_transform
from ..runtime.operators.project import Project
from ..runtime.operators.rekey import GroupBy, PartitionBy
from ..runtime.operators.session_aggregate import SessionAggregate
from ..runtime.operators.stream_stream_join import StreamStreamJoin
from ..runtime.operators.stream_table_join import StreamTableJoin
from ..runtime.operators.table_source import TableSource
from ..runtime.operators.table_table_join import TableTableJoin
from ..runtime.operators.window_aggregate import WindowAggregate
from ..runtime.windows import SessionWindows, TimeWindows
from ..storage.formats import format_traits
from ..storage.formats.base import Serde
from ..storage.log.protocol import TopicConfig
from .analysis.bind import bind
from .analysis.scope import FromSource, Scope, SourceColumn
from .catalog import DataSource, FormatInfo
from .expressions.compile import compile_expression, compile_predicate
from .expressions.nodes import TypedExpression, text
from .functions.aggregate import configured
from .functions.registry import Registry
from .plan import nodes as p
from .plan.build import columns_read
from .plan.rules.materialise_tables import wants_before
from .query_options import QueryOptions
from .schema import Column, Schema
from .serdes import nulls_read_back, value_type
from .stored_tables import StoredTable
from .types import TIMESTAMP

MakeSerde = Callable[[FormatInfo, bool, str, int], Serde | None]
"""``(format, is key, topic, number of columns)`` -> serde; None for typed (ARROW) values and for NONE keys."""


@dataclass(frozen=True, slots=True)
class LoweringContext:
    """What lowering needs besides the plan.

    Attributes:
        options: the settings that count for the query.
        receive: takes the batches of a push query.
        partitions: how many the log's topics really have, where that differs from what the catalog says.
    """

    functions: Registry
    make_serde: MakeSerde
    options: QueryOptions = field(default_factory=QueryOptions)
    receive: Callable[[Batch], None] | None = None
    partitions: int | None = None


def lower(plan: p.PlanNode, context: LoweringContext) -> d.Dataflow:
    """The dataflow of an optimised plan.

    Raises:
        StatementError: a timestamp format that cannot be read.
    """
    return _Lowering(context).run(plan)


@dataclass(frozen=True, slots=True)
class _Lowered:
    """A node of the dataflow by its number, and the store its rows can be read from."""

    number: int
    stored: StoredTable | None = None


class _Lowering:
    def __init__(self, context: LoweringContext) -> None:
        self._context = context
        self._nodes: list[d.Node] = []
        self._names: dict[str, int] = {}
        self._partitions = 1

    def run(self, plan: p.PlanNode) -> d.Dataflow:
        root = self._lower(plan, before=False)
        options = self._context.options
        return d.Dataflow(
            tuple(self._nodes),
            self._context.partitions or self._partitions,
            order=options.processing_order,
            every_update=options.every_update,
            log_late=options.log_late,
            durable=options.durable,
            row_failure=options.row_failure,
            max_task_idle_ms=options.max_task_idle_ms,
            view=None if root.stored is None else root.stored.view(),
        )

    # --- nodes -----------------------------------------------------------------------------

    def _lower(self, node: p.PlanNode, *, before: bool) -> _Lowered:
        """Add a node and those below it; ``before``: its changes must carry the rows before them."""
        match node:
            case p.Scan():
                return self._scan(node, before)
            case p.Write():
                return self._write(node)
            case p.Output():
                return self._output(node)
        inputs = [self._lower(i, before=wants_before(node, before=before)) for i in node.inputs]
        match node:
            case p.Filter():
                return self._filter(node, inputs[0])
            case p.Project():
                return self._project(node, inputs[0])
            case p.Explode():
                return self._explode(node, inputs[0])
            case p.Rekey():
                return self._rekey(node, inputs[0])
            case p.GroupBy():
                return self._group_by(node, inputs[0])
            case p.Repartition():
                return self._repartition(node, inputs[0])
            case p.Copy():
                return self._copy(node, inputs[0])
            case p.Materialise():
                return self._table(node, self._name("result"), inputs[0], before)
            case p.Aggregate():
                return self._aggregate(node, inputs[0], before)
            case p.WindowAggregate():
                return self._window_aggregate(node, inputs[0], before)
            case p.SessionAggregate():
                return self._session_aggregate(node, inputs[0], before)
            case p.StreamStreamJoin():
                return self._stream_stream_join(node, inputs)
            case p.StreamTableJoin():
                return self._stream_table_join(node, inputs)
            case p.ForeignKeyJoin():
                return self._foreign_key_join(node, inputs, before)
            case p.TableTableJoin():
                return self._table_table_join(node, inputs, before)
        raise InternalError(f"no operator for {type(node).__name__}")

    def _scan(self, node: p.Scan, before: bool) -> _Lowered:
        source = node.source
        stored = [c for c in node.columns if c.extra is None]
        keys = [c for c in stored if c.column.role == "KEY"]
        values = [c for c in stored if c.column.role != "KEY"]
        formats = f"{source.key_format} {source.value_format}"
        from_beginning = source.kind == "TABLE" or self._from_beginning()
        self._partitions = max(self._partitions, source.partitions)
        head = self._add(
            d.Source(
                self._name(f"source-{source.name}"),
                source.topic,
                source.kind == "TABLE",
                self._serde(source.key_format, True, source.topic, len(keys)) if keys else None,
                _source_schema(keys),
                self._serde(source.value_format, False, source.topic, len(values)),
                _source_schema(values),
                tuple((c.source_name, str(c.extra)) for c in node.columns if c.extra is not None),
                self._timestamp(source.timestamp_column, source.timestamp_format, node),
                needs_timestamps=self._context.options.fail_on_invalid_timestamp,
                window=None if source.window is None else source.window.type,
                window_size_ms=None if source.window is None else source.window.size_ms,
                from_beginning=from_beginning,
                shared_key=f"{source.name} {formats}",
            )
        )
        if not node.materialised:
            return _Lowered(head)
        return self._table(node, self._name(f"table-{source.name}"), _Lowered(head), before)

    def _table(self, node: p.PlanNode, name: str, input_: _Lowered, before: bool) -> _Lowered:
        schema, key_count, windowed = node.schema.arrow(), len(node.schema.keys), node.window is not None

        def make(context: OperatorContext) -> Operator:
            return TableSource(context, schema, key_count, before=before, windowed=windowed)

        number = self._add(d.Step(name, (input_.number,), make))
        return _Lowered(number, StoredTable.of_rows(name, "table", node.schema, windowed=windowed))

    def _filter(self, node: p.Filter, input_: _Lowered) -> _Lowered:
        predicate = compile_predicate(node.predicate, node.input.schema.arrow(), guard=self._guard)
        table, groups = node.kind == "TABLE", _groups_a_stream(node.input)
        number = self._step("filter", (input_,), lambda c: Filter(c, predicate, table=table, groups=groups))
        return _Lowered(number, None if input_.stored is None else input_.stored.filtered(predicate))

    def _project(self, node: p.Project, input_: _Lowered) -> _Lowered:
        kernels = self._kernels(node.expressions, node.input.schema)
        schema, key_count = node.schema.arrow(), len(node.schema.keys)
        number = self._step("project", (input_,), lambda c: Project(c, schema, key_count, kernels))
        return _Lowered(number, None if input_.stored is None else input_.stored.projected(node.schema, kernels))

    def _explode(self, node: p.Explode, input_: _Lowered) -> _Lowered:
        kernels = self._kernels([call for _, call in node.calls], node.input.schema)
        schema, key_count = node.schema.arrow(), len(node.schema.keys)
        return _Lowered(self._step("explode", (input_,), lambda c: Explode(c, schema, key_count, kernels)))

    def _rekey(self, node: p.Rekey, input_: _Lowered) -> _Lowered:
        kernels = self._kernels(node.expressions, node.input.schema)
        schema, key_count = node.schema.arrow(), len(node.schema.keys)
        old_keys = {c.name for c in node.input.schema.keys}
        from_keys = [columns_read((e,)) <= old_keys for e in node.expressions[:key_count]]
        number = self._step(
            "rekey", (input_,), lambda c: PartitionBy(c, schema, key_count, kernels, tombstones_have_keys=from_keys)
        )
        return _Lowered(number)

    def _group_by(self, node: p.GroupBy, input_: _Lowered) -> _Lowered:
        kernels = self._kernels(node.expressions, node.input.schema)
        schema, key_count, table = node.schema.arrow(), len(node.schema.keys), node.kind == "TABLE"
        return _Lowered(self._step("group", (input_,), lambda c: GroupBy(c, schema, key_count, kernels, table=table)))

    def _repartition(self, node: p.Repartition, input_: _Lowered) -> _Lowered:
        """Formats with schema ids place by the JSON of the key: no topic is met as it lies (see `plan.build`), so no id is
        needed, and none is to be registered for bytes that are not kept."""
        serde = None
        if node.format is not None:
            plain = FormatInfo("JSON") if format_traits(node.format.name).inference else node.format
            serde = self._serde(plain, True, "", len(node.schema.keys))
        number = self._add(d.Exchange(self._name("repartition"), input_.number, serde, node.partitions))
        return _Lowered(number, input_.stored)

    def _copy(self, node: p.Copy, input_: _Lowered) -> _Lowered:
        """A sink beside the way; what goes on is the input itself."""
        target, number = node.target, input_.number
        keys, values = target.schema.keys, target.schema.values
        kernels = self._kernels(node.expressions, node.input.schema)
        schema, key_count = target.schema.arrow(), len(keys)
        if [text(e) for e in node.expressions] != list(node.input.schema.names) or schema.names != list(node.schema.names):
            number = self._step("copy-columns", (input_,), lambda c: Project(c, schema, key_count, kernels))
        self._add(
            d.Sink(
                self._name("copy"),
                number,
                target.topic,
                self._serde(target.key_format, True, target.topic, key_count),
                self._serde(target.value_format, False, target.topic, len(values)),
                window=None if target.window is None else target.window.type,
                is_table=target.kind == "TABLE",
                copy=TopicConfig(
                    partitions=target.partitions,
                    value_type=value_type(target.value_format, target.schema),
                    cleanup_policy=node.cleanup_policy,
                    retention_ms=node.retention_ms,
                    internal=True,
                ),
                window_store=node.window_store,
            )
        )
        return input_

    def _aggregate(self, node: p.Aggregate, input_: _Lowered, before: bool) -> _Lowered:
        schema, key_count, calls = node.schema.arrow(), len(node.schema.keys), _calls(node, self._context.options)
        name = self._name("aggregate")

        def make(context: OperatorContext) -> Operator:
            return Aggregate(context, schema, key_count, calls, before=before)

        transform = view_transform(key_count, calls)
        number = self._add(d.Step(name, (input_.number,), make))
        return _Lowered(number, StoredTable.of_groups(name, "groups", node.schema, transform, windowed=False))

    def _window_aggregate(self, node: p.WindowAggregate, input_: _Lowered, before: bool) -> _Lowered:
        schema, key_count, calls = node.schema.arrow(), len(node.schema.keys), _calls(node, self._context.options)
        spec, final, extras = node.spec, node.final, _bounds(node)
        emit_expired = self._context.options.emit_final_expired == "emit"
        windows = TimeWindows(spec.size_ms, spec.advance_ms, spec.grace_ms)
        name = self._name("aggregate")

        def make(context: OperatorContext) -> Operator:
            return WindowAggregate(
                context,
                schema,
                key_count,
                calls,
                windows,
                retention_ms=spec.retention_ms,
                final=final,
                emit_expired=emit_expired,
                before=before,
                extras=extras,
            )

        transform = view_transform(key_count, calls, size_ms=spec.size_ms)
        number = self._add(d.Step(name, (input_.number,), make))
        return _Lowered(number, StoredTable.of_groups(name, "windows", node.schema, transform, windowed=True))

    def _session_aggregate(self, node: p.SessionAggregate, input_: _Lowered, before: bool) -> _Lowered:
        schema, key_count, calls = node.schema.arrow(), len(node.schema.keys), _calls(node, self._context.options)
        spec, final, extras = node.spec, node.final, _bounds(node)
        windows = SessionWindows(spec.size_ms, spec.grace_ms)
        name = self._name("aggregate")

        def make(context: OperatorContext) -> Operator:
            return SessionAggregate(
                context,
                schema,
                key_count,
                calls,
                windows,
                retention_ms=spec.retention_ms,
                final=final,
                before=before,
                extras=extras,
            )

        transform = view_transform(key_count, calls, session=True)
        number = self._add(d.Step(name, (input_.number,), make))
        return _Lowered(number, StoredTable.of_groups(name, "sessions", node.schema, transform, windowed=True))

    def _stream_stream_join(self, node: p.StreamStreamJoin, inputs: Sequence[_Lowered]) -> _Lowered:
        """RIGHT runs as ksqlDB runs it: as a LEFT join of swapped inputs with the window as it is (section 8)."""
        schema, key_count = node.schema.arrow(), len(node.schema.keys)
        left, right = _values(node.left.schema), _values(node.right.schema)
        kind, windowed, grace_ms = node.type, node.left.window is not None, node.grace_ms
        before_ms, after_ms = node.before_ms, node.after_ms
        early = self._context.options.unmatched_rows == "early"
        if kind == "RIGHT":
            before_ms, after_ms = after_ms, before_ms
        sides = ((node.left_where, node.left.schema), (node.right_where, node.right.schema))
        wheres = [None if e is None else compile_predicate(e, s.arrow(), guard=self._guard) for e, s in sides]

        def make(context: OperatorContext) -> Operator:
            return StreamStreamJoin(
                context,
                kind,
                schema,
                key_count,
                left,
                right,
                before_ms=before_ms,
                after_ms=after_ms,
                grace_ms=grace_ms,
                early=early,
                windowed=windowed,
                wheres=(wheres[0], wheres[1]),
            )

        return _Lowered(self._step("stream-stream-join", inputs, make))

    def _foreign_key_join(self, node: p.ForeignKeyJoin, inputs: Sequence[_Lowered], before: bool) -> _Lowered:
        schema, key_count = node.schema.arrow(), len(node.schema.keys)
        left, right = _values(node.left.schema), _values(node.right.schema)
        right_keys = Schema(node.right.schema.keys).arrow()
        kernels = self._kernels((node.foreign_key,), node.left.schema)
        kind = node.type

        def make(context: OperatorContext) -> Operator:
            return ForeignKeyJoin(
                context,
                kind,
                schema,
                key_count,
                left,
                right,
                right_keys=right_keys,
                foreign_key=kernels,
                before=before,
            )

        return _Lowered(self._step("foreign-key-join", inputs, make))

    def _stream_table_join(self, node: p.StreamTableJoin, inputs: Sequence[_Lowered]) -> _Lowered:
        schema, key_count = node.schema.arrow(), len(node.schema.keys)
        left, right = _values(node.left.schema), _values(node.right.schema)
        kind, windowed = node.type, node.left.window is not None

        def make(context: OperatorContext) -> Operator:
            return StreamTableJoin(context, kind, schema, key_count, left, right, windowed=windowed)

        return _Lowered(self._step("stream-table-join", inputs, make))

    def _table_table_join(self, node: p.TableTableJoin, inputs: Sequence[_Lowered], before: bool) -> _Lowered:
        schema, key_count = node.schema.arrow(), len(node.schema.keys)
        left, right = _values(node.left.schema), _values(node.right.schema)
        kind, windowed = node.type, node.left.window is not None

        def make(context: OperatorContext) -> Operator:
            return TableTableJoin(context, kind, schema, key_count, left, right, before=before, windowed=windowed)

        return _Lowered(self._step("table-table-join", inputs, make))

    def _write(self, node: p.Write) -> _Lowered:
        sink = node.sink
        input_ = self._lower(node.input, before=False)
        values = [c for c in sink.schema.values if c.role == "VALUE"]
        keys = sink.schema.keys
        self._add(
            d.Sink(
                self._name("sink"),
                input_.number,
                sink.topic,
                self._serde(sink.key_format, True, sink.topic, len(keys)) if keys else None,
                self._serde(sink.value_format, False, sink.topic, len(values)),
                self._sink_timestamp(node),
                None if sink.window is None else sink.window.type,
                node.kind == "TABLE",
                _nulls_are_a_key(node),
            )
        )
        stored = input_.stored
        if stored is not None and (nulls := nulls_read_back(sink.value_format)) is not None:
            stored = stored.with_values(nulls)
        return _Lowered(len(self._nodes) - 1, stored)

    def _output(self, node: p.Output) -> _Lowered:
        input_ = self._lower(node.input, before=False)
        if self._context.receive is None:
            raise InternalError("a push query was lowered without anyone to receive its rows")
        return _Lowered(self._add(d.Tap(self._name("output"), input_.number, self._context.receive)))

    # --- helpers ---------------------------------------------------------------------------

    def _add(self, node: d.Node) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _step(self, name: str, inputs: Sequence[_Lowered], make: Callable[[OperatorContext], Operator]) -> int:
        return self._add(d.Step(self._name(name), tuple(i.number for i in inputs), make))

    def _name(self, kind: str) -> str:
        """``filter``, ``filter-2``, ..: numbered by kind, so that stateless nodes do not rename stateful ones."""
        count = self._names[kind] = self._names.get(kind, 0) + 1
        return kind if count == 1 else f"{kind}-{count}"

    def _kernels(self, expressions: Sequence[TypedExpression], schema: Schema) -> tuple[Kernel, ...]:
        arrow = schema.arrow()
        return tuple(compile_expression(e, arrow, guard=self._guard) for e in expressions)

    @property
    def _guard(self) -> bool:
        return self._context.options.nested_errors_are_null

    def _serde(self, format_: FormatInfo, is_key: bool, topic: str, columns: int) -> Serde | None:
        return self._context.make_serde(format_, is_key, topic, columns)

    def _from_beginning(self) -> bool:
        return self._context.options.auto_offset_reset == "earliest"

    def _timestamp(self, column: str | None, format_: str | None, node: p.Scan) -> Kernel | None:
        if column is None:
            return None
        schema = Schema(tuple(Column(c.source_name, c.column.type) for c in node.columns))
        return timestamp_kernel(column, format_, schema, self._context.functions)

    def _sink_timestamp(self, node: p.Write) -> Kernel | None:
        sink = node.sink
        if sink.timestamp_column is None:
            return None
        return timestamp_kernel(sink.timestamp_column, sink.timestamp_format, node.input.schema, self._context.functions)


def _source_schema(columns: Sequence[p.ScanColumn]) -> pa.Schema:
    """Under the names that the records have."""
    return Schema(tuple(replace(c.column, name=c.source_name) for c in columns)).arrow()


def _values(schema: Schema) -> pa.Schema:
    return Schema(schema.values).arrow()


def _calls(node: p.Aggregate | p.WindowAggregate | p.SessionAggregate, options: QueryOptions) -> tuple[AggregateCall, ...]:
    """The aggregators over the columns of the `GroupBy` below."""
    columns = node.input.schema
    return tuple(
        AggregateCall(
            configured(a.call.name, a.call.overload.make(a.call.argument_types, a.call.literals), options),
            tuple(columns.index(n) for n in a.arguments),
        )
        for a in node.aggregates
    )


def _bounds(node: p.WindowAggregate | p.SessionAggregate) -> tuple[str, ...]:
    """Which window bounds are columns of the result."""
    return tuple(c.name for c in node.schema.values[len(node.aggregates) :])


def _groups_a_stream(node: p.PlanNode) -> bool:
    """Whether the rows are groups of a stream, each put out with every change (sessions replace each other)."""
    match node:
        case p.Aggregate() | p.WindowAggregate(final=False):
            return node.input.kind == "STREAM"
    return False


def _nulls_are_a_key(node: p.Write) -> bool:
    """Section 5: PARTITION BY several columns makes a key also of rows in which all of them are NULL."""
    below = node.input
    while isinstance(below, p.Project | p.Repartition):
        below = below.input
    return isinstance(below, p.Rekey) and len(below.schema.keys) > 1


def timestamp_kernel(name: str, format_: str | None, schema: Schema, functions: Registry) -> Kernel:
    """Section 6 of the reference: the time of a record from its column: BIGINT ms, TIMESTAMP, or STRING with a format.

    A negative time fails, like one that cannot be read.
    """
    column = schema.find(name)
    if column is None:
        raise InternalError(f"the timestamp column {name} is not among {', '.join(schema.names)}")
    source = FromSource(
        "",
        DataSource("", "STREAM", schema, "", FormatInfo("NONE"), FormatInfo("NONE")),
        tuple(SourceColumn("", c.name, c.name, c.type, "VALUE") for c in schema),
    )
    reference: ast.Expression = ast.NameRef(name)
    if format_ is not None:
        reference = ast.FunctionCall("PARSE_TIMESTAMP", (reference, ast.StringLiteral(format_)))
    expression = bind(reference, Scope((source,), "TIMESTAMP"), functions)
    inner = compile_expression(expression, schema.arrow())
    is_timestamp = expression.type == TIMESTAMP

    def kernel(columns: Sequence[Any], length: int) -> Evaluated:
        values, failures = inner(columns, length)
        times = values.cast(pa.int64()) if is_timestamp else values
        negative = np.flatnonzero(pc.less(times, 0).fill_null(False).to_numpy(zero_copy_only=False))
        if len(negative):
            mask = np.zeros(length, np.bool_)
            mask[negative] = True
            times = pc.if_else(pa.array(mask), pa.scalar(None, pa.int64()), times)
            reasons = {int(r): "the timestamp is negative" for r in negative}
            if failures is not None:
                reasons.update(zip(failures.rows.tolist(), failures.reasons, strict=True))
            rows = np.array(sorted(reasons), np.int64)
            failures = Failures(rows, tuple(reasons[int(r)] for r in rows))
        return Evaluated(times, failures)

    return kernel
