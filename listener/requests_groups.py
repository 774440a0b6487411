"""Handles requests about consumer groups, their offsets, and transactions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import StorageError
from ..storage.log.protocol import NO_POSITION, TopicPartition
from .appender import Append
from .broker import NODE_ID, Body, Broker, Client, handles
from .groups import Group, JoinRequest, subscribed_topics
from .log_access import group_name
from .offsets import TEXT_BYTES_MAX
from .protocol import ErrorCode, Request
from .transactions import Refused

_GROUP_TYPE = "classic"
"""The group protocol that is supported; Kafka's other one is KIP-848's."""


def _milliseconds(value: Any) -> int:
    """The milliseconds of a timedelta, the type of kio's durations."""
    return int(value.total_seconds() * 1000) if hasattr(value, "total_seconds") else int(value)


@handles("find_coordinator")
async def find_coordinator(broker: Broker, client: Client, request: Request) -> Body:
    """FindCoordinator: answer with the only broker, which coordinates all groups and transactions."""
    body = request.body
    kind = {0: "group", 1: "transactional_id"}.get(getattr(body, "key_type", 0))
    if hasattr(body, "coordinator_keys"):
        return {"coordinators": [_coordinator(broker, client, kind, str(key)) for key in body.coordinator_keys]}
    return _coordinator(broker, client, kind, str(body.key))


def _coordinator(broker: Broker, client: Client, kind: str | None, key: str) -> Body:
    code = ErrorCode.none
    try:
        if kind is None:
            raise Refused(ErrorCode.invalid_request)
        broker.require(client, "read", kind, key)
    except Refused as refused:
        code = refused.code
    good = code == ErrorCode.none
    place = {"node_id": NODE_ID, **broker.address_for(client)} if good else {"node_id": -1, "host": "", "port": -1}
    return {"key": key, "error_code": code, "error_message": None, **place}


# --- members -------------------------------------------------------------------------------


@handles("join_group")
async def join_group(broker: Broker, client: Client, request: Request) -> Body:
    """JoinGroup: become a member of the group's next generation."""
    body = request.body
    session_ms = _milliseconds(body.session_timeout)
    rebalance_ms = _milliseconds(body.rebalance_timeout) if hasattr(body, "rebalance_timeout") else session_ms
    join = JoinRequest(
        member_id=str(body.member_id),
        instance_id=getattr(body, "group_instance_id", None),
        client_id=request.client_id or "",
        host=client.host,
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=rebalance_ms if rebalance_ms > 0 else session_ms,
        protocol_type=str(body.protocol_type),
        protocols=[(str(p.name), bytes(p.metadata)) for p in body.protocols],
        knows_ids=request.version >= 4,
        knows_skipping=request.version >= 9,
    )
    try:
        broker.require(client, "read", "group", str(body.group_id))
        joined = await broker.groups.get(str(body.group_id)).join(join)
    except Refused as refused:
        given = str(refused) if refused.code == ErrorCode.member_id_required else join.member_id
        return {
            "error_code": refused.code,
            "generation_id": -1,
            "protocol_type": None,
            "protocol_name": "",
            "leader": "",
            "member_id": given,
            "members": (),
        }
    return {
        "error_code": ErrorCode.none,
        "generation_id": joined.generation,
        "protocol_type": joined.protocol_type,
        "protocol_name": joined.protocol,
        "leader": joined.leader,
        "skip_assignment": joined.skip,
        "member_id": joined.member_id,
        "members": [
            {"member_id": member, "group_instance_id": instance, "metadata": metadata}
            for member, instance, metadata in joined.members
        ],
    }


def _known(broker: Broker, client: Client, name: str) -> Group:
    """Find a group.  Raises: Refused, if there is none of this name, or the client may not use it."""
    broker.require(client, "read", "group", name)
    group = broker.groups.find(name)
    if group is None:
        raise Refused(ErrorCode.unknown_member_id)
    return group


