"""Handles requests about records: Produce, Fetch, ListOffsets, DeleteRecords, OffsetForLeaderEpoch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import OffsetOutOfRangeError, PenstockError, StorageError
from ..limits import KAFKA_FETCH_BYTES_MAX, KAFKA_UNPACKED_BYTES_MAX, TIMESTAMP_MS_MAX
from ..storage.log.protocol import Commit, TopicConfig, TopicPartition
from .appender import Append, Gathering
from .batches import InvalidBatch, ReceivedBatch, decode_batch, encode_batch
from .broker import LOGGER, Body, Broker, Client, handles
from .fetch_sessions import TopicKey, topic_key
from .producers import Accepted, RefusedBatch
from .protocol import ErrorCode, Request
from .transactions import OpenTransaction, Refused

_ROWS_MAX = 20_000
"""The largest number of records of a partition in one answer to Fetch."""
_BEHIND_S = 20.0
"""The longest wait, in seconds, of a Produce request for queries that are far behind.  Clients give up after 30 s."""


class _Part:
    """The batch of a Produce request for one partition, and its result."""

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self.code = ErrorCode.none
        self.message: str | None = None
        self.offset = -1
        self.batch: ReceivedBatch | None = None
        self.records: Any = None
        self.transaction: OpenTransaction | None = None
        self._accepted: Accepted | None = None
        self._first = -1
        """The number of records that precede the batch in its partition in the same commit; -1 if it is not committed."""

    def fail(self, code: ErrorCode, message: str | None = None) -> None:
        self.code, self.message, self.batch, self.records = code, message, None, None

    def add(self, gathering: Gathering, broker: Broker) -> None:
        """Add the batch to a commit if it is its producer's next one.  Runs on the appender's thread."""
        batch, self._accepted, self._first = self.batch, None, -1
        if batch is None:
            return None
        self.code, self.message, self.offset = ErrorCode.none, None, -1
        accepted = None
        if batch.producer_id >= 0:
            try:
                if self.transaction is not None and not broker.transactions.takes(self.transaction):
                    broker.producers.check_epoch(batch)  # that it was fenced says more than that its transaction is over
                    return self.fail(ErrorCode.invalid_txn_state, "the transaction is over")
                accepted = broker.producers.accept(batch, self.place)
            except RefusedBatch as refused:
                self.code, self.offset = refused.code, refused.offset
                self.message = None if refused.code == ErrorCode.none else str(refused)
                return None
        if self.transaction is not None:
            assert accepted is not None
            broker.transactions.gather(self.transaction, self.place, self.records, accepted)
        else:
            try:
                self._first = gathering.append(*self.place, self.records)
            except StorageError as error:  # deleted meanwhile
                return self.fail(ErrorCode.unknown_topic_or_partition, str(error))
            if accepted is not None:
                broker.state.append(gathering.change(), broker.producers.entries([accepted]))
        self._accepted = accepted
        return None

    def committed(self, commit: Commit, broker: Broker) -> None:
        start = commit.starts.get(self.place, -1)
        offset = -1 if self._first < 0 or start < 0 else start + self._first
        if self.offset < 0:
            self.offset = offset
        if self._accepted is not None:
            if self.transaction is not None:
                broker.transactions.add_batch(self.transaction, self.place, self.records, self._accepted)
            broker.producers.wrote(self._accepted, offset)


@handles("produce")
async def produce(broker: Broker, client: Client, request: Request) -> Body | None:
    """Produce: append batches.  A transaction keeps its batches in memory until it is committed.

    Raises:
        Refused: a batch failed and the client wants no answer (``acks=0``).  Its connection ends then, as in Kafka, since
            nothing else can tell it.
    """
    body = request.body
    size = sum(len(item.records or b"") for topic in body.topic_data for item in topic.partition_data)
    done, taken = None, 0
    try:
        async with client.order:  # a connection's batches keep their order
            await broker.unpacked.room()
            parts, taken = _read_parts(broker, client, request)
            broker.unpacked.take(taken)
            good = [part for part in parts if part.batch is not None]
            if good:

                def add(gathering: Gathering) -> None:
                    for part in good:
                        part.add(gathering, broker)

                def committed(commit: Commit) -> None:
                    for part in good:
                        part.committed(commit, broker)

                with _told(client, good):
                    await _admitted(broker, {part.place[0] for part in good})
                    done = broker.appender.submit(Append(add, committed, taken, durable=body.acks != 0))
        if done is not None:
            with _told(client, good):
                await asyncio.wrap_future(done)
    finally:
        broker.unpacked.give_back(taken)
    wait_ms = client.throttled(broker.produced, request.client_id, size)
    if body.acks == 0:
        bad = next((part for part in parts if part.code != ErrorCode.none), None)
        if bad is not None:
            raise Refused(bad.code, f"{bad.place[0]}-{bad.place[1]}: {bad.message or bad.code.name}")
        return None
    answers: dict[str, list[Body]] = {}
    for part in parts:
        answers.setdefault(part.place[0], []).append(
            {
                "index": part.place[1],
                "error_code": part.code,
                "base_offset": part.offset if part.code == ErrorCode.none else -1,
                "log_append_time": None,  # records have the time that the client gave them
                "log_start_offset": 0,
                "record_errors": (),
                "error_message": part.message,
            }
        )
    return {
        "responses": [{"name": name, "partition_responses": found} for name, found in answers.items()],
        "throttle_time": wait_ms,
    }


def _read_parts(broker: Broker, client: Client, request: Request) -> tuple[list[_Part], int]:
    """Decode the batches of a request.  Return them, and the bytes that they take in memory."""
    body = request.body
    parts: list[_Part] = []
    taken = 0
    for topic in body.topic_data:
        for item in topic.partition_data:
            part = _Part((str(topic.name), int(item.index)))
            parts.append(part)
            if body.acks not in (-1, 0, 1):
                part.fail(ErrorCode.invalid_required_acks)
                continue
            room = KAFKA_UNPACKED_BYTES_MAX - taken
            taken += _read_part(broker, client, part, bytes(item.records or b""), body.transactional_id, room)
    return parts, taken


def _read_part(broker: Broker, client: Client, part: _Part, data: bytes, transactional_id: str | None, room: int) -> int:
    """Decode a partition's batch, or note why it is refused.  Return the bytes that it takes in memory, at most ``room``."""
    topic, partition = part.place
    try:
        broker.require(client, "write", "topic", topic)
    except Refused as refused:
        part.fail(refused.code, str(refused))
        return 0
    config = broker.access.topic(topic)
    if config is None or not 0 <= partition < config.partitions:
        part.fail(ErrorCode.unknown_topic_or_partition)
        return 0
    try:
        batch = decode_batch(data, broker.access.now_ms(), room)
        if "compact" in config.cleanup_policy and _lacks_keys(batch):
            raise InvalidBatch(ErrorCode.invalid_record, "a record without a key in a compacted topic")
        part.records = broker.access.as_stored(config, batch.records)
        if batch.transactional:
            if transactional_id is None:
                raise Refused(ErrorCode.invalid_record, "a transactional batch without a transactional id")
            if batch.producer_id < 0:
                raise Refused(ErrorCode.invalid_record, "a transactional batch without a producer id")
            broker.require(client, "write", "transactional_id", transactional_id)
            part.transaction = broker.transactions.reserve(
                transactional_id, batch.producer_id, batch.producer_epoch, part.place, batch.size
            )
    except (InvalidBatch, Refused) as error:
        part.fail(error.code, str(error))
        return 0
    except PenstockError as error:
        part.fail(ErrorCode.invalid_record, str(error))
        return 0
    part.batch = batch
    return batch.size


