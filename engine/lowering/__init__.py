"""Plan -> dataflow: the only folder that names both plan nodes and operators."""
