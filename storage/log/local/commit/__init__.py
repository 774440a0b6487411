"""How a transaction becomes durable (encoded, appended, synced, recorded in the journal), and how that is recovered."""
