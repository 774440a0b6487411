"""Makes the kernel that reads the timestamp of a record from one of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InternalError
from ...grammar import ast
from ...kernels.booleans import booleans
from ...runtime.kernel import Evaluated, Failures, Kernel
from ...storage.values.arrow_calls import less_than
from ..analysis.bind import bind
from ..analysis.scope import FromSource, Scope, SourceColumn
from ..catalog import DataSource, FormatInfo
from ..expressions.compile import compile_expression
from ..functions.registry import Registry
from ..schema import Schema
from ..types import TIMESTAMP


def timestamp_kernel(name: str, format_: str | None, schema: Schema, functions: Registry) -> Kernel:
    """Section 6 of the reference: the time of a record from a column: BIGINT milliseconds, a TIMESTAMP, or a STRING with a
    format.

    A row fails if its time is negative or cannot be read.
    """
    column = schema.find(name)
    if column is None:
        raise InternalError(f"the timestamp column {name} is not among {', '.join(schema.names)}")
    source = FromSource(
        "",
        DataSource("", "STREAM", schema, "", FormatInfo("NONE"), FormatInfo("NONE")),
        tuple(SourceColumn("", c.name, c.name, c.type, "VALUE") for c in schema),
    )
    reference: ast.Expression = ast.NameRef(name)
    if format_ is not None:
        reference = ast.FunctionCall("PARSE_TIMESTAMP", (reference, ast.StringLiteral(format_)))
    expression = bind(reference, Scope((source,), "TIMESTAMP"), functions)
    inner = compile_expression(expression, schema.arrow(), functions=functions)
    is_timestamp = expression.type == TIMESTAMP

    def kernel(columns: Sequence[Any], length: int) -> Evaluated:
        values, failures = inner(columns, length)
        times = values.cast(pa.int64()) if is_timestamp else values
        whole = isinstance(times, pa.Array) and len(times) > 0 and times.null_count == 0
        lowest = times.to_numpy().min() if whole else pc.min(times).as_py()  # NumPy needs an eighth of the time
        if lowest is None or lowest >= 0:
            return Evaluated(times, failures)
        negative = np.flatnonzero(booleans(less_than(times, 0)))
        if len(negative):
            mask = np.zeros(length, np.bool_)
            mask[negative] = True
            times = pc.if_else(pa.array(mask), pa.scalar(None, pa.int64()), times)
            reasons = {int(r): "the timestamp is negative" for r in negative}
            if failures is not None:
                reasons.update(zip(failures.rows.tolist(), failures.reasons, strict=True))
            rows = np.array(sorted(reasons), np.int64)
            failures = Failures(rows, tuple(reasons[int(r)] for r in rows))
        return Evaluated(times, failures)

    return kernel
