"""JSON in STRING columns.  Numbers keep their digits; containers are written as compact JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ...storage.formats.values import storage_type
from .calendar import DAY_MS
from .columns import flat, int64s
from .java_text import java_double
from .java_time import format_local
from .java_time_columns import format_dates, format_times, format_timestamps
from .registry import scalar

CATEGORY = "JSON"


class _Missing:
    """What empty text holds: no JSON value, and no error either."""


_MISSING = _Missing()


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)
_FAST_DECODER = msgspec.json.Decoder(float_hook=Decimal)
"""Takes less than `_DECODER` does (no half surrogate pairs), gives the same for what it takes, in a third of the time."""


def parse(text: str) -> Any:
    """A JSON text as None, bool, int, Decimal, str, list or dict, or `_MISSING` for blank text.

    Raises: ValueError, for text that is not JSON.
    """
    try:
        return _FAST_DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    if not text.strip(" \t\r\n"):
        return _MISSING
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error


_ENCODER = msgspec.json.Encoder(decimal_format="number")


def write(value: Any) -> str:
    """Compact JSON of what `parse` gives.  Fractions are written as Java writes BigDecimal, with the digits they had.

    Raises: ValueError, for half a surrogate pair, which no text holds.
    """
    return _ENCODER.encode(value).decode()


# --- paths ---------------------------------------------------------------------------------

_PATH_SIGNS = frozenset(":$-/@|# _")


@lru_cache(maxsize=512)
def _path(text: str) -> tuple[str, ...]:
    """The steps of ``$.a.b[0]["c d"]``.  Raises: ValueError, for other paths."""
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
    "What a path such as $.a.b[0] leads to in a JSON text: a string as it is, anything else as JSON.",
    "(json STRING, path STRING) -> STRING",
    category=CATEGORY,
)
def extract_json_field(text: str, path: str) -> str | None:
    node = parse(text)
    for step in _path(path):
        if isinstance(node, dict):
            if step not in node:
                return None
            node = node[step]
        elif isinstance(node, list):
            if not step.isdecimal() or int(step) >= len(node):
                return None
            node = node[int(step)]
        else:
            return None
    return _text_of(node)


def _text_of(node: Any) -> str | None:
    if node is _MISSING:
        return None
    return node if isinstance(node, str) else write(node)


# --- questions and parts -------------------------------------------------------------------


@scalar("IS_JSON_STRING", "Whether a text is JSON.", "(text STRING) -> BOOLEAN", nulls=True, category=CATEGORY)
def is_json_string(text: str | None) -> bool:
    if text is None:
        return False
    try:
        _FAST_DECODER.decode(text)
        return True
    except msgspec.DecodeError:
        if "\\u" not in text:
            return False  # there are no half surrogate pairs, and so it is JSON to neither decoder
    except (UnicodeEncodeError, RecursionError):
        pass
    try:
        return parse(text) is not _MISSING
    except ValueError:
        return False


@scalar(
    "JSON_ARRAY_CONTAINS",
    "Whether a JSON array holds a value.",
    *(f"(json STRING, value {type_}) -> BOOLEAN" for type_ in ("STRING", "INT", "BIGINT", "DOUBLE", "DECIMAL", "BOOLEAN")),
    nulls=True,
    category=CATEGORY,
)
def json_array_contains(text: str | None, value: Any) -> bool:
    """A number with a fraction or exponent equals DOUBLE and DECIMAL values only, one without them integers only."""
    if text is None:
        return False
    try:
        items = parse(text)
    except ValueError:
        return False
    return isinstance(items, list) and any(_same_json(item, value) for item in items)


def _same_json(item: Any, value: Any) -> bool:
    if isinstance(value, (float, Decimal)):
        return isinstance(item, Decimal) and float(item) == float(value)
    return type(item) is type(value) and bool(item == value)


@scalar(
    "JSON_ARRAY_LENGTH",
    "The number of items of a JSON array; null if it is none.",
    "(json STRING) -> INT",
    category=CATEGORY,
)
def json_array_length(text: str) -> int | None:
    node = parse(text)
    return len(node) if isinstance(node, list) else None


@scalar(
    "JSON_CONCAT",
    "JSON objects merged (the last one wins), or JSON arrays and other values put into one array.",
    "(json STRING, more STRING...) -> STRING",
    nulls=True,
    category=CATEGORY,
)
def json_concat(*texts: str | None) -> str | None:
    """Any null, or blank text, gives null."""
    if None in texts:
        return None
    nodes = [parse(text) for text in texts if text is not None]
    if _MISSING in nodes:
        return None
    if all(isinstance(node, dict) for node in nodes):
        return write({key: value for node in nodes for key, value in node.items()})
    if len(nodes) == 1:
        return write(nodes[0])
    return write([item for node in nodes for item in (node if isinstance(node, list) else [node])])


@scalar("JSON_ITEMS", "The items of a JSON array, each as JSON.", "(json STRING) -> ARRAY<STRING>", category=CATEGORY)
def json_items(text: str) -> list[str] | None:
    node = parse(text)
    return list(map(write, node)) if isinstance(node, list) else None


@scalar("JSON_KEYS", "The keys of a JSON object.", "(json STRING) -> ARRAY<STRING>", category=CATEGORY)
def json_keys(text: str) -> list[str] | None:
    node = parse(text)
    return list(node) if isinstance(node, dict) else None


@scalar(
    "JSON_RECORDS",
    "The keys and values of a JSON object: strings as they are, other values as JSON.",
    "(json STRING) -> MAP<STRING, STRING>",
    category=CATEGORY,
)
def json_records(text: str) -> dict[str, str | None] | None:
    node = parse(text)
    return {key: _text_of(value) for key, value in node.items()} if isinstance(node, dict) else None


# --- writing SQL values --------------------------------------------------------------------


@scalar(
    "TO_JSON_STRING",
    "A value of any type as JSON.",
    "(value ANY) -> STRING",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def to_json_string(value: Any) -> Any:
    """Null is ``null``; keys of structs and maps are sorted; dates and times are text, bytes are base64."""
    type_ = value.type
    if pa.types.is_temporal(type_):
        return flat(pc.binary_join_element_wise('"', _temporal_texts(value), '"', "")).fill_null("null")
    return pa.array([write_typed(item, type_) for item in _plain(value).to_pylist()], pa.string())


def _temporal_texts(values: Any) -> Any:
    """What `_write_primitive` writes between the quotes."""
    if pa.types.is_date32(values.type):
        return format_dates(values, "yyyy-MM-dd")
    if pa.types.is_timestamp(values.type):
        return format_timestamps(values, "yyyy-MM-dd'T'HH:mm:ss.SSS")
    whole_minutes = pa.array(int64s(values) // 1000 % 60 == 0)
    return flat(pc.if_else(whole_minutes, format_times(values, "HH:mm"), format_times(values, "HH:mm:ss")))


def _plain(array: Any) -> Any:
    return (
        array.cast(storage_type(array.type)) if pa.types.is_temporal(array.type) or pa.types.is_nested(array.type) else array
    )


def write_typed(value: Any, type_: Any) -> str:
    """A value of an Arrow type, with temporal values as integers, as JSON."""
    if value is None:
        return "null"
    if pa.types.is_map(type_):
        entries = sorted((str(key), item) for key, item in value)
        return "{" + ",".join(f"{write(key)}:{write_typed(item, type_.item_type)}" for key, item in entries) + "}"
    if pa.types.is_struct(type_):
        fields = sorted(type_, key=lambda field: str(field.name))
        return "{" + ",".join(f"{write(field.name)}:{write_typed(value[field.name], field.type)}" for field in fields) + "}"
    if pa.types.is_list(type_):
        return f"[{','.join(write_typed(item, type_.value_type) for item in value)}]"
    return _write_primitive(value, type_)


def _write_primitive(value: Any, type_: Any) -> str:
    if pa.types.is_binary(type_):
        return write(base64.b64encode(value).decode())
    if pa.types.is_date32(type_):
        return write(format_local("yyyy-MM-dd", value * DAY_MS))
    if pa.types.is_timestamp(type_):
        return write(format_local("yyyy-MM-dd'T'HH:mm:ss.SSS", value))
    if pa.types.is_time32(type_):
        return write(format_local("HH:mm" if value // 1000 % 60 == 0 else "HH:mm:ss", value))
    if isinstance(value, float):
        text = java_double(value)
        return text if text[-1].isdigit() else write(text)
    return write(value)
