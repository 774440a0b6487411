"""JSON texts of whole columns, built by Arrow: each value becomes a text, each record a join of texts.

Numbers are in Java's notation (``1.0E10``).  Decimals have no exponent and all digits of their scale.  NaN and the
infinities are texts, since JSON has no numbers for them.  BYTES are base64; DATE is days, TIME and TIMESTAMP milliseconds.
A MAP whose keys are not STRING is an array of ``[key, value]`` pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.json_objects import objects
from ..values.arrow_calls import Column, join_texts, null_is_false
from ..values.number_texts import decimal_column, double_column
from ..values.texts import format_base64
from .values import plain_array, storage_type

_MUST_ESCAPE = r'["\\\x00-\x1f]'


def json_column(column: Column) -> Column:
    """string[n]: the JSON text of each value, ``null`` for null."""
    array = plain_array(column)
    type_ = array.type
    if pa.types.is_map(type_):
        return _map_texts(array)
    if pa.types.is_list(type_):
        return _wrapped_lists(array, json_column(array.values), "[", "]")
    if pa.types.is_struct(type_):
        texts = json_objects([field.name for field in type_], array.flatten(), len(array))
        return pc.if_else(array.is_valid(), texts, "null")
    return _primitive(array).fill_null("null")


def json_objects(names: Sequence[str], columns: Sequence[Column], count: int) -> Column:
    """string[n]: one JSON object per row, from columns of values."""
    if not names:
        return pa.array(["{}"] * count, pa.string())
    befores = [(("," if i else "{") + quoted(name) + ":").encode() for i, name in enumerate(names)]
    arrays = [plain_array(column) for column in columns]
    plain = [pa.types.is_string(array.type) for array in arrays]
    values = [array if text or pa.types.is_int64(array.type) else json_column(array) for array, text in zip(arrays, plain)]
    return objects(befores, values, plain, count)


def objects_of_texts(names: Sequence[str], texts: Sequence[Column], count: int) -> Column:
    """string[n]: one JSON object per row, from columns of JSON texts."""
    pieces: list[Column] = []
    for i, (name, column) in enumerate(zip(names, texts)):
        pieces += [("," if i else "{") + quoted(name) + ":", column]
    return pc.binary_join_element_wise(*pieces, "}", "") if pieces else pa.array(["{}"] * count, pa.string())


def quoted(text: str) -> str:
    """A text as a JSON string."""
    return msgspec.json.encode(text).decode("utf-8")


def _primitive(array: Column) -> Column:
    type_ = array.type
    stored = storage_type(type_)
    if pa.types.is_integer(stored):
        return (array if stored == type_ else array.view(stored)).cast(pa.string())
    if pa.types.is_boolean(type_):
        return pc.if_else(array, "true", "false")
    if pa.types.is_string(type_):
        return string_texts(array)
    if pa.types.is_floating(type_):
        texts = double_column(array)
        unusual = null_is_false(pc.invert(pc.is_finite(array)))
        return pc.if_else(unusual, join_texts('"', texts, '"'), texts) if pc.any(unusual).as_py() else texts
    if pa.types.is_binary(type_):
        return pa.array([None if v is None else f'"{format_base64(v)}"' for v in array.to_pylist()], pa.string())
    return decimal_column(array)


def string_texts(array: Column) -> Column:
    r"""Each text as a JSON string; null stays null.

    >>> string_texts(pa.array(["a", 'say "b"'])).to_pylist()
    ['"a"', '"say \\"b\\""']
    """
    plain = pc.binary_join_element_wise('"', array, '"', "")
    special = null_is_false(pc.match_substring_regex(array, _MUST_ESCAPE))
    if not pc.any(special).as_py():
        return plain
    escaped = pa.array([quoted(text) for text in array.filter(special).to_pylist()], pa.string())
    return pc.replace_with_mask(plain, special, escaped)


def _wrapped_lists(array: Column, texts: Column, opening: str, closing: str) -> Column:
    """Joins the texts of the items of each list; ``array`` gives the offsets and the nulls."""
    lists = pa.ListArray.from_arrays(pa.array(array.offsets.to_numpy().astype(np.int32)), texts)
    joined = pc.binary_join(lists, ",")
    return pc.if_else(array.is_valid(), join_texts(opening, joined, closing), "null")


def _map_texts(array: Column) -> Column:
    values = json_column(array.items)
    if pa.types.is_string(array.type.key_type):
        return _wrapped_lists(array, pc.binary_join_element_wise(string_texts(array.keys), values, ":"), "{", "}")
    pairs = pc.binary_join_element_wise("[", json_column(array.keys), ",", values, "]", "")
    return _wrapped_lists(array, pairs, "[", "]")
