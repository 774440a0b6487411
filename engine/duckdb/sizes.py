"""Computes, from a query's tree, how large its values can get, before the query runs.

DuckDB counts texts and lists that functions make against its memory only after they are made, and checks for interrupts only
between blocks of rows.  So nothing limits what one expression makes from one block.  This module computes the largest size
in bytes that the value of each expression can have.  A text that is joined, repeated, padded, replaced or made for every
item of a list grows as its arguments say.  A column is as large as the longest value in its table.

The result is an upper bound, often far above the real size.  So a query is refused only where a value *grows*: where it can
be more than twice as large as the largest value that it is made from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .check import arguments_of, constant_of

__all__ = ["KnownQuery", "check_sizes", "longest"]

_BLOCK_ROWS: Final = 2_048
"""The rows that DuckDB processes together."""
_SMALL: Final = 64
"""The size of a number, a time or a NULL as text, in bytes."""
_ROWS_UNKNOWN: Final = 1_000_000
_GROWTH: Final = 2
_ROUND: Final = 16
"""How much a value may grow in one round of a recursive query.  Interrupts are noticed between rounds."""

_FACTORS: Final = {
    "base64": 2, "bin": 8, "hex": 2, "json_array": 2, "json_object": 2, "json_quote": 2, "str_split": 9,
    "str_split_regex": 9, "string_split": 9, "string_split_regex": 9, "string_to_array": 9, "regexp_split_to_array": 9,
    "to_base64": 2, "to_binary": 8, "to_hex": 2, "to_json": 2, "row_to_json": 2, "url_encode": 3, "json_pretty": 4,
    "translate": 4, "regexp_escape": 2, "split": 9, "encode": 2,
}  # fmt: skip
"""The growth factors of functions that make several bytes from one."""
_MAPPING: Final = frozenset({"apply", "array_apply", "array_transform", "list_apply", "list_transform"})
_REDUCING: Final = frozenset({"array_reduce", "list_reduce", "reduce"})
_COLLECTING: Final = frozenset(
    {"array_agg", "group_concat", "histogram", "json_group_array", "json_group_object", "list", "listagg", "string_agg"}
)
_ITEMS: Final = frozenset({"generate_series", "range"})
_RESIZING: Final = frozenset({"array_resize", "list_resize"})
_SMALL_VALUES: Final = frozenset(
    {"length", "len", "strlen", "count", "count_star", "bit_length", "octet_length", "char_length", "array_length", "sum",
     "avg", "md5", "sha1", "sha256", "hash", "contains", "starts_with", "position", "strpos", "instr", "typeof"}
)  # fmt: skip
_STEPS_MAX: Final = 500_000
"""The largest number of expressions to look at; nested lambdas are looked at repeatedly."""
_ITEM: Final = "\0"
"""The prefix of a lambda's parameter among the defined names."""
_SCOPES: Final = ("TABLE_FUNCTION", "EXPRESSION_LIST", "RECURSIVE_CTE_NODE", '"unnest"')
"""Nodes that make rows of their own, which are in no table."""


@dataclass(frozen=True, slots=True)
class _Size:
    """The largest size of a value in bytes, and of the largest value that it is made from."""

    most: float
    largest: float

    def grown(self, most: float) -> _Size:
        return _Size(most, self.largest)


@dataclass(frozen=True, slots=True)
class KnownQuery:
    """What is known about a query before it runs.

    Attributes:
        tree: the statement, as DuckDB parses it.
        text: the tree as JSON.
        tables: the number of rows and the bytes of the longest value, by name in lower case.
        parameter: the bytes of the largest value of a parameter.
    """

    tree: Mapping[str, Any]
    text: str
    tables: Mapping[str, tuple[int, float]]
    parameter: float = _SMALL


def check_sizes(query: KnownQuery, memory: int, refuse: Callable[[Mapping[str, Any]], Exception]) -> None:
    """Check a query.

    Args:
        refuse: makes the exception to raise for a node whose values for one block of rows can exceed the memory.
    """
    total = math.prod((max(rows, 1) for rows, _ in query.tables.values()), start=1)
    if any(scope in query.text for scope in _SCOPES):
        total = max(total, _ROWS_UNKNOWN)
    _Sizes(query, memory / min(total, _BLOCK_ROWS), total, refuse).query(query.tree["node"], {}, 0.0)


def longest(array: Any) -> float:
    """The largest size of a column's values, in bytes."""
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        return max(map(longest, array.chunks), default=0.0)
    type_ = array.type
    if pa.types.is_dictionary(type_):
        return longest(array.dictionary)
    if pa.types.is_struct(type_):
        return sum(map(longest, array.flatten()))
    if pa.types.is_map(type_):
        count = int(np.diff(np.asarray(array.offsets)).max(initial=0))
        return (longest(array.keys) + longest(array.items) + 16) * count
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return float(_most("list_value_length", array)) * (longest(array.flatten()) + 16)
    if pa.types.is_string(type_) or pa.types.is_binary(type_) or pa.types.is_large_string(type_):
        return float(_most("binary_length", array))
    return float(_SMALL)


