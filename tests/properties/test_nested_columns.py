"""Functions over ARRAY and MAP columns give, for every row, what their meaning for the values of one row gives."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.expressions.values import to_python
from penstock.engine.functions import load_built_ins
from penstock.runtime.kernel import Evaluated, Failures

pytestmark = pytest.mark.filterwarnings("ignore:Encountered key")

Row = list[Any]
Column = tuple[t.SqlType, list[Any]]
"""Values as row functions take them; a MAP is a list of pairs, which may have a key twice."""

WORDS = st.sampled_from(("", "a", "b", "Aa", "BB", "a\u00e9", "\U0001f600", "\uffff", "ab", "b" * 20)) | st.text(max_size=3)
INTS = st.integers(-2, 2) | st.sampled_from((-(2**31), 2**31 - 1))
LONGS = INTS | st.sampled_from((-(2**63), 2**63 - 1, 2**33))
DECIMALS = st.sampled_from(tuple(map(Decimal, ("0.000", "1.000", "-1.500", "999999.999", "0.001"))))
DOUBLES = st.sampled_from((0.0, -0.0, 1.0, -1.0, 1.5, float("inf"), float("-inf"), 1e300, 5e-324)) | st.floats()
DOUBLES |= st.just("nan").map(float)
FLAT: dict[t.SqlType, st.SearchStrategy[Any]] = {
    t.BOOLEAN: st.booleans(),
    t.INTEGER: INTS,
    t.BIGINT: LONGS,
    t.DOUBLE: DOUBLES,
    t.Decimal(9, 3): DECIMALS,
    t.Decimal(50, 3): DECIMALS,
    t.STRING: WORDS,
    t.BYTES: st.binary(max_size=2),
    t.DATE: INTS,
    t.TIME: st.integers(0, 86_399_999),
    t.TIMESTAMP: LONGS,
}
PAIR = t.Struct((("A", t.INTEGER), ("B", t.STRING)))
NESTED: dict[t.SqlType, st.SearchStrategy[Any]] = {
    t.Array(t.INTEGER): st.lists(st.none() | INTS, max_size=2),
    t.Array(t.DOUBLE): st.lists(st.none() | DOUBLES, max_size=2),
    t.Array(t.Array(t.DATE)): st.lists(st.none() | st.lists(st.none() | INTS, max_size=1), max_size=2),
    t.Map(t.STRING, t.BIGINT): st.lists(st.tuples(WORDS, st.none() | LONGS), max_size=2),
    PAIR: st.tuples(st.none() | INTS, st.sampled_from((None, "", "x"))).map(lambda v: {"A": v[0], "B": v[1]}),
}
KEYS = (t.STRING, t.INTEGER, t.BIGINT, t.BOOLEAN, t.DOUBLE, t.DATE, t.TIME, t.TIMESTAMP)


def arrays_of(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.none() | items, max_size=5)


def maps_of(keys: st.SearchStrategy[Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.tuples(keys, st.none() | values), max_size=5)


def columns(count: int, *makers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*makers), min_size=1, max_size=count)


@st.composite
def array_rows(draw: Any, *more: st.SearchStrategy[Any], arrays: int = 1, types: Any = None) -> tuple[t.SqlType, list[Row]]:
    """An item type, and rows of arrays of it and other values."""
    kinds = FLAT | NESTED
    type_ = draw(st.sampled_from(types or tuple(kinds)))
    return type_, draw(columns(5, *[arrays_of(kinds[type_])] * arrays, *more))


def built(values: Sequence[Any], type_: t.SqlType) -> Any:
    """A column inside a longer one; below its nulls there are items."""
    arrow = t.to_arrow(type_)
    filler = {t.Array: [None, None], t.Map: []}.get(type(type_))  # type: ignore[call-overload]
    if isinstance(type_, t.Map):
        filler = next((v for v in values if v), [])
    padded = [values[0], *values, values[-1], None]
    missing = [value is None for value in padded]
    if filler is None:
        return pa.array(padded, arrow).slice(1, len(values))
    array = pa.array([filler if value is None else value for value in padded], arrow)
    kind, parts = (pa.MapArray, (array.keys, array.items)) if isinstance(type_, t.Map) else (pa.ListArray, (array.values,))
    return kind.from_arrays(array.offsets, *parts, type=arrow, mask=pa.array(missing)).slice(1, len(values))


def called(name: str, *arguments: Any) -> tuple[list[Any], list[int]]:
    """The values, and the rows that failed; of maps the pairs, so that their order is seen."""
    function = load_built_ins().find(name)
    assert function is not None
    kinds = [pa.types.is_map(a.type) if isinstance(a, pa.Array) else None for a in arguments]
    overloads = [o for o in function.overloads if len(o.signature.parameters) == len(arguments)]
    made = overloads[bool(kinds[0]) if len(overloads) == 2 else 0].implementation(*arguments)
    evaluated = made if isinstance(made, Evaluated) else Evaluated(made)
    evaluated.values.validate(full=True)
    failed = [] if evaluated.failures is None else evaluated.failures.rows.tolist()
    assert failed == sorted(set(failed))
    assert all(not evaluated.values[row].is_valid for row in failed)
    return plain(evaluated.values), failed


def plain(array: Any) -> list[Any]:
    """The values; maps as lists of pairs."""
    if pa.types.is_map(array.type):
        parts = (array.values.field(0), array.values.field(1))
        pairs = list(zip(*(to_python(part, t.from_arrow(part.type)) for part in parts), strict=True))
        offsets = array.offsets.to_pylist()
        return [pairs[a:b] if ok else None for a, b, ok in zip(offsets, offsets[1:], array.is_valid().to_pylist())]
    return to_python(array, t.from_arrow(array.type))


def by_row(function: Callable[..., Any], rows: Sequence[Row], nulls: bool = False) -> tuple[list[Any], list[int]]:
    values: list[Any] = []
    failed: list[int] = []
    for row, arguments in enumerate(rows):
        value = None
        if nulls or None not in arguments:
            try:
                value = function(*arguments)
            except (ValueError, TypeError):
                failed.append(row)
        values.append(value)
    return values, failed


def same(found: Any, expected: Any) -> None:
    assert repr(found) == repr(expected)


# --- maps ----------------------------------------------------------------------------------


def java_hash(key: Any, type_: t.SqlType) -> int:
    """``hashCode()`` as a 32-bit unsigned number."""
    if isinstance(key, str):
        units = key.encode("utf-16-le")
        result = 0
        for place in range(0, len(units), 2):
            result = result * 31 + int.from_bytes(units[place : place + 2], "little")
        return result & 0xFFFFFFFF
    if isinstance(key, bool):
        return 1231 if key else 1237
    if isinstance(key, float):
        key = struct.unpack("<q", struct.pack("<d", float("nan") if key != key else key))[0]
    elif type_ == t.INTEGER:
        return int(key) & 0xFFFFFFFF
    elif type_ == t.DATE:
        key *= 86_400_000
    return int(key ^ (key >> 32)) & 0xFFFFFFFF


def walked(pairs: list[tuple[Any, Any]], type_: t.SqlType) -> list[tuple[Any, Any]]:
    """A map's entries as Java walks them: through the bins of a HashMap filled one by one, copied into a fitting one."""
    entries = list(dict(pairs).items())
    fitting = 1
    while len(entries) > fitting * 0.75:
        fitting *= 2
    for bins in (max(fitting, 16), fitting):

        def bin_of(entry: tuple[Any, Any], bins: int = bins) -> int:
            hashed = java_hash(entry[0], type_)
            return (hashed ^ hashed >> 16) & (bins - 1)

        entries.sort(key=bin_of)
    return entries


