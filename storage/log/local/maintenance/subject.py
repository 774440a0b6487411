"""`Maintained`: what maintenance uses of an open log."""

from __future__ import annotations

from dataclasses import dataclass

from ....files import Files
from ...settings import LogSettings
from ..commit.committer import Committer
from ..log_state import LogState

__all__ = ["Maintained"]


@dataclass(frozen=True, slots=True)
class Maintained:
    """An open log."""

    state: LogState
    committer: Committer
    files: Files
    settings: LogSettings
