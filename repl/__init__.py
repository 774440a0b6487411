"""The person: prompt, command line, completion, and how results look."""
