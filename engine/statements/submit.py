"""Submitted scripts: each statement of a named script is executed once.

A script can be submitted again: after a crash, after a restart, or with new statements at its end.  Statements that were
submitted before are found by their canonical text and their place in the script, and are not executed again.  A note says
that a statement was executed: it is a record of the topic `TOPIC`, and is written in the same commit as the statement's own
effect (a journal entry or an INSERT .. VALUES)::

    {"script": "shop", "number": 3, "statement": "CREATE STREAM ..."}

If the process crashes before that commit, the statement was not executed, and is executed when the script is submitted
again.  If it crashes after the commit, the statement was executed, and is skipped.

SET, UNSET, DEFINE and UNDEFINE change only the session, so they are executed every time.  For statements that write nothing
(SHOW, a pull query), the note is written after they were executed.

If several processes share the log, they may submit a script at the same moment.  Then a statement and its note are one
transaction with the name `journal.ALONE`, like every other statement that is journaled.  When it begins, an older
transaction of this name in another process is aborted, and all earlier notes can be read.  So only one of the processes
executes each statement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ...errors import PartitionsLostError, StatementError, StorageError, unwritable
from ...grammar import ast
from ...grammar.unparse import unparse
from ...runtime.clock import now_ms
from ...storage.log.ownership import SUBMISSIONS
from ...storage.log.protocol import Log, Records, TopicConfig, Transaction
from ..journal import JournalMovedError
from ..results import Result
from ..state import Engine
from .following import catch_up

TOPIC = SUBMISSIONS
Alongside = Callable[[Transaction], None]
_SESSION_ONLY = (ast.SetProperty, ast.UnsetProperty, ast.Define, ast.Undefine)


def submitted(log: Log, name: str) -> list[str]:
    """The canonical texts of the statements that were submitted under a name, in order.

    Raises:
        StorageError: a note has an unknown form.
    """
    found: list[str] = []
    if TOPIC not in log.topics():
        return found
    for records in log.scan(TOPIC, 0, log.start_offset(TOPIC, 0)):
        for place, value in zip(records.offsets.tolist(), records.values.to_pylist(), strict=True):
            try:
                note = msgspec.json.decode(value)
                if note["script"] == name:
                    del found[note["number"] :]
                    found.extend([] if note["statement"] is None else [note["statement"]])
            except (msgspec.DecodeError, KeyError, TypeError) as error:
                raise StorageError(
                    f"the topic of submitted scripts holds something else at offset {place}: {error}",
                    path=TOPIC,
                    action="restore the database's directory from a copy",
                ) from error
    return found


class Submission:
    """One submission of a script.  The caller holds the database's lock."""

    def __init__(self, engine: Engine, name: str) -> None:
        if not name.isprintable() and (refused := unwritable(name)) is not None:
            raise StatementError(f"the name of the script holds {refused}")
        self._engine = engine
        self._name = name
        self._before = submitted(engine.log, name)
        self._number = 0
        self._shared = engine.log.capabilities.shared
        if TOPIC not in engine.log.topics():
            engine.log.create_topic(TOPIC, TopicConfig(internal=True))

    def submit(self, statement: ast.Statement, execute: Callable[[Alongside | None], Result]) -> Result | None:
        """Execute the script's next statement; None if it was executed before.

        Args:
            execute: executes the statement.  Its argument adds the note to the statement's own commit.

        Raises:
            StatementError: another statement was submitted in this place, or the statement is wrong.
        """
        if isinstance(statement, _SESSION_ONLY):
            return execute(None)
        if isinstance(statement, ast.Query) and statement.emit is not None:
            raise StatementError(
                "a push query has no end and cannot be submitted",
                span=statement.span,
                suggestion="Make it a CREATE STREAM .. AS SELECT, or read it with subscribe().",
            )
        number = self._number
        if isinstance(statement, ast.Print) and number >= len(self._before):
            raise StatementError(
                "PRINT waits for records and cannot be submitted",
                span=statement.span,
                suggestion="Take it out of the script, and print the topic at the prompt.",
            )
        self._number += 1
        while True:
            if self._shared and number >= len(self._before):  # another process may submit the same script
                self._look()
                catch_up(self._engine)  # and may have executed statements before this one
            try:
                return self._submit(statement, number, execute)
            except (JournalMovedError, PartitionsLostError):
                continue
            except StatementError:
                if not self._shared or number < len(self._before):
                    raise
                # It may fail because another process has just executed it: then its name exists.
                self._look()
                if number >= len(self._before):
                    raise

    def _look(self) -> None:
        self._before = submitted(self._engine.log, self._name)

    def _submit(self, statement: ast.Statement, number: int, execute: Callable[[Alongside | None], Result]) -> Result | None:
        text = unparse(statement)
        if number < len(self._before):
            if text != self._before[number]:
                raise StatementError(
                    f"statement {number + 1} of {self._name} is not the one that was submitted before, which is: "
                    f"{self._before[number]}",
                    span=statement.span,
                    suggestion="Put that back and add new statements at the end, or start with an empty directory.",
                )
            return None
        noted = False

        def note(transaction: Transaction) -> None:
            nonlocal noted
            if not noted:
                if self._shared:  # after the begin, no other process can write a note
                    self._look()
                    if number < len(self._before):
                        transaction.abort()
                        raise JournalMovedError("another process has submitted the statement in the meantime")
                transaction.append(TOPIC, _note(self._name, number, text), 0)
            noted = True

        try:
            result = execute(note)
        except (JournalMovedError, PartitionsLostError):
            raise
        except BaseException:
            if noted and self._engine.unsettled is None:  # the statement was journaled and then undone
                self._commit(_note(self._name, number, None))
            raise
        if not noted:
            self._commit(_note(self._name, number, text))
        return result

    def finish(self) -> int:
        """Check that no statement is missing, and return their number.

        Raises:
            StatementError: statements at the end of the script were removed.
        """
        if self._number < len(self._before):
            raise StatementError(
                f"{self._name} has {self._number} statements, but {len(self._before)} were submitted before; the next is: "
                f"{self._before[self._number]}",
                suggestion="Put it back; to end its query or source, add TERMINATE or DROP at the end of the script.",
            )
        return self._number

    def _commit(self, note: Records) -> None:
        transaction = self._engine.log.transaction()
        transaction.append(TOPIC, note, 0)
        transaction.commit()


def _note(name: str, number: int, statement: str | None) -> Records:
    entry: dict[str, Any] = {"script": name, "number": number, "statement": statement}
    return Records(None, pa.array([msgspec.json.encode(entry)], pa.binary()), np.array([now_ms()], np.int64))
