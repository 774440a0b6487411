"""Bytes: the log, the state of queries, schemas, and the formats of keys and values."""
