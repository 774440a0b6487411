"""Random queries over a catalogue of sources, each with DuckDB's SQL for what its finished result must hold.

Sources: streams S and R (in disorder), X and Y (rising in time), tables T and U, all of (k INT key, the columns of
`differential_expressions`, n DOUBLE).  In DuckDB every source is a relation of the same name with ``rowtime`` (ms) and
``pos`` (order of insertion); of the tables it holds the last row of each key that was not deleted, since that is what a
table is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from penstock.tests.properties.differential_expressions import COLUMNS, Expression, Expressions

FLUSH_MS = 10_000_000
"""Timestamps from here on are of rows that only close windows: their keys are not looked at."""


@dataclass(frozen=True)
class Query:
    """What to run, and what must come out.

    Attributes:
        seed: what it is a function of.
        statements: in the dialect; the last one makes ``result``.
        duck: DuckDB's SQL, giving the same columns in the same order.
    """

    seed: int
    kind: str
    statements: tuple[str, ...]
    result: str
    duck: str

    def __str__(self) -> str:
        statements = "\n".join(self.statements)
        return f"seed {self.seed}, {self.kind}\n{statements}\nDuckDB: {self.duck}"


def query(seed: int) -> Query:
    """The query of a seed."""
    random = Random(seed)
    kind = random.choice(tuple(KINDS))
    return KINDS[kind](random, seed)


def _items(expressions: Expressions, count: int, depth: int = 2, key: str = "") -> tuple[list[str], list[str]]:
    """SELECT items: dialect and DuckDB.

    Args:
        key: the column that a join is made on; a second copy of it would be refused, and is marked by AS_VALUE.
    """
    ours: list[str] = []
    theirs: list[str] = []
    for number in range(count):
        if expressions.random.random() < 0.1:
            name = expressions.named("n")
            made = Expression("DOUBLE", name, name)
        else:
            made = expressions.any(depth)
        text = f"AS_VALUE({made.text})" if key and made.text in (f"a.{key}", f"b.{key}") else made.text
        ours.append(f"{text} AS c{number}")
        theirs.append(f"{made.item()} AS c{number}")
    return ours, theirs


def _where(expressions: Expressions, share: float = 0.7) -> tuple[str, str]:
    if expressions.random.random() > share:
        return "", "true"
    condition = expressions.condition()
    return f" WHERE {condition.text}", condition.holds()


# --- one source ----------------------------------------------------------------------------


def _projection(random: Random, seed: int) -> Query:
    """SELECT .. WHERE of a stream; sometimes through a second stream, or re-keyed."""
    expressions, name = Expressions(random), f"Q{seed}"
    ours, theirs = _items(expressions, random.randrange(1, 4))
    where, holds = _where(expressions)
    statement = f"CREATE STREAM {name} AS SELECT k, {', '.join(ours)} FROM S{where};"
    duck = f"SELECT k, {', '.join(theirs)} FROM S WHERE {holds}"
    return Query(seed, "projection", (statement,), name, duck)


def _table_projection(random: Random, seed: int) -> Query:
    expressions, name = Expressions(random), f"Q{seed}"
    ours, theirs = _items(expressions, random.randrange(1, 4))
    where, holds = _where(expressions)
    statement = f"CREATE TABLE {name} AS SELECT k, {', '.join(ours)} FROM T{where};"
    return Query(seed, "table", (statement,), name, f"SELECT k, {', '.join(theirs)} FROM T WHERE {holds}")


# --- aggregates ----------------------------------------------------------------------------


def _aggregates(random: Random, *, undo: bool = False, ordered: bool = True) -> tuple[list[str], list[str]]:
    """SELECT items of aggregates.

    Args:
        undo: only those that tables can take.
        ordered: those that depend on the order of rows, too.
    """
    e = Expressions(random)
    number = random.choice(("i", "j", "l", "p", "d"))
    small = random.choice(("i", "j"))
    anything = random.choice(tuple(COLUMNS))
    comparable = random.choice([c for c, word in COLUMNS.items() if word != "BOOLEAN"])
    wrap = {"i": "wrap32(coalesce(sum({0}::HUGEINT), 0))", "l": "wrap64(coalesce(sum({0}::HUGEINT), 0))"}
    wrap["j"] = wrap["i"]
    added = e.of("INT", 1)
    pool = [
        ("COUNT(*)", "count(*)"),
        (f"COUNT({anything})", f"count({anything})"),
        (f"SUM({number})", wrap.get(number, "coalesce(sum({0}), 0)").format(number)),
        (f"AVG({small})", f"coalesce(avg({small}::DOUBLE), 0)"),
        ("SUM(n)", "coalesce(sum(n), 0)"),
        (f"SUM({added.text})", wrap["i"].format(f"({added.item()})")),
        ("STDDEV_SAMP(j)", "coalesce(var_samp(j::DOUBLE), 0)"),
        ("STDDEV_SAMPLE(j)", "coalesce(stddev_samp(j::DOUBLE), 0)"),
        (f"(SUM({small}) + COUNT(*))", f"wrap64({wrap[small].format(small)}::HUGEINT + count(*))"),
        ("(COUNT(*) * 2)", "count(*) * 2"),
    ]
    if not undo:
        pool += [
            (f"MIN({comparable})", f"min({comparable})"),
            (f"MAX({comparable})", f"max({comparable})"),
            (f"COUNT_DISTINCT({anything})", f"count(DISTINCT {anything})"),
            (f"TOPKDISTINCT({small}, 3)", _largest(f"DISTINCT {small}", small)),
            (f"TOPK({small}, 3)", _largest(small, small)),
        ]
        if ordered:
            pool += [
                (f"LATEST_BY_OFFSET({anything})", f"arg_max({anything}, pos) FILTER ({anything} IS NOT NULL)"),
                (f"EARLIEST_BY_OFFSET({anything})", f"arg_min({anything}, pos) FILTER ({anything} IS NOT NULL)"),
                (f"COLLECT_LIST({anything})", f"list({anything} ORDER BY pos)"),
            ]
    chosen = random.sample(pool, random.randrange(1, 4))
    ours = [f"{text} AS c{number}" for number, (text, _) in enumerate(chosen)]
    theirs = [f"{duck} AS c{number}" for number, (_, duck) in enumerate(chosen)]
    return ours, theirs


def _largest(values: str, column: str) -> str:
    """DuckDB's list of the three largest, empty if there are none."""
    return f"coalesce(list_slice(list_reverse_sort(list({values}) FILTER ({column} IS NOT NULL)), 1, 3), [])"


