"""The log on this machine: segments, the commit journal, and what is done to them in the background."""
