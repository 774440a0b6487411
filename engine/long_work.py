"""What takes long says how far it is, to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Advance", "listening", "tell"]


@dataclass(frozen=True, slots=True)
class Advance:
    """How far something is.

    Attributes:
        done, total: in units; total is None where nobody knows.
        unit: ``rows``, ``bytes``.
    """

    done: int
    total: int | None
    unit: str


_LISTENER: ContextVar[Callable[[Advance], None] | None] = ContextVar("penstock_listener", default=None)


@contextmanager
def listening(listener: Callable[[Advance], None]) -> Iterator[None]:
    """Meanwhile the listener is told how far this thread's statements are, often; it is to return quickly.

    Loading a file (CREATE .. FROM) tells it.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(done: int, total: int | None, unit: str = "rows") -> None:
    """Say how far the work in hand is."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(Advance(done, total, unit))
