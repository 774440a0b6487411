"""Resolve the tree of a statement to a query.

"Section 5" in a docstring of this folder means section 5 of docs/reference/dialect.md.
"""
