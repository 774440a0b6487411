"""Queries that DuckDB executes: over snapshots that it gets without copying, in a locked-down connection."""
