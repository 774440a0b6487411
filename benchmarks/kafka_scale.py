"""Processes that share queries over Apache Kafka: rows a second with 1, 2 and 4 of them, and how long a dead one is missed.

    python -m benchmarks.kafka_scale --rows 400000 --processes 1 2 4
    python -m benchmarks.kafka_scale --failover --keys 1000000

It needs what `make test-kafka` needs: Java, and the jars of `make kafka-jars`.  The broker runs on the same machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import confluent_kafka
import confluent_kafka.admin
from apache_kafka import apache_kafka

import penstock
from penstock.errors import PenstockError

PARTITIONS = 8
PEOPLE = 10_000
SESSION_MS = 6_000
SOURCES = f"""
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM orders (id STRING KEY, town STRING, euros BIGINT)
    WITH (KAFKA_TOPIC = 'orders', PARTITIONS = {PARTITIONS}, VALUE_FORMAT = 'JSON');
CREATE TABLE people (id STRING PRIMARY KEY, name STRING)
    WITH (KAFKA_TOPIC = 'people', PARTITIONS = {PARTITIONS}, VALUE_FORMAT = 'JSON');
"""
QUERIES = {
    "aggregate": "CREATE TABLE spend AS SELECT id, COUNT(*) AS n, SUM(euros) AS total FROM orders GROUP BY id;",
    "join": "CREATE STREAM named AS SELECT o.id AS id, o.euros, p.name FROM orders o JOIN people p ON o.id = p.id;",
    "rekey": "CREATE TABLE towns AS SELECT town, COUNT(*) AS n, SUM(euros) AS total FROM orders GROUP BY town;",
}
WORKER = """
import sys, time
import penstock
path, address, serves, script = sys.argv[1:]
with penstock.connect(path, kafka=address, service_id="scale", settings={"session.timeout.ms": "%d"}) as db:
    if serves == "yes":
        print(penstock.serve(db, port=0).url, flush=True)
    print("up", flush=True)
    if script and sys.stdin.readline():
        db.execute(script)
    time.sleep(3600)
