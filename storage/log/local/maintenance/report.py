"""What `inspect` found, as lines of text for a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .....errors import StorageError
from ....files import Files, RealFiles
from ....layout import journal_path, partition_directory, segment_path
from ..manifest import Committed, Manifest, SegmentState, config_of
from ..segments.record import Flags
from .inspect import LogContents, frames_of, open_segment, read_log

__all__ = ["inspect_directory"]

_FLAGS = {value: name.lower() for name, value in vars(Flags).items() if isinstance(value, int) and not name.startswith("_")}


def inspect_directory(
    path: str | Path,
    *,
    topic: str | None = None,
    partition: int | None = None,
    frames: bool = False,
    journal: bool = False,
) -> Iterator[str]:
    """The topics, segments, frames and journal records of the database in a directory, line by line.

    Raises:
        StorageError: there is no such directory or topic.
    """
    if not Path(path).is_dir():
        raise StorageError("there is no such directory", path=str(path))
    files = RealFiles(path, read_only=True)
    try:
        log = read_log(files)
        if topic is not None and topic not in log.manifest.topics:
            raise StorageError(f"there is no topic {topic!r}", path=str(path))
        yield from _journal(files, log, journal)
        for name in sorted(log.manifest.topics) if topic is None else [topic]:
            yield from _topic(files, log, name, partition, frames)
    finally:
        files.close()


def _journal(files: Files, log: LogContents, records: bool) -> Iterator[str]:
    if log.problem is not None:
        yield f"DAMAGE: {log.problem}"
    if log.number is None:
        return
    state = "closed in order" if log.closed else "open, or not closed in order"
    manifest = log.manifest
    yield f"{files.root}/{journal_path(log.number)}: {len(log.records)} records, {state}"
    yield f"  commit {manifest.epoch}, {manifest.next_arrival} records ever, {len(manifest.groups)} groups"
    if not records:
        return
    for record in log.records:
        value = record.value
        kind = type(value).__name__
        if isinstance(value, Manifest):
            words = f"{kind} of {len(value.topics)} topics"
        elif isinstance(value, Committed):
            parts = [f"{a.topic}-{a.partition} to {a.end} ({a.length} B)" for a in value.appended]
            words = f"{kind} {value.epoch}: {', '.join(parts) or 'positions only'}"
        else:
            words = f"{kind} {getattr(value, 'name', None) or getattr(value, 'topic', None) or getattr(value, 'group', '')}"
        yield f"  {record.position:>10}  {record.length:>8} B  durable to {record.durable_to:>10}  {words}"


def _topic(files: Files, log: LogContents, name: str, only: int | None, frames: bool) -> Iterator[str]:
    topic = log.manifest.topics[name]
    config = config_of(topic)
    kind = "bytes" if config.value_type is None else str(config.value_type)
    yield f"topic {name} (number {topic.id}): {len(topic.partitions)} partitions, {config.cleanup_policy}, {kind}"
    for number, state in enumerate(topic.partitions):
        if only not in (None, number):
            continue
        size = sum(s.length for s in state.segments)
        yield f"  partition {number}: offsets {state.start} to {state.end}, {len(state.segments)} segments, {size:,} bytes"
        for segment in state.segments:
            marks = [m for m in ("sealed", "merged", "cleaned") if getattr(segment, m)]
            file = segment_path(name, topic.id, number, segment.base, segment.generation).rpartition("/")[2]
            yield (
                f"    {file}: offsets {segment.base} to {segment.end}, {segment.length:,} bytes, "
                f"latest {segment.timestamp_max}{', ' if marks else ''}{', '.join(marks)}"
            )
            if frames:
                yield from _frames(files, log, name, number, segment)
        if not state.segments:
            yield f"    {partition_directory(name, topic.id, number)}: empty"


def _frames(files: Files, log: LogContents, name: str, number: int, state: SegmentState) -> Iterator[str]:
    try:
        segment = open_segment(files, log, name, number, state)
        try:
            for frame in frames_of(segment):
                header = frame.header
                flags = " ".join(word for flag, word in _FLAGS.items() if header.flags & flag) or "-"
                yield (
                    f"      {frame.position:>10}  offsets {header.base_offset} to {header.end_offset}  {header.rows} rows  "
                    f"{header.body_length} B  commit {header.epoch}  time {header.timestamp_min} to "
                    f"{header.timestamp_max}  {flags}  {'ok' if frame.problem is None else frame.problem.message}"
                )
        finally:
            segment.close()
    except StorageError as error:
        yield f"      DAMAGE: {error}"
