"""TO_JSON_STRING: writes SQL values as JSON."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...storage.formats.json_writer import quoted, string_texts
from ...storage.formats.values import storage_type
from ...storage.values.arrow_calls import join_texts
from ...storage.values.number_texts import double_column
from ...storage.values.texts import format_base64
from ..columns.arrow import flat, int64s, null_mask, with_nulls
from ..columns.items import Items, entries_of, items_of, lists_of, sort_numbers, within_rows
from ..java.time_columns import format_dates, format_times, format_timestamps
from .registry import scalar


@scalar(
    "TO_JSON_STRING",
    "A value of any type as JSON.",
    "(value ANY) -> STRING",
    style="arrow",
    nulls=True,
    category="JSON",
)
def to_json_string(value: Any) -> Any:
    """Null is written as ``null``.  Keys of structs and maps are sorted.  Dates and times are written as text, bytes as
    base64.
    """
    return _texts(value).fill_null("null")


def _texts(values: Any) -> Any:
    """Each value as JSON; null where it is null."""
    type_ = values.type
    if pa.types.is_list(type_):
        items = items_of(values)
        return _enclosed("[", _texts(items.columns[0]).fill_null("null"), items, "]")
    if pa.types.is_map(type_):
        return _of_maps(values)
    if pa.types.is_struct(type_):
        return _of_structs(values)
    if pa.types.is_temporal(type_):
        return _quoted(_temporal_texts(values))
    if pa.types.is_string(type_):
        return flat(string_texts(values))
    if pa.types.is_binary(type_):
        encoded = [None if data is None else format_base64(data) for data in values.to_pylist()]
        return _quoted(pa.array(encoded, pa.string()))
    if pa.types.is_floating(type_):
        texts = flat(double_column(values))
        return flat(pc.if_else(pc.is_finite(values), texts, _quoted(texts)))
    return values.cast(pa.string())


def _quoted(texts: Any) -> Any:
    return flat(pc.binary_join_element_wise('"', texts, '"', ""))


def _temporal_texts(values: Any) -> Any:
    if pa.types.is_date32(values.type):
        return format_dates(values, "yyyy-MM-dd")
    if pa.types.is_timestamp(values.type):
        return format_timestamps(values, "yyyy-MM-dd'T'HH:mm:ss.SSS")
    whole_minutes = pa.array(int64s(values) // 1000 % 60 == 0)
    return flat(pc.if_else(whole_minutes, format_times(values, "HH:mm"), format_times(values, "HH:mm:ss")))


def _of_structs(values: Any) -> Any:
    pieces: list[Any] = ["{"]
    for place in sorted(range(values.type.num_fields), key=lambda place: str(values.type[place].name)):
        name = ("," if len(pieces) > 1 else "") + quoted(values.type[place].name) + ":"
        pieces += [name, _texts(pc.struct_field(values, [place])).fill_null("null")]
    return with_nulls(flat(pc.binary_join_element_wise(*pieces, pa.repeat("}", len(values)), "")), null_mask(values))


def _of_maps(values: Any) -> Any:
    entries = entries_of(values)
    keys = _key_texts(entries.columns[0])
    order = pa.array(within_rows(entries.rows, sort_numbers(keys)))
    pairs = pc.binary_join_element_wise(string_texts(keys), _texts(entries.columns[1]).fill_null("null"), ":")
    return _enclosed("{", pairs.take(order), entries, "}")


def _key_texts(keys: Any) -> Any:
    if pa.types.is_string(keys.type):
        return keys
    encoded = keys.cast(storage_type(keys.type)).dictionary_encode()
    return pa.array([str(key) for key in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


def _enclosed(opening: str, texts: Any, of: Items, closing: str) -> Any:
    """The texts of each row, joined with commas."""
    joined = pc.binary_join(lists_of(texts, of.rows, of.missing), ",")
    return flat(join_texts(opening, joined, closing))
