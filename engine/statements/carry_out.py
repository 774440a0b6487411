"""Carries out a checked statement: first the journal, then topics, queries and the catalog.

1. Schemas are registered.  A registry may refuse them; then nothing has changed.
2. The change is journaled.  After a crash from here on, opening the database does the rest.
3. The topic that the change needs is created or extended.
4. Queries are started, ended, paused or resumed.
5. The catalog is replaced.
6. Topics that the change deletes are deleted.

Opening a database applies the journal's changes to the catalog one after the other (5).  It repeats 3 and 6 for the last
change; they do nothing if they were done.  Then it starts the remaining queries (4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import pyarrow as pa

from ...errors import PenstockError, StatementError, StorageError
from ...grammar.parse import parse_statement
from ...runtime.host import QueryHost
from ...storage.formats import format_traits
from ...storage.log.protocol import TopicConfig
from ..catalog import Catalog, DataSource, QueryEntry
from ..changes import AddQuery, Change, DropSource, EndQueries, NewTopic, PauseQueries, SetSource, ended, started, stopped
from ..every_update import emitting_every_update
from ..journal import JournalEntry
from ..results import Message
from ..serdes import value_type
from ..settings import Settings
from ..state import Engine, Planned
from .checking import Checked
from .context import Context
from .inference import delete_schemas, register_schemas
from .planning import PlanningState, copies, plan_again
from .recorded import change_of

_T = TypeVar("_T")
_TOPIC_S = 10.0
"""How long to wait, in seconds, for a topic that another process is creating, before this process creates it."""


def carry_out(context: Context, checked: Checked) -> Message:
    """Carry out a checked statement.

    Raises:
        StatementError: a schema was refused, or a step of a query that the change stops does not end.  Nothing has changed.
        StorageError: the change could not be made durable.  Or it is durable but not finished; then opening the database
            finishes it.
    """
    engine = context.engine
    if engine.unsettled is not None:
        raise engine.unsettled
    with engine.host.ending_soon(stopped(checked.change)):
        return _carried_out(context, checked)


def _carried_out(context: Context, checked: Checked) -> Message:
    engine, text = context.engine, checked.answer.statement
    _delete_schemas(engine, checked.unregistered)
    for source in checked.registered:
        register_schemas(engine.schemas, source, context.options.schema_compatibility)
    engine.journal.append(text, context.overrides, checked.change, context.alongside)
    try:
        _apply(engine, checked.change, checked.planned)
    except PenstockError as error:
        if checked.undo is not None:
            _journal_undo(context, text, checked.undo)
            raise
        if isinstance(error, StorageError):
            raise _unsettled(engine, text, error) from error
        raise
    except BaseException as error:  # a bug, or no memory: it is not known how much of the change was done
        _unsettled(engine, text, StorageError(f"{type(error).__name__}: {error}"))
        raise
    return checked.answer


def _journal_undo(context: Context, text: str, undo: tuple[str, Change]) -> None:
    """Journal the change that undoes a statement, because carrying it out failed before the catalog was replaced."""
    try:
        context.engine.journal.append(undo[0], context.overrides, undo[1])
    except StorageError as error:
        raise _unsettled(context.engine, text, error) from error


def _unsettled(engine: Engine, text: str, error: StorageError) -> StorageError:
    """The error after which no other statement may follow: the state in memory is not the state of the journal."""
    engine.unsettled = StorageError(
        f"the statement {text} is in the journal, but cannot be finished: {error.message}",
        path=error.path,
        action="close and open the database when the disk works again: opening finishes the statement",
    )
    return engine.unsettled


def _apply(engine: Engine, change: Change, planned: Planned | None, *, ours: bool = True) -> None:
    """Do steps 3 to 6.

    Args:
        ours: this process executed the statement.  Otherwise the process that did deletes the topics and schemas.
    """
    before, gone = engine.catalog, ended(change)
    _prepare_topic(engine, change)
    if planned is not None:
        planned = _with_updates(engine, change, planned)
    _run(engine.host, change, planned, before)
    if ours:
        _delete_copies(engine, [engine.planned[query_id] for query_id in gone])
    if planned is not None:
        engine.planned = {**engine.planned, planned.query_id: planned}  # readers of the new catalog need it
    engine.catalog = change.on(before)
    engine.planned = {query_id: p for query_id, p in engine.planned.items() if query_id not in gone}
    if ours:
        _delete_topic(engine, change)


# --- 3. and 6. topics ----------------------------------------------------------------------


def _prepare_topic(engine: Engine, change: Change) -> None:
    """Create the topic of a source, or add the source's new columns to it.  A second call does nothing."""
    match change:
        case SetSource(source=source, topic=topic):
            if topic is not None and engine.topic(source.topic) is None:
                # if a crash loses the topic, opening creates it again: the change is the last one in the journal on disk
                engine.create_topic(source.topic, _config(source, topic), topic.replicas, durable=False)
            elif engine.topic(source.topic) is not None:
                _widen_topic(engine, source)


