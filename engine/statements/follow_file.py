"""WITH (FOLLOW = ..): stores which file a stream follows."""

from __future__ import annotations

from dataclasses import replace

from ..catalog import FileToFollow
from ..changes import SetSource
from ..results import Message
from .carry_out import carry_out
from .checking import Checked
from .context import Context

__all__ = ["set_followed"]


def set_followed(context: Context, name: str, followed: FileToFollow | None, made: Message) -> None:
    """Store the file that a stream follows from now on, or that it does not follow one any more.

    Args:
        followed: the file; None: no file.
        made: the message of the statement.

    Raises:
        StorageError: the change could not be made durable.
    """
    source = context.catalog.source(name)
    if source.followed != followed:
        carry_out(context, Checked(SetSource(replace(source, followed=followed)), made))
