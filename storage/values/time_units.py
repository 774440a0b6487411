"""The units of time that have a fixed length."""

from __future__ import annotations

from typing import Final

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
SECOND_MS: Final = 1_000

UNIT_MS: Final = {"DAY": DAY_MS, "HOUR": HOUR_MS, "MINUTE": MINUTE_MS, "SECOND": SECOND_MS, "MILLISECOND": 1}
"""The length of each unit that SQL can name, in ms.  Months and years are missing: they have no fixed length."""
