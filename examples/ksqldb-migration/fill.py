"""Fill the topics of `shop.sql` as some service did long before: with Kafka's client alone.

python fill.py 127.0.0.1:9092
"""

from __future__ import annotations

import json
import sys

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

CUSTOMERS = {"c1": ("Ada", "GB"), "c2": ("Grace", "US"), "c3": ("Emmy", "DE")}
ORDERS = 30
START_MS = 1_700_000_000_000


def fill(address: str, partitions: int = 3) -> None:
    """Make both topics, with records whose keys lie where Kafka's Java clients put them."""
    admin = AdminClient({"bootstrap.servers": address})
    for made in admin.create_topics([NewTopic(name, partitions) for name in ("customers", "orders")]).values():
        made.result(30)
    producer = Producer({"bootstrap.servers": address, "partitioner": "murmur2_random"})
    for key, (name, country) in CUSTOMERS.items():
        producer.produce("customers", json.dumps({"name": name, "country": country}), key, timestamp=START_MS)
    producer.flush(30)
    for number in range(ORDERS):
        order = {"order_id": number, "amount": number * 1.5, "ordered_at": START_MS + 1_000 + number * 300_000}
        producer.produce("orders", json.dumps(order), f"c{number % 3 + 1}", timestamp=order["ordered_at"])
    producer.flush(30)


if __name__ == "__main__":
    fill(sys.argv[1])
