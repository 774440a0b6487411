"""When the log's background thread maintains it."""

from __future__ import annotations

import threading

from penstock.storage.log.local.maintenance.housekeeper import Housekeeper
from penstock.storage.log.settings import LogSettings


class Appended:
    """A log to which something is appended whenever somebody looks."""

    def __init__(self, each: int) -> None:
        self.maintained = 0
        self.looks = 0
        self.seen = threading.Event()
        self._each = each

    @property
    def appended_bytes(self) -> int:
        self.looks += 1
        if self.looks > 5:
            self.seen.set()
        return self.looks * self._each

    def flush_beside(self) -> None:
        """Nothing waits."""

    def maintain(self, now_ms: int | None = None) -> None:
        self.maintained += 1
        self.seen.set()


def run(log: Appended, patience_s: float) -> int:
    """How often it was maintained until it was, or was looked at some times."""
    settings = LogSettings(maintenance_interval_s=0.01, maintenance_patience_s=patience_s, busy_bytes_per_s=1000.0)
    keeper = Housekeeper(log, settings, lambda: 0)
    keeper.start()
    assert log.seen.wait(60)
    keeper.stop()
    return log.maintained


def test_maintenance_waits_while_much_is_appended() -> None:
    """Rewriting would take the disk from those who write, but it does not wait for ever."""
    assert run(Appended(1 << 40), patience_s=1e9) == 0
    assert run(Appended(1 << 40), patience_s=0.05) > 0
    assert run(Appended(0), patience_s=1e9) > 0
