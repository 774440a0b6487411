"""Settings that all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

COMPILER = Path(__file__).resolve().parent.parent / "build_tools" / "kernel_compiler.py"


def pytest_configure(config: pytest.Config) -> None:
    """Compile the kernels anew if their sources have changed: tests never run on those of another checkout.

    A shell's job in the background ignores SIGINT, as would its children: Ctrl-C is part of what is tested.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        subprocess.run([sys.executable, str(COMPILER), "--if-changed"], check=True)


settings.register_profile("penstock", deadline=None, print_blob=True)
"""No deadline: tests do not assert on time, and a shared machine has slow moments."""

settings.register_profile("ci", parent=settings.get_profile("penstock"), derandomize=True)
"""In CI the same examples every time: a red run is the change's, and can be run again."""

settings.load_profile("ci" if os.environ.get("CI") else "penstock")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--bless`` rewrites golden files (`make bless`)."""
    parser.addoption("--bless", action="store_true", help="rewrite golden files with what is found; review the difference")
