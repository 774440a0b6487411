"""Sends requests to a server, and converts failures to errors: it cannot be reached, answers with an error, or is not
Penstock's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa

from .. import __version__
from ..errors import ClientError, PenstockError, StatementError, printable
from ..runtime.timeouts import checked_timeout
from .problems import ApiError
from .wire import CLIENT_HEADER, error_of

if TYPE_CHECKING:
    import httpx

_Read = TypeVar("_Read")
Reader = Callable[[Any], _Read]
"""Converts the JSON of an answer."""
_ODD = (
    PenstockError,  # a type that SQL has not got, of a column in the answer
    ApiError,
    msgspec.MsgspecError,
    pa.ArrowException,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    OSError,
    NotImplementedError,
)
"""The errors that the conversion of an answer may raise if it does not come from a server of Penstock."""
_WHY_MAX = 200
"""The largest number of characters of a reason in an error's text, since it may repeat what the server sent."""
_CONNECTIONS_MAX = 1_000
"""The largest number of open connections; each push query keeps one."""


class RemoteConnection:
    """The connections to one server, shared by all sessions.  Thread-safe.

    Args:
        url, auth, token, verify, timeout_s: see `RemoteDatabase`.

    Raises:
        ClientError: `httpx` is not installed.
        StatementError: the address, the token or the file of certificate authorities cannot be used.

    Attributes:
        url: the server's address, without user and password.
    """

    def __init__(
        self, url: str, auth: tuple[str, str] | None, token: str | None, verify: bool | str, timeout_s: float | None
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ClientError("connecting to a server needs httpx: pip install 'penstock[client]'") from error
        timeout_s = checked_timeout(timeout_s)
        if timeout_s is not None and timeout_s <= 0:
            raise StatementError(f"a request cannot take {timeout_s:g} s")
        try:
            self._connect(url, auth, token, verify, timeout_s)
        except (httpx.InvalidURL, ValueError, OSError) as error:
            raise StatementError(f"cannot connect to {printable(url)}: {printable(str(error))}") from error

    def _connect(
        self, url: str, auth: tuple[str, str] | None, token: str | None, verify: bool | str, timeout_s: float | None
    ) -> None:
        """Make the HTTP client.  Raises: httpx.InvalidURL, ValueError, OSError: an argument cannot be used."""
        import httpx

        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:
            raise ValueError("the address has no host")
        if auth is None and parts.username is not None:
            auth = (parts.username, parts.password or "")
        headers = {CLIENT_HEADER: __version__}
        if token is not None:
            if not (token.isascii() and token.isprintable()):
                raise ValueError("a token is of printable ASCII characters")
            headers["authorization"] = f"Bearer {token}"
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._failures = httpx.HTTPError
        self._http: httpx.Client = httpx.Client(
            base_url=self.url,
            auth=auth,
            headers=headers,
            verify=verify,
            timeout=httpx.Timeout(timeout_s, pool=None),
            limits=httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=20),
        )

    def get(self, path: str, read: Reader[_Read]) -> _Read:
        """Send a GET and convert the answer's JSON by ``read``.  Raises: see `send` and `understood`."""
        return self._read(self.send("GET", path), read)

    def post(self, path: str, body: Mapping[str, Any], read: Reader[_Read]) -> _Read:
        """Send a POST with a JSON body and convert the answer's JSON by ``read``.  Raises: see `send` and `understood`."""
        return self._read(self.send("POST", path, json=body), read)

    def _read(self, answer: httpx.Response, read: Reader[_Read]) -> _Read:
        with self.understood(answer.url.path):
            return read(answer.json())

    @contextmanager
    def understood(self, path: str) -> Iterator[None]:
        """A context manager around each conversion of an answer: an error inside becomes a ClientError.

        Raises:
            ClientError: the answer is not one of Penstock's server.
        """
        with self.reached():
            try:
                yield
            except _ODD as error:
                why = f"{type(error).__name__}: {printable(str(error))[:_WHY_MAX]}"
                raise self.stranger(f"its answer to {path} was not understood ({why})") from error

    def stranger(self, why: str) -> ClientError:
        """Make the error for a server that is not Penstock's."""
        return ClientError(f"{self.url} is no server of Penstock: {why}")

    def _refusal(self, answer: httpx.Response) -> PenstockError:
        """Make the error for an answer whose status is not one of success."""
        try:
            return error_of(answer.json())
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            return ClientError(f"{self.url} answered {answer.status_code}")

    def send(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send a request.

        Args:
            how: see `httpx.Client.request`.

        Raises:
            PenstockError: the server's error, the server cannot be reached, or `close` was called.
        """
        self._check_open()
        try:
            answer = self._http.request(method, path, **how)
        except (self._failures, RuntimeError) as error:
            raise self._unreachable(error) from error
        if answer.status_code >= 400:
            raise self._refusal(answer)
        return answer

    def opened(self, path: str, body: Mapping[str, Any], accept: str | None = None) -> httpx.Response:
        """Send a request and return its answer before the body, which the caller reads without a time limit.

        Raises: see `send`.
        """
        headers = {} if accept is None else {"accept": accept}
        self._check_open()
        request = self._http.build_request("POST", path, json=body, headers=headers, timeout=None)
        with self.reached():
            answer = self._http.send(request, stream=True)
            if answer.status_code != 200:
                answer.read()
                raise self._refusal(answer)
        return answer

    @contextmanager
    def reached(self) -> Iterator[None]:
        """A context manager around the reading of a body.  Raises: ClientError, if the connection breaks."""
        try:
            yield
        except self._failures as error:
            raise self._unreachable(error) from error

    def close(self) -> None:
        """Close the connections.  Later requests are refused."""
        self._http.close()

    def _check_open(self) -> None:
        """Check that the connection is open.  Raises: StatementError: `close` was called."""
        if self._http.is_closed:
            raise StatementError("the database is closed")

    def _unreachable(self, error: Exception) -> ClientError:
        return ClientError(f"the server {self.url} cannot be reached: {error or type(error).__name__}")


__all__ = ["Reader", "RemoteConnection"]