def _config(source: DataSource, topic: NewTopic) -> TopicConfig:
    typed = value_type(source.value_format, source.schema)
    return TopicConfig(topic.partitions, typed, topic.cleanup_policy, topic.retention_ms)


def _widen_topic(engine: Engine, source: DataSource) -> None:
    config = engine.topic(source.topic)
    wanted = value_type(source.value_format, source.schema)
    if config is None or wanted is None or config.value_type is None:
        return
    have = list(config.value_type)
    names = {f.name for f in have}
    added = [f for f in wanted if f.name not in names]
    if added:
        engine.log.alter_topic(source.topic, replace(config, value_type=pa.struct([*have, *added])))


def _delete_topic(engine: Engine, change: Change) -> None:
    """Delete the topic that the change deletes, and its schemas.  A topic that was created later with the same name
    stays.
    """
    match change:
        case DropSource(name=name, deleted=(topic, number)):
            if engine.topic(topic) is not None and engine.log.topic_id(topic) == number:
                engine.host.delete_topic(topic, f"{name} was dropped: its topic")
                delete_schemas(engine.schemas, topic)


def _delete_copies(engine: Engine, gone: Iterable[Planned]) -> None:
    """Remove the schemas of the internal topics of queries that end.  The topics are deleted when the queries end."""
    for planned in gone:
        _delete_schemas(engine, copies(planned.plan).values())


def _delete_schemas(engine: Engine, topics: Iterable[DataSource]) -> None:
    for source in topics:
        if any(format_traits(f.name).inference for f in (source.key_format, source.value_format)):
            delete_schemas(engine.schemas, source.topic)


# --- 4. queries ----------------------------------------------------------------------------


def _with_updates(engine: Engine, change: Change, planned: Planned) -> Planned:
    """A query that is to start; it emits every update if a query that runs depends on them.

    Queries that run begin to emit every update if this one depends on them.
    """
    known = {**engine.planned, planned.query_id: planned}
    replaces = planned.query_id in engine.planned
    wanted = emitting_every_update(known.values() if replaces else [planned], known, change.on(engine.catalog))
    planned = wanted.pop(planned.query_id, planned)
    for query in sorted(wanted.values(), key=lambda query: query.order):
        engine.host.replace(query.query_id, query.dataflow, query.order)
    engine.planned = {**engine.planned, **wanted}
    return planned


def _run(host: QueryHost, change: Change, planned: Planned | None, before: Catalog) -> None:
    match change:
        case SetSource() | AddQuery():
            if planned is not None:
                begin = host.replace if planned.query_id in before.queries else host.start
                begin(planned.query_id, planned.dataflow, planned.order)
        case DropSource() | EndQueries():
            for query_id in ended(change):
                host.terminate(query_id)
        case PauseQueries(ids=ids, paused=paused):
            for query_id in ids:
                if paused:
                    host.run(query_id).pause()
                else:
                    host.resume(query_id)


