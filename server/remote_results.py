"""Results of a server that go on after the request: the output of PRINT, and persistent queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote

from ..engine.catalog import Catalog
from ..engine.results import Message, Result
from ..runtime.metrics import Progress
from .remote_connection import Reader, RemoteConnection
from .wire import progress_of

if TYPE_CHECKING:
    import httpx

_Read = TypeVar("_Read")


class _Database(Protocol):
    """The methods of `RemoteDatabase` that this module uses."""

    _server: RemoteConnection

    @property
    def catalog(self) -> Catalog: ...

    def execute(self, text: str) -> list[Result]: ...


class RemotePrint:
    """The output of PRINT as lines for people; see `PrintResult`.

    Args:
        reached: the context in which the answer is read, see `RemoteConnection.reached`.

    Attributes:
        limited, limit_reached: whether there is a LIMIT, and whether it has been reached.
    """

    def __init__(
        self, answer: httpx.Response, limit: int | None, reached: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._answer = answer
        self._reached = reached
        self._limit = limit
        self.limited = limit is not None
        self.limit_reached = False

    @property
    def tail(self) -> RemotePrint:
        return self

    def __iter__(self) -> Iterator[str]:
        """Yield the records as lines, since a server sends them as text."""
        return (line for line in self.lines() if line.startswith("rowtime: "))

    def __repr__(self) -> str:
        return "<PRINT: iterate it for its records>"

    def lines(self) -> Iterator[str]:
        """Yield a line for each record, as records come."""
        records = 0
        lines = self._answer.iter_lines()
        while True:
            with self._reached():
                line = next(lines, None)
            if line is None:
                return
            records += line.startswith("rowtime: ")
            self.limit_reached = records == self._limit
            yield line

    def close(self) -> None:
        """Stop the output."""
        self._answer.close()


class RemoteQuery:
    """A persistent query on a server; see `QueryHandle`."""

    def __init__(self, database: _Database, id: str) -> None:
        self.database = database
        self.id = id

    @property
    def state(self) -> str:
        return self.progress().state

    @property
    def lag(self) -> int:
        return self.progress().lag

    @property
    def statement(self) -> str:
        return self.database.catalog.queries[self.id].statement

    def progress(self) -> Progress:
        """See `QueryHandle.progress`."""
        return self._facts(lambda found: progress_of(found["progress"]))

    def explain(self) -> str:
        """The query's plan."""
        return self._facts(lambda found: str(found["plan"]))

    def _facts(self, read: Reader[_Read]) -> _Read:
        return self.database._server.get(f"/v1/queries/{quote(self.id, safe='')}", read)

    def pause(self) -> Message:
        return self._control("PAUSE")

    def resume(self) -> Message:
        return self._control("RESUME")

    def terminate(self) -> Message:
        return self._control("TERMINATE")

    def _control(self, action: str) -> Message:
        (message,) = self.database.execute(f"{action} `{self.id}`;")
        assert isinstance(message, Message)
        return message


__all__ = ["RemotePrint", "RemoteQuery"]
