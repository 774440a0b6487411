"""What a query means: its nodes, how they are built, and the rules that preserve the meaning."""
