"""Commits transactions (encode, append, sync, record in the journal), and recovers them when a log is opened."""
