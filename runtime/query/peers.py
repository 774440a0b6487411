"""Requests to the servers of other processes of a service."""

from __future__ import annotations

import urllib.error
import urllib.parse
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import pyarrow as pa

from ...errors import LogUnavailableError, StorageError
from ...storage.values.arrow_streams import from_arrow_stream, to_arrow_stream

__all__ = ["KEY_HEADER", "ask"]

KEY_HEADER: Final = "penstock-service-key"
"""The header with what only the processes of a service know (`Log.service_key`)."""
_TIMEOUT_S: Final = 20.0
_ARROW: Final = "application/vnd.apache.arrow.stream"


def ask(address: str, query_id: str, partitions: Sequence[int], keys: pa.Table | None, secret: str) -> pa.Table:
    """Rows of a query's table, in the shape of its `TableView`, from the process that has these partitions.

    Args:
        address: ``http://host:port``.
        keys: a column for each key column of the store: only rows of these; None: all.

    Raises:
        LogUnavailableError: it does not answer, or no longer has these partitions.
        StorageError: it refuses.
    """
    from urllib.request import Request  # (takes long, and most databases are alone)

    numbers = ",".join(map(str, partitions))
    url = f"{address}/v1/partitions/{urllib.parse.quote(query_id, safe='')}?partitions={numbers}"
    headers = {KEY_HEADER: secret, "content-type": _ARROW, "accept": _ARROW}
    request = Request(url, b"" if keys is None else to_arrow_stream(keys), headers, method="POST")
    try:
        with _opener().open(request, timeout=_TIMEOUT_S) as answer:
            data: bytes = answer.read()
            return from_arrow_stream(data)
    except urllib.error.HTTPError as error:
        said = error.read(2_000).decode("utf-8", "replace")
        if error.code in (404, 409, 429, 503):
            raise LogUnavailableError(
                f"the process at {address} cannot give partitions {numbers} of {query_id} now: {said}",
                action="try again soon",
            ) from error
        raise StorageError(
            f"the process at {address} refuses to give partitions {numbers} of {query_id}: {error.code} {said}",
            action="are both of the same service, and of the same version?",
        ) from error
    except (OSError, pa.ArrowInvalid) as error:
        raise LogUnavailableError(
            f"the process at {address}, which has partitions {numbers} of {query_id}, does not answer: {error}",
            action="see whether it runs and can be reached from here under this address",
        ) from error


@cache
def _opener() -> Any:
    """Members of a service reach each other directly, without a proxy."""
    from urllib.request import ProxyHandler, build_opener

    return build_opener(ProxyHandler({}))
