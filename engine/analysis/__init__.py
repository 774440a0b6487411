"""Resolves a statement's tree to a query.  Section numbers in docstrings are those of docs/reference/dialect.md."""
