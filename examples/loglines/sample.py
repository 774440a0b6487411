"""Print lines of an access log, the same for the same seed: python examples/loglines/sample.py 1000 > access.log"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta

PATHS = ("/", "/cart", "/search", "/item/1", "/item/2", "/item/3", "/login", "/static/app.js")


def lines(count: int, seed: int = 3) -> list[str]:
    """``count`` lines; about one in a hundred is no request."""
    chance = random.Random(seed)
    now = datetime(2025, 1, 1, 12, tzinfo=UTC)
    found = []
    for _ in range(count):
        now += timedelta(seconds=chance.choice((0, 0, 1)))
        if chance.random() < 0.01:
            found.append("-- worker restarted --")
            continue
        path = chance.choice(PATHS)
        query = f"?q={chance.randrange(99)}" if path == "/search" else ""
        status = chance.choices((200, 304, 404, 500, 503), (80, 8, 6, 4, 2))[0]
        size = "-" if status == 304 else str(chance.randrange(200, 20_000))
        stamp = now.strftime("%d/%b/%Y:%H:%M:%S +0000")
        found.append(
            f'10.0.0.{chance.randrange(30)} - - [{stamp}] "GET {path}{query} HTTP/1.1" {status} {size} "-" "curl/8"'
        )
    return found


if __name__ == "__main__":
    print("\n".join(lines(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)))
