"""Producers, consumers and their groups, over `storage.log.protocol.Log` only."""
