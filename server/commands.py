"""ksqlDB's commands, which are statements that changed something: their ids, sequence numbers and outcomes.

A command's sequence number is that of its statement in the journal, so it keeps rising over restarts.  The outcomes of the
latest commands are kept in memory; an earlier command counts as successful if its result is in the catalog.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final

from ..engine.catalog import Catalog
from ..engine.results import Message
from ..grammar import ast

_KEPT_MAX: Final = 10_000
NOT_DISTRIBUTED: Final = -1
"""The sequence number in answers to statements that are not commands."""


def command_id(statement: ast.Statement, result: Message) -> str:
    """The command id of an executed statement: ``type/entity/action``."""
    match statement:
        case ast.CreateSource(kind=kind, name=name) | ast.CreateAsSelect(kind=kind, name=name):
            return f"{kind.lower()}/`{name}`/create"
        case ast.InsertSelect():
            return f"stream/`{result.details.get('query_id', statement.target)}`/create"
        case ast.AlterSource(kind=kind, name=name):
            return f"{kind.lower()}/`{name}`/alter"
        case ast.DropSource(kind=kind, name=name):
            return f"{kind.lower()}/`{name}`/drop"
        case ast.CreateType(name=name):
            return f"type/`{name}`/create"
        case ast.DropType(name=name):
            return f"type/`{name}`/drop"
        case ast.ControlQuery(action=action, query_id=query_id):
            return f"{action.lower()}/{query_id or 'ALL'}/execute"
        case ast.AlterSystem(name=name):
            return f"cluster/{name}/alter"
    return f"cluster/{result.kind}/execute"


def message(statement: ast.Statement, result: Message, catalog: Catalog) -> str:
    """The message about an executed statement, in the words with which ksqlDB's clients compare it.

    ``catalog`` is the one before the statement.
    """
    query_id = result.details.get("query_id")
    match statement:
        case ast.CreateSource(kind=kind):
            return f"{kind.capitalize()} created"
        case ast.CreateAsSelect() | ast.InsertSelect() if query_id:
            return f"Created query with ID {query_id}"
        case ast.ControlQuery(action="TERMINATE"):
            return "Query terminated."
        case ast.DropSource(name=name) if name in catalog.sources:
            return f"Source {name} (topic: {catalog.sources[name].topic}) was dropped."
    return result.text


class Commands:
    """The outcomes of commands.  Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._statuses: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def note(self, id: str, status: str, text: str, query_id: str | None) -> dict[str, Any]:
        """Remember a command's outcome, and return it as the JSON of answers."""
        command_status = {"status": status, "message": text, "queryId": query_id}
        with self._guard:
            self._statuses[id] = command_status
            self._statuses.move_to_end(id)
            while len(self._statuses) > _KEPT_MAX:
                self._statuses.popitem(last=False)
        return command_status

    def find(self, id: str, catalog: Catalog) -> dict[str, Any] | None:
        """The outcome of a command; None if the id is unknown.  Names in the id may be without back-quotes."""
        with self._guard:
            found = self._statuses.get(id)
        if found is None:
            known = self._standing(catalog)
            parts = id.split("/")
            quoted = id if len(parts) != 3 else f"{parts[0]}/`{parts[1].strip('`')}`/{parts[2]}"
            with self._guard:
                found = self._statuses.get(quoted)
            found = found or known.get(id) or known.get(quoted)
        return found

    def all(self, catalog: Catalog) -> dict[str, str]:
        """Command id -> status, of all known commands."""
        with self._guard:
            noted = {id: str(command_status["status"]) for id, command_status in self._statuses.items()}
        return {**{id: str(command_status["status"]) for id, command_status in self._standing(catalog).items()}, **noted}

    def _standing(self, catalog: Catalog) -> dict[str, dict[str, Any]]:
        found = {}
        for source in catalog.sources.values():
            if source.statement and not source.statement.startswith("("):
                query_id = source.query_id
                text = f"Created query with ID {query_id}" if query_id else f"{source.kind.capitalize()} created"
                command_status = {"status": "SUCCESS", "message": text, "queryId": query_id}
                found[f"{source.kind.lower()}/`{source.name}`/create"] = command_status
        return found


__all__ = ["NOT_DISTRIBUTED", "Commands", "command_id", "message"]
