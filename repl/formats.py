"""Results for programs: CSV, JSON, JSON lines, Markdown, Arrow.

Only rows go to the output.  Messages go to stderr, so that a pipe gets one kind of content.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Protocol, cast

from ..errors import StatementError
from .render import cell

__all__ = ["FORMATS", "Writer", "lines", "standard_binary"]

FORMATS = ("table", "vertical", "chart", "csv", "json", "jsonl", "markdown", "arrow")
"""The values of ``--format``."""


class SizedRows(Protocol):
    """Rows of which the number is known; they are read once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sequence[Any]]: ...


def lines(format_: str, columns: Sequence[str], rows: SizedRows) -> Iterator[str]:
    """The lines of a text format.

    NULL is an empty cell in CSV (where an empty text is ``""``), ``null`` in JSON, ``NULL`` in Markdown.
    """
    from .. import Relation

    match format_:
        case "csv":
            yield Relation.csv_line(columns)
            yield from map(Relation.csv_line, rows)
        case "jsonl":
            for row in rows:
                yield Relation.json_line(columns, row)
        case "json":
            yield "["
            for number, row in enumerate(rows, 1):
                yield "  " + Relation.json_line(columns, row) + ("," if number < len(rows) else "")
            yield "]"
        case _:
            yield _markdown_line(columns)
            yield "|" + "|".join(" --- " for _ in columns) + "|"
            for row in rows:
                yield _markdown_line([cell(value) for value in row])


def _markdown_line(texts: Sequence[str]) -> str:
    cells = (text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", "").replace("\n", "<br>") for text in texts)
    return "| " + " | ".join(cells) + " |"


class Writer:
    """Writes results in one of the formats for programs.

    Args:
        format_: one of `FORMATS` except ``table``, ``vertical`` and ``chart``.
        write: prints one text, with its line end.
        tell: prints messages.
        binary: gets Arrow.

    Raises:
        StatementError: Arrow would go to a terminal.
    """

    def __init__(
        self, format_: str, write: Callable[[str], None], tell: Callable[[str], None], binary: IO[bytes] | None = None
    ) -> None:
        self._format = format_
        self._write = write
        self._tell = tell
        self._binary = binary
        self._began = False
        if format_ == "arrow" and (binary is None or binary.isatty()):
            raise StatementError("a terminal cannot show the format arrow: send the output to a file or a pipe")

    def show(self, answer: Any) -> None:
        """Write a result: the rows of a table or listing, or the sections of a description as rows.

        Messages go to ``tell``.
        """
        name = type(answer).__name__
        if name == "Message":
            self._tell(str(answer.text))
            return
        if name == "Description":
            columns: Sequence[str] = ("Section", "Content")
            title = [("Name", answer.title)] if answer.title else []
            rows: list[Any] = [*title, *((heading, _content(content)) for heading, content in answer.sections)]
            self._rows(columns, rows, None)
            return
        self._rows(answer.columns, list(answer) if self._format != "arrow" else [], answer)

    def _rows(self, columns: Sequence[str], rows: list[Any], relation: Any) -> None:
        if self._format == "arrow":
            import pyarrow

            if relation is not None:
                table = relation.arrow()
            else:
                texts = [pyarrow.array([str(row[i]) for row in rows]) for i in range(len(columns))]
                table = pyarrow.table(texts, names=list(columns))
            assert self._binary is not None
            with pyarrow.ipc.new_stream(cast(Any, self._binary), table.schema) as out:
                out.write_table(table)
            self._binary.flush()
            return
        if self._began and self._format in ("csv", "markdown"):
            self._write("")
        self._began = True
        self._write("\n".join(lines(self._format, columns, rows)) if rows or self._format != "jsonl" else "")

    def push(self, subscription: Any) -> None:
        """Write the rows of a push query as they come; JSON is one object per line.  A deleted row has its key and NULLs."""
        format_ = "jsonl" if self._format == "json" else self._format
        columns = subscription.columns
        if format_ == "arrow":
            self._push_arrow(subscription)
            return
        if format_ != "jsonl":
            for line in lines(format_, columns, []):
                self._write(line)
        for row in subscription:
            if row.missed:
                self._tell(f"({row.missed} rows were dropped: the reader was slow)")
            self._write(list(lines(format_, columns, [row.values]))[-1])

    def _push_arrow(self, subscription: Any) -> None:
        import pyarrow

        assert self._binary is not None
        out = None
        try:
            for batch in subscription.batches():
                out = out or pyarrow.ipc.new_stream(cast(Any, self._binary), batch.columns.schema)
                out.write_batch(batch.columns)
                self._binary.flush()
        finally:
            if out is not None:
                out.close()


def _content(content: Any) -> Any:
    return content if isinstance(content, str) else content.text()


def standard_binary() -> IO[bytes] | None:
    """Standard output for bytes; None if there is none."""
    return getattr(sys.stdout, "buffer", None)
