"""URLs, by the rules of Java's ``URI`` (RFC 2396, with non-ASCII letters allowed)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import Evaluated, Failures
from ...storage.values.arrow_calls import index_array
from ..columns.arrow import (
    Bools,
    Int64s,
    ascii_rows,
    broadcast,
    by_setting,
    flat,
    length_of,
    null_mask,
    nulls,
    row_by_row,
    text_bytes,
    with_nulls,
)
from ..columns.bytes import Bytes, byte_bounds, first_at, pieces
from ..columns.kinds import Column, Datum
from .percent import decoded, form_encoded
from .registry import scalar

CATEGORY = "URL"

_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_ILLEGAL = re.compile(r"""[\x00-\x20\x7f-\xa0"<>\\^`{|}]|%(?![0-9A-Fa-f]{2})""")
_SERVER = re.compile(r"(?:[^@]*@)?([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.%\w]+\])(?::(\d*))?")


@dataclass(frozen=True, slots=True)
class _Url:
    """The decoded parts of a URL.  A part that is missing is None."""

    scheme: str | None
    host: str | None
    port: int | None
    path: str | None
    query: str | None
    fragment: str | None


def _url(text: str) -> _Url:
    """Split a URL.

    Raises:
        ValueError: the text is not a URL.
    """
    match = _PARTS.fullmatch(text)
    if match is None or _ILLEGAL.search(text) or "#" in (match[5] or ""):
        raise ValueError(f"not a URL: {text!r}")
    scheme, authority, path, query, fragment = match.groups()
    if scheme is None and authority is None and ":" in path.split("/")[0]:
        raise ValueError(f"not a URL: {text!r}")
    if scheme is not None and authority is None and not path and query is None:
        raise ValueError(f"not a URL: {text!r}")
    if scheme is not None and authority is None and not path.startswith("/"):
        return _Url(scheme, None, None, None, None, _decoded(fragment))
    server = _SERVER.fullmatch(authority or "")
    host, port = (server[1], int(server[2]) if server[2] else None) if server else (None, None)
    return _Url(scheme, host, port, _decoded(path), _decoded(query), _decoded(fragment))


def _decoded(part: str | None) -> str | None:
    return part if part is None or "%" not in part else unquote_to_bytes(part).decode("utf-8", "replace")


# --- columns of URLs -----------------------------------------------------------------------

_PLAIN = (
    r"\A[A-Za-z][A-Za-z0-9+.-]*://(?:[^@/?#]*@)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9.])?"
    r"(?::[0-9]{0,5})?(?:/[^?#]*)?(?:\?[^#]*)?(?:#[^#]*)?\z"
)
"""Regular expressions of Arrow that match most (ASCII) URLs, and split them as `_url` does."""
_ILLEGAL_ASCII = r"""[\x00-\x20\x7f"<>\\^`{|}]|%[^0-9A-Fa-f]|%[0-9A-Fa-f][^0-9A-Fa-f]|%[0-9A-Fa-f]?\z"""


def _define_part(name: str, meaning: str, part: str) -> None:
    def function(url: Column) -> Evaluated:
        return _part_of(url, part)

    type_ = "INT" if part == "port" else "STRING"
    scalar(name, meaning, f"(url STRING) -> {type_}", style="arrow", category=CATEGORY)(function)


def _part_of(url: Column, part: str) -> Evaluated:
    """One part of all URLs.  Plain URLs are split at once, the others one by one."""
    missing = null_mask(url)
    plain = ~missing & ascii_rows(url) & _true(pc.match_substring_regex(url, _PLAIN))
    plain &= ~_true(pc.match_substring_regex(url, _ILLEGAL_ASCII))
    data, bounds = text_bytes(url), byte_bounds(url)
    begins, ends = _PLACES[part](data, bounds[:-1], bounds[1:])
    absent = begins >= ends if part == "port" else begins > ends
    values = pieces(data, begins, ends, ~plain | absent)
    if part == "port":
        values = values.cast(pa.int32())
    elif part not in ("scheme", "host"):
        values, _ = decoded(values)
    rows = np.flatnonzero(~plain & ~missing)
    if not len(rows):
        return Evaluated(values)
    slow = row_by_row(lambda text: getattr(_url(text), part), values.type, url.take(index_array(rows)))
    failures = slow.failures and Failures(rows[slow.failures.rows], slow.failures.reasons)
    return Evaluated(flat(pc.replace_with_mask(values, pa.array(~plain & ~missing), slow.values)), failures)


