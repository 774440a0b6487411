"""Finds faults in statements typed at a prompt, by asking the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..engine.statements.examine import SyntaxExaminer
from ..errors import PenstockError, StatementError

__all__ = ["STATEMENTS_MAX", "RemoteExaminer"]

STATEMENTS_MAX = 200
"""The largest number of statements in a text that the server checks, since each check sends all of them.  Of a longer text
only the syntax is checked.
"""


class RemoteExaminer:
    """Finds faults by the server's catalog and the session's settings; see `Examiner`.

    Args:
        ask: returns the errors that statements would raise.  It may raise PenstockError.
    """

    def __init__(self, ask: Callable[[Sequence[str]], Sequence[PenstockError]]) -> None:
        self._ask = ask
        self._syntax = SyntaxExaminer()

    def faults(self, statements: Sequence[str], stop: Callable[[], bool] = lambda: False) -> list[StatementError]:
        """See `Examiner.faults`.  If the server does not answer, only syntax errors are found."""
        if not 0 < len(statements) <= STATEMENTS_MAX:
            return self._syntax.faults(statements, stop)
        try:
            found = self._ask(statements)
        except PenstockError:
            return self._syntax.faults(statements, stop)
        return [fault for fault in found if isinstance(fault, StatementError)]
