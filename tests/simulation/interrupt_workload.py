"""A process that is interrupted (SIGINT) again and again, at any instant: run by `test_interrupts`.

The main thread, where signals land, does everything that a program does, over and over; other threads insert and query all
the while.  When standard input ends, the rows that were acknowledged are compared with what the database holds when it is
opened again, and a line of JSON says how it went.
"""

from __future__ import annotations

import faulthandler
import json
import random
import signal
import sys
import threading
from typing import Any

import penstock
from penstock.storage import interrupts

HANG_S = 90.0
"""Nothing takes so long: whoever does hangs, and the stacks of all threads are printed."""

SCRIPT = """
CREATE STREAM orders (id STRING, who STRING) WITH (KAFKA_TOPIC='orders', VALUE_FORMAT='ARROW', PARTITIONS=2);
CREATE TABLE counts AS SELECT who, COUNT(*) AS n FROM orders GROUP BY who;
"""


class Main:
    """What the main thread does, and what it was told to have happened."""

    def __init__(self, directory: str, seed: int) -> None:
        self.directory = directory
        self.chance = random.Random(seed)
        self.acknowledged: list[str] = []
        self.made = 0
        self.interruptions = 0
        self.armed = False
        self.stopping = threading.Event()
        self.failures: list[str] = []
        self.db = penstock.connect(directory)
        self.closed = False
        self.done: dict[str, int] = {}

    def handle(self, number: int, frame: object) -> None:
        """SIGINT; between the rounds, where this program keeps its books, it is not for the database."""
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def name(self) -> str:
        self.made += 1
        return f"main-{self.made}"

    def insert(self) -> None:
        names = [self.name() for _ in range(self.chance.choice([1, 1, 3, 40]))]
        self.db.insert("orders", [{"id": n, "who": "main"} for n in names], durable=self.chance.random() < 0.8)
        self.acknowledged += names

    def send(self) -> None:
        with self.db.producer(linger_ms=self.chance.choice([0, 1])) as producer:
            names = [self.name() for _ in range(5)]
            for delivery in [producer.send("orders", value={"ID": n, "WHO": "main"}) for n in names]:
                delivery.result()
        self.acknowledged += names

    def transact(self) -> None:
        names = [self.name() for _ in range(3)]
        with self.db.producer("loader") as producer, producer.transaction() as transaction:
            for n in names:
                transaction.send("orders", value={"ID": n, "WHO": "main"})
        self.acknowledged += names

    def consume(self) -> None:
        with self.db.consumer("orders", group="g", auto_offset_reset="earliest") as consumer:
            consumer.poll(timeout_ms=20)
            consumer.commit()

    def query(self) -> None:
        self.db.sql("SELECT * FROM counts WHERE who = 'main';")
        self.db.sql("SELECT who, SUM(n) FROM counts GROUP BY who")

    def subscribe(self) -> None:
        with self.db.subscribe("SELECT * FROM orders EMIT CHANGES;") as rows:
            rows.poll(0.02)

    def define(self) -> None:
        name = f"s{self.made}"
        self.made += 1
        self.db.execute(f"CREATE STREAM {name} (a INT) WITH (KAFKA_TOPIC='{name}', VALUE_FORMAT='JSON', PARTITIONS=1);")
        self.db.execute(f"DROP STREAM {name} DELETE TOPIC;")

    def checkpoint(self) -> None:
        with interrupts.DEFERRED:  # as all calls are that roll the journal
            self.db._engine.log.committer.roll()  # type: ignore[attr-defined]  # what a checkpoint does to the log
        self.db.wait_idle(1.0)

    def reopen(self) -> None:
        self.closed = True
        self.db.close()
        self.db = penstock.connect(self.directory)
        self.closed = False

    def round(self) -> None:
        """One thing, or more, until it is interrupted."""
        todo = [self.insert] * 12 + [self.send, self.transact, self.consume, self.query, self.subscribe, self.define] * 2
        todo += [self.checkpoint, self.reopen]
        try:
            self.armed = True
            while not self.stopping.is_set():
                work = self.chance.choice(todo)
                work()
                self.done[work.__name__] = self.done.get(work.__name__, 0) + 1
            self.armed = False
        except KeyboardInterrupt:
            self.interruptions += 1
        finally:
            self.armed = False
        if self.closed:
            self.db.close()
            self.db = penstock.connect(self.directory)
            self.closed = False


def beside(main: Main, number: int, acknowledged: list[str]) -> None:
    """Another thread: inserts and asks.  The database may be closed under it, which is an error, and no more."""
    made = 0
    while not main.stopping.is_set():
        db, name = main.db, f"thread{number}-{made}"
        made += 1
        try:
            db.insert("orders", [{"id": name, "who": f"t{number}"}])
            acknowledged.append(name)
            if made % 10 == 0:
                db.sql("SELECT * FROM counts WHERE who = 't1';")
        except penstock.PenstockError as error:
            if "closed" not in str(error):
                main.failures.append(f"thread {number}: {error!r}")
                return
        except BaseException as error:
            main.failures.append(f"thread {number}: {error!r}")
            return


def run(directory: str, seed: int) -> dict[str, Any]:
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    main = Main(directory, seed)
    signal.signal(signal.SIGINT, main.handle)
    main.db.execute(SCRIPT)
    others: list[list[str]] = [[], []]
    threads = [threading.Thread(target=beside, args=(main, i, acks), daemon=True) for i, acks in enumerate(others)]
    for thread in threads:
        thread.start()
    threading.Thread(target=lambda: (sys.stdin.read(), main.stopping.set()), daemon=True).start()
    print("ready", flush=True)
    while not main.stopping.is_set():
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            main.round()
        except penstock.PenstockError as error:
            main.failures.append(f"main thread: {error!r}")
            break
    for thread in threads:
        thread.join()
    main.db.close()
    acknowledged = {*main.acknowledged, *others[0], *others[1]}
    with penstock.connect(directory) as db:
        db.wait_idle()
        held = [record.value["ID"] for record in db.consume("orders")]
        counted = sum(row[1] for row in db.sql("SELECT * FROM counts;").fetchall())
    return {
        "interruptions": main.interruptions,
        "acknowledged": len(acknowledged),
        "lost": sorted(acknowledged - set(held))[:10],
        "twice": len(held) - len(set(held)),
        "counted": counted - len(held),
        "failures": main.failures,
        "done": main.done,
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))), flush=True)
