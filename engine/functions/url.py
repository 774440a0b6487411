"""URLs, by the rules of Java's ``URI`` (RFC 2396, other than ASCII letters allowed)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_to_bytes

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


@scalar("URL_EXTRACT_PROTOCOL", "The protocol of a URL.", "(url STRING) -> STRING", category=CATEGORY)
def url_extract_protocol(url: str) -> str | None:
    return _url(url).scheme


@scalar("URL_EXTRACT_HOST", "The host of a URL.", "(url STRING) -> STRING", category=CATEGORY)
def url_extract_host(url: str) -> str | None:
    return _url(url).host


@scalar("URL_EXTRACT_PORT", "The port in a URL.", "(url STRING) -> INT", category=CATEGORY)
def url_extract_port(url: str) -> int | None:
    return _url(url).port


@scalar("URL_EXTRACT_PATH", "The path of a URL.", "(url STRING) -> STRING", category=CATEGORY)
def url_extract_path(url: str) -> str | None:
    return _url(url).path


@scalar("URL_EXTRACT_QUERY", "The query of a URL.", "(url STRING) -> STRING", category=CATEGORY)
def url_extract_query(url: str) -> str | None:
    return _url(url).query


@scalar("URL_EXTRACT_FRAGMENT", "The fragment of a URL.", "(url STRING) -> STRING", category=CATEGORY)
def url_extract_fragment(url: str) -> str | None:
    return _url(url).fragment


@scalar(
    "URL_EXTRACT_PARAMETER",
    "A parameter in the query of a URL; empty, for a name without a value.",
    "(url STRING, name STRING) -> STRING",
    category=CATEGORY,
)
def url_extract_parameter(url: str, name: str) -> str | None:
    for parameter in (_url(url).query or "").split("&"):
        found, _, value = parameter.partition("=")
        if found == name and parameter:
            return value
    return None


@scalar("URL_ENCODE_PARAM", "The text as a parameter of a URL's query.", "(text STRING) -> STRING", category=CATEGORY)
def url_encode_param(text: str) -> str:
    """Java's form encoding: ``~`` is written in hexadecimal, ``*`` as it is."""
    return quote_plus(text, safe="*").replace("~", "%7E")


@scalar("URL_DECODE_PARAM", "The text of a parameter of a URL's query.", "(text STRING) -> STRING", category=CATEGORY)
def url_decode_param(text: str) -> str:
    """Raises: ValueError, for a % without two hexadecimal digits."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError(f"a % must be followed by two hexadecimal digits: {text!r}")
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")
