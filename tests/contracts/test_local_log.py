"""`LocalLog` keeps what any log promises: on files, and in memory as far as that outlives nothing."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from log import LogContract

from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Log
from penstock.storage.log.settings import LogSettings
from penstock.storage.memory_files import MemoryFiles


class TestOnFiles(LogContract):
    """A directory."""

    def open(self, place: Path) -> Log:
        return LocalLog.open(place, LogSettings(background=False))


class TestSmallSegments(LogContract):
    """Segments and journals that are rolled all the time, nothing carried by the journal."""

    def open(self, place: Path) -> Log:
        return LocalLog.open(place, LogSettings(2_000, 3_000, 0, 0, background=False))


class TestInMemory(LogContract):
    """The same on files in memory, which stay for as long as this test holds them."""

    def open(self, place: Path) -> Log:
        kept = self.__dict__.setdefault("kept", {})
        if place not in kept:
            kept[place] = prepare(MemoryFiles())
        return LocalLog(kept[place], LogSettings(background=False))