@handles("sync_group")
async def sync_group(broker: Broker, client: Client, request: Request) -> Body:
    """SyncGroup: answer with the member's assignment; the leader's request brings those of all members."""
    body = request.body
    group: Group | None = None
    code, assignment = ErrorCode.none, b""
    try:
        group = _known(broker, client, str(body.group_id))
        assignment = await group.sync(
            str(body.member_id),
            getattr(body, "group_instance_id", None),
            int(body.generation_id),
            [(str(a.member_id), bytes(a.assignment)) for a in body.assignments],
        )
    except Refused as refused:
        code = refused.code
    return {
        "error_code": code,
        "protocol_type": group.protocol_type if group else None,
        "protocol_name": group.protocol if group else None,
        "assignment": assignment,
    }


@handles("heartbeat")
async def heartbeat(broker: Broker, client: Client, request: Request) -> Body:
    """Heartbeat: record a sign of life of a member."""
    body = request.body
    try:
        group = _known(broker, client, str(body.group_id))
        group.heartbeat(str(body.member_id), getattr(body, "group_instance_id", None), int(body.generation_id))
    except Refused as refused:
        return {"error_code": refused.code}
    return {"error_code": ErrorCode.none}


@handles("leave_group")
async def leave_group(broker: Broker, client: Client, request: Request) -> Body:
    """LeaveGroup: remove members."""
    body = request.body
    several = hasattr(body, "members")
    leaving = [(m.member_id, m.group_instance_id) for m in body.members] if several else [(body.member_id, None)]
    answers: list[dict[str, Any]] = []
    code = ErrorCode.none
    try:
        group = _known(broker, client, str(body.group_id))
        for member, instance in leaving:
            answer = {"member_id": member, "group_instance_id": instance, "error_code": ErrorCode.none}
            try:
                group.leave(str(member), instance)
            except Refused as refused:
                answer["error_code"] = refused.code
            answers.append(answer)
    except Refused as refused:
        code = refused.code
    if not several and answers:
        code = answers[0]["error_code"]
    return {"error_code": code, "members": answers}


# --- offsets -------------------------------------------------------------------------------


def _offsets_asked(
    broker: Broker, client: Client, topics: Iterable[Any]
) -> tuple[dict[TopicPartition, tuple[int, str | None]], dict[TopicPartition, ErrorCode]]:
    """Check the offsets of a request.  Return those that can be committed, and the error codes of the others."""
    good: dict[TopicPartition, tuple[int, str | None]] = {}
    codes: dict[TopicPartition, ErrorCode] = {}
    for topic in topics:
        config = broker.access.topic(str(topic.name))
        for item in topic.partitions:
            place = (str(topic.name), int(item.partition_index))
            text = item.committed_metadata
            codes[place] = ErrorCode.none
            if not broker.may(client, "read", "topic", place[0]):
                codes[place] = ErrorCode.topic_authorization_failed
            elif config is None or not 0 <= place[1] < config.partitions:
                codes[place] = ErrorCode.unknown_topic_or_partition
            elif text is not None and len(text.encode()) > TEXT_BYTES_MAX:
                codes[place] = ErrorCode.offset_metadata_too_large
            elif item.committed_offset < 0:
                codes[place] = ErrorCode.offset_out_of_range
            else:
                good[place] = (int(item.committed_offset), text)
    return good, codes


def _codes_by_topic(topics: Iterable[Any], code_of: Any) -> list[Body]:
    return [
        {
            "name": topic.name,
            "partitions": [
                {"partition_index": p.partition_index, "error_code": code_of((str(topic.name), int(p.partition_index)))}
                for p in topic.partitions
            ],
        }
        for topic in topics
    ]


@handles("offset_commit")
async def offset_commit(broker: Broker, client: Client, request: Request) -> Body:
    """OffsetCommit: store a group's offsets; durable on return."""
    body = request.body
    name = str(body.group_id)
    try:
        broker.require(client, "read", "group", name)
        member, instance = str(body.member_id), getattr(body, "group_instance_id", None)
        generation = int(getattr(body, "generation_id_or_member_epoch", getattr(body, "generation_id", -1)))
        if generation < 0 and not member:
            group = broker.groups.find(name)
            if group is not None:
                group.check_member(member, instance, generation)
        else:
            _known(broker, client, name).check_member(member, instance, generation)
    except Refused as refused:
        code = refused.code
        return {"topics": _codes_by_topic(body.topics, lambda place: code)}
    good, codes = _offsets_asked(broker, client, body.topics)
    if good:
        try:
            await broker.run(broker.offsets.commit(name, good))
        except StorageError:
            codes.update(dict.fromkeys(good, ErrorCode.kafka_storage_error))
    return {"topics": _codes_by_topic(body.topics, codes.__getitem__)}


