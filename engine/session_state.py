"""The state of one session: properties, variables, the position of ASSERT VALUES, and results that are still being read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol
from weakref import WeakSet

from ..errors import StatementError, unwritable
from ..grammar.substitute import is_variable_name
from .settings import Settings


class Closeable(Protocol):
    """A result that is read while its query runs."""

    def close(self) -> None: ...


class SessionState:
    """The state of one session.

    Other threads never see a change in part: mappings are replaced, and not changed.

    Args:
        settings: the session's properties.
        variables: the initial variables.
        user: the user's name; None if it is not known.
        headers: the headers of every record that the session writes by INSERT, DELETE and `insert`.

    Raises:
        StatementError: a variable's name is not valid, or its value is not a text; or a header's name cannot be written.
    """

    def __init__(
        self,
        settings: Settings,
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        for name, _ in headers:
            if (refused := unwritable(name)) is not None:
                raise StatementError(f"the name of a header holds {refused}")
        self.settings = settings
        self.user = user
        self.headers = tuple(headers)
        self.closed = False
        self.asserted: dict[str, int] = {}
        """For each topic, the place in the log's order of the record that the last ASSERT VALUES compared."""
        self.frames: dict[str, Any] = {}
        """Arrow tables registered by the program, by name in lower case."""
        self.reading: WeakSet[Closeable] = WeakSet()
        self._variables: Mapping[str, str] = MappingProxyType({})
        for name, value in (variables or {}).items():
            self.define(name, value)

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables by name, in upper case."""
        return self._variables

    def define(self, name: str, value: str) -> None:
        """DEFINE: set a variable.

        Raises:
            StatementError: the name is not valid, or the value is not a text.
        """
        if not isinstance(name, str) or not is_variable_name(name):
            raise StatementError(f"a variable cannot be called {name}", suggestion="Use letters, digits, _ and @.")
        if not isinstance(value, str):
            raise StatementError(f"the variable {name} must be text, not {type(value).__name__}")
        self._variables = MappingProxyType({**self._variables, name.upper(): value})

    def undefine(self, name: str) -> bool:
        """UNDEFINE: remove a variable.  Returns whether it existed."""
        known = name.upper() in self._variables
        self._variables = MappingProxyType({n: v for n, v in self._variables.items() if n != name.upper()})
        return known

    def close(self) -> None:
        """Close the results that are still being read."""
        self.closed = True
        for result in list(self.reading):
            result.close()
