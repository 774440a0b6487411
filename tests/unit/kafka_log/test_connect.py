"""A database whose log is in Kafka: statements, rows, restarts, and what is refused."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

import penstock
from penstock.engine.statements import submit
from penstock.errors import LogRefusedError, StatementError, StorageError, UnsupportedError
from penstock.listener.kafka_listener import broker
from penstock.testing.kafka import KafkaBroker
from tests.support.waiting import until

Connect = Callable[..., penstock.Database]

SCRIPT = """
CREATE STREAM orders (id STRING KEY, customer STRING, euros DOUBLE)
    WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
CREATE TABLE spend AS SELECT customer, SUM(euros) AS total, COUNT(*) AS n FROM orders GROUP BY customer;
CREATE STREAM large AS SELECT id, euros FROM orders WHERE euros > 10;
CREATE TABLE by_id AS SELECT id, COUNT(*) AS n FROM orders GROUP BY id;
"""


def orders(count: int) -> list[dict[str, Any]]:
    return [{"ID": f"k{i % 7}", "CUSTOMER": f"c{i % 3}", "EUROS": float(i)} for i in range(count)]


def test_queries_are_as_on_the_log_of_a_machine(connect: Connect) -> None:
    """The same rows, with and without a re-keying; also after the database was closed and opened again."""
    with penstock.connect(auto_offset_reset="earliest") as other:
        other.execute(SCRIPT)
        for _ in range(2):
            other.insert("orders", orders(100))
        other.wait_idle()
        questions = ["SELECT * FROM spend ORDER BY customer", "SELECT * FROM by_id ORDER BY id"]
        expected = [other.sql(question).fetchall() for question in questions]
    database = connect()
    database.execute(SCRIPT)
    database.insert("orders", orders(100))
    assert database.wait_idle(60)
    database.close()
    again = connect()
    again.insert("orders", orders(100))
    assert again.wait_idle(60)
    assert [again.sql(question).fetchall() for question in questions] == expected
    assert again.sql("SELECT n FROM by_id WHERE id = 'k1'").fetchall() == [(30,)]


def test_topics_of_others_are_read_and_written(connect: Connect, kafka_broker: KafkaBroker) -> None:
    """A producer and a consumer that know nothing of Penstock; keys lie where Kafka's partitioner has them."""
    kafka_broker.database.create_topic("clicks", partitions=3)
    sender = confluent_kafka.Producer({"bootstrap.servers": kafka_broker.address, "partitioner": "murmur2_random"})
    for number in range(60):
        sender.produce("clicks", json.dumps({"page": f"p{number % 4}"}), f"u{number % 5}", timestamp=1_000 + number)
    assert sender.flush(30) == 0
    database = connect()
    database.execute(
        """CREATE STREAM clicks (user STRING KEY, page STRING) WITH (KAFKA_TOPIC = 'clicks', VALUE_FORMAT = 'JSON');
           CREATE TABLE counts WITH (KAFKA_TOPIC = 'counts') AS SELECT user, COUNT(*) AS n FROM clicks GROUP BY user;"""
    )
    assert database.wait_idle(60)
    assert database.sql("SELECT * FROM counts ORDER BY user").fetchall() == [(f"u{i}", 12) for i in range(5)]
    reader = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka_broker.address, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    reader.subscribe(["counts"])
    last: dict[str, int] = {}
    places: dict[str, set[int]] = {}

    def read() -> bool:
        for message in reader.consume(100, 0.2):
            assert message.error() is None
            last[message.key().decode()] = json.loads(message.value())["N"]
            places.setdefault(message.key().decode(), set()).add(message.partition())
        return last == {f"u{i}": 12 for i in range(5)}

    until(read)
    reader.close()
    for key, found in places.items():
        sent = kafka_broker.database.consume("clicks")
        assert found == {record.partition for record in sent if record.key == key.encode()}


