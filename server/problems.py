"""The API's errors, each with a code and a message.  The HTTP status is the code without its last two digits."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import (
    AssertionFailedError,
    DataError,
    InternalError,
    OffsetOutOfRangeError,
    PenstockError,
    StatementError,
    StorageError,
)

BAD_REQUEST = 40000
BAD_STATEMENT = 40001
QUERY_ENDPOINT = 40002
TOO_MANY_PUSH_QUERIES = 40003
NOT_AUTHENTICATED = 40100
NOT_ALLOWED = 40300
NO_SUCH_COMMAND = 40400
TIMED_OUT = 40800
NOT_ACCEPTABLE = 40600
NOT_HERE = 40900
TOO_LARGE = 41300
ASSERT_FAILED = 41700
MISDIRECTED = 42100
RATE_LIMITED = 42900
SERVER_ERROR = 50000
COMMAND_TIMED_OUT = 50301
SHUTTING_DOWN = 50303

_LOG = logging.getLogger("penstock.server")


class ApiError(Exception):
    """A request failed, and this is its answer.

    Args:
        code: ksqlDB's error code of five digits, see this module's constants.
        statement: the text of the statement that is wrong, if one is.
        entities: the answers to the statements before it.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        statement: str | None = None,
        entities: list[dict[str, Any]] | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.statement = statement
        self.entities = entities
        self.headers = headers

    @property
    def status(self) -> int:
        return self.code // 100

    def entity(self) -> dict[str, Any]:
        """The body of the answer."""
        found: dict[str, Any] = {"@type": "generic_error", "error_code": self.code, "message": self.message}
        if self.statement is not None:
            found["@type"] = "statement_error"
            found["statementText"] = self.statement
            found["entities"] = self.entities or []
        return found


def api_error(error: BaseException, statement: str | None = None) -> ApiError:
    """Make the answer for an exception.  One that is a bug is logged here, with its traceback."""
    if isinstance(error, ApiError):
        return error
    message = str(error)
    if isinstance(error, AssertionFailedError):
        return ApiError(ASSERT_FAILED, message, statement=statement)
    if isinstance(error, StatementError):
        return ApiError(BAD_STATEMENT, message, statement=statement)
    if isinstance(error, OffsetOutOfRangeError | DataError):
        return ApiError(BAD_REQUEST, message, statement=statement)
    if isinstance(error, StorageError):
        _LOG.error("a request failed because of the storage: %s", error)
        # the path of a file on this machine is the operator's business, not the client's
        return ApiError(SERVER_ERROR, f"the server's storage failed: {error.message}", statement=statement)
    if isinstance(error, PenstockError) and not isinstance(error, InternalError):
        return ApiError(BAD_REQUEST, message, statement=statement)
    _LOG.error("a request failed because of a fault of the server", exc_info=error)
    return ApiError(SERVER_ERROR, "the server failed; its log says why", statement=statement)


__all__ = ["ApiError", "api_error"]
