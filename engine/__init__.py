"""Meaning: names, types, functions, plans.  Statements come in as trees and go out as dataflows of runtime operators."""
