"""The broker, and the way to it, fail and come back: queries say what they wait for, go on by themselves, and every record
is processed once."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from faulty_cluster import Cluster
from steady import SCRIPT, Sender, check_each_once, errors, states

import penstock
from penstock.errors import StorageError
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("own-kafka")

QUICK = {"session.timeout.ms": 6000, "transaction.timeout.ms": 5000}


def test_no_broker_at_the_start(cluster: Cluster, tmp_path: Path) -> None:
    """An error that says where was looked for one; when it is there, the same call does."""
    cluster.node.stop()
    with pytest.raises(StorageError, match="no Kafka broker answers at"):
        penstock.connect(tmp_path, kafka=cluster.address, service_id="s", settings={"socket.timeout.ms": 1000})
    cluster.node.start()
    with penstock.connect(tmp_path, kafka=cluster.address, service_id="s") as db:
        db.execute(SCRIPT)


@pytest.mark.parametrize("named", [True, False])
def test_the_broker_is_killed_in_the_middle_of_transactions(cluster: Cluster, tmp_path: Path, named: bool) -> None:
    """It is gone for longer than sessions last; with a directory (a static member) and without."""
    where = tmp_path if named else None
    with penstock.connect(where, kafka=cluster.address, service_id="s", auto_offset_reset="earliest", settings=QUICK) as db:
        db.execute(SCRIPT)
        sender = Sender(cluster.address)
        for _ in range(1):
            before = sender.sent
            until(lambda before=before: sender.sent > before + 30)  # type: ignore[misc]
            cluster.node.stop(signal.SIGKILL)
            until(lambda: len(errors(db)) == 2)
            assert all("no Kafka broker answers" in text for text in errors(db)), errors(db)
            assert states(db) == {"RUNNING"}
            cluster.node.start()
            until(lambda: not errors(db) and db.queries["CTAS_COUNTS_4"].lag < 100)
        count = sender.end()
        assert db.wait_idle(60)
    check_each_once(cluster.address, count)


def test_connections_are_cut_and_go_silent(cluster: Cluster, tmp_path: Path) -> None:
    """Cut again and again, half-open for longer than a request may take, slow: nothing is lost, nothing comes twice."""
    chance = random.Random(3)
    with penstock.connect(
        tmp_path, kafka=cluster.address, service_id="s", auto_offset_reset="earliest", settings=QUICK
    ) as db:
        db.execute(SCRIPT)
        sender = Sender(cluster.address)
        for _ in range(15):
            time.sleep(chance.uniform(0.1, 0.6))
            cluster.proxy.cut()
        cluster.proxy.silent = True
        until(lambda: len(errors(db)) == 2)
        cluster.proxy.silent = False
        until(lambda: not errors(db))
        cluster.proxy.delay_s = 0.1
        time.sleep(3)
        cluster.proxy.delay_s = 0.0
        count = sender.end()
        assert db.wait_idle(60)
        assert states(db) == {"RUNNING"}
    check_each_once(cluster.address, count)