def _groups(random: Random) -> list[Expression]:
    """One or two grouping expressions."""
    simple = [Expression("", name, name) for name in ("k", "j", "s", "w", "b", "dt", "p", "tm", "ts")]
    made = Expressions(random)
    remainder = made.arithmetic("INT", "%", made.column("INT"), Expression("INT", "3", "3"), "({0} % {1})")
    upper = made.function("UCASE", "STRING", [made.column("STRING")], "upper({0})")
    return random.sample([*simple, remainder, upper], random.choice((1, 1, 2)))


def _having(random: Random) -> tuple[str, str]:
    if random.random() < 0.6:
        return "", "true"
    return random.choice(
        (
            (" HAVING COUNT(*) > 2", "count(*) > 2"),
            (" HAVING COUNT(i) < 4", "count(i) < 4"),
            (" HAVING SUM(j) > 0", "coalesce(sum(j), 0) > 0"),
            (" HAVING AVG(j) >= 1", "coalesce(avg(j), 0) >= 1"),
        )
    )


@dataclass(frozen=True)
class _Grouped:
    """The parts that GROUP BY queries share."""

    keys: list[Expression]
    ours: list[str]
    theirs: list[str]
    where: str
    holds: str
    having: str
    kept: str

    def select(self, kind: str, name: str, source: str, window: str = "") -> str:
        keys = ", ".join(f"{e.text} AS g{i}" for i, e in enumerate(self.keys))
        groups = ", ".join(e.text for e in self.keys)
        return (
            f"CREATE {kind} {name} WITH (KEY_FORMAT='JSON') AS SELECT {keys}, {', '.join(self.ours)} FROM {source}{window}"
            f"{self.where} GROUP BY {groups}{self.having};"
        )

    def duck(self, source: str, window: tuple[str, ...] = ()) -> str:
        """Rows whose grouping expression fails or is NULL are dropped."""
        keys = ", ".join(f"{e.item()} AS g{i}" for i, e in enumerate(self.keys))
        names = ", ".join([*(f"g{i}" for i in range(len(self.keys))), *window])
        present = " AND ".join(f"g{i} IS NOT NULL" for i in range(len(self.keys)))
        inner = f"(SELECT *, {keys} FROM {source} WHERE {self.holds})"
        return f"SELECT {names}, {', '.join(self.theirs)} FROM {inner} WHERE {present} GROUP BY {names} HAVING {self.kept}"


