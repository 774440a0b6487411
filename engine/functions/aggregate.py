"""The aggregate functions by name.  Their implementations are in the ``aggregate_*`` modules of this folder.

Over a table, only aggregates that can undo a row are allowed (``can_undo``); section 7 of the reference lists them.
``nested_state`` means that ksqlDB keeps the function's state in a nested type, so it refuses the function for formats
without nested types (DELIMITED, KAFKA).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import StatementError
from ...runtime.kernel import Aggregator
from .. import types as t
from ..query_options import QueryOptions
from .aggregate_deviation import Correlation, Deviation
from .aggregate_distinct import CountDistinct
from .aggregate_numeric import (
    Average,
    AverageDouble,
    Count,
    Extreme,
    Sum,
    SumDecimal,
    SumDouble,
    SumList,
    SumListDouble,
)
from .aggregate_objects import Attr, CollectList, CollectSet, Histogram, SomeByOffset
from .aggregate_offsets import OneByOffset
from .aggregate_topk import TopK
from .registry import aggregate

Types = Sequence[t.SqlType]
Literals = Sequence[Any]

_ORDERED = ("INT", "BIGINT", "DOUBLE", "DECIMAL", "STRING", "DATE", "TIME", "TIMESTAMP", "BYTES")
"""The types that MIN, MAX and TOPK can compare."""


def configured(name: str, aggregator: Aggregator, options: QueryOptions, *, merges: bool) -> Aggregator:
    """Apply options to an aggregator: the limit of COLLECT_LIST and COLLECT_SET, and ksqlDB's deviations.

    Args:
        merges: whether the states of several groups may be merged, as in session windows.
    """
    if isinstance(aggregator, OneByOffset) and not merges:
        return aggregator.unmerged()
    if isinstance(aggregator, Deviation) and options.deviation == "running":
        return aggregator.running()
    if isinstance(aggregator, CollectList | CollectSet):
        return aggregator.limited(
            options.collect_list_limit if name.upper() == "COLLECT_LIST" else options.collect_set_limit
        )
    return aggregator


def _result(word: str) -> str:
    return "*" if word == "DECIMAL" else word


@aggregate(
    "COUNT", "How many rows there are, or for how many the argument is not NULL.", "() -> BIGINT", "(value ANY) -> BIGINT"
)
def count(types: Types, literals: Literals) -> Aggregator:
    return Count()


@aggregate(
    "SUM",
    "The sum of the values that are not NULL.",
    "(value INT) -> INT",
    "(value BIGINT) -> BIGINT",
    "(value DOUBLE) -> DOUBLE",
    "(value DECIMAL) -> *",
)
def sum_(types: Types, literals: Literals) -> Aggregator:
    if isinstance(types[0], t.Decimal):
        return SumDecimal(types[0])
    return SumDouble() if types[0] == t.DOUBLE else Sum(types[0])


@aggregate(
    "SUM_LIST",
    "The sum of the items of arrays.",
    "(items ARRAY<INT>) -> INT",
    "(items ARRAY<BIGINT>) -> BIGINT",
    "(items ARRAY<DOUBLE>) -> DOUBLE",
)
def sum_list(types: Types, literals: Literals) -> Aggregator:
    assert isinstance(types[0], t.Array)
    return SumListDouble() if types[0].item == t.DOUBLE else SumList(types[0].item)


@aggregate(
    "AVG",
    "The mean of the values that are not NULL, 0.0 if there are none.",
    "(value INT) -> DOUBLE",
    "(value BIGINT) -> DOUBLE",
    "(value DOUBLE) -> DOUBLE",
)
def avg(types: Types, literals: Literals) -> Aggregator:
    return AverageDouble() if types[0] == t.DOUBLE else Average()


@aggregate("MIN", "The smallest value that is not NULL.", *(f"(value {w}) -> {_result(w)}" for w in _ORDERED))
def min_(types: Types, literals: Literals) -> Aggregator:
    return Extreme(types[0], largest=False)


@aggregate("MAX", "The largest value that is not NULL.", *(f"(value {w}) -> {_result(w)}" for w in _ORDERED))
def max_(types: Types, literals: Literals) -> Aggregator:
    return Extreme(types[0], largest=True)


@aggregate("COLLECT_LIST", "All values, NULL included, in order.", "(value T) -> ARRAY<T>")
def collect_list(types: Types, literals: Literals) -> Aggregator:
    return CollectList(types[0])


@aggregate(
    "COLLECT_SET", "The different values, NULL included, in the order in which they first occur.", "(value T) -> ARRAY<T>"
)
def collect_set(types: Types, literals: Literals) -> Aggregator:
    return CollectSet(types[0])


@aggregate("COUNT_DISTINCT", "How many different values there are, estimated if there are many.", "(value ANY) -> BIGINT")
def count_distinct(types: Types, literals: Literals) -> Aggregator:
    return CountDistinct()


def _by_offset(types: Types, literals: Literals, *, latest: bool) -> Aggregator:
    """Make the aggregator.  Its optional second and third argument are the number of values, and whether NULLs are
    skipped.
    """
    n: int | None = None
    ignore_nulls = True
    for type_, literal in zip(types[1:], literals[1:]):
        if type_ == t.BOOLEAN:
            ignore_nulls = bool(literal)
        else:
            n = _positive(literal, "the number of values")
    if n is None:
        return OneByOffset(types[0], latest=latest, ignore_nulls=ignore_nulls)
    return SomeByOffset(types[0], n, latest=latest, ignore_nulls=ignore_nulls)


_OFFSET_SIGNATURES = (
    "(value T) -> T",
    "(value T, ignoreNulls BOOLEAN) -> T",
    "(value T, n INT) -> ARRAY<T>",
    "(value T, n INT, ignoreNulls BOOLEAN) -> ARRAY<T>",
)


@aggregate(
    "EARLIEST_BY_OFFSET",
    "The first value (or the first n) in processing order.",
    *_OFFSET_SIGNATURES,
    literals=("n", "ignoreNulls"),
)
def earliest_by_offset(types: Types, literals: Literals) -> Aggregator:
    return _by_offset(types, literals, latest=False)


@aggregate(
    "LATEST_BY_OFFSET",
    "The last value (or the last n) in processing order.",
    *_OFFSET_SIGNATURES,
    literals=("n", "ignoreNulls"),
)
def latest_by_offset(types: Types, literals: Literals) -> Aggregator:
    return _by_offset(types, literals, latest=True)


def _positive(literal: Any, what: str) -> int:
    if not isinstance(literal, int) or isinstance(literal, bool) or literal < 1:
        raise StatementError(f"{what} must be a whole number above 0, not {literal}")
    return literal


@aggregate(
    "TOPK",
    "The k largest values, largest first; with further columns, those rows as structs.",
    *(f"(value {w}, k INT) -> {'*' if w == 'DECIMAL' else f'ARRAY<{w}>'}" for w in _ORDERED),
    *(f"(value {w}, first ANY, others ANY..., k INT) -> *" for w in _ORDERED),
    literals=("k",),
)
def topk(types: Types, literals: Literals) -> Aggregator:
    return TopK(types[0], _positive(literals[-1], "k"), types[1:-1])


@aggregate(
    "TOPKDISTINCT",
    "The k largest different values, largest first.",
    *(f"(value {w}, k INT) -> {'*' if w == 'DECIMAL' else f'ARRAY<{w}>'}" for w in _ORDERED),
    literals=("k",),
)
def topkdistinct(types: Types, literals: Literals) -> Aggregator:
    return TopK(types[0], _positive(literals[-1], "k"), distinct=True)


@aggregate("HISTOGRAM", "How often each text occurred, for up to 1000 texts.", "(value STRING) -> MAP<STRING, BIGINT>")
def histogram(types: Types, literals: Literals) -> Aggregator:
    return Histogram()


@aggregate(
    "CORRELATION",
    "Pearson's correlation of two columns, NaN where it is not defined.",
    "(x INT, y INT) -> DOUBLE",
    "(x BIGINT, y BIGINT) -> DOUBLE",
    "(x DOUBLE, y DOUBLE) -> DOUBLE",
)
def correlation(types: Types, literals: Literals) -> Aggregator:
    return Correlation()


_NUMBERS = ("(value INT) -> DOUBLE", "(value BIGINT) -> DOUBLE", "(value DOUBLE) -> DOUBLE")


@aggregate("STDDEV_SAMP", "The sample variance (sic: ksqlDB's name), 0.0 for fewer than two values.", *_NUMBERS)
def stddev_samp(types: Types, literals: Literals) -> Aggregator:
    return Deviation(types[0], root=False)


@aggregate("STDDEV_SAMPLE", "The sample standard deviation, 0.0 for fewer than two values.", *_NUMBERS)
def stddev_sample(types: Types, literals: Literals) -> Aggregator:
    return Deviation(types[0], root=True)


@aggregate("ATTR", "The value that all rows have, NULL if they differ.", "(value T) -> T")
def attr(types: Types, literals: Literals) -> Aggregator:
    return Attr(types[0])
