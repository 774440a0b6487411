"""Stores of state; `store.StateStore` is the contract, `keyed_store` the one that most operators use."""
