"""Pages whose code is run: one namespace a page, in the order in which a reader meets it.

A ```python block is executed; a ```sql block runs statement by statement, each when the queries have taken in what was
there; a ```text block right behind one of them is what it printed (SQL: without the messages of statements that change
something).  ``db`` is a database in memory that reads from the earliest record, until a block makes another.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import penstock

__all__ = ["Block", "blocks", "run_page"]

_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.S | re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code of a page.

    Attributes:
        language: ``python`` or ``sql``.
        line: its place in the page, from 1.
        printed: what it is said to print; None if nothing is said.
    """

    language: str
    text: str
    line: int
    printed: str | None


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that are run."""
    text = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    for match, following in zip(found, [*found[1:], None]):
        if match["language"] not in ("python", "sql"):
            continue
        shown = None
        if following is not None and following["language"] == "text" and not text[match.end() : following.start()].strip():
            shown = following["text"]
        yield Block(match["language"], match["text"], text.count("\n", 0, match.start()) + 2, shown)


def run_page(page: Path) -> list[str]:
    """Run a page in the current directory; what differs from what it says, a line for each block."""
    differences = []
    names: dict[str, Any] = {"__name__": "__main__", "db": penstock.connect(auto_offset_reset="earliest")}
    try:
        for block in blocks(page):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                if block.language == "python":
                    # the page's own lines in a traceback
                    source = "\n" * (block.line - 1) + block.text
                    exec(compile(source, str(page), "exec"), names)
                else:
                    _run_sql(names["db"], block.text)
            if block.printed is not None and _plain(out.getvalue()) != _plain(block.printed):
                differences.append(f"line {block.line} says\n{block.printed}but printed\n{out.getvalue()}")
    finally:
        for value in names.values():
            if isinstance(value, penstock.Database):
                value.close()
    return differences


def _run_sql(db: penstock.Database, text: str) -> None:
    for result in db.steps(text):
        if isinstance(result, penstock.PushResult):
            with result:
                for row in result:
                    print(row.values)
        elif not isinstance(result, penstock.Message):
            print(result)
        db.wait_idle(30)


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
