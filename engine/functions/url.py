"""URLs, by the rules of Java's ``URI`` (RFC 2396, other than ASCII letters allowed)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import Evaluated, Failures
from .columns import ascii_rows, flat, length_of, null_mask, row_by_row, spread, with_nulls
from .registry import scalar

CATEGORY = "URL"

_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_ILLEGAL = re.compile(r"""[\x00-\x20\x7f-\xa0"<>\\^`{|}]|%(?![0-9A-Fa-f]{2})""")
_SERVER = re.compile(r"(?:[^@]*@)?([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.%\w]+\])(?::(\d*))?")


@dataclass(frozen=True, slots=True)
class _Url:
    """The parts of a URL, decoded; None where it has no such part."""

    scheme: str | None
    host: str | None
    port: int | None
    path: str | None
    query: str | None
    fragment: str | None


def _url(text: str) -> _Url:
    """Raises: ValueError, for text that is not a URL."""
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
    r"\A(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^@/?#]*@)?(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9.])?)"
    r"(?P<port>:[0-9]{0,5})?(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#[^#]*)?\z"
)
"""Most URLs, for Arrow's regular expressions (of ASCII): what it matches `_url` takes apart in the same way."""
_ILLEGAL_ASCII = r"""[\x00-\x20\x7f"<>\\^`{|}]|%[^0-9A-Fa-f]|%[0-9A-Fa-f][^0-9A-Fa-f]|%[0-9A-Fa-f]?\z"""


def _define_part(name: str, meaning: str, part: str) -> None:
    def function(url: Any) -> Evaluated:
        return _part_of(url, part)

    type_ = "INT" if part == "port" else "STRING"
    scalar(name, meaning, f"(url STRING) -> {type_}", style="arrow", category=CATEGORY)(function)


def _part_of(url: Any, part: str) -> Evaluated:
    """A part of all URLs: of those that are plain at once, of the others one by one."""
    illegal = flat(pc.match_substring_regex(url, _ILLEGAL_ASCII)).fill_null(True)
    matched = flat(pc.extract_regex(url, _PLAIN))
    plain = ascii_rows(url) & ~null_mask(matched) & ~np.asarray(illegal.to_numpy(zero_copy_only=False), np.bool_)
    none = pa.scalar(None, pa.string())
    texts = flat(pc.if_else(pa.array(plain), matched.field(matched.type.get_field_index(part)), none))
    if part in ("port", "query", "fragment"):
        texts = flat(pc.utf8_slice_codeunits(pc.if_else(pc.equal(texts, ""), none, texts), 1))
    if part == "port":
        values = flat(pc.if_else(pc.equal(texts, ""), none, texts)).cast(pa.int32())
    else:
        values = texts if part in ("scheme", "host") else _decoded_column(texts)
    rows = np.flatnonzero(~plain & ~null_mask(url))
    if not len(rows):
        return Evaluated(values)
    slow = row_by_row(lambda text: getattr(_url(text), part), values.type, url.take(pa.array(rows)))
    failures = slow.failures and Failures(rows[slow.failures.rows], slow.failures.reasons)
    return Evaluated(flat(pc.replace_with_mask(values, pa.array(~plain & ~null_mask(url)), slow.values)), failures)


def _decoded_column(texts: Any) -> Any:
    escaped = flat(pc.match_substring(texts, "%")).fill_null(False)
    if not pc.any(escaped).as_py():
        return texts
    decoded = pa.array([_decoded(text) for text in texts.filter(escaped).to_pylist()], pa.string())
    return flat(pc.replace_with_mask(texts, escaped, decoded))


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
def url_extract_parameter(url: Any, name: Any) -> Evaluated:
    length = length_of((url, name))
    queries = _part_of(with_nulls(spread(url, length), null_mask(spread(name, length))), "query")
    found = row_by_row(_parameter, pa.string(), queries.values, name)
    return Evaluated(found.values, queries.failures)


def _parameter(query: str, name: str) -> str | None:
    for parameter in query.split("&"):
        found, _, value = parameter.partition("=")
        if found == name and parameter:
            return value
    return None


_FORM_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-*")
_FORM = {byte: chr(byte) if byte in _FORM_SAFE else "+" if byte == 32 else f"%{byte:02X}" for byte in range(256)}
"""How form encoding writes each byte."""
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@scalar("URL_ENCODE_PARAM", "The text as a parameter of a URL's query.", "(text STRING) -> STRING", category=CATEGORY)
def url_encode_param(text: str) -> str:
    """Java's form encoding: ``~`` is written in hexadecimal, ``*`` as it is."""
    return (text if text.isascii() else text.encode().decode("latin-1")).translate(_FORM)


@scalar("URL_DECODE_PARAM", "The text of a parameter of a URL's query.", "(text STRING) -> STRING", category=CATEGORY)
def url_decode_param(text: str) -> str:
    """Raises: ValueError, for a % without two hexadecimal digits."""
    if "%" not in text:
        return text.replace("+", " ")
    if _BAD_ESCAPE.search(text):
        raise ValueError(f"a % must be followed by two hexadecimal digits: {text!r}")
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")
