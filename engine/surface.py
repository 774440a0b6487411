"""The interface of a database, local or remote: the methods of its sessions and its own, defined once.

`Session`, `Database` and `server/remote.py::RemoteDatabase` have all of these methods, with these signatures.
`AsyncDatabase` has most of them, with ``await``.  ``tests/unit/server/test_surface.py`` checks that, and that there is a
reason for each missing method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from ..errors import StatementError
from ..runtime.clients.records import RawRecord
from ..runtime.host import Token
from ..runtime.metrics import Progress
from ..runtime.subscriptions import Subscription
from ..storage.log.protocol import OffsetReset
from .catalog import Catalog
from .flow import FlowGraph
from .flow_picture import Flow
from .handles import KeyReader, StreamHandle, TableHandle
from .parameters import Parameters
from .results import Message, Result, Submitted, Table
from .settings import Settings
from .statements.topics import TopicDescription

__all__ = ["DatabaseSurface", "FindsFaults", "QuerySurface", "SessionSurface"]


class FindsFaults(Protocol):
    """Finds errors of statements without running them."""

    def faults(self, statements: Sequence[str], stop: Callable[[], bool] = ...) -> list[StatementError]:
        """One error for each wrong statement, in order; none if ``stop`` says that the answer is not needed any more."""
        ...


class QuerySurface(Protocol):
    """A persistent query, see `QueryHandle`."""

    @property
    def state(self) -> str: ...

    @property
    def lag(self) -> int: ...

    @property
    def statement(self) -> str: ...

    def progress(self) -> Progress: ...

    def explain(self) -> str: ...

    def pause(self) -> Message: ...

    def resume(self) -> Message: ...

    def terminate(self) -> Message: ...


class SessionSurface(Protocol):
    """The methods of a session.  `Session` describes each."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def variables(self) -> Mapping[str, str]: ...

    @property
    def user(self) -> str | None: ...

    def execute(
        self, text: str, parameters: Parameters | None = None, *, path: str | Path | None = None
    ) -> list[Result]: ...

    def steps(
        self, text: str, parameters: Parameters | None = None, *, path: str | Path | None = None
    ) -> Iterator[Result]: ...

    def examiner(self) -> FindsFaults: ...

    def submit(self, text: str, name: str, *, path: str | Path | None = None) -> Submitted: ...

    def sql(self, text: str, parameters: Parameters | None = None, *, after: Token | None = None) -> Table: ...

    def wait(self, token: Token, names: Sequence[str] = (), timeout_s: float | None = 30.0) -> None: ...

    def subscribe(
        self,
        text: str,
        parameters: Parameters | None = None,
        *,
        overflow: Literal["block", "drop"] = "block",
        resume: str | None = None,
    ) -> Subscription: ...

    def create_stream(
        self, name: str, data: Any, *, key: str | Sequence[str] | None = None, **properties: object
    ) -> Message: ...

    def create_table(self, name: str, data: Any, *, key: str | Sequence[str], **properties: object) -> Message: ...

    def stream(self, name: str) -> StreamHandle: ...

    def table(self, name: str) -> TableHandle: ...

    def key_lookup(self, name: str) -> KeyReader: ...

    def insert(
        self,
        source: str,
        rows: Any,
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token: ...

    def insert_many(
        self,
        rows: Mapping[str, Any],
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token: ...

    def last_sequence(self, producer: str) -> int | None: ...

    def produce(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: Any = None,
        timestamp: int | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token: ...

    def consume(
        self, topic: str, *, offset: int | None = None, partition: int | None = None, reset: OffsetReset = "none"
    ) -> Iterator[RawRecord]: ...

    def close(self) -> None: ...


class DatabaseSurface(SessionSurface, Protocol):
    """The methods of a database that a session does not have.  `Database` describes each."""

    path: Path | None

    def session(
        self,
        properties: Mapping[str, object] | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> SessionSurface: ...

    @property
    def queries(self) -> Mapping[str, QuerySurface]: ...

    def wait_idle(self, timeout_s: float | None = None) -> bool: ...

    def create_topic(
        self, name: str, *, partitions: int = 1, replicas: int = 1, config: Mapping[str, object] | None = None
    ) -> None: ...

    def alter_topic(
        self, name: str, config: Mapping[str, object] | None = None, *, partitions: int | None = None
    ) -> None: ...

    def delete_topic(self, name: str) -> None: ...

    def describe_topic(self, name: str) -> TopicDescription: ...

    def topic_names(self) -> list[str]: ...

    def function_names(self) -> list[str]: ...

    def graph(self) -> FlowGraph: ...

    def flow(self) -> Flow: ...

    def describe_state(self) -> str: ...
