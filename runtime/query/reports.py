"""What a step has to complain about: bad records with their place, as rows of the processing log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import OffsetOutOfRangeError
from ..batch import Int64s
from ..processing_log import DESERIALIZATION_ERROR, RECORD_PROCESSING_ERROR, SERIALIZATION_ERROR, Complaint, ProcessingLog
from ..source import BadRows
from ..user_code import text_of
from .taken import Input, Taken, place_of
from .task import NodeError, Task


def complain_about_input(log: ProcessingLog, query_id: str, item: Taken, bad: BadRows) -> None:
    """Records of an input that cannot be used."""
    assert item.chunk is not None
    source = item.input.source
    offsets = item.chunk.records.offsets[item.start + bad.rows]
    for side in ("key", "value"):
        rows = [i for i, s in enumerate(bad.sides) if ("key" if s == "key" else "value") == side]
        if rows:
            log.add(
                Complaint(
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


def complain_about_gap(log: ProcessingLog, query_id: str, entry: Input, asked: int, outside: OffsetOutOfRangeError) -> None:
    """An input's next record is gone (or was never there): it reads on elsewhere."""
    missed = max(0, min(entry.offset, outside.start) - asked)
    reason = (
        f"the next offset to read was {asked}, and the partition holds {outside.start} to {outside.end}: read on at "
        f"{entry.offset}; up to {missed} records were removed unread"
    )
    logger = f"processing.{query_id}.{entry.source.name}"
    place = ([entry.source.topic], [entry.partition], [asked])
    log.add(Complaint(RECORD_PROCESSING_ERROR, logger, None, *place, [reason], [-1]))


def complain_about_reports(log: ProcessingLog, query_id: str, tasks: Sequence[Task], taken: list[Taken]) -> None:
    """What operators reported, with the place of the input record; the reports are taken."""
    for task in tasks:
        for report in task.reports:
            positions = report.batch.positions[report.failures.rows]
            reasons = report.failures.reasons
            complain(log, query_id, taken, RECORD_PROCESSING_ERROR, report.operator, None, positions, reasons)
        task.reports = []


def complain(
    log: ProcessingLog,
    query_id: str,
    taken: list[Taken],
    kind: int,
    node: str,
    side: str | None,
    positions: Int64s,
    reasons: Sequence[str],
) -> None:
    """Rows that came from the records at these positions of the step; ``kind`` is one of processing_log's."""
    topics: list[str] = []
    partitions: list[int] = []
    offsets: list[int] = []
    for position in positions.tolist():
        topic, partition, offset = place_of(taken, position)
        topics.append(topic)
        partitions.append(partition)
        offsets.append(offset)
    logger = f"processing.{query_id}.{node}"
    log.add(Complaint(kind, logger, side, topics, partitions, offsets, list(reasons), positions.tolist()))


def complain_about_row(log: ProcessingLog, query_id: str, taken: list[Taken], error: NodeError) -> None:
    """The one row of a step, which a node cannot take."""
    kind, side = (SERIALIZATION_ERROR, "value") if error.is_sink else (RECORD_PROCESSING_ERROR, None)
    (position,) = np.concatenate([item.positions for item in taken]).tolist()
    complain(log, query_id, taken, kind, error.node, side, np.array([position]), [text_of(error.cause)])
