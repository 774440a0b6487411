"""Access rules: the roles over sources and topics that each statement needs, and the statements that no client may run.

Every kind of statement is listed here.  A kind that is not listed is refused, so no client can run a new kind of statement
before it has a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Never

from ..engine.catalog import Catalog
from ..grammar import ast
from .accounts import Account
from .problems import NOT_ALLOWED, ApiError


@dataclass(frozen=True, slots=True)
class Need:
    """A role that an account must have over a thing.

    ``names`` are all names of the thing (those of a source and its topic); if empty, the role over any one thing will do.
    """

    role: str
    names: tuple[str, ...] = ()
    what: str = ""


def needs(statement: ast.Statement, catalog: Catalog, topic_prefix: str = "") -> list[Need]:
    """List all roles that an account must have to run a statement.

    Args:
        topic_prefix: ``ksql.output.topic.name.prefix`` of the request.

    Raises:
        ApiError: no client may run the statement.
    """
    match statement:
        case ast.Query() | ast.TableQuery():
            return _reads(statement, catalog) or [Need("read")]
        case ast.SetProperty() | ast.UnsetProperty() | ast.Define() | ast.Undefine() | ast.Show():
            return [Need("read")]
        case ast.Describe(what="SOURCE", name=name):
            return [_source("read", name or "", catalog)]
        case ast.Describe(what="QUERY", name=name):
            return _of_query("read", name, catalog)
        case ast.Describe():
            return [Need("read")]
        case ast.WhyNoRows(name=name):
            return _why(name, catalog)
        case ast.Explain(statement=inner, query_id=query_id):
            if inner is None:
                return _of_query("read", query_id, catalog)
            if not isinstance(inner, ast.Query | ast.TableQuery | ast.CreateAsSelect | ast.InsertSelect):
                return needs(inner, catalog, topic_prefix)  # there is nothing to explain, and maybe something to refuse
            return _reads(inner, catalog) or [Need("read")]
        case ast.Print(topic=topic):
            return [topic_need("read", topic, catalog)]
        case ast.InsertValues(target=target):
            return [_source("write", target, catalog), *_reads(statement, catalog)]
        case ast.Delete(target=target):
            return [_source("write", target, catalog), *_reads(statement, catalog)]
        case ast.CreateSource(name=name, properties=properties):
            return [*_defines(name, properties, catalog)]
        case ast.CreateAsSelect(name=name, properties=properties, query=query):
            return [*_defines(name, properties, catalog, topic_prefix), *_reads(query, catalog)]
        case ast.InsertSelect(target=target, query=query):
            return [_source("write", target, catalog), *_reads(query, catalog)]
        case ast.AlterSource(name=name) | ast.DropSource(name=name):
            return [_source("write", name, catalog)]
        case ast.CreateType() | ast.DropType():
            return [Need("write")]
        case ast.ControlQuery(query_id=query_id):
            return _of_query("write", query_id, catalog)
        case ast.AssertTopic(topic=topic):
            return [topic_need("read", topic, catalog)]
        case ast.AssertSchema():
            return [Need("read")]
        case ast.AssertValues(source=name):
            return [_source("write", name, catalog)]  # it moves a mark that others see
        case ast.AssertSource(name=name):
            return [_source("read", name, catalog)]
        case ast.AlterSystem():
            return [Need("admin", what="settings of the server")]
        case ast.CreateConnector() | ast.DropConnector():
            return [Need("admin", what="connectors")]
        case ast.CreateFrom():
            way = "insert the file's rows instead, or, from Python, create_stream(name, file)"
            raise ApiError(NOT_ALLOWED, f"FROM 'file' would read a file of the server: {way}")
        case ast.RunScript():
            raise ApiError(NOT_ALLOWED, "RUN SCRIPT would read a file of the server: send the script's text instead")
        case other:
            raise _not_listed(other)


def _not_listed(statement: Never) -> ApiError:
    """The error for a kind of statement that `needs` does not list.  mypy finds such kinds: ``Never`` fits none of them."""
    return ApiError(NOT_ALLOWED, "this kind of statement cannot be run over HTTP")


def check(account: Account, statement: ast.Statement, catalog: Catalog, topic_prefix: str = "") -> None:
    """Check that an account may run a statement.  Raises: ApiError, if not."""
    for need in needs(statement, catalog, topic_prefix):
        check_need(account, need)


def check_need(account: Account, need: Need) -> None:
    """Check that an account has a role.  Raises: ApiError, if not."""
    fits = account.may(need.role, *need.names) if need.names or need.role == "admin" else account.may_somewhere(need.role)
    if not fits:
        over = f" over {need.what or need.names[0]}" if need.what or need.names else ""
        raise ApiError(NOT_ALLOWED, f"{account.name} does not have the role {need.role}{over}")


def may_see(account: Account, names: tuple[str, ...]) -> bool:
    """Whether lists show a source or topic of these names to an account."""
    return account.may("read", *names)


def _reads(node: Any, catalog: Catalog) -> list[Need]:
    """The needs to read the sources that a statement's tree names anywhere."""
    return [_source("read", name, catalog) for name in dict.fromkeys(_sources(node))]