def _grouped(random: Random, *, undo: bool = False, ordered: bool = True) -> _Grouped:
    ours, theirs = _aggregates(random, undo=undo, ordered=ordered)
    where, holds = _where(Expressions(random), 0.5)
    having, kept = _having(random)
    return _Grouped(_groups(random), ours, theirs, where, holds, having, kept)


def _aggregate(random: Random, seed: int) -> Query:
    grouped, name = _grouped(random), f"Q{seed}"
    return Query(seed, "aggregate", (grouped.select("TABLE", name, "S"),), name, grouped.duck("S"))


def _table_aggregate(random: Random, seed: int) -> Query:
    """Groups that nothing is in any more keep a row of COUNT 0; HAVING takes it away, so that DuckDB can tell."""
    grouped, name = _grouped(random, undo=True), f"Q{seed}"
    having = f"{grouped.having} AND COUNT(*) > 0" if grouped.having else " HAVING COUNT(*) > 0"
    grouped = _Grouped(grouped.keys, grouped.ours, grouped.theirs, grouped.where, grouped.holds, having, grouped.kept)
    return Query(seed, "aggregate of a table", (grouped.select("TABLE", name, "T"),), name, grouped.duck("T"))


def _chained(random: Random, seed: int) -> Query:
    """A stream of a query, then an aggregate over it."""
    expressions, name = Expressions(random), f"Q{seed}"
    a, b, g = expressions.of("INT", 2), expressions.of("STRING", 2), expressions.of("STRING", 1)
    where, holds = _where(expressions)
    first = f"CREATE STREAM A{seed} AS SELECT k, {a.text} AS a, {b.text} AS b, {g.text} AS g FROM S{where};"
    second = f"CREATE TABLE {name} AS SELECT g, COUNT(*) AS c0, SUM(a) AS c1, MAX(b) AS c2 FROM A{seed} GROUP BY g;"
    inner = f"(SELECT {a.item()} AS a, {b.item()} AS b, {g.item()} AS g FROM S WHERE {holds})"
    duck = f"SELECT g, count(*), wrap32(coalesce(sum(a::HUGEINT), 0)), max(b) FROM {inner} WHERE g IS NOT NULL GROUP BY g"
    return Query(seed, "chained", (first, second), name, duck)


def _aggregate_of_aggregate(random: Random, seed: int) -> Query:
    """A table of a table: rows move between groups while the first changes."""
    name, (where, holds) = f"Q{seed}", _where(Expressions(random), 0.5)
    group = random.choice(("j", "s", "w", "dt"))
    first = (
        f"CREATE TABLE A{seed} WITH (KEY_FORMAT='JSON') AS SELECT {group}, COUNT(*) AS m, SUM(j) AS v FROM S{where}"
        f" GROUP BY {group};"
    )
    second = f"CREATE TABLE {name} AS SELECT m, COUNT(*) AS c0, SUM(v) AS c1 FROM A{seed} GROUP BY m HAVING COUNT(*) > 0;"
    inner = (
        f"SELECT count(*) AS m, wrap32(coalesce(sum(j::HUGEINT), 0)) AS v FROM S WHERE {group} IS NOT NULL AND {holds}"
        f" GROUP BY {group}"
    )
    duck = f"SELECT m, count(*), wrap32(sum(v::HUGEINT)) FROM ({inner}) GROUP BY m"
    return Query(seed, "aggregate of an aggregate", (first, second), name, duck)


# --- windows -------------------------------------------------------------------------------


