"""What belongs to whoever is connected: settings, variables, the place of ASSERT VALUES, and what is still being read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol
from weakref import WeakSet

from ..errors import StatementError
from ..grammar.substitute import is_variable_name
from .settings import Settings


class Closeable(Protocol):
    """A result that is read while its query goes on."""

    def close(self) -> None: ...


class SessionState:
    """The state of one session.

    Readers of another thread see each change whole: mappings are replaced, never changed.

    Args:
        settings: the session's own.
        variables: what is defined from the start.
        user: who is connected; None where nobody asked.
        headers: of every record that the session writes by INSERT, DELETE and `insert`.

    Raises:
        StatementError: a variable cannot be called so, or its value is no text.
    """

    def __init__(
        self,
        settings: Settings,
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        self.settings = settings
        self.user = user
        self.headers = tuple(headers)
        self.closed = False
        self.asserted: dict[str, int] = {}
        """Per topic, the arrival of the record that the last ASSERT VALUES looked at."""
        self.frames: dict[str, Any] = {}
        """Arrow tables that the program has registered, by name in lower case."""
        self.reading: WeakSet[Closeable] = WeakSet()
        self._variables: Mapping[str, str] = MappingProxyType({})
        for name, value in (variables or {}).items():
            self.define(name, value)

    @property
    def variables(self) -> Mapping[str, str]:
        """By name, in upper case."""
        return self._variables

    def define(self, name: str, value: str) -> None:
        """DEFINE.  Raises: StatementError, for a name that no variable can have, or a value that is no text."""
        if not isinstance(name, str) or not is_variable_name(name):
            raise StatementError(f"a variable cannot be called {name}", suggestion="Use letters, digits, _ and @.")
        if not isinstance(value, str):
            raise StatementError(f"the variable {name} is text, not {type(value).__name__}")
        self._variables = MappingProxyType({**self._variables, name.upper(): value})

    def undefine(self, name: str) -> bool:
        """UNDEFINE; whether there was such a variable."""
        known = name.upper() in self._variables
        self._variables = MappingProxyType({n: v for n, v in self._variables.items() if n != name.upper()})
        return known

    def close(self) -> None:
        """End what the session still reads."""
        self.closed = True
        for result in list(self.reading):
            result.close()