def _lacks_keys(batch: ReceivedBatch) -> bool:
    keys = batch.records.keys
    return keys is None or keys.null_count > 0


@contextmanager
def _told(client: Client, parts: Sequence[_Part]) -> Iterator[None]:
    """A context manager: if an error leaves the block, it is the result of all parts of the request."""
    try:
        yield
    except PenstockError as error:
        LOGGER.warning("records of %s could not be written: %s", client.host, error)
        for part in parts:
            part.fail(ErrorCode.kafka_storage_error, str(error))


async def _admitted(broker: Broker, topics: set[str]) -> None:
    """Wait while queries that read the topics are far behind, `_BEHIND_S` at most.  This slows producers down."""
    end = time.monotonic() + _BEHIND_S
    while broker.access.is_behind(sorted(topics)) and time.monotonic() < end:
        await broker.changed(0.1)


_BY_ID_SINCE = 13
"""The first version of Fetch that names topics by their ids (KIP-516)."""


@handles("fetch")
async def fetch(broker: Broker, client: Client, request: Request) -> Body:
    """Fetch: read records from the requested offsets on.  Waits until there are ``min_bytes``, for ``max_wait`` at most."""
    body = request.body
    version = request.version
    named = [(topic_key(topic), item) for topic in body.topics for item in topic.partitions]
    try:
        session, all_of_it = broker.fetch_sessions.asked(body, named, client.owner, by_id=version >= _BY_ID_SINCE)
    except Refused as refused:
        return {"throttle_time": 0, "error_code": refused.code, "session_id": 0, "responses": ()}
    wanted = named if session is None else session.wanted()
    bytes_max = min(int(getattr(body, "max_bytes", KAFKA_FETCH_BYTES_MAX)), KAFKA_FETCH_BYTES_MAX)
    wait_s = body.max_wait.total_seconds() if hasattr(body, "max_wait") else body.max_wait_ms / 1000
    deadline = time.monotonic() + min(wait_s, 300)
    found: list[tuple[TopicKey, Body]] = []
    while True:
        ends = {(t, int(i.partition)): _end(broker, t, int(i.partition)) for t, i in wanted}
        found = await broker.blocking(_read_all, broker, client, wanted, bytes_max, version)
        size = sum(len(answer["records"] or b"") for _, answer in found)
        failed = any(answer["error_code"] != ErrorCode.none for _, answer in found)
        if size >= body.min_bytes or failed or time.monotonic() >= deadline or not wanted:
            break
        while time.monotonic() < deadline:
            if {place: _end(broker, *place) for place in ends} != ends:
                break
            await broker.changed(deadline - time.monotonic())
        if {place: _end(broker, *place) for place in ends} == ends:
            break
    answers: dict[TopicKey, list[Body]] = {}
    size = sum(len(answer["records"] or b"") for _, answer in found)
    for topic, answer in found if session is None else session.news(found, all_of_it=all_of_it):
        answers.setdefault(topic, []).append(answer)
    return {
        "throttle_time": client.throttled(broker.consumed, request.client_id, size),
        "error_code": ErrorCode.none,
        "session_id": 0 if session is None else session.id,
        "responses": [{"topic": key, "topic_id": key, "partitions": items} for key, items in answers.items()],
    }


