"""Refuses calls in a process that was forked from the one that opened a database.

Such a child has the memory but neither the threads nor a right to the files: what both wrote would be in the same places.
So calls in the child are refused, and the parent's database stays whole.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from ..errors import StorageError

__all__ = ["Origin", "on_fork"]


class Inherited(Protocol):
    """Something that a child must release."""

    def forked(self) -> None:
        """Called in the child, which has one thread; locks that other threads held are never released."""


_generation = 0
"""How many forks are between this process and the one that imported this module."""
_inherited: weakref.WeakSet[Inherited] = weakref.WeakSet()


def on_fork(thing: Inherited) -> None:
    """Have ``thing.forked()`` called in children for as long as ``thing`` exists."""
    _inherited.add(thing)


def _in_child() -> None:
    global _generation
    _generation += 1
    for thing in list(_inherited):
        thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


class Origin:
    """The process that created something."""

    __slots__ = ("_generation", "pid")

    def __init__(self) -> None:
        self._generation = _generation
        self.pid = os.getpid()

    @property
    def foreign(self) -> bool:
        """Whether this process is a child of it."""
        return self._generation != _generation

    def check(self, root: str) -> None:
        """Raises: StorageError, in a child."""
        if self._generation != _generation:
            raise StorageError(
                f"this process was forked from process {self.pid}, which has the database open: a child cannot use it",
                path=root,
                action="open databases after the fork, or start processes with multiprocessing's 'spawn' or 'forkserver'; "
                "in the parent the database is as it was",
            )
