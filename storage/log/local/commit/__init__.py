"""How a transaction becomes durable: staged, appended, synced, recorded in the journal; and how it is recovered."""
