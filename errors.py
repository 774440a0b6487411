"""The error families.  Each is for somebody else, who must act:

* `StatementError`: the author of a statement (it has a place in the text, and often a suggestion).
* `UnsupportedError`: a `StatementError` for something that the dialect has and Penstock does not have.
* `AssertionFailedError`: a `StatementError` for an ASSERT that does not hold.
* `DataError`: the owner of the data (one record, or a query that cannot go on because of one).
* `StorageError`: the operator of the machine (it has a file, an offset, and what to do).
* `OffsetOutOfRangeError`: a `StorageError` for a read at an offset where the partition has no records, or no longer has
  them.
* `ClientError`: the program that uses a producer or a consumer; its subclasses have Kafka's names.
* `InternalError`: Penstock's developers, since it is a bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "AssertionFailedError",
    "BufferExhaustedError",
    "ClientError",
    "CommitFailedError",
    "DataError",
    "InternalError",
    "OffsetOutOfRangeError",
    "OutOfOrderSequenceError",
    "PenstockError",
    "ProducerFencedError",
    "Span",
    "StatementError",
    "StorageError",
    "UnsupportedError",
]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text: its start and end in characters, and the line and column of its start, both from 1."""

    start: int
    end: int
    line: int = 1
    column: int = 1


class PenstockError(Exception):
    """The base class of Penstock's errors.

    Attributes:
        code: the kind of error, for programs and logs.  It stays the same when the wording changes.
        span: the place in the text of a statement, if it is known.
    """

    code: ClassVar[str] = "penstock"
    span: Span | None = None

    @property
    def hint(self) -> str | None:
        """What to do about the error, in words; None if there is no hint."""
        found = getattr(self, "suggestion", None) or getattr(self, "action", None)
        return None if found is None else str(found)


