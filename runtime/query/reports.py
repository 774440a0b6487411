"""Reports of bad records: topic, partition, offset and reason, as rows of the processing log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import OffsetOutOfRangeError
from ..batch import Int64s
from ..processing_log import DESERIALIZATION_ERROR, RECORD_PROCESSING_ERROR, SERIALIZATION_ERROR, ErrorReport, ProcessingLog
from ..source import BadRows
from ..user_code import text_of
from .step_data import Input, InputSlice, place_of
from .task import NodeError, Task


def report_bad_records(log: ProcessingLog, query_id: str, item: InputSlice, bad: BadRows) -> None:
    """Report records of an input that could not be decoded."""
    assert item.chunk is not None
    source = item.input.source
    offsets = item.chunk.records.offsets[item.start + bad.rows]
    for side in ("key", "value"):
        rows = [i for i, s in enumerate(bad.sides) if ("key" if s == "key" else "value") == side]
        if rows:
            log.add(
                ErrorReport(
                    DESERIALIZATION_ERROR,
                    f"processing.{query_id}.{source.name}",
                    side,
                    [source.topic] * len(rows),
                    [item.input.partition] * len(rows),
                    [int(offsets[i]) for i in rows],
                    [bad.reasons[i] for i in rows],
                    [int(item.positions[bad.rows[i]]) for i in rows],
                )
            )


def report_gap(log: ProcessingLog, query_id: str, entry: Input, asked: int, outside: OffsetOutOfRangeError) -> None:
    """Report that an input's next record is gone (or was never there), and where the query reads on.

    Args:
        asked: the offset that it wanted to read.
        outside: the offsets that the partition holds.
    """
    missed = max(0, min(entry.offset, outside.start) - asked)
    reason = (
        f"the next offset to read was {asked}, and the partition holds {outside.start} to {outside.end}: read on at "
        f"{entry.offset}; up to {missed} records were removed unread"
    )
    logger = f"processing.{query_id}.{entry.source.name}"
    place = ([entry.source.topic], [entry.partition], [asked])
    log.add(ErrorReport(RECORD_PROCESSING_ERROR, logger, None, *place, [reason], [-1]))


def report_failures(log: ProcessingLog, query_id: str, tasks: Sequence[Task], slices: list[InputSlice]) -> None:
    """Report what operators reported, with the places of the input records.  Empties the tasks' ``reports``."""
    for task in tasks:
        for report in task.reports:
            positions = report.batch.positions[report.failures.rows]
            reasons = report.failures.reasons
            report_rows(log, query_id, slices, RECORD_PROCESSING_ERROR, report.operator, None, positions, reasons)
        task.reports = []


def report_rows(
    log: ProcessingLog,
    query_id: str,
    slices: list[InputSlice],
    kind: int,
    node: str,
    side: str | None,
    positions: Int64s,
    reasons: Sequence[str],
) -> None:
    """Report rows by the positions of the records that they came from.

    Args:
        kind: one of the constants of `processing_log`.
        node: the operator or sink that could not use them.
        side: "key" or "value" of a sink's record; None for an operator.
    """
    topics: list[str | None] = []
    partitions: list[int | None] = []
    offsets: list[int | None] = []
    for position in positions.tolist():
        # Without records, the step lets time pass (`Operator.advance`).
        topic, partition, offset = place_of(slices, position) if slices else (None, None, None)
        topics.append(topic)
        partitions.append(partition)
        offsets.append(offset)
    logger = f"processing.{query_id}.{node}"
    log.add(ErrorReport(kind, logger, side, topics, partitions, offsets, list(reasons), positions.tolist()))


def report_row(log: ProcessingLog, query_id: str, slices: list[InputSlice], error: NodeError) -> None:
    """Report the one row of a step, on which a node failed."""
    kind, side = (SERIALIZATION_ERROR, "value") if error.is_sink else (RECORD_PROCESSING_ERROR, None)
    (position,) = np.concatenate([item.positions for item in slices]).tolist()
    report_rows(log, query_id, slices, kind, error.node, side, np.array([position]), [text_of(error.cause)])
