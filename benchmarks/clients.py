"""What producers and consumers can do: single records from one thread and from 64, and polling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import penstock

from .measure import Measurement, Options, database, rate, workload

CALLERS = 64
VALUE = b"x" * 100


def from_threads(callers: int, each: int, write: Callable[[int], object]) -> float:
    """Records a second, of so many threads that write ``each`` records, one after the other has been acknowledged."""
    ready = threading.Barrier(callers + 1)

    def work(number: int) -> None:
        ready.wait()
        for _ in range(each):
            write(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return callers * each / (time.perf_counter() - start)


@workload
def clients(options: Options) -> Iterator[Measurement]:
    """Durable; a sixteenth of ``--rows`` where single records are acknowledged."""
    each = max(options.rows // 16 // CALLERS // 16, 20)
    many = max(options.rows // 4, 10_000)
    with database() as db:
        db.create_topic("t", partitions=4)
        db.execute("CREATE STREAM s (k INT KEY, v STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=4);")
        with db.producer() as producer:
            for callers in (1, CALLERS):

                def one(number: int, to: penstock.Producer = producer) -> object:
                    return to.send("t", key=b"%d" % number, value=VALUE).result()

                name = f"send().result() from {callers} thread{'s' * (callers > 1)}"
                yield Measurement(name, from_threads(callers, each, one) / 1e3, "k/s", 5 * (callers > 1) or None)
            start = time.perf_counter()
            for number in range(many):
                producer.send("t", key=b"%d" % (number % 100), value=VALUE)
            producer.flush()
            yield Measurement(
                "send() from 1 thread, flushed at the end", rate(many, time.perf_counter() - start), "M rows/s"
            )
        for name, write in (
            ("produce()", lambda number: db.produce("t", key=b"%d" % number, value=VALUE)),
            ("insert() of one row", lambda number: db.insert("s", [{"k": number, "v": "x" * 100}])),
        ):
            yield Measurement(f"{name} from 64 threads", from_threads(CALLERS, each, write) / 1e3, "k/s", 5)
        yield from _polled(db)


def _polled(db: penstock.Database) -> Iterator[Measurement]:
    for name, poll in (
        ("poll() of 500 records", lambda consumer: len(consumer.poll())),
        ("poll_batches()", lambda consumer: sum(map(len, consumer.poll_batches()))),
    ):
        with db.consumer("t", group=name, auto_offset_reset="earliest", enable_auto_commit=False) as consumer:
            start, rows = time.perf_counter(), 0
            while found := poll(consumer):
                rows += found
            yield Measurement(name, rate(rows, time.perf_counter() - start), "M rows/s")
