"""Every bound in the system: one constant, its unit, its reason.  A limit that is reached is an error, not a truncation."""

from __future__ import annotations

from typing import Final

STATEMENT_CHARS_MAX: Final = 1_000_000
"""Characters of one script: far above what a person writes, below what makes the parser's memory matter."""

NESTING_DEPTH_MAX: Final = 200
"""Levels of nesting in an expression or type: Python's recursion limit is 1000 and the tree walkers use 3 frames a level."""

BATCH_ROWS_MAX: Final = 131_072
"""Rows a query takes in one step: large enough that fixed costs (kernels, commits, what is left of one input when another
has no more at hand) vanish, small enough for the cache; with twice as many nothing is gained."""

STEP_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of input a query decodes in one step: bounds memory when records are large."""

DECIMAL_PRECISION_MAX: Final = 76
"""Digits of a DECIMAL: what Arrow's widest decimal holds."""

DECODED_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes of decoded records that are kept for several queries to share; the least recently read go first."""

MARKED_STATE_BYTES_MAX: Final = 64 * 1024 * 1024
"""State of a query, kept in memory only, up to which a failed step can be taken back: writes copy what they overwrite."""

TABLE_FUNCTION_ROWS_MAX: Final = 1_000_000
"""Rows that a user's table function may give for one row: it may be a generator without an end."""

TIMESTAMP_MS_MAX: Final = 1 << 62
"""The latest time a record can have, in the year 146 million: a window's size and its grace added to it stay in 64 bits."""

DURATION_MS_MAX: Final = 1 << 60
"""The longest duration that a statement can name, 36 million years: two of them and a time still add up in 64 bits."""

WINDOWS_PER_ROW_MAX: Final = 10_000
"""Hopping windows that one row may fall into: each is a group of its own, in memory for every row of a step."""

UNREAD_ROWS_MAX: Final = 20_000_000
"""Rows a producer may be ahead of the slowest running query before insert() waits: what is unread fills memory or disk."""

DUCKDB_MEMORY_BYTES: Final = 2 * 1024 * 1024 * 1024
"""Bytes that DuckDB may take for one query, and again its answer, unless ``penstock.duckdb.memory`` says otherwise: a
forgotten join condition must not take the machine's memory."""

DUCKDB_ITEMS_MAX: Final = 1_000_000
"""Characters or items that one call of repeat, lpad, range and their like may make in DuckDB's SQL: it does not count
them against its memory before they are there."""

QUERY_BYTES_MAX: Final = 4 * 1024 * 1024 * 1024
"""Bytes that one step of a query which is answered once may take: see `DUCKDB_MEMORY_BYTES`."""

JOINED_PAIRS_MAX: Final = 50_000_000
"""Pairs of rows that one join of such a query looks at: their numbers take 0.8 GB."""

INTERNAL_TOPIC_RETENTION_MS: Final = 24 * 60 * 60 * 1000
"""How long a copy of what a re-keying moved is kept: a day is enough to look at it; Kafka Streams purges it at once."""

SUBSCRIPTION_ROWS_MAX: Final = 10_000
"""Rows a push query holds for a slow reader before it waits (or drops, by choice)."""

CHECKPOINT_CHANGES_MIN: Final = 500_000
"""Changelog rows before a store is checkpointed: replaying them takes well under a second."""

OPEN_FILES_MAX: Final = 400
"""Descriptors of files kept open: well below the 1,024 that many systems allow a process; maps may hold as many again."""

OPEN_FILES_MIN: Final = 16
"""But so many, however few the process may have: with less, one step would open and close the same files again and again."""

OPEN_FILES_OTHERS: Final = 60
"""Descriptors left to the rest of the process: its streams and sockets, libraries, our locks and directories."""

FRAME_ROWS_MAX: Final = 65_536
"""Rows in one frame of the log: what a query takes in one step, so that a read seldom decodes more than it returns."""

FRAME_BYTES_MAX: Final = 1024 * 1024 * 1024
"""Bytes in the body of one frame: its length field has 32 bits, Arrow's binary arrays end at 2 GiB."""

FRAME_UNPACKED_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
"""Bytes that a compressed frame may unpack to: twice what one holds when it is made, and what Arrow's binary arrays end at.
Eight bytes on a disk (or from another process) can claim any number."""

READ_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes one read of the log puts together: keeps joined columns below Arrow's 2 GiB and memory in bounds."""

REGISTRY_ATTEMPTS_MAX: Final = 5
"""Times a schema registry server is asked when it is away or busy: with pauses that double, it has 1.5 s to come back."""

REGISTRY_PAUSE_MS: Final = 100
"""The first pause between two of these attempts."""

REGISTRY_TIMEOUT_S: Final = 10.0
"""How long one answer of a registry server may take: it takes milliseconds, and a statement should not hang."""

REGISTRY_ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of one answer of a registry server: schemas have kilobytes; what is larger is not a registry."""

SERIES_ITEMS_MAX: Final = 10_000_000
"""Items of one GENERATE_SERIES: beyond it a typing error would take the machine's memory."""

SCRIPT_DEPTH_MAX: Final = 20
"""Scripts that run each other by RUN SCRIPT, one inside of the other."""

SCRIPT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of a script: what is larger is data, and is loaded from a file of data."""

PADDED_CHARS_MAX: Final = 16 * 1024 * 1024
"""Characters (or bytes) that LPAD and RPAD fill up to: a column of longer ones would not fit into Arrow's 2 GiB."""

PARTITIONS_MAX: Final = 10_000
"""Partitions of a topic: each is a directory, and a task of every query that reads it."""

COMPACTION_KEYS_MAX: Final = 2_000_000
"""Distinct new keys that one pass of compaction knows: about 100 MB; what else is new waits for the next pass."""

KAFKA_BATCH_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of one record batch of a Kafka client, decompressed: what it says about its size is not believed beyond this."""

KAFKA_REQUEST_BYTES_MAX = 100 * 1024 * 1024
"""Bytes of one request of a Kafka client (Kafka's ``socket.request.max.bytes``)."""

KAFKA_TRANSACTION_BYTES_MAX = 512 * 1024 * 1024
"""Bytes that the open transactions of all Kafka clients together may hold: they are in memory until they are committed."""

REGEX_STEPS_MAX: Final = 2_000_000
"""Steps that a regular expression may need at worst for `re` to match it: some 20 ms, in which nothing else runs."""

REGEX_TEXT_SECONDS_MAX: Final = 0.25
"""Seconds that a regular expression which only a backtracking engine can match has for one text: then the row fails."""

SCHEMA_DEPTH_MAX: Final = 64
"""Levels of nesting in a schema of the registry: tree walkers use some frames a level, and nobody writes so many."""

SCHEMA_PARTS_MAX: Final = 20_000
"""Parts of a registered schema, each counted as often as it is used: a record that has the next one twice doubles with
every level."""

REGISTRY_ANSWER_SECONDS_MAX: Final = 30.0
"""How long one request to a registry server may take in all, however many bytes come by and by."""
