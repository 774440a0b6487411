"""State stores: `store.StateStore` is the contract, `keyed_store` the store of most operators."""