def test_two_processes_share_statements_and_partitions(connect: Connect) -> None:
    """A statement given to one runs on both; each has some partitions; one that ends leaves them to the other."""
    one, two = connect("one"), connect("two")
    one.execute(SCRIPT)
    until(lambda: "BY_ID" in two.catalog.sources)
    two.execute("CREATE STREAM small AS SELECT id, euros FROM orders WHERE euros < 10;")
    until(lambda: "SMALL" in one.catalog.sources)
    query = next(q for q in one.queries if "BY_ID" in q)

    def mine(database: penstock.Database) -> set[tuple[str, int]]:
        shares = database._engine.host.run(query).shares
        assert shares is not None
        return set() if shares.moved else set(shares.mine)

    until(lambda: len(mine(one) | mine(two)) == 2 and bool(mine(one)) and bool(mine(two)))
    for database in (one, two):
        database.insert("orders", orders(70))

    def counted() -> int:
        found: dict[bytes | None, int] = {}
        for record in one.consume("BY_ID"):
            found[record.key] = json.loads(record.value)["N"]
        return sum(found.values())

    until(lambda: counted() == 140)
    assert one.wait_idle(60) and two.wait_idle(60)  # a commit is seen in Kafka a moment before its table is
    answers = []
    for number in range(7):
        for database in (one, two):
            try:
                answers.append(database.sql(f"SELECT n FROM by_id WHERE id = 'k{number}'").fetchall())
            except StatementError as error:
                assert "only some partitions" in str(error)
    assert answers == [[(20,)]] * 7
    shown = one.execute("SHOW QUERIES;")[0].rows
    own = next(row for row in shown if row[0] == query)
    assert "this process" in own[-1]
    assert "penstock-shop-" in own[-1]
    with pytest.raises(StatementError, match=r"penstock-shop-.* at"):
        one.sql("SELECT * FROM by_id")
    with penstock.serve(one, port=0) as server, penstock.serve(two, port=0):
        for n, database in ((20, one), (21, two)):
            assert sorted(database.sql("SELECT id, n FROM by_id").fetchall()) == [(f"k{i}", n) for i in range(7)]
            some = database.sql("SELECT id, n FROM by_id WHERE id IN ('k1', 'k3', 'k5', 'none')").fetchall()
            assert sorted(some) == [("k1", n), ("k3", n), ("k5", n)]
            asked = [database.sql(f"SELECT n FROM by_id WHERE id = 'k{number}'").fetchall() for number in range(8)]
            assert asked == [[(n,)]] * 7 + [[]]
            assert [(database.table("by_id").get(f"k{number}") or {}).get("N") for number in range(8)] == [n] * 7 + [None]
            assert database.duckdb("SELECT sum(n) FROM by_id").fetchall() == [(7 * n,)]
            token = database.insert("orders", orders(7))
            assert database.sql("SELECT SUM(n) AS n FROM by_id", after=token).fetchall() == [(7 * n + 7,)]
        with urllib.request.urlopen(f"{server.url}/clusterStatus", timeout=20) as answer:
            status = json.loads(answer.read())["clusterStatus"]
        held = [place for host in status.values() for place in host["activeStandbyPerQuery"][query]["activePartitions"]]
        assert len(status) == 2 and sorted(place["partition"] for place in held) == [0, 1]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{server.url}/v1/partitions/{query}?partitions=0", b"", timeout=20)


