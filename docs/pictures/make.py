"""Make the pictures of the documents: ``make pictures``.  Each is a screen of the program itself."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from screens import Screen  # noqa: E402


def live_table(target: Path) -> None:
    """``penstock demo`` after some seconds."""
    with tempfile.TemporaryDirectory() as home:
        screen = Screen(Path(home), "demo", columns=84, lines=32)
        screen.until("Ctrl-C ends")
        deadline = time.monotonic() + 11
        while time.monotonic() < deadline:
            screen.read(0.2)
        target.write_text(screen.svg() + "\n", encoding="utf-8")
        screen.kill()


if __name__ == "__main__":
    live_table(ROOT / "docs" / "pictures" / "live-table.svg")