@handles("offset_fetch")
async def offset_fetch(broker: Broker, client: Client, request: Request) -> Body:
    """OffsetFetch: a group's committed offsets; -1 for a partition without one."""
    body = request.body
    stable = bool(getattr(body, "require_stable", False))
    if hasattr(body, "groups"):
        groups = [(str(group.group_id), group.topics) for group in body.groups]
        return {"groups": [{"group_id": name, **_fetched(broker, client, name, topics, stable)} for name, topics in groups]}
    return _fetched(broker, client, str(body.group_id), body.topics, stable)


def _fetched(broker: Broker, client: Client, name: str, topics: Iterable[Any] | None, stable: bool) -> Body:
    """A group's offsets of the given topics; of all topics for which it has offsets if ``topics`` is None.

    Args:
        stable: answer with an error for offsets that an open transaction may change (KIP-447).
    """
    if not broker.may(client, "read", "group", name):
        return {"error_code": ErrorCode.group_authorization_failed, "topics": ()}
    committed = broker.offsets.committed(name)
    pending = broker.transactions.pending_offsets(name) if stable else set()
    if topics is None:
        asked: dict[str, list[int]] = {}
        for topic, partition in committed:
            asked.setdefault(topic, []).append(partition)
    else:
        asked = {str(t.name): [int(p) for p in t.partition_indexes] for t in topics}
    answers = []
    for topic, partitions in asked.items():
        items = []
        for partition in partitions:
            offset, text = committed.get((topic, partition), (-1, ""))
            code = ErrorCode.unstable_offset_commit if (topic, partition) in pending else ErrorCode.none
            if code != ErrorCode.none:
                offset, text = -1, ""
            items.append(
                {
                    "partition_index": partition,
                    "committed_offset": offset,
                    "committed_leader_epoch": -1,
                    "metadata": text,
                    "error_code": code,
                }
            )
        answers.append({"name": topic, "partitions": items})
    return {"error_code": ErrorCode.none, "topics": answers}


# --- groups --------------------------------------------------------------------------------


@handles("list_groups")
async def list_groups(broker: Broker, client: Client, request: Request) -> Body:
    """ListGroups: the groups with members or offsets."""
    states = {group.name: (group.state, group.protocol_type) for group in broker.groups.all()}
    wanted = {str(s) for s in getattr(request.body, "states_filter", ())}
    types = {str(t).lower() for t in getattr(request.body, "types_filter", ())}
    if types and _GROUP_TYPE not in types:
        return {"error_code": ErrorCode.none, "groups": ()}
    found: list[Body] = []
    for name in sorted({*states, *broker.offsets.names()}):
        state, protocol_type = states.get(name, ("Empty", ""))
        if broker.may(client, "read", "group", name) and (not wanted or state in wanted):
            found.append({"group_id": name, "protocol_type": protocol_type, "group_state": state, "group_type": _GROUP_TYPE})
    return {"error_code": ErrorCode.none, "groups": found}


@handles("describe_groups")
async def describe_groups(broker: Broker, client: Client, request: Request) -> Body:
    """DescribeGroups: groups with their members."""
    names = set(broker.offsets.names())
    answers = []
    for name in map(str, request.body.groups):
        group = broker.groups.find(name)
        answer: dict[str, Any] = {
            "error_code": ErrorCode.none,
            "group_id": name,
            "group_state": "Empty" if name in names else "Dead",
            "protocol_type": "",
            "protocol_data": "",
            "members": (),
        }
        if not broker.may(client, "read", "group", name):
            answer["error_code"], answer["group_state"] = ErrorCode.group_authorization_failed, ""
            answers.append(answer)
            continue
        if getattr(request.body, "include_authorized_operations", False):
            answer["authorized_operations"] = broker.operations(client, "group", name)
        if group is not None:
            answer["group_state"], answer["protocol_type"] = group.state, group.protocol_type
            if group.state in ("Stable", "CompletingRebalance"):
                answer["protocol_data"] = group.protocol
            answer["members"] = [
                {
                    "member_id": m.id,
                    "group_instance_id": m.instance_id,
                    "client_id": m.client_id,
                    "client_host": m.host,
                    "member_metadata": m.protocols.get(group.protocol, b""),
                    "member_assignment": m.assignment,
                }
                for m in group.members.values()
            ]
        answers.append(answer)
    return {"groups": answers}


