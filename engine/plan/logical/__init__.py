"""What a query means: the nodes, how they are built, and the rules that keep the meaning."""
