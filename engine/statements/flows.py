"""EXPLAIN ANALYZE: the plan of a running query, with the counters of each node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import PenstockError
from ...grammar import ast
from ...grammar.unparse import unparse
from ...runtime.dataflow import Dataflow, Exchange, OperatorNode, Sink, Source, Tap
from ...runtime.query.lifecycle import QueryRun
from ..plan.explain import describe
from ..plan.tree import PlanNode
from ..results import Description, Listing
from .context import Context
from .control_query import find_query


@dataclass(frozen=True, slots=True)
class Line:
    """One node of a plan, with its counters since the query was started in this process.

    Attributes:
        depth: the number of nodes between it and the sink.
        nodes: the numbers of the dataflow nodes that it was lowered to.
        rows_in, rows_out: over all partitions.
        state_rows, state_bytes: the size of its stores; None if it has no store, or the query has failed.
    """

    node: PlanNode
    depth: int
    nodes: tuple[int, ...]
    rows_in: int
    rows_out: int
    seconds: float
    state_rows: int | None
    state_bytes: int | None


def lines(plan: PlanNode, run: QueryRun) -> list[Line]:
    """The lines of a plan in the order of EXPLAIN."""
    flow, tallies = run.dataflow, run.status.tallies
    kept = _kept(run)
    found: list[Line] = []
    for number, (node, depth) in enumerate(_numbered(plan, 0)):
        nodes = tuple(n for n, line in enumerate(flow.lines) if line == number)
        held = [kept[n] for n in nodes if n in kept]
        own = [n for n in nodes if any(i not in nodes for i in _inputs(flow, n)) or isinstance(flow.nodes[n], Source)]
        found.append(
            Line(
                node,
                depth,
                nodes,
                sum(tallies[i].rows for n in own[:1] for i in _inputs(flow, n) or (n,)),
                tallies[nodes[-1]].rows if nodes else 0,
                sum(tallies[n].seconds for n in nodes),
                sum(rows for rows, _ in held) if held else None,
                sum(size for _, size in held) if held else None,
            )
        )
    return found


def explain_analyze(context: Context, statement: ast.Explain) -> Description:
    """The plan of a running query, with the counters of every operator.

    Raises:
        StatementError: there is no such query.
    """
    entry = find_query(context.catalog, statement.query_id or "", statement.span)
    run = context.host.run(entry.id)
    found = lines(context.planned[entry.id].plan, run)
    rows = tuple(
        (
            "  " * line.depth + describe(line.node).split(" [", 1)[0],
            line.rows_in,
            line.rows_out,
            round(line.seconds * 1000, 3),
            line.state_rows,
            line.state_bytes,
        )
        for line in found
    )
    columns = ("Operator", "Rows In", "Rows Out", "Time (ms)", "State Rows", "State Bytes")
    sections = (
        ("State", run.state),
        (
            "Counted",
            "since the database was opened, or the query created or replaced; NULL where an operator keeps no state",
        ),
        ("Operators", Listing("operators", columns, rows)),
    )
    details = {
        "id": entry.id,
        "operators": [
            {
                "operator": describe(line.node),
                "rows_in": line.rows_in,
                "rows_out": line.rows_out,
                "seconds": line.seconds,
                "state_rows": line.state_rows,
                "state_bytes": line.state_bytes,
            }
            for line in found
        ],
    }
    return Description("explain analyze", entry.id, sections, unparse(statement), details)


def _numbered(node: PlanNode, depth: int) -> Iterator[tuple[PlanNode, int]]:
    yield node, depth
    for below in node.inputs:
        yield from _numbered(below, depth + 1)


def _inputs(flow: Dataflow, number: int) -> tuple[int, ...]:
    match flow.nodes[number]:
        case OperatorNode(inputs=inputs):
            return inputs
        case Exchange(input=input_) | Sink(input=input_) | Tap(input=input_):
            return (input_,)
    return ()


def _kept(run: QueryRun) -> dict[int, tuple[int, int]]:
    """The rows and bytes of each operator's stores, over all partitions."""
    found: dict[int, tuple[int, int]] = {}
    with run.between_steps():
        try:
            tasks = run.tasks()
        except PenstockError:
            return {}  # its state is lost with the failed step
        for task in tasks:
            for number, operator in task.operators.items():
                if operator.stores:
                    rows, size = found.get(number, (0, 0))
                    stores = operator.stores
                    found[number] = rows + sum(map(len, stores)), size + sum(store.size_bytes for store in stores)
    return found
