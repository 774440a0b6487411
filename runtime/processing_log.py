"""The processing log: one row for every bad record, with reason, topic, partition and offset.

It is a topic of typed values, written in the commit of the step that found the record.  The engine declares a stream over it
(KSQL_PROCESSING_LOG), so it can be queried.  The columns are ksqlDB's, and the place of the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from ..storage.log.ownership import PROCESSING_LOG
from ..storage.log.protocol import Records
from .clock import now_ms

TOPIC = PROCESSING_LOG

DESERIALIZATION_ERROR = 0
RECORD_PROCESSING_ERROR = 1
SERIALIZATION_ERROR = 3

_PLACE: Final[list[tuple[str, pa.DataType]]] = [("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64())]
_DESERIALIZATION = pa.struct([("target", pa.string()), ("errorMessage", pa.string()), *_PLACE])
_PROCESSING = pa.struct([("errorMessage", pa.string()), *_PLACE])
_SERIALIZATION = pa.struct([("target", pa.string()), ("errorMessage", pa.string()), *_PLACE])
_MESSAGE = pa.struct(
    [
        ("type", pa.int32()),
        ("deserializationError", _DESERIALIZATION),
        ("recordProcessingError", _PROCESSING),
        ("serializationError", _SERIALIZATION),
    ]
)
VALUE_TYPE = pa.struct([("LOGGER", pa.string()), ("LEVEL", pa.string()), ("TIME", pa.int64()), ("MESSAGE", _MESSAGE)])
"""The type of the topic's values: the columns of the stream KSQL_PROCESSING_LOG."""


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Bad records of one cause.  The sequences are parallel.

    Attributes:
        kind: one of the module's constants.
        logger: ``processing.<query>.<operator>``.
        target: "key" or "value"; None where an operator failed.
        topics, partitions, offsets: of the records; None where the passing of time and no record was the cause.
        positions: of the records in the step; the processing log shows a step's reports in that order.
    """

    kind: int
    logger: str
    target: str | None
    topics: Sequence[str | None]
    partitions: Sequence[int | None]
    offsets: Sequence[int | None]
    reasons: Sequence[str]
    positions: Sequence[int]


@dataclass(slots=True)
class ProcessingLog:
    """Collects the reports of one step; `records` makes log records of them for the step's commit.

    Reports are sorted by the positions of their records, so the processing log does not depend on how the input was cut into
    steps.
    """

    reports: list[ErrorReport] = field(default_factory=list)

    def add(self, report: ErrorReport) -> None:
        self.reports.append(report)

    def records(self) -> Records | None:
        """The rows to append to `TOPIC`; None if there is nothing to report.  Clears ``reports``."""
        if not self.reports:
            return None
        rows: list[dict[str, object]] = []
        positions: list[int] = []
        now = now_ms()
        for report in self.reports:
            for topic, partition, offset, reason in zip(
                report.topics, report.partitions, report.offsets, report.reasons, strict=True
            ):
                place = {"topic": topic, "partition": partition, "offset": offset, "errorMessage": reason}
                message: dict[str, object] = {"type": report.kind}
                if report.kind == DESERIALIZATION_ERROR:
                    message["deserializationError"] = {**place, "target": report.target}
                elif report.kind == SERIALIZATION_ERROR:
                    message["serializationError"] = {**place, "target": report.target}
                else:
                    message["recordProcessingError"] = place
                rows.append({"LOGGER": report.logger, "LEVEL": "ERROR", "TIME": now, "MESSAGE": message})
            positions.extend(report.positions)
        self.reports = []
        rows = [rows[i] for i in sorted(range(len(rows)), key=positions.__getitem__)]
        return Records(None, pa.array(rows, VALUE_TYPE), np.full(len(rows), now, np.int64))