def _tumbling_or_hopping(random: Random, seed: int) -> Query:
    """Grace is longer than the disorder, so nothing is late; windows begin at 0 at the earliest."""
    grouped, name = _grouped(random), f"Q{seed}"
    size_s = random.choice((1, 5, 10))
    advance_s = random.choice([a for a in (1, 2, 3, 5, 10) if a <= size_s])
    if random.random() < 0.4:
        advance_s = size_s
        window = f" WINDOW TUMBLING (SIZE {size_s} SECONDS, GRACE PERIOD 1 DAY)"
    else:
        window = f" WINDOW HOPPING (SIZE {size_s} SECONDS, ADVANCE BY {advance_s} SECONDS, GRACE PERIOD 1 DAY)"
    size, advance = size_s * 1000, advance_s * 1000
    first = f"greatest(0, (CAST(floor((rowtime - {size}) / {advance}) AS BIGINT) + 1) * {advance})"
    source = f"(SELECT *, ws + {size} AS we FROM (SELECT *, unnest(range({first}, rowtime + 1, {advance})) AS ws FROM S))"
    return Query(seed, "windows", (grouped.select("TABLE", name, "S", window),), name, grouped.duck(source, ("ws", "we")))


def _session(random: Random, seed: int) -> Query:
    """Gaps and islands: a session ends where the next row of the group is more than the gap away."""
    grouped, name = _grouped(random, ordered=False), f"Q{seed}"
    gap_s = random.choice((1, 2, 5))
    window = f" WINDOW SESSION ({gap_s} SECONDS, GRACE PERIOD 1 DAY)"
    keys = ", ".join(f"{e.item()} AS x{i}" for i, e in enumerate(grouped.keys))
    names = ", ".join(f"x{i}" for i in range(len(grouped.keys)))
    rows = f"(SELECT *, {keys} FROM S WHERE {grouped.holds})"
    gaps = (
        f"(SELECT *, CASE WHEN rowtime - lag(rowtime) OVER (PARTITION BY {names} ORDER BY rowtime) <= {gap_s * 1000}"
        f" THEN 0 ELSE 1 END AS opens FROM {rows})"
    )
    islands = (
        f"(SELECT *, sum(opens) OVER (PARTITION BY {names} ORDER BY rowtime ROWS UNBOUNDED PRECEDING) AS island FROM {gaps})"
    )
    island = f"OVER (PARTITION BY {names}, island)"
    source = f"(SELECT *, min(rowtime) {island} AS ws, max(rowtime) {island} AS we FROM {islands})"
    statement = grouped.select("TABLE", name, "S", window)
    return Query(seed, "sessions", (statement,), name, grouped.duck(source, ("ws", "we")))


# --- joins ---------------------------------------------------------------------------------

_JOIN_COLUMNS = ("k", "j", "s", "w")


def _stream_stream(random: Random, seed: int) -> Query:
    """Pairs within the time; LEFT and FULL pad what found no partner, once it cannot find one any more.

    Those two are over streams that rise in time: a record whose time for partners is over when it arrives is padded at once,
    and may be paired later all the same (the dialect, section 8), so that disorder shows in the result.
    """
    kind, name = random.choice(("INNER", "INNER", "LEFT", "FULL OUTER")), f"Q{seed}"
    left, right = ("S", "R") if kind == "INNER" else ("X", "Y")
    expressions = Expressions(random, ("a", "b"))
    on = random.choice(_JOIN_COLUMNS)
    key = f"a.{on} AS x" if kind != "FULL OUTER" else "ROWKEY AS x"
    their_key = f"a.{on} AS x" if kind != "FULL OUTER" else f"coalesce(a.{on}, b.{on}) AS x"
    before, after = random.choice(((1000, 1000), (2000, 2000), (1000, 3000), (0, 2000)))
    within = f"{before} MILLISECONDS" if before == after else f"({before} MILLISECONDS, {after} MILLISECONDS)"
    ours, theirs = _items(expressions, random.randrange(1, 4), 1, on)
    where, holds = _where(expressions, 0.4)
    statement = (
        f"CREATE STREAM {name} AS SELECT {key}, {', '.join(ours)} FROM {left} a {kind} JOIN {right} b WITHIN {within}"
        f" GRACE PERIOD 1 HOUR ON a.{on} = b.{on}{where};"
    )
    condition = f"a.{on} = b.{on} AND b.rowtime BETWEEN a.rowtime - {before} AND a.rowtime + {after}"
    keyed = [f"(SELECT * FROM {source} WHERE {on} IS NOT NULL)" for source in (left, right)]
    padded = f"{keyed[0]} a {kind} JOIN {keyed[1]} b ON {condition}"
    duck = f"SELECT {their_key}, {', '.join(theirs)} FROM {padded} WHERE {holds}"
    return Query(seed, f"stream-stream {kind}", (statement,), name, duck)


