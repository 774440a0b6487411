"""SPLIT and SPLIT_TO_MAP: split texts and bytes at delimiters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import Evaluated
from ...storage.values.arrow_calls import index_array, map_array
from ..columns.arrow import Int64s, by_setting, flat, int64s, is_literal, null_mask, nulls, row_by_row
from ..columns.kinds import Column, Datum, PythonValue
from ..java.text import from_units, to_units
from .registry import scalar

CATEGORY = "STRING"

_SPLIT = "The pieces between delimiters, empty ones included; the single characters (or bytes), for an empty delimiter."


@scalar("SPLIT", _SPLIT, "(text STRING, delimiter STRING) -> ARRAY<STRING>", style="arrow", category=CATEGORY)
@scalar("SPLIT", _SPLIT, "(bytes BYTES, delimiter BYTES) -> ARRAY<BYTES>", style="arrow", category=CATEGORY)
def split(text: Datum, delimiter: Datum) -> Evaluated:
    kind = pa.list_(text.type)
    if is_literal(delimiter) and delimiter.as_py() and isinstance(text, pa.Array):
        return Evaluated(flat(pc.split_pattern(text, pattern=delimiter.as_py())).cast(kind))
    return row_by_row(_pieces, kind, text, delimiter)


def _pieces(text: Any, delimiter: str | bytes) -> list[PythonValue]:
    if delimiter:
        return list(text.split(delimiter))
    if isinstance(text, bytes):
        return [text[i : i + 1] for i in range(len(text))] or [b""]
    units = to_units(text)
    return (list(text) if units is text else [from_units(unit) for unit in units]) or [""]


_ENTRIES = pa.map_(pa.string(), pa.string())


@scalar(
    "SPLIT_TO_MAP",
    "Keys and values read from text such as a=1;b=2; the last of equal keys counts.",
    "(text STRING, entry_delimiter STRING, value_delimiter STRING) -> MAP<STRING, STRING>",
    style="arrow",
    category=CATEGORY,
)
def split_to_map(text: Datum, entry_delimiter: Datum, value_delimiter: Datum) -> Evaluated:
    return by_setting(_maps, _map, _ENTRIES, text, entry_delimiter, value_delimiter)


def _map(text: str, entry_delimiter: str, value_delimiter: str) -> dict[str, str] | None:
    """Entries without a value delimiter are left out.  Empty or equal delimiters give null."""
    if not entry_delimiter or not value_delimiter or entry_delimiter == value_delimiter:
        return None
    entries = (entry.split(value_delimiter) for entry in text.split(entry_delimiter))
    return {pieces[0]: pieces[1] for pieces in entries if len(pieces) > 1}


def _maps(texts: Any, entry_delimiter: str, value_delimiter: str) -> Evaluated:
    """`_map` for each row."""
    if not entry_delimiter or not value_delimiter or entry_delimiter == value_delimiter:
        return Evaluated(nulls(_ENTRIES, len(texts)))
    lists: Any = flat(pc.split_pattern(texts, pattern=entry_delimiter))
    entries, parents = lists.flatten(), flat(pc.list_parent_indices(lists))
    valued = pc.match_substring(entries, pattern=value_delimiter)
    rows = int64s(parents.filter(valued))
    pieces = flat(pc.split_pattern(entries.filter(valued), pattern=value_delimiter, max_splits=2))
    keys, values = (flat(pc.list_element(pieces, place)) for place in (0, 1))
    first, last = _first_and_last(rows, keys)
    bounds = np.concatenate(([0], np.cumsum(np.bincount(rows[first], minlength=len(texts))))).astype(np.int32)
    missing = pa.array(null_mask(texts)) if texts.null_count else None
    keys, values = keys.take(index_array(first)), values.take(index_array(last))
    return Evaluated(map_array(pa.array(bounds), keys, values, _ENTRIES, missing))


def _first_and_last(rows: Int64s, keys: Column) -> tuple[Int64s, Int64s]:
    """For each key of each row, in order, the positions where it first and last occurs."""
    encoded = keys.dictionary_encode()
    entries = rows * len(encoded.dictionary) + int64s(encoded.indices)
    distinct, first = np.unique(entries, return_index=True)
    if len(distinct) == len(entries):
        return np.arange(len(entries)), np.arange(len(entries))
    last = len(entries) - 1 - np.unique(entries[::-1], return_index=True)[1]
    order = np.argsort(first)
    return first[order], last[order]
