"""Serves table rows to the other processes of a service on Kafka, which share the partitions of its queries."""

from __future__ import annotations

import hmac

import pyarrow as pa

from ..errors import PenstockError
from ..runtime.query.peers import KEY_HEADER
from ..storage.values.arrow_streams import from_arrow_stream, to_arrow_stream
from .accounts import Account
from .http import ARROW, Request
from .problems import BAD_REQUEST, NO_SUCH_COMMAND, NOT_ALLOWED, NOT_HERE, ApiError, api_error
from .service import Service


class PartitionsApi:
    """``POST /v1/partitions/{query}?partitions=0,3``: the rows of a query's table in these partitions, as an Arrow stream.

    The body may be an Arrow stream of keys; then only their rows are returned.  The caller proves that it belongs to the
    same service by a key that only the service's processes know (`Log.service_key`).
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request, account: Account) -> None:
        """Answer a request.  Raises: ApiError, if it is not valid or its key is wrong."""
        shown = request.headers.get(KEY_HEADER, "")
        body = await request.body()
        query_id, asked = request.path_parameters["id"], request.query.get("partitions", "")
        await request.respond(await self._service.workers.run(self._rows, shown, query_id, asked, body), ARROW)

    def _rows(self, shown: str, query_id: str, asked: str, body: bytes) -> bytes:
        database = self._service.database
        try:
            if not hmac.compare_digest(shown.encode(), database.service_key().encode()):
                self._service.measures.refuse("credentials")
                self._service.audit.refused("unknown", "/v1/partitions", "no process of this service")
                raise ApiError(NOT_ALLOWED, "this is for the processes of the service only")
            if not asked or not all(part.isdecimal() for part in asked.split(",")):
                raise ApiError(BAD_REQUEST, "partitions must be a list of numbers")
            keys = from_arrow_stream(body) if body else None
            columns = None if keys is None else [column.combine_chunks() for column in keys.columns]
            rows = database.partition_rows(query_id, [int(part) for part in asked.split(",")], columns)
        except pa.ArrowInvalid as error:
            raise ApiError(BAD_REQUEST, "the body is not an Arrow stream") from error
        except KeyError as error:
            raise ApiError(NO_SUCH_COMMAND, f"there is no query {query_id}") from error
        except PenstockError as error:
            raise api_error(error) from error
        if rows is None:
            raise ApiError(NOT_HERE, f"this process does not have the partitions {asked} of {query_id}")
        return to_arrow_stream(rows)


__all__ = ["PartitionsApi"]
