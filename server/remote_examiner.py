"""Faults of statements that are typed at a prompt over a server, as the server finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..engine.statements.examine import SyntaxExaminer
from ..errors import PenstockError, StatementError
from .wire import error_of

__all__ = ["STATEMENTS_MAX", "RemoteExaminer"]

STATEMENTS_MAX = 200
"""Statements of a text beyond which only their syntax is checked: each look sends all of them."""


class RemoteExaminer:
    """See `Examiner`: what is wrong with statements, by the server's catalog and the settings of the session here.

    Args:
        ask: the parts of the errors that statements would give.  It may raise: PenstockError.
    """

    def __init__(self, ask: Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]) -> None:
        self._ask = ask
        self._syntax = SyntaxExaminer()

    def faults(self, statements: Sequence[str], stop: Callable[[], bool] = lambda: False) -> list[StatementError]:
        """See `Examiner.faults`.  Those of syntax alone, where the server does not answer."""
        if not 0 < len(statements) <= STATEMENTS_MAX:
            return self._syntax.faults(statements, stop)
        try:
            found = self._ask(statements)
        except PenstockError:
            return self._syntax.faults(statements, stop)
        faults = [error_of({"parts": parts}) for parts in found]
        return [fault for fault in faults if isinstance(fault, StatementError)]
