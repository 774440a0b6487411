"""Programs in a terminal of their own, and the screen that a person would see."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from fcntl import ioctl
from html import escape
from pathlib import Path

import pyte

import penstock

WAIT_S = 60
ASKS_CURSOR = b"\x1b[6n"


_COLOURS = {"blue": "#7aa2f7", "green": "#9ece6a", "magenta": "#bb9af7", "cyan": "#7dcfff", "red": "#f7768e"}


def _runs(row: Mapping[int, pyte.screens.Char], columns: int) -> Iterator[tuple[int, str, pyte.screens.Char]]:
    """The words of a line with their places, as far as they look alike; each wide character by itself."""
    x = 0
    while x < columns:
        first = row[x]
        start, text = x, ""
        while x < columns and row[x]._replace(data="") == first._replace(data="") and row[x].data:
            text += row[x].data
            x += 1
            if x < columns and not row[x].data:  # the second place of a wide character
                x += 1
                break
        if text.strip() or first.reverse:
            yield start, text.rstrip() if not first.reverse else text, first
        x = max(x, start + 1)


class Screen:
    """A child process behind a pseudo terminal whose screen is kept.

    Args:
        command: the program and its arguments; by default the prompt.
    """

    def __init__(
        self,
        home: Path,
        *arguments: str,
        columns: int = 100,
        lines: int = 30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.bytes = b""
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            surroundings = {
                **{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")},
                "TERM": "xterm-256color",
                "XDG_STATE_HOME": str(home),
                "PYTHONPATH": str(Path(penstock.__file__).parent / ".typing"),
                "PYTHONIOENCODING": "utf-8",
                **(environment or {}),
            }
            ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execve(sys.executable, [sys.executable, "-m", "penstock.repl.cli", *arguments], surroundings)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def paste(self, text: str) -> None:
        """As a terminal pastes: between marks."""
        data = b"\x1b[200~" + text.encode() + b"\x1b[201~"
        while data:
            count = os.write(self._descriptor, data[:1024])
            data = data[count:]
            self.read(0.001)

    def read(self, wait_s: float = 0.05) -> bool:
        """Take in what the program has written.  Returns: whether it still runs."""
        while select.select([self._descriptor], [], [], wait_s)[0]:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.bytes += data
            for _ in range(data.count(ASKS_CURSOR)):  # prompt_toolkit wants to know where the cursor is
                at = self._screen.cursor
                os.write(self._descriptor, f"\x1b[{at.y + 1};{at.x + 1}R".encode())
            self._stream.feed(data)
            wait_s = 0.0
        return True

    @property
    def lines(self) -> list[str]:
        """What is on the screen; a wide character takes two places, the second of which holds nothing."""
        return [line.rstrip() for line in self._screen.display]

    def screen_lines(self) -> list[str]:
        """The lines with a character for each place: the second place of a wide character is a blank."""
        found = []
        for y in range(self._screen.lines):
            row = self._screen.buffer[y]
            found.append("".join(row[x].data[:1] or " " for x in range(self._screen.columns)).rstrip())
        return found

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, seen: Callable[[Screen], object] | str) -> str:
        """Wait until a text is on the screen, or something holds of it.  Returns: the screen's text."""
        holds = (lambda screen: seen in screen.text) if isinstance(seen, str) else seen
        deadline = time.monotonic() + WAIT_S
        while True:
            alive = self.read()
            if holds(self):
                return self.text
            assert alive and time.monotonic() < deadline, f"never came: {seen!r}\n{self.text}"

    def styled(self, style: str) -> list[str]:
        """The runs of characters on the screen that have a style: ``underscore``, ``bold``, ``reverse``."""
        found = []
        for y in range(self._screen.lines):
            row = self._screen.buffer[y]
            run = ""
            for x in range(self._screen.columns + 1):
                cell = row[x] if x < self._screen.columns else None
                if cell is not None and getattr(cell, style):
                    run += cell.data
                elif run:
                    found.append(run)
                    run = ""
        return found

    def svg(self) -> str:
        """The screen as a picture; its description is the text on it."""
        width, height = 8.4, 18.0
        used = max((number for number, line in enumerate(self.lines, 1) if line), default=1)
        wide, high = self._screen.columns * width + 24, used * height + 24
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" '
            f'viewBox="0 0 {wide:.0f} {high:.0f}" role="img" aria-label="a terminal" '
            'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">',
            f"<desc>{escape(self.text.rstrip())}</desc>",
            '<rect width="100%" height="100%" rx="8" fill="#15181e"/>',
        ]
        for y in range(used):
            row = self._screen.buffer[y]
            for x, text, cell in _runs(row, self._screen.columns):
                left, base = 12 + x * width, 12 + y * height
                style = ' font-weight="bold"' if cell.bold else ""
                style += ' text-decoration="underline"' if cell.underscore else ""
                colour = _COLOURS.get(cell.fg, "#d7dae0")
                if cell.reverse:
                    size = f'width="{len(text) * width:.1f}" height="{height:.1f}"'
                    parts.append(f'<rect x="{left:.1f}" y="{base:.1f}" {size} fill="#d7dae0"/>')
                    colour = "#15181e"
                parts.append(
                    f'<text x="{left:.1f}" y="{base + 13:.1f}" fill="{colour}"{style} xml:space="preserve">'
                    f"{escape(text)}</text>"
                )
        return "\n".join([*parts, "</svg>"])

    def end(self) -> int:
        """The exit code, once it has ended by itself."""
        deadline = time.monotonic() + WAIT_S
        while self.read():
            assert time.monotonic() < deadline, self.text
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        """End it, whatever it does."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._descriptor)
