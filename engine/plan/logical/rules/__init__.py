"""Rules of meaning: they say the same with less, and know nothing of stores and topics."""
