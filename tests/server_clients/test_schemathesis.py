"""schemathesis over the OpenAPI document: whatever fits it, and much that does not, is answered as it says.

``PENSTOCK_HTTP_FUZZ=100000`` (`make http-fuzz`) makes 200 requests of each operation instead of 5.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

import penstock
from penstock.server import openapi

from .conftest import SHOP

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")

EXAMPLES = max(5, int(os.environ.get("PENSTOCK_HTTP_FUZZ", "0")) // 500)
SKIPPED = {"/ksql/terminate", "/ws/query"}
"""One ends all that the others need, one is no request of HTTP."""
CHECKS = (checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance)
LATE = {50301, 40800}
"""A command that never comes; a body or a statement that takes too long: the answers that these are to have."""


for binary in ("application/vnd.ksqlapi.delimited.v1", "application/vnd.apache.arrow.stream"):

    @schemathesis.serializer(binary)
    def raw(context: Any, value: Any) -> bytes:
        """Bytes as they are; anything else as JSON."""
        return value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server for all operations, whose commands that never come are not waited for long."""
    with penstock.connect(None) as database:
        database.execute(SHOP)
        database.insert("orders", [{"id": 1, "item": "tea", "euros": 2.5}])
        with penstock.serve(database, port=0, command_timeout_s=0.1) as server:
            yield server.url


@pytest.mark.xdist_group("schemathesis")
@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, _ in openapi.operations() if p not in SKIPPED])
def test_an_operation_is_as_described(url: str, method: str, path: str) -> None:
    """Its status, content type and members; no failure of the server, which serves others as before."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operation = schema[path][method]

    @seed(1)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        answer = case.call(base_url=url, timeout=20, allow_redirects=False)
        assert answer.status_code < 500 or answer.json()["error_code"] in LATE, answer.text
        case.validate_response(answer, checks=CHECKS)

    check()
