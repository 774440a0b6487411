"""The interactive prompt: keys, history, completion, highlighting, a toolbar, and input of several lines up to ``;``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style

from ..errors import PenstockError
from ..grammar.complete import suggest
from ..paths import open_descriptor
from .commands import COMMANDS
from .highlight import STYLE, SqlLexer, Underlines
from .marks import Mark, Marker
from .opening import Opening
from .shell import Quit, Shell
from .status import StatusLine

_PROMPT = "penstock> "
_MORE = "     ...> "
_DRAWN_S = 0.02
"""When the engine is loaded after the prompt is shown, in seconds; earlier would delay the prompt."""
_STILL_S = 0.15
"""After so long without a key, faults are looked for, in seconds."""
_LOOK_S = 1.0
"""The time between two updates of the status line, in seconds."""


class SqlCompleter(Completer):
    """Completion with the names of the shell's catalog."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        for found in suggest(document.text, document.cursor_position, self._shell.names(), COMMANDS):
            yield Completion(found.text, -found.length, display_meta=found.kind)


def history_at(path: Path | None) -> History:
    """A history kept in a file; if that cannot be written, for this session only."""
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(open_descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except (OSError, ValueError):
        return InMemoryHistory()
    return _KeptHistory(str(path))


class _KeptHistory(FileHistory):
    """A history whose file takes what it can."""

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string.encode("utf-8", "replace").decode())


class Prompt:
    """The prompt of a shell.  ENTER runs complete input, and else begins a new line.

    Args:
        history: the file that keeps the input.
        opening: the database's opening, if it may not be finished.
    """

    def __init__(self, shell: Shell, history: Path | None, opening: Opening | None = None) -> None:
        self._shell = shell
        self._opening = opening
        self._marker = Marker(lambda: shell.database)
        self._marks: list[Mark] = []
        self._marked = ""
        self._status = StatusLine()
        self._looking: asyncio.Task[None] | None = None
        style = Style.from_dict({f"sql.{name}": value for name, value in STYLE.items()})
        self.session: PromptSession[str] = PromptSession(
            _PROMPT,
            multiline=True,
            prompt_continuation=_MORE,
            history=history_at(history),
            completer=SqlCompleter(shell),
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            lexer=SqlLexer(),
            style=style,
            key_bindings=self._keys(),
            bottom_toolbar=self._toolbar,
            editing_mode=EditingMode.EMACS,
            input_processors=[Underlines(lambda: self._marks)],
        )
        self.session.default_buffer.on_text_changed += lambda _: self._changed()

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if self._shell.is_complete(buffer.text):
                buffer.validate_and_handle()
            else:
                buffer.insert_text("\n")

        return keys

    def ask(self) -> str:
        """The next input.  Raises: KeyboardInterrupt, EOFError; PenstockError, if the database cannot be opened."""
        return self.session.prompt(pre_run=self._begin)

    def _toolbar(self) -> str:
        if self._marks:
            cursor = self.session.default_buffer.cursor_position
            nearest = min(self._marks, key=lambda mark: 0 if mark.start <= cursor <= mark.end else abs(mark.start - cursor))
            more = f" (and {len(self._marks) - 1} more)" if len(self._marks) > 1 else ""
            return f" {nearest.message}{more} "
        state = self._status.text
        if self._opening is not None and not self._opening.done:
            state = self._opening.state
        if self.session.default_buffer.text.endswith("\n"):
            return f" {state}   a statement ends with ; "
        return f" {state}   \\help for help "

    def _begin(self) -> None:
        """When the prompt is drawn: open the database, if that is to be done, and keep the status line true."""
        self._marks, self._marked = [], ""
        application = self.session.app
        if self._opening is not None and not self._opening.done:
            application.create_background_task(_announce(self.session, self._opening))
        application.create_background_task(self._watch_queries())

    async def _watch_queries(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._opening is None or self._opening.done:
                if await loop.run_in_executor(None, self._status.look, self._shell):
                    self.session.app.invalidate()
                await asyncio.sleep(_LOOK_S)
            else:
                await asyncio.sleep(_DRAWN_S)

    def _changed(self) -> None:
        """Keep the marks before what was changed, and look for others when nothing is typed for a moment."""
        text = self.session.default_buffer.text
        same = next((i for i, (a, b) in enumerate(zip(text, self._marked)) if a != b), min(len(text), len(self._marked)))
        self._marks = [mark for mark in self._marks if mark.end <= same]
        if self._looking is not None:
            self._looking.cancel()
        if self.session.app.is_running:
            self._looking = self.session.app.create_background_task(self._look())

    async def _look(self) -> None:
        await asyncio.sleep(_STILL_S)
        buffer = self.session.default_buffer
        text, cursor = buffer.text, buffer.cursor_position
        if self._opening is not None and not self._opening.done:
            return
        found = await asyncio.get_running_loop().run_in_executor(None, self._marker.look, text, cursor)
        if buffer.text == text:
            self._marks, self._marked = found, text
            self.session.app.invalidate()


def interact(shell: Shell, history: Path | None, opening: Opening | None = None) -> None:
    """Read and run input until the person leaves.  Ctrl-C empties the line, Ctrl-D leaves.

    Args:
        opening: the database's opening; an error of it ends the prompt.

    Raises:
        PenstockError: the database cannot be opened.
    """
    prompt = Prompt(shell, history, opening)
    shell.history = prompt.session.history.get_strings
    while True:
        try:
            text = prompt.ask()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            shell.run(text)
        except Quit:
            return
        except KeyboardInterrupt:
            with suppress(PenstockError):
                shell.write("(interrupted)")
        except (OSError, MemoryError) as problem:  # of a file, a pager: no reason to lose a database in memory
            shell.print_error(f"error: {getattr(problem, 'strerror', None) or problem or type(problem).__name__}")


async def _announce(prompt: PromptSession[str], opening: Opening) -> None:
    """Open the database once the prompt is drawn; redraw the toolbar then, or end the prompt if it cannot be opened."""
    await asyncio.sleep(_DRAWN_S)
    opening.on_progress = prompt.app.invalidate
    try:
        await asyncio.get_running_loop().run_in_executor(None, opening.database)
        prompt.app.invalidate()
    except PenstockError as problem:
        prompt.app.exit(exception=problem)
