"""Bytes: the log, the state of queries, and the formats of keys and values."""
