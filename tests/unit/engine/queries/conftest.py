"""A bench for queries: analyse, plan, lower and run statements over a log in memory, one batch or one record at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.engine.analysis.query import QueryContext, analyse
from penstock.engine.analysis.resolved import ResolvedQuery
from penstock.engine.analysis.sink import SinkRequest
from penstock.engine.analysis.types import resolve_type
from penstock.engine.catalog import Catalog, DataSource, FormatInfo, QueryEntry
from penstock.engine.functions import load_built_ins
from penstock.engine.lowering.lower import LoweringContext, lower
from penstock.engine.plan.explain import explain
from penstock.engine.plan.logical.build import build
from penstock.engine.plan.optimise import copy_to_topics, optimise
from penstock.engine.query_options import QueryOptions
from penstock.engine.schema import Column, Schema
from penstock.grammar import ast
from penstock.grammar.parse import parse_statement
from penstock.runtime.host import QueryHost
from penstock.storage.files import MemoryFiles
from penstock.storage.formats import make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

FUNCTIONS = load_built_ins()


def serde(format_: FormatInfo, is_key: bool, topic: str, columns: int) -> Any:
    """As a database would make them, without a schema registry."""
    if format_.name == "NONE" or (format_.name == "ARROW" and not is_key):
        return None
    return make_serde(format_.name, SerdeOptions(is_key=is_key, topic=topic))


@dataclass
class Bench:
    """A catalog, a log and running queries."""

    partitions: int = 1
    rows_max: int = 65536
    catalog: Catalog = field(default_factory=Catalog)
    properties: dict[str, str] = field(
        default_factory=lambda: {
            "cache.max.bytes.buffering": "0",
            "processing.order": "arrival",
            "auto.offset.reset": "earliest",
        }
    )

    def __post_init__(self) -> None:
        self.log = LocalLog(prepare(MemoryFiles()), LogSettings(background=False))
        self.host = QueryHost(self.log, None, threads=0, rows_max=self.rows_max)
        self._queries = 0

    def source(self, text: str, **details: Any) -> None:
        """``CREATE STREAM S (ID INT KEY, V INT)``: declare a source over a topic of its lower-case name.

        Of ``WITH`` only the formats are heeded.
        """
        statement = parse_statement(text + ";")
        assert isinstance(statement, ast.CreateSource)
        roles = {"PRIMARY KEY": "KEY"}
        columns = [
            Column(c.name, resolve_type(c.type, {}), roles.get(c.role, c.role), c.header)  # type: ignore[arg-type]
            for c in statement.columns
        ]
        columns.sort(key=lambda c: c.role != "KEY")
        schema = Schema(tuple(columns))
        for written in statement.properties:
            if (side := written.name.upper()) in ("KEY_FORMAT", "VALUE_FORMAT"):
                details.setdefault(side.lower(), FormatInfo(str(written.value.value)))  # type: ignore[union-attr]
        details.setdefault("key_format", FormatInfo("KAFKA" if len(schema.keys) == 1 else "JSON" if schema.keys else "NONE"))
        details.setdefault("value_format", FormatInfo("ARROW"))
        details.setdefault("partitions", self.partitions)
        self._declare(DataSource(statement.name, statement.kind, schema, statement.name.lower(), **details))

    def _declare(self, source: DataSource) -> None:
        self.catalog = self.catalog.with_source(source)
        if source.topic not in self.log.topics():
            value_type = None
            if source.value_format.name == "ARROW":
                stored = [c for c in source.schema.values if c.role == "VALUE"]
                value_type = pa.struct(list(Schema(tuple(stored)).arrow()))
            self.log.create_topic(source.topic, TopicConfig(source.partitions, value_type))

    def resolve(self, text: str) -> ResolvedQuery:
        """Analyse a SELECT, a C*AS or an INSERT INTO .. SELECT."""
        statement = parse_statement(text + ";")
        sink = None
        if isinstance(statement, ast.CreateAsSelect):
            sink = SinkRequest(statement.kind, statement.name, statement.properties)
        elif isinstance(statement, ast.InsertSelect):
            sink = SinkRequest("STREAM", statement.target, statement.properties, insert=True)
        query = statement if isinstance(statement, ast.Query) else statement.query  # type: ignore[union-attr]
        return analyse(query, QueryContext(self.catalog, FUNCTIONS, QueryOptions.of(self.properties), sink))

    def explain(self, text: str, *, copies: bool = False) -> str:
        """The optimised plan as text, with the internal topics that it can copy rows to if asked for."""
        plan = optimise(build(self.resolve(text)))
        return explain(copy_to_topics(plan, "..") if copies else plan)

    def run(self, text: str) -> Any:
        """Start a persistent query; its sink is declared."""
        resolved = self.resolve(text)
        sink = resolved.sink
        assert sink is not None
        dataflow = lower(optimise(build(resolved)), LoweringContext(FUNCTIONS, serde, QueryOptions.of(self.properties)))
        self._queries += 1
        query_id = f"Q_{self._queries}"
        if not sink.insert:
            kind: Any = "CSAS" if sink.kind == "STREAM" else "CTAS"
            entry = QueryEntry(
                query_id, kind, text, tuple(s.source.name for s in resolved.sources), sink.name, self._queries
            )
            self.catalog = self.catalog.with_query(entry)
            self._declare(
                DataSource(
                    sink.name,
                    sink.kind,
                    sink.schema,
                    sink.topic,
                    sink.key_format,
                    sink.value_format,
                    sink.partitions,
                    sink.window,
                    query_id=query_id,
                )
            )
        return self.host.start(query_id, dataflow, self._queries)

    def produce(self, name: str, rows: Sequence[tuple[Any, Any, int]]) -> None:
        """Rows of (key, value, timestamp): a key is a tuple if it has several columns, a value a dict or None."""
        source = self.catalog.source(name)
        keys = source.schema.keys
        key_serde = serde(source.key_format, True, source.topic, len(keys))
        stored = Schema(tuple(c for c in source.schema.values if c.role == "VALUE")).arrow()
        value_serde = serde(source.value_format, False, source.topic, len(stored))
        for key, value, timestamp in rows:
            parts = key if isinstance(key, tuple) else (key,)
            encoded = None
            if key_serde is not None and key is not None:
                arrow = Schema(keys).arrow()
                encoded = key_serde.encode([pa.array([k], f.type) for k, f in zip(parts, arrow)], arrow, None).data
            if value_serde is None:
                values = pa.array([value], pa.struct(list(stored)))
            else:
                columns = [pa.array([None if value is None else value.get(f.name)], f.type) for f in stored]
                values = value_serde.encode(columns, stored, np.array([value is None])).data
            transaction = self.log.transaction()
            transaction.append(source.topic, Records(encoded, values, np.array([timestamp], np.int64)))
            transaction.commit()

    def drain(self) -> None:
        self.host.drain()

    def rows(self, name: str) -> list[tuple[Any, Any, int]]:
        """What a sink's topic holds: (key, value, timestamp), windowed keys as (key, start, end or None)."""
        source = self.catalog.source(name)
        keys = source.schema.keys
        key_serde = serde(source.key_format, True, source.topic, len(keys))
        found: list[tuple[Any, Any, int]] = []
        for partition in range(source.partitions):
            records = self.log.read(source.topic, partition, 0, rows_max=1_000_000)
            raw = [None] * len(records) if records.keys is None else records.keys.to_pylist()
            bounds: list[tuple[int, ...]] = [()] * len(raw)
            if source.window is not None:
                width = 16 if source.window.type == "SESSION" else 8
                numbers = [[int.from_bytes(k[i : i + 8]) for i in range(len(k) - width, len(k), 8)] for k in raw]
                bounds = [tuple(reversed(n)) for n in numbers]
                raw = [k[:-width] for k in raw]
            parts: list[Any] = [None] * len(raw)
            if key_serde is not None:
                columns = key_serde.decode(pa.array(raw, pa.binary()), Schema(keys).arrow()).columns
                parts = [tuple(c[i].as_py() for c in columns) for i in range(len(raw))]
                parts = [p[0] if len(p) == 1 else p for p in parts]
            values = records.values.to_pylist()
            for key, bound, value, timestamp in zip(parts, bounds, values, records.timestamps.tolist(), strict=True):
                if isinstance(value, dict) and value and all(v is None for v in value.values()):
                    value = dict(value)
                found.append(((key, *bound) if bound else key, value, timestamp))
        return found

    def table(self, run: Any) -> list[dict[str, Any]]:
        """A query's table, as a pull query would see it."""
        self.host.drain()
        (snapshot,) = self.host.tables({"T": run.query_id}).values()
        return list(snapshot.table().to_pylist())


@pytest.fixture
def bench() -> Bench:
    """One partition, whole batches."""
    return Bench()


@pytest.fixture(params=[1, 65536], ids=["record", "batch"])
def any_batch(request: pytest.FixtureRequest) -> Bench:
    """One partition; run one record at a time, and in whole batches: the outputs must be the same."""
    return Bench(rows_max=request.param)
