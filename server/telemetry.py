"""Traces of requests, by W3C's header ``traceparent`` (Trace Context)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
HEADER = "traceparent"
"""The header's name, in requests and in records."""
_STATE_CHARS_MAX = 512
"""The longest ``tracestate`` that is passed on, in characters: the length that W3C asks for at least."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A request's trace; ``text`` is the header's value."""

    trace_id: str
    span_id: str
    text: str


def trace_of(header: str | None) -> Trace | None:
    """Read a ``traceparent`` header; None if there is none, or if it is not valid by W3C's grammar.

    >>> trace_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").trace_id
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    if header is None:
        return None
    found = _TRACEPARENT.fullmatch(header.strip())
    if found is None or found[1] == "ff" or not int(found[2], 16) or not int(found[3], 16):
        return None
    if found[1] == "00" and header.strip() != found[0][:55]:
        return None
    return Trace(found[2], found[3], header.strip())


def record_headers(headers: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    """The headers of records that a request writes: the request's ``traceparent`` and ``tracestate``.

    >>> record_headers({"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1"})[1]
    ('tracestate', b'a=1')
    """
    trace = trace_of(headers.get(HEADER))
    if trace is None:
        return ()
    state = headers.get("tracestate", "").strip()
    found = [(HEADER, trace.text.encode())]
    if 0 < len(state) <= _STATE_CHARS_MAX:
        found.append(("tracestate", state.encode()))
    return tuple(found)


__all__ = ["HEADER", "Trace", "record_headers", "trace_of"]
