"""Rules that simplify a plan without changing its meaning; they know nothing of stores and topics."""
