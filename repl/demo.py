"""``penstock demo``: a stream of payments, a windowed table over it whose rows change live, and then the prompt."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ..errors import PenstockError

__all__ = ["STATEMENTS", "run_demo"]

STATEMENTS = """\
CREATE STREAM payments (card STRING KEY, city STRING, euros DOUBLE);

CREATE TABLE spending AS
  SELECT city, COUNT(*) AS payments, ROUND(SUM(euros), 2) AS euros,
         MAX(euros) AS largest
  FROM payments WINDOW TUMBLING (SIZE 5 SECONDS, RETENTION 1 HOUR)
  GROUP BY city;
"""
WATCHED = "SELECT WINDOWSTART, city, payments, euros, largest FROM spending EMIT CHANGES;"
ASKED = (
    "SELECT city, SUM(payments) AS payments, ROUND(SUM(euros), 2) AS euros FROM spending GROUP BY city ORDER BY euros DESC;"
)
CITIES = {"Lisbon": 5, "Oslo": 3, "Porto": 2, "Turku": 1, "Zürich": 4, "京都": 6}
"""The cities of payments, with their relative frequencies."""
_PAUSE_S = 0.1
_SECONDS_OF_A_PIPE = 8.0
"""How long the demo runs without a terminal, where nobody can press Ctrl-C."""


class PaymentFeed:
    """Inserts payments until it is stopped, on a thread of its own.

    Args:
        rate: rows per second.
    """

    def __init__(self, database: Any, rate: float) -> None:
        self._database = database
        self._rate = rate
        self._stop = threading.Event()
        self._dice = random.Random(2013)
        self._thread = threading.Thread(target=self._run, name="penstock-demo", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        owed, last_s = 0.0, time.monotonic()
        while not self._stop.wait(_PAUSE_S):
            now_s = time.monotonic()
            owed += self._rate * (now_s - last_s)
            last_s = now_s
            rows, owed = [self._payment() for _ in range(int(owed))], owed % 1
            try:
                if rows:
                    self._database.insert("payments", rows)
            except PenstockError:  # the person has dropped the stream, or closed the database
                return

    def _payment(self) -> dict[str, Any]:
        dice = self._dice
        city = dice.choices(list(CITIES), list(CITIES.values()))[0]
        return {
            "card": f"{dice.randrange(10_000):04}",
            "city": city,
            "euros": round(dice.lognormvariate(2.5, 1.0), 2),
        }


def run_demo(
    rate: float,
    seconds: float | None,
    tell: Callable[[str], None],
    interact: Callable[[Any], int],
) -> int:
    """Show the demo.

    Args:
        rate: rows per second.
        seconds: how long.  None: on a terminal until the person ends it, and then the prompt follows.
        interact: runs the prompt over an open database, and returns the exit code.

    Returns:
        the exit code.
    """
    from .. import connect
    from .jobs import Job
    from .live import watch
    from .render import result

    terminal = sys.stdout.isatty()
    with connect() as database:
        tell(f"{STATEMENTS}\n{WATCHED}")
        database.execute(STATEMENTS)
        feed = PaymentFeed(database, rate)
        feed.start()
        try:
            (pushed,) = database.execute(WATCHED)
            job = Job(1, pushed, WATCHED)
            limit = seconds if seconds is not None or terminal else _SECONDS_OF_A_PIPE
            timer = None if limit is None else threading.Timer(limit, job.subscription.end)
            if timer is not None:
                timer.daemon = True
                timer.start()
            if terminal:
                watch(job, sys.stdout)
            else:
                _lines(job, tell)
            if timer is not None:
                timer.cancel()
            job.close()
            tell(f"\n{ASKED}\n{result(database.sql(ASKED))}")
            if not terminal or seconds is not None:
                return 0
            tell("\nThe payments go on. Ask what you like, SHOW STREAMS; and \\help say what there is, Ctrl-D leaves.")
            return interact(database)
        finally:
            feed.close()


def _lines(job: Any, tell: Callable[[str], None]) -> None:
    from .render import push_line

    try:
        for row in job.subscription:
            tell(push_line(job.rows.columns, job.rows.readable(row.values), row.tombstone, row.missed))
    except KeyboardInterrupt:
        pass