@st.composite
def map_rows(draw: Any, *more: st.SearchStrategy[Any], maps: int = 1) -> tuple[t.SqlType, t.SqlType, list[Row]]:
    """Types of keys and values, and rows of maps and other values."""
    kinds = FLAT | NESTED
    key, value = draw(st.sampled_from(KEYS)), draw(st.sampled_from(tuple(kinds)))
    return key, value, draw(columns(5, *[maps_of(FLAT[key], kinds[value])] * maps, *more))


@given(map_rows())
def test_keys_and_values(given_rows: tuple[t.SqlType, t.SqlType, list[Row]]) -> None:
    """MAP_KEYS and MAP_VALUES, in the order in which Java walks a map."""
    key, value, rows = given_rows
    maps = built([m for (m,) in rows], t.Map(key, value))
    same(called("MAP_KEYS", maps), by_row(lambda m: [k for k, _ in walked(m, key)], rows))
    same(called("MAP_VALUES", maps), by_row(lambda m: [seen(v, value) for _, v in walked(m, key)], rows))


def seen(value: Any, type_: t.SqlType) -> Any:
    """As `to_python` gives it: maps without keys that come again."""
    match type_:
        case t.Map(_, item) if value is not None:
            return {k: seen(v, item) for k, v in dict(value).items()}
        case t.Array(item) if value is not None:
            return [seen(v, item) for v in value]
    return value


@given(st.integers(1, 200))
def test_long_maps(count: int) -> None:
    """The order in bigger maps, which have more bins."""
    pairs = [(f"k{i}", i) for i in range(count)]
    maps = built([pairs, None, pairs[:13], pairs[:1]], t.Map(t.STRING, t.INTEGER))
    same(called("MAP_KEYS", maps)[0], [w and [k for k, _ in walked(w, t.STRING)] for w in maps.to_pylist()])


