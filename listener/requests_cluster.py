"""Handles requests about API versions, logins, the cluster, topics and their configs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import PenstockError, StatementError, StorageError
from ..storage.log.protocol import TopicConfig
from .broker import NODE_ID, Body, Broker, Client, handles
from .protocol import ErrorCode, Request, api_keys
from .security import ScramExchange
from .transactions import Refused

_FAILED_LOGIN_S = 0.1
"""The delay of the answer to a failed login, in seconds (Kafka's ``connection.failed.authentication.delay.ms``)."""
_TOPIC, _BROKER = 2, 4
"""Kafka's numbers of the kinds of resources that have configs."""
_DYNAMIC_TOPIC, _DEFAULT = 1, 5
"""Kafka's numbers of the places from which a config's value comes: set for the topic, or the default."""


@handles("api_versions")
async def api_versions(broker: Broker, client: Client, request: Request) -> Body:
    """ApiVersions: the supported APIs and versions."""
    code = ErrorCode.unsupported_version if request.body is None else ErrorCode.none
    return {"error_code": code, "api_keys": api_keys()}


@handles("sasl_handshake")
async def sasl_handshake(broker: Broker, client: Client, request: Request) -> Body:
    """SaslHandshake: the client chooses a mechanism."""
    mechanism = str(request.body.mechanism)
    known = broker.security.mechanisms
    if mechanism not in known:
        return {"error_code": ErrorCode.unsupported_sasl_mechanism, "mechanisms": known}
    client.mechanism, client.exchange = mechanism, None
    if mechanism != "PLAIN":
        assert broker.security.scram is not None
        client.exchange = ScramExchange("sha" + mechanism.rpartition("-")[2], broker.security.scram)
    return {"error_code": ErrorCode.none, "mechanisms": known}


@handles("sasl_authenticate")
async def sasl_authenticate(broker: Broker, client: Client, request: Request) -> Body:
    """SaslAuthenticate: one message of a login."""
    if client.mechanism is None:
        return _login_failed(ErrorCode.illegal_sasl_state)
    message = bytes(request.body.auth_bytes)
    if client.exchange is None:
        client.principal = await broker.blocking(broker.security.plain, message)
        answer = b"" if client.principal is not None else None
    else:
        answer = await broker.blocking(client.exchange.answer, message)
        client.principal = client.exchange.principal
    if answer is None:
        client.mechanism = None
        await asyncio.sleep(_FAILED_LOGIN_S)
        return _login_failed(ErrorCode.sasl_authentication_failed)
    return {"error_code": ErrorCode.none, "error_message": None, "auth_bytes": answer, "session_lifetime": 0}


def _login_failed(code: ErrorCode) -> Body:
    return {
        "error_code": code,
        "error_message": "the user's name or password is wrong",
        "auth_bytes": b"",
        "session_lifetime": 0,
    }


# --- the cluster ---------------------------------------------------------------------------


def _cluster_id(broker: Broker) -> str:
    """The cluster id.  It is derived from the address that clients are told, so it is the same after a restart there."""
    digest = hashlib.sha256(f"{broker.host}:{broker.port}".encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@handles("metadata")
async def metadata(broker: Broker, client: Client, request: Request) -> Body:
    """Metadata: topics with their partitions.

    A missing topic is created if auto-creation is on and the client may create it.
    """
    body = request.body
    asked = body.topics
    topics: list[Body] = []
    if asked is None or (request.version == 0 and not asked):
        names = sorted(broker.access.topics())
    else:
        names, unknown = _names(broker, asked)
        topics += [{**_topic_metadata(broker, None, ErrorCode.unknown_topic_id), "topic_id": id_} for id_ in unknown]
        if getattr(body, "allow_auto_topic_creation", True) and broker.options.auto_create_topics:
            for name in names:
                await _auto_create(broker, client, name)
    for name in names:
        if not broker.may(client, "read", "topic", name):
            if asked:
                topics.append(_topic_metadata(broker, name, ErrorCode.topic_authorization_failed))
            continue
        config = broker.access.topic(name)
        if config is None:
            valid = broker.access.is_valid_name(name)
            code = ErrorCode.unknown_topic_or_partition if valid else ErrorCode.invalid_topic_exception
            topics.append(_topic_metadata(broker, name, code))
        else:
            found = {**_topic_metadata(broker, name, ErrorCode.none, config.partitions)}
            if getattr(body, "include_topic_authorized_operations", False):
                found["topic_authorized_operations"] = broker.operations(client, "topic", name)
            topics.append(found)
    return {
        **_cluster_operations(broker, client, request),
        "brokers": [{"node_id": NODE_ID, **broker.address_for(client), "rack": None}],
        "cluster_id": _cluster_id(broker),
        "controller_id": NODE_ID,
        "topics": topics,
    }


def _cluster_operations(broker: Broker, client: Client, request: Request) -> Body:
    """What the client may do to the cluster, if it asks."""
    if not getattr(request.body, "include_cluster_authorized_operations", False):
        return {}
    return {"cluster_authorized_operations": broker.operations(client, "cluster", "")}


async def _auto_create(broker: Broker, client: Client, name: str) -> None:
    if broker.access.topic(name) is not None or not broker.access.is_valid_name(name):
        return
    if not broker.may(client, "write", "topic", name):
        return
    try:
        await broker.blocking(broker.access.create_topic, name, broker.options.partitions, {})
    except PenstockError:
        return  # made meanwhile, or a name of the engine's own: the answer says which


def _names(broker: Broker, asked: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """The names of the topics that a request asks for by name or id, and the ids that no topic has."""
    names, unknown = [], []
    for topic in asked:
        name = topic.name if topic.name is not None else broker.access.name_of(topic.topic_id)
        if name is None:
            unknown.append(topic.topic_id)
        else:
            names.append(str(name))
    return names, unknown


def _topic_metadata(broker: Broker, name: str | None, code: ErrorCode, partitions: int = 0) -> Body:
    return {
        "error_code": code,
        "name": name,
        "topic_id": None if name is None or code != ErrorCode.none else broker.access.topic_id(name),
        "is_internal": False,
        "partitions": [
            {
                "error_code": ErrorCode.none,
                "partition_index": number,
                "leader_id": NODE_ID,
                "leader_epoch": -1,
                "replica_nodes": (NODE_ID,),
                "isr_nodes": (NODE_ID,),
                "offline_replicas": (),
            }
            for number in range(partitions)
        ],
    }


@handles("describe_cluster")
async def describe_cluster(broker: Broker, client: Client, request: Request) -> Body:
    """DescribeCluster: the one broker."""
    return {
        **_cluster_operations(broker, client, request),
        "error_code": ErrorCode.none,
        "error_message": None,
        "cluster_id": _cluster_id(broker),
        "controller_id": NODE_ID,
        "brokers": [{"broker_id": NODE_ID, **broker.address_for(client), "rack": None}],
    }


@handles("describe_log_dirs")
async def describe_log_dirs(broker: Broker, client: Client, request: Request) -> Body:
    """DescribeLogDirs: the sizes of partitions."""
    if not broker.may(client, "read", "cluster", ""):
        return {"error_code": ErrorCode.cluster_authorization_failed, "results": ()}
    asked = request.body.topics
    wanted = None if asked is None else {str(t.topic): {int(p) for p in t.partitions} for t in asked}
    topics = []
    for name, config in broker.access.topics().items():
        if wanted is not None and name not in wanted:
            continue
        try:
            sizes = broker.access.log.partition_sizes(name)
        except StorageError:  # deleted meanwhile
            continue
        numbers = range(config.partitions) if wanted is None else sorted(wanted[name] & set(range(config.partitions)))
        topics.append(
            {
                "name": name,
                "partitions": [
                    {"partition_index": n, "partition_size": sizes[n][1], "offset_lag": 0, "is_future_key": False}
                    for n in numbers
                ],
            }
        )
    return {
        "error_code": ErrorCode.none,
        "results": [{"error_code": ErrorCode.none, "log_dir": "penstock", "topics": topics}],
    }


# --- topics --------------------------------------------------------------------------------


def _code_of(error: PenstockError, name: str, broker: Broker) -> ErrorCode:
    if broker.access.topic(name) is not None:  # another client has made it at this moment
        return ErrorCode.topic_already_exists
    return ErrorCode.kafka_storage_error if isinstance(error, StorageError) else ErrorCode.invalid_config


def _or_gone(code: ErrorCode, name: str, broker: Broker) -> ErrorCode:
    """The error code of a failed change of a topic: ``code``, or that the topic is unknown if it was just deleted."""
    return ErrorCode.unknown_topic_or_partition if broker.access.topic(name) is None else code


@handles("create_topics")
async def create_topics(broker: Broker, client: Client, request: Request) -> Body:
    """CreateTopics: create topics whose values are bytes; each succeeds or fails on its own."""
    names = [str(t.name) for t in request.body.topics]
    answers: list[Body] = []
    for topic in request.body.topics:
        name = str(topic.name)
        code, message = ErrorCode.none, None
        partitions = int(topic.num_partitions) if topic.num_partitions != -1 else broker.options.partitions
        configs = {str(c.name): c.value for c in topic.configs}
        try:
            broker.require(client, "admin", "topic", name)
            if names.count(name) > 1:
                raise Refused(ErrorCode.invalid_request, "the topic is named twice")
            if not broker.access.is_valid_name(name):
                raise Refused(ErrorCode.invalid_topic_exception, "a name has 1 to 249 of letters, digits, '.', '_' and '-'")
            if topic.assignments:
                partitions = _assigned(topic.assignments)
            elif topic.replication_factor not in (-1, 1):
                raise Refused(ErrorCode.invalid_replication_factor, "there is one broker, so each partition has one replica")
            if partitions < 1:
                raise Refused(ErrorCode.invalid_partitions, "a topic has at least one partition")
            if broker.access.topic(name) is not None:
                raise Refused(ErrorCode.topic_already_exists, f"the topic {name} exists")
            if request.body.validate_only:
                broker.access.check_configs(configs)
            else:
                await broker.blocking(broker.access.create_topic, name, partitions, configs)
        except Refused as refused:
            code, message = refused.code, str(refused)
        except PenstockError as error:
            code, message = _code_of(error, name, broker), str(error)
        answers.append(
            {
                "name": name,
                "topic_id": None if code != ErrorCode.none else broker.access.topic_id(name),
                "error_code": code,
                "error_message": message,
                "num_partitions": partitions if code == ErrorCode.none else -1,
                "replication_factor": 1 if code == ErrorCode.none else -1,
                "topic_config_error_code": ErrorCode.none,
                "configs": [],
            }
        )
    return {"topics": answers}


def _assigned(assignments: Iterable[Any]) -> int:
    """The number of partitions that a request assigns to brokers itself.  Raises: Refused, if that is not valid."""
    given = {int(a.partition_index): [int(b) for b in a.broker_ids] for a in assignments}
    if sorted(given) != list(range(len(given))) or any(brokers != [NODE_ID] for brokers in given.values()):
        raise Refused(ErrorCode.invalid_replica_assignment, f"there is one broker, {NODE_ID}")
    return len(given)


@handles("delete_topics")
async def delete_topics(broker: Broker, client: Client, request: Request) -> Body:
    """DeleteTopics: delete topics that no stream, table or query uses."""
    body = request.body
    answers: list[Body] = []
    if hasattr(body, "topic_names"):
        names = [str(name) for name in body.topic_names]
    else:
        names, unknown = _names(broker, body.topics)
        for id_ in unknown:
            code = ErrorCode.unknown_topic_id
            answers.append({"name": None, "topic_id": id_, "error_code": code, "error_message": None})
    for name in names:
        topic_id = broker.access.topic_id(name)
        code, message = ErrorCode.none, None
        try:
            broker.require(client, "admin", "topic", name)
            if broker.access.topic(name) is None:
                raise Refused(ErrorCode.unknown_topic_or_partition)
            await broker.blocking(broker.access.delete_topic, name)
        except Refused as refused:
            code, message = refused.code, str(refused)
        except StatementError as error:
            code, message = _or_gone(ErrorCode.policy_violation, name, broker), str(error)
        except StorageError as error:
            code, message = _or_gone(ErrorCode.kafka_storage_error, name, broker), str(error)
        answers.append({"name": name, "topic_id": topic_id, "error_code": code, "error_message": message})
    return {"responses": answers}


@handles("create_partitions")
async def create_partitions(broker: Broker, client: Client, request: Request) -> Body:
    """CreatePartitions: add partitions to topics without keyed records, whose keys would get other partitions."""
    answers = []
    for topic in request.body.topics:
        name, code, message = str(topic.name), ErrorCode.none, None
        try:
            broker.require(client, "admin", "topic", name)
            config = broker.access.topic(name)
            if config is None:
                raise Refused(ErrorCode.unknown_topic_or_partition)
            if int(topic.count) <= config.partitions:
                raise Refused(ErrorCode.invalid_partitions, f"the topic has {config.partitions} partitions already")
            if not request.body.validate_only:
                await broker.blocking(broker.access.add_partitions, name, int(topic.count))
        except Refused as refused:
            code, message = refused.code, str(refused)
        except PenstockError as error:
            code, message = _or_gone(ErrorCode.invalid_partitions, name, broker), str(error)
        answers.append({"name": name, "error_code": code, "error_message": message})
    return {"results": answers}


# --- configs -------------------------------------------------------------------------------


@handles("describe_configs")
async def describe_configs(broker: Broker, client: Client, request: Request) -> Body:
    """DescribeConfigs: the configs of topics.  The broker itself has none that can be set."""
    answers = []
    for resource in request.body.resources:
        kind, name = int(resource.resource_type), str(resource.resource_name)
        answer: dict[str, Any] = {
            "error_code": ErrorCode.none,
            "error_message": None,
            "resource_type": kind,
            "resource_name": name,
            "configs": (),
        }
        if kind == _TOPIC:
            config = broker.access.topic(name)
            if not broker.may(client, "read", "topic", name):
                answer["error_code"] = ErrorCode.topic_authorization_failed
            elif config is None:
                answer["error_code"] = ErrorCode.unknown_topic_or_partition
            else:
                answer["configs"] = _configs(broker, config, resource.configuration_keys)
        elif kind != _BROKER:
            answer["error_code"], answer["error_message"] = ErrorCode.invalid_request, "topics and brokers have configs"
        answers.append(answer)
    return {"results": answers}


def _configs(broker: Broker, config: TopicConfig, keys: Iterable[Any] | None) -> list[Body]:
    wanted = None if keys is None else {str(k) for k in keys}
    defaults = broker.access.described(TopicConfig())
    return [
        {
            "name": name,
            "value": value,
            "read_only": False,
            "config_source": _DEFAULT if value == defaults[name] else _DYNAMIC_TOPIC,
            "is_sensitive": False,
            "synonyms": (),
            "config_type": 0,
            "documentation": None,
        }
        for name, value in broker.access.described(config).items()
        if wanted is None or name in wanted
    ]


@handles("alter_configs")
async def alter_configs(broker: Broker, client: Client, request: Request) -> Body:
    """AlterConfigs: set all configs of topics; those not given are reset to their defaults."""

    def changes(resource: Any, config: TopicConfig) -> Mapping[str, str | None]:
        given = {str(c.name): c.value for c in resource.configs}
        return {**dict.fromkeys(broker.access.described(config)), **given}

    return await _alter(broker, client, request, changes)


@handles("incremental_alter_configs")
async def incremental_alter_configs(broker: Broker, client: Client, request: Request) -> Body:
    """IncrementalAlterConfigs: set or delete single configs of topics, or add to or remove from a list."""

    def changes(resource: Any, config: TopicConfig) -> Mapping[str, str | None]:
        now = broker.access.described(config)
        found: dict[str, str | None] = {}
        for item in resource.configs:
            name, operation = str(item.name), int(item.config_operation)
            if operation in (2, 3):
                if name != "cleanup.policy":
                    raise StatementError(f"{name} is not a list: it can be set, not added to or taken from")
                have = [p for p in now[name].split(",") if p]
                given = [p for p in (item.value or "").split(",") if p]
                left = [p for p in have if p not in given]
                found[name] = ",".join([*have, *(p for p in given if p not in have)] if operation == 2 else left)
            else:
                found[name] = None if operation == 1 else item.value
        return found

    return await _alter(broker, client, request, changes)


async def _alter(
    broker: Broker, client: Client, request: Request, changes: Callable[[Any, TopicConfig], Mapping[str, str | None]]
) -> Body:
    answers = []
    for resource in request.body.resources:
        kind, name = int(resource.resource_type), str(resource.resource_name)
        code, message = ErrorCode.none, None
        try:
            if kind != _TOPIC:
                raise Refused(ErrorCode.invalid_request, "only topics have configs that can be set")
            broker.require(client, "admin", "topic", name)
            config = broker.access.topic(name)
            if config is None:
                raise Refused(ErrorCode.unknown_topic_or_partition)
            wanted = changes(resource, config)
            if request.body.validate_only:
                broker.access.check_configs(wanted)
            else:
                await broker.blocking(broker.access.alter_topic, name, wanted)
        except Refused as refused:
            code, message = refused.code, str(refused)
        except PenstockError as error:
            code, message = _or_gone(ErrorCode.invalid_config, name, broker), str(error)
        answers.append({"error_code": code, "error_message": message, "resource_type": kind, "resource_name": name})
    return {"responses": answers}
