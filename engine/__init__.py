"""Meaning: names, types, functions, plans.  Turns the trees of statements into dataflows of runtime operators."""
