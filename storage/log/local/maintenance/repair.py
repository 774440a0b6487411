"""Saves what is whole in a damaged segment: its intact frames go, unchanged, into a file of the next generation.

Offsets stay what they were: the lost ones become a gap, as after compaction, so positions of groups and queries stay right
and no offset is ever given twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .....errors import StorageError
from ....files import Files, MemoryFiles
from ....layout import segment_path
from ..manifest import SegmentState, config_of
from ..segments.record import HEADER_BYTES, FrameHeader, parse_header
from ..segments.segment import Segment, segment_header
from .inspect import LogContents

__all__ = ["Rescue", "rescue_segment", "whole_frames"]


@dataclass(frozen=True, slots=True)
class Rescue:
    """What is left of a segment.

    Attributes:
        state: of the new segment; None if no frame is whole.
        chunks: its bytes.
        lost: the ranges of offsets that are gone.
    """

    state: SegmentState | None
    chunks: tuple[Any, ...]
    lost: tuple[tuple[int, int], ...]


def rescue_segment(files: Files, log: LogContents, topic: str, partition: int, state: SegmentState) -> Rescue:
    """Save the whole frames of a segment whose file may be damaged, cut off or missing."""
    described = log.manifest.topics[topic]
    path = segment_path(topic, described.id, partition, state.base, state.generation)
    data = bytearray()
    if files.exists(path):
        file = files.open(path)
        data = bytearray(file.read(0, min(file.size(), state.length)))
        file.close()
    for position, piece in log.carried.get(path, []):
        if position <= len(data):
            data[position : position + len(piece)] = piece
    value_type = config_of(described).value_type
    try:
        whole = Segment(files, path, topic, partition, state.base, state.generation, state.length)
        value_type = whole.value_type
        whole.close()
    except StorageError:
        pass  # then the topic's present type has to do; a frame of another type is not taken below
    generation = state.generation + 1
    chunks: list[Any] = [segment_header(topic, partition, state.base, generation, value_type)]
    frames = [
        (header, frame)
        for header, frame in whole_frames(memoryview(bytes(data)), topic, partition, state, value_type)
        if header.epoch <= log.manifest.epoch and header.base_arrival + header.rows <= log.manifest.next_arrival
    ]
    lost: list[tuple[int, int]] = []
    expected = state.base
    for header, frame in frames:
        if header.base_offset > expected:
            lost.append((expected, header.base_offset))
        chunks.append(frame)
        expected = header.end_offset
    if expected < state.end:
        lost.append((expected, state.end))
    if not frames:
        return Rescue(None, (), tuple(lost))
    latest = max(header.timestamp_max for header, _ in frames)
    length = sum(len(c) for c in chunks)
    new = SegmentState(state.base, generation, length, state.end, latest, True, state.merged, state.cleaned)
    return Rescue(new, tuple(chunks), tuple(lost))


def whole_frames(
    data: memoryview, topic: str, partition: int, state: SegmentState, value_type: Any | None
) -> list[tuple[FrameHeader, memoryview]]:
    """Frames whose checksums are right and which can be decoded, wherever they stand (at a multiple of 8)."""
    found: list[tuple[FrameHeader, memoryview]] = []
    end = state.base
    position = 0
    while position + HEADER_BYTES <= len(data):
        header = parse_header(data, position)
        if header is None or not end <= header.base_offset < header.end_offset <= state.end:
            position += 8
            continue
        frame = data[position : position + HEADER_BYTES + header.body_length]
        memory = MemoryFiles()
        start = segment_header(topic, partition, state.base, state.generation, value_type)
        memory.open("probe", create=True).write(0, start, frame)
        probe = Segment(memory, "probe", topic, partition, state.base, state.generation, len(start) + len(frame))
        try:
            whole = len(frame) == HEADER_BYTES + header.body_length and not probe.examine(len(start), probe.data())[1]
        except StorageError:
            whole = False
        if whole:
            found.append((header, frame))
            end = header.end_offset
        position += len(frame) if whole else 8
    return found