class StatementError(PenstockError):
    """A statement is wrong.  Nothing was changed.

    Args:
        message: one sentence that says what is wrong, in the user's words.
        span: the place in ``text``.
        text: the statement (or script) that ``span`` refers to.
        suggestion: what to write instead.
        expected: for syntax errors, what could stand there.

    Attributes:
        path: the file of the script, if the statement comes from one.
    """

    code = "statement"

    def __init__(
        self,
        message: str,
        *,
        span: Span | None = None,
        text: str | None = None,
        suggestion: str | None = None,
        expected: tuple[str, ...] = (),
    ) -> None:
        super().__init__(printable(message))
        self.message = printable(message)
        self.span = span
        self.text = text
        self.suggestion = None if suggestion is None else printable(suggestion)
        self.expected = expected
        self.path: str | None = None

    def located(self, text: str, path: str | None = None) -> StatementError:
        """The same error with the text that its span refers to, and the script's file.  An error that has these already
        keeps them.
        """
        if self.text is None:
            self.text = text
        if self.path is None:
            self.path = path
        return self

    def __str__(self) -> str:
        place = "" if self.path is None else f"{self.path}: "
        parts = [place + self.message]
        if self.span is not None and self.text is not None:
            place = "" if self.path is None else f"{self.path}, "
            parts[0] = f"{place}line {self.span.line}, column {self.span.column}: {self.message}"
            parts.append(underline(self.text, self.span))
        if self.expected:
            parts.append("expected: " + ", ".join(self.expected))
        if self.suggestion:
            parts.append(self.suggestion)
        return "\n".join(parts)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback: the mistake is in the statement, not in a line of Python."""
        return [f"{type(self).__name__}: {self}"]


class UnsupportedError(StatementError):
    """The dialect has this, but Penstock does not have it (yet).  It is refused, never accepted and ignored."""

    code = "unsupported"


class AssertionFailedError(StatementError):
    """An ASSERT statement does not hold."""

    code = "assertion"


class DataError(PenstockError):
    """A record could not be processed, or a query stopped because of one."""

    code = "data"


class StorageError(PenstockError):
    """A file is damaged, missing or held by another process.

    Args:
        message: what is wrong.
        path: the file or directory.
        offset: the byte in the file, if it is known.
        action: what the operator can do.
    """

    code = "storage"

    def __init__(
        self, message: str, *, path: str | None = None, offset: int | None = None, action: str | None = None
    ) -> None:
        super().__init__(printable(message))
        self.message = printable(message)
        self.path = None if path is None else printable(path)
        self.offset = offset
        self.action = action

    def __str__(self) -> str:
        place = "" if self.path is None else f" [{self.path}" + ("]" if self.offset is None else f" at byte {self.offset}]")
        action = "" if self.action is None else f"\noperator action: {self.action}"
        return f"{self.message}{place}{action}"


class OffsetOutOfRangeError(StorageError):
    """A read at an offset outside of the records that a partition has.

    Retention, compaction of whole segments and `delete_before` move the start of a partition.  If the position of a reader
    is before the start, it has missed records; this error reports that.

    Attributes:
        topic, partition, asked: the partition, and the offset of the read.
        start, end: the first offset, and the offset after the last record.
    """

    code = "offset_out_of_range"

    def __init__(self, topic: str, partition: int, asked: int, start: int, end: int) -> None:
        what = f"offsets {start} to {end - 1}" if end > start else f"no records (its next offset is {end})"
        gone = "have been removed" if asked < start else "have not been written"
        super().__init__(
            f"the topic {topic!r}, partition {partition}, holds {what}; those from {asked} on {gone}",
            action="read on from the earliest or the latest offset, whichever suits the reader",
        )
        self.topic = topic
        self.partition = partition
        self.asked = asked
        self.start = start
        self.end = end


class LogUnavailableError(StorageError):
    """The log cannot be reached now.  Queries and clients that were running continue when it can be reached again."""

    code = "log_unavailable"


class LogRefusedError(LogUnavailableError):
    """The log can be reached, but refuses a request: a right or a topic is missing, a record is too large, ..

    Queries and clients that were running continue when the log accepts the request.
    """

    code = "log_refused"


class PartitionsLostError(StorageError):
    """A process committed for partitions that another process owns now.  Nothing of the commit was written."""

    code = "partitions_lost"


class ClientError(PenstockError):
    """A producer or consumer is used in a way that cannot work; nothing was changed."""

    code = "client"


class ProducerFencedError(ClientError):
    """A newer producer with the same id exists.  This one cannot write any more."""

    code = "producer_fenced"


class OutOfOrderSequenceError(ClientError):
    """A record's sequence number does not follow the producer's last one in the partition: records are missing."""

    code = "out_of_order_sequence"


class BufferExhaustedError(ClientError):
    """The producer's buffer was full for ``max_block_ms``: the program sends records faster than they are written."""

    code = "buffer_exhausted"


class CommitFailedError(ClientError):
    """The consumer commits offsets of partitions that another member owns now: its generation is over."""

    code = "commit_failed"


class InternalError(PenstockError):
    """A bug in Penstock.  Please report it."""

    code = "internal"


def printable(text: str) -> str:
    """Escape the unpaired surrogates of a text, so that every terminal and log can write it.  (They have no UTF-8.)"""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def unwritable(text: str) -> str | None:
    """What a text contains that no file, path or log can hold, in words; None if there is no such character."""
    if "\0" in text:
        return "the character NUL"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is not a character"
    return None


def underline(text: str, span: Span) -> str:
    """The line in which ``span`` starts, with carets below the span.

    >>> print(underline("SELECT x FROM y", Span(7, 8, 1, 8)))
      SELECT x FROM y
             ^
    """
    lines = text.splitlines() or [""]
    line = lines[min(span.line, len(lines)) - 1]
    length = max(1, min(span.end - span.start, len(line) - span.column + 1))
    return f"  {line}\n  {' ' * (span.column - 1)}{'^' * length}"
