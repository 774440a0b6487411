"""Traces: W3C's ``traceparent`` of a request."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
HEADER = "traceparent"
"""The name of the header of requests, and of records."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A request's place in a trace; ``text`` is the header as it came."""

    trace_id: str
    span_id: str
    text: str


def trace_of(header: str | None) -> Trace | None:
    """The trace that a traceparent header names; None for none, or for one that W3C's grammar does not have.

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


__all__ = ["HEADER", "Trace", "trace_of"]
