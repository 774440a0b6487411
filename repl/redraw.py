"""Lines of a terminal that are redrawn in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import TextIO

from .render import cut_to

__all__ = ["Redrawn", "bold", "has_colour"]


def has_colour(out: TextIO) -> bool:
    """Whether to use colours and bold letters: on a terminal, unless ``NO_COLOR`` is set."""
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[22m"


class Redrawn:
    """A block of lines; each drawing replaces the one before.

    Args:
        out: a terminal.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._drawn = 0

    def draw(self, lines: Sequence[str], marked: Sequence[int] = ()) -> None:
        """Draw lines, cut to the terminal's width; marked lines are bold."""
        size = shutil.get_terminal_size((120, 40))
        if len(lines) >= size.lines:  # what has scrolled away cannot be redrawn
            lines = [*lines[: size.lines - 2], f".. and {len(lines) - size.lines + 2} more"]
        cut = [cut_to(line, size.columns - 1) for line in lines]
        if marked and has_colour(self._out):
            cut = [bold(line) if number in marked else line for number, line in enumerate(cut)]
        up = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        self._out.write(up + "\n".join(cut) + "\n")
        self._out.flush()
        self._drawn = len(lines)

    def keep(self) -> None:
        """Leave the present drawing; the next one goes below it."""
        self._drawn = 0