"""


@contextlib.contextmanager
def workers(
    address: str, place: Path, count: int, *, serve: bool = False, script: str = ""
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of the service, each with a directory; they are up when this is entered.  The first one executes the script
    when it gets a line."""
    arguments = [address, "yes" if serve else "no"]
    command = [sys.executable, "-c", WORKER % SESSION_MS]
    started = [
        subprocess.Popen(
            [*command, str(place / str(n)), *arguments, script if n == 0 else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(count)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            while process.stdout.readline().strip() not in ("up", ""):
                pass
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def send(address: str, topic: str, rows: Iterator[tuple[str, str]]) -> None:
    """Produce rows, placed as Kafka's default partitioner does."""
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "partitioner": "murmur2_random", "linger.ms": 50, "compression.type": "lz4"}
    )
    for key, value in rows:
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0


def committed(admin: Any, group: str, topic: str) -> int:
    """Up to where a group has taken in a topic, all partitions together."""
    asked = confluent_kafka.ConsumerGroupTopicPartitions(group)
    found = admin.list_consumer_group_offsets([asked])[group].result(30).topic_partitions
    return sum(max(0, place.offset) for place in found if place.topic == topic)


def throughput(rows: int, processes: list[int], names: list[str], guarantee: str) -> None:
    """Rows a second of each query, for each number of processes."""
    print(f"{'query':<10} {'processes':>9} {'rows/s':>10} {'s':>7} {'CPU us/row':>11}")
    for name in names:
        for count in processes:
            seconds, cpu_s = one_run(rows, count, name, guarantee)
            print(f"{name:<10} {count:>9} {rows / seconds:>10,.0f} {seconds:>7.1f} {cpu_s / rows * 1e6:>11.1f}", flush=True)


def one_run(rows: int, count: int, name: str, guarantee: str) -> tuple[float, float]:
    """Seconds from CREATE to the commit of the last row, and the processor time of the processes meanwhile.

    The rows are there before, and so are the processes: their finding together is part of it.
    """
    place = Path(tempfile.mkdtemp(prefix="penstock-scale-"))
    try:
        with apache_kafka() as kafka:
            with penstock.connect(place / "0", kafka=kafka.address, service_id="scale") as first:
                first.execute(SOURCES)
                send(kafka.address, "people", ((f"p{i}", f'{{"NAME":"n{i}"}}') for i in range(PEOPLE)))
                send(
                    kafka.address,
                    "orders",
                    ((f"p{i * 7919 % PEOPLE}", f'{{"TOWN":"t{i % 1000}","EUROS":{i % 100}}}') for i in range(rows)),
                )
            admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": kafka.address})
            with workers(kafka.address, place, count, script=_script(name, guarantee)) as running:
                before_s = sum(processor_s(process.pid) for process in running)
                began_s = time.monotonic()
                assert running[0].stdin is not None
                running[0].stdin.write("go\n")
                running[0].stdin.flush()
                while taken_in(admin, rows) < rows:
                    time.sleep(0.1)
                seconds = time.monotonic() - began_s
                return seconds, sum(processor_s(process.pid) for process in running) - before_s
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _script(name: str, guarantee: str) -> str:
    return SOURCES.split(";")[0] + f"; SET 'processing.guarantee' = '{guarantee}';" + QUERIES[name]


def taken_in(admin: Any, rows: int) -> int:
    """How many records of orders, and of its repartition topic if there is one, the one query has taken in at least."""
    groups = [g.group_id for g in admin.list_consumer_groups().result(30).valid if g.group_id.startswith("penstock.scale.C")]
    if not groups:
        return 0
    (group,) = groups
    moved = [topic for topic in admin.list_topics(timeout=30).topics if ".repartition-" in topic]
    found = committed(admin, group, "orders")
    if moved and found >= rows:
        ends = sum(
            future.result(30).offset
            for future in admin.list_offsets(
                {
                    confluent_kafka.TopicPartition(moved[0], p): confluent_kafka.admin.OffsetSpec.latest()
                    for p in range(PARTITIONS)
                }
            ).values()
        )
        if committed(admin, group, moved[0]) < ends - PARTITIONS:  # the mark of the last commit is no record
            return rows - 1
    return found


def processor_s(pid: int) -> float:
    """User and system time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def failover(keys: int, standbys: int) -> None:
    """How long, after a process was killed, no key of its partitions is answered for by the other."""
    place = Path(tempfile.mkdtemp(prefix="penstock-scale-"))
    try:
        with apache_kafka() as kafka:
            settings = {"session.timeout.ms": str(SESSION_MS)}
            with penstock.connect(place / "here", kafka=kafka.address, service_id="scale", settings=settings) as here:
                here.execute(f"SET 'num.standby.replicas' = '{standbys}';" + SOURCES + QUERIES["aggregate"])
                query = next(iter(here.queries))
                send(kafka.address, "orders", ((f"p{i}", '{"TOWN":"t","EUROS":1}') for i in range(keys)))
                with workers(kafka.address, place, 1, serve=True) as running:
                    run = here._engine.host.run(query)
                    shares = run.shares
                    assert shares is not None
                    while len(shares.held) != PARTITIONS // 2 or not here.wait_idle(5):
                        time.sleep(0.2)
                    group = f"penstock.scale.{query}"
                    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": kafka.address})
                    while committed(admin, group, "orders") < keys:
                        time.sleep(0.2)
                    kept = run.parts.standbys
                    while kept is not None and sum(len(d.store) for d in list(kept._stores.values())) < keys * 0.45:
                        time.sleep(0.2)
                    time.sleep(2)
                    lost = next(key for i in range(keys) if not known(run, key := f"p{i}"))
                    assert here.sql(f"SELECT n FROM spend WHERE id = '{lost}'").fetchall() == [(1,)]
                    running[0].kill()
                    began_s = time.monotonic()
                    answer: list[Any] = []
                    while not answer:
                        with contextlib.suppress(PenstockError):
                            answer = here.sql(f"SELECT n FROM spend WHERE id = '{lost}'").fetchall()
                    seconds = time.monotonic() - began_s
            print(f"{keys:,} keys, num.standby.replicas = {standbys}: answered again after {seconds:.1f} s", flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def known(run: Any, key: str) -> bool:
    """Whether this process itself has a key."""
    import pyarrow as pa

    return any(part.lookup([pa.array([key])]).num_rows for part in run.snapshot())


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--queries", nargs="+", default=list(QUERIES), choices=list(QUERIES))
    parser.add_argument("--guarantee", default="exactly_once_v2", choices=["exactly_once_v2", "at_least_once"])
    parser.add_argument("--failover", action="store_true", help="measure that alone")
    parser.add_argument("--standbys", type=int, nargs="+", default=[0, 1], help="num.standby.replicas, of --failover")
    parser.add_argument("--keys", type=int, default=1_000_000)
    chosen = parser.parse_args()
    if chosen.failover:
        for standbys in chosen.standbys:
            failover(chosen.keys, standbys)
    else:
        throughput(chosen.rows, chosen.processes, chosen.queries, chosen.guarantee)


if __name__ == "__main__":
    main()