def test_statements_of_two_processes_at_once_come_one_after_the_other(connect: Connect) -> None:
    """Whichever is second sees the first: the same name is taken once."""
    one, two = connect("one"), connect("two")
    one.execute("CREATE STREAM s (a INTEGER) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
    with pytest.raises(StatementError, match="already"):
        two.execute("CREATE STREAM s (a INTEGER) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
    for number in range(4):
        (one, two)[number % 2].execute(f"CREATE STREAM s{number} AS SELECT a FROM s;")
    until(lambda: set(one.catalog.sources) == set(two.catalog.sources))
    assert len(one.queries) == 4


def test_services_do_not_see_each_other(connect: Connect) -> None:
    """Their topics are one cluster's, their statements are not."""
    connect("one").execute(SCRIPT)
    other = connect("other", service_id="other")
    assert not other.queries
    assert "orders" in other.topic_names()
    other.execute("CREATE STREAM orders (id STRING KEY) WITH (KAFKA_TOPIC = 'orders', VALUE_FORMAT = 'JSON');")


def test_the_order_of_arrival_is_refused(connect: Connect) -> None:
    """With the reason: Kafka has none over partitions."""
    database = connect(None)
    database.execute("CREATE STREAM s (a INTEGER) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
    with pytest.raises(UnsupportedError, match="in which order records of several partitions arrived"):
        database.execute("SET 'processing.order' = 'arrival'; CREATE STREAM t AS SELECT * FROM s;")


def test_properties_of_the_client_are_kept_nowhere(connect: Connect) -> None:
    """Not in the journal, not in SHOW PROPERTIES, not in what the database says of itself."""
    database = connect(settings={"security.protocol": "plaintext", "sasl.password": "secret-word"})
    database.execute(SCRIPT)
    entries = [str(entry) for entry in database._engine.journal.entries()]
    shown = [str(result) for result in database.execute("SHOW PROPERTIES;")]
    assert not any("secret-word" in text for text in [*entries, *shown, repr(database), repr(database._opened.how)])


def test_nobody_answers() -> None:
    """A clear error, soon, that says where."""
    with pytest.raises(StorageError, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        penstock.connect(kafka="127.0.0.1:1", service_id="shop", settings={"socket.timeout.ms": 1000})


def test_a_wrong_password_is_told_at_once() -> None:
    """The client's own time, here five minutes, is not waited for."""
    login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "ada"}
    more = {**login, "sasl.password": "wrong-secret", "socket.timeout.ms": 300_000}
    with penstock.connect() as database, broker(database, users={"ada": ("ada-secret", "admin")}) as listener:
        with pytest.raises(LogRefusedError, match="refuse this client") as failed:
            penstock.connect(kafka=listener.address, service_id="shop", settings=more)
        assert "sasl.password" in str(failed.value) and "wrong-secret" not in str(failed.value)
        with penstock.connect(kafka=listener.address, service_id="shop", settings={**more, "sasl.password": "ada-secret"}):
            pass


def test_a_service_id_has_letters_and_digits() -> None:
    """It is part of topics' names."""
    with pytest.raises(StatementError, match="service id"):
        penstock.connect(kafka="127.0.0.1:1", service_id="a b")
    with pytest.raises(StatementError, match="log in Kafka"):
        penstock.connect(service_id="shop")


def test_several_processes_begin_a_service_at_the_same_moment(kafka_broker: KafkaBroker) -> None:
    """Each makes the topics of the service: one of them does, the others are told that they exist."""
    admins = [AdminClient({"bootstrap.servers": kafka_broker.address}) for _ in range(4)]
    for number in range(20):
        name = f"t{number}"
        futures = [admin.create_topics([NewTopic(name, 1, 1)])[name] for admin in admins]
        codes = [None if (error := future.exception(30)) is None else error.args[0].code() for future in futures]
        assert codes.count(None) == 1 and set(codes) <= {None, confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS}, codes


def test_a_script_that_another_process_submits_at_the_same_time(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it defines may come from there between the look at what was submitted and the check of the statement."""
    one, two = connect("one"), connect("two")
    assert one.submit(SCRIPT, "shop.sql")
    until(lambda: "BY_ID" in two.catalog.sources)
    look, looks = submit.submitted, 0

    def late(log: Any, name: str) -> list[str]:
        nonlocal looks
        looks += 1
        return [] if looks <= 2 else look(log, name)

    monkeypatch.setattr(submit, "submitted", late)
    two.submit(SCRIPT, "shop.sql")
    assert looks == 3
    assert list(one.catalog.sources) == list(two.catalog.sources)
    with pytest.raises(StatementError, match="already"):
        two.submit(SCRIPT, "another.sql")


WITH_ROWS = """
CREATE STREAM marks (a INTEGER) WITH (KAFKA_TOPIC = 'marks', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
INSERT INTO marks (a) VALUES (1);
INSERT INTO marks (a) VALUES (2);
CREATE STREAM copied AS SELECT a FROM marks;
INSERT INTO marks (a) VALUES (3);
INSERT INTO marks (a) VALUES (4);
"""


def test_rows_of_a_script_are_inserted_by_one_of_two_processes(connect: Connect) -> None:
    """Both submit it at the same moment; nothing is inserted twice."""
    one, two = connect("one"), connect("two")
    with ThreadPoolExecutor(2) as both:
        found = [both.submit(database.submit, WITH_ROWS, "marks.sql") for database in (one, two)]
    assert sum(len(future.result().results) for future in found) == 6
    assert [json.loads(record.value)["A"] for record in one.consume("marks", offset=0)] == [1, 2, 3, 4]
    assert two.submit(WITH_ROWS, "marks.sql").results == ()


def test_a_row_that_another_process_has_just_inserted(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noted between the look at what was submitted and the transaction, which therefore does not happen."""
    one, two = connect("one"), connect("two")
    script = "INSERT INTO marks (a) VALUES (1);"
    one.execute("CREATE STREAM marks (a INTEGER) WITH (KAFKA_TOPIC = 'marks', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
    look, looks = submit.submitted, 0

    def late(log: Any, name: str) -> list[str]:
        nonlocal looks
        looks += 1
        found = look(log, name)
        if looks == 2:  # the one before the transaction
            with monkeypatch.context() as patch:
                patch.setattr(submit, "submitted", look)
                one.submit(script, "marks.sql")
        return found

    monkeypatch.setattr(submit, "submitted", late)
    assert two.submit(script, "marks.sql").results == ()
    assert [json.loads(record.value)["A"] for record in one.consume("marks", offset=0)] == [1]
