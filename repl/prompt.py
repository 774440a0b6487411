"""The interactive prompt: keys, history, completion, highlighting, a toolbar; several lines until ``;``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
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
from .commands import COMMANDS
from .highlight import STYLE, SqlLexer
from .opening import Opening
from .shell import Quit, Shell

_PROMPT = "penstock> "
_MORE = "     ...> "
_DRAWN_S = 0.02
"""When the prompt has been drawn: loading the engine before that would hold it up."""


class SqlCompleter(Completer):
    """Completion over the shell's picture of the catalog."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        for found in suggest(document.text, document.cursor_position, self._shell.names(), COMMANDS):
            yield Completion(found.text, -found.length, display_meta=found.kind)


def history_at(path: Path | None) -> History:
    """A history that is kept in a file, or (where that cannot be written) for this session only."""
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def session(shell: Shell, history: Path | None, opening: Opening | None = None) -> PromptSession[str]:
    """The prompt: ENTER runs what is complete and else begins a new line."""
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if shell.is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    def toolbar() -> str:
        state = opening.state if opening is not None and not opening.done else shell.database.describe_state()
        return f" {state}   \\help for help "

    style = Style.from_dict({f"sql.{name}": value for name, value in STYLE.items()})
    return PromptSession(
        _PROMPT,
        multiline=True,
        prompt_continuation=_MORE,
        history=history_at(history),
        completer=SqlCompleter(shell),
        complete_while_typing=False,
        auto_suggest=AutoSuggestFromHistory(),
        lexer=SqlLexer(),
        style=style,
        key_bindings=keys,
        bottom_toolbar=toolbar,
        editing_mode=EditingMode.EMACS,
    )


def interact(shell: Shell, history: Path | None, opening: Opening | None = None) -> None:
    """Read and run until the person leaves.  Ctrl-C empties the line, Ctrl-D leaves.

    Args:
        opening: the database is still being opened; the prompt ends with what that raises.

    Raises:
        PenstockError: the database cannot be opened.
    """
    prompt = session(shell, history, opening)
    shell.history = prompt.history.get_strings

    def watch() -> None:
        if opening is not None and not opening.done:
            prompt.app.create_background_task(_announce(prompt, opening))

    while True:
        try:
            text = prompt.prompt(pre_run=watch)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            shell.run(text)
        except Quit:
            return
        except KeyboardInterrupt:
            shell.write("(interrupted)")


async def _announce(prompt: PromptSession[str], opening: Opening) -> None:
    """Open the database once the prompt is drawn; redraw the toolbar then, or end the prompt if it cannot be opened."""
    await asyncio.sleep(_DRAWN_S)
    opening.on_progress = prompt.app.invalidate
    try:
        await asyncio.get_running_loop().run_in_executor(None, opening.database)
        prompt.app.invalidate()
    except PenstockError as problem:
        prompt.app.exit(exception=problem)