def _most(length: str, array: Any) -> int:
    """The largest length in an array; 0 if there is none."""
    import pyarrow.compute as pc

    found: Any = pc.call_function("max", [pc.call_function(length, [array])])
    return found.as_py() or 0


class _Sizes:
    def __init__(
        self, query: KnownQuery, limit: float, rows: float, refuse: Callable[[Mapping[str, Any]], Exception]
    ) -> None:
        self._known = query
        self._limit = limit
        self._rows = rows
        self._refuse = refuse
        self._steps = 0

    # --- queries -------------------------------------------------------------------------------

    def query(self, node: Mapping[str, Any], defined: Mapping[str, float], outer: float) -> float:
        """The size of the largest value in a query's result, in bytes.

        Args:
            defined: the sizes of the queries that WITH clauses around it define, by name in lower case.
            outer: the size of the largest value of the query around it that it can refer to.
        """
        defined = dict(defined)
        for entry in (node.get("cte_map") or {}).get("map", ()):
            defined[entry["key"].lower()] = self._common(entry["key"].lower(), entry["value"], defined, outer)
        match node.get("type"):
            case "SELECT_NODE":
                scope = max(outer, self._source(node.get("from_table"), defined, outer))
                for key, part in node.items():
                    if key not in ("cte_map", "from_table", "select_list"):
                        self._all(part, scope, defined)
                return max((self._value(e, scope, defined).most for e in node["select_list"]), default=0.0)
            case "RECURSIVE_CTE_NODE":
                first = self.query(node["left"], defined, outer)
                round_ = self.query(node["right"], {**defined, node["cte_name"].lower(): first}, outer)
                if round_ > _ROUND * max(first, _SMALL):
                    raise self._refuse(node)
                return max(first, round_)
        return max(self._queries(node, defined, outer), default=0.0)

    def _common(self, name: str, value: Mapping[str, Any], defined: Mapping[str, float], outer: float) -> float:
        node = value.get("query_node") or (value.get("query") or {}).get("node") or {}
        return self.query(node, defined, outer) if node else 0.0

    def _queries(self, part: Any, defined: Mapping[str, float], outer: float) -> Iterable[float]:
        """The queries below a node that is no query itself, such as the sides of a UNION."""
        parts = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, item in parts:
            if isinstance(item, dict) and str(item.get("type", "")).endswith("_NODE"):
                yield self.query(item, defined, outer)
            elif key != "cte_map":
                yield from self._queries(item, defined, outer)

    def _source(self, node: Any, defined: Mapping[str, float], outer: float) -> float:
        """The size of the largest value in a part of FROM, in bytes."""
        if not isinstance(node, dict):
            return 0.0
        match node.get("type"):
            case "EMPTY":
                return 0.0
            case "BASE_TABLE":
                name = node["table_name"].lower()
                return defined[name] if name in defined else self._known.tables.get(name, (0, float(_SMALL)))[1]
            case "SUBQUERY":
                return self.query(node["subquery"]["node"], defined, outer)
            case "TABLE_FUNCTION":
                made = [self._value(a, outer, defined).most for a in arguments_of(node["function"])]
                return max([*made, _SMALL])
            case "EXPRESSION_LIST":
                return max((self._value(e, outer, defined).most for row in node["values"] for e in row), default=0.0)
        sides = [self._source(node.get(side), defined, outer) for side in ("left", "right", "source")]
        scope = max([outer, *sides])
        self._all([part for key, part in node.items() if key not in ("left", "right", "source")], scope, defined)
        return max(sides)

    # --- values --------------------------------------------------------------------------------

    def _all(self, part: Any, scope: float, defined: Mapping[str, float]) -> _Size:
        """The sum of the sizes of all expressions below a node that is not an expression itself."""
        if isinstance(part, dict) and "class" in part:
            return self._value(part, scope, defined)
        if isinstance(part, dict) and str(part.get("type", "")).endswith("_NODE"):
            most = self.query(part, defined, scope)
            return _Size(most, most)
        parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        return _together([self._all(item, scope, defined) for item in parts])

    def _value(self, node: Any, scope: float, defined: Mapping[str, float]) -> _Size:
        """The size of an expression.  Raises what ``refuse`` gives."""
        self._steps += 1
        if self._steps > _STEPS_MAX:
            raise self._refuse(node)
        if not isinstance(node, dict):
            return _Size(0.0, 0.0)
        kind = node.get("class")
        if kind in ("COLUMN_REF", "STAR", "POSITIONAL_REFERENCE"):
            names = node.get("column_names") or [""]
            size = defined.get(_ITEM + names[0].lower(), scope)
            return _Size(size, size)
        if kind == "PARAMETER":
            return _Size(self._known.parameter, self._known.parameter)
        if kind == "CONSTANT":
            content = constant_of(node)
            size = float(len(content.encode())) if isinstance(content, str) else float(_SMALL)
            return _Size(size, size)
        if kind == "FUNCTION":
            return self._checked(node, self._call(node, scope, defined))
        parts = [self._all(part, scope, defined) for key, part in node.items() if key != "type_expr"]
        return _together(parts)

    def _checked(self, node: Mapping[str, Any], size: _Size) -> _Size:
        if size.most > self._limit and size.most > _GROWTH * max(size.largest, _SMALL):
            raise self._refuse(node)
        return size

    def _call(self, node: Mapping[str, Any], scope: float, defined: Mapping[str, float]) -> _Size:
        name = node["function_name"].lower()
        given = arguments_of(node)
        if name in (*_MAPPING, *_REDUCING) and len(given) > 1 and given[1].get("class") == "LAMBDA":
            return self._over_items(name, given, scope, defined)
        sizes = [self._value(a, scope, defined) for a in given]
        self._all(node.get("filter"), scope, defined)
        whole = _together(sizes)
        most = [s.most for s in sizes] or [0.0]
        count = next((float(abs(c)) for a in reversed(given) if isinstance(c := constant_of(a), int)), 0.0)
        if name in _SMALL_VALUES:
            return _Size(_SMALL, _SMALL)
        if name in _COLLECTING:
            made = whole.most * self._rows
            return _Size(made, made)
        if name == "repeat":
            return whole.grown(most[0] * count)
        if name in ("lpad", "rpad"):
            return whole.grown(max(most[0], 4 * count))
        if name in _ITEMS:
            return whole.grown(8 * count)
        if name in _RESIZING:
            return whole.grown(max(most[0], count * (16 + most[-1])))
        if name in ("format", "printf"):
            content = constant_of(given[0]) if given else None
            places = len(re.findall(r"[{%]", content)) if isinstance(content, str) else 1
            return whole.grown(whole.most + 10_000.0 * places)
        if name == "concat_ws":
            return whole.grown(whole.most + most[0] * max(len(most) - 2, 0))
        if name == "replace" and len(given) > 2:
            old = constant_of(given[1])
            step = len(old.encode()) if isinstance(old, str) and old else 1
            return whole.grown(max(most[0], most[0] / step * most[2]))
        if name == "regexp_replace" and len(given) > 2:  # the pattern may match between any two characters
            new = constant_of(given[2])
            places = len(re.findall(r"\\\d", new)) if isinstance(new, str) else 1
            return whole.grown(most[0] * max(places, 1) + (most[0] + 1) * most[2])
        return whole.grown(whole.most * _FACTORS.get(name, 1))

    def _over_items(self, name: str, given: list[Any], scope: float, defined: Mapping[str, float]) -> _Size:
        """The size of a lambda's results over a list.

        What the lambda makes from nothing counts once for each item.  What it makes from the items counts once for the whole
        list.  In a reduction, each item may make the result grow.
        """
        items = self._value(given[0], scope, defined)
        count = max(items.most / 8, 1.0)
        names = _names_of(given[1]["lhs"])
        body = given[1]["expr"]

        def size(first: float, others: float) -> _Size:
            own = {_ITEM + name: first if place == 0 else others for place, name in enumerate(names)}
            return self._value(body, scope, {**defined, **own})

        bare = size(0.0, 0.0).most
        if name in _MAPPING:
            full = size(items.most, float(_SMALL))
            return _Size(count * (bare + 16) + full.most, max(items.largest, full.largest))
        start = max([items.most, *(self._value(a, scope, defined).most for a in given[2:])])
        probe = max(start, bare, _SMALL)
        if size(probe, 0.0).most - bare > 1.5 * probe:
            return _Size(math.inf, items.largest)
        return _Size(start + count * bare + size(0.0, items.most).most, items.largest)


def _names_of(node: Any) -> list[str]:
    """The parameters of a lambda, in lower case: one, or a list."""
    if not isinstance(node, dict):
        return []
    if node.get("class") == "COLUMN_REF":
        return [str(node["column_names"][-1]).lower()]
    return [name for child in arguments_of(node) for name in _names_of(child)]


def _together(sizes: list[_Size]) -> _Size:
    return _Size(sum(s.most for s in sizes), max((s.largest for s in sizes), default=0.0))
