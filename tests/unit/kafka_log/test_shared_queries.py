"""What a query commits, keeps and deletes where processes share its partitions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.runtime.dataflow import Dataflow, Source
from penstock.runtime.metrics import RowCounts
from penstock.runtime.query.assembly import Assembly
from penstock.runtime.query.commit import StepCommitter
from penstock.runtime.query.inputs import Inputs
from penstock.runtime.query.ledger import SharedLedger
from penstock.runtime.query.repartitioning import Purging
from penstock.runtime.query.sharing import Sharing
from penstock.runtime.query.standbys import Standbys
from penstock.runtime.query.step_data import Input, InputSlice
from penstock.storage.state.interval_store import IntervalStore


def _source(name: str, topic: str, **more: Any) -> Source:
    return Source(name, topic, False, None, pa.schema([]), None, pa.schema([]), **more)


class Positions:
    """A transaction that notes what is committed."""

    def __init__(self) -> None:
        self.committed: dict[str, Any] = {}

    def set_positions(self, group: str, positions: Any) -> None:
        self.committed[group] = dict(positions)


@pytest.mark.parametrize("moved", ["A", "B"])
def test_a_step_of_either_source_of_a_topic_is_in_the_name_of_the_member(moved: str) -> None:
    """The group of the second source has no members: if its position moved alone, a process that has lost the partition
    could commit it, and the other one would do the same records again."""
    log: Any = mock.Mock()
    ledger = SharedLedger.of(log, "q", [("A", "t"), ("B", "t")])
    a, b = Input(0, _source("A", "t"), 1, 5, 5), Input(1, _source("B", "t"), 1, 7, 7)
    further = Input(0, _source("A", "t"), 0, 3, 3)
    step = a if moved == "A" else b
    committer: Any = SimpleNamespace(_ledger=ledger, _inputs=[a, b, further])
    transaction: Any = Positions()
    item = InputSlice(step, None, 0, 0, np.zeros(0, np.int64), 20)
    StepCommitter._note(committer, transaction, [item], RowCounts())
    expected = {"A": {"q": {("t", 1): 20}, "q/B": {("t", 1): 7}}, "B": {"q": {("t", 1): 5}, "q/B": {("t", 1): 20}}}
    assert transaction.committed == expected[moved]


def test_where_an_input_starts_is_committed_though_others_have_positions() -> None:
    """A partition that its first process never committed anything of: if who took it over fell too, the next one would start
    at a later end, and pass over what came between."""
    known, new = _source("A", "t"), _source("B", "u", from_beginning=False)
    entries = [Input(0, known, 0, 0), Input(1, new, 0, 0)]
    inputs: Any = SimpleNamespace(
        sources={"A", "B"}, _entries=entries, _log=SimpleNamespace(end_offset=lambda *_: 9, start_offset=lambda *_: 0)
    )
    ledger: Any = SimpleNamespace(positions=lambda source: {("t", 0): 4}, account=RowCounts, kept=True)
    assert Inputs.seek(inputs, ledger) == (True, True)
    assert [(entry.offset, entry.committed, entry.kept) for entry in entries] == [(4, 4, 4), (9, 9, 9)]
    assembly: Any = mock.Mock(ledger=ledger, keeps_state=True)
    assembly.inputs.seek = lambda ledger: Inputs.seek(inputs, ledger)
    Assembly.recover(assembly)
    assert assembly.keeper.recover.called and assembly.committer.commit_start.called


def test_what_lies_behind_the_kept_position_is_not_deleted() -> None:
    """Marks of commits behind it were passed over, and that is not committed: who takes over begins at the position."""
    log: Any = mock.Mock()
    purging = Purging(log, None)
    purging._last_s = float("-inf")
    source = _source("M", "moved", moved_by=0)
    purging.committed([Input(0, source, 1, 12, 12, 9), Input(0, source, 2, 4, 4, 4)], dict)
    assert log.delete_before.call_args_list == [mock.call("moved", 1, 9), mock.call("moved", 2, 4)]


def test_a_query_does_not_begin_without_its_topics() -> None:
    """The brokers may not show a topic for a moment.  A query that took it for absent would lose state."""
    log: Any = SimpleNamespace(config=lambda topic: None, topics=dict)
    with pytest.raises(StorageError, match="moved"):
        Sharing(log, "q", Dataflow((_source("M", "moved"),), 2))


def _standbys() -> Standbys:
    services: Any = mock.Mock()
    services.log.end_offsets = lambda places: (0, dict.fromkeys(places, 10))
    return Standbys("q", Dataflow((), 2), services, mock.Mock(moved=False), 2)


def test_a_copy_that_was_taken_is_begun_again_where_it_is_wanted() -> None:
    standbys = _standbys()
    places = frozenset({("t", 1)})
    copies: Any = {("s", 1): SimpleNamespace(name="s", partition=1, store=mock.Mock())}
    with (
        mock.patch.object(Standbys, "_stores_on", lambda self, _: copies),
        mock.patch.object(standbys, "_keeper"),
    ):
        standbys._choose(places)
        assert standbys.take("s", 1) is not None
        standbys._choose(places)
    assert standbys._stores == copies


def test_a_copy_does_not_gather_what_has_expired() -> None:
    standbys = _standbys()
    durable: Any = mock.Mock(end=3, store=mock.Mock(spec=IntervalStore))
    with mock.patch.object(standbys, "_keeper", mock.Mock(changes_after=lambda *_: [])):
        standbys._catch_up(durable)
    assert durable.expiring.over.called


def test_records_that_are_known_to_be_there_are_looked_for_again() -> None:
    """A broker that leads a partition since a moment may not know yet what is committed: a step finds nothing, and nothing
    new will come to wake the query."""
    log: Any = mock.Mock()
    log.capabilities.dense_offsets = log.capabilities.stable_records = False
    log.config.return_value = SimpleNamespace(partitions=1)
    log.end_offsets.return_value = (1, {("t", 0): 20})
    decoded: Any = mock.Mock()
    reads = [7, 12, 12]

    def nothing(*_: Any) -> tuple[Any, int]:
        return mock.MagicMock(**{"__len__.return_value": 0, "records.next_offset": reads.pop(0)}), 0

    decoded.fetch.side_effect = nothing
    inputs = Inputs(Dataflow((_source("A", "t"),), 1), log, decoded, 100)
    assert inputs.patience_s is None
    assert inputs.take(100, patient=False) == []
    assert [entry.offset for entry in inputs] == [12], "marks of commits are passed over at once"
    assert inputs.patience_s is not None
    log.end_offsets.return_value = (2, {("t", 0): 12})
    assert inputs.take(100, patient=False) == []
    assert inputs.patience_s is None
