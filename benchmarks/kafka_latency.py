"""Milliseconds from ``insert()`` of one record until its row reaches the reader of a push query, over Apache Kafka.

    python -m benchmarks.kafka_latency --records 1000

It needs what `make test-kafka` needs: Java, and the jars of `make kafka-jars`.  The broker runs on the same machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from apache_kafka import apache_kafka

import penstock

from .latency import one_by_one
from .measure import percentile

SETTLED_S = 3.0
"""How long no row comes before it is begun."""
SCRIPT = """
SET 'commit.interval.ms' = '20';
SET 'processing.guarantee' = '{guarantee}';
CREATE STREAM payments (account BIGINT KEY, amount BIGINT)
    WITH (KAFKA_TOPIC = 'payments', PARTITIONS = {partitions}, VALUE_FORMAT = 'JSON');
CREATE TABLE totals AS SELECT account, COUNT(*) AS n, SUM(amount) AS total FROM payments GROUP BY account;
"""
PROMISED_MS = 150.0


def latencies(database: penstock.Database, source: str, records: int, pause_s: float) -> tuple[list[float], list[float]]:
    """Of each record: ms until ``insert()`` is through, and until its row is read."""
    with database.subscribe(f"SELECT * FROM {source} EMIT CHANGES;") as subscription:
        for number in range(10):  # what is made once: topics, clients
            database.insert("payments", [{"account": number, "amount": number}])
        assert database.wait_idle(120)
        while subscription.poll(SETTLED_S) is not None:
            pass
        sent = ((number % 10, number) for number in range(records))
        taken = list(one_by_one(database, subscription, sent, pause_s=pause_s))
    return [each.inserted_ms for each in taken], [each.whole_ms for each in taken]


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--pause-ms", type=float, default=3.0, help="between two records")
    parser.add_argument("--guarantees", nargs="+", default=["exactly_once_v2", "at_least_once"])
    chosen = parser.parse_args()
    print(f"insert() to row of a push query, ms; load {os.getloadavg()[0]:.1f}; promised: p99 < {PROMISED_MS:g}")
    print(f"{'':<29}{'insert() p50':>13}{'p99':>10}{'row p50':>10}{'p99':>10}{'most':>10}")
    for guarantee in chosen.guarantees:
        with (
            tempfile.TemporaryDirectory(prefix="penstock-latency-") as place,
            apache_kafka() as kafka,
            penstock.connect(place, kafka=kafka.address, service_id="latency", auto_offset_reset="latest") as database,
        ):
            database.execute(SCRIPT.format(guarantee=guarantee, partitions=chosen.partitions))
            assert database.wait_idle(120)
            for source in ("payments", "totals"):
                inserted, whole = latencies(database, source, chosen.records, chosen.pause_ms / 1e3)
                figures = [percentile(found, share) for found in (inserted, whole) for share in (0.5, 0.99)]
                shown = "".join(f"{figure:>10.1f}" for figure in [*figures, max(whole)])
                print(f"{guarantee + ', ' + source:<32}{shown}", flush=True)


if __name__ == "__main__":
    main()
