"""Ten Nexmark queries beside DuckDB and a plain Python loop, in turns: ``python -m benchmarks nexmark --peers``."""