# --- opening -------------------------------------------------------------------------------


def reopen(engine: Engine) -> None:
    """Restore the database that the journal describes.

    Raises:
        StorageError: the journal cannot be read, or a query cannot be planned because a function that it uses is not
        registered.
    """
    origins: dict[str, tuple[JournalEntry, Catalog]] = {}
    last: tuple[JournalEntry, Change, Catalog] | None = None
    for entry in engine.journal.entries():
        before = engine.catalog
        change = entry.change or _replayed(entry, partial(change_of, entry, before, engine.functions, engine.schemas))
        engine.catalog = change.on(before)
        query = started(change)
        if query is not None:
            origins[query.id] = (entry, engine.catalog if query.kind == "CST" else before)
        last = (entry, change, before)
    if last is not None:
        _finish(engine, *last, origins)
    engine.planned = {query.id: _planned(engine, query, *origins[query.id]) for query in engine.catalog.queries.values()}
    engine.planned = {**engine.planned, **emitting_every_update(engine.planned.values(), engine.planned, engine.catalog)}
    for planned in sorted(engine.planned.values(), key=lambda p: p.order):
        paused = engine.catalog.queries[planned.query_id].paused
        engine.host.start(planned.query_id, planned.dataflow, planned.order, paused=paused, opening=True)
    engine.host.forget_others()


def _finish(
    engine: Engine,
    entry: JournalEntry,
    change: Change,
    before: Catalog,
    origins: dict[str, tuple[JournalEntry, Catalog]],
) -> None:
    """Repeat the work of the last statement on topics and schemas, which may not be finished."""
    _prepare_topic(engine, change)
    gone = [before.queries[query_id] for query_id in ended(change)]
    if any(Settings.recorded(query.properties).options.internal_topics for query in gone):
        _delete_copies(engine, [_planned(engine, query, *origins[query.id]) for query in gone])
    _delete_topic(engine, change)


def carry_out_elsewhere_written(engine: Engine, entry: JournalEntry) -> None:
    """Carry out in this process a change that another process of the service has journaled.

    The other process creates and deletes the topics of the change.

    Raises:
        StorageError: it cannot be carried out here, see `Engine.unsettled`.
    """
    before = engine.catalog
    assert entry.change is not None
    change, query = entry.change, started(entry.change)
    try:
        planned = None
        if query is not None:
            planned = _planned(engine, query, entry, change.on(before) if query.kind == "CST" else before)
        _await_topic(engine, change)
        _apply(engine, change, planned, ours=False)
    except PenstockError as error:
        shown = error if isinstance(error, StorageError) else StorageError(str(error))
        raise _unsettled(engine, entry.statement, shown) from error


def _await_topic(engine: Engine, change: Change) -> None:
    match change:
        case SetSource(source=source):
            end = time.monotonic() + _TOPIC_S
            while engine.topic(source.topic) is None and time.monotonic() < end:
                time.sleep(0.1)


def _planned(engine: Engine, query: QueryEntry, entry: JournalEntry, catalog: Catalog) -> Planned:
    """Plan a query as it was planned when its statement was executed, over the catalog of that time."""
    options = Settings.recorded(query.properties).options
    state = PlanningState(catalog, engine.functions, engine.schemas, options)
    return _replayed(entry, partial(plan_again, state, query, parse_statement(query.statement)))


def _replayed(entry: JournalEntry, make: Callable[[], _T]) -> _T:
    try:
        return make()
    except StatementError as error:
        raise StorageError(
            f"statement {entry.offset} of the journal cannot be replayed: {error.message}: {entry.statement}",
            action="register the functions it uses before connect() (on the command line: --functions FILE.py), or open it "
            "with the version that made it",
        ) from error
