"""Samples the keys of both sides of a join that finds no matches, and says how they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ...runtime.dataflow import Source
from ...runtime.query.lifecycle import QueryRun
from ...runtime.source import decode, to_batch
from ..expressions.compile import compile_expression
from ..expressions.nodes import TypedExpression
from ..plan.logical import nodes as p
from ..plan.physical.nodes import Copy, Materialise
from ..plan.tree import PlanNode
from ..schema import Schema
from .context import Context
from .flows import Line

_ROWS: Final = 1_000
"""The number of records of each partition that are sampled: the last ones."""
_SHOWN: Final = 3


def compared(context: Context, run: QueryRun, lines: Sequence[Line], number: int) -> str:
    """How the keys on the two sides of a join differ, in words."""
    join = lines[number].node
    left, right = join.inputs
    own = join.foreign_key if isinstance(join, p.ForeignKeyJoin) else None
    sides = [_keys(context, run, lines, left, own), _keys(context, run, lines, right, None)]
    shown = "; ".join(
        f"keys on the {name}: {', '.join(map(_text, sorted(keys, key=str)[:_SHOWN])) or 'none'}"
        for name, keys in zip(("left", "right"), sides)
        if keys is not None
    )
    if sides[0] is None or sides[1] is None:
        return f"no pair of rows has the same key; {shown}" if shown else "no pair of rows has the same key"
    return f"{_difference(join, sides[0], sides[1])}; {shown}"


def _difference(join: PlanNode, left: set[tuple[Any, ...]], right: set[tuple[Any, ...]]) -> str:
    if not left or not right:
        return f"the {'right' if left else 'left'} side has no rows with a key"
    both = len(left & right)
    if both:
        why = {
            p.StreamStreamJoin: "but never within the time that WITHIN allows",
            p.StreamTableJoin: "but the table's rows came after the stream's: a row sees what the table held at its time",
        }.get(type(join), "but not at the same time")
        return f"{both} keys are on both sides, {why}"
    for name, plain in _LIKENESSES:
        alike = len({_each(plain, k) for k in left} & {_each(plain, k) for k in right})
        if alike:
            return f"no key is on both sides, though {alike} differ only in {name}"
    return "no key of the samples is on both sides"


def _number(value: str) -> str:
    try:
        return str(float(value.strip()))
    except ValueError:
        return value


_LIKENESSES: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("spaces around them", str.strip),
    ("upper and lower case", str.casefold),
    ("spaces and case", lambda value: "".join(value.split()).casefold()),
    ("how a number is written (7, 007, 7.0)", _number),
)


def _each(plain: Callable[[str], str], key: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(plain(str(part)) for part in key)


def _text(key: tuple[Any, ...]) -> str:
    return repr(key[0]) if len(key) == 1 else repr(key)


def _keys(
    context: Context, run: QueryRun, lines: Sequence[Line], side: PlanNode, own: TypedExpression | None
) -> set[tuple[Any, ...]] | None:
    """The distinct keys of the last rows of a side; None if its rows do not come from one source alone.

    Args:
        own: the expression that the join compares, if it is not the key of the side.
    """
    steps: list[tuple[Sequence[TypedExpression], Schema]] = []
    if own is not None:
        steps.append(((own,), side.schema))
    node = side
    while not isinstance(node, p.Scan):
        match node:
            case p.Project(expressions=expressions) | p.Rekey(expressions=expressions):
                steps.append((expressions, node.input.schema))
                node = node.input
            case p.Filter() | p.Repartition() | Materialise() | Copy():
                node = node.input
            case _:
                return None
    line = next((line for line in lines if line.node is node), None)
    numbers = () if line is None else line.nodes
    source = next((n for n in map(run.dataflow.nodes.__getitem__, numbers) if isinstance(n, Source)), None)
    if source is None:
        return None
    width = 1 if own is not None else len(side.schema.keys)
    found: set[tuple[Any, ...]] = set()
    for columns, length in _rows(context, source, node):
        for computed, schema in reversed(steps):
            arrow = schema.arrow()
            kernels = [compile_expression(e, arrow, functions=context.functions) for e in computed]
            columns = [kernel(columns, length).values for kernel in kernels]
        keys = zip(*(column.to_pylist() for column in columns[:width]))
        found.update(key for key in map(_hashable, keys) if any(part is not None for part in key))
    return found


def _hashable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part if part is None or isinstance(part, str | int | float) else str(part) for part in key)


def _rows(context: Context, source: Source, scan: p.Scan) -> list[tuple[list[Any], int]]:
    """The columns of the scan for the last records of every partition."""
    found = []
    for partition in range(context.log.topics()[source.topic].partitions):
        end = context.log.end_offset(source.topic, partition)
        start = max(context.log.start_offset(source.topic, partition), end - _ROWS)
        if start >= end:
            continue
        records = context.log.read(source.topic, partition, start, rows_max=_ROWS, reset="earliest")
        chunk = decode(source, records)
        batch, _ = to_batch(source, partition, chunk, 0, len(chunk), np.arange(len(chunk), dtype=np.int64))
        found.append((list(batch.columns), len(batch)))
    return found
