"""``penstock validate``: reports every fault of a script, running it in a database in memory only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import PenstockError, StatementError
from ..grammar.script_files import read_script
from ..grammar.words import made_by, names_in
from ..limits import SCRIPT_DEPTH_MAX
from . import render
from .pieces import cut

__all__ = ["CheckedScript", "validate_files"]

_RUN = re.compile(r"\s*RUN\s+SCRIPT\s+'((?:[^']|'')*)'\s*;?\s*\Z", re.I)
_NOT_CHECKED = re.compile(r"\s*ASSERT\s+(?!TOPIC|SCHEMA)", re.I)


def validate_files(
    files: list[str], settings: Mapping[str, str], tell: Callable[[str], None], print_error: Callable[[str], None]
) -> int:
    """Check scripts, each in a new database in memory, statement by statement.

    A statement that names what a faulty statement would have made is skipped, since nothing is known about it.

    Returns:
        the exit code: 1 if there are faults.
    """
    faults = 0
    for name in files:
        try:
            text = read_script(Path(name), named_by_person=True)
        except StatementError as problem:
            print_error(render.error(problem))
            faults += 1
            continue
        found = CheckedScript(settings, print_error).check(text, name)
        faults += found.faults
        left = f", {found.left} not checked because of them" if found.left else ""
        count = f"{found.faults} {'fault' if found.faults == 1 else 'faults'}" if found.faults else "no faults"
        tell(f"{name}: {found.statements} {'statement' if found.statements == 1 else 'statements'}, {count}{left}")
    return 1 if faults else 0


class CheckedScript:
    """The check of a script; ``flow`` is the flow of what its statements make."""

    def __init__(self, settings: Mapping[str, str], print_error: Callable[[str], None]) -> None:
        self._settings = settings
        self._print_error = print_error
        self._missing: set[str] = set()
        self.statements = self.faults = self.left = 0
        self.flow: Any = None

    def check(self, text: str, name: str) -> CheckedScript:
        from .. import connect

        with connect(settings=dict(self._settings), threads=0) as database:
            for statement, path in self._statements(text, Path(name), ()):
                self.statements += 1
                self._one(database, statement, path)
            self.flow = database.flow()
        return self

    def _statements(self, text: str, path: Path, around: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
        """The statements of a script and of those that it runs."""
        for piece in cut(text):
            if piece.kind != "statement":
                continue
            run = _RUN.match(piece.text)
            if run is None:
                yield piece.text, path
                continue
            inner = Path(run.group(1).replace("''", "'")).expanduser()
            inner = inner if inner.is_absolute() else path.parent / inner
            line = len(piece.text) - len(piece.text.lstrip("\n")) + 1
            try:
                if inner.resolve() in (path.resolve(), *around) or len(around) >= SCRIPT_DEPTH_MAX:
                    raise StatementError(f"the script {inner} would run itself, or is one of too many")
                content = read_script(inner)
            except StatementError as problem:
                self.statements += 1
                self._fault(f"{path}, line {line}: {render.error(problem)}")
                continue
            yield from self._statements(content, inner, (*around, path.resolve()))

    def _one(self, database: Any, statement: str, path: Path) -> None:
        if self._missing and self._missing & names_in(statement):
            self.left += 1
            self._is_missing(statement)
            return
        try:
            if _NOT_CHECKED.match(statement):  # what it claims is about rows, and there are none
                return
            for result in database.execute(statement, path=str(path)):
                closing = getattr(result, "subscription", None) or (result if hasattr(result, "lines") else None)
                if closing is not None:
                    closing.close()
        except PenstockError as problem:
            self._is_missing(statement)
            self._fault(render.error(problem))

    def _is_missing(self, statement: str) -> None:
        made = made_by(statement)
        if made is not None:
            self._missing.add(made)

    def _fault(self, text: str) -> None:
        self.faults += 1
        self._print_error(text)
