"""Logical plans: their nodes, how a query becomes one, and the rules that rewrite it."""
