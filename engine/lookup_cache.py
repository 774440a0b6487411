"""Caches pull queries by key whose texts differ only in the key.  They are analysed once; then keys are looked up
(`runtime.lookups`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from ..runtime.dataflow import TableView
from ..runtime.lookups import PointReader
from .analysis.resolved import ResolvedQuery
from .catalog import Catalog, DataSource
from .expressions.nodes import ColumnRef, Compare, Logical, TypedExpression
from .expressions.nodes import Literal as Constant
from .query_options import QueryOptions
from .results import Table
from .schema import Schema
from .types import BIGINT, INTEGER, STRING, to_arrow

_PLANS_MAX = 256
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|`[^`]*`|(?<![\w.])-?\d+(?![\w.])""")
"""Matches what may be a constant, and quoted names, which must be skipped as a whole."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A pull query by key.

    Attributes:
        catalog, options: the plan is valid only for these.
        constants: for each possible constant in the text its text, or None if it is a key.
        keys: for each key column its index in ``constants``, and the largest value of its type (None: the key is a text).
        columns: the columns of the view that are selected.
    """

    catalog: Catalog
    options: QueryOptions
    source: DataSource
    constants: tuple[str | None, ...]
    keys: tuple[tuple[int, int | None], ...]
    reader: PointReader
    columns: tuple[int, ...]
    arrow: pa.Schema
    schema: Schema

    def key_of(self, constants: Sequence[str]) -> tuple[Any, ...] | None:
        """The key in the constants of a text; None if the plan does not fit them."""
        for written, wanted in zip(constants, self.constants, strict=True):
            if wanted is not None and written != wanted:
                return None
        key: list[Any] = []
        for place, largest in self.keys:
            written = constants[place]
            if (written[0] == "'") != (largest is None):
                return None
            if largest is None:
                key.append(written[1:-1].replace("''", "'"))
                continue
            value = int(written)
            if not -largest - 1 <= value <= largest:
                return None
            key.append(value)
        return tuple(key)

    def answer(self, key: tuple[Any, ...]) -> Table:
        found = self.reader.values(key)
        if found is None:
            return Table(self.arrow.empty_table(), self.schema)
        row = tuple([found[place] for place in self.columns])
        return Table(partial(self._as_arrow, row), self.schema, rows=(row,))

    def _as_arrow(self, row: tuple[Any, ...]) -> pa.Table:
        arrays = [pa.array([value], type_) for value, type_ in zip(row, self.arrow.types, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.arrow)


_LARGEST: tuple[tuple[Any, int | None], ...] = ((INTEGER, 2**31 - 1), (BIGINT, 2**63 - 1), (STRING, None))
"""The types of keys that can be looked up, and their largest values (None: texts)."""


class LookupCache:
    """Plans of pull queries by key.  A plan is found by the text without its constants.  Several threads may use it."""

    def __init__(self) -> None:
        self._plans: OrderedDict[str, _Plan] = OrderedDict()

    def find(self, catalog: Catalog, options: QueryOptions, text: str) -> tuple[_Plan, tuple[Any, ...]] | None:
        """The plan for a text, and the key; None if the text must be analysed."""
        if not self._plans or len(text) > 1_000:
            return None
        shape, constants, _ = _shape_of(text)
        plan = self._plans.get(shape)
        if plan is None or plan.catalog is not catalog or (plan.options is not options and plan.options != options):
            return None
        key = plan.key_of(constants)
        return None if key is None else (plan, key)

    def learn(
        self,
        catalog: Catalog,
        options: QueryOptions,
        text: str,
        resolved: ResolvedQuery,
        source: DataSource,
        view: TableView,
        reader: PointReader,
    ) -> None:
        """Keep the plan of a query, if it looks up one whole key and selects columns unchanged.

        Args:
            view, reader: of the query that keeps the source's rows.
        """
        if source.window is not None or resolved.limit is not None or "--" in text or "/*" in text or len(text) > 1_000:
            return
        wanted = _key_constants(resolved.where, source)
        places = [_place_of(resolved.outputs[i].expression, view.schema.names) for i in resolved.select_order]
        if wanted is None or None in places:
            return
        shape, constants, starts = _shape_of(text)
        keys: list[tuple[int, int | None]] = []
        for column in source.schema.keys:
            constant = wanted[column.name]
            largest = next((most for type_, most in _LARGEST if type_ == column.type), 0)
            if largest == 0 or constant.span.start not in starts:
                return
            keys.append((starts.index(constant.span.start), largest))
        of_keys = {place for place, _ in keys}
        columns = tuple(resolved.outputs[i].column for i in resolved.select_order)
        arrow = pa.schema([(c.name, to_arrow(c.type)) for c in columns])
        if any(pa.types.is_nested(t) or pa.types.is_temporal(t) for t in arrow.types):
            return  # as Python values they would lose information
        self._plans[shape] = _Plan(
            catalog,
            options,
            source,
            tuple(None if i in of_keys else written for i, written in enumerate(constants)),
            tuple(keys),
            reader,
            tuple(place for place in places if place is not None),
            arrow,
            Schema(columns),
        )
        while len(self._plans) > _PLANS_MAX:
            self._plans.popitem(last=False)


def _shape_of(text: str) -> tuple[str, list[str], list[int]]:
    """The text with a mark in place of each constant, the constants as they are written, and where they start."""
    constants: list[str] = []
    starts: list[int] = []

    def mark(match: re.Match[str]) -> str:
        written = match.group()
        if written[0] in '"`':
            return written
        constants.append(written)
        starts.append(match.start())
        return "\0"

    return _TOKEN.sub(mark, text), constants, starts


def _key_constants(where: TypedExpression | None, source: DataSource) -> dict[str, Constant] | None:
    """The constant of each key column, if WHERE compares nothing else; otherwise None."""
    found: dict[str, Constant] = {}
    stack = [where]
    while stack:
        match stack.pop():
            case Logical(operator="AND", left=left, right=right):
                stack += [left, right]
            case (
                Compare(operator="=", left=ColumnRef(name=name), right=Constant(value=int() | str()) as constant)
                | Compare(operator="=", left=Constant(value=int() | str()) as constant, right=ColumnRef(name=name))
            ) if name not in found:
                found[name] = constant
            case _:
                return None
    return found if set(found) == {c.name for c in source.schema.keys} else None


def _place_of(expression: TypedExpression, names: Sequence[str]) -> int | None:
    """The index of the view's column that an item of the SELECT list is; None if it is not an unchanged column."""
    if isinstance(expression, ColumnRef) and expression.name in names:
        return names.index(expression.name)
    return None
