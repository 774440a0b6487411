"""Runs queries in DuckDB, over snapshots of tables that are not copied, in a locked-down connection."""
