"""Progress reports of long work, for a listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Advance", "listening", "tell"]


@dataclass(frozen=True, slots=True)
class Advance:
    """The progress of something.

    Attributes:
        done, total: in units; total is None if it is not known.
        unit: ``rows``, ``bytes``.
    """

    done: int
    total: int | None
    unit: str


_LISTENER: ContextVar[Callable[[Advance], None] | None] = ContextVar("penstock_listener", default=None)


@contextmanager
def listening(listener: Callable[[Advance], None]) -> Iterator[None]:
    """Inside this context the listener gets the progress of this thread's statements, often; it must return quickly.

    Loading a file (CREATE .. FROM) reports it.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(done: int, total: int | None, unit: str = "rows") -> None:
    """Report the progress of the present work."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(Advance(done, total, unit))
