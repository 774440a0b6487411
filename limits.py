"""Every bound of the system: a constant, its unit, its reason.  An input beyond a limit is an error; nothing is cut off."""

from __future__ import annotations

from typing import Final

STATEMENT_CHARS_MAX: Final = 1_000_000
"""Characters of one script.  A person writes far fewer, and the parser's memory for so many does not matter."""

NESTING_DEPTH_MAX: Final = 200
"""Levels of nesting in an expression or type.  Python's recursion limit is 1000, and walking a tree takes 3 frames a
level.
"""

BATCH_ROWS_MAX: Final = 131_072
"""Rows that a query takes in one step, unless it aggregates one input.

With so many, fixed costs are small (kernels, commits, rows of one input that wait for another one), and the rows still fit
into the cache.
"""

STEP_ROWS_MAX: Final = 262_144
"""Rows that a query takes in one step if it aggregates one input (`runtime/query/step_size.py::rows_per_step`)."""

STEP_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of input that a query decodes in one step.  It bounds memory when records are large."""

DECIMAL_PRECISION_MAX: Final = 76
"""Digits of a DECIMAL.  Arrow's widest decimal has so many."""

DECODED_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes of decoded records that are kept for several queries.  The least recently read ones are dropped first."""

MARKED_STATE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of a query's in-memory state up to which a failed step can be undone.  Each write first copies what it
overwrites.
"""

TABLE_FUNCTION_ROWS_MAX: Final = 1_000_000
"""Rows that a user's table function may return for one row.  It may be a generator without an end."""

TIMESTAMP_MS_MAX: Final = 1 << 62
"""The latest time of a record, in milliseconds: in the year 146 million.

With the size and grace period of a window added, it still fits into 64 bits.
"""

DURATION_MS_MAX: Final = 1 << 60
"""The longest duration in a statement, in milliseconds: 36 million years.

The sum of two durations and a time still fits into 64 bits.
"""

WINDOWS_PER_ROW_MAX: Final = 10_000
"""Hopping windows that one row may fall into.  Each is a group of its own, in memory for every row of a step."""

UNREAD_ROWS_MAX: Final = 20_000_000
"""Rows that a producer may be ahead of the slowest running query before insert() waits.  Unread rows fill memory or disk."""

DUCKDB_MEMORY_BYTES: Final = 2 * 1024 * 1024 * 1024
"""Bytes that DuckDB may use for one query, and as many again for its answer, unless ``penstock.duckdb.memory`` is set.

A forgotten join condition must not use all memory of the machine.
"""

DUCKDB_ITEMS_MAX: Final = 1_000_000
"""Characters or items that one call of repeat, lpad, range and the like may make in DuckDB's SQL.

DuckDB counts them against its memory only after they are made.
"""

QUERY_BYTES_MAX: Final = 4 * 1024 * 1024 * 1024
"""Bytes that one step of a pull query may use, see `DUCKDB_MEMORY_BYTES`."""

JOINED_PAIRS_MAX: Final = 50_000_000
"""Pairs of rows that one join of a pull query tests.  Their numbers take 0.8 GB."""

SUBQUERY_ANSWERS_MAX: Final = 100_000
"""How often a subquery of a pull query is answered for different outer rows.  Each time takes about a millisecond."""

INTERNAL_TOPIC_RETENTION_MS: Final = 24 * 60 * 60 * 1000
"""How long the records of a repartition topic are kept, in milliseconds.

A day is long enough to look at them.  Kafka Streams deletes them at once.
"""

SUBSCRIPTION_ROWS_MAX: Final = 10_000
"""Rows that a push query holds for a slow reader before it waits, or, if the reader chose so, drops rows."""

CHECKPOINT_CHANGES_MIN: Final = 500_000
"""Changelog rows after which a store gets a checkpoint.  Reading so many again takes well under a second."""

OPEN_FILES_MAX: Final = 400
"""File descriptors that are kept open.

This is well below the 1,024 that many systems allow a process.  Memory maps may have as many again.
"""

OPEN_FILES_MIN: Final = 16
"""The smallest number of file descriptors that are kept open, however few the process may have.

With fewer, one step would open and close the same files again and again.
"""

OPEN_FILES_OTHERS: Final = 60
"""File descriptors left to the rest of the process: streams and sockets, libraries, Penstock's locks and directories."""

FRAME_ROWS_MAX: Final = 65_536
"""Rows in one frame of the log: as many as a query takes in one step, so that a read seldom decodes more than it returns."""

FRAME_BYTES_MAX: Final = 1024 * 1024 * 1024
"""Bytes in the body of one frame.  Its length field has 32 bits, and Arrow's binary arrays end at 2 GiB."""

FRAME_UNPACKED_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
"""Bytes that a compressed frame may have when it is unpacked.

This is twice the size of a frame when it is written, and the limit of Arrow's binary arrays.  The size is read from eight
bytes on disk, or of another process, which may say anything.
"""

READ_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes that one read of the log joins.  So joined columns stay below Arrow's 2 GiB, and memory is limited."""

REGISTRY_ATTEMPTS_MAX: Final = 5
"""Attempts to reach a schema registry server that is down or busy.  The pauses between them double, 1.5 s in all."""

