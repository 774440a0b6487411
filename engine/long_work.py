"""Reports the progress of long work to a listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Advance", "listening", "tell"]


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a statement has come, see `listening`.

    Attributes:
        done, total: how much is done, and how much there is; ``total`` is None if that is not known.
        unit: of both numbers: ``rows`` or ``bytes``.
    """

    done: int
    total: int | None
    unit: str


_LISTENER: ContextVar[Callable[[Advance], None] | None] = ContextVar("penstock_listener", default=None)


@contextmanager
def listening(listener: Callable[[Advance], None]) -> Iterator[None]:
    """Report the progress of the statements that this thread executes in the block.

    Only loading a file (CREATE .. FROM) reports progress.

    Args:
        listener: is called often, and must return quickly.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(done: int, total: int | None, unit: str = "rows") -> None:
    """Report the progress of the current work to the listener, if there is one."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(Advance(done, total, unit))