@handles("delete_groups")
async def delete_groups(broker: Broker, client: Client, request: Request) -> Body:
    """DeleteGroups: delete groups without members, and their offsets."""
    names = set(broker.offsets.names())
    answers = []
    for name in map(str, request.body.groups_names):
        code = ErrorCode.none
        try:
            broker.require(client, "admin", "group", name)
            if name not in names and broker.groups.find(name) is None:
                raise Refused(ErrorCode.group_id_not_found)
            broker.groups.delete(name)
            await broker.blocking(broker.access.log.delete_group, group_name(name))
            await broker.run(broker.offsets.forget(name))
        except Refused as refused:
            code = refused.code
        except StorageError:
            code = ErrorCode.kafka_storage_error
        answers.append({"group_id": name, "error_code": code})
    return {"results": answers}


@handles("offset_delete")
async def offset_delete(broker: Broker, client: Client, request: Request) -> Body:
    """OffsetDelete: delete offsets of a group, but not those of topics that its members read."""
    body = request.body
    name = str(body.group_id)
    codes: dict[TopicPartition, ErrorCode] = {}
    try:
        broker.require(client, "admin", "group", name)
        group = broker.groups.find(name)
        if name not in set(broker.offsets.names()) and (group is None or not group.members):
            raise Refused(ErrorCode.group_id_not_found)
        if group is not None and group.members and group.protocol_type != "consumer":
            raise Refused(ErrorCode.non_empty_group)
        read = set() if group is None else subscribed_topics(group)
        for topic in body.topics:
            config, known = broker.access.topic(str(topic.name)), ErrorCode.none
            if not broker.may(client, "read", "topic", str(topic.name)):
                known = ErrorCode.topic_authorization_failed
            elif read is None or str(topic.name) in read:
                known = ErrorCode.group_subscribed_to_topic
            for number in (int(p.partition_index) for p in topic.partitions):
                exists = config is not None and 0 <= number < config.partitions
                code = known if exists or known != ErrorCode.none else ErrorCode.unknown_topic_or_partition
                codes[str(topic.name), number] = code
        gone = [place for place, code in codes.items() if code == ErrorCode.none]
        if gone:
            await broker.run(broker.offsets.commit(name, dict.fromkeys(gone, (NO_POSITION, None))))
    except Refused as refused:
        return {"error_code": refused.code, "topics": ()}
    except StorageError:
        return {"error_code": ErrorCode.kafka_storage_error, "topics": ()}
    return {"error_code": ErrorCode.none, "topics": _codes_by_topic(body.topics, codes.__getitem__)}


# --- transactions --------------------------------------------------------------------------


@handles("init_producer_id")
async def init_producer_id(broker: Broker, client: Client, request: Request) -> Body:
    """InitProducerId: answer with a new producer id, or, for a transactional id, with its producer id and next epoch."""
    body = request.body
    name = body.transactional_id
    try:
        if name is None:
            given, entries = broker.producers.new_id()
            if entries:
                await broker.run(Append(lambda g: broker.state.append(g.change(), entries)))
            return {"error_code": ErrorCode.none, "producer_id": given, "producer_epoch": 0}
        if not name:
            raise Refused(ErrorCode.invalid_request)
        broker.require(client, "write", "transactional_id", str(name))
        timeout_ms = _milliseconds(body.transaction_timeout)
        producer_id, epoch = int(getattr(body, "producer_id", -1)), int(getattr(body, "producer_epoch", -1))
        made = await broker.transactions.init(str(name), timeout_ms, producer_id, epoch)
    except Refused as refused:
        return {"error_code": _fenced(refused.code, request.version >= 4), "producer_id": -1, "producer_epoch": -1}
    return {"error_code": ErrorCode.none, "producer_id": made.producer_id, "producer_epoch": made.epoch}


