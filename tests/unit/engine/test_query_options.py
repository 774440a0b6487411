"""Options: each property is declared once, and its text is parsed once."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from penstock.engine.query_options import PROPERTIES, DatabaseOptions, QueryOptions
from penstock.engine.settings import Settings

ROOT = Path(__file__).parents[3]


def test_every_property_in_effect_is_an_option() -> None:
    """And its default is the default of both."""
    named = {f.metadata["property"].name: f for kind in (QueryOptions, DatabaseOptions) for f in fields(kind)}
    assert set(named) == {name for name, p in PROPERTIES.items() if p.in_effect}
    assert QueryOptions.of({n: p.default for n, p in PROPERTIES.items()}) == QueryOptions() == Settings().options
    assert DatabaseOptions.of({n: p.default for n, p in PROPERTIES.items()}) == DatabaseOptions() == Settings().database


def test_texts_become_values() -> None:
    """In any case of letters, as SET takes them."""
    settings = Settings(
        {
            "ksql.lambdas.enabled": "FALSE",
            "cache.max.bytes.buffering": " 0 ",
            "ksql.persistence.wrap.single.values": "False",
            "penstock.durability": "Relaxed",
            "ksql.streams.auto.offset.reset": "EARLIEST",
            "penstock.threads": 0,
        }
    )
    options = settings.options
    assert options.lambdas is False and options.every_update and options.wrap_single_values is False
    assert not options.durable and options.auto_offset_reset == "earliest" and settings.database.threads == 0


def test_options_stay_what_they_were() -> None:
    """A later SET makes new ones; what was taken in hand does not change."""
    settings = Settings().for_session()
    before = settings.options
    settings.set("auto.offset.reset", "earliest")
    assert before.auto_offset_reset == "latest" and settings.options.auto_offset_reset == "earliest"
    settings.unset("auto.offset.reset")
    assert settings.options == before


def test_nothing_else_reads_properties_by_name() -> None:
    """Their names stand in code only where they are declared, refused, set or named in a message (`scope` is ASGI's)."""
    allowed = {"query_options.py", "settings.py"}
    lookup = re.compile(r"""(?:(?<!scope)\[|\.get\()f?["'](?:ksql|penstock|auto|cache|processing|max)\.""")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for room in ("engine", "runtime", "storage", "listener", "server", "repl")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.name not in allowed and "node_modules" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if lookup.search(line)
    ]
    assert found == []