def _true(answers: Column) -> Bools:
    return np.asarray(flat(answers).fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


# The functions below find the parts of plain URLs.  If a sign introduces a part, the part begins after the sign.  A missing
# part begins after its end.  The results for URLs that are not plain have no meaning.

_Places = tuple[Int64s, Int64s]


def _scheme(data: Bytes, begins: Int64s, ends: Int64s) -> _Places:
    return begins, first_at(data, _COLON, begins, ends)


def _authority(data: Bytes, begins: Int64s, ends: Int64s) -> _Places:
    start = np.minimum(_scheme(data, begins, ends)[1] + len("://"), ends)
    query = _query(data, begins, ends)[0] - 1
    return start, first_at(data, _SLASH, start, query)


def _host(data: Bytes, begins: Int64s, ends: Int64s) -> _Places:
    start, end = _authority(data, begins, ends)
    sign = first_at(data, _AT, start, end)
    start = np.where(sign < end, sign + 1, start)
    return start, first_at(data, _COLON, start, end)


def _port(data: Bytes, begins: Int64s, ends: Int64s) -> _Places:
    return _host(data, begins, ends)[1] + 1, _authority(data, begins, ends)[1]


def _path_of(data: Bytes, begins: Int64s, ends: Int64s) -> _Places:
    return _authority(data, begins, ends)[1], _query(data, begins, ends)[0] - 1


def _query(data: Bytes, begins: Int64s, ends: Int64s) -> _Places:
    end = first_at(data, _HASH, begins, ends)
    return first_at(data, _QUESTION, begins, end) + 1, end


def _fragment(data: Bytes, begins: Int64s, ends: Int64s) -> _Places:
    return first_at(data, _HASH, begins, ends) + 1, ends


_COLON, _SLASH, _AT, _QUESTION, _HASH = b":/@?#"
_PLACES: dict[str, Callable[[Bytes, Int64s, Int64s], _Places]] = {
    "scheme": _scheme,
    "host": _host,
    "port": _port,
    "path": _path_of,
    "query": _query,
    "fragment": _fragment,
}


_define_part("URL_EXTRACT_PROTOCOL", "The protocol of a URL.", "scheme")
_define_part("URL_EXTRACT_HOST", "The host of a URL.", "host")
_define_part("URL_EXTRACT_PORT", "The port in a URL.", "port")
_define_part("URL_EXTRACT_PATH", "The path of a URL.", "path")
_define_part("URL_EXTRACT_QUERY", "The query of a URL.", "query")
_define_part("URL_EXTRACT_FRAGMENT", "The fragment of a URL.", "fragment")


@scalar(
    "URL_EXTRACT_PARAMETER",
    "A parameter in the query of a URL; empty, for a name without a value.",
    "(url STRING, name STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def url_extract_parameter(url: Datum, name: Datum) -> Evaluated:
    length = length_of((url, name))
    queries = _part_of(with_nulls(broadcast(url, length), null_mask(broadcast(name, length))), "query")
    found = by_setting(_parameters, _parameter, pa.string(), queries.values, name)
    return Evaluated(found.values, queries.failures)


def _parameters(queries: Column, name: str) -> Evaluated:
    if "=" in name or "&" in name:
        return Evaluated(nulls(pa.string(), len(queries)))
    value = r"=(?P<value>[^&]*)" if name == "" else r"(?:=(?P<value>[^&]*))?"
    literal = "".join(c if c.isalnum() and c.isascii() else f"\\x{{{ord(c):x}}}" for c in name)
    return Evaluated(flat(pc.struct_field(pc.extract_regex(queries, rf"(?s)(?:\A|&){literal}{value}(?:&|\z)"), "value")))


def _parameter(query: str, name: str) -> str | None:
    for parameter in query.split("&"):
        found, _, value = parameter.partition("=")
        if found == name and parameter:
            return value
    return None


@scalar(
    "URL_ENCODE_PARAM",
    "The text as a parameter of a URL's query.",
    "(text STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def url_encode_param(text: Column) -> Column:
    return form_encoded(text)


@scalar(
    "URL_DECODE_PARAM",
    "The text of a parameter of a URL's query.",
    "(text STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def url_decode_param(text: Column) -> Evaluated:
    """A row fails if it has a % without two hexadecimal digits."""
    values, bad = decoded(text, form=True)
    if not bad.any():
        return Evaluated(values)
    texts = text.filter(pa.array(bad)).to_pylist()
    reasons = tuple(f"a % must be followed by two hexadecimal digits: {given!r}" for given in texts)
    return Evaluated(with_nulls(values, bad), Failures(np.flatnonzero(bad), reasons))