REGISTRY_PAUSE_MS: Final = 100
"""The first pause between two of these attempts, in milliseconds."""

REGISTRY_TIMEOUT_S: Final = 10.0
"""How long a registry server may send nothing, in seconds.

It normally answers in milliseconds, and a statement should not hang.
"""

REGISTRY_ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of one answer of a registry server.  Schemas have kilobytes, so a larger answer does not come from a registry."""

SERIES_ITEMS_MAX: Final = 10_000_000
"""Items of one GENERATE_SERIES.  With more, a typing error could use all memory of the machine."""

SCRIPT_DEPTH_MAX: Final = 20
"""Levels of scripts that run each other by RUN SCRIPT."""

SCRIPT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of a script.  A larger file is data, which is loaded in another way."""

GROWN_CHARS_MAX: Final = 16 * 1024 * 1024
"""Characters (or bytes) up to which LPAD, RPAD, REPLACE and REGEXP_REPLACE may make a text longer.

Records have kilobytes.  A few such calls inside of each other could use all memory.
"""

COLUMN_BYTES_MAX: Final = 1024 * 1024 * 1024
"""Bytes of the values that one expression makes for the rows of a step.  Arrow's columns of texts end at 2 GiB."""

INSERTED_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
"""Bytes of one insert: of columns whose values share bytes (dictionaries, run ends, views, nulls), counted for each value,
and of rows from a generator, which may have no end.

A few kilobytes can stand for terabytes.  Arrow's columns of texts also end at 2 GiB.
"""

ITERATED_ROWS_MAX: Final = 5_000_000
"""Rows of a generator that must all be read at once, to find the types of their columns.  It may have no end."""

FILE_BYTES_MAX: Final = 4 * 1024 * 1024 * 1024
"""Bytes of a file that is read as a whole.  Files of the log have 64 MiB, unless a topic or a large commit needs more."""

PARTITIONS_MAX: Final = 10_000
"""Partitions of a topic.  Each is a directory, and a task of every query that reads it."""

COMPACTION_KEYS_MAX: Final = 2_000_000
"""Distinct new keys that one pass of compaction handles, which takes about 100 MB.  Further keys wait for the next pass."""

KAFKA_BATCH_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of one record batch of a Kafka client, decompressed.  A batch that says it is larger is refused."""

KAFKA_UNPACKED_BYTES_MAX = 512 * 1024 * 1024
"""Bytes of all batches of one Produce request, decompressed, and `KAFKA_RECORD_BYTES` for each record.

A request may have a batch for each of thousands of partitions.  Batches that are not compressed always fit.
"""

KAFKA_RECORD_BYTES = 24
"""Bytes that a record takes in memory in addition to its key, value and headers."""

KAFKA_WAITING_BYTES_MAX = 512 * 1024 * 1024
"""Bytes, counted in the same way, of the Produce requests of all clients that wait to be written.

When it is reached, no other request is decompressed.
"""

KAFKA_REQUEST_BYTES_MAX = 100 * 1024 * 1024
"""Bytes of one request of a Kafka client (Kafka's ``socket.request.max.bytes``)."""

KAFKA_RECEIVED_BYTES_MAX = 512 * 1024 * 1024
"""Bytes of the requests of all Kafka clients that are being received or answered.

When it is reached, no other large request is read.
"""

KAFKA_FETCH_BYTES_MAX = 55 * 1024 * 1024
"""Bytes of records in one answer to a Kafka client (Kafka's ``fetch.max.bytes``).  The client may ask for 2 GiB."""

KAFKA_REQUEST_ITEMS_MAX = 250_000
"""Items in all arrays of one request of a Kafka client.

While they are read, no request of another client is read.  An item of one byte on the wire takes a hundred in memory.
"""

KAFKA_TRANSACTION_BYTES_MAX = 512 * 1024 * 1024
"""Bytes in the open transactions of all Kafka clients together.  They are in memory until they are committed."""

STEP_END_SECONDS_MAX: Final = 30.0
"""How long TERMINATE, PAUSE, close() and the like wait for the current step of a query, in seconds.

The step ends at its next row, unless a user's function does not return.
"""

REGEX_STEPS_MAX: Final = 2_000_000
"""Steps, in the worst case, that `re` may take to match a regular expression: some 20 ms, in which no other thread runs."""

REGEX_TEXT_SECONDS_MAX: Final = 0.25
"""Seconds for one text and a regular expression that only a backtracking engine can match.  After that the row fails."""

SCHEMA_DEPTH_MAX: Final = 64
"""Levels of nesting in a registered schema.  Walking a tree takes several frames for each level, and nobody writes so
many.
"""

SCHEMA_PARTS_MAX: Final = 20_000
"""Parts of a registered schema, each counted as often as it is used.

If each record uses the next one twice, the count doubles with every level.
"""

SCHEMA_REFERENCES_MAX: Final = 500
"""Schemas that one schema refers to, directly or through others.

Each is a request to the registry, which may name more and more.
"""

REGISTRY_ANSWER_SECONDS_MAX: Final = 30.0
"""How long one request to a registry server may take in all, in seconds, even if bytes keep coming."""