def _fenced(code: ErrorCode, known: bool) -> ErrorCode:
    """The error for a fenced producer.  Clients of older versions know a single error for all wrong epochs."""
    return ErrorCode.invalid_producer_epoch if code == ErrorCode.producer_fenced and not known else code


@handles("add_partitions_to_txn")
async def add_partitions_to_txn(broker: Broker, client: Client, request: Request) -> Body:
    """AddPartitionsToTxn: add partitions to which a transaction will write."""
    body = request.body
    name = str(body.v3_and_below_transactional_id)
    asked = [(str(t.name), int(p)) for t in body.v3_and_below_topics for p in t.partitions]
    codes = dict.fromkeys(asked, ErrorCode.none)
    for place in asked:
        config = broker.access.topic(place[0])
        if not broker.may(client, "write", "topic", place[0]):
            codes[place] = ErrorCode.topic_authorization_failed
        elif config is None or not 0 <= place[1] < config.partitions:
            codes[place] = ErrorCode.unknown_topic_or_partition
    if any(code != ErrorCode.none for code in codes.values()):
        codes = {p: ErrorCode.operation_not_attempted if c == ErrorCode.none else c for p, c in codes.items()}
    else:
        try:
            broker.require(client, "write", "transactional_id", name)
            await broker.transactions.add_places(
                name, int(body.v3_and_below_producer_id), int(body.v3_and_below_producer_epoch), asked
            )
        except Refused as refused:
            codes = dict.fromkeys(asked, _fenced(refused.code, request.version >= 2))
    answers: dict[str, list[Body]] = {}
    for (topic, partition), code in codes.items():
        answers.setdefault(topic, []).append({"partition_index": partition, "partition_error_code": code})
    return {
        "results_by_topic_v3_and_below": [{"name": topic, "results_by_partition": items} for topic, items in answers.items()]
    }


@handles("add_offsets_to_txn")
async def add_offsets_to_txn(broker: Broker, client: Client, request: Request) -> Body:
    """AddOffsetsToTxn: add the group whose offsets a transaction will commit."""
    body = request.body
    try:
        broker.require(client, "write", "transactional_id", str(body.transactional_id))
        broker.require(client, "read", "group", str(body.group_id))
        await broker.transactions.add_group(
            str(body.transactional_id), int(body.producer_id), int(body.producer_epoch), str(body.group_id)
        )
    except Refused as refused:
        return {"error_code": _fenced(refused.code, request.version >= 2)}
    return {"error_code": ErrorCode.none}


@handles("txn_offset_commit")
async def txn_offset_commit(broker: Broker, client: Client, request: Request) -> Body:
    """TxnOffsetCommit: add offsets that are committed with the transaction."""
    body = request.body
    name, group_id = str(body.transactional_id), str(body.group_id)
    good, codes = _offsets_asked(broker, client, body.topics)
    try:
        broker.require(client, "write", "transactional_id", name)
        broker.require(client, "read", "group", group_id)
        generation, member = int(getattr(body, "generation_id", -1)), str(getattr(body, "member_id", ""))
        group = broker.groups.find(group_id)
        if generation >= 0 or member:
            if group is None:
                raise Refused(ErrorCode.unknown_member_id if not member else ErrorCode.illegal_generation)
            group.check_member(member, getattr(body, "group_instance_id", None), generation)
        broker.transactions.add_offsets(name, int(body.producer_id), int(body.producer_epoch), group_id, good)
    except Refused as refused:
        codes = dict.fromkeys(codes, _fenced(refused.code, request.version >= 3))
    return {"topics": _codes_by_topic(body.topics, codes.__getitem__)}


@handles("end_txn")
async def end_txn(broker: Broker, client: Client, request: Request) -> Body:
    """EndTxn: commit or abort a transaction; durable on return."""
    body = request.body
    try:
        broker.require(client, "write", "transactional_id", str(body.transactional_id))
        await broker.transactions.end(
            str(body.transactional_id), int(body.producer_id), int(body.producer_epoch), bool(body.committed)
        )
    except Refused as refused:
        return {"error_code": _fenced(refused.code, request.version >= 2)}
    except StorageError:
        return {"error_code": ErrorCode.kafka_storage_error}
    return {"error_code": ErrorCode.none}
