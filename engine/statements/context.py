"""`Context`: the database and the session that a statement works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from ...runtime.host import QueryHost
from ...storage.log.protocol import Log, TopicConfig, Transaction
from ..analysis.query import QueryContext
from ..analysis.sink import SinkRequest
from ..catalog import Catalog, DataSource
from ..functions.registry import Registry
from ..query_options import QueryOptions
from ..session_state import SessionState
from ..state import Engine, Planned
from .checking import Checking
from .outside import Live

if TYPE_CHECKING:
    from ...storage.schemas.registry import SchemaRegistry


@dataclass(frozen=True, slots=True)
class Context:
    """The database for one statement of one session.

    Attributes:
        engine: what all sessions share.
        session: what this session alone has.
        alongside: adds records to the transaction of the statement, see `submit`.
    """

    engine: Engine
    session: SessionState
    alongside: Callable[[Transaction], None] | None = None

    @property
    def options(self) -> QueryOptions:
        """The properties that apply to the statement."""
        return self.session.settings.options

    @property
    def overrides(self) -> Mapping[str, str]:
        """The properties that differ from their defaults.  They are stored with a query."""
        return self.session.settings.overrides

    @property
    def log(self) -> Log:
        return self.engine.log

    @property
    def host(self) -> QueryHost:
        return self.engine.host

    @property
    def functions(self) -> Registry:
        return self.engine.functions

    @property
    def schemas(self) -> SchemaRegistry | None:
        return self.engine.schemas

    @property
    def catalog(self) -> Catalog:
        return self.engine.catalog

    @property
    def planned(self) -> Mapping[str, Planned]:
        return self.engine.planned

    def topic(self, name: str) -> TopicConfig | None:
        return self.engine.topic(name)

    def readers(self, name: str) -> list[str]:
        return self.catalog.readers(name)

    def writers(self, name: str) -> list[str]:
        return self.catalog.writers(name)

    def view_of(self, source: DataSource) -> str | None:
        return self.engine.view_of(source)

    def query_context(self, sink: SinkRequest | None = None) -> QueryContext:
        return QueryContext(self.catalog, self.functions, self.options, sink)

    def checking(self) -> Checking:
        """The present state, for the check of the statement."""
        engine = self.engine
        return Checking(
            engine.catalog, engine.planned, engine.functions, engine.schemas, self.options, self.overrides, Live(engine)
        )


def unsupported_connectors(statement: Any) -> StatementError:
    """The error for every statement about Kafka Connect."""
    span = statement.span if isinstance(statement, ast.Node) else None
    return UnsupportedError(
        "connectors are not supported: there is no Kafka Connect here",
        span=span,
        suggestion="Load data with insert(), insert_many() or produce().",
    )