def _named(broker: Broker, key: TopicKey) -> str | None:
    return key if isinstance(key, str) else broker.access.name_of(key)


def _end(broker: Broker, key: TopicKey, partition: int) -> int:
    topic = _named(broker, key)
    config = None if topic is None else broker.access.topic(topic)
    if topic is None or config is None or not 0 <= partition < config.partitions:
        return -1
    try:
        return broker.access.log.end_offset(topic, partition)
    except StorageError:  # deleted meanwhile
        return -1


def _read_all(
    broker: Broker, client: Client, wanted: Sequence[tuple[TopicKey, Any]], bytes_max: int, version: int
) -> list[tuple[TopicKey, Body]]:
    left = bytes_max
    found: list[tuple[TopicKey, Body]] = []
    for key, item in wanted:
        answer = _read(broker, client, _named(broker, key), item, left)
        left -= len(answer["records"] or b"")
        found.append((key, answer))
    return found


def _read(broker: Broker, client: Client, topic: str | None, item: Any, left: int) -> dict[str, Any]:
    """Read one partition's records: at most ``left`` bytes, but at least one record if none was read before."""
    partition, offset = int(item.partition), int(item.fetch_offset)
    answer: dict[str, Any] = {
        "partition_index": partition,
        "error_code": ErrorCode.none,
        "high_watermark": -1,
        "last_stable_offset": -1,
        "log_start_offset": -1,
        "aborted_transactions": (),
        "preferred_read_replica": -1,
        "records": b"",
    }
    if topic is None:
        return {**answer, "error_code": ErrorCode.unknown_topic_id}
    config = _readable(broker, client, topic, partition)
    if isinstance(config, ErrorCode):
        return {**answer, "error_code": config}
    log = broker.access.log
    try:
        end, start = log.end_offset(topic, partition), log.start_offset(topic, partition)
        answer.update(high_watermark=end, last_stable_offset=end, log_start_offset=start)
        if not start <= offset <= end:
            return {**answer, "error_code": ErrorCode.offset_out_of_range}
        if left <= 0 or offset == end:
            return answer
        size = min(int(item.partition_max_bytes), left)
        records = log.read(topic, partition, offset, rows_max=_ROWS_MAX, bytes_max=max(size, 1))
        if len(records):
            answer["records"] = encode_batch(broker.access.as_sent(config, records))
    except OffsetOutOfRangeError:
        return {**answer, "error_code": ErrorCode.offset_out_of_range}
    except StorageError as error:
        gone = broker.access.topic(topic) is None
        LOGGER.warning("%s-%d could not be read: %s", topic, partition, error)
        return {**answer, "error_code": ErrorCode.unknown_topic_or_partition if gone else ErrorCode.kafka_storage_error}
    return answer


def _readable(broker: Broker, client: Client, topic: str, partition: int) -> TopicConfig | ErrorCode:
    """The config of a topic; an error code if the client may not read the topic or the partition does not exist."""
    if not broker.may(client, "read", "topic", topic):
        return ErrorCode.topic_authorization_failed
    config = broker.access.topic(topic)
    if config is None or not 0 <= partition < config.partitions:
        return ErrorCode.unknown_topic_or_partition
    return config


