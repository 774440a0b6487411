"""The brokers refuse something: queries say what, and go on by themselves once it is allowed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from faulty_cluster import Cluster
from steady import ask, check_each_once, errors, send, states

import penstock
from penstock.errors import StorageError
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("own-kafka")

SCRIPT = """
CREATE STREAM orders (id STRING KEY, number INTEGER) WITH (KAFKA_TOPIC = 'orders', VALUE_FORMAT = 'JSON');
CREATE STREAM copies WITH (KAFKA_TOPIC = 'copies') AS SELECT id, number FROM orders;
CREATE TABLE counts WITH (KAFKA_TOPIC = 'counts') AS SELECT id, COUNT(*) AS n FROM orders GROUP BY id;
"""


def as_filter(rule: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        rule.restype, rule.name, rule.resource_pattern_type, rule.principal, rule.host, rule.operation, rule.permission_type
    )


def user(name: str, password: str) -> dict[str, Any]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": name,
        "sasl.password": password,
        "socket.timeout.ms": 10_000,
    }


def test_a_wrong_password(cluster: Cluster) -> None:
    """It is said at once that the brokers refuse this client, and which settings to look at; not the password."""
    with pytest.raises(StorageError, match="refuse this client") as failed:
        penstock.connect(
            kafka=cluster.sasl, service_id="s", settings={**user("ada", "wrong-secret"), "socket.timeout.ms": 300_000}
        )
    assert "sasl.password" in str(failed.value)
    assert "wrong-secret" not in str(failed.value)


def test_a_right_is_missing_and_given(cluster: Cluster) -> None:
    """A user may all but write to one topic; when he may, the query goes on."""
    ask(cluster, lambda a: a.create_topics([NewTopic("orders", 2, 1), NewTopic("copies", 2, 1)]))

    def rule(kind: Any, name: str, operation: Any, allowed: bool) -> AclBinding:
        permission = AclPermissionType.ALLOW if allowed else AclPermissionType.DENY
        return AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ada", "*", operation, permission)

    kinds = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)
    rules = [rule(kind, "*", AclOperation.ALL, True) for kind in kinds]
    rules.append(rule(ResourceType.BROKER, "kafka-cluster", AclOperation.ALL, True))
    denied = rule(ResourceType.TOPIC, "copies", AclOperation.WRITE, False)
    ask(cluster, lambda a: a.create_acls([*rules, denied]))
    time.sleep(1)  # the broker learns of them a moment later
    try:
        with penstock.connect(
            kafka=cluster.sasl, service_id="s", auto_offset_reset="earliest", settings=user("ada", "ada-secret")
        ) as db:
            db.execute(SCRIPT)
            send(cluster, range(50))
            until(lambda: any("records of 'copies': Kafka does not allow it" in text for text in errors(db)))
            assert states(db) == {"RUNNING"}
            ask(cluster, lambda a: a.delete_acls([as_filter(denied)]))
            until(lambda: not errors(db))
            assert db.wait_idle(60)
        check_each_once(cluster.address, 50)
    finally:
        ask(cluster, lambda a: a.delete_acls([as_filter(r) for r in [*rules, denied]]))


def test_a_record_is_too_large_until_it_is_allowed(cluster: Cluster) -> None:
    """For the topic that it would be written to."""
    small = NewTopic("copies", 2, 1, config={"max.message.bytes": "60"})
    ask(cluster, lambda a: a.create_topics([NewTopic("orders", 2, 1), small]))
    with penstock.connect(kafka=cluster.address, service_id="s", auto_offset_reset="earliest") as db:
        db.execute(SCRIPT)
        send(cluster, range(40))
        until(lambda: any("records of 'copies': a record is larger" in text for text in errors(db)))
        assert states(db) == {"RUNNING"}
        raised = ConfigEntry("max.message.bytes", "1000000", incremental_operation=AlterConfigOpType.SET)
        change = ConfigResource(ResourceType.TOPIC, "copies", incremental_configs=[raised])
        ask(cluster, lambda a: a.incremental_alter_configs([change]))
        until(lambda: not errors(db))
        assert db.wait_idle(60)
    check_each_once(cluster.address, 40)
