"""Work that goes on while something fails, and the account of it afterwards."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import confluent_kafka
from committed_records import committed
from confluent_kafka.admin import AdminClient
from faulty_cluster import Cluster

import penstock

SCRIPT = """
CREATE STREAM orders (id STRING KEY, number INTEGER)
    WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
CREATE STREAM copies WITH (KAFKA_TOPIC = 'copies') AS SELECT id, number FROM orders;
CREATE TABLE counts WITH (KAFKA_TOPIC = 'counts') AS SELECT id, COUNT(*) AS n FROM orders GROUP BY id;
"""
KEYS = 5


def errors(database: penstock.Database) -> list[str]:
    """Why queries wait."""
    return [str(found) for query in database.queries.values() if (found := query.progress().error) is not None]


def states(database: penstock.Database) -> set[str]:
    return {query.progress().state for query in database.queries.values()}


def ask(cluster: Cluster, question: Callable[[AdminClient], dict[Any, Any]]) -> None:
    """Have an administrator do something, and wait until it is done."""
    admin = AdminClient({"bootstrap.servers": cluster.node.address})
    for future in question(admin).values():
        future.result(30)


def send(cluster: Cluster, numbers: range) -> None:
    sender = confluent_kafka.Producer({"bootstrap.servers": cluster.node.address})
    for number in numbers:
        sender.produce("orders", json.dumps({"NUMBER": number}), f"k{number % 5}")
    assert sender.flush(30) == 0


class Sender:
    """Writes numbered orders, each once, whatever happens to the broker: an idempotent producer does not give up."""

    def __init__(self, address: str) -> None:
        self.sent = 0
        self._over = threading.Event()
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": address,
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "partitioner": "murmur2_random",
                "socket.timeout.ms": 5_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        while not self._over.wait(0.02):
            value = json.dumps({"NUMBER": self.sent})
            self._producer.produce("orders", value, f"k{self.sent % KEYS}")
            self._producer.poll(0)
            self.sent += 1

    def end(self) -> int:
        """How many it has sent in all."""
        self._over.set()
        self._thread.join()
        assert self._producer.flush(60) == 0
        return self.sent


def check_each_once(address: str, count: int) -> None:
    """Every order was copied once and counted once."""
    copies = committed(address, "copies", lambda found: len(found) >= count)
    numbers = Counter(value["NUMBER"] for _, value in copies)
    twice = [n for n, times in numbers.items() if times > 1]
    missing = sorted(set(range(count)) - set(numbers))
    assert not twice, f"{len(twice)} of {count} came twice: {twice[:20]}"
    assert not missing, f"{len(missing)} of {count} are missing: {missing[:20]}"
    counts = committed(address, "counts", lambda found: sum({k: v["N"] for k, v in found}.values()) >= count)
    assert sum({key: value["N"] for key, value in counts}.values()) == count
