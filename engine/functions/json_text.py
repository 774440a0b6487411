"""Functions that read JSON in STRING columns, or build it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, reduce
from itertools import chain, compress
from operator import add, or_
from typing import Any

import numpy as np
import pyarrow as pa

from ...runtime.kernel import Evaluated, failures_of
from ...storage.values.arrow_calls import index_array, map_array
from ..columns.arrow import broadcast, is_literal, length_of, null_mask, with_nulls
from ..columns.kinds import Column, Datum
from .json_values import HALF_PAIR, MISSING, JsonTextBuilder, Missing, is_json, needs_digits, read_all
from .registry import scalar

CATEGORY = "JSON"

_TEXTS = pa.list_(pa.string())
_RECORDS = pa.map_(pa.string(), pa.string())


def _one_each(rows: list[int], made: JsonTextBuilder, length: int, failed: dict[int, str]) -> Evaluated:
    """A string column with the built texts in ``rows``, and null in the other rows."""
    texts, halves = made.column()
    failed |= {rows[place]: HALF_PAIR for place in halves}
    index = np.full(length, -1, np.int64)
    index[rows] = np.arange(len(rows))
    index[list(failed)] = -1
    return Evaluated(texts.take(pa.array(index, mask=index < 0)), failures_of(failed))


def _places(lengths: list[int], failed: dict[int, str], halves: list[int]) -> tuple[Any, Any]:
    """Offsets for rows with so many items each (-1: the row is null), and the null rows.

    Rows with an unpaired surrogate fail.
    """
    sizes = np.array(lengths, np.int64)
    bounds = np.concatenate(([0], np.cumsum(np.maximum(sizes, 0))))
    failed |= dict.fromkeys((np.searchsorted(bounds, halves, side="right") - 1).tolist(), HALF_PAIR)
    missing = sizes < 0
    missing[list(failed)] = True
    return pa.array(bounds.astype(np.int32)), pa.array(missing)


# --- paths ---------------------------------------------------------------------------------

_PATH_SIGNS = frozenset(":$-/@|# _")


@lru_cache(maxsize=512)
def _path(text: str) -> tuple[str, ...]:
    """Parse a path such as ``$.a.b[0]["c d"]`` into its steps.

    Raises:
        ValueError: the text is not such a path.
    """
    if not text.startswith("$"):
        raise ValueError(f"bad JSON path {text!r}: it must begin with $")
    return tuple(_steps(text))


def _steps(text: str) -> Iterator[str]:
    position = 1
    while position < len(text):
        if text[position] == ".":
            end = position + 1
            while end < len(text) and (text[end] in _PATH_SIGNS or text[end].isalnum()):
                end += 1
            step = text[position + 1 : end]
        elif text.startswith('["', position):
            end = position + 2
            characters: list[str] = []
            while end < len(text) and text[end] != '"':
                end += text[end] == "\\"
                characters.append(text[end : end + 1])
                end += 1
            step, end = "".join(characters), end + 2
            if text[end - 2 : end] != '"]':
                raise ValueError(f'bad JSON path {text!r}: a ["..."] is not closed')
            yield step
            position = end
            continue
        elif text[position] == "[":
            end = position + 1
            while end < len(text) and (text[end] in "-_" or text[end].isalnum()):
                end += 1
            step = text[position + 1 : end]
            if text[end : end + 1] != "]":
                raise ValueError(f"bad JSON path {text!r}: a [..] is not closed")
            end += 1
        else:
            step, end = "", position
        if not step:
            raise ValueError(f"bad JSON path {text!r} at position {position + 1}")
        yield step
        position = end


@scalar(
    "EXTRACTJSONFIELD",
    "The value at a path such as $.a.b[0] in a JSON text: a string as it is, any other value as JSON.",
    "(json STRING, path STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def extract_json_field(json: Any, path: Any) -> Evaluated:
    length = length_of((json, path))
    of_all: tuple[str, ...] | None = None
    if is_literal(path) and path.is_valid:
        with suppress(ValueError):  # every row then fails with this error
            of_all = _path(path.as_py())
    json, path = broadcast(json, length), broadcast(path, length)
    json = with_nulls(json, null_mask(path))
    known, paths = (~null_mask(json)).tolist(), path.to_pylist()
    failed: dict[int, str] = {}
    rows: list[int] = []
    made = JsonTextBuilder(bare=True)
    for start, nodes in read_all(json, failed, needs_digits(json)):
        found = []
        for row, node in enumerate(nodes, start):
            if known[row] and node is not MISSING:
                try:
                    node = _at(node, of_all or _path(paths[row]))
                except ValueError as error:
                    failed[row] = str(error)
                    continue
                if node is not MISSING:
                    rows.append(row)
                    found.append(node)
        made.extend(found)
    return _one_each(rows, made, length, failed)


def _at(node: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if type(node) is dict:
            node = node.get(step, MISSING)
        elif type(node) is list and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            return MISSING
    return node


# --- questions and parts -------------------------------------------------------------------


@scalar("IS_JSON_STRING", "Whether a text is JSON.", "(text STRING) -> BOOLEAN", nulls=True, category=CATEGORY)
def is_json_string(text: str | None) -> bool:
    return text is not None and is_json(text)


@scalar(
    "JSON_ARRAY_CONTAINS",
    "Whether a JSON array holds a value.",
    "(json STRING, value T) -> BOOLEAN",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def json_array_contains(json: Datum, value: Datum) -> Column:
    """A number with a fraction or an exponent equals only DOUBLE and DECIMAL values.  Any other number equals only
    integers.
    """
    length = length_of((json, value))
    value = broadcast(value, length)
    if pa.types.is_decimal(value.type):
        texts = value.cast(pa.string()).to_pylist()  # Arrow rounds to DOUBLE in another way
        values = [None if text is None else float(text) for text in texts]
    else:
        values = value.to_pylist()
    holds = np.zeros(length, np.bool_)
    for start, nodes in read_all(broadcast(json, length), {}):
        for row, items in enumerate(nodes, start):
            if type(items) is list and (wanted := values[row]) in items:  # ``in`` is not enough: True is in [1]
                holds[row] = any(type(item) is type(wanted) and item == wanted for item in items)
    return pa.array(holds)


@scalar(
    "JSON_ARRAY_LENGTH",
    "The number of items of a JSON array; null for other JSON.",
    "(json STRING) -> INT",
    style="arrow",
    category=CATEGORY,
)
def json_array_length(json: Column) -> Evaluated:
    failed: dict[int, str] = {}
    lengths: list[int | None] = []
    for _, nodes in read_all(json, failed):
        lengths += [len(node) if type(node) is list else None for node in nodes]
    return Evaluated(pa.array(lengths, pa.int32()), failures_of(failed))


@scalar(
    "JSON_CONCAT",
    "JSON objects merged (the last one wins), or JSON arrays and other values put into one array.",
    "(json STRING, more STRING...) -> STRING",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def json_concat(*json: Datum) -> Evaluated:
    """A null or blank text gives null."""
    length = length_of(json)
    columns = [broadcast(texts, length) for texts in json]
    known = np.flatnonzero(~np.logical_or.reduce([null_mask(texts) for texts in columns]))
    columns = [texts.take(index_array(known)) for texts in columns]
    failures: list[dict[int, str]] = [{} for _ in columns]
    read = [read_all(texts, failed, needs_digits(texts)) for texts, failed in zip(columns, failures, strict=True)]
    lacking: list[int] = []
    made = JsonTextBuilder(bare=False)
    for blocks in zip(*read, strict=True):
        parts = [nodes for _, nodes in blocks]
        if any(Missing in set(map(type, nodes)) for nodes in parts):
            whole = [MISSING not in row for row in zip(*parts, strict=True)]
            lacking += [blocks[0][0] + place for place, is_whole in enumerate(whole) if not is_whole]
            parts = [list(compress(nodes, whole)) for nodes in parts]
        made.extend(_together(parts))
    failed = {int(known[row]): reason for of_column in reversed(failures) for row, reason in of_column.items()}
    return _one_each(np.delete(known, lacking).tolist(), made, length, failed)


def _together(columns: Sequence[list[Any]]) -> list[Any]:
    """Combine the values of each row.  Objects become one object, in which the last of equal keys counts; others one
    array.
    """
    if len(columns) == 1:
        return columns[0]
    kinds = [set(map(type, nodes)) for nodes in columns]
    if all(dict in some for some in kinds):
        if any(len(some) > 1 for some in kinds):
            return [_together([[node] for node in row])[0] for row in zip(*columns, strict=True)]
        return reduce(lambda left, right: list(map(or_, left, right)), columns)
    lists = [
        nodes if some == {list} else [node if type(node) is list else [node] for node in nodes]
        for nodes, some in zip(columns, kinds, strict=True)
    ]
    return reduce(lambda left, right: list(map(add, left, right)), lists)


@scalar(
    "JSON_ITEMS",
    "The items of a JSON array, each as JSON.",
    "(json STRING) -> ARRAY<STRING>",
    style="arrow",
    category=CATEGORY,
)
def json_items(json: Column) -> Evaluated:
    failed: dict[int, str] = {}
    lengths: list[int] = []
    items = JsonTextBuilder(bare=False)
    for _, nodes in read_all(json, failed, needs_digits(json)):
        lengths += [len(node) if type(node) is list else -1 for node in nodes]
        items.extend([item for node in nodes if type(node) is list for item in node])
    texts, halves = items.column()
    offsets, missing = _places(lengths, failed, halves)
    return Evaluated(pa.ListArray.from_arrays(offsets, texts, type=_TEXTS, mask=missing), failures_of(failed))


@scalar(
    "JSON_KEYS",
    "The keys of a JSON object.",
    "(json STRING) -> ARRAY<STRING>",
    style="arrow",
    category=CATEGORY,
)
def json_keys(json: Column) -> Evaluated:
    failed: dict[int, str] = {}
    lengths: list[int] = []
    keys = JsonTextBuilder(bare=True)
    for _, nodes in read_all(json, failed):
        lengths += [len(node) if type(node) is dict else -1 for node in nodes]
        keys.extend([key for node in nodes if type(node) is dict for key in node])
    texts, halves = keys.column()
    offsets, missing = _places(lengths, failed, halves)
    return Evaluated(pa.ListArray.from_arrays(offsets, texts, type=_TEXTS, mask=missing), failures_of(failed))


@scalar(
    "JSON_RECORDS",
    "The keys and values of a JSON object: strings as they are, other values as JSON.",
    "(json STRING) -> MAP<STRING, STRING>",
    style="arrow",
    category=CATEGORY,
)
def json_records(json: Column) -> Evaluated:
    failed: dict[int, str] = {}
    lengths: list[int] = []
    keys, values = JsonTextBuilder(bare=True), JsonTextBuilder(bare=True)
    for _, nodes in read_all(json, failed, needs_digits(json)):
        lengths += [len(node) if type(node) is dict else -1 for node in nodes]
        objects = [node for node in nodes if type(node) is dict]
        keys.extend(list(chain.from_iterable(objects)))
        values.extend(list(chain.from_iterable(map(dict.values, objects))))
    (names, halves), (texts, more_halves) = keys.column(), values.column()
    offsets, missing = _places(lengths, failed, halves + more_halves)
    return Evaluated(map_array(offsets, names, texts, _RECORDS, missing), failures_of(failed))