def _sources(node: Any, named: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the names of sources in a tree, without ``named``: those that a WITH clause defines."""
    if isinstance(node, ast.SourceRef):
        if node.name not in named:
            yield node.name
    elif isinstance(node, ast.TableQuery):
        for table in node.common_tables:
            yield from _sources(table.query, named)
            named = named | {table.name}
        for part in (node.body, node.order_by):
            yield from _sources(part, named)
    elif is_dataclass(node):
        for item in fields(node):
            yield from _sources(getattr(node, item.name), named)
    elif isinstance(node, tuple):
        for part in node:
            yield from _sources(part, named)


def _source(role: str, name: str, catalog: Catalog) -> Need:
    found = catalog.sources.get(name)
    return Need(role, (name,) if found is None else (name, found.topic), f"the source {name}")


def topic_need(role: str, name: str, catalog: Catalog) -> Need:
    """The need of a role over a topic, which its own name or that of a source over it can satisfy."""
    sources = [s.name for s in catalog.sources.values() if s.topic == name]
    return Need(role, (name, *sources), f"the topic {name}")


def _defines(name: str, properties: tuple[ast.Property, ...], catalog: Catalog, topic_prefix: str = "") -> Iterator[Need]:
    """The needs to define a source: over the source and over its topic, which the source reads and writes."""
    yield Need("write", (name,), f"the source {name}")
    given = [p.value for p in properties if p.name.upper() == "KAFKA_TOPIC"]
    topics = [value.value if isinstance(value, ast.StringLiteral) else "" for value in given]
    for topic in topics or ([topic_prefix + name] if topic_prefix else []):
        yield topic_need("write", topic, catalog)


def _why(name: str, catalog: Catalog) -> list[Need]:
    """The needs of WHY NO ROWS: to read the source and all sources upstream, since it shows some of their data."""
    waiting, found = [name], dict[str, None]()
    while waiting:
        next_name = waiting.pop()
        if next_name in found:
            continue
        found[next_name] = None
        for query in catalog.queries.values():
            if query.id.upper() == next_name.upper() or query.sink == next_name:
                waiting += [query.sink, *query.sources]
    sources = [_source("read", n, catalog) for n in found if n in catalog.sources]
    return sources or [Need("read")]


def _of_query(role: str, query_id: str | None, catalog: Catalog) -> list[Need]:
    """The need to control a query: a role over the source that it writes.

    For ALL queries, and for a query that does not exist, a role over everything.
    """
    if query_id is None:
        return [_source(role, q.sink, catalog) for q in catalog.queries.values()] or [Need(role)]
    query = catalog.queries.get(query_id)
    return [Need(role)] if query is None else [_source(role, query.sink, catalog)]


__all__ = ["Need", "check", "check_need", "may_see", "needs", "topic_need"]
