"""The table of docs/reference/kafka.md says which requests are spoken, in which versions: those and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("kio")

from penstock.listener.broker import HANDLERS
from penstock.listener.kafka_listener import MODULES
from penstock.listener.protocol import VERSIONS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "kafka.md"


def documented() -> dict[str, tuple[int | None, int]]:
    """The lowest version, if the page says it, and the highest of each API."""
    found: dict[str, tuple[int | None, int]] = {}
    text = PAGE.read_text(encoding="utf-8")
    for names, versions in re.findall(r"^\| ([A-Z][\w, ]+) \| ([\dto, ]+) \|", text, re.MULTILINE):
        apis = [re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in names.split(", ")]
        ranges = [re.fullmatch(r"(?:(\d+) )?(?:to )?(\d+)", part.strip()) for part in versions.split(",")]
        if len(ranges) == 1:
            ranges *= len(apis)
        for api, given in zip(apis, ranges, strict=True):
            assert given is not None, versions
            alone = given[0].isdigit() and not versions.startswith("to ")  # which holds for all behind it
            found[api] = (int(given[2]) if alone else given[1] and int(given[1]), int(given[2]))
    return found


def test_versions_are_those_of_the_code() -> None:
    said = documented()
    assert said.keys() ^ VERSIONS.keys() == set(), "in the table of docs/reference/kafka.md or in VERSIONS, not in both"
    for api, (least, most) in said.items():
        assert VERSIONS[api][1] == most, api
        assert least is None or VERSIONS[api][0] == least, api


def test_what_is_spoken_is_handled() -> None:
    assert MODULES and HANDLERS.keys() ^ VERSIONS.keys() == set(), "handled or in VERSIONS, not both"
