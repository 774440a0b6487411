"""Writes log records as lines of JSON, for ``penstock serve --log``."""

from __future__ import annotations

import logging
from typing import Any, TextIO

import msgspec

__all__ = ["FACTS", "JsonLines", "log_json"]

FACTS = "facts"
"""The attribute of a log record that has its fields: ``logger.info(.., extra={FACTS: {"route": "/ksql"}})``."""


class JsonLines(logging.Formatter):
    """Formats a log record as a JSON object on one line.

    Its members are ``at`` (milliseconds since 1970), ``level``, ``logger`` and the fields of `FACTS`; a record without
    such fields has ``message``.  A record with an exception has ``exception``, the traceback.

    >>> record = logging.makeLogRecord({"created": 1.5, "levelname": "INFO", "name": "penstock.server", "msg": "hello"})
    >>> JsonLines().format(record)
    '{"at":1500,"level":"info","logger":"penstock.server","message":"hello"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"at": int(record.created * 1000), "level": record.levelname.lower(), "logger": record.name}
        facts = getattr(record, FACTS, None)
        line.update(facts if isinstance(facts, dict) else {"message": record.getMessage()})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def log_json(stream: TextIO) -> logging.Handler:
    """Write the records of Penstock's loggers as lines of JSON: every request, and all warnings.

    Args:
        stream: gets the lines.

    Returns:
        the handler, for `logging.Logger.removeHandler`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.getLogger("penstock").addHandler(handler)
    logging.getLogger("penstock.server").setLevel(logging.INFO)
    return handler
