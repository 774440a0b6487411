"""A node of Apache Kafka that tests may stop and kill, behind a proxy that they may trouble."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

pytest.importorskip("confluent_kafka")

from apache_kafka import apache_kafka, empty, free_port, is_there
from fault_proxy import FaultProxy
from faulty_cluster import Cluster

if not os.environ.get("PENSTOCK_KAFKA") or not is_there():
    collect_ignore_glob = ["test_*.py"]  # `make test-kafka` runs them

USERS = """
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:@SASL@,CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{advertised},SASL://127.0.0.1:@SASL@
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
    user_ada="ada-secret" user_bob="bob-secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Cluster]:
    port, sasl = free_port(), free_port()
    proxy = FaultProxy(port)
    try:
        with apache_kafka(port=port, advertised=proxy.address, more=USERS.replace("@SASL@", str(sasl))) as node:
            yield Cluster(node, proxy, f"127.0.0.1:{sasl}")
    finally:
        proxy.close()


@pytest.fixture
def cluster(_cluster: Cluster) -> Iterator[Cluster]:
    """Empty, and without a fault."""
    empty(_cluster.node.address)
    yield _cluster
    _cluster.proxy.silent, _cluster.proxy.delay_s = False, 0.0