@handles("list_offsets")
async def list_offsets(broker: Broker, client: Client, request: Request) -> Body:
    """ListOffsets: the first offset, the end, or the first offset at or after a time."""
    answers = []
    for topic in request.body.topics:
        items = [
            await broker.blocking(_offset_of, broker, client, str(topic.name), int(p.partition_index), int(p.timestamp))
            for p in topic.partitions
        ]
        answers.append({"name": topic.name, "partitions": items})
    return {"topics": answers}


def _offset_of(broker: Broker, client: Client, topic: str, partition: int, timestamp: int) -> Body:
    answer: dict[str, Any] = {
        "partition_index": partition,
        "error_code": ErrorCode.none,
        "timestamp": -1,
        "offset": -1,
        "leader_epoch": -1,
        "old_style_offsets": (),
    }
    config = _readable(broker, client, topic, partition)
    if isinstance(config, ErrorCode):
        return {**answer, "error_code": config}
    log = broker.access.log
    try:
        if timestamp == -1:
            return {**answer, "offset": log.end_offset(topic, partition)}
        if timestamp == -2:
            return {**answer, "offset": log.start_offset(topic, partition)}
        if timestamp == -3:
            return {**answer, **_latest_of_all(broker, topic, partition)}
        if timestamp < 0:
            return {**answer, "error_code": ErrorCode.unsupported_version}
        offset = log.offset_for_time(topic, partition, timestamp)
        if offset >= log.end_offset(topic, partition):
            return answer
        records = log.read(topic, partition, offset, rows_max=1, reset="earliest")
    except StorageError:
        return {**answer, "error_code": ErrorCode.kafka_storage_error}
    if not len(records):
        return answer
    return {**answer, "offset": int(records.offsets[0]), "timestamp": int(records.timestamps[0])}


def _latest_of_all(broker: Broker, topic: str, partition: int) -> Body:
    """Find the first record with the partition's highest timestamp, by the time index.

    Raises:
        StorageError: the log cannot be read.
    """
    log = broker.access.log
    end, lowest, highest = log.end_offset(topic, partition), 0, TIMESTAMP_MS_MAX
    found: Body = {}
    while lowest <= highest:
        time_ms = lowest if not found else (lowest + highest + 1) // 2
        offset = log.offset_for_time(topic, partition, time_ms)
        records = log.read(topic, partition, offset, rows_max=1, reset="earliest") if offset < end else None
        if records is None or not len(records) or int(records.timestamps[0]) < time_ms:
            if not found:
                break
            highest = time_ms - 1
            continue
        found = {"offset": int(records.offsets[0]), "timestamp": int(records.timestamps[0])}
        lowest = int(records.timestamps[0]) + 1
    return found


@handles("delete_records")
async def delete_records(broker: Broker, client: Client, request: Request) -> Body:
    """DeleteRecords: delete the records before an offset; -1 stands for the end."""
    answers = []
    for topic in request.body.topics:
        items = []
        for item in topic.partitions:
            name, partition, offset = str(topic.name), int(item.partition_index), int(item.offset)
            answer = {"partition_index": partition, "low_watermark": -1, "error_code": ErrorCode.none}
            end = _end(broker, name, partition)
            if not broker.may(client, "admin", "topic", name):
                answer["error_code"] = ErrorCode.topic_authorization_failed
            elif end < 0:
                answer["error_code"] = ErrorCode.unknown_topic_or_partition
            elif offset > end or offset < -1:
                answer["error_code"] = ErrorCode.offset_out_of_range
            else:
                try:
                    await broker.blocking(broker.access.log.delete_before, name, partition, end if offset == -1 else offset)
                    answer["low_watermark"] = broker.access.log.start_offset(name, partition)
                except StorageError:
                    gone = _end(broker, name, partition) < 0
                    answer["error_code"] = ErrorCode.unknown_topic_or_partition if gone else ErrorCode.kafka_storage_error
            items.append(answer)
        answers.append({"name": topic.name, "partitions": items})
    return {"topics": answers}


@handles("offset_for_leader_epoch")
async def offset_for_leader_epoch(broker: Broker, client: Client, request: Request) -> Body:
    """OffsetForLeaderEpoch: there is only one leader epoch, and it ends at the partition's end."""
    answers = []
    for topic in request.body.topics:
        items = []
        for item in topic.partitions:
            name = str(topic.topic)
            may = broker.may(client, "read", "topic", name)
            end = _end(broker, name, int(item.partition)) if may else -1
            code = ErrorCode.none if end >= 0 else ErrorCode.unknown_topic_or_partition
            if not may:
                code = ErrorCode.topic_authorization_failed
            items.append({"error_code": code, "partition": item.partition, "leader_epoch": 0, "end_offset": end})
        answers.append({"topic": topic.topic, "partitions": items})
    return {"topics": answers}