def _stream_table(random: Random, seed: int) -> Query:
    """The table is complete before the stream's first row."""
    kind, name = random.choice(("INNER", "LEFT")), f"Q{seed}"
    expressions = Expressions(random, ("a", "b"))
    on = random.choice(("k", "j"))
    ours, theirs = _items(expressions, random.randrange(1, 4), 1, on)
    where, holds = _where(expressions, 0.4)
    statement = (
        f"CREATE STREAM {name} AS SELECT a.{on} AS x, {', '.join(ours)} FROM S a {kind} JOIN T b ON a.{on} = b.k{where};"
    )
    duck = (
        f"SELECT a.{on} AS x, {', '.join(theirs)} FROM (SELECT * FROM S WHERE {on} IS NOT NULL) a {kind} JOIN T b"
        f" ON a.{on} = b.k WHERE {holds}"
    )
    return Query(seed, f"stream-table {kind}", (statement,), name, duck)


def _joined_aggregate(random: Random, seed: int) -> Query:
    """A stream-table join, then an aggregate of its result."""
    name = f"Q{seed}"
    expressions = Expressions(random, ("a", "b"))
    v, g = expressions.of("INT", 1), expressions.of("STRING", 1)
    first = f"CREATE STREAM A{seed} AS SELECT a.k AS k, {v.text} AS v, {g.text} AS g FROM S a LEFT JOIN T b ON a.k = b.k;"
    second = f"CREATE TABLE {name} AS SELECT g, COUNT(v) AS c0, SUM(v) AS c1, MIN(v) AS c2 FROM A{seed} GROUP BY g;"
    inner = f"SELECT {v.item()} AS v, {g.item()} AS g FROM S a LEFT JOIN T b ON a.k = b.k WHERE a.k IS NOT NULL"
    duck = f"SELECT g, count(v), wrap32(coalesce(sum(v::HUGEINT), 0)), min(v) FROM ({inner}) WHERE g IS NOT NULL GROUP BY g"
    return Query(seed, "aggregate of a join", (first, second), name, duck)


def _table_table(random: Random, seed: int) -> Query:
    kind, name = random.choice(("INNER", "LEFT", "RIGHT", "FULL OUTER")), f"Q{seed}"
    expressions = Expressions(random, ("a", "b"))
    key, their_key = {
        "FULL OUTER": ("ROWKEY AS x", "coalesce(a.k, b.k) AS x"),
        "RIGHT": ("b.k AS x", "b.k AS x"),
    }.get(kind, ("a.k AS x", "a.k AS x"))
    ours, theirs = _items(expressions, random.randrange(1, 4), 1)
    where, holds = _where(expressions, 0.5)
    statement = f"CREATE TABLE {name} AS SELECT {key}, {', '.join(ours)} FROM T a {kind} JOIN U b ON a.k = b.k{where};"
    duck = f"SELECT {their_key}, {', '.join(theirs)} FROM T a {kind} JOIN U b ON a.k = b.k WHERE {holds}"
    return Query(seed, f"table-table {kind}", (statement,), name, duck)


def _foreign_key(random: Random, seed: int) -> Query:
    kind, name = random.choice(("INNER", "LEFT")), f"Q{seed}"
    expressions = Expressions(random, ("a", "b"))
    ours, theirs = _items(expressions, random.randrange(1, 4), 1)
    where, holds = _where(expressions, 0.5)
    statement = f"CREATE TABLE {name} AS SELECT a.k AS x, {', '.join(ours)} FROM T a {kind} JOIN U b ON a.j = b.k{where};"
    duck = f"SELECT a.k AS x, {', '.join(theirs)} FROM T a {kind} JOIN U b ON a.j = b.k WHERE {holds}"
    return Query(seed, f"foreign key {kind}", (statement,), name, duck)


KINDS: dict[str, Callable[[Random, int], Query]] = {
    "projection": _projection,
    "table": _table_projection,
    "aggregate": _aggregate,
    "aggregate of a table": _table_aggregate,
    "chained": _chained,
    "aggregate of an aggregate": _aggregate_of_aggregate,
    "windows": _tumbling_or_hopping,
    "sessions": _session,
    "stream-stream": _stream_stream,
    "stream-table": _stream_table,
    "aggregate of a join": _joined_aggregate,
    "table-table": _table_table,
    "foreign key": _foreign_key,
}
