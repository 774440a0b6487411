"""The audit log: a line of JSON for each request that was refused or changed something.

A line says who did what, when, and from which address.  It leaves out the values of INSERT, so that the log is no second
copy of the data, and passwords in properties.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TextIO

import msgspec

from ..runtime.clock import now_ms
from .json_log import FACTS

_LOG = logging.getLogger("penstock.audit")
ORIGIN: ContextVar[Mapping[str, str]] = ContextVar("ORIGIN", default=MappingProxyType({}))
"""The origin of the present request: ``client`` (its address) and ``trace``, each only if it is known."""
_TEXT_MAX: Final = 2_000
"""The largest number of characters of a statement that are logged."""
_VALUES = re.compile(r"(?is)\bVALUES\s*\(.*")
_SECRETS = re.compile(
    r"(?is)(['\"]?[\w.]*(?:password|secret|token|credential|basic\.auth|sasl\.jaas|api[._-]?key)[\w.]*['\"]?\s*=\s*)'(?:[^']|'')*'"
)
_URLS = re.compile(r"(://[^/@:\s']*:)[^/@\s']*@")


def cleaned(text: str) -> str:
    """Remove the values of INSERT and passwords from a statement, so that logs may show it.

    >>> cleaned("INSERT INTO s VALUES (1, 'Ada')")
    'INSERT INTO s VALUES (..)'
    >>> cleaned("SET 'ssl.key.password' = 'x'")
    "SET 'ssl.key.password' = '***'"
    """
    if re.match(r"(?is)\s*(INSERT|ASSERT)\b", text):
        text = _VALUES.sub("VALUES (..)", text)
    text = _URLS.sub(r"\1***@", _SECRETS.sub(r"\1'***'", text))
    return text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + " .."


class Audit:
    """Writes the lines to a file, and to the logger ``penstock.audit``.  Thread-safe.

    Args:
        path: the file, appended to; None for the logger alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._guard = threading.Lock()
        self._file: TextIO | None = None if path is None else path.open("a", encoding="utf-8")

    def changed(self, account: str, text: str, **more: Any) -> None:
        """Log that an account changed something.  ``more`` has further members of the line."""
        self._write(account, "changed", statement=cleaned(text), **more)

    def refused(self, account: str, text: str, reason: str, **more: Any) -> None:
        """Log that an account was refused something.  ``more`` has further members of the line."""
        self._write(account, "refused", statement=cleaned(text), reason=reason, **more)

    def _write(self, account: str, event: str, **facts: Any) -> None:
        found = {"at": now_ms(), "account": account, "event": event, **ORIGIN.get(), **facts}
        line = msgspec.json.encode(found).decode()
        _LOG.info("%s", line, extra={FACTS: found})
        if self._file is not None:
            with self._guard:
                self._file.write(line + "\n")
                self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


__all__ = ["ORIGIN", "Audit", "cleaned"]
