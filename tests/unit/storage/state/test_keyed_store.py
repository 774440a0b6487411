"""The columnar store against the dict store: the same answers, whatever the key types and the order of calls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.storage.state import text_column
from penstock.storage.state.index import factorize
from penstock.storage.state.keyed_store import KeyedStore
from penstock.storage.state.store import StateField
from penstock.tests.support.dict_store import DictStore

FIELDS = [
    StateField("total", np.dtype(np.int64), pa.int64(), 7),
    StateField("mean", np.dtype(np.float64), pa.float64(), 0.5),
    StateField("items", np.dtype(object), pa.list_(pa.int64()), None),
]
ROWS = pa.schema([("text", pa.string()), ("map", pa.map_(pa.string(), pa.int64()))])

LONG = "x" * 130
KEYS: dict[Any, list[Any]] = {
    pa.int64(): [None, 0, 1, -1, 2**62, 17],
    pa.int32(): [None, 0, 1, -1, 9],
    pa.string(): [None, "", "a", "b", "abcdefgh", "abcdefghi", "é" * 9, LONG, LONG + "y", LONG + "z"],
    pa.binary(): [None, b"", b"\0", b"\0\0", b"abc"],
    pa.float64(): [None, 0.0, 1.5, float("inf"), float("nan")],
    pa.bool_(): [None, True, False],
    pa.decimal128(9, 2): [None, Decimal("1.25"), Decimal("-1.25"), Decimal("0.00")],
    pa.decimal256(50, 2): [None, Decimal("1.25"), Decimal(10**40)],
    pa.date32(): [None, 0, 1, -3],
    pa.timestamp("ms"): [None, 0, 1],
    pa.time32("ms"): [None, 0, 1],
    pa.list_(pa.int32()): [None, [], [1], [1, None]],
    pa.struct([("a", pa.string()), ("b", pa.int64())]): [None, {"a": "x", "b": None}, {"a": None, "b": 1}],
}


@st.composite
def steps(draw: Any) -> Any:
    """Key types, and steps of: keys, and which of their slots are removed."""
    types = draw(st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=3))
    key = st.tuples(*(st.sampled_from(KEYS[t]) for t in types))
    step = st.tuples(st.lists(key, max_size=20), st.lists(st.booleans(), min_size=20, max_size=20), st.booleans())
    return types, draw(st.lists(step, min_size=1, max_size=8))


def arrays(types: list[Any], keys: list[tuple[Any, ...]]) -> list[Any]:
    return [pa.array([k[i] for k in keys], t) for i, t in enumerate(types)]


def contents(table: pa.Table, keys: int) -> dict[str, tuple[Any, ...]]:
    if "slot" in table.column_names:
        assert len(set(table["slot"].to_pylist())) == table.num_rows
        table = table.drop_columns("slot")
    rows = list(zip(*(c.to_pylist() for c in table.columns)))
    result = {repr(r[:keys]): r[keys:] for r in rows}
    assert len(result) == len(rows)
    return result


@settings(max_examples=120, deadline=None)
@given(steps())
def test_the_columnar_store_equals_the_dict_store(drawn: Any) -> None:
    """Inserts, writes, removals, changes, checkpoints and snapshots agree with a dict."""
    types, todo = drawn
    schema = pa.schema([(f"k{i}", t) for i, t in enumerate(types)])
    store = KeyedStore("s", schema, FIELDS, ROWS)
    replica = KeyedStore("s", schema, FIELDS, ROWS)
    oracle = DictStore("s", schema, FIELDS, ROWS)
    snapshots: list[tuple[Any, dict[str, Any]]] = []
    for number, (keys, removed, by_checkpoint) in enumerate(todo):
        columns = arrays(types, keys)
        snapshots.append((store.snapshot(), oracle.contents()))
        assert (store.slots(columns) < 0).tolist() == (oracle.slots(columns) < 0).tolist()
        slots, is_new = store.insert(columns)
        expected, expected_new = oracle.insert(columns)
        assert is_new.tolist() == expected_new.tolist()
        groups, distinct = store.group(slots)
        expected_groups, expected_distinct = oracle.group(expected)
        assert groups.tolist() == expected_groups.tolist() == factorize(columns)[0].tolist()
        assert factorize(columns)[1].tolist() == [groups.tolist().index(g) for g in range(len(distinct))]
        assert [k.to_pylist() for k in map(repr_array, store.keys_of(slots))] == [
            k.to_pylist() for k in map(repr_array, columns)
        ]
        half = np.arange(len(distinct)) % 2 == 0
        totals = np.arange(len(distinct), dtype=np.int64) + 100 * number
        items = np.empty(len(distinct), object)
        for i in range(len(distinct)):
            items[i] = [i, None]
        rows = [pa.array([f"r{t}" for t in totals], pa.string()), pa.array([[("m", int(t))] for t in totals], ROWS[1].type)]
        mask = pa.array(half)
        for target, places in ((store, distinct), (oracle, expected_distinct)):
            target.write("total", places, totals)
            target.write("items", places[half], items[half])
            target.write_rows(places[~half], [r.filter(pa.array(~half)) for r in rows])
        assert store.read("total", slots).tolist() == oracle.read("total", expected).tolist()
        assert [c.to_pylist() for c in store.read_rows(np.append(slots, -1))] == [
            c.to_pylist() for c in oracle.read_rows(np.append(expected, -1))
        ]
        gone = np.array(removed[: len(distinct)] + [False] * (len(distinct) - 20), np.bool_)
        store.remove(distinct[gone])
        oracle.remove(expected_distinct[gone])
        assert len(mask) == len(distinct)
        assert len(store) == len(oracle)
        changes = store.drain_changes()
        if changes is not None:
            replica.apply_changes(changes)
            replica.apply_changes(changes)
        assert contents(store.checkpoint(), len(types)) == oracle.contents()
        assert contents(replica.checkpoint(), len(types)) == oracle.contents()
        assert replica.drain_changes() is None
        for snapshot, then in snapshots:
            assert contents(snapshot.table(), len(types)) == then
            found = contents(snapshot.lookup([c.take(pa.array(factorize(columns)[1])) for c in columns]), len(types))
            assert found == {k: v for k, v in then.items() if k in {repr(x) for x in zip(*(c.to_pylist() for c in columns))}}
        if by_checkpoint:
            restored = KeyedStore("s", schema, FIELDS, ROWS)
            restored.restore(store.checkpoint())
            store = restored


@settings(max_examples=80, deadline=None)
@given(steps(), st.lists(st.sampled_from(("base", "delta", "old base", "no slots", "")), min_size=8, max_size=8))
def test_a_store_is_restored_from_base_delta_and_changes(drawn: Any, kinds: list[str]) -> None:
    """Whatever checkpoints there are, and whether what is on disk knows slots or is from a version that did not: after
    every step the disk gives the store, which goes on from there now and then."""
    types, todo = drawn
    schema = pa.schema([(f"k{i}", t) for i, t in enumerate(types)])
    store = KeyedStore("s", schema, FIELDS, ROWS)
    base: Any = None
    delta: Any = None
    tail: list[Any] = []
    for number, ((keys, removed, reopens), kind) in enumerate(zip(todo, kinds)):
        slots = store.group(store.insert(arrays(types, keys))[0])[1]
        store.write("total", slots, np.arange(len(slots)) + 100 * number)
        text = pa.array([f"{number} {i}" for i in range(len(slots))])
        store.write_rows(slots, [text, pa.nulls(len(slots), ROWS[1].type)])
        gone = slots[np.array(removed[: len(slots)], np.bool_)]
        store.remove(gone[::2])
        store.insert(store.keys_of(gone[1::2]))
        store.remove(gone[1::2])
        if number % 2:
            store.insert(arrays(types, keys[:3]))  # into slots just freed
        changes = store.drain_changes()
        if changes is not None:
            if kind == "no slots":
                changes = changes.set_column(changes.num_columns - 1, "slot", pa.nulls(len(changes), pa.uint32()))
            tail.append(changes)
        taken = None
        if kind == "base" or (kind == "delta" and store.delta_rows is None):
            taken, delta, tail = store.capture(), None, []
        elif kind == "old base":
            base, delta, tail = store.snapshot().table(), None, []
        elif kind == "delta":
            assert store.delta_rows is not None
            taken, tail = store.capture_delta(), []
        whole = contents(store.checkpoint(), len(types))
        if taken is not None:
            places = store.slots(arrays(types, keys))
            before = store.read("total", places[places >= 0])
            store.write("total", places[places >= 0], before + 1)  # a capture does not see what comes after it
            made = taken()
            store.write("total", places[places >= 0], before)
            store.discard_changes()
            if made.schema.names == store.change_schema.names:
                delta = made
            else:
                base = made
        restored = KeyedStore("s", schema, FIELDS, ROWS)
        deltas = [] if delta is None else delta.combine_chunks().to_batches()
        restored.restore(base, [*deltas, *tail])
        assert contents(restored.checkpoint(), len(types)) == whole, (number, kind)
        assert restored.drain_changes() is None
        merged = pa.Table.from_batches(tail, store.change_schema).combine_chunks().to_batches()
        again = KeyedStore("s", schema, FIELDS, ROWS)
        again.restore(base, [*deltas, *merged])  # the changes of several steps as one batch
        assert contents(again.checkpoint(), len(types)) == whole
        columns = arrays(types, keys)
        assert (restored.slots(columns) < 0).tolist() == (store.slots(columns) < 0).tolist()
        if kind in ("old base", "no slots") or reopens:
            store = restored


def repr_array(array: Any) -> Any:
    """NaN is not equal to itself, its text is."""
    return pa.array([repr(v) for v in array.to_pylist()])


def test_growth_keeps_every_key() -> None:
    """The table and the columns grow many times over, with repeats in each batch."""
    store = KeyedStore("s", pa.schema([("k", pa.int64())]), FIELDS[:1])
    random = np.random.default_rng(1)
    seen: dict[int, int] = {}
    for _ in range(20):
        keys = random.integers(0, 60_000, 7_000)
        slots, is_new = store.insert([pa.array(keys)])
        assert int(is_new.sum()) == len(set(keys.tolist()) - seen.keys())
        for key, slot in zip(keys.tolist(), slots.tolist()):
            assert seen.setdefault(key, slot) == slot
    assert len(store) == len(seen) == len(set(seen.values()))
    assert store.keys_of(np.array(list(seen.values())))[0].to_pylist() == list(seen)


def test_slots_of_removed_keys_are_reused() -> None:
    """A store whose keys come and go does not grow."""
    store = KeyedStore("s", pa.schema([("k", pa.string())]), FIELDS[:1], ROWS)
    for step in range(300):
        slots, _ = store.insert([pa.array([f"key {step} {i}" for i in range(40)])])
        store.write_rows(slots, [pa.array(["v" * 100] * 40), pa.nulls(40, ROWS[1].type)])
        assert int(slots.max()) < 40
        store.remove(slots)
    assert len(store) == 0
    assert store.size_bytes < 500_000


def test_expiry_by_a_key_column_and_by_a_field() -> None:
    """Exactly the slots below the bound are found, once, also when values were overwritten meanwhile."""
    field = StateField("at", np.dtype(np.int64), pa.int64(), 0)
    by_key = KeyedStore("s", pa.schema([("k", pa.string()), ("start", pa.int64())]), [], None, "start")
    by_field = KeyedStore("s", pa.schema([("k", pa.int64())]), [field], None, "at")
    random = np.random.default_rng(2)
    times: dict[int, int] = {}
    for step in range(30):
        starts = random.integers(step * 10, step * 10 + 50, 20)
        by_key.insert([pa.array([f"{s % 3}" for s in starts]), pa.array(starts)])
        keys = np.unique(random.integers(0, 100, 20))
        slots, _ = by_field.insert([pa.array(keys)])
        values = random.integers(step * 10, step * 10 + 50, len(keys))
        by_field.write("at", slots, values)
        times |= dict(zip(keys.tolist(), values.tolist()))
        due = by_key.expired(step * 10)
        assert np.asarray(by_key.keys_of(due)[1]).max(initial=0) < max(1, step * 10)
        by_key.remove(due)
        assert np.asarray(by_key.checkpoint().column(1)).min() >= step * 10
        due = by_field.expired(step * 10)
        expected = {k for k, t in times.items() if t < step * 10}
        assert set(by_field.keys_of(due)[0].to_pylist()) == expected
        by_field.remove(due)
        for key in expected:
            del times[key]
    with pytest.raises(InternalError):
        KeyedStore("s", pa.schema([("k", pa.int64())])).expired(1)
    with pytest.raises(InternalError):
        KeyedStore("s", pa.schema([("k", pa.int64())]), expiry="nowhere")


def test_sliced_and_chunked_keys() -> None:
    """Arrow arrays with an offset, and chunked ones, are read as what they show."""
    store = KeyedStore("s", pa.schema([("a", pa.string()), ("b", pa.bool_()), ("c", pa.decimal128(5, 1))]))
    whole = [
        pa.array(["x", None, "longer than a word", "y"]),
        pa.array([True, None, False, True]),
        pa.array([Decimal("1.0"), None, Decimal("2.0"), Decimal("3.0")], pa.decimal128(5, 1)),
    ]
    slots, _ = store.insert(whole)
    assert store.slots([c.slice(1, 3) for c in whole]).tolist() == slots[1:].tolist()
    assert store.slots([pa.chunked_array([c.slice(2), c.slice(0, 2)]) for c in whole]).tolist() == [2, 3, 0, 1]
    assert [c.to_pylist() for c in store.keys_of(slots)] == [c.to_pylist() for c in whole]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True), max_size=3),
            st.lists(st.integers(0, 11), max_size=3, unique=True),
            st.sampled_from(("now", "later", "in pieces", "never")),
        ),
        max_size=8,
    )
)
def test_texts_may_lie_in_the_changelog(
    monkeypatch: pytest.MonkeyPatch, todo: list[tuple[list[list[int]], list[int], str]]
) -> None:
    """Changes hold what was written last, also when a step writes the same slots several times; with what they hold lying
    somewhere else (at once, a step later, or not at all) the store and its snapshots are the same."""
    monkeypatch.setattr(text_column, "_WHOLE_BYTES_MIN", 1)
    schema = pa.schema([("k", pa.int64())])
    store = KeyedStore("s", schema, [StateField("text", np.dtype(object), pa.string(), None, True)])
    replica = KeyedStore("s", schema, store.fields)
    model: dict[int, str | None] = {}
    waiting: list[Any] = []
    snapshots: list[tuple[Any, dict[int, str | None]]] = []

    def held(table: Any) -> dict[int, Any]:
        return dict(zip(table.column("k").to_pylist(), table.column("text").to_pylist(), strict=True))

    for number, (writes, removed, lent) in enumerate(todo):
        for nth, keys in enumerate(writes):
            slots, _ = store.insert([pa.array(keys, pa.int64())])
            texts = [None if (key + number) % 5 == 0 else f"{number} {nth} {key}" for key in keys]
            store.write("text", slots, pa.array(texts, pa.string()))
            model.update(zip(keys, texts, strict=True))
        gone = [key for key in removed if key in model]
        store.remove(store.slots([pa.array(gone, pa.int64())]))
        for key in gone:
            del model[key]
        changes = store.drain_changes()
        for drained, rows in waiting:
            store.lend(drained, rows)
        waiting.clear()
        if changes is not None:
            replica.apply_changes(changes)
            columns = [pa.concat_arrays([c, c]).slice(len(c)) for c in changes]
            copied = [pa.RecordBatch.from_arrays(columns, schema=changes.schema)]
            if lent == "now":
                store.lend(changes, copied)
            elif lent == "later":
                waiting.append((changes, copied))
            elif lent == "in pieces":
                store.lend(changes, [copied[0].slice(0, 1), copied[0].slice(1)])
        assert held(store.checkpoint()) == held(replica.checkpoint()) == model
        snapshots.append((store.snapshot(), dict(model)))
    for snapshot, then in snapshots:
        assert held(snapshot.table()) == then