@given(map_rows(maps=2))
def test_union_of_maps(given_rows: tuple[t.SqlType, t.SqlType, list[Row]]) -> None:
    """MAP_UNION keeps the places of the first map's keys, and the second's values."""
    key, value, rows = given_rows

    def union(left: Any, right: Any) -> Any:
        if left is None and right is None:
            return None
        return [(k, seen(v, value)) for k, v in dict([*(left or ()), *(right or ())]).items()]

    maps = [built([row[i] for row in rows], t.Map(key, value)) for i in (0, 1)]
    same(called("MAP_UNION", *maps), by_row(union, rows, nulls=True))
    literal = [(row[0], rows[0][1]) for row in rows]
    same(called("MAP_UNION", maps[0], maps[1][0]), by_row(union, literal, nulls=True))


@given(st.data(), st.sampled_from((t.INTEGER, t.BIGINT, t.DOUBLE, t.BOOLEAN, t.STRING)))
def test_entries(data: Any, type_: t.SqlType) -> None:
    """ENTRIES, sorted by the code points of keys or as Java walks the map."""
    rows = data.draw(columns(5, maps_of(WORDS, FLAT[type_]), st.none() | st.booleans()))

    def entries(map_: Any, sort: bool) -> Any:
        pairs = sorted(dict(map_).items(), key=lambda e: e[0]) if sort else walked(map_, t.STRING)
        return [{"K": k, "V": v} for k, v in pairs]

    maps, sort = built([m for m, _ in rows], t.Map(t.STRING, type_)), pa.array([s for _, s in rows], pa.bool_())
    same(called("ENTRIES", maps, sort), by_row(entries, rows))
    same(called("ENTRIES", maps, sort[0]), by_row(entries, [(m, rows[0][1]) for m, _ in rows]))


@given(array_rows(arrays_of(WORDS)))
def test_as_map(given_rows: tuple[t.SqlType, list[Row]]) -> None:
    """AS_MAP: a null key fails wherever it stands, and keys without a value have null."""
    type_, rows = given_rows

    def as_map(values: Any, keys: Any) -> Any:
        if None in keys:
            raise ValueError
        return list({k: seen(values[i], type_) if i < len(values) else None for i, k in enumerate(keys)}.items())

    values, keys = built([v for v, _ in rows], t.Array(type_)), built([k for _, k in rows], t.Array(t.STRING))
    same(called("AS_MAP", keys, values), by_row(as_map, rows))
    same(called("AS_MAP", keys, values[0]), by_row(as_map, [(rows[0][0], k) for _, k in rows]))


# --- lambdas -------------------------------------------------------------------------------


def kernel(function: Callable[..., Any], type_: t.SqlType) -> Callable[..., Evaluated]:
    """A lambda of a Python function; ValueError fails an element."""

    def evaluate(parameters: Sequence[Any], rows: Any) -> Evaluated:
        values, failed = by_row(function, list(zip(*map(plain, parameters))), nulls=True)
        assert len(values) == len(rows)
        failures = Failures(pa.array(failed, pa.int64()).to_numpy(), ("bad",) * len(failed)) if failed else None
        return Evaluated(pa.array(values, t.to_arrow(type_)), failures)

    return evaluate


@given(columns(5, maps_of(WORDS, INTS)))
def test_lambdas_over_maps(rows: list[Row]) -> None:
    """Entries come as Java walks the map; nulls, and keys that are made equal, fail the row, as does an element."""
    maps = built([m for (m,) in rows], t.Map(t.STRING, t.INTEGER))

    def condition(_: str, value: int | None) -> bool | None:
        if value == 2:
            raise ValueError
        return None if value is None else value >= 0

    def filtered(pairs: Any) -> Any:
        kept = [(k, v, condition(k, v)) for k, v in walked(pairs, t.STRING)]
        if any(keep is None for _, _, keep in kept):
            raise ValueError
        return [(k, v) for k, v, keep in kept if keep]

    def transformed(pairs: Any) -> Any:
        made = [(None if k == "b" else k[:1], v) for k, v in walked(pairs, t.STRING)]
        if any(None in entry for entry in made) or len(dict(made)) < len(made):
            raise ValueError
        return made

    def reduced(pairs: Any) -> Any:
        return "-" + "".join(f"{k}={v};" for k, v in walked(pairs, t.STRING))

    same(called("FILTER", maps, kernel(condition, t.BOOLEAN)), by_row(filtered, rows))
    key, value = kernel(lambda k, _: None if k == "b" else k[:1], t.STRING), kernel(lambda _, v: v, t.INTEGER)
    transform = load_built_ins().find("TRANSFORM")
    assert transform is not None
    made = transform.overloads[1].implementation(maps, key, value)
    failed = [] if made.failures is None else made.failures.rows.tolist()
    same((plain(made.values), failed), by_row(transformed, rows))
    joined = kernel(lambda s, k, v: f"{s}{k}={v};", t.STRING)
    found, _ = called("REDUCE", maps, pa.scalar("-"), joined)
    same(found, [value or "-" for value in by_row(reduced, rows)[0]])
