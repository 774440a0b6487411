"""Meaning: names, types, functions, plans.  Turns statements' trees into dataflows of runtime operators."""
