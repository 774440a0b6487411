"""The person at a terminal: the prompt, the command line, completion, and how results look."""
