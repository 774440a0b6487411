"""Settings that all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("penstock", deadline=None, print_blob=True)
"""No deadline: tests do not assert on time, and a shared machine has slow moments."""

settings.register_profile("ci", parent=settings.get_profile("penstock"), derandomize=True)
"""In CI the same examples every time: a red run is the change's, and can be run again."""

settings.load_profile("ci" if os.environ.get("CI") else "penstock")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--bless`` rewrites golden files (`make bless`)."""
    parser.addoption("--bless", action="store_true", help="rewrite golden files with what is found; review the difference")
