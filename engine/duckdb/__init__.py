"""What DuckDB executes for us: snapshots handed over without copying, in a connection that is locked down."""
