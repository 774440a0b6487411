"""Rules that simplify a plan and keep its meaning.  They know nothing of stores and topics."""
